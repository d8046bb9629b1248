//! A job, the figures of a kind and a schedule, as admins see them.

use crate::jobs::ScheduleState;
use sanasend_model::{JobId, JobState, Timestamp, UserId};
use sanasend_store::{Job, JobCount};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A piece of background work. One that was done is gone.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Job")]
pub struct JobView {
    /// Id.
    #[schema(value_type = String, format = "uuid", example = "01936b1e-7a40-7c3e-8b5e-2f6d1c0a9e77")]
    pub(crate) id: JobId,
    /// What is to be done.
    #[schema(example = "webhook.deliver")]
    pub(crate) kind: String,
    /// How it stands.
    #[schema(value_type = String, example = "dead")]
    pub(crate) state: JobState,
    /// Jobs of one lane run one at a time, in the order of making.
    pub(crate) lane: Option<String>,
    /// Jobs of one bundle share a cap of concurrency.
    pub(crate) bundle: Option<String>,
    /// For whom.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub(crate) user: Option<UserId>,
    /// What the work is about.
    #[schema(value_type = Object)]
    pub(crate) payload: Value,
    /// Attempts begun.
    #[schema(example = 3)]
    pub(crate) attempts: i32,
    /// When it was made.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T08:30:00.000Z")]
    pub(crate) created_at: Timestamp,
    /// When it may run; `null` when it was given up.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) due_at: Option<Timestamp>,
    /// While it runs: when another node may take it over, unless it is renewed.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) leased_until: Option<Timestamp>,
    /// When the last attempt began.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) started_at: Option<Timestamp>,
    /// When it was given up.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) ended_at: Option<Timestamp>,
    /// Why the last attempt came to nothing.
    #[schema(example = "the receiver answered 500")]
    pub(crate) last_error: Option<String>,
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        let when = |state: JobState| (job.state == state).then_some(job.due_at);
        Self {
            due_at: when(JobState::Waiting),
            leased_until: when(JobState::Running),
            id: job.id,
            kind: job.kind,
            state: job.state,
            lane: job.lane,
            bundle: job.bundle,
            user: job.user_id,
            payload: job.payload,
            attempts: job.attempts,
            created_at: job.created_at,
            started_at: job.started_at,
            ended_at: job.ended_at,
            last_error: job.last_error,
        }
    }
}

/// Figures of one kind of job.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct KindView {
    /// The kind.
    #[schema(example = "webhook.deliver")]
    pub kind: String,
    /// Jobs that wait for their time or their turn.
    #[schema(example = 12)]
    pub waiting: u64,
    /// Jobs that run now.
    #[schema(example = 2)]
    pub running: u64,
    /// Jobs that were given up.
    #[schema(example = 0)]
    pub dead: u64,
    /// When the first of those that wait may run; long past when the queue does not keep up.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub oldest_due: Option<Timestamp>,
}

impl From<JobCount> for KindView {
    fn from(count: JobCount) -> Self {
        let JobCount { kind, waiting, running, dead, oldest_due } = count;
        Self { kind, waiting, running, dead, oldest_due }
    }
}

/// What is done again and again.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Schedule")]
pub struct ScheduleView {
    /// Its name.
    #[schema(example = "events.sweep")]
    pub(crate) name: String,
    /// What it does.
    #[schema(example = "Removes old entries of the event log.")]
    pub(crate) about: String,
    /// When it runs, as a cron expression in UTC.
    #[schema(example = "29 * * * *")]
    pub(crate) cron: String,
    /// Whether it runs now.
    pub(crate) running: bool,
    /// The next run.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T09:29:00.000Z")]
    pub(crate) next_run: Timestamp,
    /// When the last run began.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) last_run: Option<Timestamp>,
    /// How the last finished run ended: `ok` or `failed`.
    #[schema(example = "ok")]
    pub(crate) outcome: Option<&'static str>,
    /// What the last finished run said.
    #[schema(example = "removed 120 events")]
    pub(crate) detail: Option<String>,
    /// How long the last finished run took, in milliseconds.
    #[schema(example = 7)]
    pub(crate) took_ms: Option<u64>,
}

impl ScheduleView {
    /// A schedule at this moment.
    pub fn at(state: ScheduleState, now: Timestamp) -> Self {
        let row = state.row;
        Self {
            name: row.name,
            about: state.about.to_owned(),
            cron: row.cron,
            running: row.leased_until.is_some_and(|until| until > now),
            next_run: row.next_run,
            last_run: row.last_run,
            outcome: row.succeeded.map(|succeeded| if succeeded { "ok" } else { "failed" }),
            detail: row.detail,
            took_ms: row.last_took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

/// All background work at a glance.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobSummary {
    /// Figures of every kind, by name.
    pub kinds: Vec<KindView>,
    /// All schedules, by name.
    pub schedules: Vec<ScheduleView>,
}

/// How many jobs were put back on their way.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Retried {
    /// How many.
    #[schema(example = 12)]
    pub count: u64,
}
