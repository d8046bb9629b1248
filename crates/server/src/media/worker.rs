//! Fetching files of incoming messages without being asked (`media.fetch = "always"`): one job per message, made in the
//! transaction that took it in.

use super::{FetchRefused, Files};
use crate::jobs::Worker;
use crate::sessions::Sessions;
use async_trait::async_trait;
use sanasend_model::MessageId;
use sanasend_store::{Job, JobOutcome};
use std::time::Duration;

/// Waits between two tries; after the last the file is left at WhatsApp, to be fetched when somebody asks.
const WAITS: [Duration; 6] = [
    Duration::from_secs(10),
    Duration::from_mins(1),
    Duration::from_mins(10),
    Duration::from_hours(1),
    Duration::from_hours(6),
    Duration::from_hours(24),
];

/// Does the jobs `media.fetch`.
pub struct Fetcher {
    files: Files,
    sessions: Sessions,
}

impl Fetcher {
    /// Into `files`; `sessions` is asked where the media host has a file no longer.
    #[must_use]
    pub fn new(files: Files, sessions: Sessions) -> Self {
        Self { files, sessions }
    }
}

#[async_trait]
impl Worker for Fetcher {
    fn kind(&self) -> &'static str {
        "media.fetch"
    }

    fn at_once(&self) -> usize {
        self.files.settings().transfers_at_once
    }

    fn at_once_per_bundle(&self) -> usize {
        self.at_once().div_ceil(2)
    }

    fn lease(&self) -> Duration {
        Duration::from_mins(2)
    }

    async fn run(&self, job: &Job) -> JobOutcome {
        let id = job.payload.get("message").and_then(serde_json::Value::as_str).and_then(|text| text.parse::<MessageId>().ok());
        let Some(id) = id else { return JobOutcome::Dead { reason: "It names no message.".into() } };
        match self.files.fetch_of(&self.sessions, id).await {
            Err(FetchRefused::Later(reason)) => self.later(job, reason),
            // What is gone or spoilt is shown in the message; nobody has to look at a job for that.
            Ok(()) | Err(FetchRefused::Gone | FetchRefused::Corrupt | FetchRefused::TooLarge) => JobOutcome::Done,
        }
    }
}

impl Fetcher {
    fn later(&self, job: &Job, reason: String) -> JobOutcome {
        let made = usize::try_from(job.attempts.max(1)).unwrap_or(usize::MAX);
        match WAITS.get(made - 1) {
            Some(wait) => JobOutcome::Retry { due_at: self.files.now().plus(*wait), reason, keep_lane: false },
            None => JobOutcome::Dead { reason },
        }
    }
}
