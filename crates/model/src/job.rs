//! The life of a job: work that is remembered until it is done, and how long it waits after a failure.
//!
//! What a job does is its worker's affair; here is only what holds for every kind.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// First wait after a failed attempt.
pub const BACKOFF_MIN: Duration = Duration::from_secs(5);
/// Longest wait between two attempts.
pub const BACKOFF_MAX: Duration = Duration::from_hours(1);
/// Attempts after which a job whose worker breaks down every time is given up.
pub const MOST_BREAK_DOWNS: u32 = 12;

/// How a job stands. One that was done is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It waits for its time, or for those before it.
    Waiting,
    /// A node works on it.
    Running,
    /// It was given up; it stays until a person retries or drops it, or it is swept.
    Dead,
}

impl JobState {
    /// Every state, in the order of a job's life.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Running, Self::Dead];

    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Dead => "dead",
        }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for JobState {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(())
    }
}

/// The wait after failed attempt number `attempts`: it doubles from [`BACKOFF_MIN`] to [`BACKOFF_MAX`], with up to 25 %
/// jitter on top; `jitter` is a random number in `0..=255`.
#[must_use]
pub fn backoff(attempts: u32, jitter: u8) -> Duration {
    let base = BACKOFF_MIN.saturating_mul(1_u32 << attempts.saturating_sub(1).min(16)).min(BACKOFF_MAX);
    base + base.mul_f64(f64::from(jitter) / 255.0 / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_an_hour_and_jitter_adds_at_most_a_quarter() {
        assert_eq!([1, 2, 3].map(|attempts| backoff(attempts, 0).as_secs()), [5, 10, 20]);
        assert_eq!((backoff(0, 0), backoff(99, 0)), (BACKOFF_MIN, BACKOFF_MAX));
        assert_eq!(backoff(1, 255), Duration::from_millis(6_250));
    }

    #[test]
    fn states_are_read_back() {
        assert_eq!(JobState::ALL.map(|state| state.as_str().parse()), JobState::ALL.map(Ok));
        assert_eq!("done".parse::<JobState>(), Err(()));
    }
}
