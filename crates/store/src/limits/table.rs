//! Small values by key, spread over several locks and bounded.
//!
//! A value has an end, from when on it says nothing any more. When a part is full, what has ended goes first, then
//! those that end soonest: a flood of strangers does not push out who is locked for long.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks among which the keys are spread.
const SHARDS: usize = 16;
/// Keys of one shard at most.
const SHARD_LIMIT: usize = 8192;

/// A value that says nothing any more after some moment.
pub(super) trait Ends: Copy + Default {
    /// That moment, in the unit in which the table is told the time.
    fn end(&self) -> i64;
}

/// The table.
#[derive(Debug)]
pub(super) struct Table<K, V> {
    shards: Vec<Mutex<HashMap<K, V>>>,
    hasher: RandomState,
}

impl<K: Copy + Eq + Hash, V: Ends> Table<K, V> {
    pub(super) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }

    /// The value of a key; the default where nothing is known.
    pub(super) fn get(&self, key: K) -> V {
        self.shard(key).get(&key).copied().unwrap_or_default()
    }

    /// Changes the value of a key, unless `change` refuses.
    pub(super) fn change<R, E>(&self, key: K, now: i64, change: impl FnOnce(V) -> Result<(V, R), E>) -> Result<R, E> {
        let mut shard = self.shard(key);
        let (value, result) = change(shard.get(&key).copied().unwrap_or_default())?;
        if shard.len() >= SHARD_LIMIT && !shard.contains_key(&key) {
            make_room(&mut shard, now);
        }
        shard.insert(key, value);
        Ok(result)
    }

    fn shard(&self, key: K) -> MutexGuard<'_, HashMap<K, V>> {
        let index = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_room<K: Eq + Hash, V: Ends>(shard: &mut HashMap<K, V>, now: i64) {
    shard.retain(|_, value| value.end() > now);
    if shard.len() < SHARD_LIMIT {
        return;
    }
    let mut ends: Vec<i64> = shard.values().map(Ends::end).collect();
    let middle = ends.len() / 2;
    let median = *ends.select_nth_unstable(middle).1;
    shard.retain(|_, value| value.end() > median);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, Default)]
    struct Until(i64);

    impl Ends for Until {
        fn end(&self) -> i64 {
            self.0
        }
    }

    fn put(table: &Table<u32, Until>, key: u32, until: i64) {
        table.change(key, 0, |_| Ok::<_, ()>((Until(until), ()))).expect("never refused");
    }

    #[test]
    fn a_flood_stays_bounded_and_leaves_what_is_kept_longest() {
        let table = Table::new();
        put(&table, u32::MAX, 1_000_000);
        for key in 0..300_000 {
            put(&table, key, 1000 + i64::from(key % 100));
        }
        let known: usize = table.shards.iter().map(|shard| shard.lock().expect("shard").len()).sum();
        assert!(known <= SHARDS * SHARD_LIMIT, "{known}");
        assert_eq!(table.get(u32::MAX).0, 1_000_000);
    }

    #[test]
    fn equal_ends_stay_bounded_too() {
        let table = Table::new();
        for key in 0..300_000 {
            put(&table, key, 1000);
        }
        let known: usize = table.shards.iter().map(|shard| shard.lock().expect("shard").len()).sum();
        assert!(known <= SHARDS * SHARD_LIMIT, "{known}");
    }
}
