//! What is due: messages that waited for their date, and runs of recurring sends.
//!
//! One task per node. It knows the next date and sleeps until then; whoever hands in an earlier one wakes it. Every node may
//! look at the same moment, since the store moves each message once, and each run is accepted under its own key; so the end
//! of one node delays nothing. The clock is looked at each second, without asking the database: it may have been set.

use super::Outbox;
use sanasend_model::Timestamp;
use sanasend_store::StoreError;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How often the clock is looked at.
const TICK: Duration = Duration::from_secs(1);
/// How often the database is asked for dates that another node was handed and did not live to keep.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long the store is left alone after it failed.
const STORE_REST: Duration = Duration::from_secs(1);

/// The next date, as far as this node knows.
pub(super) struct Dates {
    next: AtomicI64,
    earlier: Notify,
}

impl Default for Dates {
    fn default() -> Self {
        Self { next: AtomicI64::new(i64::MAX), earlier: Notify::new() }
    }
}

impl Dates {
    /// Something is due then.
    pub(super) fn note(&self, due: Timestamp) {
        if self.next.fetch_min(due.0, Ordering::SeqCst) > due.0 {
            self.earlier.notify_one();
        }
    }

    fn next(&self) -> Timestamp {
        Timestamp(self.next.load(Ordering::SeqCst))
    }
}

impl Outbox {
    /// Does what is due, for ever.
    pub(super) async fn keep_dates(self) {
        loop {
            if let Err(error) = self.do_what_is_due().await {
                tracing::warn!(%error, "what is due could not be looked at");
                tokio::time::sleep(STORE_REST).await;
                continue;
            }
            let look_again = Instant::now() + LOOK_EVERY;
            loop {
                let left = self.dates.next().since(self.clock.now());
                if left.is_zero() || Instant::now() >= look_again {
                    break;
                }
                tokio::select! {
                    () = tokio::time::sleep(left.min(TICK)) => {}
                    () = self.dates.earlier.notified() => {}
                }
            }
        }
    }

    async fn do_what_is_due(&self) -> Result<(), StoreError> {
        // Whatever is handed in from here on is noted anew.
        self.dates.next.store(i64::MAX, Ordering::SeqCst);
        let now = self.clock.now();
        let released = self.store.release_due(now).await?;
        released.sessions.iter().for_each(|session| self.sessions.wake(*session));
        if released.released + released.failed > 0 {
            tracing::info!(released = released.released, failed = released.failed, "messages reached their date");
        }
        self.run_recurring(now).await?;
        for due in [self.store.next_scheduled().await?, self.store.next_recurring().await?].into_iter().flatten() {
            self.dates.next.fetch_min(due.0, Ordering::SeqCst);
        }
        Ok(())
    }
}
