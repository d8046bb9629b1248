//! Background work: jobs that any node does, and schedules that one node of all runs per tick.
//!
//! A kind of work is a [`Worker`]; a job of it is a row that was written in the transaction of the fact that caused it
//! (`sanasend_store::NewJob`). `dispatch` is the one task per node that claims, runs and settles jobs; `desk` is its
//! book-keeping, without I/O; `tick` runs the schedules; `schedules` is the list of all of them.
//!
//! What is promised: a job runs at least once, also through a kill of the process, so a worker must bear being run twice
//! with the same job. A panic is a failed attempt. A job may run longer than its lease: it is renewed meanwhile.

mod desk;
mod dispatch;
pub mod schedules;
#[cfg(test)]
mod tests;
mod tick;

pub use tick::{Schedule, ScheduleAct, ScheduleState};

use async_trait::async_trait;
use sanasend_model::Clock;
use sanasend_store::{Job, JobOutcome, Store};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long jobs that were cut at the end of a stop may take to be given back.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Does the jobs of one kind.
#[async_trait]
pub trait Worker: Send + Sync + 'static {
    /// The kind, as `NewJob` names it.
    fn kind(&self) -> &'static str;

    /// Jobs of this kind that run at once on this node.
    fn at_once(&self) -> usize;

    /// Jobs of one bundle of this kind that run at once on this node.
    fn at_once_per_bundle(&self) -> usize {
        self.at_once()
    }

    /// Jobs of this kind that run at once on this node in all bundles of one owner (what is before a slash in their names).
    fn at_once_per_owner(&self) -> usize {
        self.at_once()
    }

    /// After how long without a word from this node another one may run the job again. Renewed while the job runs.
    fn lease(&self) -> Duration {
        Duration::from_mins(1)
    }

    /// Does one job. It may have been done before, wholly or in part. Dropped at any `await` when the server stops and
    /// its patience is over, or when the lease was lost.
    async fn run(&self, job: &Job) -> JobOutcome;
}

/// What the background work of a node is made of.
pub struct Parts {
    /// Where jobs are remembered.
    pub store: Store,
    /// Time and randomness.
    pub clock: Arc<dyn Clock>,
    /// Canceled when the server stops: nothing new is begun then.
    pub shutdown: CancellationToken,
    /// One per kind.
    pub workers: Vec<Arc<dyn Worker>>,
    /// What is done again and again.
    pub schedules: Vec<Schedule>,
    /// Whether no other process can be working on the same database: what is claimed at the start is then left over from a
    /// process that died.
    pub alone: bool,
}

/// The background work of this node. Cheap to clone.
#[derive(Clone)]
pub struct Jobs {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: Arc<dyn Clock>,
    /// This run of this node, in leases.
    owner: Uuid,
    workers: BTreeMap<&'static str, Arc<dyn Worker>>,
    schedules: Vec<tick::Ticking>,
    alone: bool,
    /// Nothing new is begun.
    closing: CancellationToken,
    /// What runs is cut.
    cut: CancellationToken,
    /// A schedule may be due.
    hurry: Notify,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Jobs {
    /// Background work that is not started yet.
    ///
    /// # Errors
    /// A sentence that names a schedule whose cron expression can't be read.
    pub fn new(parts: Parts) -> anyhow::Result<Self> {
        let Parts { store, clock, shutdown, workers, schedules, alone } = parts;
        let schedules = schedules.into_iter().map(tick::Ticking::new).collect::<anyhow::Result<_>>()?;
        let workers = workers.into_iter().map(|worker| (worker.kind(), worker)).collect();
        let (owner, closing, cut) = (clock.uuid(), shutdown.child_token(), CancellationToken::new());
        let (hurry, tasks) = (Notify::new(), Mutex::default());
        Ok(Self { inner: Arc::new(Inner { store, clock, owner, workers, schedules, alone, closing, cut, hurry, tasks }) })
    }

    /// Begins to work. Once.
    pub fn start(&self) {
        let inner = self.inner.clone();
        let started = tokio::spawn(async move {
            inner.free_left_over().await;
            tokio::join!(dispatch::Dispatcher::new(inner.clone()).run(), tick::run(inner.clone()));
        });
        self.tasks().push(started);
    }

    /// Ends: what runs may finish within `patience`, the rest is given back for the next process or another node.
    pub async fn stop(&self, patience: Duration) {
        self.inner.closing.cancel();
        let tasks: Vec<_> = std::mem::take(&mut *self.tasks());
        let mut tasks = futures::future::join_all(tasks);
        if tokio::time::timeout(patience, &mut tasks).await.is_err() {
            tracing::warn!("some jobs did not end in time; they are given back");
            self.inner.cut.cancel();
            if tokio::time::timeout(LAST_WORDS, tasks).await.is_err() {
                tracing::warn!("jobs could not be given back; they run again when their leases end");
            }
        }
    }

    /// The kinds that have a worker here, by name.
    pub fn kinds(&self) -> Vec<&'static str> {
        self.inner.workers.keys().copied().collect()
    }

    fn tasks(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Frees what a process that died had claimed, so that it runs again at once and not when the leases end.
    async fn free_left_over(&self) {
        if !self.alone {
            return;
        }
        match self.store.free_leases(None).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "jobs that were cut by the last end run again"),
            Err(error) => tracing::warn!(%error, "jobs cut by the last end run again when their leases end"),
        }
    }

    /// A random number in `0..=255`.
    fn jitter(&self) -> u8 {
        let mut random = [0_u8; 1];
        self.clock.fill(&mut random);
        random[0]
    }
}

/// The message of a panic, where it has one.
fn what(cause: &(dyn std::any::Any + Send)) -> &str {
    cause.downcast_ref::<&str>().copied().or_else(|| cause.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
