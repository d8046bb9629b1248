//! Hints that a job may be due: told to the runner of this process after the commit, so that it does not have to look.
//!
//! A hint is a hint: one too many costs a look, and what another node wrote is found by the look that comes anyway, which a
//! word from that node brings forward. What
//! was not taken yet is kept once per kind and bundle.

use crate::Store;
use sanasend_model::Timestamp;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// Something may be due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobHint {
    /// The kind of the job.
    pub kind: String,
    /// Its bundle; empty for none.
    pub bundle: String,
    /// When it may run.
    pub due_at: Timestamp,
}

/// Where hints wait.
#[derive(Default)]
pub(crate) struct Hints {
    waiting: Mutex<HashMap<(String, String), Timestamp>>,
    bell: Notify,
    /// Another node has written jobs.
    elsewhere: Notify,
}

impl Hints {
    /// Adds what a transaction wrote.
    pub(crate) fn add(&self, hints: impl IntoIterator<Item = JobHint>) {
        let mut any = false;
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for JobHint { kind, bundle, due_at } in hints {
            any = true;
            match waiting.entry((kind, bundle)) {
                Entry::Occupied(mut known) => *known.get_mut() = due_at.min(*known.get()),
                Entry::Vacant(free) => drop(free.insert(due_at)),
            }
        }
        drop(waiting);
        if any {
            self.bell.notify_one();
        }
    }

    /// Another node has written jobs.
    pub(crate) fn elsewhere(&self) {
        self.elsewhere.notify_one();
    }

    fn take(&self) -> Vec<JobHint> {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.into_iter().map(|((kind, bundle), due_at)| JobHint { kind, bundle, due_at }).collect()
    }
}

impl Store {
    /// Waits until another node says that it has written jobs. For one listener.
    pub async fn jobs_written_elsewhere(&self) {
        self.inner.hints.elsewhere.notified().await;
    }

    /// Waits until this process has written jobs that may be due some time, and takes the hints. For one listener. Nothing is
    /// lost when the wait is given up.
    pub async fn job_hints(&self) -> Vec<JobHint> {
        loop {
            self.inner.hints.bell.notified().await;
            let hints = self.inner.hints.take();
            if !hints.is_empty() {
                return hints;
            }
        }
    }
}
