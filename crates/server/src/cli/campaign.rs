//! `sanasend campaign`: many messages through a running server, and how they get on.

use super::client::{Client, ServerArgs};
use super::out;
use super::send::kind_of;
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use reqwest::multipart::Form;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// How often a campaign is looked at while it is followed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks in a row that may fail before it is given up: the server may be started again meanwhile.
const PATIENCE: u32 = 60;
/// Rows that one call brings.
const PAGE: &str = "100";

/// Flags of `campaign`.
#[derive(Debug, Args)]
pub struct CampaignArgs {
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: CampaignCommand,
}

/// The commands below `campaign`.
#[derive(Debug, Subcommand)]
pub enum CampaignCommand {
    /// Make a campaign of a CSV file, start it, and follow it to its end; the exit code is 1 when it stops by itself. Ended
    /// with Ctrl-C, the campaign goes on.
    Run(Box<RunArgs>),
    /// List the campaigns.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Follow a campaign to its end.
    Follow {
        /// Its id.
        id: uuid::Uuid,
    },
    /// Start a draft.
    Start {
        /// Its id.
        id: uuid::Uuid,
    },
    /// Hold a campaign.
    Pause {
        /// Its id.
        id: uuid::Uuid,
    },
    /// Go on with one that was paused or that stopped by itself.
    Resume {
        /// Its id.
        id: uuid::Uuid,
    },
    /// End a campaign for ever.
    Cancel {
        /// Its id.
        id: uuid::Uuid,
    },
}

/// Flags of `campaign run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The CSV file; its first line names the columns: `phone`, and one for each variable.
    #[arg(value_name = "FILE.csv")]
    pub file: PathBuf,
    /// The text, with its variables: `Hi {{name|there}}`. `@PATH` reads it from a file. With `--media` it is the caption, and may
    /// be left out.
    #[arg(long, value_name = "TEXT", required_unless_present_any = ["template", "media"])]
    pub text: Option<String>,
    /// A saved template instead of a text.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["text", "media"])]
    pub template: Option<String>,
    /// A file that everybody gets.
    #[arg(long, value_name = "FILE")]
    pub media: Option<PathBuf>,
    /// What the file is to the recipient: image, video, audio, voice_note, document, sticker, video_note. By its ending when
    /// not given.
    #[arg(long = "type", value_name = "TYPE", requires = "media")]
    pub media_type: Option<String>,
    /// What to call the campaign.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// An account that sends; several share the work.
    #[arg(long, value_name = "NAME")]
    pub session: Vec<String>,
    /// The column of the recipients, when it has another name.
    #[arg(long, value_name = "NAME")]
    pub column: Option<String>,
    /// `default`, `none` (sandbox accounts only), or JSON like `{"per_day": 100}`.
    #[arg(long, value_name = "PACING")]
    pub pacing: Option<String>,
    /// Whether it waits where it is night; left out: as you have set your quiet hours. `--quiet-hours=false` sends at night too.
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub quiet_hours: Option<bool>,
    /// Only say who would be skipped and when it would end.
    #[arg(long)]
    pub dry_run: bool,
    /// Only start it.
    #[arg(long)]
    pub detach: bool,
    /// The same key and file within the life of a campaign make one.
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Print JSON at the end.
    #[arg(long)]
    pub json: bool,
}

/// Does what the command says.
///
/// # Errors
/// The server's message when it refuses.
pub async fn run(args: CampaignArgs) -> anyhow::Result<ExitCode> {
    let client = Client::new(args.server)?;
    match args.command {
        CampaignCommand::Run(args) => start(client, *args).await,
        CampaignCommand::List { json } => list(&client, json).await.map(|()| ExitCode::SUCCESS),
        CampaignCommand::Follow { id } => follow(&client, &id.to_string(), false).await,
        CampaignCommand::Start { id } => act(&client, id, "start").await,
        CampaignCommand::Pause { id } => act(&client, id, "pause").await,
        CampaignCommand::Resume { id } => act(&client, id, "resume").await,
        CampaignCommand::Cancel { id } => act(&client, id, "cancel").await,
    }
}

async fn act(client: &Client, id: uuid::Uuid, what: &str) -> anyhow::Result<ExitCode> {
    let campaign = client.ask(Method::POST, &format!("/campaigns/{id}/{what}/"), &[], None).await?;
    out::line(&format!("{} {}", word(&campaign, "id"), word(&campaign, "state")));
    Ok(ExitCode::SUCCESS)
}

fn word<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

