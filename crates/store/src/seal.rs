//! Sealing of secrets at rest: XChaCha20-Poly1305 with a random nonce, bound to the address of the row. And MACs, for what
//! everybody may read and nobody may change.
//!
//! A sealed value is `version (1 byte) | key id (4, big-endian) | nonce (24) | ciphertext and tag`. The associated
//! data is the row's address, so a value that was moved to another row, account or kind can't be opened. The key id lets
//! keys be changed: new values take the present key, old ones keep theirs until they are written again.

use crate::{SealKey, StoreError};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sanasend_model::Clock;
use sha2::Sha256;
use std::collections::HashMap;
use std::sync::Arc;

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;
/// What the key of MACs is derived for, so that it is no other key.
const MAC_PURPOSE: &[u8] = b"sanasend mac 1";
const HEADER_BYTES: usize = 1 + 4 + NONCE_BYTES;

/// Seals and opens; the ciphers are made once.
pub(crate) struct Sealer {
    current: u32,
    ciphers: HashMap<u32, XChaCha20Poly1305>,
    /// For what must be proved and not hidden.
    macs: HashMap<u32, Hmac<Sha256>>,
    clock: Arc<dyn Clock>,
}

impl Sealer {
    pub(crate) fn new(current: &SealKey, older: &[SealKey], clock: Arc<dyn Clock>) -> Self {
        let cipher = |key: &SealKey| (key.id, XChaCha20Poly1305::new(&(*key.key).into()));
        // The present key last: it wins should an old one carry the same id.
        let ciphers = older.iter().chain([current]).filter(|key| !key.only_macs).map(cipher).collect();
        let mac = |key: &SealKey| (key.id, if key.only_macs { keyed(&*key.key) } else { keyed(&key.mac_part()) });
        let macs = older.iter().chain([current]).map(mac).collect();
        Self { current: current.id, ciphers, macs, clock }
    }

    /// Number of the key that new values are sealed and proved with.
    pub(crate) fn current(&self) -> u32 {
        self.current
    }

    /// Whether what is sealed with this key can be opened.
    pub(crate) fn knows(&self, key: u32) -> bool {
        self.ciphers.contains_key(&key)
    }

    /// HMAC-SHA-256 over `bytes` under what is derived from a seal key; `None` when that key is not there.
    pub(crate) fn mac(&self, key: u32, bytes: &[u8]) -> Option<[u8; 32]> {
        Some(self.macs.get(&key)?.clone().chain_update(bytes).finalize().into_bytes().into())
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

impl SealKey {
    /// What MACs are made under: derived from the key, which it does not tell. Of a key that only proves it is the key itself.
    #[must_use]
    pub fn mac_part(&self) -> [u8; 32] {
        if self.only_macs { *self.key } else { keyed(&*self.key).chain_update(MAC_PURPOSE).finalize().into_bytes().into() }
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key).expect("any length")
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
