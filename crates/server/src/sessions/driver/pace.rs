//! How fast an account sends, on top of what the network takes: in the order of the outbox, never by a chat of its own.
//!
//! Kept in memory by who holds the link: an account has one driver at a time. What waits stays in the outbox; the driver looks
//! again when the next message may go.

use super::Driver;
use sanasend_model::Timestamp;
use sanasend_model::pacing::{Rate, RateOfDay, Spent};
use sanasend_store::Held;
use std::time::Duration;
use tokio::time::Instant;

/// The least wait, so that clocks that disagree by a moment make no busy loop.
const LEAST_WAIT: Duration = Duration::from_millis(10);

/// The rule and what is spent of it.
#[derive(Debug)]
pub(super) struct Pace {
    rate: Option<Rate>,
    spent: Spent,
    /// Since when there was always a message that waited for it.
    since: Option<Timestamp>,
}

impl Pace {
    /// Nothing is spent yet. Without a rate nothing ever waits.
    pub(super) fn new(rate: Option<Rate>) -> Self {
        Self { rate, spent: Spent::default(), since: None }
    }
}

impl Driver<'_> {
    /// What the rule says today.
    fn rate(&self, now: Timestamp) -> Option<RateOfDay> {
        let linked_at = self.session.linked_at.unwrap_or(self.session.created_at);
        self.pace.rate.as_ref().map(|rate| rate.of_day(linked_at, now))
    }

    /// How many of `room` messages may be asked for now. When none may, the driver is woken as soon as one may.
    pub(super) fn paced(&mut self, room: usize, now: Instant) -> usize {
        if self.pace.rate.is_none() || room == 0 {
            return room;
        }
        let at = self.shared.clock.now();
        let Some(rate) = self.rate(at) else { return room };
        let may_go = self.pace.spent.room(rate, at);
        if may_go == 0 {
            self.due = Some(now + self.pace.spent.wait(rate, at).max(LEAST_WAIT));
            if self.pace.since.is_none() {
                self.pace.since = Some(at);
                self.seat.show(|live| live.paced_since = Some(at));
            }
        }
        room.min(may_go)
    }

    /// So many messages go now, of so many that were asked for. If there were no more, nothing waits.
    pub(super) fn spent(&mut self, count: usize, asked: usize, now: Timestamp) {
        let Some(rate) = self.rate(now) else { return };
        self.pace.spent.take(count, rate, now);
        if count < asked {
            self.let_go();
        }
    }

    /// Nothing waits for the pacing any more.
    pub(super) fn let_go(&mut self) {
        if self.pace.since.take().is_some() {
            self.seat.show(|live| live.paced_since = None);
        }
    }

    /// What is to be told of the wait of the messages that are taken up next.
    pub(super) fn held(&self) -> Option<Held> {
        let since = self.pace.since?;
        let why = self.rate(self.shared.clock.now())?.why();
        Some(Held { since, why })
    }
}
