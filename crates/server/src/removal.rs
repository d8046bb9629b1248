//! Removing users and webhook endpoints: wished for by a request, done by a job, however long it takes.
//!
//! Apart from the handlers because it outlives them: a request is cut when its caller goes or its time is over, and a process
//! may be killed. Whatever was begun is done to its end by the job.

use crate::config::Config;
use crate::jobs::Worker;
use crate::media::Files;
use crate::sessions::Sessions;
use async_trait::async_trait;
use sanasend_model::{Clock, JobId, JobState, UserId, WebhookId, job};
use sanasend_store::{AuditEntry, Job, JobOutcome, REMOVE_USER_JOB, REMOVE_WEBHOOK_JOB, Store, StoreError};
use serde_json::json;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Jobs of a kind that run at once; each is a row of small writes.
const AT_ONCE: usize = 2;
/// How often the end of a job is looked for that another node may be doing, at first and at most.
const LOOK: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// The workers of both kinds of jobs.
#[must_use]
pub fn workers(store: &Store, sessions: &Sessions, media: &Files, clock: &Arc<dyn Clock>) -> [Arc<dyn Worker>; 2] {
    let (sessions, media) = (sessions.clone(), media.clone());
    [
        Arc::new(RemoveUser { store: store.clone(), sessions, media, clock: clock.clone() }),
        Arc::new(RemoveWebhook { store: store.clone(), clock: clock.clone() }),
    ]
}

/// How long a request waits for what it began: it is answered before it is cut.
#[must_use]
pub fn patience(config: &Config) -> Duration {
    Duration::from_secs(config.http.request_timeout_seconds).mul_f64(2.0 / 3.0)
}

/// Waits until a job is done, for as long as `patience` lasts; says whether it is.
///
/// # Errors
/// When the store can't be asked.
pub async fn is_done(store: &Store, job: JobId, patience: Duration) -> Result<bool, StoreError> {
    tokio::time::timeout(patience, ended(store, job)).await.unwrap_or(Ok(false))
}

/// The end by this node is told; any other may do it as well, and is not heard.
async fn ended(store: &Store, id: JobId) -> Result<bool, StoreError> {
    // Before the first look, so that no end falls between.
    let mut ends = store.job_ends();
    let (mut pause, longest) = LOOK;
    while let Some(job) = store.job(id).await? {
        if job.state == JobState::Dead {
            return Ok(false);
        }
        let _ = tokio::time::timeout(pause, ends.wait_for(id)).await;
        pause = (pause * 2).min(longest);
    }
    Ok(true)
}

/// Part of the payload of a job.
fn part<T: FromStr>(job: &Job, name: &str) -> Option<T> {
    job.payload.get(name)?.as_str()?.parse().ok()
}

fn nameless() -> JobOutcome {
    JobOutcome::Dead { reason: "The job does not say what it removes.".into() }
}

fn later(clock: &dyn Clock, job: &Job, error: &StoreError) -> JobOutcome {
    let due_at = clock.now().plus(job::backoff(u32::try_from(job.attempts).unwrap_or(1), 0));
    JobOutcome::Retry { due_at, reason: error.to_string(), keep_lane: true }
}

struct RemoveUser {
    store: Store,
    sessions: Sessions,
    media: Files,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Worker for RemoveUser {
    fn kind(&self) -> &'static str {
        REMOVE_USER_JOB
    }

    fn at_once(&self) -> usize {
        AT_ONCE
    }

    async fn run(&self, job: &Job) -> JobOutcome {
        let Some(id) = part::<UserId>(job, "user") else { return nameless() };
        self.sessions.forget_user(id).await;
        let entry = AuditEntry {
            actor: part(job, "actor"),
            action: "user.deleted",
            target: format!("user {id}"),
            ip: part::<IpAddr>(job, "ip"),
            detail: json!({"username": job.payload.get("username")}),
        };
        if let Err(error) = self.store.delete_user_noting(id, Some(entry)).await {
            tracing::warn!(user = %id, %error, "a user could not be removed; it is tried again");
            return later(&*self.clock, job, &error);
        }
        if let Err(error) = self.media.drop_unused().await {
            // The rows are gone, so nobody can reach the bytes; the next sweep tries again.
            tracing::warn!(%error, "files of a deleted user are still in the storage");
        }
        JobOutcome::Done
    }
}

struct RemoveWebhook {
    store: Store,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Worker for RemoveWebhook {
    fn kind(&self) -> &'static str {
        REMOVE_WEBHOOK_JOB
    }

    fn at_once(&self) -> usize {
        AT_ONCE
    }

    async fn run(&self, job: &Job) -> JobOutcome {
        let Some(id) = part::<WebhookId>(job, "webhook") else { return nameless() };
        match self.store.delete_webhook(id).await {
            Ok(_) => JobOutcome::Done,
            Err(error) => {
                tracing::warn!(webhook = %id, %error, "a webhook endpoint could not be removed; it is tried again");
                later(&*self.clock, job, &error)
            }
        }
    }
}
