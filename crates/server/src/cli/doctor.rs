//! `sanasend doctor`: looks at everything that a server of this configuration needs, changes nothing, says what is wrong.

use super::{Places, out};
use crate::clock::SystemClock;
use crate::config::{Config, Profile};
use crate::data_dir;
use crate::node::ground::{is_fresh, open_store, prove};
use crate::secrets::Secrets;
use clap::Args;
use sanasend_model::Clock;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// A clock before this (2026-01-01) was never set.
const CLOCK_FLOOR_MS: i64 = 1_767_225_600_000;
/// Open files below which a server with many accounts runs out of them.
const FEW_FILES: u64 = 4096;
/// How long the database or a bucket may take to answer.
const DATABASE_PATIENCE: Duration = Duration::from_secs(10);

/// Flags of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// How one check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Good,
    Warning,
    Bad,
}

/// One check and what it found.
#[derive(Debug, serde::Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    text: String,
}

/// Looks at everything. The exit code is 1 when something is bad; a warning is no failure.
///
/// # Errors
/// When the configuration is not sound.
pub async fn run(args: &DoctorArgs, places: &Places) -> anyhow::Result<ExitCode> {
    let config = places.load(Vec::new())?.config;
    let findings = examine(&config).await;
    if args.json {
        out::line(&serde_json::to_string_pretty(&findings)?);
    } else {
        let mut table = out::table(["check", "", "finding"]);
        for finding in &findings {
            let mark = match finding.verdict {
                Verdict::Good => "ok",
                Verdict::Warning => "warning",
                Verdict::Bad => "BAD",
            };
            table.add_row([finding.check, mark, &finding.text]);
        }
        out::line(&table.to_string());
    }
    let bad = findings.iter().any(|finding| finding.verdict == Verdict::Bad);
    Ok(ExitCode::from(u8::from(bad)))
}

async fn examine(config: &Config) -> Vec<Finding> {
    let folder = &config.general.data_dir;
    let server = data_dir::holder(folder);
    let fresh =
        tokio::time::timeout(DATABASE_PATIENCE, is_fresh(config)).await.unwrap_or_else(|_| Err(anyhow::anyhow!("it does not answer")));
    let mut findings = vec![wall(), clock(), files(folder, fresh.as_ref().is_ok_and(|fresh| *fresh)), running(folder, server.as_deref())];
    findings.extend(ports(config, server.is_some()));
    findings.push(exposure(config));
    findings.push(disk(folder, config.store.low_disk_mib));
    findings.extend(writable(folder));
    findings.push(limits());
    findings.extend(redis(config).await);
    findings.extend(bucket(config).await);
    match fresh {
        Ok(true) => {}
        Ok(false) => findings.extend(stored(config, folder).await),
        Err(error) => findings.push(found("database", Verdict::Bad, format!("{error:#}"))),
    }
    findings
}

const fn found(check: &'static str, verdict: Verdict, text: String) -> Finding {
    Finding { check, verdict, text }
}

fn wall() -> Finding {
    match sanasend_engine::prove_wall() {
        Ok(()) => found("certificate check", Verdict::Good, "a forged WhatsApp certificate is refused".into()),
        Err(why) => found("certificate check", Verdict::Bad, format!("{why}; do not use this binary")),
    }
}

fn clock() -> Finding {
    let now = SystemClock.now();
    if now.0 < CLOCK_FLOOR_MS {
        return found("clock", Verdict::Bad, format!("it says {now}; set it, or links and logins will not work"));
    }
    found("clock", Verdict::Good, format!("it says {now}; keep it right by NTP"))
}

fn files(folder: &Path, fresh: bool) -> Finding {
    if !folder.exists() {
        return found("data folder", Verdict::Warning, format!("{} is not there yet; the first start makes it", folder.display()));
    }
    let verdict = data_dir::make_private(folder).and_then(|()| {
        if fresh { Ok(0) } else { Secrets::open(folder, &SystemClock, false).map(|secrets| 1 + secrets.older_seal_keys.len()) }
    });
    match verdict {
        Ok(0) => found("data folder", Verdict::Warning, format!("{}: the database holds nothing yet", folder.display())),
        Ok(keys) => {
            found("data folder", Verdict::Good, format!("{}: for its owner only; secrets are whole, {keys} seal key(s)", folder.display()))
        }
        Err(error) => found("data folder", Verdict::Bad, format!("{error:#}")),
    }
}

fn running(folder: &Path, server: Option<&str>) -> Finding {
    match server {
        Some(pid) => found("server", Verdict::Good, format!("process {pid} has {} open", folder.display())),
        None => found("server", Verdict::Good, "none is running on this folder".into()),
    }
}

fn ports(config: &Config, server_runs: bool) -> Vec<Finding> {
    let mut addresses = vec![config.general.listen];
    if config.sandbox.enabled {
        addresses.extend([config.sandbox.listen, config.sandbox.tls_listen]);
    }
    let probe = |address: SocketAddr| match TcpListener::bind(address) {
        Ok(_) => found("port", Verdict::Good, format!("{address} is free")),
        Err(_) if server_runs => found("port", Verdict::Good, format!("{address} is in use, as it should be while the server runs")),
        Err(error) => found("port", Verdict::Bad, format!("{address} can't be listened on: {error}")),
    };
    addresses.into_iter().map(probe).collect()
}

