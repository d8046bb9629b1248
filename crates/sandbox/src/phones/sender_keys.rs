//! The keys under which others write to groups.
//!
//! Each member seals a group message once for all, under a key of their own that they gave to every device before.
//! Apart from the sessions between two devices, which carry those keys; staged with them, for the same reason.

use crate::Error;
use crate::state::{Batch, Room, State};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use wacore_libsignal::protocol::error::Result as SignalResult;
use wacore_libsignal::protocol::{
    SenderKeyDistributionMessage, SenderKeyName, SenderKeyRecord, SenderKeyStore, SignalProtocolError, group_decrypt,
    process_sender_key_distribution_message,
};

/// The keys. Clones share them.
#[derive(Clone)]
pub(super) struct SenderKeys(Arc<Mutex<Inner>>);

struct Inner {
    state: State,
    number: String,
    keys: HashMap<String, Vec<u8>>,
    changed: HashSet<String>,
}

impl SenderKeys {
    /// The keys of a phone, read lazily from disk.
    pub fn open(state: &State, number: &str) -> Self {
        let inner = Inner { state: state.clone(), number: number.to_owned(), keys: HashMap::new(), changed: HashSet::new() };
        Self(Arc::new(Mutex::new(inner)))
    }

    /// Takes in the key of a member's device.
    pub async fn learn(&self, group: &str, device: &str, key: &[u8]) -> SignalResult<()> {
        let key = SenderKeyDistributionMessage::try_from(key)?;
        process_sender_key_distribution_message(&SenderKeyName::from_parts(group, device), &key, &mut self.clone()).await
    }

    /// Opens what a member's device sealed for all.
    pub async fn open_message(&self, group: &str, device: &str, bytes: &[u8]) -> SignalResult<Vec<u8>> {
        group_decrypt(bytes, &mut self.clone(), &SenderKeyName::from_parts(group, device)).await
    }

    /// Adds everything that changed since the last call to `batch`.
    pub fn stage(&self, batch: &mut Batch) {
        let mut inner = self.0.lock();
        for name in std::mem::take(&mut inner.changed) {
            if let Some(record) = inner.keys.get(&name) {
                batch.put_raw(Room::Signal, &inner.row(&name), record);
            }
        }
    }

    /// Goes back to what is on disk.
    pub fn revert(&self) {
        let mut inner = self.0.lock();
        for name in std::mem::take(&mut inner.changed) {
            inner.keys.remove(&name);
        }
    }
}

impl Inner {
    fn row(&self, name: &str) -> Vec<u8> {
        format!("{}/sender-key/{name}", self.number).into_bytes()
    }
}

#[async_trait]
impl SenderKeyStore for SenderKeys {
    async fn store_sender_key(&mut self, name: &SenderKeyName, record: SenderKeyRecord) -> SignalResult<()> {
        let bytes = record.serialize()?;
        let name = format!("{}:{}", name.group_id(), name.sender_id());
        let mut inner = self.0.lock();
        inner.keys.insert(name.clone(), bytes);
        inner.changed.insert(name);
        Ok(())
    }

    async fn load_sender_key(&self, name: &SenderKeyName) -> SignalResult<Option<SenderKeyRecord>> {
        let name = format!("{}:{}", name.group_id(), name.sender_id());
        let inner = self.0.lock();
        let bytes = match inner.keys.get(&name) {
            Some(bytes) => Some(bytes.clone()),
            None => inner.state.get_raw(Room::Signal, &inner.row(&name)).map_err(unreadable)?,
        };
        bytes.map(|bytes| SenderKeyRecord::deserialize(&bytes)).transpose()
    }
}

fn unreadable(error: Error) -> SignalProtocolError {
    SignalProtocolError::BackendError("phone state", Box::new(error))
}
