//! Schedules: runs what is due, once per tick in the whole cluster.
//!
//! Every node waits for the next tick and then tries to take it; the row of the schedule lets one of them. What was missed
//! while nothing ran is run once at the start, because the row still says that it is due.

use super::{Inner, Jobs, what};
use anyhow::Context;
use chrono::{DateTime, Utc};
use croner::Cron;
use futures::FutureExt;
use futures::future::BoxFuture;
use sanasend_model::Timestamp;
use sanasend_store::{ScheduleRow, ScheduleRun, StoreError};
use std::panic::AssertUnwindSafe;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// For how long a node has a schedule; renewed while it runs.
const LEASE: Duration = Duration::from_secs(30);
/// Longest wait before the rows are looked at again.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// How long the store is left alone after it failed.
const STORE_REST: Duration = Duration::from_secs(1);

/// Does the work of a tick; what it answers is shown to admins, like "removed 12 rows".
pub type ScheduleAct = Arc<dyn Fn() -> BoxFuture<'static, anyhow::Result<String>> + Send + Sync>;

/// What is done again and again.
#[derive(Clone)]
pub struct Schedule {
    /// Its name: stable, `<noun>.<verb>` like `events.sweep`.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// When, as a cron expression in UTC with five fields, or six with seconds in front.
    pub cron: String,
    /// What is done. It may be cut by a kill, and then runs again.
    pub run: ScheduleAct,
}

/// A schedule with its cron expression read.
pub(super) struct Ticking {
    pub(super) schedule: Schedule,
    cron: Cron,
}

/// A schedule as people see it.
#[derive(Debug, Clone)]
pub struct ScheduleState {
    /// What it does.
    pub about: &'static str,
    /// Its row.
    pub row: ScheduleRow,
}

impl Ticking {
    pub(super) fn new(schedule: Schedule) -> anyhow::Result<Self> {
        let cron = Cron::from_str(&schedule.cron);
        let cron = cron.with_context(|| format!("the schedule {} has no cron expression: `{}`", schedule.name, schedule.cron))?;
        Ok(Self { schedule, cron })
    }

    /// The first tick after `now`; a day later when the expression never comes true.
    pub(super) fn next(&self, now: Timestamp) -> Timestamp {
        let from = DateTime::<Utc>::from_timestamp_millis(now.0).unwrap_or_default();
        let next = self.cron.find_next_occurrence(&from, false).map(|next| Timestamp(next.timestamp_millis()));
        next.unwrap_or_else(|_| now.plus(Duration::from_hours(24)))
    }
}

