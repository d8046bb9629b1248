//! What SanaSend remembers. The only crate that knows SQL.
#![forbid(unsafe_code)]

mod api_keys;
mod audit;
mod error;
mod events;
mod inbox;
mod logins;
mod messages;
mod outbox;
mod page;
mod sessions;
mod signal;
mod usage;
mod users;

pub use api_keys::{ApiKey, ApiKeyFilter, ApiKeyOrder, NewApiKey};
pub use audit::AuditEntry;
pub use error::StoreError;
pub use events::{Event, NewEvent};
pub use inbox::Incoming;
pub use logins::{Login, NewLogin, Rotation};
pub use messages::{Cursor, Message, MessageFilter, MessageOrder, Peer, Quoted, Settled, TimelineEntry};
pub use outbox::{Accepted, Change, Claimed, Idempotency, NewMessage, News};
pub use page::{Listed, Ordering, Page};
pub use sessions::{Created, NewSession, Session, SessionFilter, SessionOrder, SessionPatch};
pub use signal::{SignalChange, SignalEntry, SignalKind, SignalState};
pub use usage::Usage;
pub use users::{NewUser, Updated, User, UserFilter, UserOrder, UserPatch};

use sanasend_model::Clock;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{broadcast, watch};

pub(crate) fn not_yet() -> StoreError {
    StoreError::Unavailable("not built yet".into())
}

/// A key that seals secrets at rest. The id is written beside every sealed value, so that keys can be changed.
#[derive(Clone)]
pub struct SealKey {
    /// Number of the key; never reused for another key.
    pub id: u32,
    pub(crate) key: zeroize::Zeroizing<[u8; 32]>,
}

impl SealKey {
    /// A key of 32 secret bytes.
    pub fn new(id: u32, key: [u8; 32]) -> Self {
        Self { id, key: zeroize::Zeroizing::new(key) }
    }
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Where and how to remember.
#[derive(Debug, Clone)]
pub struct Options {
    /// The SQLite file; made with mode 600 when it is not there.
    pub path: PathBuf,
    /// The key that seals what is written.
    pub seal_key: SealKey,
    /// Keys of earlier times, for reading.
    pub older_keys: Vec<SealKey>,
    /// Connections for reading.
    pub readers: u32,
}

/// The memory of the whole program. Cheap to clone; all clones share one writer.
#[derive(Clone)]
pub struct Store {}

impl Store {
    /// Opens the database file, makes it if needed. Tables are made by [`Store::migrate`].
    pub async fn open(options: Options, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let _ = (options, clock);
        Err(not_yet())
    }
    /// Brings the tables up to date; answers the names of what was applied.
    pub async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        Err(not_yet())
    }
    /// Names of what [`Store::migrate`] would apply.
    pub async fn pending_migrations(&self) -> Result<Vec<String>, StoreError> {
        Err(not_yet())
    }
    /// Whether the database answers, both for reading and for writing.
    pub async fn ping(&self) -> Result<(), StoreError> {
        Err(not_yet())
    }
    /// Finishes what was handed in and closes all connections. Calls after it answer `Unavailable`.
    pub async fn close(&self) {}
    /// Cursor of the last event on disk; changes after every commit that wrote one.
    pub fn events_written(&self) -> watch::Receiver<i64> {
        watch::channel(0).1
    }
    /// Every event after its commit. Who lags behind reads the log again from its cursor.
    pub fn changes(&self) -> broadcast::Receiver<Arc<Event>> {
        broadcast::channel(1).1
    }
}
