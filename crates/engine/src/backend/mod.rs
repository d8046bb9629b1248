//! The client library's storage, built on an account's sealed rows ([`SignalState`]).
//!
//! Apart from the rest because it is a translation and nothing else: five storage traits with 82 methods on
//! one side, sealed keys and values on the other. Three rules hold everywhere:
//!
//! - a batch is one atomic, durable change, never a loop of single ones: a crash between two halves of a
//!   ratchet's state would use a message key twice;
//! - a method returns after its write is on disk, and no read misses a write that returned;
//! - retention is not done per account: the methods that delete old rows do nothing, the store sweeps them
//!   for all accounts at once.

mod app_sync;
mod device;
mod missed;
mod msg_secret;
mod protocol;
mod signal;
mod tc_token;
#[cfg(test)]
pub(crate) mod tests;

use crate::keep::Keep;
pub(crate) use missed::Missed;
use sanasend_store::{SignalChange, SignalKind, SignalState};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use whatsapp_rust::wacore::store::error::{Result, StoreError};

/// Storage of one account. One value per link: its small caches and locks know of no other writer, which
/// the generation of the rows guarantees.
pub(crate) struct Backend {
    rows: SignalState,
    /// Held while a change is worked out from what is stored, so that two of them can't undo each other.
    changing: Mutex<()>,
    tc_tokens: tc_token::Cache,
    /// Offers what came in, and knows who hears of the link.
    keep: Keep,
}

impl Backend {
    /// Storage over the rows of one account, without a link.
    #[cfg(test)]
    pub(crate) fn new(rows: SignalState) -> Self {
        let keep = Keep::new(rows.session_id(), None);
        Self::with(rows, keep)
    }

    /// Storage over the rows of one account, for a link, which has to end when what came in can't be kept.
    pub(crate) fn with(rows: SignalState, keep: Keep) -> Self {
        Self { rows, changing: Mutex::new(()), tc_tokens: tc_token::Cache::default(), keep }
    }

    async fn get(&self, kind: SignalKind, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.rows.get(kind, key).await.map_err(storage)
    }

    async fn put(&self, kind: SignalKind, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        self.apply(vec![SignalChange::Put { kind, key, value }]).await
    }

    async fn delete(&self, kind: SignalKind, key: Vec<u8>) -> Result<()> {
        self.apply(vec![SignalChange::Delete { kind, key }]).await
    }

    /// One atomic, durable change. An empty one costs nothing.
    async fn apply(&self, changes: Vec<SignalChange>) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        self.rows.apply(changes).await.map_err(storage)
    }

    /// Writes messages down that are not handed over yet, or ends the link.
    async fn keep_inbound(&self, changes: Vec<SignalChange>) -> Result<()> {
        let rows = self.rows.clone();
        let write = move || {
            let (rows, changes) = (rows.clone(), changes.clone());
            async move { rows.apply(changes).await }
        };
        self.keep.or_end(write).await.map_err(storage)
    }

    async fn get_as<T: DeserializeOwned>(&self, kind: SignalKind, key: &[u8]) -> Result<Option<T>> {
        self.get(kind, key).await?.map(|value| decode(&value)).transpose()
    }
}

/// The key of a row named by several texts. None of them can hold a NUL byte, so the border is never in doubt.
fn key(parts: &[&str]) -> Vec<u8> {
    parts.join("\0").into_bytes()
}

/// The keys of all rows whose first text is `part`.
fn prefix(part: &str) -> Vec<u8> {
    let mut prefix = part.as_bytes().to_vec();
    prefix.push(0);
    prefix
}

/// JSON, since it names its fields: the client library adds some with nearly every version.
fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| StoreError::Serialization(Box::new(error)))
}

fn decode<T: DeserializeOwned>(value: &[u8]) -> Result<T> {
    serde_json::from_slice(value).map_err(|error| StoreError::Serialization(Box::new(error)))
}

fn text(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| StoreError::Serialization(Box::new(error)))
}

fn storage(error: sanasend_store::StoreError) -> StoreError {
    StoreError::Database(Box::new(error))
}

fn invalid(what: &str) -> StoreError {
    StoreError::Validation(format!("a stored {what} has the wrong length"))
}
