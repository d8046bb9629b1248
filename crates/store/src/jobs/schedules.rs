//! Schedules: what is done again and again, once per tick in the whole cluster.
//!
//! A row per schedule holds when it runs next. The node that moves the row under its lease first runs the tick; the others
//! find it taken. A tick that was missed while nothing ran is run once, since the row still says that it is due.

use crate::dialect::{query, query_as, refused};
use crate::{Store, StoreError};
use sanasend_model::Timestamp;
use std::time::Duration;
use uuid::Uuid;

/// A schedule as the database knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleRow {
    /// Its name.
    pub name: String,
    /// When it runs, as a cron expression in UTC.
    pub cron: String,
    /// The next tick; in the past while it is late or running.
    pub next_run: Timestamp,
    /// Until when a node has it; it is running then.
    pub leased_until: Option<Timestamp>,
    /// When the last run began.
    pub last_run: Option<Timestamp>,
    /// How long the last finished run took.
    pub last_took: Option<Duration>,
    /// Whether the last finished run came to a good end.
    pub succeeded: Option<bool>,
    /// What the last finished run said.
    pub detail: Option<String>,
}

/// The end of a run.
#[derive(Debug, Clone)]
pub struct ScheduleRun {
    /// The schedule.
    pub name: String,
    /// The run of the node that had it.
    pub owner: Uuid,
    /// The next tick.
    pub next_run: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What it said; an error when it failed.
    pub outcome: Result<String, String>,
}

type Row = (String, String, i64, Option<i64>, Option<i64>, Option<i64>, Option<String>, Option<String>);

fn read(row: Row) -> ScheduleRow {
    let (name, cron, next_run, leased_until, last_run, last_took, outcome, detail) = row;
    ScheduleRow {
        name,
        cron,
        next_run: Timestamp(next_run),
        leased_until: leased_until.map(Timestamp),
        last_run: last_run.map(Timestamp),
        last_took: last_took.map(|millis| Duration::from_millis(u64::try_from(millis).unwrap_or(0))),
        succeeded: outcome.map(|outcome| outcome == "ok"),
        detail,
    }
}

const COLUMNS: &str = "SELECT name, cron, next_run, leased_until, last_run, last_took, outcome, detail FROM schedules ORDER BY name";

impl Store {
    /// Makes a schedule known; one that is known keeps its next tick, unless its cron expression is another one now.
    pub async fn keep_schedule(&self, name: &str, cron: &str, next_run: Timestamp) -> Result<(), StoreError> {
        let (name, cron) = (name.to_owned(), cron.to_owned());
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "INSERT INTO schedules (name, cron, next_run) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE \
                           SET cron = excluded.cron, next_run = excluded.next_run WHERE schedules.cron <> excluded.cron";
                let insert = query(sql).bind(name).bind(cron).bind(next_run.0);
                insert.execute(&mut tx.conn).await.map(drop).map_err(refused)
            })
        })
        .await
    }

    /// All schedules that were ever made known, by name.
    pub async fn schedules(&self) -> Result<Vec<ScheduleRow>, StoreError> {
        let rows = query_as::<_, Row>(COLUMNS).fetch_all(&self.inner.readers).await.map_err(refused)?;
        Ok(rows.into_iter().map(read).collect())
    }

    /// Takes a schedule whose tick is due and that nobody runs; false when somebody was quicker.
    pub async fn begin_schedule(&self, name: &str, owner: Uuid, lease: Duration) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.write(move |tx| {
            Box::pin(async move {
                let now = tx.clock.now();
                let sql = "UPDATE schedules SET leased_until = ?, owner = ?, last_run = ? \
                           WHERE name = ? AND next_run <= ? AND (leased_until IS NULL OR leased_until <= ?)";
                let update = query(sql).bind(now.plus(lease).0).bind(owner).bind(now.0).bind(name).bind(now.0).bind(now.0);
                update.execute(&mut tx.conn).await.map(|done| done.rows_affected() > 0).map_err(refused)
            })
        })
        .await
    }

    /// Keeps a schedule longer; false when it is not this owner's any more.
    pub async fn renew_schedule(&self, name: &str, owner: Uuid, lease: Duration) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "UPDATE schedules SET leased_until = ? WHERE name = ? AND owner = ?";
                let update = query(sql).bind(tx.clock.now().plus(lease).0).bind(name).bind(owner);
                update.execute(&mut tx.conn).await.map(|done| done.rows_affected() > 0).map_err(refused)
            })
        })
        .await
    }

    /// Writes the end of a run down, unless another owner has the schedule by now.
    pub async fn end_schedule(&self, run: ScheduleRun) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "UPDATE schedules SET leased_until = NULL, owner = NULL, next_run = ?, last_took = ?, outcome = ?, detail = ? \
                           WHERE name = ? AND owner = ?";
                let took = i64::try_from(run.took.as_millis()).unwrap_or(i64::MAX);
                let outcome = if run.outcome.is_ok() { "ok" } else { "failed" };
                let detail = run.outcome.unwrap_or_else(|error| error);
                let update = query(sql).bind(run.next_run.0).bind(took).bind(outcome).bind(detail).bind(run.name).bind(run.owner);
                update.execute(&mut tx.conn).await.map(drop).map_err(refused)
            })
        })
        .await
    }

    /// Makes a schedule due now; false when it is running or unknown.
    pub async fn hasten_schedule(&self, name: &str) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.write(move |tx| {
            Box::pin(async move {
                let now = tx.clock.now();
                let sql = "UPDATE schedules SET next_run = ? WHERE name = ? AND (leased_until IS NULL OR leased_until <= ?)";
                let update = query(sql).bind(now.0).bind(name).bind(now.0);
                update.execute(&mut tx.conn).await.map(|done| done.rows_affected() > 0).map_err(refused)
            })
        })
        .await
    }
}
