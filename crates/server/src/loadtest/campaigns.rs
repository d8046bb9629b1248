//! Campaigns: how long a large list takes to be written down and what it costs in memory, and whether an ordinary text
//! notices that a campaign runs.
//!
//! The second is measured in pairs: a while idle, a while beside the campaign, again and again, so that what else the machine
//! does falls on both. What counts is the median of the ratios of the pairs.

use super::child::Process;
use super::customer::{Account, Customer, millis};
use super::places::Temporary;
use super::report::quantile;
use super::sends::{pending, send_and_wait};
use super::wire::Connection;
use super::{LoadtestArgs, SERVE, SETTINGS};
use crate::cli::out;
use anyhow::{Context, bail};
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;
use tokio::time::Instant;

/// Recipients of the list that is planned before, so that what is made once is not counted.
const WARM_UP: u64 = 1_000;
/// Pairs of measurements.
const PAIRS: usize = 7;
/// Virtual phones that a campaign writes to while the other texts are measured.
const FRIENDS: usize = 3_000;
/// Between two texts, so that their own load is small.
const BETWEEN: Duration = Duration::from_millis(10);
/// How long a campaign may take to begin, and to come to rest.
const PATIENCE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);

/// All figures. The names are a contract with scripts.
#[derive(Debug, Serialize)]
pub struct Campaigns {
    /// A list written down.
    pub planning: Planning,
    /// A text beside a campaign whose account sends about two messages a second.
    pub beside_paced: Beside,
    /// A text beside a campaign without pacing.
    pub beside_unpaced: Beside,
}

/// A list written down.
#[derive(Debug, Serialize)]
pub struct Planning {
    /// Its recipients.
    pub recipients: u64,
    /// From the request to its answer, seconds.
    pub seconds: f64,
    /// What the server had resident before, KiB.
    pub before_kib: u64,
    /// By how much it grew at most meanwhile, KiB.
    pub growth_kib: u64,
}

/// Times from the request of a text to its acknowledgement, milliseconds.
#[derive(Debug, Serialize)]
pub struct Beside {
    /// Median of the medians without a campaign.
    pub idle_ms: f64,
    /// The same beside the campaign.
    pub busy_ms: f64,
    /// Median of the ratios of the pairs: 1.1 is 10 % longer.
    pub ratio: f64,
    /// Messages that the campaign sent meanwhile.
    pub sent_meanwhile: u64,
    /// Pairs that were measured.
    pub pairs: usize,
}

/// Measures all of it on a server of its own.
///
/// # Errors
/// When a server can't be started, or a figure does not add up.
pub async fn measure(args: &LoadtestArgs, recipients: u64, place: &Temporary, progress: &ProgressBar) -> anyhow::Result<Campaigns> {
    let stage = |text: &str| progress.set_message(text.to_owned());
    stage("campaigns: starting a server");
    let limit = recipients.max(FRIENDS as u64).to_string();
    let mut settings = SETTINGS.to_vec();
    settings.push(("SANASEND_CAMPAIGNS__MAX_RECIPIENTS", &limit));
    let server = Process::start(SERVE, &place.folder("campaigns")?, &settings).await?;
    let customer = Customer::of(&server)?;
    let shop = customer.link("shop").await?;
    stage("a list is written down");
    upload(&customer, WARM_UP).await?;
    let planning = plan(&server, &customer, recipients).await?;
    stage("making phones");
    let friends = customer.modest_friends(FRIENDS).await?;
    let time = Duration::from_secs(args.seconds);
    stage("a text beside a paced campaign");
    let slow = json!({"gap_min_seconds": 0, "gap_max_seconds": 1, "per_hour": 1_000_000, "per_day": 1_000_000, "warm_up": [1_000_000],
        "cold_per_day": 1_000_000});
    let beside_paced = beside(&customer, &shop, &friends, &slow, time).await?;
    stage("a text beside a campaign without pacing");
    let beside_unpaced = beside(&customer, &shop, &friends, &json!("none"), time).await?;
    server.stop().await?;
    Ok(Campaigns { planning, beside_paced, beside_unpaced })
}

/// Prints it.
///
/// # Errors
/// Never, but for what can't be written as JSON.
pub fn print(found: &Campaigns, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        out::line(&serde_json::to_string(found)?);
        return Ok(());
    }
    let mut table = out::table(["figure", "value", ""]);
    let Planning { recipients, seconds, before_kib, growth_kib } = &found.planning;
    table.add_row([format!("{recipients} recipients written down"), format!("{seconds:.2} s"), "a CSV file".into()]);
    table.add_row(["memory meanwhile".into(), format!("+{growth_kib} KiB at most"), format!("{before_kib} KiB before")]);
    for (name, beside) in [("paced campaign", &found.beside_paced), ("campaign without pacing", &found.beside_unpaced)] {
        let figures = format!("p50 {:.2} ms, idle {:.2} ms", beside.busy_ms, beside.idle_ms);
        let more = format!("median ratio {:.3} of {} pairs; it sent {}", beside.ratio, beside.pairs, beside.sent_meanwhile);
        table.add_row([format!("a text beside a {name}"), figures, more]);
    }
    out::line(&table.to_string());
    Ok(())
}

