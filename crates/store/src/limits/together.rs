//! Limits that several nodes count together, in a Redis.
//!
//! Requests are counted by one script, in one round trip. What slows down guessing is read, changed by `model`'s rules and
//! written if nobody was faster: it happens seldom, and so the rules stand in one place only. Whatever was counted is
//! kept in this process as well. That is what counts while Redis does not answer, and what a Redis that comes back
//! empty is filled from: then nodes know less of each other for a while, but nobody is forgiven and nobody refused
//! for what they did not do.

use super::memory::{InMemory, Kept};
use super::table::{Ends, Table};
use super::{Ask, Guess, Limits, NameKey, name_key, network_of};
use crate::remote::Remote;
use async_trait::async_trait;
use redis::Script;
use sanasend_model::Clock;
use sanasend_model::guess::{Bounds, Name, Wait};
use sanasend_model::limit::{self, Standing};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Tries to write before somebody else does; so many at once on one name or address are an attack.
const TRIES: usize = 200;
/// What those are told who never got their turn.
const CROWDED: Wait = Wait(Duration::from_secs(1));

/// The counters of all nodes.
#[derive(Debug)]
pub struct Together {
    here: InMemory,
    remote: Remote,
    count: Script,
    swap: Script,
}

/// Why a change did not come about.
enum Unchanged {
    /// The rules say no.
    Refused(Wait),
    /// Redis is away: count here.
    Away,
}

impl Together {
    /// Counts in `remote` from now on.
    #[must_use]
    pub fn new(remote: Remote, bounds: Bounds, clock: Arc<dyn Clock>) -> Self {
        let (count, swap) = (Script::new(include_str!("count.lua")), Script::new(include_str!("swap.lua")));
        Self { here: InMemory::new(bounds, clock), remote, count, swap }
    }

    /// Counts in Redis; `None` when it did not answer.
    async fn count_there(&self, asks: &[Ask]) -> Option<Vec<Standing>> {
        let now = self.here.now_micros();
        let mut call = self.count.prepare_invoke();
        call.arg(now);
        for ask in asks {
            call.key(self.remote.key(&ask.what)).arg(limit::interval(ask.per_minute)).arg(self.here.arrivals.get(ask.what).0);
        }
        let answer: Vec<i64> = self.remote.ask(async |mut redis| call.invoke_async(&mut redis).await).await?;
        let (room, starts) = answer.split_first()?;
        let standings = asks.iter().zip(starts).map(|(ask, start)| {
            let counted = if *room == 1 { limit::take(*start, now, ask.per_minute) } else { Err(limit::look(*start, now, ask.per_minute)) };
            let (arrival, standing) = counted.unwrap_or_else(|refused| (*start, refused));
            self.here.raise(ask.what, arrival, now);
            standing
        });
        Some(standings.collect())
    }

    /// Changes a value in Redis by `rule`, from the newer of what is there and what is known here; answers the new one.
    async fn change<K, V>(
        &self,
        key: String,
        (table, local): (&Table<K, Kept<V>>, K),
        rule: impl Fn(V) -> Result<V, Wait>,
    ) -> Result<V, Unchanged>
    where
        K: Copy + Eq + Hash,
        V: Copy + Default + Serialize + DeserializeOwned,
        Kept<V>: Ends,
    {
        let key = self.remote.key(&key);
        let mut get = redis::cmd("GET");
        get.arg(&key);
        let found: Option<String> = self.remote.ask(async |mut redis| get.query_async(&mut redis).await).await.ok_or(Unchanged::Away)?;
        let mut there = found.unwrap_or_default();
        for _ in 0..TRIES {
            let now = self.here.clock.now().0;
            let known = table.get(local);
            // What can't be read was not written by us: it is as good as nothing.
            let read: Kept<V> = serde_json::from_str(&there).unwrap_or_default();
            let before = if read.changes >= known.changes { read } else { known };
            let after = before.next(rule(before.value).map_err(Unchanged::Refused)?);
            let text = serde_json::to_string(&after).map_err(|_| Unchanged::Away)?;
            let life = after.end().saturating_sub(now).max(1);
            let mut call = self.swap.prepare_invoke();
            call.key(&key).arg(&there).arg(&text).arg(life);
            let held: Option<String> =
                self.remote.ask(async |mut redis| call.invoke_async(&mut redis).await).await.ok_or(Unchanged::Away)?;
            let Some(held) = held else {
                let keep: Result<(), ()> =
                    table.change(local, now, |mine| Ok((if mine.changes > after.changes { mine } else { after }, ())));
                keep.unwrap_or(());
                return Ok(after.value);
            };
            there = held;
        }
        Err(Unchanged::Refused(CROWDED))
    }

