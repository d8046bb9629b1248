//! `sanasend audit`: the audit log on the data folder itself, for when nobody trusts the server any more.

use super::data::Data;
use super::{Places, out, users};
use anyhow::Context;
use clap::Subcommand;
use sanasend_store::{AuditBreak, AuditCheck, AuditFilter, AuditRecord, AuditStep};
use serde_json::json;
use std::process::ExitCode;

/// The commands below `audit`.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check that every entry is as it was written and that none is missing. Exit code 1 when not.
    Verify {
        /// A head that an earlier check printed and that was kept elsewhere: the entry that it names must still be there.
        #[arg(long, value_name = "PLACE:MAC")]
        expect: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List entries, newest first.
    List {
        /// Only what this user did.
        #[arg(long, value_name = "USERNAME")]
        actor: Option<String>,
        /// Only this action (`user.created`), or every action of a thing (`user`).
        #[arg(long)]
        action: Option<String>,
        /// Part of what it was done to.
        #[arg(long)]
        target: Option<String>,
        /// So many.
        #[arg(long, default_value_t = 50)]
        limit: u64,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Does what the command says.
///
/// # Errors
/// A sentence.
pub async fn run(command: AuditCommand, places: &Places) -> anyhow::Result<ExitCode> {
    let data = Data::open(places).await?;
    let done = match command {
        AuditCommand::Verify { expect, json } => verify(&data, expect.as_deref(), json).await,
        AuditCommand::List { actor, action, target, limit, json } => {
            let actor = match actor {
                Some(name) => Some(users::find(&data, &name).await?.id),
                None => None,
            };
            list(&data, AuditFilter { actor, action, target, ..AuditFilter::default() }, limit, json).await
        }
    };
    data.store.close().await;
    done
}

/// What a check came to.
struct Verdict {
    entries: u64,
    /// `Ok` with the head of a whole log.
    end: Result<String, AuditBreak>,
}

async fn verify(data: &Data, expect: Option<&str>, as_json: bool) -> anyhow::Result<ExitCode> {
    let bar = out::progress(data.store.count_audit().await?, "checking the audit log");
    let verdict = check(data, |entries| bar.set_position(entries)).await?;
    bar.finish_and_clear();
    let expected = match expect {
        Some(head) => data.store.audit_holds(head).await?,
        None => true,
    };
    let is_whole = verdict.end.is_ok() && expected;
    if as_json {
        let (head, broken) = (verdict.end.as_ref().ok(), verdict.end.as_ref().err());
        let told = json!({
            "intact": is_whole, "entries": verdict.entries, "head": head, "expected_is_there": expected,
            "first_broken": broken.map(|broken| broken.seq), "why": broken.map(|broken| broken.why),
        });
        out::line(&told.to_string());
    } else {
        match &verdict.end {
            Ok(head) => out::line(&format!("{} entries, all as they were written\nhead {head}", verdict.entries)),
            Err(AuditBreak { seq, why }) => {
                out::line(&format!("BROKEN at entry {seq}: {why}\n{} entries before it are as they were written", verdict.entries));
            }
        }
        if !expected {
            out::line("BROKEN: the entry that --expect names is not there any more");
        }
    }
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn check(data: &Data, tell: impl Fn(u64)) -> anyhow::Result<Verdict> {
    let mut check = AuditCheck::default();
    loop {
        match data.store.check_audit(&mut check).await.context("the audit log can't be read")? {
            AuditStep::SoFar => tell(check.sound()),
            AuditStep::Whole { entries, head } => return Ok(Verdict { entries, end: Ok(head) }),
            AuditStep::Broken(broken) => return Ok(Verdict { entries: check.sound(), end: Err(broken) }),
        }
    }
}

async fn list(data: &Data, filter: AuditFilter, limit: u64, as_json: bool) -> anyhow::Result<ExitCode> {
    let (entries, _) = data.store.list_audit_before(&filter, None, limit).await?;
    if as_json {
        out::line(&serde_json::to_string_pretty(&entries.iter().map(entry).collect::<Vec<_>>())?);
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = out::table(["place", "when", "who", "what", "to what", "from", "more"]);
    for record in entries {
        let ip = record.ip.map(|ip| ip.to_string()).unwrap_or_default();
        let actor = record.actor.map(|id| id.to_string()).unwrap_or_default();
        let row = [record.seq.to_string(), record.at.to_string(), actor, record.action, record.target, ip, record.detail.to_string()];
        table.add_row(row);
    }
    out::line(&table.to_string());
    Ok(ExitCode::SUCCESS)
}

fn entry(record: &AuditRecord) -> serde_json::Value {
    json!({
        "seq": record.seq, "at": record.at, "actor": record.actor, "action": record.action, "target": record.target,
        "ip": record.ip, "detail": record.detail,
    })
}