async fn plan(server: &Process, customer: &Customer, recipients: u64) -> anyhow::Result<Planning> {
    let before_kib = server.resident_kib("VmRSS")?;
    server.forget_peak();
    let begun = Instant::now();
    let campaign = upload(customer, recipients).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let growth_kib = server.resident_kib("VmHWM")?.saturating_sub(before_kib);
    let written = campaign.pointer("/data/total").and_then(Value::as_u64);
    anyhow::ensure!(written == Some(recipients), "{recipients} recipients were handed in, and {written:?} are there");
    Ok(Planning { recipients, seconds, before_kib, growth_kib })
}

/// Makes a campaign of a CSV file with so many recipients; the answer.
async fn upload(customer: &Customer, recipients: u64) -> anyhow::Result<Value> {
    const EDGE: &str = "------------------------sanasend";
    let part = |name: &str, more: &str| format!("--{EDGE}\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n");
    let mut body = format!("{}Hi {{{{name|there}}}}, we are open again.\r\n", part("content", ""));
    body += &part("file", "; filename=\"people.csv\"\r\nContent-Type: text/csv");
    body += "phone,name\n";
    for number in 0..recipients {
        writeln!(body, "+49151{number:08},Person {number}")?;
    }
    write!(body, "\r\n--{EDGE}--\r\n")?;
    let key = customer.headers().lines().next().context("no credentials")?;
    let headers = format!("{key}\r\nContent-Type: multipart/form-data; boundary={EDGE}\r\n");
    let answer = customer.api().await?.ask("POST", "/api/v1/campaigns/", &headers, body.as_bytes()).await?;
    if answer.status != 201 {
        bail!("the campaign was answered {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
    }
    answer.json()
}

/// Texts without and with a campaign, in pairs.
async fn beside(customer: &Customer, shop: &Account, friends: &[String], pacing: &Value, time: Duration) -> anyhow::Result<Beside> {
    let mut api = customer.api().await?;
    let recipients: Vec<Value> = friends.iter().map(|phone| json!({"phone": phone})).collect();
    let campaign = json!({"content": "We are open again.", "recipients": recipients, "pacing": pacing});
    let made = customer.ask(&mut api, "POST", "/api/v1/campaigns/", &campaign).await?;
    let id = made.pointer("/data/id").and_then(Value::as_str).context("no campaign was made")?.to_owned();
    let friend = customer.friends(1).await?.remove(0);
    let text = json!({"session": shop.name, "recipient": friend, "content": "Is anybody there?"});
    // The first text of a chat fetches keys; it is no sample.
    send_and_wait(customer, &mut api, &text).await?;
    let (mut idle, mut beside, mut ratios, mut sent_meanwhile) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let steer = |what: &str| format!("/api/v1/campaigns/{id}/{what}/");
    for pair in 0..PAIRS {
        rest(customer, &mut api).await?;
        let without = median(customer, &mut api, &text, time).await?;
        let before = accepted(customer, &mut api, &id).await?;
        customer.ask(&mut api, "POST", &steer(if pair == 0 { "start" } else { "resume" }), &Value::Null).await?;
        begins(customer, &mut api, &id, before).await?;
        let with = median(customer, &mut api, &text, time).await?;
        let now = customer.ask(&mut api, "GET", &format!("/api/v1/campaigns/{id}/"), &Value::Null).await?;
        if now.pointer("/data/state").and_then(Value::as_str) != Some("running") {
            // It came to its end under way: not all of these texts were beside it.
            break;
        }
        customer.ask(&mut api, "POST", &steer("pause"), &Value::Null).await?;
        sent_meanwhile += accepted(customer, &mut api, &id).await?.saturating_sub(before);
        idle.push(without);
        beside.push(with);
        ratios.push(with / without);
    }
    if ratios.is_empty() {
        bail!("the campaign was over before a text could be measured beside it; take fewer --seconds");
    }
    let pairs = ratios.len();
    let (idle_ms, busy_ms) = (quantile(&mut idle, 0.5), quantile(&mut beside, 0.5));
    Ok(Beside { idle_ms, busy_ms, ratio: quantile(&mut ratios, 0.5), sent_meanwhile, pairs })
}

async fn median(customer: &Customer, api: &mut Connection, text: &Value, time: Duration) -> anyhow::Result<f64> {
    let (mut times, end) = (Vec::new(), Instant::now() + time);
    while Instant::now() < end || times.is_empty() {
        let begun = Instant::now();
        send_and_wait(customer, api, text).await?;
        times.push(millis(begun));
        tokio::time::sleep(BETWEEN).await;
    }
    Ok(quantile(&mut times, 0.5))
}

async fn accepted(customer: &Customer, api: &mut Connection, id: &str) -> anyhow::Result<u64> {
    let now = customer.ask(api, "GET", &format!("/api/v1/campaigns/{id}/"), &Value::Null).await?;
    now.pointer("/data/accepted").and_then(Value::as_u64).context("the campaign does not tell how far it is")
}

/// Waits until a campaign has accepted more than `before`.
async fn begins(customer: &Customer, api: &mut Connection, id: &str, before: u64) -> anyhow::Result<()> {
    let end = Instant::now() + PATIENCE;
    while accepted(customer, api, id).await? <= before {
        anyhow::ensure!(Instant::now() < end, "the campaign did not begin");
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// Waits until nothing is on its way.
async fn rest(customer: &Customer, api: &mut Connection) -> anyhow::Result<()> {
    let end = Instant::now() + PATIENCE;
    while pending(customer, api).await? > 0 {
        anyhow::ensure!(Instant::now() < end, "some messages of the campaign never got an outcome");
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}
