//! So many per minute: the generic cell rate algorithm, whose whole state is one number.
//!
//! Here and not beside the counters, because several memories keep that number (this process, or a Redis that nodes
//! share) and all must count by the same formula.

use std::time::Duration;

const MINUTE_MICROS: i64 = 60_000_000;

/// How somebody stands against a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// So many per minute; 0: no limit.
    pub limit: u32,
    /// How many more would be let through at once.
    pub remaining: u32,
    /// Until `remaining` is `limit` again.
    pub reset: Duration,
    /// How long to wait; `None` where the next one (or the one just counted) is let through.
    pub wait: Option<Duration>,
}

impl Standing {
    /// Nothing is limited.
    pub const FREE: Self = Self { limit: 0, remaining: 0, reset: Duration::ZERO, wait: None };

    /// How many were counted within what is not free again yet.
    #[must_use]
    pub const fn used(&self) -> u32 {
        self.limit.saturating_sub(self.remaining)
    }
}

/// Time between two of `per_minute`, in microseconds.
#[must_use]
pub fn interval(per_minute: u32) -> i64 {
    (MINUTE_MICROS / i64::from(per_minute.max(1))).max(1)
}

/// Where counting starts: `arrival` (the kept number: the theoretical arrival time, in microseconds) brought within
/// what can be true at `now`. A clock that jumped back must not lock anybody out for longer than a minute.
#[must_use]
pub fn start(arrival: i64, now: i64) -> i64 {
    arrival.max(now).min(now + MINUTE_MICROS)
}

/// How somebody with this kept number stands, uncounted: `wait` says whether one more would be refused.
#[must_use]
pub fn look(arrival: i64, now: i64, per_minute: u32) -> Standing {
    let (start, interval) = (start(arrival, now), interval(per_minute));
    let free = now + MINUTE_MICROS - start;
    let remaining = u32::try_from(free / interval).unwrap_or(0);
    let wait = (interval > free).then(|| span(interval - free));
    Standing { limit: per_minute, remaining, reset: span(start - now), wait }
}

/// Counts one: the number to keep from now on, or the refusal.
///
/// # Errors
/// How somebody stands who has no room left.
pub fn take(arrival: i64, now: i64, per_minute: u32) -> Result<(i64, Standing), Standing> {
    let before = look(arrival, now, per_minute);
    if before.wait.is_some() {
        return Err(before);
    }
    let after = start(arrival, now) + interval(per_minute);
    Ok((after, Standing { wait: None, ..look(after, now, per_minute) }))
}

fn span(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_minute_may_come_at_once_and_then_one_per_interval() {
        let mut arrival = 0;
        for n in (0..60).rev() {
            let (after, standing) = take(arrival, 0, 60).expect("let through");
            assert_eq!((standing.remaining, standing.used(), standing.wait), (n, 60 - n, None));
            arrival = after;
        }
        let refused = take(arrival, 0, 60).expect_err("one too many");
        assert_eq!((refused.remaining, refused.wait), (0, Some(Duration::from_secs(1))));
        assert_eq!(look(arrival, 0, 60), refused);
        assert!(take(arrival, 1_000_000, 60).is_ok());
    }

    #[test]
    fn looking_changes_nothing_and_says_what_counting_would() {
        let (after, counted) = take(0, 0, 20).expect("let through");
        assert_eq!((look(0, 0, 20).remaining, counted.remaining, look(after, 0, 20).remaining), (20, 19, 19));
        assert_eq!(counted.reset, Duration::from_secs(3));
    }

    #[test]
    fn a_clock_that_jumps_back_locks_nobody_out_for_long() {
        let standing = take(10 * MINUTE_MICROS, 0, 60).expect_err("refused");
        assert!(standing.wait.is_some_and(|wait| wait <= Duration::from_secs(1)), "{standing:?}");
    }

    #[test]
    fn a_limit_of_one_and_one_beyond_all_bounds_still_count() {
        let (after, standing) = take(0, 0, 1).expect("the first");
        assert_eq!((standing.remaining, standing.reset), (0, Duration::from_mins(1)));
        assert_eq!(take(after, 0, 1).map_err(|refused| refused.wait), Err(Some(Duration::from_mins(1))));
        assert!(take(0, 0, u32::MAX).is_ok());
    }
}
