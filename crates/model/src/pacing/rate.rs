//! How fast an account sends what people ask for message by message: so many a minute, some of them at once, fewer while it is
//! new.
//!
//! Far quicker than campaigns: somebody waits for these. Everything that leaves counts, whoever asked for it.

use crate::Timestamp;
use std::time::Duration;

/// A minute in milliseconds.
const MINUTE_MS: u32 = 60_000;

/// The rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rate {
    /// Messages a minute, at least 1, once the account is warm.
    pub per_minute: u32,
    /// Messages that may go at once after a quiet time, at least 1; never more than a minute's.
    pub burst: u32,
    /// Messages a minute on the first, second, ... day after the account was linked.
    pub warm_up: Vec<u32>,
}

/// What the rule says of one day of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateOfDay {
    /// Messages a minute.
    pub per_minute: u32,
    /// Messages at once.
    pub burst: u32,
    /// Which day of how many of the warm-up it is.
    pub warm_up: Option<(usize, usize)>,
}

impl Rate {
    /// What holds at `now` for an account that was linked at `linked_at`. Days are UTC's.
    #[must_use]
    pub fn of_day(&self, linked_at: Timestamp, now: Timestamp) -> RateOfDay {
        let number = usize::try_from(now.day().saturating_sub(linked_at.day())).unwrap_or(0);
        let (per_minute, warm_up) = match self.warm_up.get(number) {
            Some(slow) => ((*slow).min(self.per_minute), Some((number + 1, self.warm_up.len()))),
            None => (self.per_minute, None),
        };
        let per_minute = per_minute.clamp(1, MINUTE_MS);
        RateOfDay { per_minute, burst: self.burst.clamp(1, per_minute), warm_up }
    }
}

impl RateOfDay {
    /// Between two messages when many wait, in milliseconds.
    const fn interval(self) -> i64 {
        MINUTE_MS.div_ceil(self.per_minute) as i64
    }

    /// How far ahead of its time an account may be, in milliseconds.
    const fn capacity(self) -> i64 {
        self.interval() * self.burst as i64
    }

    /// Why a message waits, for people: `account pacing, 60 messages a minute`.
    #[must_use]
    pub fn why(self) -> String {
        let Self { per_minute, warm_up, .. } = self;
        let messages = if per_minute == 1 { "message" } else { "messages" };
        match warm_up {
            Some((day, of)) => format!("account pacing, {per_minute} {messages} a minute on day {day} of {of} of its warm-up"),
            None => format!("account pacing, {per_minute} {messages} a minute"),
        }
    }
}

/// What an account has spent of its rate: the moment at which it would have sent all that it sent, one after the other in even
/// gaps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent(Option<Timestamp>);

impl Spent {
    /// How far ahead it is. More than the rule allows can only be a clock that was set back, or a rule that is another one
    /// today: it then is as far ahead as is allowed, from now on.
    fn ahead(&mut self, rate: RateOfDay, now: Timestamp) -> i64 {
        let ahead = self.0.map_or(0, |at| at.0.saturating_sub(now.0).clamp(0, rate.capacity()));
        self.0 = Some(Timestamp(now.0.saturating_add(ahead)));
        ahead
    }

    /// How many messages may go now.
    pub fn room(&mut self, rate: RateOfDay, now: Timestamp) -> usize {
        usize::try_from((rate.capacity() - self.ahead(rate, now)) / rate.interval()).unwrap_or(0)
    }

    /// Counts messages that go now.
    pub fn take(&mut self, count: usize, rate: RateOfDay, now: Timestamp) {
        let cost = rate.interval().saturating_mul(i64::try_from(count).unwrap_or(i64::MAX));
        self.0 = Some(Timestamp(now.0.saturating_add(self.ahead(rate, now)).saturating_add(cost)));
    }

    /// How long the next message has to wait.
    pub fn wait(&mut self, rate: RateOfDay, now: Timestamp) -> Duration {
        let excess = self.ahead(rate, now).saturating_add(rate.interval()).saturating_sub(rate.capacity());
        Duration::from_millis(u64::try_from(excess).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::day::DAY_MS;

    const LINKED: Timestamp = Timestamp(20_000 * DAY_MS);

    fn rate() -> Rate {
        Rate { per_minute: 60, burst: 5, warm_up: vec![2, 30] }
    }

    fn warm() -> (RateOfDay, Timestamp) {
        let now = Timestamp(LINKED.0 + 10 * DAY_MS);
        (rate().of_day(LINKED, now), now)
    }

    #[test]
    fn some_go_at_once_and_the_others_in_even_gaps() {
        let (rate, start) = warm();
        let (mut spent, mut now, mut sent) = (Spent::default(), start, 0);
        assert_eq!(spent.room(rate, now), 5, "a burst");
        while sent < 65 {
            let room = spent.room(rate, now);
            if room == 0 {
                let wait = spent.wait(rate, now);
                assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
                now = now.plus(wait);
                assert_eq!(spent.room(rate, now), 1, "the wait is as long as was said");
                continue;
            }
            spent.take(1, rate, now);
            sent += 1;
        }
        assert_eq!(now.since(start), Duration::from_mins(1), "five at once, then one each second");
        assert_eq!(spent.room(rate, now.plus(Duration::from_millis(2500))), 2);
        assert_eq!(spent.room(rate, now.plus(Duration::from_hours(5))), 5, "quiet time does not pile up");
    }

    #[test]
    fn a_new_account_is_slower_day_by_day() {
        for (day, per_minute, burst, warm_up) in [(0, 2, 2, Some((1, 2))), (1, 30, 5, Some((2, 2))), (2, 60, 5, None), (400, 60, 5, None)] {
            let now = Timestamp(LINKED.0 + day * DAY_MS + 5);
            assert_eq!(rate().of_day(LINKED, now), RateOfDay { per_minute, burst, warm_up }, "day {day}");
        }
        let before = Timestamp(LINKED.0 - DAY_MS);
        assert_eq!(rate().of_day(LINKED, before).per_minute, 2, "a clock that was set back");
        let slow = Rate { per_minute: 1, burst: 9, warm_up: vec![50] }.of_day(LINKED, LINKED);
        assert_eq!((slow.per_minute, slow.burst), (1, 1), "a warm-up is never quicker than what comes after it");
    }

    #[test]
    fn a_clock_that_is_set_back_holds_nobody_for_long() {
        let (rate, now) = warm();
        let mut spent = Spent::default();
        spent.take(5, rate, now);
        let earlier = now.minus(Duration::from_hours(3));
        assert_eq!(spent.room(rate, earlier), 0);
        let wait = spent.wait(rate, earlier);
        assert_eq!(wait, Duration::from_secs(1));
        assert_eq!(spent.room(rate, earlier.plus(wait)), 1);
    }

    #[test]
    fn the_reason_is_a_sentence() {
        let (rate, _) = warm();
        assert_eq!(rate.why(), "account pacing, 60 messages a minute");
        let new = super::tests::rate().of_day(LINKED, LINKED);
        assert_eq!(new.why(), "account pacing, 2 messages a minute on day 1 of 2 of its warm-up");
        assert_eq!(RateOfDay { per_minute: 1, burst: 1, warm_up: None }.why(), "account pacing, 1 message a minute");
    }
}
