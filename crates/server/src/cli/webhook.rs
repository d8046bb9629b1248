//! `sanasend webhook`: the webhook endpoints of a running server.

use super::client::{Client, ServerArgs};
use super::out;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Rows that one call brings.
const PAGE: &str = "100";

/// Flags of `webhook`.
#[derive(Debug, Args)]
pub struct WebhookArgs {
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: WebhookCommand,
}

/// The commands below `webhook`.
#[derive(Debug, Subcommand)]
pub enum WebhookCommand {
    /// List the endpoints.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Post a test to an endpoint and say what came back; the exit code is 1 when it was not taken.
    Test {
        /// Its id.
        id: uuid::Uuid,
    },
    /// Post again what was given up, or with --all everything, from a time on.
    Replay {
        /// Its id.
        id: uuid::Uuid,
        /// Events from this time on, like 2026-11-21T00:00:00Z.
        #[arg(long, value_name = "TIME")]
        since: String,
        /// Events before this time; left out: up to now.
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        /// Every event, also what was taken before.
        #[arg(long)]
        all: bool,
    },
}

/// Does what the command says.
///
/// # Errors
/// A sentence.
pub async fn run(args: WebhookArgs) -> anyhow::Result<ExitCode> {
    let client = Client::new(args.server)?;
    match args.command {
        WebhookCommand::List { json } => list(&client, json).await.map(|()| ExitCode::SUCCESS),
        WebhookCommand::Test { id } => test(&client, id).await,
        WebhookCommand::Replay { id, since, until, all } => {
            let mut wish = json!({"since": since, "only": if all { "all" } else { "failed" }});
            if let Some(until) = until {
                wish["until"] = json!(until);
            }
            let replayed = client.ask(Method::POST, &format!("/webhooks/{id}/replay/"), &[], Some(&wish)).await?;
            out::line(&format!("{} deliveries are on their way again", replayed["count"]));
            if replayed["complete"] == json!(false) {
                out::line("there are more: ask again with a later --since");
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    let mut webhooks = Vec::new();
    for page in 1.. {
        let listed = client.ask(Method::GET, "/webhooks/", &[("page", &page.to_string()), ("page_size", PAGE)], None).await?;
        webhooks.extend(listed.get("results").and_then(Value::as_array).cloned().unwrap_or_default());
        if listed.get("next").is_none_or(Value::is_null) {
            break;
        }
    }
    if json {
        out::line(&serde_json::to_string_pretty(&webhooks)?);
        return Ok(());
    }
    let mut table = out::table(["id", "url", "events", "active", "failing since", "why off"]);
    for webhook in &webhooks {
        let text = |field: &str| webhook[field].as_str().unwrap_or_default().to_owned();
        let events: Vec<&str> = webhook["events"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let events = if events.is_empty() { "all".to_owned() } else { events.join(" ") };
        let active = if webhook["is_active"] == json!(true) { "yes" } else { "no" };
        table.add_row([text("id"), text("url"), events, active.to_owned(), text("failing_since"), text("disabled_reason")]);
    }
    out::line(&table.to_string());
    Ok(())
}

async fn test(client: &Client, id: uuid::Uuid) -> anyhow::Result<ExitCode> {
    let tested = client.ask(Method::POST, &format!("/webhooks/{id}/test/"), &[], None).await?;
    let status = tested["response_status"].as_u64().map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    out::line(&format!("{status} after {} ms", tested["latency_ms"]));
    if let Some(error) = tested["error"].as_str() {
        out::line(error);
    }
    Ok(if tested["delivered"] == json!(true) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
