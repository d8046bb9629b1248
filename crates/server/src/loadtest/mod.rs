//! `sanasend loadtest`: what this machine does, measured on a server of its own.
//!
//! It starts the same binary on temporary folders, drives it over HTTP as a customer would, and ends what it
//! started. Accepts are measured on an account that is offline, so that nothing drains while it is filled; memory
//! on a server whose sandbox runs in another process, so that the pretend network's memory is not counted.

mod accepts;
mod accounts;
mod against;
mod campaigns;
mod child;
mod customer;
mod disk;
mod fire;
mod hooks;
mod long;
mod pages;
mod places;
mod receiver;
mod report;
mod sends;
mod wire;

use crate::cli::out;
use anyhow::Context;
use child::Process;
use clap::Args;
use customer::Customer;
use fire::Plan;
use indicatif::{ProgressBar, ProgressStyle};
use places::Temporary;
use report::{Accept, Accepts, Latency, Raw, Report, Rest, Sends, quantile};
use sanasend_store::Database;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of the servers under test: no limit of requests stands in the way of the measurement.
const SETTINGS: &[(&str, &str)] = &[("SANASEND_LIMITS__REQUESTS_PER_MINUTE", "0")];
/// Arguments of a server under test.
const SERVE: &[&str] =
    &["serve", "--sandbox", "--listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0", "--sandbox-tls-listen", "127.0.0.1:0"];
/// Stages of the progress bar.
const STAGES: u64 = 14;

/// Flags of `loadtest`.
#[derive(Debug, Clone, Args)]
pub struct LoadtestArgs {
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// Accounts that are linked to measure the memory of one.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=9000))]
    pub accounts: u64,
    /// Clients of the accept measurement with many.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub clients: u64,
    /// Measure accepts (or, with --rows or --pages, lists or pages) on this empty PostgreSQL database (`postgres://...`). [default: SQLite in a temporary folder]
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
    /// Requests in a second, instead of clients that each wait for their answer: for latency. Times then run from the moment a
    /// request was due.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Measure lists in a database of so many messages, events and lines of the API log, and nothing else. Five million take
    /// some minutes and about 8 GB of disk.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1000..=100_000_000), conflicts_with = "url")]
    pub rows: Option<u64>,
    /// Measure campaigns and nothing else: a list of so many recipients that is written down, and a text beside a campaign that
    /// runs. The texts take fourteen times --seconds, twice.
    #[arg(long, value_name = "RECIPIENTS", value_parser = clap::value_parser!(u64).range(1000..=1_000_000),
        conflicts_with_all = ["url", "rows", "database", "pages"])]
    pub campaign: Option<u64>,
    /// Measure every page of the dashboard in a database of 100,000 messages, 1,000 users, 10,000 contacts and 100 campaigns, and
    /// nothing else.
    #[arg(long, conflicts_with_all = ["url", "rows"])]
    pub pages: bool,
    #[command(flatten)]
    against: against::Against,
    /// Measure accepts and lists alone, without linking accounts for the rest.
    #[arg(long)]
    pub accepts_only: bool,
    /// Print the figures as one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Where to put the temporary folders: the disk under test. [default: the system's]
    #[arg(long, value_name = "DIR")]
    pub on: Option<PathBuf>,
}

