//! The one place of this crate that reads the wall clock and the random source.
//!
//! It is apart so that a reader can see at a glance everything here that is not
//! determined by its input. Durations and timers do not pass through it: they use
//! `tokio::time`, which follows a test's virtual time.

use rand::rngs::StdRng;
use rand::{Rng, RngExt};
use std::time::{SystemTime, UNIX_EPOCH};

/// Time of day and randomness. Copy it freely: it holds nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// Milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn unix_millis(self) -> i64 {
        #[expect(clippy::disallowed_methods, reason = "this module is the one reader of the wall clock")]
        let now = SystemTime::now();
        now.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// Seconds since 1970-01-01 UTC, the unit of every `t` attribute on the wire.
    #[must_use]
    pub fn unix_seconds(self) -> i64 {
        self.unix_millis() / 1000
    }

    /// A cryptographic generator, seeded by the operating system.
    #[must_use]
    pub fn random(self) -> StdRng {
        rand::make_rng::<StdRng>()
    }

    /// `N` random bytes.
    #[must_use]
    pub fn bytes<const N: usize>(self) -> [u8; N] {
        let mut out = [0; N];
        self.random().fill_bytes(&mut out);
        out
    }

    /// A random number below `end`. `end` must not be zero.
    #[must_use]
    pub fn below(self, end: u32) -> u32 {
        self.random().random_range(0..end.max(1))
    }
}
