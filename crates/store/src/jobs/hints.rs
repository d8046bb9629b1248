//! Hints that a job may be due: told to the runner of this process after the commit, so that it does not have to look. And
//! the ends of jobs, for who waits for one.
//!
//! A hint is a hint: one too many costs a look, and what another node wrote is found by the look that comes anyway, which a
//! word from that node brings forward. What
//! was not taken yet is kept once per kind and bundle.

use crate::Store;
use sanasend_model::{JobId, Timestamp};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, broadcast};

/// Rounds of ends that somebody who waits may be behind; who is behind further looks for itself.
const ENDS: usize = 64;

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
pub(crate) struct Hints {
    waiting: Mutex<HashMap<(String, String), Timestamp>>,
    bell: Notify,
    /// Another node has written jobs.
    elsewhere: Notify,
    /// Jobs that this process ended.
    ends: broadcast::Sender<Arc<[JobId]>>,
}

impl Default for Hints {
    fn default() -> Self {
        Self { waiting: Mutex::default(), bell: Notify::new(), elsewhere: Notify::new(), ends: broadcast::Sender::new(ENDS) }
    }
}

/// Tells of the jobs that this process ends, from its making on; of what other nodes end it knows nothing.
pub struct JobEnds(broadcast::Receiver<Arc<[JobId]>>);

impl JobEnds {
    /// Waits until this process has ended a job: it is done, or given up. Returns also when that may have been missed; look at
    /// the job. Nothing is lost when the wait is given up.
    pub async fn wait_for(&mut self, id: JobId) {
        loop {
            match self.0.recv().await {
                Ok(ended) if ended.contains(&id) => return,
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => return,
                // The store is gone, and nothing ends any more.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
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

    /// These jobs have ended.
    pub(crate) fn ended(&self, jobs: Vec<JobId>) {
        if !jobs.is_empty() && self.ends.receiver_count() > 0 {
            // Whoever waited may be gone by now.
            let _ = self.ends.send(jobs.into());
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
    /// The ends of jobs from now on.
    pub fn job_ends(&self) -> JobEnds {
        JobEnds(self.inner.hints.ends.subscribe())
    }

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
