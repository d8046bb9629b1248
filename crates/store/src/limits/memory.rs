//! Limits of one process, in its own memory. A restart forgives.

use super::table::{Ends, Table};
use super::{Ask, Counted, Guess, Limits, NameKey, name_key, network_of};
use async_trait::async_trait;
use sanasend_model::guess::{Address, Bounds, FORGIVEN_AFTER, Name, WINDOW, Wait};
use sanasend_model::limit::{self, Standing};
use sanasend_model::{Clock, Timestamp};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;

/// A value and how often it was changed, by which of two copies the newer one is known.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Kept<T> {
    pub(super) changes: u64,
    pub(super) value: T,
}

impl<T> Kept<T> {
    /// The same after a change.
    pub(super) fn next(&self, value: T) -> Self {
        Self { changes: self.changes.saturating_add(1), value }
    }
}

/// The theoretical arrival time, in microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Arrival(pub(super) i64);

impl Ends for Arrival {
    fn end(&self) -> i64 {
        self.0
    }
}

impl Ends for Kept<Name> {
    fn end(&self) -> i64 {
        Timestamp(self.value.last).plus(FORGIVEN_AFTER).0.max(self.value.locked_until)
    }
}

impl Ends for Kept<Address> {
    fn end(&self) -> i64 {
        Timestamp(self.value.since).plus(WINDOW).0
    }
}

/// The counters of this process.
#[derive(Debug)]
pub struct InMemory {
    pub(super) arrivals: Table<Counted, Arrival>,
    pub(super) names: Table<NameKey, Kept<Name>>,
    pub(super) addresses: Table<IpAddr, Kept<Address>>,
    pub(super) bounds: Bounds,
    pub(super) clock: Arc<dyn Clock>,
}

impl InMemory {
    /// Nobody counted yet. `bounds` are those of guessing.
    #[must_use]
    pub fn new(bounds: Bounds, clock: Arc<dyn Clock>) -> Self {
        Self { arrivals: Table::new(), names: Table::new(), addresses: Table::new(), bounds, clock }
    }

    /// The present moment in microseconds.
    pub(super) fn now_micros(&self) -> i64 {
        self.clock.now().0.saturating_mul(1000)
    }

    /// Takes over what was counted elsewhere; numbers only grow.
    pub(super) fn raise(&self, what: Counted, arrival: i64, now: i64) {
        let raised: Result<(), ()> = self.arrivals.change(what, now, |before| Ok((Arrival(before.0.max(arrival)), ())));
        raised.unwrap_or(());
    }

    fn take(&self, ask: Ask, now: i64) -> Result<Standing, Standing> {
        self.arrivals.change(ask.what, now, |before| limit::take(before.0, now, ask.per_minute).map(|(after, how)| (Arrival(after), how)))
    }

    fn give_back(&self, ask: Ask, now: i64) {
        let given: Result<(), ()> =
            self.arrivals.change(ask.what, now, |before| Ok((Arrival(before.0 - limit::interval(ask.per_minute)), ())));
        given.unwrap_or(());
    }

    pub(super) fn count_here(&self, asks: &[Ask]) -> Vec<Standing> {
        let now = self.now_micros();
        let mut standings = Vec::with_capacity(asks.len());
        for (index, ask) in asks.iter().enumerate() {
            let taken = if ask.per_minute == 0 { Ok(Standing::FREE) } else { self.take(*ask, now) };
            let Ok(standing) = taken else {
                let before = asks.iter().take(index).filter(|ask| ask.per_minute > 0);
                before.for_each(|ask| self.give_back(*ask, now));
                return asks.iter().map(|ask| self.look(*ask)).collect();
            };
            standings.push(standing);
        }
        standings
    }

    fn bad_here(&self, address: IpAddr, now: Timestamp) -> Result<(), Wait> {
        self.addresses.change(address, now.0, |kept| Ok((kept.next(kept.value.bad(now, &self.bounds)?), ())))
    }

    fn forgive_address(&self, address: IpAddr, now: Timestamp) {
        let forgiven: Result<(), ()> = self.addresses.change(address, now.0, |kept| Ok((kept.next(kept.value.forgiven()), ())));
        forgiven.unwrap_or(());
    }

    pub(super) fn begin_here(&self, name: NameKey, address: IpAddr) -> Result<Guess, Wait> {
        let now = self.clock.now();
        self.bad_here(address, now)?;
        let tried = self.names.change(name, now.0, |kept| {
            let after = kept.value.attempt(now, &self.bounds)?;
            Ok((kept.next(after), after.lock(now)))
        });
        match tried {
            Ok(lock) => Ok(Guess { name, address, lock }),
            Err(wait) => {
                // It was not tried, so it was no bad one.
                self.forgive_address(address, now);
                Err(wait)
            }
        }
    }

    pub(super) fn forgive_here(&self, guess: Guess) {
        let now = self.clock.now();
        let innocent = Name { last: now.0, ..Name::default() };
        let forgiven: Result<(), ()> = self.names.change(guess.name, now.0, |kept| Ok((kept.next(innocent), ())));
        forgiven.unwrap_or(());
        self.forgive_address(guess.address, now);
    }
}

#[async_trait]
impl Limits for InMemory {
    async fn count(&self, asks: &[Ask]) -> Vec<Standing> {
        self.count_here(asks)
    }

    fn look(&self, ask: Ask) -> Standing {
        if ask.per_minute == 0 {
            return Standing::FREE;
        }
        limit::look(self.arrivals.get(ask.what).0, self.now_micros(), ask.per_minute)
    }

    async fn begin_guess(&self, username: &str, address: IpAddr) -> Result<Guess, Wait> {
        self.begin_here(name_key(username), network_of(address))
    }

    async fn forgive_guess(&self, guess: Guess) {
        self.forgive_here(guess);
    }

    async fn bad_guess(&self, address: IpAddr) -> Result<(), Wait> {
        self.bad_here(network_of(address), self.clock.now())
    }
}
