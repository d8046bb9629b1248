//! `sanasend send`: one text, or one file, through a running server.

use super::client::{Client, ServerArgs};
use super::out;
use anyhow::Context;
use clap::Args;
use reqwest::Method;
use reqwest::multipart::Form;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Flags of `send`.
#[derive(Debug, Args)]
pub struct SendArgs {
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
    /// A number like +12025550123, or a WhatsApp id.
    pub recipient: String,
    /// The text; `-` reads it from standard input. With `--file` the caption, and may be left out.
    #[arg(required_unless_present = "file")]
    pub text: Option<String>,
    /// A file to send.
    #[arg(long, value_name = "PATH")]
    pub file: Option<PathBuf>,
    /// What the file is to the recipient: image, video, audio, voice_note, document, sticker, video_note. By its ending when
    /// not given.
    #[arg(long = "type", value_name = "TYPE", requires = "file")]
    pub media_type: Option<String>,
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
    let client = Client::new(args.server.clone())?.with_idempotency_key(args.idempotency_key.clone());
    let text = if args.text.as_deref() == Some("-") { Some(std::io::read_to_string(std::io::stdin())?) } else { args.text.clone() };
    let wait = args.wait.map(|seconds| seconds.to_string());
    let query: Vec<(&str, &str)> = wait.iter().map(|wait| ("wait", wait.as_str())).collect();
    let spinner = args.wait.map(|_| out::spinner("waiting for WhatsApp's acknowledgement"));
    let answer = if let Some(file) = &args.file {
        client.upload("/messages/send-media/", &query, form(&args, file, text).await?).await
    } else {
        let mut body = json!({"recipient": args.recipient, "content": text});
        if let Some(session) = &args.session {
            body["session"] = json!(session);
        }
        client.ask(Method::POST, "/messages/send-text/", &query, Some(&body)).await
    };
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

/// The form of a file; it is streamed from the disk.
async fn form(args: &SendArgs, file: &Path, caption: Option<String>) -> anyhow::Result<Form> {
    let kind = args.media_type.clone().unwrap_or_else(|| kind_of(file).to_owned());
    let mut form = Form::new().text("recipient", args.recipient.clone()).text("media_type", kind);
    if let Some(caption) = caption {
        form = form.text("caption", caption);
    }
    if let Some(session) = &args.session {
        form = form.text("session", session.clone());
    }
    form.file("file", file).await.with_context(|| format!("can't read {}", file.display()))
}

/// What a file most probably is to its recipient. In doubt a document, which takes everything.
pub(super) fn kind_of(file: &Path) -> &'static str {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    match ending.as_str() {
        "jpg" | "jpeg" | "png" | "webp" => "image",
        "mp4" | "3gp" => "video",
        "mp3" | "m4a" | "aac" | "amr" => "audio",
        "ogg" | "opus" => "voice_note",
        _ => "document",
    }
}
