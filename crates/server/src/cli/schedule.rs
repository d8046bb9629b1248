//! `sanasend schedule`: what a running server sends later, and again and again.

use super::client::{Client, ServerArgs};
use super::out;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Rows that one call brings.
const PAGE: &str = "100";
/// Characters of a text that are shown.
const SHOWN: usize = 60;

/// Flags of `schedule`.
#[derive(Debug, Args)]
pub struct ScheduleArgs {
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: ScheduleCommand,
}

/// The commands below `schedule`.
#[derive(Debug, Subcommand)]
pub enum ScheduleCommand {
    /// List the messages that wait for their date, the next first.
    List {
        /// Only of this account: name or id.
        #[arg(long, value_name = "NAME")]
        session: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Take back a message that waits.
    Cancel {
        /// Its id.
        id: uuid::Uuid,
    },
    /// Recurring sends.
    #[command(subcommand)]
    Recurring(RecurringCommand),
    /// Show when nobody is written to, or set it.
    QuietHours {
        /// From when, by the clock of the recipient.
        #[arg(long, value_name = "HH:MM", requires = "to")]
        from: Option<String>,
        /// Until when.
        #[arg(long, value_name = "HH:MM", requires = "from")]
        to: Option<String>,
        /// Write at any hour.
        #[arg(long, conflicts_with_all = ["from", "to"])]
        off: bool,
    },
}

/// The commands below `schedule recurring`.
#[derive(Debug, Subcommand)]
pub enum RecurringCommand {
    /// List them.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Hold one: no run is done until it is resumed.
    Pause {
        /// Its id.
        id: uuid::Uuid,
    },
    /// Let one go on.
    Resume {
        /// Its id.
        id: uuid::Uuid,
    },
    /// Delete one; messages of earlier runs stay.
    Delete {
        /// Its id.
        id: uuid::Uuid,
    },
}

/// Does what the command says.
///
/// # Errors
/// A sentence.
pub async fn run(args: ScheduleArgs) -> anyhow::Result<ExitCode> {
    let client = Client::new(args.server)?;
    match args.command {
        ScheduleCommand::List { session, json } => list(&client, session.as_deref(), json).await?,
        ScheduleCommand::Cancel { id } => {
            let message = client.ask(Method::POST, &format!("/messages/{id}/cancel/"), &[], None).await?;
            out::line(&format!("{} {}", word(&message, "id"), word(&message, "status")));
        }
        ScheduleCommand::Recurring(RecurringCommand::List { json }) => recurring(&client, json).await?,
        ScheduleCommand::Recurring(RecurringCommand::Pause { id }) => hold(&client, id, "pause").await?,
        ScheduleCommand::Recurring(RecurringCommand::Resume { id }) => hold(&client, id, "resume").await?,
        ScheduleCommand::Recurring(RecurringCommand::Delete { id }) => {
            client.ask(Method::DELETE, &format!("/schedules/{id}/"), &[], None).await?;
            out::line(&format!("{id} was deleted"));
        }
        ScheduleCommand::QuietHours { from, to, off } => quiet_hours(&client, from.zip(to), off).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn word<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

async fn all(client: &Client, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Vec<Value>> {
    let mut found = Vec::new();
    for page in 1.. {
        let page = page.to_string();
        let query: Vec<(&str, &str)> = query.iter().copied().chain([("page", page.as_str()), ("page_size", PAGE)]).collect();
        let listed = client.ask(Method::GET, path, &query, None).await?;
        found.extend(listed.get("results").and_then(Value::as_array).cloned().unwrap_or_default());
        if listed.get("next").is_none_or(Value::is_null) {
            break;
        }
    }
    Ok(found)
}

async fn list(client: &Client, session: Option<&str>, json: bool) -> anyhow::Result<()> {
    let query: Vec<(&str, &str)> = session.map(|named| ("session", named)).into_iter().collect();
    let messages = all(client, "/messages/scheduled/", &query).await?;
    if json {
        out::line(&serde_json::to_string_pretty(&messages)?);
        return Ok(());
    }
    let mut table = out::table(["id", "when", "to", "message"]);
    for message in &messages {
        let to = message["recipient"]["phone"].as_str().unwrap_or_else(|| word(message, "chat"));
        let text = message["content"].as_str().or_else(|| message["caption"].as_str()).unwrap_or_default();
        let text: String = text.chars().take(SHOWN).collect();
        table.add_row([word(message, "id"), word(message, "scheduled_at"), to, &text]);
    }
    out::line(&table.to_string());
    Ok(())
}

async fn recurring(client: &Client, json: bool) -> anyhow::Result<()> {
    let schedules = all(client, "/schedules/", &[]).await?;
    if json {
        out::line(&serde_json::to_string_pretty(&schedules)?);
        return Ok(());
    }
    let mut table = out::table(["id", "name", "when", "to", "active", "next run", "last error"]);
    for schedule in &schedules {
        let when = format!("{} ({})", word(schedule, "cron"), word(schedule, "timezone"));
        let active = if schedule["is_active"] == json!(true) { "yes" } else { "no" };
        let next = word(schedule, "next_run_at");
        let row =
            [word(schedule, "id"), word(schedule, "name"), &when, word(schedule, "recipient"), active, next, word(schedule, "last_error")];
        table.add_row(row);
    }
    out::line(&table.to_string());
    Ok(())
}

async fn hold(client: &Client, id: uuid::Uuid, what: &str) -> anyhow::Result<()> {
    let schedule = client.ask(Method::POST, &format!("/schedules/{id}/{what}/"), &[], None).await?;
    let state = if schedule["is_active"] == json!(true) { "active" } else { "paused" };
    out::line(&format!("{} {state}", word(&schedule, "name")));
    Ok(())
}

async fn quiet_hours(client: &Client, hours: Option<(String, String)>, off: bool) -> anyhow::Result<()> {
    let mut now = client.ask(Method::GET, "/quiet-hours/", &[], None).await?;
    if off || hours.is_some() {
        now["enabled"] = json!(!off);
        if let Some((from, to)) = hours {
            (now["from"], now["to"]) = (json!(from), json!(to));
        }
        now = client.ask(Method::PUT, "/quiet-hours/", &[], Some(&now)).await?;
    }
    let hours = format!("from {} to {} by the clock of the recipient", word(&now, "from"), word(&now, "to"));
    out::line(&if now["enabled"] == json!(true) { format!("Nobody is written to {hours}.") } else { format!("Off (else {hours}).") });
    Ok(())
}