fn exposure(config: &Config) -> Finding {
    let outside = !config.general.listen.ip().is_loopback();
    if outside && config.general.trusted_proxies.is_empty() {
        return found(
            "exposure",
            Verdict::Warning,
            format!("{} is reachable from outside without TLS; put a reverse proxy in front", config.general.listen),
        );
    }
    if config.general.profile == Profile::Production && config.general.public_url.is_none() {
        return found("exposure", Verdict::Warning, "public_url is not set: links in answers are made from the request".into());
    }
    found("exposure", Verdict::Good, format!("listening on {}", config.general.listen))
}

fn disk(folder: &Path, low_mib: u64) -> Finding {
    match crate::vitals::free_bytes(folder).map(|bytes| bytes / 1024 / 1024) {
        Some(free) => {
            let verdict = if free < low_mib { Verdict::Warning } else { Verdict::Good };
            found("disk", verdict, format!("{free} MiB free where the data folder lies"))
        }
        None => found("disk", Verdict::Warning, "free space is not known".into()),
    }
}

/// Whether this user can write where the server must; nothing is left behind.
fn writable(folder: &Path) -> Option<Finding> {
    if !folder.exists() {
        return None;
    }
    let probe = folder.join("doctor.probe");
    let tried = crate::secrets::write_private(&probe, b"probe").and_then(|()| std::fs::remove_file(&probe).map_err(Into::into));
    let media = folder.join(crate::backup::MEDIA);
    let strange = match std::fs::read_dir(&media) {
        Ok(_) => None,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => Some(format!("media in {} can't be read: {error}", media.display())),
    };
    Some(match (tried, strange) {
        (Err(error), _) => found("permissions", Verdict::Bad, format!("{error:#}")),
        (Ok(()), Some(strange)) => found("permissions", Verdict::Bad, strange),
        (Ok(()), None) => found("permissions", Verdict::Good, "the data folder can be written".into()),
    })
}

/// Each account holds a socket, and so does each caller.
fn limits() -> Finding {
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    match most {
        Some(most) if most < FEW_FILES => {
            let text =
                format!("only {most} open files are allowed; each account and each caller takes one: raise it (ulimit -n, LimitNOFILE)");
            found("open files", Verdict::Warning, text)
        }
        Some(most) => found("open files", Verdict::Good, format!("{most} are allowed")),
        None => found("open files", Verdict::Good, "as many as needed".into()),
    }
}

/// The Redis of the settings. A server starts and works without it, so its absence is a warning.
async fn redis(config: &Config) -> Option<Finding> {
    let url = config.redis.url.as_ref()?;
    Some(match crate::node::limits::connect(&config.redis, &url.0).await {
        Err(error) => found("redis", Verdict::Bad, format!("{error:#}")),
        Ok(remote) if remote.answers() => found("redis", Verdict::Good, "it answers".into()),
        Ok(_) => {
            let text = "it does not answer; until it does, each node counts limits for itself (the log of the server says why)";
            found("redis", Verdict::Warning, text.into())
        }
    })
}

/// The bucket of the settings: writes a small object, reads it back and removes it.
async fn bucket(config: &Config) -> Option<Finding> {
    let (storage, name) = match crate::media::open_bucket(&config.media)? {
        Ok(opened) => opened,
        Err(error) => return Some(found("storage", Verdict::Bad, format!("{error:#}"))),
    };
    Some(match tokio::time::timeout(DATABASE_PATIENCE, storage.try_out()).await {
        Ok(Ok(())) => found("storage", Verdict::Good, format!("the bucket {name} takes, gives and removes objects")),
        Ok(Err(error)) => found("storage", Verdict::Bad, format!("the bucket {name} can't be used: {error}")),
        Err(_) => found("storage", Verdict::Bad, format!("the bucket {name} does not answer")),
    })
}

/// The database as people know it, without its password.
fn place(config: &Config) -> String {
    config.database().map_or_else(|problem| problem, |database| database.to_string())
}

async fn stored(config: &Config, folder: &Path) -> Vec<Finding> {
    let look = async {
        let secrets = Secrets::open(folder, &SystemClock, false)?;
        let store = open_store(config, &secrets, Arc::new(SystemClock)).await?;
        let answer = store.ping().await.map_err(anyhow::Error::from);
        let pending = store.pending_migrations().await.map_err(anyhow::Error::from);
        let proof = if pending.as_ref().is_ok_and(Vec::is_empty) { prove(&store, &secrets).await } else { Ok(()) };
        let users = store.count_users().await;
        store.close().await;
        answer?;
        proof?;
        anyhow::Ok((pending?, users))
    };
    match tokio::time::timeout(DATABASE_PATIENCE, look).await {
        Err(_) => vec![found("database", Verdict::Bad, "it does not answer".into())],
        Ok(Err(error)) => vec![found("database", Verdict::Bad, format!("{error:#}"))],
        Ok(Ok((pending, users))) => {
            let mut findings = vec![found("database", Verdict::Good, format!("{} answers", place(config)))];
            findings.push(if pending.is_empty() {
                found("migrations", Verdict::Good, "the database is up to date".into())
            } else {
                found("migrations", Verdict::Warning, format!("{} to apply; the next start does it: {}", pending.len(), pending.join(", ")))
            });
            if let Ok(0) = users {
                findings.push(found(
                    "users",
                    Verdict::Warning,
                    "there are none; run `sanasend createsuperuser` or start the server once".into(),
                ));
            }
            findings
        }
    }
}