async fn start(client: Client, args: RunArgs) -> anyhow::Result<ExitCode> {
    let client = client.with_idempotency_key(args.idempotency_key.clone());
    let form = form(&args).await?;
    if args.dry_run {
        let told = client.upload("/campaigns/", &[("dry_run", "true")], form).await?;
        tell_dry_run(&told, args.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let spinner = out::spinner("uploading");
    let made = client.upload("/campaigns/", &[], form.text("start", "true")).await;
    spinner.finish_and_clear();
    let made = made?;
    let id = word(&made, "id").to_owned();
    if args.detach {
        out::line(&format!("{id} {}", word(&made, "state")));
        return Ok(ExitCode::SUCCESS);
    }
    out::note(&format!("campaign {id}; Ctrl-C ends only this view of it"));
    follow(&client, &id, args.json).await
}

/// The form of a campaign; the files are streamed from the disk.
async fn form(args: &RunArgs) -> anyhow::Result<Form> {
    let mut form = Form::new();
    if let Some(text) = &args.text {
        let text = match text.strip_prefix('@') {
            Some(path) => std::fs::read_to_string(path).with_context(|| format!("can't read {path}"))?,
            None => text.clone(),
        };
        form = form.text("content", text);
    }
    let sessions = (!args.session.is_empty()).then(|| args.session.join(","));
    let fields =
        [("template", &args.template), ("name", &args.name), ("column", &args.column), ("pacing", &args.pacing), ("sessions", &sessions)];
    for (name, value) in fields {
        if let Some(value) = value {
            form = form.text(name, value.clone());
        }
    }
    if let Some(quiet_hours) = args.quiet_hours {
        form = form.text("quiet_hours", quiet_hours.to_string());
    }
    if let Some(media) = &args.media {
        // Before the file, so that one that is too large is refused at once.
        form = form.text("media_type", args.media_type.clone().unwrap_or_else(|| kind_of(media).to_owned()));
        form = form.file("media_file", media).await.with_context(|| format!("can't read {}", media.display()))?;
    }
    form.file("file", &args.file).await.with_context(|| format!("can't read {}", args.file.display()))
}

fn tell_dry_run(told: &Value, json: bool) -> anyhow::Result<()> {
    if json {
        out::line(&serde_json::to_string_pretty(told)?);
        return Ok(());
    }
    out::line(&format!("{} recipients, {} would get a message", told["total"], told["planned"]));
    for (reason, count) in told["skipped_by_reason"].as_object().into_iter().flatten() {
        out::line(&format!("  {count} would be skipped: {reason}"));
    }
    for one in told["skipped"].as_array().into_iter().flatten() {
        out::line(&format!("    line {}: {} {} {}", one["ordinal"], word(one, "recipient"), word(one, "reason"), word(one, "detail")));
    }
    match told["ends_at"].as_str() {
        Some(at) => out::line(&format!("it would end at about {at}")),
        None => out::line("it would never end: no account can send"),
    }
    Ok(())
}

/// Follows a campaign until nothing more will happen by itself.
async fn follow(client: &Client, id: &str, json: bool) -> anyhow::Result<ExitCode> {
    let (mut bar, mut failures): (Option<ProgressBar>, u32) = (None, 0);
    let report = loop {
        match client.ask(Method::GET, &format!("/campaigns/{id}/"), &[], None).await {
            Ok(report) => {
                failures = 0;
                let bar = bar.get_or_insert_with(|| new_bar(number(&report["total"])));
                show(bar, &report);
                if !matches!(word(&report, "state"), "running" | "planning") {
                    bar.finish_and_clear();
                    break report;
                }
            }
            Err(error) if failures >= PATIENCE || bar.is_none() => return Err(error),
            Err(_) => failures += 1,
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    if json {
        out::line(&serde_json::to_string_pretty(&report)?);
    } else {
        let funnel = &report["funnel"];
        out::line(&format!(
            "{} {}: {} accepted, {} sent, {} delivered, {} read, {} failed, {} skipped",
            word(&report, "id"),
            word(&report, "state"),
            funnel["accepted"],
            funnel["sent"],
            funnel["delivered"],
            funnel["read"],
            report["outcomes"]["failed"],
            report["outcomes"]["skipped"]
        ));
    }
    if word(&report, "state") == "stopped" {
        bail!("the campaign stopped: {}", word(&report, "reason"));
    }
    Ok(ExitCode::SUCCESS)
}

fn new_bar(total: u64) -> ProgressBar {
    let bar = out::progress(total, "");
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, report: &Value) {
    bar.set_position(number(&report["accepted"]) + number(&report["skipped"]));
    let (failed, skipped) = (number(&report["outcomes"]["failed"]), number(&report["skipped"]));
    let held = report["held_why"].as_str().map_or_else(String::new, |why| format!(", held until {}: {why}", word(report, "held_until")));
    bar.set_message(format!("{failed} failed, {skipped} skipped{held}"));
}

async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    let mut campaigns = Vec::new();
    for page in 1.. {
        let listed = client.ask(Method::GET, "/campaigns/", &[("page", &page.to_string()), ("page_size", PAGE)], None).await?;
        campaigns.extend(listed.get("results").and_then(Value::as_array).cloned().unwrap_or_default());
        if listed.get("next").is_none_or(Value::is_null) {
            break;
        }
    }
    if json {
        out::line(&serde_json::to_string_pretty(&json!(campaigns))?);
        return Ok(());
    }
    let mut table = out::table(["id", "name", "state", "recipients", "accepted", "skipped", "left", "waits for"]);
    for campaign in &campaigns {
        let count = |field: &str| campaign[field].to_string();
        let why = if word(campaign, "reason").is_empty() { word(campaign, "held_why") } else { word(campaign, "reason") };
        let names = ["id", "name", "state"].map(|field| word(campaign, field).to_owned());
        let [id, name, state] = names;
        table.add_row([id, name, state, count("total"), count("accepted"), count("skipped"), count("left"), why.to_owned()]);
    }
    out::line(&table.to_string());
    Ok(())
}
