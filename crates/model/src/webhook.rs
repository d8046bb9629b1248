//! Webhook endpoints: which events they want, when a delivery is tried again, and when an endpoint is given up.
//!
//! Pure: how a delivery is signed and posted is the server's affair.

use crate::{EventKind, Invalid, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Waits before each attempt; the first is made at once. About three days in all.
pub const WAITS: [Duration; 10] = [
    Duration::ZERO,
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(24),
];
/// Longest wait that a receiver can ask for by `Retry-After`.
pub const LONGEST_ASKED: Duration = Duration::from_hours(24);
/// Longest wait during which later events of the same chat wait as well, to keep their order.
pub const KEEPS_ORDER: Duration = Duration::from_secs(10);
/// A receiver that failed and was not asked for so long begins anew: what lies between is no failure.
pub const STREAK_GAP: Duration = Duration::from_hours(48);
/// Most entries of an event filter.
pub const MOST_FILTERS: usize = 50;

/// The wait after failed attempt number `attempts`, with up to 20 % jitter on top, and not shorter than the receiver asks
/// for; `None` when it is given up. `jitter` is a random number in `0..=255`.
#[must_use]
pub fn next_wait(attempts: u32, jitter: u8, asked: Option<Duration>) -> Option<Duration> {
    let base = *WAITS.get(usize::try_from(attempts).ok()?)?;
    let wait = base + base.mul_f64(f64::from(jitter) / 255.0 / 5.0);
    Some(asked.map_or(wait, |asked| wait.max(asked.min(LONGEST_ASKED))))
}

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was taken.
    Delivered,
    /// The receiver is gone for good and wants no more.
    Gone,
    /// It was not taken; a redirect counts as that.
    Failed,
}

/// Judges an HTTP status.
#[must_use]
pub const fn judge(status: u16) -> Verdict {
    match status {
        200..=299 => Verdict::Delivered,
        410 => Verdict::Gone,
        _ => Verdict::Failed,
    }
}

/// An endpoint that fails, without one success between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streak {
    /// Its first failure.
    pub since: Timestamp,
    /// Its last one.
    pub last: Timestamp,
}

impl Streak {
    /// Adds a failure at `now` to what was there before.
    #[must_use]
    pub fn failed(before: Option<Self>, now: Timestamp) -> Self {
        let going_on = before.filter(|streak| now.since(streak.last) <= STREAK_GAP);
        Self { since: going_on.map_or(now, |streak| streak.since), last: now }
    }

    /// Whether the endpoint has failed for so long that it is given up.
    #[must_use]
    pub fn is_hopeless(self, patience: Duration) -> bool {
        self.last.since(self.since) >= patience
    }
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It is tried, now or later.
    Pending,
    /// The receiver has taken it.
    Succeeded,
    /// It was given up; it can be replayed.
    Dead,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Succeeded, Self::Dead];

    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Dead => "dead",
        }
    }
}

impl fmt::Display for DeliveryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DeliveryState {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(())
    }
}

/// Which events an endpoint wants: names (`message.received`) and whole families (`message.*`); empty for all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventFilter(Vec<String>);

impl EventFilter {
    /// Reads what a caller wrote; `*` alone is the same as nothing.
    ///
    /// # Errors
    /// On `events`, with the names that there are.
    pub fn parse(texts: &[String]) -> Result<Self, Invalid> {
        if texts.len() > MOST_FILTERS {
            return Err(Invalid::new("events", format!("must have at most {MOST_FILTERS} entries")));
        }
        let mut wanted: Vec<String> = Vec::new();
        for text in texts {
            if text == "*" {
                return Ok(Self::default());
            }
            if !EventKind::ALL.iter().any(|kind| fits(text, *kind)) {
                let names: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
                let message = format!("must be a list of these, or of families like message.*: {}", names.join(", "));
                return Err(Invalid::new("events", message));
            }
            if !wanted.contains(text) {
                wanted.push(text.clone());
            }
        }
        Ok(Self(wanted))
    }

    /// Reads what was written by [`EventFilter::join`]. A name that no longer exists wants nothing.
    #[must_use]
    pub fn split(text: &str) -> Self {
        Self(text.split_whitespace().map(str::to_owned).collect())
    }

