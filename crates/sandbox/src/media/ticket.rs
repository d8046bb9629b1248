//! Tickets: what `media_conn` hands out as `auth`, and whose it is.
//!
//! A ticket is the account's number and a keyed hash over it, so that nothing has to be remembered for each, and
//! clients that kept one over a restart of the sandbox can still use it.

use crate::Error;
use crate::clock::Clock;
use crate::state::{Room, State};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Where the key is kept.
const KEY: &[u8] = b"ticket-key";
/// Hexadecimal digits of the hash in a ticket.
const DIGITS: usize = 32;

/// Makes and reads tickets.
pub(super) struct Tickets([u8; 32]);

impl Tickets {
    /// Reads the key, making it when absent.
    pub fn open(state: &State, clock: Clock) -> Result<Tickets, Error> {
        let kept = state.get_raw(Room::Media, KEY)?;
        if let Some(key) = kept.and_then(|key| key.try_into().ok()) {
            return Ok(Tickets(key));
        }
        let key = clock.bytes::<32>();
        state.put_raw(Room::Media, KEY, &key)?;
        Ok(Tickets(key))
    }

    /// The ticket of an account.
    pub fn of(&self, phone: &str) -> String {
        format!("{phone}.{}", self.proof(phone))
    }

    /// Whose ticket this is; `None` for one that was not given out.
    pub fn holder(&self, ticket: &str) -> Option<String> {
        let (phone, proof) = ticket.split_once('.')?;
        (self.proof(phone) == proof).then(|| phone.to_owned())
    }

    fn proof(&self, phone: &str) -> String {
        // A key of any length is taken, so that the other arm is never walked.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            return String::new();
        };
        mac.update(phone.as_bytes());
        let mut proof = hex::encode(mac.finalize().into_bytes());
        proof.truncate(DIGITS);
        proof
    }
}
