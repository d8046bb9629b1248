//! Limits: how often somebody may ask, send, or guess, counted in this process or together with other nodes.
//!
//! One trait, two memories: [`InMemory`] for a server of one process, [`Together`] over a Redis that nodes share. The rules
//! are `model`'s (`limit`, `guess`); here is only where their numbers are kept. Nothing here ever fails: a Redis that
//! does not answer makes counting local, not requests slow or refused. The limit of messages per day is none of these: it
//! is exact, and kept in SQL (`usage`).

mod memory;
mod table;
mod together;

pub use memory::InMemory;
pub use together::Together;

use async_trait::async_trait;
use sanasend_model::guess::Wait;
use sanasend_model::limit::Standing;
use sanasend_model::{ApiKeyId, UserId};
use sha2::{Digest, Sha256};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// Who or what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counted {
    /// Requests of a user, however it authenticates.
    Requests(UserId),
    /// Requests with one API key of a user.
    Key(UserId, ApiKeyId),
    /// Requests without credentials, by network: see [`Counted::address`].
    Address(IpAddr),
    /// Messages of a user.
    Messages(UserId),
}

impl Counted {
    /// Requests from an address.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        Self::Address(network_of(address))
    }
}

/// The name under which nodes share a counter. What is counted together stands in the same braces, so that a Redis
/// cluster keeps it in one place.
impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requests(user) => write!(f, "{{{user}}}:requests"),
            Self::Key(user, key) => write!(f, "{{{user}}}:key:{key}"),
            Self::Address(address) => write!(f, "{{{address}}}:requests"),
            Self::Messages(user) => write!(f, "{{{user}}}:messages"),
        }
    }
}

/// One limit to count against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Who or what.
    pub what: Counted,
    /// How many per minute; 0: as many as they like.
    pub per_minute: u32,
}

/// An attempt at a password that was let through; it stays counted as a failure unless [`Limits::forgive_guess`] is told
/// of it.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Guess {
    name: NameKey,
    address: IpAddr,
    lock: Option<Duration>,
}

impl Guess {
    /// How long the name is locked by this attempt, unless it is forgiven; `None` when it is not.
    #[must_use]
    pub fn lock(&self) -> Option<Duration> {
        self.lock
    }
}

/// A user name as it is counted: a digest, because people type passwords into the wrong field.
type NameKey = [u8; 32];

/// Counts, and says who has to wait.
#[async_trait]
pub trait Limits: Send + Sync + fmt::Debug {
    /// Counts one against each of `asks` if all of them have room, else against none. Answers how each stands, in order.
    async fn count(&self, asks: &[Ask]) -> Vec<Standing>;

    /// How one stands as far as this process knows, without counting and without asking anybody.
    fn look(&self, ask: Ask) -> Standing;

    /// Asks to try a password for `username` from `address`. Names that do not exist are counted like those that do.
    async fn begin_guess(&self, username: &str, address: IpAddr) -> Result<Guess, Wait>;

    /// The password was right: the attempt, and those before it, do not count.
    async fn forgive_guess(&self, guess: Guess);

    /// Notes a wrong API key from `address`.
    async fn bad_guess(&self, address: IpAddr) -> Result<(), Wait>;
}

fn name_key(username: &str) -> NameKey {
    let name: String = username.trim().to_lowercase().chars().take(64).collect();
    Sha256::digest(name).into()
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

    #[test]
    fn an_ipv6_network_counts_as_one() {
        let [a, b, c] = ["2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"].map(|text| Counted::address(text.parse().expect("address")));
        assert_eq!(a, b);
        assert_ne!(a, c);
        assert_eq!(network_of("::ffff:192.0.2.1".parse().expect("address")).to_string(), "192.0.2.1");
    }

    #[test]
    fn names_are_counted_without_case_and_are_not_kept() {
        assert_eq!(name_key(" Anna "), name_key("anna"));
        assert_ne!(name_key("anna"), name_key("ann"));
    }
}
