//! Files of messages: taken in, looked at, kept, handed to WhatsApp and fetched from it.
//!
//! The way of a file that is sent: [`stage`] writes it to this machine's disk while its hash is taken, [`look`] says what it
//! is, [`Files::keep`] makes it durable and remembers it, and only then is a message with it accepted; the account's driver
//! then has it [carried](Files::carry) to WhatsApp. The way of one that came in: the message says where it is, and
//! [`Files::fetch`] gets it when somebody asks. A file is never whole in memory.

mod carry;
mod fetch;
mod ffmpeg;
mod keep;
pub mod look;
mod open;
pub mod picture;
mod sound;
pub mod stage;
mod sweep;
mod uploads;
mod worker;

pub use fetch::FetchRefused;
pub use keep::{KeepError, Kept, Wish};
pub use open::{open_bucket, open_storage};
pub use stage::{Scratch, StageError, Staged, Staging};
pub use worker::Fetcher;

use crate::config::kinds::MediaFetch;
use crate::config::settings::MediaSettings;
use crate::turns::{Share, Shares, Turn, Turns};
use ffmpeg::Ffmpeg;
use sanasend_engine::Engine;
use sanasend_model::{Clock, FileId, MediaKind, MessageId, UserId};
use sanasend_store::{FileStore, Opened, Store, StoreError};
use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use uploads::Uploads;

const MIB: u64 = 1024 * 1024;
/// Pictures that are decoded at once: each may take a few hundred MiB for a moment.
const PICTURES_AT_ONCE: usize = 2;
/// Runs of ffmpeg at once: each takes a processor for itself.
const FILMS_AT_ONCE: usize = 2;

/// Stored files that one user reads at once.
pub const READS_AT_ONCE: usize = 64;
/// Bodies with a file in base64 that are read at once: each is in memory as a whole, and what it says once more.
const LARGE_BODIES_AT_ONCE: usize = 8;

/// Where files are stored, and where they are staged before that.
#[derive(Debug, Clone)]
pub struct Storage {
    /// The stored files.
    pub files: FileStore,
    /// A folder for files on their way, on the same file system as a folder of stored ones.
    pub scratch: PathBuf,
}

/// Everything that is done with files. Cheap to clone.
#[derive(Clone)]
pub struct Files {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    storage: Storage,
    engine: Engine,
    clock: Arc<dyn Clock>,
    settings: MediaSettings,
    ffmpeg: Option<Ffmpeg>,
    /// Transfers to and from WhatsApp at once, all accounts together; those of one user take half of them at most.
    transfers: Turns,
    pictures: Turns,
    films: Turns,
    large_bodies: Turns,
    reads: Shares<UserId>,
    /// What lies at WhatsApp's media host already.
    uploads: Uploads,
    /// Messages whose file is being fetched, so that nobody fetches it twice.
    fetching: Fetching,
}

type Fetching = Mutex<HashMap<MessageId, Arc<tokio::sync::Mutex<()>>>>;

impl Files {
    /// Over an opened storage.
    pub fn new(store: Store, storage: Storage, engine: Engine, clock: Arc<dyn Clock>, settings: MediaSettings) -> Self {
        let ffmpeg = Ffmpeg::find(settings.ffmpeg.as_deref());
        tracing::info!(ffmpeg = ffmpeg.is_some(), scratch = %storage.scratch.display(), "files of messages are ready");
        let transfers = Turns::new(settings.transfers_at_once, settings.transfers_at_once.div_ceil(2));
        let (pictures, films) = (Turns::new(PICTURES_AT_ONCE, 1), Turns::new(FILMS_AT_ONCE, 1));
        let (uploads, fetching) = (Uploads::default(), Fetching::default());
        let (large_bodies, reads) = (Turns::new(LARGE_BODIES_AT_ONCE, LARGE_BODIES_AT_ONCE / 4), Shares::new(READS_AT_ONCE));
        let inner =
            Inner { store, storage, engine, clock, settings, ffmpeg, transfers, pictures, films, large_bodies, reads, uploads, fetching };
        Self { inner: Arc::new(inner) }
    }

    /// Largest file of a kind that is taken, in bytes.
    pub fn limit(&self, kind: MediaKind) -> u64 {
        if kind == MediaKind::Document { self.inner.settings.document_limit_mib * MIB } else { kind.limit() }
    }

    /// Largest file of any kind, in bytes.
    pub fn largest(&self) -> u64 {
        MediaKind::ALL.iter().map(|kind| self.limit(*kind)).max().unwrap_or(0)
    }

    /// The settings.
    pub fn settings(&self) -> &MediaSettings {
        &self.inner.settings
    }

    /// Whether files of incoming messages are fetched without being asked for.
    pub fn fetches_all(&self) -> bool {
        self.inner.settings.fetch == MediaFetch::Always
    }

    /// A new scratch file; it is not made yet.
    pub fn scratch(&self) -> Scratch {
        // The name can't be taken for a stored file's.
        Scratch::at(self.inner.storage.scratch.join(format!("in-{}", self.inner.clock.uuid())))
    }

    /// Begins a file of at most `limit` bytes.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub async fn stage(&self, limit: u64) -> Result<Staging, StageError> {
        Staging::begin(self.scratch(), limit).await
    }

    /// Waits until a user may have one more body with a file in memory.
    pub async fn turn_of_large_body(&self, user: UserId) -> Turn {
        self.inner.large_bodies.of(user).await
    }

    /// What a user may have of the files that are read at once: one more; `None` when it has [`READS_AT_ONCE`].
    pub fn share_of_reads(&self, user: UserId) -> Option<Share<UserId>> {
        self.inner.reads.take(user)
    }

    /// Whether the storage answers.
    ///
    /// # Errors
    /// When it is down.
    pub async fn ping_storage(&self) -> Result<(), StoreError> {
        self.inner.storage.files.ping().await
    }

    /// Whether files lie in a bucket.
    pub fn is_in_bucket(&self) -> bool {
        self.inner.storage.files.is_bucket()
    }

    /// How many bytes a stored file really has; `None` when it is not there.
    ///
    /// # Errors
    /// When the storage is down.
    pub async fn size(&self, id: FileId) -> Result<Option<u64>, StoreError> {
        self.inner.storage.files.size(id).await
    }

    /// Bytes of a stored file; `None` when it is not there.
    ///
    /// # Errors
    /// When the storage is down.
    pub async fn open(&self, id: FileId, range: Option<Range<u64>>) -> Result<Option<Opened>, StoreError> {
        self.inner.storage.files.open(id, range).await
    }
}
