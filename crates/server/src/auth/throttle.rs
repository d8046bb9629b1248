//! Slows down guessing: wrong passwords per user name, wrong passwords and keys per address.
//!
//! A password attempt counts as wrong when it begins and is forgiven when it succeeds, so that a burst of
//! parallel guesses can't slip through before the first of them has failed. Names that do not exist are treated
//! like those that do. In memory and bounded: a restart forgives, a flood of names pushes out the oldest.

use sanasend_model::{Clock, Timestamp};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The window in which an address is counted.
const WINDOW: Duration = Duration::from_mins(1);
/// First lock of a user name; each further failure doubles it.
const FIRST_LOCK: Duration = Duration::from_secs(1);
/// A user name without failures for so long starts anew.
const FORGIVEN_AFTER: Duration = Duration::from_hours(24);
/// User names and addresses that are remembered.
const REMEMBERED: u64 = 100_000;

/// What is tolerated.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Wrong passwords or keys of one address per minute.
    pub bad_per_minute: u32,
    /// Wrong passwords in a row for one user name before it is locked for a while.
    pub failures_before_lock: u32,
    /// Longest lock.
    pub longest_lock: Duration,
}

/// How long the caller must wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait(pub Duration);

/// An attempt that was let through; it stays counted as a failure unless [`Throttle::forgive`] is told of it.
#[derive(Debug)]
#[must_use]
pub struct Attempt {
    username: String,
    address: IpAddr,
}

#[derive(Debug, Clone, Copy, Default)]
struct Name {
    failures: u32,
    last: Timestamp,
    locked_until: Timestamp,
}

#[derive(Debug, Clone, Copy, Default)]
struct Address {
    since: Timestamp,
    bad: u32,
}

/// Remembers who guessed.
#[derive(Debug)]
pub struct Throttle {
    bounds: Bounds,
    names: moka::sync::Cache<String, Arc<Mutex<Name>>>,
    addresses: moka::sync::Cache<IpAddr, Arc<Mutex<Address>>>,
    clock: Arc<dyn Clock>,
}

impl Throttle {
    /// Nobody has guessed yet.
    #[must_use]
    pub fn new(bounds: Bounds, clock: Arc<dyn Clock>) -> Self {
        Self { bounds, names: moka::sync::Cache::new(REMEMBERED), addresses: moka::sync::Cache::new(REMEMBERED), clock }
    }

    /// Asks to try a password for `username` from `address`.
    ///
    /// # Errors
    /// How long to wait, when the name is locked or the address has guessed too often.
    pub fn begin(&self, username: &str, address: IpAddr) -> Result<Attempt, Wait> {
        let now = self.clock.now();
        let username: String = username.trim().to_lowercase().chars().take(64).collect();
        self.count_address(address, now)?;
        let name = self.names.get_with(username.clone(), Arc::default);
        let mut name = name.lock().unwrap_or_else(PoisonError::into_inner);
        if now < name.locked_until {
            self.forgive_address(address);
            return Err(Wait(name.locked_until.since(now)));
        }
        if now.since(name.last) > FORGIVEN_AFTER {
            *name = Name::default();
        }
        name.failures = name.failures.saturating_add(1);
        name.last = now;
        name.locked_until = now.plus(self.lock_after(name.failures));
        Ok(Attempt { username, address })
    }

    /// The password was right: the attempt, and those before it, do not count.
    pub fn forgive(&self, attempt: &Attempt) {
        self.names.invalidate(&attempt.username);
        self.forgive_address(attempt.address);
    }

    /// Notes a wrong API key from `address`.
    ///
    /// # Errors
    /// How long to wait, when it was one too many.
    pub fn bad_key(&self, address: IpAddr) -> Result<(), Wait> {
        self.count_address(address, self.clock.now())
    }