    /// The entries in one text.
    #[must_use]
    pub fn join(&self) -> String {
        self.0.join(" ")
    }

    /// The entries.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Whether an event is wanted.
    #[must_use]
    pub fn wants(&self, kind: EventKind) -> bool {
        self.0.is_empty() || self.0.iter().any(|text| fits(text, kind))
    }
}

fn fits(text: &str, kind: EventKind) -> bool {
    let name = kind.as_str();
    match text.strip_suffix(".*") {
        Some(noun) => name.split_once('.').is_some_and(|(of, _)| of == noun),
        None => text == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_waits_grow_to_three_days_and_end() {
        assert!(WAITS.is_sorted());
        let waits: Vec<Option<Duration>> = (0..=10).map(|attempts| next_wait(attempts, 0, None)).collect();
        assert_eq!(waits[..10], WAITS.map(Some));
        assert_eq!(waits[10], None);
        assert_eq!(WAITS.iter().sum::<Duration>().as_secs() / 3600, 75);
    }

    #[test]
    fn a_receiver_may_ask_for_more_time_but_not_for_less_or_for_ever() {
        let asked = |seconds| next_wait(1, 0, Some(Duration::from_secs(seconds)));
        assert_eq!(asked(1), Some(Duration::from_secs(5)));
        assert_eq!(asked(60), Some(Duration::from_mins(1)));
        assert_eq!(asked(u64::MAX), Some(LONGEST_ASKED));
    }

    #[test]
    fn only_2xx_is_taken() {
        for (status, verdict) in
            [(200, Verdict::Delivered), (204, Verdict::Delivered), (301, Verdict::Failed), (410, Verdict::Gone), (500, Verdict::Failed)]
        {
            assert_eq!(judge(status), verdict, "{status}");
        }
    }

    #[test]
    fn an_endpoint_is_given_up_after_days_of_failures_not_of_silence() {
        let (day, patience) = (Duration::from_hours(24), Duration::from_hours(24 * 5));
        let start = Timestamp(0);
        let mut streak = Streak::failed(None, start);
        for days in 1..5 {
            streak = Streak::failed(Some(streak), start.plus(day * days));
            assert!(!streak.is_hopeless(patience), "{days}");
        }
        assert!(Streak::failed(Some(streak), start.plus(day * 5)).is_hopeless(patience));
        assert!(!Streak::failed(Some(streak), start.plus(day * 9)).is_hopeless(patience), "four days of silence begin anew");
    }

    #[test]
    fn filters_are_names_and_families() {
        let filter = |texts: &[&str]| EventFilter::parse(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert!(EventKind::ALL.iter().all(|kind| filter(&[]).is_ok_and(|filter| filter.wants(*kind))));
        assert_eq!(filter(&["message.sent", "*"]), Ok(EventFilter::default()));
        let messages = filter(&["message.*", "message.*", "session.changed"]).expect("sound");
        assert_eq!(messages.names(), ["message.*", "session.changed"]);
        assert_eq!(EventFilter::split(&messages.join()), messages);
        for (kind, wanted) in [(EventKind::MessageRead, true), (EventKind::SessionChanged, true), (EventKind::SessionCodeIssued, false)] {
            assert_eq!(messages.wants(kind), wanted, "{kind}");
        }
        for wrong in ["message", "message.", ".*", "mess.*", "message.flown", "message.* session.*", ""] {
            assert!(filter(&[wrong]).is_err(), "{wrong}");
        }
        assert!(EventFilter::parse(&vec!["message.*".to_owned(); 51]).is_err());
        assert!(!EventFilter::split("message.vanished").wants(EventKind::MessageRead));
    }

    proptest! {
        #[test]
        fn jitter_only_adds_and_never_much(attempts in 0_u32..10, jitter: u8) {
            let (wait, base) = (next_wait(attempts, jitter, None).expect("a wait"), WAITS[attempts as usize]);
            prop_assert!(wait >= base && wait <= base.mul_f64(1.21));
        }
    }
}
