//! How the parts of the server are, looked at together: for `/health/ready/`, `/api/v1/health/` and `/metrics`.
//!
//! Apart from HTTP because all three say the same, and because a look costs visits to the database: it is believed for a
//! second, and who asks meanwhile waits for the same look. So probes stay cheap under any load, also those of strangers.

use crate::app::App;
use crate::config::Config;
use crate::jobs::schedules::AUDIT_CHECK;
use sanasend_model::SessionStatus;
use sanasend_store::{Backlog, JobCount};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use utoipa::ToSchema;

/// How long a look is believed.
const BELIEVED_FOR: Duration = Duration::from_secs(1);
/// How long good news of the storage of files is believed.
const STORAGE_BELIEVED_FOR: Duration = Duration::from_secs(15);
/// Longest wait for the database, and for the storage of files.
const PATIENCE: Duration = Duration::from_secs(2);
/// The oldest message may wait so long before that is worth a remark: accounts that are offline make it wait.
const OLD: Duration = Duration::from_hours(1);

/// A job may be so late before that is worth a remark.
const LATE: Duration = Duration::from_mins(15);

/// How well something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// As it should be.
    Ok,
    /// It works, but somebody should look.
    Degraded,
    /// It does not work.
    Down,
}

impl Condition {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_ok(self) -> bool {
        self == Self::Ok
    }
}

/// One part.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Part {
    /// Its name.
    #[schema(example = "database")]
    pub name: &'static str,
    /// How it is.
    pub status: Condition,
    /// The same in a sentence.
    #[schema(example = "It reads and writes.")]
    pub text: String,
    /// Figures, for admins.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub details: Option<Value>,
    /// Whether the server can do nothing without it.
    #[serde(skip)]
    pub vital: bool,
}

/// What a look found.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The parts.
    pub parts: Vec<Part>,
    /// What waits in the outbox, where that is known.
    pub backlog: Option<Backlog>,
    /// Background jobs by kind.
    pub jobs: Vec<JobCount>,
    /// Free bytes on the disk of the data folder, where that is known.
    pub free_disk: Option<u64>,
}

impl Seen {
    /// How the server is: down with a part that it can do nothing without, degraded with any other.
    #[must_use]
    pub fn condition(&self) -> Condition {
        let of = |part: &Part| if part.vital { part.status } else { part.status.min(Condition::Degraded) };
        self.parts.iter().map(of).max().unwrap_or(Condition::Ok)
    }

    /// The sentence about the first part without which nothing works.
    #[must_use]
    pub fn why_down(&self) -> Option<String> {
        let broken = self.parts.iter().find(|part| part.vital && part.status == Condition::Down)?;
        Some(format!("{}: {}", broken.name, broken.text))
    }
}

/// The last look.
#[derive(Debug, Default)]
pub struct Vitals(Mutex<Last>);

#[derive(Debug, Default)]
struct Last {
    seen: Option<(Instant, Arc<Seen>)>,
    /// Apart, and believed longer: a bucket costs money for each question.
    storage: Option<(Instant, Part)>,
}

/// How the parts are now, or were a moment ago.
pub async fn look(app: &App) -> Arc<Seen> {
    let mut last = app.vitals.0.lock().await;
    let now = Instant::now();
    if let Some((at, seen)) = &last.seen
        && now.duration_since(*at) < BELIEVED_FOR
        && !app.shutdown.is_cancelled()
    {
        return seen.clone();
    }
    let storage = match last.storage.take() {
        Some((at, part)) if now.duration_since(at) < STORAGE_BELIEVED_FOR && part.status.is_ok() => (at, part),
        _ => (now, storage(app).await),
    };
    let seen = Arc::new(examine(app, storage.1.clone()).await);
    *last = Last { seen: Some((now, seen.clone())), storage: Some(storage) };
    seen
}

