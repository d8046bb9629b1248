//! A phone's Signal state.
//!
//! The library's cipher asks for its state through four traits; this module answers
//! them from memory, remembers what changed, and hands the changes over to be
//! written in one batch with whatever they belong to. That is the whole point of it:
//! a session moves forward on disk together with the message that moved it, or not
//! at all, so a killed process can neither lose a message nor be unable to read it.

use crate::Error;
use crate::clock::Clock;
use crate::phones::record::PhoneRecord;
use crate::state::{Batch, Room, State};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use wacore_libsignal::protocol::error::Result as SignalResult;
use wacore_libsignal::protocol::{
    CiphertextMessage, Direction, GenericSignedPreKey, IdentityChange, IdentityKey, IdentityKeyPair, IdentityKeyStore, KeyPair,
    PreKeyBundle, PreKeyId, PreKeyRecord, PreKeySignalMessage, PreKeyStore, PrivateKey, ProtocolAddress, PublicKey, SessionRecord,
    SessionStore, SignalMessage, SignalProtocolError, SignedPreKeyId, SignedPreKeyRecord, SignedPreKeyStore, Timestamp, UsePQRatchet,
    message_decrypt, message_encrypt, process_prekey_bundle,
};

/// What came of encrypting for one device.
pub(super) struct Sealed {
    /// `type` of the `enc`: `pkmsg` until the device has answered once, then `msg`.
    pub kind: &'static str,
    /// The ciphertext.
    pub bytes: Vec<u8>,
}

/// Why a ciphertext could not be read.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// Its key was used before: the message was read already.
    Duplicate,
    /// Ask the sender for another copy; the number is the `error` of the retry.
    Retry(u8),
    /// The state on disk failed.
    State(Error),
}

/// The state. Clones share it; the traits want one handle each.
#[derive(Clone)]
pub(super) struct SignalState(Arc<Mutex<Inner>>);

struct Inner {
    state: State,
    number: String,
    identity: IdentityKeyPair,
    registration_id: u32,
    signed_prekey: SignedPreKeyRecord,
    sessions: HashMap<String, SessionRecord>,
    identities: HashMap<String, IdentityKey>,
    changed_sessions: HashSet<String>,
    changed_identities: HashSet<String>,
    spent_prekeys: HashSet<u32>,
}

impl SignalState {
    /// The state of a phone, read lazily from disk.
    pub fn open(state: &State, record: &PhoneRecord) -> Result<Self, Error> {
        let created = u64::try_from(record.created_at).unwrap_or(0);
        let signed_prekey = SignedPreKeyRecord::new(
            record.signed_prekey_id.into(),
            Timestamp::from_epoch_millis(created),
            &record.signed_prekey()?,
            &record.signed_prekey_signature,
        );
        Ok(Self(Arc::new(Mutex::new(Inner {
            state: state.clone(),
            number: record.number.clone(),
            identity: record.identity()?,
            registration_id: record.registration_id,
            signed_prekey,
            sessions: HashMap::new(),
            identities: HashMap::new(),
            changed_sessions: HashSet::new(),
            changed_identities: HashSet::new(),
            spent_prekeys: HashSet::new(),
        }))))
    }

    /// Makes one-time prekeys numbered from `first` and adds them to `batch`.
    pub fn make_prekeys(&self, first: u32, count: u32, clock: Clock, batch: &mut Batch) -> Vec<(u32, PublicKey)> {
        let inner = self.0.lock();
        let mut random = clock.random();
        let mut made = Vec::with_capacity(count as usize);
        for id in first..first + count {
            let pair = KeyPair::generate(&mut random);
            batch.put_raw(Room::Signal, &inner.prekey_row(id), pair.private_key.serialize());
            made.push((id, pair.public_key));
        }
        made
    }

    /// Whether a message can be encrypted for this device without its bundle.
    pub fn has_session(&self, address: &ProtocolAddress) -> bool {
        let mut inner = self.0.lock();
        matches!(inner.session(address), Ok(Some(record)) if record.session_state().is_some())
    }

    /// Begins a session from a device's bundle.
    pub async fn adopt(&self, address: &ProtocolAddress, bundle: &PreKeyBundle, clock: Clock) -> Result<(), Error> {
        process_prekey_bundle(address, &mut self.clone(), &mut self.clone(), bundle, &mut clock.random(), UsePQRatchet::No)
            .await
            .map_err(protocol)?;
        Ok(())
    }

    /// Drops the session with a device; the next message needs its bundle.
    pub fn forget(&self, address: &ProtocolAddress) {
        let mut inner = self.0.lock();
        inner.sessions.remove(address.as_str());
        inner.changed_sessions.remove(address.as_str());
        let row = inner.session_row(address.as_str());
        if let Err(error) = inner.state.delete(Room::Signal, &row) {
            tracing::warn!(%error, "a session could not be dropped");
        }
    }