/// Runs the schedules until the server stops.
pub(super) async fn run(jobs: Arc<Inner>) {
    let closing = jobs.closing.clone();
    if closing.run_until_cancelled(make_known(&jobs)).await.is_none() {
        return;
    }
    let mut runs = JoinSet::new();
    loop {
        let wait = match jobs.store.schedules().await {
            Ok(rows) => begin_due(&jobs, &rows, &mut runs),
            Err(error) => {
                tracing::warn!(%error, "schedules can't be read");
                STORE_REST
            }
        };
        tokio::select! {
            () = closing.cancelled() => break,
            () = jobs.hurry.notified() => {}
            Some(_) = runs.join_next() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    // A run that is cut here runs again with the next process; it has to bear that.
    while jobs.cut.run_until_cancelled(runs.join_next()).await.flatten().is_some() {}
}

async fn make_known(jobs: &Inner) {
    for ticking in &jobs.schedules {
        let Schedule { name, cron, .. } = &ticking.schedule;
        while let Err(error) = jobs.store.keep_schedule(name, cron, ticking.next(jobs.clock.now())).await {
            tracing::warn!(%error, "schedules can't be written down yet");
            tokio::time::sleep(STORE_REST).await;
        }
    }
}

/// Begins what is due; answers how long to wait for the next.
fn begin_due(jobs: &Arc<Inner>, rows: &[ScheduleRow], runs: &mut JoinSet<()>) -> Duration {
    let now = jobs.clock.now();
    let mut wait = LONGEST_WAIT;
    for (at, ticking) in jobs.schedules.iter().enumerate() {
        let Some(row) = rows.iter().find(|row| row.name == ticking.schedule.name) else { continue };
        let free_at = row.next_run.max(row.leased_until.unwrap_or(row.next_run));
        if free_at > now {
            wait = wait.min(free_at.since(now));
        } else {
            runs.spawn(run_one(jobs.clone(), at));
            // Who else takes it writes its row; this node looks again soon.
            wait = wait.min(STORE_REST);
        }
    }
    wait.max(Duration::from_millis(1))
}

/// Runs one tick, if this node gets it.
async fn run_one(jobs: Arc<Inner>, at: usize) {
    let Some(ticking) = jobs.schedules.get(at) else { return };
    let name = ticking.schedule.name;
    match jobs.store.begin_schedule(name, jobs.owner, LEASE).await {
        Ok(true) => {}
        Ok(false) => return,
        Err(error) => return tracing::warn!(schedule = name, %error, "a schedule could not be taken"),
    }
    let began = Instant::now();
    let Some(outcome) = jobs.cut.run_until_cancelled(attended(&jobs, ticking)).await else { return };
    match &outcome {
        Ok(said) => tracing::debug!(schedule = name, said, "a schedule ran"),
        Err(error) => tracing::warn!(schedule = name, error, "a schedule failed; it runs again with its next tick"),
    }
    let (next_run, took) = (ticking.next(jobs.clock.now()), began.elapsed());
    let run = ScheduleRun { name: name.to_owned(), owner: jobs.owner, next_run, took, outcome };
    if let Err(error) = jobs.store.end_schedule(run).await {
        tracing::warn!(schedule = name, %error, "the end of a schedule could not be written down");
    }
}

/// Does the work, and keeps the lease meanwhile. A panic is a failure.
async fn attended(jobs: &Inner, ticking: &Ticking) -> Result<String, String> {
    let name = ticking.schedule.name;
    let work = AssertUnwindSafe(async { (ticking.schedule.run)().await }).catch_unwind();
    tokio::pin!(work);
    loop {
        match tokio::time::timeout(LEASE / 3, &mut work).await {
            Ok(Ok(outcome)) => return outcome.map_err(|error| format!("{error:#}")),
            Ok(Err(cause)) => return Err(format!("it broke down: {}", what(cause.as_ref()))),
            Err(_) => {
                if let Err(error) = jobs.store.renew_schedule(name, jobs.owner, LEASE).await {
                    tracing::warn!(schedule = name, %error, "a schedule could not be kept; another node may run it too");
                }
            }
        }
    }
}

impl Jobs {
    /// The schedules of this program and how they stand, by name. One that was never written down yet is left out.
    ///
    /// # Errors
    /// When the store is down.
    pub async fn schedules(&self) -> Result<Vec<ScheduleState>, StoreError> {
        let rows = self.inner.store.schedules().await?;
        let ours = |row: ScheduleRow| {
            let known = self.inner.schedules.iter().find(|ticking| ticking.schedule.name == row.name)?;
            Some(ScheduleState { about: known.schedule.about, row })
        };
        Ok(rows.into_iter().filter_map(ours).collect())
    }

    /// Runs a schedule as soon as may be. `None` when there is none of that name; false when it is running.
    ///
    /// # Errors
    /// When the store is down.
    pub async fn hasten(&self, name: &str) -> Result<Option<bool>, StoreError> {
        if !self.inner.schedules.iter().any(|ticking| ticking.schedule.name == name) {
            return Ok(None);
        }
        let hastened = self.inner.store.hasten_schedule(name).await?;
        self.inner.hurry.notify_one();
        Ok(Some(hastened))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticking(cron: &str) -> anyhow::Result<Ticking> {
        let run: ScheduleAct = Arc::new(|| Box::pin(async { Ok(String::new()) }));
        Ticking::new(Schedule { name: "test.run", about: "", cron: cron.into(), run })
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a time")
    }

    #[test]
    fn the_next_tick_is_after_now_in_utc() {
        for (cron, now, next) in [
            ("*/5 * * * *", "2026-11-21T00:00:00Z", "2026-11-21T00:05:00Z"),
            ("17 3 * * *", "2026-11-21T03:17:00Z", "2026-11-22T03:17:00Z"),
            ("0 0 1 * *", "2026-11-21T12:00:00Z", "2026-12-01T00:00:00Z"),
            ("*/10 * * * * *", "2026-11-21T00:00:03Z", "2026-11-21T00:00:10Z"),
        ] {
            assert_eq!(ticking(cron).map(|ticking| ticking.next(at(now))).expect("read"), at(next), "{cron}");
        }
    }

    #[test]
    fn what_is_no_cron_expression_is_refused() {
        let refused = ticking("every day").err().expect("refused");
        assert!(refused.to_string().contains("test.run"), "{refused}");
    }
}
