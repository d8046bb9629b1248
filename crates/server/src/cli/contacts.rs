//! `sanasend contacts`: files of contacts into a running server, and out of it.

use super::client::{Client, ServerArgs};
use super::out;
use anyhow::Context;
use clap::{Args, Subcommand};
use futures::StreamExt;
use indicatif::{HumanBytes, ProgressBar};
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio_util::io::ReaderStream;

/// Bytes that are read at once.
const PIECE: usize = 64 * 1024;

/// How often it is asked how far an import is.
const LOOKED_AT: Duration = Duration::from_millis(500);

/// Flags of `contacts`.
#[derive(Debug, Args)]
pub struct ContactsArgs {
    /// Which server.
    #[command(flatten)]
    pub server: ServerArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: ContactsCommand,
}

/// The commands below `contacts`.
#[derive(Debug, Subcommand)]
pub enum ContactsCommand {
    /// Import a CSV file. Lines that can't be read are named, and the exit code is then 1.
    Import {
        /// The file.
        file: PathBuf,
        /// What a column holds, by its heading: `--map Mobile=phone --map "Customer no.=field:customer"`. One of phone, name,
        /// first_name, last_name, tags, groups, notes, consent, opted_out, field:NAME, skip. Others are guessed.
        #[arg(long = "map", value_name = "HEADING=WHAT", value_parser = pair)]
        mapping: Vec<(String, String)>,
        /// Only look what would happen.
        #[arg(long)]
        dry_run: bool,
        /// Hand the file in, print the id of the import, and leave the rest to the server.
        #[arg(long, conflicts_with = "dry_run")]
        detach: bool,
        /// The file is a list of people who want no messages.
        #[arg(long)]
        opt_outs: bool,
        /// Print the whole report as JSON.
        #[arg(long)]
        json: bool,
    },
    /// List imports, the latest first.
    Imports {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Follow an import until it ends. The exit code is 1 when lines were refused or it ended early.
    Follow {
        /// Its id.
        id: uuid::Uuid,
        /// Print the whole report as JSON.
        #[arg(long)]
        json: bool,
    },
    /// End an import; what was read before stays.
    Cancel {
        /// Its id.
        id: uuid::Uuid,
    },
    /// Write all contacts as CSV, to standard output or a file.
    Export {
        /// The file; left out: standard output.
        file: Option<PathBuf>,
        /// Only with this tag.
        #[arg(long, value_name = "TAG")]
        tag: Option<String>,
        /// Only of this group.
        #[arg(long, value_name = "GROUP")]
        group: Option<String>,
        /// Only those found by the beginning of a name or number.
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
    },
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (heading, what) = text.rsplit_once('=').ok_or("must be like Mobile=phone")?;
    Ok((heading.trim().to_owned(), what.trim().to_owned()))
}

/// Does what the command says.
///
/// # Errors
/// A sentence.
pub async fn run(args: ContactsArgs) -> anyhow::Result<ExitCode> {
    let client = Client::new(args.server)?;
    match args.command {
        ContactsCommand::Import { file, mapping, dry_run, detach, opt_outs, json } => {
            let path = if opt_outs { "/opt-outs/import/" } else { "/contacts/import/" };
            import(&client, path, &file, mapping, dry_run, detach, json).await
        }
        ContactsCommand::Imports { json } => list(&client, json).await.map(|()| ExitCode::SUCCESS),
        ContactsCommand::Follow { id, json } => follow(&client, &id.to_string(), json).await,
        ContactsCommand::Cancel { id } => {
            let import = client.ask(Method::POST, &format!("/contacts/imports/{id}/cancel/"), &[], None).await?;
            out::line(&format!("{} {}", word(&import, "id"), word(&import, "state")));
            Ok(ExitCode::SUCCESS)
        }
        ContactsCommand::Export { file, tag, group, search } => {
            let asked = [("tag", &tag), ("group", &group), ("search", &search)];
            let query: Vec<(&str, &str)> = asked.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect();
            export(&client, &query, file.as_deref()).await.map(|()| ExitCode::SUCCESS)
        }
    }
}

/// The file as it is read, with how much of it was.
async fn part(file: &Path) -> anyhow::Result<(Part, ProgressBar)> {
    let trouble = || format!("can't read {}", file.display());
    let opened = tokio::fs::File::open(file).await.with_context(trouble)?;
    let length = opened.metadata().await.with_context(trouble)?.len();
    let bar = out::progress(length, "handing in");
    let seen = bar.clone();
    let pieces = ReaderStream::with_capacity(opened, PIECE).inspect(move |piece| {
        if let Ok(piece) = piece {
            seen.inc(piece.len() as u64);
        }
    });
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or("contacts.csv").to_owned();
    Ok((Part::stream_with_length(Body::wrap_stream(pieces), length).file_name(name), bar))
}

async fn import(
    client: &Client,
    path: &str,
    file: &Path,
    mapping: Vec<(String, String)>,
    dry_run: bool,
    detach: bool,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let (part, bar) = part(file).await?;
    let mut form = Form::new();
    if !mapping.is_empty() {
        let mapping: Map<String, Value> = mapping.into_iter().map(|(heading, what)| (heading, json!(what))).collect();
        form = form.text("mapping", Value::Object(mapping).to_string());
    }
    if dry_run {
        form = form.text("dry_run", "true");
    }
    // Last: the server reads it as it comes.
    let answer = client.upload(path, &[], form.part("file", part)).await;
    bar.finish_and_clear();
    let report = answer?;
    if detach {
        out::line(&format!("{} {}", word(&report, "id"), word(&report, "state")));
        return Ok(ExitCode::SUCCESS);
    }
    if report["state"] == json!("running") {
        let id = word(&report, "id");
        out::note(&format!("import {id}; Ctrl-C ends only this view of it"));
        tell_columns(&report);
        return follow(client, id, json).await;
    }
    if json {
        out::line(&serde_json::to_string_pretty(&report)?);
    } else {
        tell(&report);
    }
    Ok(ExitCode::from(u8::from(report["refused"] != json!(0))))
}

fn word<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// Shows how far an import is until it ends.
async fn follow(client: &Client, id: &str, json: bool) -> anyhow::Result<ExitCode> {
    let bar = out::progress(0, "reading lines");
    let import = loop {
        let import = client.ask(Method::GET, &format!("/contacts/imports/{id}/"), &[], None).await?;
        bar.set_length(import["total_bytes"].as_u64().unwrap_or(0));
        bar.set_position(import["read_bytes"].as_u64().unwrap_or(0));
        if !matches!(word(&import, "state"), "receiving" | "running") {
            break import;
        }
        tokio::time::sleep(LOOKED_AT).await;
    };
    bar.finish_and_clear();
    if json {
        out::line(&serde_json::to_string_pretty(&import)?);
    } else {
        tell(&import);
    }
    let done = word(&import, "state") == "done";
    if !done {
        let reason = import["reason"].as_str().unwrap_or("what was read before is in");
        out::problem(&format!("the import was not finished ({}): {reason}", word(&import, "state")));
    }
    Ok(ExitCode::from(u8::from(!done || import["refused"] != json!(0))))
}

async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    let listed = client.ask(Method::GET, "/contacts/imports/", &[], None).await?;
    if json {
        out::line(&serde_json::to_string_pretty(&listed["results"])?);
        return Ok(());
    }
    let mut table = out::table(["id", "kind", "state", "lines", "new", "known", "refused", "begun"]);
    for import in listed["results"].as_array().into_iter().flatten() {
        let count = |name: &str| import[name].as_u64().unwrap_or(0).to_string();
        let (id, kind, state) = (word(import, "id"), word(import, "kind"), word(import, "state"));
        let counts = ["lines", "created", "merged", "refused"].map(count);
        let begun = word(import, "started_at").to_owned();
        table.add_row([id.to_owned(), kind.to_owned(), state.to_owned()].into_iter().chain(counts).chain([begun]));
    }
    out::line(&table.to_string());
    Ok(())
}