    /// Encrypts padded plaintext for a device.
    pub async fn encrypt(&self, address: &ProtocolAddress, plaintext: &[u8]) -> Result<Sealed, Error> {
        let message = message_encrypt(plaintext, address, &mut self.clone(), &mut self.clone()).await.map_err(protocol)?;
        let kind = match message {
            CiphertextMessage::PreKeySignalMessage(_) => "pkmsg",
            _ => "msg",
        };
        Ok(Sealed { kind, bytes: message.serialize().to_vec() })
    }

    /// Decrypts an `enc` of type `msg` or `pkmsg` to padded plaintext.
    pub async fn decrypt(&self, address: &ProtocolAddress, kind: &str, bytes: &[u8], clock: Clock) -> Result<Vec<u8>, Unreadable> {
        let message = match kind {
            "pkmsg" => PreKeySignalMessage::try_from(bytes).map(CiphertextMessage::PreKeySignalMessage),
            "msg" => SignalMessage::try_from(bytes).map(CiphertextMessage::SignalMessage),
            _ => return Err(Unreadable::Retry(0)),
        };
        let message = message.map_err(|e| reason(&e))?;
        let read = message_decrypt(
            &message,
            address,
            &mut self.clone(),
            &mut self.clone(),
            &mut self.clone(),
            self,
            &mut clock.random(),
            UsePQRatchet::No,
        )
        .await
        .map_err(|e| reason(&e))?;
        if let Some(id) = read.consumed_prekey_id {
            self.0.lock().spent_prekeys.insert(id.into());
        }
        Ok(read.plaintext)
    }

    /// Adds everything that changed since the last call to `batch`.
    pub fn stage(&self, batch: &mut Batch) -> Result<(), Error> {
        let mut inner = self.0.lock();
        for address in std::mem::take(&mut inner.changed_sessions) {
            if let Some(record) = inner.sessions.get(&address) {
                let bytes = record.serialize().map_err(protocol)?;
                batch.put_raw(Room::Signal, &inner.session_row(&address), &bytes);
            }
        }
        for address in std::mem::take(&mut inner.changed_identities) {
            if let Some(key) = inner.identities.get(&address) {
                batch.put_raw(Room::Signal, &inner.identity_row(&address), &key.serialize());
            }
        }
        for id in std::mem::take(&mut inner.spent_prekeys) {
            batch.delete(Room::Signal, &inner.prekey_row(id));
        }
        Ok(())
    }

    /// Goes back to what is on disk, after a batch that could not be written or a
    /// message that could not be read.
    pub fn revert(&self) {
        let mut inner = self.0.lock();
        for address in std::mem::take(&mut inner.changed_sessions) {
            inner.sessions.remove(&address);
        }
        for address in std::mem::take(&mut inner.changed_identities) {
            inner.identities.remove(&address);
        }
        inner.spent_prekeys.clear();
    }
}

impl Inner {
    fn session_row(&self, address: &str) -> Vec<u8> {
        format!("{}/session/{address}", self.number).into_bytes()
    }

    fn identity_row(&self, address: &str) -> Vec<u8> {
        format!("{}/identity/{address}", self.number).into_bytes()
    }

    fn prekey_row(&self, id: u32) -> Vec<u8> {
        format!("{}/prekey/{id:08}", self.number).into_bytes()
    }

    fn session(&mut self, address: &ProtocolAddress) -> Result<Option<SessionRecord>, Error> {
        if let Some(record) = self.sessions.get(address.as_str()) {
            return Ok(Some(record.clone()));
        }
        let row = self.session_row(address.as_str());
        let Some(bytes) = self.state.get_raw(Room::Signal, &row)? else {
            return Ok(None);
        };
        let mut record = SessionRecord::deserialize(&bytes).map_err(protocol)?;
        // Every change is on disk before its ciphertext leaves; no need to skip
        // counters after a restart.
        record.waive_counter_lease();
        self.sessions.insert(address.as_str().to_owned(), record.clone());
        Ok(Some(record))
    }

    fn identity(&mut self, address: &ProtocolAddress) -> Result<Option<IdentityKey>, Error> {
        if let Some(key) = self.identities.get(address.as_str()) {
            return Ok(Some(*key));
        }
        let row = self.identity_row(address.as_str());
        let Some(bytes) = self.state.get_raw(Room::Signal, &row)? else {
            return Ok(None);
        };
        let key = IdentityKey::decode(&bytes).map_err(protocol)?;
        self.identities.insert(address.as_str().to_owned(), key);
        Ok(Some(key))
    }

