//! The dispatcher: one task per node that claims jobs, runs them, and settles what came of them.
//!
//! The store is never awaited job by job: outcomes are gathered while a commit runs and go out with the next one, which
//! claims new jobs at the same time. Nothing is polled: hints tell of what this process writes, and the earliest time at
//! which something is due is known. A look at the rows, by readers only, finds what other nodes wrote and what they left
//! when they died.

use super::desk::{Caps, Desk};
use super::{Inner, what};
use futures::FutureExt;
use futures::future::BoxFuture;
use sanasend_model::job::{MOST_BREAK_DOWNS, backoff};
use sanasend_model::{JobId, Timestamp};
use sanasend_store::{DueJobs, Job, JobHint, JobOutcome, JobResult, JobTurn, JobsTurned, Store, StoreError};
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until};
use tracing::Instrument as _;

/// How often the rows are looked at for what no hint told.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How soon they are looked at after another node said that it wrote some: it takes them itself, unless it can't.
const LOOK_SOON: Duration = Duration::from_millis(250);
/// How long the store is left alone after it failed.
const STORE_REST: Duration = Duration::from_secs(1);

/// A job under way.
struct Running {
    attempt: i32,
    bundle: String,
    kind: String,
    in_lane: bool,
    lease: Duration,
    renew: Instant,
    task: AbortHandle,
}

/// A visit to the store.
enum Round {
    Looked(Result<Vec<DueJobs>, StoreError>),
    Turned(Box<JobTurn>, Result<JobsTurned, StoreError>),
}

/// The task's own.
pub(super) struct Dispatcher {
    jobs: Arc<Inner>,
    desk: Desk,
    running: HashMap<JobId, Running>,
    tasks: JoinSet<JobResult>,
    settled: Vec<JobResult>,
    /// Claimed, but the server had begun to stop.
    not_begun: Vec<(JobId, i32)>,
    round: Option<BoxFuture<'static, Round>>,
    look: Instant,
    rests: Option<Instant>,
}

impl Dispatcher {
    pub(super) fn new(jobs: Arc<Inner>) -> Self {
        let mut desk = Desk::default();
        for (kind, worker) in &jobs.workers {
            let (at_once, per_bundle, per_owner) = (worker.at_once(), worker.at_once_per_bundle(), worker.at_once_per_owner());
            desk.open(kind, Caps { at_once, per_bundle, per_owner, lease: worker.lease() });
        }
        let (running, tasks, settled, not_begun) = (HashMap::new(), JoinSet::new(), Vec::new(), Vec::new());
        Self { jobs, desk, running, tasks, settled, not_begun, round: None, look: Instant::now(), rests: None }
    }

    /// Works until the server stops, and then until what runs has ended or is cut.
    pub(super) async fn run(mut self) {
        let closing = self.jobs.closing.clone();
        let cut = self.jobs.cut.clone();
        let store = self.jobs.store.clone();
        loop {
            let open = !closing.is_cancelled();
            self.begin_round(open);
            if !open && self.tasks.is_empty() && self.settled.is_empty() && self.round.is_none() {
                return self.give_back().await;
            }
            let timer = self.next_timer(open);
            tokio::select! {
                () = closing.cancelled(), if open => {}
                () = cut.cancelled() => return self.give_back().await,
                hints = store.job_hints(), if open => hints.into_iter().for_each(|hint| self.desk.hint(hint)),
                () = store.jobs_written_elsewhere(), if open => self.look = self.look.min(Instant::now() + LOOK_SOON),
                Some(ended) = self.tasks.join_next() => self.on_ended(ended.ok()),
                round = finish(&mut self.round) => { self.round = None; self.on_round(round); }
                () = sleep_until(timer) => {}
            }
        }
    }

    /// The earliest moment at which something has to be done without being told.
    fn next_timer(&self, open: bool) -> Instant {
        if self.round.is_some() {
            // Its end wakes the task; until then nothing can be done.
            return Instant::now() + LOOK_EVERY;
        }
        if let Some(rests) = self.rests {
            return rests;
        }
        let look = if open { self.look } else { Instant::now() + LOOK_EVERY };
        let renew = self.running.values().map(|running| running.renew).min();
        let due = self.desk.next_due().filter(|_| open).map(|due| Instant::now() + due.since(self.now()));
        [renew, due].into_iter().flatten().fold(look, Instant::min)
    }

    fn now(&self) -> Timestamp {
        self.jobs.clock.now()
    }

    /// Begins a visit to the store if none is under way and there is a reason for one.
    fn begin_round(&mut self, open: bool) {
        let now = Instant::now();
        if self.round.is_some() || self.rests.is_some_and(|rests| rests > now) {
            return;
        }
        self.rests = None;
        if open && self.look <= now {
            self.look = now + LOOK_EVERY;
            self.round = Some(look(self.jobs.store.clone(), self.jobs.workers.keys().copied().collect()).boxed());
            return;
        }
        let renew = self.renewals(now);
        let claim = if open { self.desk.wants(self.now()) } else { Vec::new() };
        if self.settled.is_empty() && renew.is_empty() && claim.is_empty() {
            return;
        }
        let turn = JobTurn { owner: self.jobs.owner, settle: std::mem::take(&mut self.settled), renew, claim };
        let store = self.jobs.store.clone();
        let visit = async move {
            let turned = store.turn_jobs(turn.clone()).await;
            Round::Turned(Box::new(turn), turned)
        };
        self.round = Some(visit.boxed());
    }

