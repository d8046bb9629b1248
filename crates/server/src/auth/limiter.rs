//! So many per minute, per user or address: the generic cell rate algorithm, whose whole state is one number.
//!
//! A pure formula on the injected clock rather than a library's own: the same formula is what several nodes will
//! share through a script in Redis, and tests can move the time. The memory is bounded: whoever has not come
//! for a minute is forgotten, since their state says nothing any more.

use sanasend_model::{Clock, Timestamp, UserId};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Locks among which the callers are spread.
const SHARDS: usize = 16;
/// Callers per shard above which the idle ones are forgotten.
const SHARD_LIMIT: usize = 8192;
const MINUTE_MICROS: i64 = 60_000_000;

/// Who is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counted {
    /// A user, however it authenticates.
    User(UserId),
    /// An address, for requests without credentials.
    Address(IpAddr),
}

/// How a caller stands after a request was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Requests per minute.
    pub limit: u32,
    /// How many more would be let through at once.
    pub remaining: u32,
    /// Until `remaining` is `limit` again.
    pub reset: Duration,
    /// When this one was refused: how long to wait.
    pub wait: Option<Duration>,
}

/// Counts requests.
#[derive(Debug)]
pub struct Limiter {
    /// Per caller the theoretical arrival time, in microseconds.
    shards: Vec<Mutex<HashMap<Counted, i64>>>,
    hasher: RandomState,
    clock: Arc<dyn Clock>,
}

impl Limiter {
    /// Nobody counted yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher: RandomState::new(), clock }
    }

    /// Counts one request of `who`, who may make `per_minute` (0: as many as they like, never refused).
    pub fn count(&self, who: Counted, per_minute: u32) -> Standing {
        self.step(who, per_minute, true)
    }

    /// How `who` stands, without counting.
    pub fn look(&self, who: Counted, per_minute: u32) -> Standing {
        self.step(who, per_minute, false)
    }

    fn step(&self, who: Counted, per_minute: u32, take: bool) -> Standing {
        if per_minute == 0 {
            return Standing { limit: 0, remaining: 0, reset: Duration::ZERO, wait: None };
        }
        let now = micros(self.clock.now());
        let shard = usize::try_from(self.hasher.hash_one(who)).unwrap_or(0) % SHARDS;
        let mut shard = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= SHARD_LIMIT {
            forget_idle(&mut shard, now);
        }
        let before = shard.get(&who).copied().unwrap_or(now);
        let (after, standing) = arrive(before, now, per_minute);
        if take && standing.wait.is_none() {
            shard.insert(who, after);
        }
        standing
    }
}

/// Drops those whose minute is over; if a flood leaves none such, all: forgetting is generous, growing is not.
fn forget_idle(shard: &mut HashMap<Counted, i64>, now: i64) {
    shard.retain(|_, arrival| *arrival > now);
    if shard.len() >= SHARD_LIMIT {
        shard.clear();
    }
}

/// The formula: a request moves the arrival time on by one interval; it is refused when that is more than a
/// minute ahead of now.
fn arrive(before: i64, now: i64, per_minute: u32) -> (i64, Standing) {
    let interval = (MINUTE_MICROS / i64::from(per_minute)).max(1);
    // A clock that jumped back must not lock anybody out for longer than a minute.
    let start = before.max(now).min(now + MINUTE_MICROS);
    let after = start + interval;
    let ahead = after - now;
    let span = |micros: i64| Duration::from_micros(u64::try_from(micros).unwrap_or(0));
    if ahead > MINUTE_MICROS {
        let wait = Some(span(ahead - MINUTE_MICROS));
        return (start, Standing { limit: per_minute, remaining: 0, reset: span(start - now), wait });
    }
    let remaining = u32::try_from((MINUTE_MICROS - ahead) / interval).unwrap_or(0);
    (after, Standing { limit: per_minute, remaining, reset: span(ahead), wait: None })
}

fn micros(at: Timestamp) -> i64 {
    at.0.saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_minute_may_come_at_once_and_then_one_per_interval() {
        let mut arrival = 0;
        for n in (0..60).rev() {
            let (after, standing) = arrive(arrival, 0, 60);
            assert_eq!((standing.remaining, standing.wait), (n, None));
            arrival = after;
        }
        let (arrival, refused) = arrive(arrival, 0, 60);
        assert_eq!((refused.remaining, refused.wait), (0, Some(Duration::from_secs(1))));
        let (_, later) = arrive(arrival, 1_000_000, 60);
        assert_eq!(later.wait, None);
    }

    #[test]
    fn a_clock_that_jumps_back_locks_nobody_out_for_long() {
        let (_, standing) = arrive(10 * MINUTE_MICROS, 0, 60);
        assert!(standing.wait.is_some_and(|wait| wait <= Duration::from_secs(1)), "{standing:?}");
    }

    #[test]
    fn a_flood_of_addresses_stays_bounded() {
        let limiter = Limiter::new(Arc::new(crate::clock::SystemClock));
        for n in 0..300_000_u32 {
            limiter.count(Counted::Address(IpAddr::from(n.to_be_bytes())), 10);
        }
        let known: usize = limiter.shards.iter().map(|shard| shard.lock().expect("shard").len()).sum();
        assert!(known <= SHARDS * SHARD_LIMIT, "{known}");
    }
}
