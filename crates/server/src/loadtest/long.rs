//! Lists in a database of millions of rows: every way to ask for a page, and how long it takes.
//!
//! One client, one request after the other: here it is asked whether a page stays a page's work, and not how many there are
//! in a second. The first request of each kind is told apart, since its pages of the database are still on disk.

use super::child::Process;
use super::customer::{Customer, millis};
use super::places::Temporary;
use super::report::quantile;
use super::wire::Connection;
use super::{LoadtestArgs, SERVE, SETTINGS};
use crate::cli::out;
use anyhow::{Context, bail};
use indicatif::ProgressBar;
use sanasend_model::{Clock, Timestamp};
use sanasend_store::Database;
use sanasend_store::raw::{Filled, fill};
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

/// Requests of each kind behind the first.
const TIMES: usize = 30;
/// Password of the admin of the throw-away server.
const PASSWORD: &str = "a password for a throw-away server";

/// One way to ask.
#[derive(Debug, Serialize)]
pub struct Asked {
    /// Path and query.
    pub path: String,
    /// The first request, milliseconds.
    pub first_ms: f64,
    /// Median of those behind it.
    pub p50_ms: f64,
    /// The slowest of those behind it.
    pub most_ms: f64,
    /// Entries on the page.
    pub entries: usize,
}

/// Fills a database and asks for its lists.
///
/// # Errors
/// When a server can't be started, the database can't be filled, or an answer is no success.
pub async fn measure(args: &LoadtestArgs, rows: u64, place: &Temporary, progress: &ProgressBar) -> anyhow::Result<Vec<Asked>> {
    let folder = place.folder("long")?;
    let mut settings = SETTINGS.to_vec();
    settings.push(("SANASEND_FIRST_ADMIN__PASSWORD", PASSWORD));
    settings.extend(args.database.as_deref().map(|url| ("SANASEND_DATABASE_URL", url)));
    let database = match &args.database {
        Some(url) => Database::parse(url, &folder).map_err(anyhow::Error::msg)?,
        None => Database::Sqlite { path: crate::data_dir::database(&folder) },
    };
    let server = Process::start(SERVE, &folder, &settings).await?;
    let key = server.text("/demo/api_key")?;
    let customer = Customer::of(&server)?;
    let account = customer.link("shop").await?;
    customer.go_offline(&account).await?;
    server.stop().await?;
    progress.set_length(rows);
    let now = crate::clock::SystemClock.now();
    let filled = fill(&database, i64::try_from(rows)?, now.0, |done| {
        progress.set_message("filling the database");
        progress.set_position(u64::try_from(done).unwrap_or(0));
    });
    let filled = filled.await?;
    let server = Process::start(SERVE, &folder, &settings).await?;
    let customer = Customer::with_key(&server, &key)?;
    let token = log_in(&customer, &server.text("/admin/username")?).await?;
    let mut connection = customer.api().await?;
    let mut all = Vec::new();
    for path in paths(&filled) {
        progress.set_message(path.clone());
        let headers = if path.contains("/analytics/") { &token } else { customer.headers() };
        all.push(ask(&mut connection, path, headers).await?);
    }
    server.stop().await?;
    Ok(all)
}

/// Prints it.
///
/// # Errors
/// Never, but for what can't be written as JSON.
pub fn print(asked: &[Asked], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        out::line(&serde_json::to_string(asked)?);
        return Ok(());
    }
    let mut table = out::table(["list", "first", "p50", "slowest", "entries"]);
    for one in asked {
        let ms = |ms: f64| format!("{ms:.1} ms");
        table.add_row([one.path.clone(), ms(one.first_ms), ms(one.p50_ms), ms(one.most_ms), one.entries.to_string()]);
    }
    out::line(&table.to_string());
    Ok(())
}

async fn log_in(customer: &Customer, username: &str) -> anyhow::Result<String> {
    let body = json!({"username": username, "password": PASSWORD}).to_string();
    let headers = "Content-Type: application/json\r\n";
    let answer = customer.api().await?.ask("POST", "/api/v1/auth/login/", headers, body.as_bytes()).await?.json()?;
    let token = answer.pointer("/data/access").and_then(serde_json::Value::as_str).context("the admin can't log in")?;
    Ok(format!("Authorization: Bearer {token}\r\n"))
}

fn paths(filled: &Filled) -> Vec<String> {
    let (from, to) = (Timestamp(filled.middle_at), Timestamp(filled.middle_at + 3_600_000));
    let (middle, event) = (filled.middle, filled.event);
    let messages = [
        String::new(),
        "page=500".into(),
        "cursor=".into(),
        format!("cursor={middle}"),
        "status=delivered".into(),
        "status=failed".into(),
        "status=canceled".into(),
        "status=scheduled".into(),
        "direction=inbound".into(),
        "type=other".into(),
        "session=shop".into(),
        "recipient=%2B13035007919".into(),
        format!("from={from}&to={to}"),
        format!("status=failed&from={from}&to={to}"),
    ];
    let log = [
        String::new(),
        "page=500".into(),
        format!("cursor={middle}"),
        "endpoint=/api/v1/contacts/".into(),
        "endpoint=/api/v1/messages/list/".into(),
        "status=404".into(),
        "status=5xx".into(),
        "status=2xx".into(),
        "ip=10.0.1.31".into(),
        format!("from={from}&to={to}"),
        format!("status=5xx&from={from}&to={to}"),
    ];
    let page = |path: &str, query: &String| format!("{path}?page_size=20{}{query}", if query.is_empty() { "" } else { "&" });
    let messages = messages.iter().map(|query| page("/api/v1/messages/list/", query));
    let log = log.iter().map(|query| page("/api/v1/analytics/api-logs/", query));
    let events = [0, event].map(|after| format!("/api/v1/events/?limit=20&after={after}"));
    messages.chain(events).chain(log).collect()
}

async fn ask(connection: &mut Connection, path: String, headers: &str) -> anyhow::Result<Asked> {
    let (mut times, mut entries) = (Vec::with_capacity(TIMES), 0);
    let mut first_ms = 0.0;
    for number in 0..=TIMES {
        let begun = Instant::now();
        let answer = connection.ask("GET", &path, headers, b"").await?;
        let took = millis(begun);
        if answer.status != 200 {
            bail!("{path} was answered {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        if number == 0 {
            first_ms = took;
            entries = answer.json()?.pointer("/data/results").and_then(|found| found.as_array()).map_or(0, Vec::len);
        } else {
            times.push(took);
        }
    }
    let (p50_ms, most_ms) = (quantile(&mut times, 0.5), quantile(&mut times, 1.0));
    Ok(Asked { path, first_ms, p50_ms, most_ms, entries })
}