async fn examine(app: &App, storage: Part) -> Seen {
    let mut parts = Vec::new();
    if app.shutdown.is_cancelled() {
        parts.push(part("server", Condition::Down, "It is stopping.").vital());
    }
    parts.push(database(app).await.vital());
    let backlog = tokio::time::timeout(PATIENCE, app.store.backlog()).await.ok().and_then(Result::ok);
    parts.push(queue(app, backlog));
    let jobs = tokio::time::timeout(PATIENCE, app.store.count_jobs()).await.ok().and_then(Result::ok);
    parts.push(background(app, jobs.as_deref()));
    parts.push(audit_log(app).await);
    let free_disk = free_bytes(&app.config.general.data_dir);
    parts.push(disk(&app.config, free_disk).vital());
    parts.push(storage);
    parts.extend(redis(app).await);
    parts.push(engine(app));
    parts.extend(sandbox(app));
    Seen { parts, backlog, jobs: jobs.unwrap_or_default(), free_disk }
}

fn part(name: &'static str, status: Condition, text: impl Into<String>) -> Part {
    Part { name, status, text: text.into(), details: None, vital: false }
}

impl Part {
    fn vital(mut self) -> Self {
        self.vital = true;
        self
    }

    fn with(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }
}

async fn database(app: &App) -> Part {
    let begun = Instant::now();
    let (status, text) = match tokio::time::timeout(PATIENCE, app.store.ping()).await {
        Ok(Ok(())) => (Condition::Ok, "It reads and writes."),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the database is down");
            (Condition::Down, "It can't be read or written.")
        }
        Err(_) => (Condition::Down, "It does not answer."),
    };
    let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    part("database", status, text).with(json!({"answered_in_ms": took}))
}

fn queue(app: &App, backlog: Option<Backlog>) -> Part {
    let Some(Backlog { depth, oldest }) = backlog else {
        return part("queue", Condition::Degraded, "The outbox can't be looked at.");
    };
    let age = oldest.map_or(Duration::ZERO, |at| app.clock.now().since(at));
    let details = json!({"depth": depth, "oldest_seconds": age.as_secs()});
    let old = age > OLD;
    let text = match depth {
        0 => "Nothing waits.".to_owned(),
        // Offline accounts are their users' business; they are no fault of the server.
        _ if old => "Some messages wait for long: their accounts are offline, or WhatsApp does not answer.".to_owned(),
        _ => "Messages are on their way.".to_owned(),
    };
    part("queue", Condition::Ok, text).with(details)
}

fn background(app: &App, jobs: Option<&[JobCount]>) -> Part {
    let Some(jobs) = jobs else { return part("jobs", Condition::Degraded, "Background jobs can't be looked at.") };
    let late = jobs.iter().filter_map(|count| count.oldest_due).min().map_or(Duration::ZERO, |due| app.clock.now().since(due));
    let sum = |of: fn(&JobCount) -> u64| jobs.iter().map(of).sum::<u64>();
    let (waiting, running, dead) = (sum(|count| count.waiting), sum(|count| count.running), sum(|count| count.dead));
    let details = json!({"waiting": waiting, "running": running, "dead": dead, "latest_seconds": late.as_secs()});
    let (status, text) = if late > LATE {
        (Condition::Degraded, "Background jobs are late.")
    } else if dead > 0 {
        (Condition::Ok, "Background jobs run; some were given up and wait for somebody to look.")
    } else {
        (Condition::Ok, "Background jobs run.")
    };
    part("jobs", status, text).with(details)
}

/// How the nightly check of the audit log ended, on whichever node it ran.
async fn audit_log(app: &App) -> Part {
    let name = "audit_log";
    let schedules = tokio::time::timeout(PATIENCE, app.jobs.schedules()).await.ok().and_then(Result::ok);
    let Some(schedules) = schedules else { return part(name, Condition::Degraded, "Its last check can't be looked at.") };
    let check = schedules.into_iter().map(|state| state.row).find(|row| row.name == AUDIT_CHECK);
    let (last_run, succeeded, detail) = check.map(|row| (row.last_run, row.succeeded, row.detail)).unwrap_or_default();
    let (status, text) = match succeeded {
        None => (Condition::Ok, "It was not checked yet."),
        Some(true) => (Condition::Ok, "The last check found it whole."),
        Some(false) => {
            (Condition::Degraded, "The last check did not find it whole; admins see why, and `sanasend audit verify` tells more.")
        }
    };
    part(name, status, text).with(json!({"checked_at": last_run, "found": detail}))
}

