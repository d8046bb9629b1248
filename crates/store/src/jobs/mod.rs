//! Jobs: work of any kind that is remembered until it is done, for any node to do.
//!
//! A job is a row written in the transaction of the fact that caused it ([`Tx::enqueue`]). A node claims jobs for the time of
//! a lease, renews the lease of long ones, and settles them; when a node dies, its leases end and the jobs run again. So a
//! job runs at least once, and its work must bear being done twice.
//!
//! - **Lane**: jobs of one lane run one at a time, in the order of making. Only the first of a lane can be claimed.
//! - **Bundle**: jobs that share a cap of concurrency, so that one slow receiver takes no places from others. Claims
//!   name the bundle: what waits in one costs nothing to look for another. What stands before a slash in its name is its
//!   *owner*: bundles of one owner share a second cap, so that nobody takes all places by having many.

mod claim;
mod enqueue;
mod hints;
mod list;
mod schedules;
mod settle;

pub(crate) use hints::Hints;
pub use hints::{JobEnds, JobHint};
pub use list::{DueJobs, JobCount, JobFilter, JobOrder};
pub use schedules::{ScheduleRow, ScheduleRun};
pub(crate) use settle::raise;

use crate::{Store, StoreError};
use sanasend_model::{JobId, JobState, Timestamp, UserId};
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

/// Rows that one transaction changes at most, so that other writers get their turn.
const PIECE: i64 = 500;

/// A job to make.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// What is to be done: a stable name on disk, `<noun>.<verb>` like `webhook.deliver`.
    pub kind: &'static str,
    /// Jobs of one lane, whatever their kind, run one at a time in the order of making.
    pub lane: Option<String>,
    /// Jobs of one kind and bundle share a cap of concurrency.
    pub bundle: Option<String>,
    /// For whom; the job goes with the user.
    pub user_id: Option<UserId>,
    /// What the worker needs to know. No secrets: admins read it.
    pub payload: Value,
    /// Not before this time.
    pub due_at: Timestamp,
}

/// A job.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Id.
    pub id: JobId,
    /// What is to be done.
    pub kind: String,
    /// Its lane.
    pub lane: Option<String>,
    /// Its bundle.
    pub bundle: Option<String>,
    /// For whom.
    pub user_id: Option<UserId>,
    /// What the worker needs to know.
    pub payload: Value,
    /// How it stands.
    pub state: JobState,
    /// Attempts begun, this one included.
    pub attempts: i32,
    /// When it may run; while it runs, when its lease ends.
    pub due_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the last attempt began.
    pub started_at: Option<Timestamp>,
    /// When it was given up.
    pub ended_at: Option<Timestamp>,
    /// The run of a node that works on it.
    pub owner: Option<Uuid>,
    /// Why the last attempt came to nothing.
    pub last_error: Option<String>,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobOutcome {
    /// Done: the job is removed.
    Done,
    /// It came to nothing, and is tried again.
    Retry {
        /// When.
        due_at: Timestamp,
        /// Why, for people.
        reason: String,
        /// Whether those behind it in its lane wait for it; else it leaves the lane for good.
        keep_lane: bool,
    },
    /// Given up: it stays, for people to look at; those behind it go on.
    Dead {
        /// Why, for people.
        reason: String,
    },
}

/// An attempt and its outcome. An attempt that is not the present one of its job changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobResult {
    /// The job.
    pub id: JobId,
    /// Number of the attempt, as claimed.
    pub attempt: i32,
    /// What came of it.
    pub outcome: JobOutcome,
}

/// Places for jobs of one kind and bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobPlaces {
    /// The kind.
    pub kind: String,
    /// The bundle; empty for jobs in none.
    pub bundle: String,
    /// Most jobs to take.
    pub places: usize,
    /// For how long they are taken.
    pub lease: Duration,
}

/// What a node wants in one transaction.
#[derive(Debug, Clone, Default)]
pub struct JobTurn {
    /// The run of the node that asks.
    pub owner: Uuid,
    /// What came of attempts.
    pub settle: Vec<JobResult>,
    /// Attempts (job and number) that need longer, and for how long from now.
    pub renew: Vec<(JobId, i32, Duration)>,
    /// What it has places for.
    pub claim: Vec<JobPlaces>,
}

/// What became of a [`JobTurn`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobsTurned {
    /// Taken up, for the lease that was asked for.
    pub claimed: Vec<Job>,
    /// For each of [`JobTurn::claim`]: when to look there again, if nothing else is heard.
    pub next: Vec<DueJobs>,
    /// Attempts that could not be renewed: somebody else has the job, or it is gone.
    pub lost: Vec<JobId>,
}

/// What came of a person's wish about a job.
#[derive(Debug, Clone, PartialEq)]
pub enum JobChanged {
    /// Done; the job as it is now, or as it was when it was dropped.
    Done(Box<Job>),
    /// There is no such job.
    Missing,
    /// Not possible in this state.
    WrongState(JobState),
}

impl Store {
    /// Makes jobs that belong to no other fact.
    pub async fn enqueue_jobs(&self, jobs: Vec<NewJob>) -> Result<(), StoreError> {
        self.write(move |tx| Box::pin(async move { tx.enqueue(&jobs).await.map(drop) })).await
    }

    /// Settles attempts, renews leases and claims jobs, all in one transaction.
    pub async fn turn_jobs(&self, turn: JobTurn) -> Result<JobsTurned, StoreError> {
        let ends = turn.settle.iter().filter(|result| !matches!(result.outcome, JobOutcome::Retry { .. }));
        let ends: Vec<JobId> = ends.map(|result| result.id).collect();
        let turned = self.write(move |tx| {
            Box::pin(async move {
                settle::settle(tx, turn.settle).await?;
                let lost = claim::renew(tx, turn.owner, &turn.renew).await?;
                let (claimed, next) = claim::claim(tx, turn.owner, turn.claim).await?;
                // Where was just claimed, the answer tells more than a hint.
                tx.hints.retain(|hint| !next.iter().any(|next| next.kind == hint.kind && next.bundle == hint.bundle));
                Ok(JobsTurned { claimed, next, lost })
            })
        });
        let turned = turned.await?;
        self.inner.hints.ended(ends);
        Ok(turned)
    }

    /// Settles attempts.
    pub async fn settle_jobs(&self, results: Vec<JobResult>) -> Result<(), StoreError> {
        self.turn_jobs(JobTurn { settle: results, ..JobTurn::default() }).await.map(drop)
    }

    /// Gives attempts back that were begun and not finished: they count for nothing, and the jobs are due at once.
    pub async fn give_back_jobs(&self, attempts: Vec<(JobId, i32)>) -> Result<(), StoreError> {
        self.write(move |tx| Box::pin(async move { settle::give_back(tx, &attempts).await })).await
    }

    /// Frees what another run of a node had claimed that is known to be over, so that nobody waits for its leases. `None`:
    /// whatever was claimed, because nobody else can work on this database. Answers how many jobs and schedules.
    pub async fn free_leases(&self, owner: Option<Uuid>) -> Result<u64, StoreError> {
        self.write(move |tx| Box::pin(async move { settle::free_leases(tx, owner).await })).await
    }
}