    fn prekey(&self, id: u32) -> SignalResult<PreKeyRecord> {
        let bytes = self
            .state
            .get_raw(Room::Signal, &self.prekey_row(id))
            .map_err(backend)?
            .filter(|_| !self.spent_prekeys.contains(&id))
            .ok_or(SignalProtocolError::InvalidPreKeyId)?;
        let pair = KeyPair::try_from(PrivateKey::deserialize(&bytes)?)?;
        Ok(PreKeyRecord::new(id.into(), &pair))
    }
}

#[async_trait]
impl SessionStore for SignalState {
    async fn load_session(&self, address: &ProtocolAddress) -> SignalResult<Option<SessionRecord>> {
        self.0.lock().session(address).map_err(backend)
    }

    async fn has_session(&self, address: &ProtocolAddress) -> SignalResult<bool> {
        Ok(self.0.lock().session(address).map_err(backend)?.is_some())
    }

    async fn store_session(&mut self, address: &ProtocolAddress, mut record: SessionRecord) -> SignalResult<()> {
        record.waive_counter_lease();
        let mut inner = self.0.lock();
        inner.sessions.insert(address.as_str().to_owned(), record);
        inner.changed_sessions.insert(address.as_str().to_owned());
        Ok(())
    }
}

#[async_trait]
impl IdentityKeyStore for SignalState {
    async fn get_identity_key_pair(&self) -> SignalResult<IdentityKeyPair> {
        Ok(self.0.lock().identity.clone())
    }

    async fn get_local_registration_id(&self) -> SignalResult<u32> {
        Ok(self.0.lock().registration_id)
    }

    async fn save_identity(&mut self, address: &ProtocolAddress, identity: &IdentityKey) -> SignalResult<IdentityChange> {
        let mut inner = self.0.lock();
        let known = inner.identity(address).map_err(backend)?;
        if known.as_ref() == Some(identity) {
            return Ok(IdentityChange::NewOrUnchanged);
        }
        inner.identities.insert(address.as_str().to_owned(), *identity);
        inner.changed_identities.insert(address.as_str().to_owned());
        Ok(IdentityChange::from_changed(known.is_some()))
    }

    /// A phone accepts a changed identity and goes on, as WhatsApp does by default.
    async fn is_trusted_identity(&self, _: &ProtocolAddress, _: &IdentityKey, _: Direction) -> SignalResult<bool> {
        Ok(true)
    }

    async fn get_identity(&self, address: &ProtocolAddress) -> SignalResult<Option<IdentityKey>> {
        self.0.lock().identity(address).map_err(backend)
    }
}

#[async_trait]
impl PreKeyStore for SignalState {
    async fn get_pre_key(&self, id: PreKeyId) -> SignalResult<PreKeyRecord> {
        self.0.lock().prekey(id.into())
    }

    /// Never asked for: prekeys are made by [`SignalState::make_prekeys`].
    async fn save_pre_key(&mut self, _: PreKeyId, _: &PreKeyRecord) -> SignalResult<()> {
        Ok(())
    }

    async fn remove_pre_key(&mut self, id: PreKeyId) -> SignalResult<()> {
        self.0.lock().spent_prekeys.insert(id.into());
        Ok(())
    }
}

#[async_trait]
impl SignedPreKeyStore for SignalState {
    async fn get_signed_pre_key(&self, id: SignedPreKeyId) -> SignalResult<SignedPreKeyRecord> {
        let inner = self.0.lock();
        if inner.signed_prekey.id()? != id {
            return Err(SignalProtocolError::InvalidSignedPreKeyId);
        }
        Ok(inner.signed_prekey.clone())
    }

    /// Never asked for: a phone keeps the signed prekey it was made with.
    async fn save_signed_pre_key(&mut self, _: SignedPreKeyId, _: &SignedPreKeyRecord) -> SignalResult<()> {
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "made for map_err")]
fn protocol(error: SignalProtocolError) -> Error {
    Error::Protocol(error.to_string())
}

fn backend(error: Error) -> SignalProtocolError {
    SignalProtocolError::BackendError("phone state", Box::new(error))
}

/// The numbers are those of `error` in a retry receipt.
pub(super) fn reason(error: &SignalProtocolError) -> Unreadable {
    match error {
        SignalProtocolError::DuplicatedMessage(..) => Unreadable::Duplicate,
        SignalProtocolError::BackendError(..) => Unreadable::State(Error::State(error.to_string())),
        SignalProtocolError::SessionNotFound(_) | SignalProtocolError::NoSenderKeyState(_) => Unreadable::Retry(1),
        SignalProtocolError::InvalidPreKeyId | SignalProtocolError::InvalidSignedPreKeyId => Unreadable::Retry(3),
        SignalProtocolError::InvalidMessage(..) => Unreadable::Retry(4),
        SignalProtocolError::BadMac(_) => Unreadable::Retry(7),
        _ => Unreadable::Retry(0),
    }
}
