//! `sanasend send`: one text through a running server.

use super::client::{Client, ServerArgs};
use super::out;
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Flags of `send`.
#[derive(Debug, Args)]
pub struct SendArgs {
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
    /// A number like +12025550123, or a WhatsApp id.
    pub recipient: String,
    /// The text; `-` reads it from standard input.
    pub text: String,
    /// Which account sends.
    #[arg(long, value_name = "NAME")]
    pub session: Option<String>,
    /// Wait this many seconds for the outcome; the exit code is then 1 when the message failed.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "10")]
    pub wait: Option<u64>,
    /// The same key and text within a day send once.
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Print the whole answer as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Sends and says what became of it.
///
/// # Errors
/// The server's message when it refuses.
pub async fn run(args: SendArgs) -> anyhow::Result<ExitCode> {
    let client = Client::new(args.server)?.with_idempotency_key(args.idempotency_key);
    let text = if args.text == "-" { std::io::read_to_string(std::io::stdin())? } else { args.text };
    let mut body = json!({"recipient": args.recipient, "content": text});
    if let Some(session) = args.session {
        body["session"] = json!(session);
    }
    let wait = args.wait.map(|seconds| seconds.to_string());
    let query: Vec<(&str, &str)> = wait.iter().map(|wait| ("wait", wait.as_str())).collect();
    let spinner = args.wait.map(|_| out::spinner("waiting for WhatsApp's acknowledgement"));
    let answer = client.ask(Method::POST, "/messages/send-text/", &query, Some(&body)).await;
    if let Some(spinner) = spinner {
        spinner.finish_and_clear();
    }
    let message = answer?;
    let field = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or_default();
    if args.json {
        out::line(&serde_json::to_string_pretty(&message)?);
    } else {
        out::line(format!("{} {} {}", field("id"), field("status"), field("error_message")).trim_end());
    }
    let failed = matches!(field("status"), "failed" | "canceled");
    Ok(ExitCode::from(u8::from(failed)))
}