/// Measures and prints.
///
/// # Errors
/// When a server can't be started or a figure does not add up; nothing is left running or lying about.
pub async fn run(args: LoadtestArgs) -> anyhow::Result<()> {
    if let Some(url) = &args.against.url {
        return measure_other(&args, url).await;
    }
    let place = Temporary::make(args.on.as_deref())?;
    let progress = progress();
    if args.pages {
        let asked = tokio::select! {
            asked = pages::measure(&args, &place, &progress) => asked,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        };
        progress.finish_and_clear();
        return pages::print(&asked?, args.json);
    }
    if let Some(rows) = args.rows {
        let asked = tokio::select! {
            asked = long::measure(&args, rows, &place, &progress) => asked,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        };
        progress.finish_and_clear();
        return long::print(&asked?, args.json);
    }
    if let Some(recipients) = args.campaign {
        let found = tokio::select! {
            found = campaigns::measure(&args, recipients, &place, &progress) => found,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        };
        progress.finish_and_clear();
        return campaigns::print(&found?, args.json);
    }
    let measured = tokio::select! {
        measured = measure(&args, &place, &progress) => measured,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    progress.finish_and_clear();
    let report = measured?;
    if args.json {
        out::line(&serde_json::to_string(&report)?);
    } else {
        out::line(&report.table());
    }
    Ok(())
}

/// Another server: its answers in a second, and nothing else.
async fn measure_other(args: &LoadtestArgs, url: &str) -> anyhow::Result<()> {
    let fired = args.against.measure(url, args.plan(usize::try_from(args.clients)?)).await?;
    if args.json {
        out::line(&serde_json::to_string(&fired.rate)?);
    } else {
        out::line(&format!("{:.0} /s, p50 {:.2} ms, p99 {:.2} ms", fired.rate.per_s, fired.rate.p50_ms, fired.rate.p99_ms));
    }
    Ok(())
}

impl LoadtestArgs {
    fn plan(&self, clients: usize) -> Plan {
        Plan { clients, time: Duration::from_secs(self.seconds), rate: self.rate.filter(|_| clients > 1) }
    }
}

async fn measure(args: &LoadtestArgs, place: &Temporary, progress: &ProgressBar) -> anyhow::Result<Report> {
    let time = Duration::from_secs(args.seconds);
    let stage = |text: &str| {
        progress.set_message(text.to_owned());
        progress.inc(1);
    };
    stage("accepts: starting a server");
    let accepts = accept_stage(args, place, time, &stage).await?;
    let rest = if args.accepts_only { None } else { Some(measure_rest(args, place, progress, &stage).await?) };
    Ok(Report { accepts, rest })
}

async fn measure_rest(args: &LoadtestArgs, place: &Temporary, progress: &ProgressBar, stage: &impl Fn(&str)) -> anyhow::Result<Rest> {
    let time = Duration::from_secs(args.seconds);

    stage("latency and sends: starting a server");
    let server = Process::start(SERVE, &place.folder("sends")?, SETTINGS).await?;
    let customer = Customer::of(&server)?;
    stage("time from accept to acknowledgement");
    let shop = customer.link("shop").await?;
    let mut acks = sends::acknowledgements(&customer, &shop, time).await?;
    stage("texts through one account and through twenty");
    let one_account = sends::through(&customer, std::slice::from_ref(&shop), time).await?;
    let twenty = customer.link_many("many", 20).await?;
    let twenty_accounts = sends::through(&customer, &twenty, time).await?;
    server.stop().await?;

    let webhooks = hooks::measure(place, time, stage).await?;
    stage("memory: linking accounts");
    let accounts = usize::try_from(args.accounts)?;
    let (memory, mut linked) = accounts::measure(place, accounts, progress).await?;
    stage("time to start");
    let start_ms = accounts::start_time(place).await?;
    let latency = Latency {
        start_ms,
        qr_ms: quantile(&mut linked.qr_ms, 0.5),
        link_ms: quantile(&mut linked.link_ms, 0.5),
        ack_p50_ms: quantile(&mut acks, 0.5),
        ack_p99_ms: quantile(&mut acks, 0.99),
    };
    Ok(Rest { memory, latency, sends_per_s: Sends { one_account, twenty_accounts }, webhooks })
}

/// Accepts with one client and with many, with the machine's limits measured between them.
async fn accept_stage(args: &LoadtestArgs, place: &Temporary, time: Duration, stage: &impl Fn(&str)) -> anyhow::Result<Accepts> {
    let folder = place.folder("accepts")?;
    let mut settings = SETTINGS.to_vec();
    settings.extend(args.database.as_deref().map(|url| ("SANASEND_DATABASE_URL", url)));
    let database = match &args.database {
        Some(url) => Database::parse(url, &folder).map_err(anyhow::Error::msg)?,
        None => Database::Sqlite { path: crate::data_dir::database(&folder) },
    };
    let server = Process::start(SERVE, &folder, &settings).await?;
    let customer = Customer::of(&server)?;
    let account = customer.link("shop").await?;
    customer.go_offline(&account).await?;
    let clients = usize::try_from(args.clients)?;
    let before = sanasend_store::raw::count_messages(&database).await?;
    stage("accepts with one client");
    let one = accepts::accept(&customer, &account, args.plan(1)).await?;
    stage("the bare disk and a bare database");
    let raw_folder = place.folder("raw")?;
    let raw_time = time / 3;
    let for_disk = raw_folder.clone();
    let fsync_per_s = tokio::task::spawn_blocking(move || disk::measure(&for_disk, raw_time))
        .await
        .context("the measurement of the disk broke down")??;
    let bare = if database.file().is_some() { Database::Sqlite { path: raw_folder.join("raw.db") } } else { database.clone() };
    let bare = sanasend_store::raw::measure(&bare, raw_time).await?;
    stage("accepts with many clients");
    let processor = server.processor_seconds()?;
    let many = accepts::accept(&customer, &account, args.plan(clients)).await?;
    let processor = server.processor_seconds()? - processor;
    let on_disk = sanasend_store::raw::count_messages(&database).await? - before;
    let answered = one.answered + many.answered;
    anyhow::ensure!(on_disk == answered, "{answered} messages were accepted, but {on_disk} are on disk");
    stage("lists of twenty");
    let list = accepts::list(&customer, Plan { rate: None, ..args.plan(clients) }).await?;
    let list_raw = sanasend_store::raw::measure_lists(&database, raw_time).await?;
    server.stop().await?;
    let raw = Raw { fsync_per_s, commit_per_s: bare.commits_per_s, rows_per_s_batch64: bare.rows_per_s, lists_per_s: list_raw };
    #[expect(clippy::cast_precision_loss, reason = "a count of what one machine does in minutes")]
    let c64_cpu_us = processor * 1e6 / (many.answered.max(1) as f64);
    Ok(Accepts { accept: Accept { c1: one.rate, c64: many.rate, c64_cpu_us }, list: list.rate, raw })
}

fn progress() -> ProgressBar {
    let bar = ProgressBar::new(STAGES);
    if let Ok(style) = ProgressStyle::with_template("{spinner} [{elapsed}] {wide_bar} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