    fn count_address(&self, address: IpAddr, now: Timestamp) -> Result<(), Wait> {
        let entry = self.addresses.get_with(network_of(address), Arc::default);
        let mut entry = entry.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(entry.since) >= WINDOW || now < entry.since {
            *entry = Address { since: now, bad: 0 };
        }
        if entry.bad >= self.bounds.bad_per_minute {
            return Err(Wait(entry.since.plus(WINDOW).since(now)));
        }
        entry.bad += 1;
        Ok(())
    }

    fn forgive_address(&self, address: IpAddr) {
        if let Some(entry) = self.addresses.get(&network_of(address)) {
            let mut entry = entry.lock().unwrap_or_else(PoisonError::into_inner);
            entry.bad = entry.bad.saturating_sub(1);
        }
    }

    fn lock_after(&self, failures: u32) -> Duration {
        let over = failures.saturating_sub(self.bounds.failures_before_lock);
        if failures < self.bounds.failures_before_lock {
            return Duration::ZERO;
        }
        FIRST_LOCK.saturating_mul(1_u32 << over.min(20)).min(self.bounds.longest_lock)
    }
}

/// One household has one IPv4 address but a whole /64 of IPv6.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::from((u128::from(v6) & !u128::from(u64::MAX)).to_be_bytes()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering};

    #[derive(Debug)]
    struct Still(AtomicI64);

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp(self.0.load(Ordering::Relaxed))
        }
        fn fill(&self, _: &mut [u8]) {}
    }

    fn throttle() -> (Throttle, Arc<Still>) {
        let clock = Arc::new(Still(AtomicI64::new(1_000_000)));
        let bounds = Bounds { bad_per_minute: 10, failures_before_lock: 5, longest_lock: Duration::from_mins(15) };
        (Throttle::new(bounds, clock.clone()), clock)
    }

    fn address(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    #[test]
    fn a_name_is_locked_from_every_address_and_the_lock_doubles() {
        let (throttle, clock) = throttle();
        for n in 0..5 {
            let _ = throttle.begin("anna", address(n)).expect("the first five are let through");
        }
        let mut wait = 1;
        for n in 5..20 {
            let refused = throttle.begin(" ANNA", address(n)).expect_err("locked");
            assert_eq!(refused.0, Duration::from_secs(wait));
            let _ = throttle.begin("berta", address(100 + n)).map(|attempt| throttle.forgive(&attempt));
            clock.0.fetch_add(i64::try_from(wait).expect("small") * 1000, Ordering::Relaxed);
            let _ = throttle.begin("anna", address(n)).expect("one more try after the lock");
            wait = (wait * 2).min(900);
        }
    }

    #[test]
    fn the_right_password_forgives_the_name() {
        let (throttle, _) = throttle();
        for _ in 0..4 {
            let _ = throttle.begin("anna", address(1)).expect("let through");
        }
        let attempt = throttle.begin("anna", address(1)).expect("let through");
        throttle.forgive(&attempt);
        for n in 2..6 {
            let _ = throttle.begin("anna", address(n)).expect("counted anew");
        }
    }

    #[test]
    fn an_address_is_counted_over_names_and_keys_and_let_go_after_a_minute() {
        let (throttle, clock) = throttle();
        for n in 0..5 {
            throttle.bad_key(address(1)).expect("key");
            let _ = throttle.begin(&format!("name{n}"), address(1)).expect("password");
        }
        assert_eq!(throttle.bad_key(address(1)), Err(Wait(Duration::from_mins(1))));
        assert!(throttle.begin("anna", address(1)).is_err());
        throttle.bad_key(address(2)).expect("others are not concerned");
        clock.0.fetch_add(60_000, Ordering::Relaxed);
        throttle.bad_key(address(1)).expect("a minute later");
    }

    #[test]
    fn an_ipv6_network_counts_as_one() {
        let (throttle, _) = throttle();
        for n in 0..10 {
            throttle.bad_key(format!("2001:db8::{n}").parse().expect("address")).expect("let through");
        }
        assert!(throttle.bad_key("2001:db8::ffff".parse().expect("address")).is_err());
        throttle.bad_key("2001:db8:0:1::1".parse().expect("address")).expect("another network");
    }
}
