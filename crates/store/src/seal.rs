//! Sealing of secrets at rest: XChaCha20-Poly1305 with a random nonce, bound to the address of the row.
//!
//! A sealed value is `version (1 byte) | key id (4, big-endian) | nonce (24) | ciphertext and tag`. The associated
//! data is the row's address, so a value that was moved to another row, account or kind can't be opened. The key id lets
//! keys be changed: new values take the present key, old ones keep theirs until they are written again.

use crate::{SealKey, StoreError};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sanasend_model::Clock;
use std::collections::HashMap;
use std::sync::Arc;

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;
const HEADER_BYTES: usize = 1 + 4 + NONCE_BYTES;

/// Seals and opens; the ciphers are made once.
pub(crate) struct Sealer {
    current: u32,
    ciphers: HashMap<u32, XChaCha20Poly1305>,
    clock: Arc<dyn Clock>,
}

impl Sealer {
    pub(crate) fn new(current: &SealKey, older: &[SealKey], clock: Arc<dyn Clock>) -> Self {
        let cipher = |key: &SealKey| (key.id, XChaCha20Poly1305::new(&(*key.key).into()));
        // The present key last: it wins should an old one carry the same id.
        let ciphers = older.iter().chain([current]).map(cipher).collect();
        Self { current: current.id, ciphers, clock }
    }

    /// Seals `plain` for the row at `address`.
    pub(crate) fn seal(&self, address: &[u8], plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let failed = || StoreError::Unavailable("a value could not be sealed".into());
        let cipher = self.ciphers.get(&self.current).ok_or_else(failed)?;
        let mut nonce = [0_u8; NONCE_BYTES];
        self.clock.fill(&mut nonce);
        let sealed = cipher.encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: address }).map_err(|_| failed())?;
        let mut value = Vec::with_capacity(HEADER_BYTES + sealed.len());
        value.push(VERSION);
        value.extend_from_slice(&self.current.to_be_bytes());
        value.extend_from_slice(&nonce);
        value.extend_from_slice(&sealed);
        Ok(value)
    }

    /// Opens what was sealed for the row at `address`; `None` when it was not, was changed, or the key is not there.
    pub(crate) fn open(&self, address: &[u8], value: &[u8]) -> Option<Vec<u8>> {
        let (header, sealed) = value.split_at_checked(HEADER_BYTES)?;
        let (&version, rest) = header.split_first()?;
        let (key_id, nonce) = rest.split_first_chunk::<4>()?;
        let nonce = <[u8; NONCE_BYTES]>::try_from(nonce).ok()?;
        let cipher = self.ciphers.get(&u32::from_be_bytes(*key_id))?;
        if version != VERSION {
            return None;
        }
        cipher.decrypt(&XNonce::from(nonce), Payload { msg: sealed, aad: address }).ok()
    }
}

/// The address of a row: its table and key, each part with its length, so that no two rows share one.
pub(crate) fn address(table: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut address = Vec::with_capacity(96);
    for part in std::iter::once(table.as_bytes()).chain(parts.iter().copied()) {
        address.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        address.extend_from_slice(part);
    }
    address
}
