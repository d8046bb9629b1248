//! The machine's clock, which a test can move on or stop.

use sanasend::clock::SystemClock;
use sanasend_model::{Clock, Timestamp};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// The present moment plus what was added; or, once stopped, the moment of the stop plus what was added.
#[derive(Debug, Default)]
pub struct MovableClock {
    added: AtomicI64,
    /// 0 while it goes.
    stopped_at: AtomicI64,
}

impl MovableClock {
    /// Lets time pass at once.
    pub fn pass(&self, time: Duration) {
        self.added.fetch_add(i64::try_from(time.as_millis()).expect("a short time"), Ordering::SeqCst);
    }

    /// From now on only [`MovableClock::pass`] moves it, so that a slow machine changes nothing.
    pub fn stop(&self) {
        self.stopped_at.store(SystemClock.now().0, Ordering::SeqCst);
    }
}

impl Clock for MovableClock {
    fn now(&self) -> Timestamp {
        let base = match self.stopped_at.load(Ordering::SeqCst) {
            0 => SystemClock.now().0,
            stopped => stopped,
        };
        Timestamp(base + self.added.load(Ordering::SeqCst))
    }

    fn fill(&self, bytes: &mut [u8]) {
        SystemClock.fill(bytes);
    }
}