fn tell_columns(report: &Value) {
    for column in report["columns"].as_array().into_iter().flatten() {
        let text = |name: &str| column[name].as_str().unwrap_or_default();
        out::line(&format!("{} -> {}", text("heading"), text("holds")));
    }
}

fn tell(report: &Value) {
    let number = |name: &str| report[name].as_u64().unwrap_or(0);
    tell_columns(report);
    let looked = if report["dry_run"] == json!(true) { "nothing was written; there would be " } else { "" };
    let (lines, created, merged, refused) = (number("lines"), number("created"), number("merged"), number("refused"));
    out::line(&format!("{looked}{created} new, {merged} known already, {refused} refused, of {lines} lines"));
    let faults = report["faults"].as_array().map(Vec::as_slice).unwrap_or_default();
    for fault in faults {
        let text = |name: &str| fault[name].as_str().unwrap_or_default();
        out::problem(&format!("line {}: {} {}", fault["line"], text("field"), text("message")));
    }
    if refused > faults.len() as u64 {
        out::problem(&format!("and more: GET /contacts/imports/{}/faults/?format=csv has all", word(report, "id")));
    }
}

async fn export(client: &Client, query: &[(&str, &str)], file: Option<&Path>) -> anyhow::Result<()> {
    let mut answer = client.download("/contacts/export/", query).await?;
    let Some(file) = file else {
        while let Some(piece) = answer.chunk().await.context("the answer broke off")? {
            out::text(&String::from_utf8_lossy(&piece));
        }
        return Ok(());
    };
    let trouble = || format!("can't write {}", file.display());
    let mut opened = tokio::fs::File::create(file).await.with_context(trouble)?;
    let mut written = 0_u64;
    while let Some(piece) = answer.chunk().await.context("the answer broke off")? {
        opened.write_all(&piece).await.with_context(trouble)?;
        written += piece.len() as u64;
    }
    opened.flush().await.with_context(trouble)?;
    out::line(&format!("{} in {}", HumanBytes(written), file.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_mapped_by_its_heading() {
        assert_eq!(pair("Customer no. = field:customer"), Ok(("Customer no.".into(), "field:customer".into())));
        assert_eq!(pair("a=b=phone"), Ok(("a=b".into(), "phone".into())));
        assert!(pair("phone").is_err());
    }
}
