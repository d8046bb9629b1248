//! Turns and shares: how much of a costly thing is done at once, all together and for one.
//!
//! Apart because every such bound has the same two dangers: one who asks for much keeps all others waiting, and work that goes
//! on after whoever wanted it has gone is not counted any more. So everybody has a share, and a turn is a value of its own,
//! which moves to where the work is done.

use sanasend_model::UserId;
use std::collections::HashMap;
use std::hash::Hash;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Turns, for which users wait.
#[derive(Debug)]
pub struct Turns {
    all: Arc<Semaphore>,
    share: usize,
    users: Mutex<HashMap<UserId, Arc<Semaphore>>>,
}

/// One turn; it is over when this is dropped.
#[derive(Debug)]
pub struct Turn {
    _permits: [Option<OwnedSemaphorePermit>; 2],
}

impl Turns {
    /// So many turns at once, and so many of one user.
    #[must_use]
    pub fn new(at_once: usize, share: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(at_once)), share, users: Mutex::default() }
    }

    /// Waits for a turn of a user.
    pub async fn of(&self, user: UserId) -> Turn {
        // Nobody closes these, so there is a permit in any case.
        let of_user = self.places(user).acquire_owned().await.ok();
        let of_all = self.all.clone().acquire_owned().await.ok();
        Turn { _permits: [of_user, of_all] }
    }

    fn places(&self, user: UserId) -> Arc<Semaphore> {
        let mut users = whole(&self.users);
        // Only the table knows them: nobody has one of their turns, or waits for one.
        users.retain(|_, places| Arc::strong_count(places) > 1);
        users.entry(user).or_insert_with(|| Arc::new(Semaphore::new(self.share))).clone()
    }
}

impl Turn {
    /// Does work on a thread that may wait. The turn is over when the work is, also when nobody waits for it any more.
    ///
    /// # Errors
    /// When the work broke down.
    pub async fn spend<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let work = move || {
            let done = work();
            drop(self);
            done
        };
        tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
    }
}

/// Shares of what nobody waits for: how much each has at once.
#[derive(Debug)]
pub struct Shares<K: Eq + Hash> {
    most: usize,
    taken: Arc<Mutex<HashMap<K, usize>>>,
}

/// One part of a share; it is given back when this is dropped.
#[derive(Debug)]
pub struct Share<K: Eq + Hash> {
    who: K,
    taken: Arc<Mutex<HashMap<K, usize>>>,
}

impl<K: Eq + Hash + Copy> Shares<K> {
    /// So much for each.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, taken: Arc::default() }
    }

    /// How much each may have.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most
    }

    /// One more; `None` when that would be more than the share.
    #[must_use]
    pub fn take(&self, who: K) -> Option<Share<K>> {
        let mut taken = whole(&self.taken);
        let count = taken.entry(who).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Share { who, taken: self.taken.clone() })
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut taken = whole(&self.taken);
        if let Some(count) = taken.get_mut(&self.who) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.remove(&self.who);
            }
        }
    }
}

/// A poisoned lock only means that somebody panicked between two operations on the map; the map is whole.
fn whole<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::poll;
    use std::sync::mpsc;
    use uuid::Uuid;

    fn user(number: u128) -> UserId {
        UserId(Uuid::from_u128(number))
    }

    #[tokio::test]
    async fn who_wants_much_leaves_turns_to_others() {
        let turns = Turns::new(3, 2);
        let mine = [turns.of(user(1)).await, turns.of(user(1)).await];
        let mut third = Box::pin(turns.of(user(1)));
        assert!(poll!(&mut third).is_pending(), "more than the share");
        let theirs = turns.of(user(2)).await;
        let mut late = Box::pin(turns.of(user(3)));
        assert!(poll!(&mut late).is_pending(), "more than there are");
        drop(theirs);
        drop(late.await);
        drop(mine);
        drop(third.await);
        drop(turns.of(user(4)).await);
        assert_eq!(turns.users.lock().expect("users").len(), 1, "those who have none are forgotten");
    }

    #[tokio::test]
    async fn work_keeps_its_turn_when_nobody_waits_for_it_any_more() {
        let turns = Turns::new(1, 1);
        let (release, held) = mpsc::channel::<()>();
        let mut work = Box::pin(turns.of(user(1)).await.spend(move || held.recv().is_err()));
        assert!(poll!(&mut work).is_pending());
        drop(work);
        let mut next = Box::pin(turns.of(user(2)));
        assert!(poll!(&mut next).is_pending(), "it is still being done");
        drop(release);
        assert!(next.await.spend(|| true).await.expect("done"));
    }

    #[test]
    fn nobody_has_more_than_a_share() {
        let shares = Shares::new(2);
        let mine: Vec<_> = (0..2).map(|_| shares.take("me").expect("a share")).collect();
        assert!(shares.take("me").is_none());
        let theirs = shares.take("others").expect("a share of their own");
        drop(mine);
        assert!(shares.take("me").is_some());
        drop(theirs);
        assert!(shares.taken.lock().expect("shares").is_empty(), "nothing is left behind");
    }
}