    /// Leases of which a third is over.
    fn renewals(&mut self, now: Instant) -> Vec<(JobId, i32, Duration)> {
        let due = self.running.iter_mut().filter(|(_, running)| running.renew <= now);
        due.map(|(id, running)| {
            running.renew = now + running.lease / 3;
            (*id, running.attempt, running.lease)
        })
        .collect()
    }

    fn on_round(&mut self, round: Round) {
        match round {
            Round::Looked(Ok(due)) => due.into_iter().for_each(|due| self.desk.found(due)),
            Round::Turned(_, Ok(turned)) => {
                turned.next.into_iter().for_each(|due| self.desk.found(due));
                turned.lost.into_iter().for_each(|id| self.on_lost(id));
                turned.claimed.into_iter().for_each(|job| self.begin(job));
            }
            Round::Looked(Err(error)) => {
                self.look = Instant::now();
                self.store_is_down(&error);
            }
            Round::Turned(turn, Err(error)) => {
                self.settled.splice(..0, turn.settle);
                self.desk.unclaimed(&turn.claim, self.jobs.clock.now());
                for (id, ..) in turn.renew {
                    if let Some(running) = self.running.get_mut(&id) {
                        running.renew = Instant::now();
                    }
                }
                self.store_is_down(&error);
            }
        }
    }

    fn store_is_down(&mut self, error: &StoreError) {
        tracing::warn!(%error, "the store did not take what concerns jobs; it waits");
        self.rests = Some(Instant::now() + STORE_REST);
    }

    /// Runs a job in a task of its own.
    fn begin(&mut self, job: Job) {
        let (id, attempt, kind, in_lane) = (job.id, job.attempts, job.kind.clone(), job.lane.is_some());
        let worker = self.jobs.workers.get(kind.as_str()).cloned().filter(|_| !self.jobs.closing.is_cancelled());
        let Some(worker) = worker else { return self.not_begun.push((id, attempt)) };
        let (bundle, lease, jobs) = (job.bundle.clone().unwrap_or_default(), worker.lease(), self.jobs.clone());
        let task = self.tasks.spawn(async move {
            let span = tracing::debug_span!("run_job", otel.kind = "consumer", kind = %job.kind, job = %job.id, attempt);
            let ended = AssertUnwindSafe(worker.run(&job)).catch_unwind().instrument(span).await;
            let outcome = ended.unwrap_or_else(|cause| jobs.broke_down(&job, what(cause.as_ref())));
            JobResult { id, attempt, outcome }
        });
        self.desk.began(&kind, &bundle);
        self.running.insert(id, Running { attempt, bundle, kind, in_lane, lease, renew: Instant::now() + lease / 3, task });
    }

    /// A job and all others that have ended by now.
    fn on_ended(&mut self, first: Option<JobResult>) {
        let mut ended = first;
        loop {
            if let Some(result) = ended
                && let Some(running) = self.running.remove(&result.id)
            {
                self.desk.ended(&running.kind, &running.bundle);
                crate::metrics::job_ended(&running.kind, &result.outcome);
                self.settled.push(result);
                if running.in_lane {
                    // Who stands behind it is claimed by the visit that settles it.
                    self.desk.hint(JobHint { kind: running.kind, bundle: running.bundle, due_at: Timestamp(0) });
                }
            }
            match self.tasks.try_join_next() {
                Some(next) => ended = next.ok(),
                None => return,
            }
        }
    }

    /// Somebody else has the job now: running it on would only do it twice.
    fn on_lost(&mut self, id: JobId) {
        if let Some(running) = self.running.remove(&id) {
            tracing::warn!(job = %id, kind = running.kind, "the lease of a job was lost; it is cut here");
            running.task.abort();
            self.desk.ended(&running.kind, &running.bundle);
        }
    }

    /// The end: what has ended is settled; what runs is cut, and with what was not begun given back.
    async fn give_back(mut self) {
        if let Some(round) = self.round.take() {
            let round = round.await;
            self.on_round(round);
        }
        self.on_ended(None);
        self.tasks.abort_all();
        self.not_begun.extend(self.running.iter().map(|(id, running)| (*id, running.attempt)));
        if self.settled.is_empty() && self.not_begun.is_empty() {
            return;
        }
        let store = &self.jobs.store;
        let (settled, given_back) = (store.settle_jobs(self.settled).await, store.give_back_jobs(self.not_begun).await);
        if let Err(error) = settled.and(given_back) {
            tracing::warn!(%error, "jobs could not be given back; they run again when their leases end");
        }
    }
}

impl Inner {
    /// What a panic means for a job.
    fn broke_down(&self, job: &Job, cause: &str) -> JobOutcome {
        tracing::error!(job = %job.id, kind = job.kind, attempt = job.attempts, cause, "a job broke down");
        let reason = format!("The worker broke down: {cause}");
        let attempts = u32::try_from(job.attempts).unwrap_or(0);
        if attempts >= MOST_BREAK_DOWNS {
            return JobOutcome::Dead { reason };
        }
        JobOutcome::Retry { due_at: self.clock.now().plus(backoff(attempts, self.jitter())), reason, keep_lane: true }
    }
}

async fn look(store: Store, kinds: Vec<&'static str>) -> Round {
    let mut found = Vec::new();
    for kind in kinds {
        match store.due_jobs(kind).await {
            Ok(due) => found.extend(due),
            Err(error) => return Round::Looked(Err(error)),
        }
    }
    Round::Looked(Ok(found))
}

/// Waits for the running round; for ever when there is none.
async fn finish(round: &mut Option<BoxFuture<'static, Round>>) -> Round {
    match round {
        Some(round) => round.await,
        None => std::future::pending().await,
    }
}