/// Free space where `folder` lies, for this user.
#[must_use]
pub fn free_bytes(folder: &Path) -> Option<u64> {
    let existing = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let existing = if existing.as_os_str().is_empty() { Path::new(".") } else { existing };
    rustix::fs::statvfs(existing).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn disk(config: &Config, free: Option<u64>) -> Part {
    let Some(free) = free.map(|bytes| bytes / 1024 / 1024) else {
        return part("disk", Condition::Degraded, "Free space is not known.");
    };
    let details = json!({"free_mib": free});
    let (status, text) = if free < config.store.full_disk_mib {
        (Condition::Down, "It is full: nothing more can be accepted.")
    } else if free < config.store.low_disk_mib {
        (Condition::Degraded, "It is nearly full.")
    } else {
        (Condition::Ok, "There is room.")
    };
    part("disk", status, text).with(details)
}

/// Without it texts still go: it is not vital.
async fn storage(app: &App) -> Part {
    let begun = Instant::now();
    let asked = tokio::time::timeout(PATIENCE, app.media.ping_storage()).await;
    let (status, text) = match (asked, app.media.is_in_bucket()) {
        (Ok(Ok(())), true) => (Condition::Ok, "The bucket answers."),
        (Ok(Ok(())), false) => (Condition::Ok, "The folder is there."),
        (Ok(Err(error)), bucket) => {
            tracing::warn!(%error, "the storage of files is down");
            (Condition::Down, if bucket { "The bucket can't be used: files are neither taken nor given." } else { "The folder is gone." })
        }
        (Err(_), _) => (Condition::Down, "It does not answer: files are neither taken nor given."),
    };
    let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    part("storage", status, text).with(json!({"answered_in_ms": took}))
}

/// Where there is one.
async fn redis(app: &App) -> Option<Part> {
    let answers = app.remote.as_ref()?.ping().await;
    let (status, text) = if answers {
        (Condition::Ok, "It answers.")
    } else {
        (Condition::Degraded, "It is away: each node counts its limits for itself until it is back.")
    };
    Some(part("redis", status, text).with(json!({"answers": answers})))
}

fn engine(app: &App) -> Part {
    let counts = app.sessions.counts();
    let of = |status| counts.get(&status).copied().unwrap_or(0);
    let (connected, silent) = (of(SessionStatus::Connected), of(SessionStatus::Degraded));
    let details: Value = SessionStatus::ALL.iter().map(|status| (status.as_str().to_owned(), json!(of(*status)))).collect();
    let (status, text) = match (connected, silent) {
        (0, 1..) => (Condition::Degraded, "No account that is connected gets an answer from WhatsApp."),
        (_, 1..) => (Condition::Ok, "Some accounts get no answer from WhatsApp."),
        _ => (Condition::Ok, "Accounts that should be online are connected or connecting."),
    };
    part("engine", status, text).with(details)
}

fn sandbox(app: &App) -> Option<Part> {
    let outside = app.config.sandbox.connect.is_some();
    let running = app.sandbox.is_some();
    (running || outside).then(|| {
        let text = if running { "The simulated network runs in this process." } else { "The simulated network runs in another process." };
        part("sandbox", Condition::Ok, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nothing_works_without_makes_the_server_be_down() {
        let seen = |parts| Seen { parts, backlog: None, jobs: Vec::new(), free_disk: None };
        let down = |name| part(name, Condition::Down, "It is gone.");
        assert_eq!(seen(vec![part("a", Condition::Ok, "")]).condition(), Condition::Ok);
        assert_eq!(seen(vec![down("redis"), part("a", Condition::Ok, "")]).condition(), Condition::Degraded);
        assert_eq!(seen(vec![down("redis")]).why_down(), None);
        assert_eq!(seen(vec![down("disk").vital()]).condition(), Condition::Down);
        assert_eq!(seen(vec![down("disk").vital()]).why_down().as_deref(), Some("disk: It is gone."));
    }

    #[test]
    fn a_disk_is_full_low_or_well() {
        let mut config = crate::config::defaults(crate::config::Profile::Development).config;
        (config.store.full_disk_mib, config.store.low_disk_mib) = (10, 100);
        let of = |mib: u64| disk(&config, Some(mib * 1024 * 1024)).status;
        assert_eq!((of(9), of(10), of(99), of(100)), (Condition::Down, Condition::Degraded, Condition::Degraded, Condition::Ok));
        assert_eq!(disk(&config, None).status, Condition::Degraded);
    }
}