    async fn bad_there(&self, address: IpAddr) -> Result<(), Unchanged> {
        let (now, bounds) = (self.here.clock.now(), self.here.bounds);
        let place = (&self.here.addresses, address);
        self.change(format!("{{{address}}}:guesses"), place, |kept| kept.bad(now, &bounds)).await.map(drop)
    }

    async fn forgive_address(&self, address: IpAddr) -> Result<(), Unchanged> {
        self.change(format!("{{{address}}}:guesses"), (&self.here.addresses, address), |kept| Ok(kept.forgiven())).await.map(drop)
    }

    async fn change_name(&self, name: NameKey, rule: impl Fn(Name) -> Result<Name, Wait>) -> Result<Name, Unchanged> {
        self.change(format!("{{{}}}:name", hex::encode(name)), (&self.here.names, name), rule).await
    }

    async fn begin_there(&self, name: NameKey, address: IpAddr) -> Result<Guess, Unchanged> {
        let (now, bounds) = (self.here.clock.now(), self.here.bounds);
        self.bad_there(address).await?;
        match self.change_name(name, |kept| kept.attempt(now, &bounds)).await {
            Ok(after) => Ok(Guess { name, address, lock: after.lock(now) }),
            Err(unchanged) => {
                // It was not tried, so it was no bad one.
                self.forgive_address(address).await?;
                Err(unchanged)
            }
        }
    }

    async fn forgive_there(&self, guess: Guess) -> Result<(), Unchanged> {
        let innocent = Name { last: self.here.clock.now().0, ..Name::default() };
        self.change_name(guess.name, |_| Ok(innocent)).await?;
        self.forgive_address(guess.address).await
    }
}

#[async_trait]
impl Limits for Together {
    async fn count(&self, asks: &[Ask]) -> Vec<Standing> {
        let limited: Vec<Ask> = asks.iter().copied().filter(|ask| ask.per_minute > 0).collect();
        if limited.is_empty() {
            return vec![Standing::FREE; asks.len()];
        }
        let Some(counted) = self.count_there(&limited).await else { return self.here.count_here(asks) };
        let mut counted = counted.into_iter();
        let standing = |ask: &Ask| if ask.per_minute == 0 { None } else { counted.next() };
        asks.iter().map(standing).map(|standing| standing.unwrap_or(Standing::FREE)).collect()
    }

    fn look(&self, ask: Ask) -> Standing {
        self.here.look(ask)
    }

    async fn begin_guess(&self, username: &str, address: IpAddr) -> Result<Guess, Wait> {
        let (name, address) = (name_key(username), network_of(address));
        match self.begin_there(name, address).await {
            Ok(guess) => Ok(guess),
            Err(Unchanged::Refused(wait)) => Err(wait),
            Err(Unchanged::Away) => self.here.begin_here(name, address),
        }
    }

    async fn forgive_guess(&self, guess: Guess) {
        if self.forgive_there(guess).await.is_err() {
            self.here.forgive_here(guess);
        }
    }

    async fn bad_guess(&self, address: IpAddr) -> Result<(), Wait> {
        match self.bad_there(network_of(address)).await {
            Ok(()) => Ok(()),
            Err(Unchanged::Refused(wait)) => Err(wait),
            Err(Unchanged::Away) => self.here.bad_guess(address).await,
        }
    }
}
