//! How guessing is slowed down: wrong passwords per user name, wrong passwords and keys per address.
//!
//! Rules over small states that somebody keeps (this process, or a Redis that nodes share). An attempt counts as wrong
//! when it begins and is forgiven when it succeeds, so that a burst of parallel guesses can't slip through before
//! the first of them has failed.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The window in which an address is counted.
pub const WINDOW: Duration = Duration::from_mins(1);
/// A user name without failures for so long starts anew.
pub const FORGIVEN_AFTER: Duration = Duration::from_hours(24);
/// First lock of a user name; each further failure doubles it.
const FIRST_LOCK: Duration = Duration::from_secs(1);

/// What is tolerated.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Wrong passwords or keys of one address per minute.
    pub bad_per_minute: u32,
    /// Wrong passwords in a row for one user name before it is locked for a while.
    pub failures_before_lock: u32,
    /// Longest lock.
    pub longest_lock: Duration,
}

/// How long the caller must wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait(pub Duration);

/// What is kept of a user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Name {
    /// Failures in a row, those that are still being tried included.
    pub failures: u32,
    /// The last of them, Unix milliseconds.
    pub last: i64,
    /// Until when nothing is tried, Unix milliseconds.
    pub locked_until: i64,
}

impl Name {
    /// One more attempt.
    ///
    /// # Errors
    /// How long the name is locked.
    pub fn attempt(self, now: Timestamp, bounds: &Bounds) -> Result<Self, Wait> {
        let locked_until = Timestamp(self.locked_until);
        if now < locked_until {
            return Err(Wait(locked_until.since(now)));
        }
        let forgotten = now.since(Timestamp(self.last)) > FORGIVEN_AFTER;
        let failures = if forgotten { 1 } else { self.failures.saturating_add(1) };
        Ok(Self { failures, last: now.0, locked_until: now.plus(lock_after(failures, bounds)).0 })
    }

    /// How long the name is locked from `now` on; `None` when it is not.
    #[must_use]
    pub fn lock(self, now: Timestamp) -> Option<Duration> {
        let until = Timestamp(self.locked_until);
        (now < until).then(|| until.since(now))
    }
}

/// What is kept of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Address {
    /// Beginning of its window, Unix milliseconds.
    pub since: i64,
    /// Bad attempts within it.
    pub bad: u32,
}

impl Address {
    /// One more bad attempt.
    ///
    /// # Errors
    /// How long to wait, when it was one too many.
    pub fn bad(self, now: Timestamp, bounds: &Bounds) -> Result<Self, Wait> {
        let since = Timestamp(self.since);
        let open = now >= since && now.since(since) < WINDOW;
        let here = if open { self } else { Self { since: now.0, bad: 0 } };
        if here.bad >= bounds.bad_per_minute {
            return Err(Wait(since.plus(WINDOW).since(now)));
        }
        Ok(Self { bad: here.bad + 1, ..here })
    }

    /// One of them was none.
    #[must_use]
    pub const fn forgiven(self) -> Self {
        Self { bad: self.bad.saturating_sub(1), ..self }
    }
}

fn lock_after(failures: u32, bounds: &Bounds) -> Duration {
    let Some(over) = failures.checked_sub(bounds.failures_before_lock) else { return Duration::ZERO };
    FIRST_LOCK.saturating_mul(1_u32 << over.min(20)).min(bounds.longest_lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { bad_per_minute: 10, failures_before_lock: 5, longest_lock: Duration::from_mins(15) };

    #[test]
    fn a_name_is_locked_after_failures_and_the_lock_doubles_up_to_a_bound() {
        let (mut name, mut now) = (Name::default(), Timestamp(1_000_000));
        for _ in 0..5 {
            assert_eq!(name.lock(now), None);
            name = name.attempt(now, &BOUNDS).expect("the first five are let through");
        }
        let mut wait = 1;
        for _ in 0..15 {
            assert_eq!(name.lock(now), Some(Duration::from_secs(wait)));
            assert_eq!(name.attempt(now, &BOUNDS), Err(Wait(Duration::from_secs(wait))));
            now = now.plus(Duration::from_secs(wait));
            name = name.attempt(now, &BOUNDS).expect("one more try after the lock");
            wait = (wait * 2).min(900);
        }
        now = now.plus(FORGIVEN_AFTER + Duration::from_secs(1));
        assert_eq!(name.attempt(now, &BOUNDS).map(|name| name.failures), Ok(1));
    }

    #[test]
    fn an_address_is_let_go_after_its_window() {
        let (mut address, now) = (Address::default(), Timestamp(1_000_000));
        for _ in 0..10 {
            address = address.bad(now, &BOUNDS).expect("tolerated");
        }
        assert_eq!(address.bad(now.plus(Duration::from_secs(20)), &BOUNDS), Err(Wait(Duration::from_secs(40))));
        assert!(address.forgiven().bad(now, &BOUNDS).is_ok());
        assert_eq!(address.bad(now.plus(WINDOW), &BOUNDS).map(|address| address.bad), Ok(1));
        assert_eq!(address.bad(now.minus(Duration::from_secs(5)), &BOUNDS).map(|address| address.bad), Ok(1), "a clock that jumped back");
    }
}
