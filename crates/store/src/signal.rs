//! Signal state: a sealed key-value store per account, on which the engine builds the client library's storage.
//!
//! Hand-written SQL, apart from the lists: it is read and written for every message. Values are sealed with the
//! row's address as associated data, so that a stolen file tells nothing and a moved row can't be opened.

use crate::{Store, StoreError};
use sanasend_model::{SessionId, Timestamp};

/// What a value is. The number is in the table: never reuse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are those of the client library's stores")]
pub enum SignalKind {
    Device = 1,
    Identity = 2,
    Session = 3,
    PreKey = 4,
    SignedPreKey = 5,
    SenderKey = 6,
    SyncKey = 7,
    SyncVersion = 8,
    MutationMac = 9,
    SenderKeyDevice = 10,
    LidMapping = 11,
    PnMapping = 12,
    BaseKey = 13,
    DeviceList = 14,
    GroupMetadata = 15,
    TcToken = 16,
    SentMessage = 17,
    PendingInbound = 18,
    MsgSecret = 19,
}

/// One change of an account's Signal state. Debug never shows values.
#[derive(Clone, PartialEq, Eq)]
pub enum SignalChange {
    /// Write a value, new or in place of another.
    Put {
        /// Kind.
        kind: SignalKind,
        /// Key within the kind.
        key: Vec<u8>,
        /// The value, in the clear; it is sealed on its way to the disk.
        value: Vec<u8>,
    },
    /// Remove one value, if it is there.
    Delete {
        /// Kind.
        kind: SignalKind,
        /// Key within the kind.
        key: Vec<u8>,
    },
    /// Remove all values whose key begins so; an empty prefix removes the whole kind.
    DeletePrefix {
        /// Kind.
        kind: SignalKind,
        /// Beginning of the keys.
        prefix: Vec<u8>,
    },
}

impl std::fmt::Debug for SignalChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, kind, key) = match self {
            Self::Put { kind, key, .. } => ("Put", kind, key),
            Self::Delete { kind, key } => ("Delete", kind, key),
            Self::DeletePrefix { kind, prefix } => ("DeletePrefix", kind, prefix),
        };
        write!(f, "{name}({kind:?}, {} bytes of key)", key.len())
    }
}

/// A key and its opened value.
pub type SignalEntry = (Vec<u8>, Vec<u8>);

/// One account's Signal state in the hands of one owner. Cheap to clone.
#[derive(Clone)]
pub struct SignalState {
    pub(crate) store: Store,
    pub(crate) session_id: SessionId,
    pub(crate) generation: i64,
}

impl SignalState {
    /// The account.
    pub fn session_id(&self) -> SessionId {
        self.session_id
    }
    /// The value of a key.
    pub async fn get(&self, kind: SignalKind, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let _ = (kind, key, &self.store, self.generation);
        Err(crate::not_yet())
    }
    /// The values of those keys that are there, in any order.
    pub async fn get_many(&self, kind: SignalKind, keys: &[Vec<u8>]) -> Result<Vec<SignalEntry>, StoreError> {
        let _ = (kind, keys);
        Err(crate::not_yet())
    }
    /// All values whose key begins so, by key.
    pub async fn list(&self, kind: SignalKind, prefix: &[u8]) -> Result<Vec<SignalEntry>, StoreError> {
        let _ = (kind, prefix);
        Err(crate::not_yet())
    }
    /// All keys that begin so, in order, without opening any value.
    pub async fn list_keys(&self, kind: SignalKind, prefix: &[u8]) -> Result<Vec<Vec<u8>>, StoreError> {
        let _ = (kind, prefix);
        Err(crate::not_yet())
    }
    /// The largest key of a kind in byte order.
    pub async fn max_key(&self, kind: SignalKind) -> Result<Option<Vec<u8>>, StoreError> {
        let _ = kind;
        Err(crate::not_yet())
    }
    /// Makes all changes or none, in order; they are on disk when this returns. `Fenced` when the account has another owner.
    pub async fn apply(&self, changes: Vec<SignalChange>) -> Result<(), StoreError> {
        let _ = changes;
        Err(crate::not_yet())
    }
    /// Reads and removes a value in one step.
    pub async fn take(&self, kind: SignalKind, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let _ = (kind, key);
        Err(crate::not_yet())
    }
    /// Replaces a value by what `change` makes of it, in one step; `None` removes it. `change` runs on the writer: it must be quick.
    pub async fn update<F>(&self, kind: SignalKind, key: &[u8], change: F) -> Result<(), StoreError>
    where
        F: FnOnce(Option<Vec<u8>>) -> Option<Vec<u8>> + Send + 'static,
    {
        let _ = (kind, key, change);
        Err(crate::not_yet())
    }
}

impl Store {
    /// Removes values of a kind, of all accounts, that were last written before `older_than`; answers how many.
    pub async fn sweep_signal(&self, kind: SignalKind, older_than: Timestamp) -> Result<u64, StoreError> {
        let _ = (kind, older_than);
        Err(crate::not_yet())
    }
}
