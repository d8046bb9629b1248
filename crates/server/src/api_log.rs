//! What is remembered of requests: counts, all of them, and a log, as much as can be written.
//!
//! A request only adds to what waits in memory; one task writes that in batches, beside everything else that the database
//! is asked to write. So that logging never slows down what it logs, only so many rows a second are written and only
//! so many wait: in a flood that outlasts both, rows are left out of the log, and how many is told. Counts are small
//! whatever happens and are never left out. At a clean stop everything that waits is written.

use sanasend_model::latency;
use sanasend_store::{LoggedRequest, RequestCounts, Store, StoreError};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How often what waits is written.
const WRITE_EVERY: Duration = Duration::from_millis(250);
/// The same as a part of a second.
const WRITES_PER_SECOND: usize = 4;
/// Rows written in one transaction: each is nine entries in tables and indexes, and accepts that share it wait for all.
const BATCH: usize = 100;
/// Rows that wait at most.
const WAITING: usize = 50_000;
/// Tries of the last write, when the database is not there at the stop.
const LAST_TRIES: usize = 5;

/// The log. Requests are noted from everywhere, one task writes.
pub struct ApiLog {
    store: Store,
    /// Rows written per second; 0: no log, only counts.
    rows_per_second: usize,
    waiting: Mutex<Waiting>,
    /// Held while something is written, so that the last write comes after all others.
    writing: tokio::sync::Mutex<()>,
    left_out: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    rows: Vec<LoggedRequest>,
    counts: RequestCounts,
}

impl ApiLog {
    /// Nothing noted yet. At most `rows_per_second` (0: none) go into the log.
    #[must_use]
    pub fn new(store: Store, rows_per_second: usize) -> Self {
        let (waiting, writing) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { store, rows_per_second, waiting, writing, left_out: AtomicU64::new(0) }
    }

    /// Notes an answered request.
    pub fn note(&self, row: LoggedRequest) {
        let micros = u64::try_from(row.latency.as_micros()).unwrap_or(u64::MAX);
        let place = (row.at.hour(), i32::from(row.status_code / 100), latency::step(micros));
        let mut waiting = self.lock();
        *waiting.counts.hours.entry(place).or_default() += 1;
        if let Some(user) = row.user_id {
            *waiting.counts.users.entry((user, row.at.day())).or_default() += 1;
        }
        if self.rows_per_second == 0 {
            return;
        }
        if waiting.rows.len() < WAITING {
            waiting.rows.push(row);
        } else {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Requests of this process that are counted but not in the log.
    pub fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Writes what waits, until the server stops.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let mut tick = tokio::time::interval(WRITE_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = 0;
        while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
            if let Err(error) = self.write_up_to((self.rows_per_second / WRITES_PER_SECOND).max(1)).await {
                tracing::warn!(%error, "the API log could not be written; trying again");
            }
            let left_out = self.left_out();
            if left_out >= told + WAITING as u64 || (told == 0 && left_out > 0) {
                tracing::warn!(left_out, "more requests than `api_log.rows_per_second`: some are counted but not in the API log");
                told = left_out;
            }
        }
    }

    /// Writes all that waits: nothing is noted any more.
    pub async fn finish(&self) {
        for _ in 0..LAST_TRIES {
            match self.write_up_to(usize::MAX).await {
                Ok(()) => return,
                Err(error) => tracing::warn!(%error, "the rest of the API log could not be written"),
            }
        }
        let waiting = self.lock();
        tracing::error!(rows = waiting.rows.len(), users = waiting.counts.users.len(), "the end of the API log and its counts are lost");
    }

    async fn write_up_to(&self, mut rows: usize) -> Result<(), StoreError> {
        let _turn = self.writing.lock().await;
        while rows > 0 {
            let batch = Arc::new(self.take(rows.min(BATCH)));
            if batch.0.is_empty() && batch.1.is_empty() {
                return Ok(());
            }
            if let Err(error) = self.store.log_requests(batch.clone()).await {
                self.give_back(&batch);
                return Err(error);
            }
            rows = rows.saturating_sub(batch.0.len().max(1));
        }
        Ok(())
    }

    fn take(&self, rows: usize) -> (Vec<LoggedRequest>, RequestCounts) {
        let mut waiting = self.lock();
        let rows = rows.min(waiting.rows.len());
        (waiting.rows.drain(..rows).collect(), std::mem::take(&mut waiting.counts))
    }

    fn give_back(&self, (rows, counts): &(Vec<LoggedRequest>, RequestCounts)) {
        let mut waiting = self.lock();
        for (place, count) in &counts.users {
            *waiting.counts.users.entry(*place).or_default() += count;
        }
        for (place, count) in &counts.hours {
            *waiting.counts.hours.entry(*place).or_default() += count;
        }
        let room = WAITING.saturating_sub(waiting.rows.len()).min(rows.len());
        self.left_out.fetch_add(u64::try_from(rows.len() - room).unwrap_or(0), Ordering::Relaxed);
        waiting.rows.splice(..0, rows.iter().take(room).cloned());
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
