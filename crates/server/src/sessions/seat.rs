//! What of a session outlives its driver: the truth shown to people, the bell, the time of the last sign of life, and what
//! WhatsApp told that is not written yet.

use super::live::Live;
use super::untold::Untold;
use sanasend_model::{Clock, SessionStatus, Timestamp};
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// One session's place in the registry, shared by its driver, the HTTP API and the inbox.
pub struct Seat {
    live: watch::Sender<Live>,
    bell: Notify,
    last_active: AtomicI64,
    beat: Mutex<Instant>,
    untold: Untold,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("live", &*self.live.borrow()).finish_non_exhaustive()
    }
}

impl Seat {
    /// A seat that shows `live` until a driver knows better.
    pub fn new(live: Live, last_active: Option<Timestamp>, clock: Arc<dyn Clock>) -> Self {
        Self {
            live: watch::Sender::new(live),
            bell: Notify::new(),
            last_active: AtomicI64::new(last_active.map_or(i64::MIN, |at| at.0)),
            beat: Mutex::new(Instant::now()),
            untold: Untold::default(),
            clock,
        }
    }

    /// What the session is right now.
    pub fn live(&self) -> Live {
        self.live.borrow().clone()
    }

    /// The status that people see.
    pub fn status(&self) -> SessionStatus {
        self.live.borrow().status
    }

    /// Whether the account's credentials are whole.
    pub fn is_linked(&self) -> bool {
        self.live.borrow().linked
    }

    /// Until when WhatsApp limits messages to people who never wrote to the account.
    pub fn limited_until(&self) -> Option<Timestamp> {
        self.live.borrow().limited_until
    }

    /// Follows the truth as it changes.
    pub fn watch(&self) -> watch::Receiver<Live> {
        self.live.subscribe()
    }

    /// Whether anybody follows the truth.
    pub fn is_watched(&self) -> bool {
        self.live.receiver_count() > 0
    }

    /// Changes the truth; watchers hear of it only when something is different.
    pub fn show(&self, change: impl FnOnce(&mut Live)) {
        self.live.send_if_modified(|live| {
            let before = live.clone();
            change(live);
            *live != before
        });
    }

    /// The outbox may hold work. Rings are not counted: one look finds everything.
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    /// Waits for the next ring.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }

    /// What WhatsApp told, and a driver that ended could not write.
    pub(super) fn untold(&self) -> &Untold {
        &self.untold
    }

    /// The driver went through its loop: it hears.
    pub fn beat(&self) {
        *self.beat.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long the driver did not go through its loop.
    pub fn silence(&self) -> Duration {
        self.beat.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// As if the driver had not gone through its loop for so long.
    #[cfg(test)]
    pub(super) fn fall_silent(&self, since: Duration) {
        *self.beat.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() - since;
    }

    /// WhatsApp gave a sign of life.
    pub fn touch(&self) {
        self.last_active.store(self.clock.now().0, Ordering::Relaxed);
    }

    /// The last sign of life.
    pub fn last_active(&self) -> Option<Timestamp> {
        let at = self.last_active.load(Ordering::Relaxed);
        (at != i64::MIN).then_some(Timestamp(at))
    }
}
