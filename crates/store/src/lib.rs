//! What SanaSend remembers. The only crate that knows SQL and object storage.
//!
//! One [`Store`] holds it all: `impl Store` blocks, one file per concept. Reading goes through a few connections of its
//! own; everything that writes waits for the one writer, which commits together what waits together (see `writer`).
//! Lists and schema are SeaORM's; the hot rooms (outbox, inbox, Signal state) are hand-written SQL.
#![forbid(unsafe_code)]

mod account_hours;
mod api_keys;
mod api_log;
mod audit;
mod backup;
mod campaigns;
mod chats;
mod commits;
mod contacts;
mod cookies;
mod counts;
mod database;
mod dialect;
mod early;
mod error;
mod events;
mod inbox;
mod jobs;
pub mod limits;
mod logins;
mod marks;
mod media;
mod messages;
mod migrations;
mod nodes;
mod opt_outs;
mod outbox;
mod overview;
mod page;
mod people;
mod proofs;
pub mod raw;
mod receipts;
mod recurring;
mod remote;
mod removals;
mod reseal;
mod rows;
mod seal;
mod sessions;
mod signal;
mod sweep;
mod teller;
mod template_uses;
mod templates;
mod together;
mod usage;
mod users;
mod webhooks;
mod writer;

pub use account_hours::{AccountCounts, Answers, PacedAccount};
pub use api_keys::{ApiKey, ApiKeyFilter, ApiKeyOrder, NewApiKey};
pub use api_log::{ApiLogFilter, LoggedRequest, RequestCounts, RequestHour, WINDOW as API_LOG_WINDOW};
pub use audit::{AuditBreak, AuditCheck, AuditEntry, AuditFilter, AuditRecord, AuditStep};
pub use backup::{Copied, CopiedSequence, CopiedTable, Fenced, Fillable, Owners, open_file, seal_file};
pub use campaigns::{
    Ahead, CAMPAIGN_JOB, Campaign, CampaignAccount, CampaignChanged, CampaignFilter, CampaignMade, CampaignRecipient, CampaignTurn,
    CampaignTurned, Funnels, NewCampaign, NewRecipient, RecipientFilter, Turn, TurnMessage, TurnWhat,
};
pub use chats::{Chat, ChatFilter, UNANSWERED};
pub use commits::Commit;
pub use contacts::{
    CHECK_JOB, CheckResult, Contact, ContactCursor, ContactFilter, ContactOrder, ContactPatch, ContactSettings, ERASE_JOB, Erased,
    IMPORT_JOB, Import, ImportFault, ImportKind, ImportPlace, ImportProgress, ImportState, ImportStep, LabelCount, LabelKind, MOST_FAULTS,
    MOST_IMPORTS, NewContact, Put, ToCheck,
};
pub use cookies::{CookieLogin, NewCookie};
pub use database::Database;
pub use error::StoreError;
pub use events::{Event, NewEvent};
pub use inbox::Incoming;
pub use jobs::{
    DueJobs, Job, JobChanged, JobCount, JobEnds, JobFilter, JobHint, JobOrder, JobOutcome, JobPlaces, JobResult, JobTurn, JobsTurned,
    NewJob, ScheduleRow, ScheduleRun,
};
pub use logins::{Login, NewLogin, Rotation};
pub use marks::{Marks, Reacted, Voted, Who};
pub use media::{Bucket, FileStore, IncomingMedia, LocalFile, MediaPart, NewMedia, Opened};
pub use messages::{Cursor, Message, MessageFilter, MessageOrder, Peer, Quoted, Settled, TimelineEntry};
pub use nodes::NodeCall;
pub use opt_outs::{ANSWER_JOB, NewOptOut, OptIn, OptOut, OptOutCause, OptOutFilter};
pub use outbox::{Accepted, Backlog, Change, Claimed, Handed, Held, Idempotency, MessageIds, NewMessage, News, Released, Reschedule};
pub use overview::{Growth, Newcomers, UserCounts};
pub use page::{COUNTED, Listed, LongList, Ordering, Page};
pub use people::UserFigures;
pub use proofs::Proof;
pub use receipts::{Receipt, ReceiptCounts};
pub use recurring::{Recurring, RecurringContent, RecurringCreated, RecurringPlan, RecurringRun};
pub use remote::{Remote, RemoteOptions};
pub use removals::{REMOVE_USER_JOB, REMOVE_WEBHOOK_JOB};
pub use reseal::{KeyRetired, ResealPlace, Resealed};
pub use sessions::{Created, NewSession, Session, SessionFilter, SessionOrder, SessionPatch};
pub use signal::{SignalChange, SignalEntry, SignalKind, SignalState};
pub use template_uses::{TemplateDeleted, TemplateUses};
pub use templates::{NewTemplate, SavedTemplate, TemplateCreated, TemplateFilter, TemplatePatch, TemplateVersion};
pub use usage::{Hour, Usage, UsagePeriod, UsageReport, UsageRow};
pub use users::{NewUser, Updated, User, UserFilter, UserOrder, UserPatch};
pub use webhooks::{
    Attempt, AttemptOutcome, AttemptReport, Delivering, Delivery, DeliveryFilter, NewAttempt, NewWebhook, Replay, ReplayOnly, Replayed,
    WEBHOOK_JOB, Webhook, WebhookCreated, WebhookPatch, WebhookSecret,
};

use dialect::{Pool, Source, query, query_scalar};
use futures::future::BoxFuture;
use migrations::Migrator;
use sanasend_model::Clock;
use sea_orm_migration::MigratorTrait;
use seal::Sealer;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use teller::Teller;
use tokio::sync::{broadcast, watch};
use writer::{Tx, Writer};

/// A key that seals secrets at rest. The id is written beside every sealed value, so that keys can be changed.
#[derive(Clone)]
pub struct SealKey {
    /// Number of the key; never reused for another key.
    pub id: u32,
    pub(crate) key: zeroize::Zeroizing<[u8; 32]>,
    /// It opens nothing: only MACs are checked with it.
    pub(crate) only_macs: bool,
}

impl SealKey {
    /// A key of 32 secret bytes.
    pub fn new(id: u32, key: [u8; 32]) -> Self {
        Self { id, key: zeroize::Zeroizing::new(key), only_macs: false }
    }

    /// What is left of a key that was retired: [`SealKey::mac_part`] of it.
    pub fn for_macs(id: u32, part: [u8; 32]) -> Self {
        Self { id, key: zeroize::Zeroizing::new(part), only_macs: true }
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
    /// The database.
    pub database: Database,
    /// The key that seals what is written.
    pub seal_key: SealKey,
    /// Keys of earlier times, for reading.
    pub older_keys: Vec<SealKey>,
    /// Connections for reading.
    pub readers: u32,
    /// How long PostgreSQL may take to answer before a call is `Unavailable`.
    pub timeout: Duration,
}

/// The memory of the whole program. Cheap to clone; all clones share one writer.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    source: Source,
    readers: Pool,
    writer: Writer,
    sealer: Arc<Sealer>,
    clock: Arc<dyn Clock>,
    teller: Arc<Teller>,
    hints: Arc<jobs::Hints>,
    commits: commits::Watch,
    counts: Arc<counts::Counts>,
    /// The node in whose name accounts are taken, where there may be several.
    node: OnceLock<uuid::Uuid>,
    /// The words by which people opt out and in.
    words: OnceLock<Arc<sanasend_model::opt_out::Words>>,
}

impl Store {
    /// Opens the database; a file is made if needed. Tables are made by [`Store::migrate`].
    pub async fn open(options: Options, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let Options { database, seal_key, older_keys, readers, timeout } = options;
        let source = Source::new(&database, timeout)?;
        let conn = source.connect_writer().await?;
        let readers = source.connect_readers(readers)?;
        let sealer = Arc::new(Sealer::new(&seal_key, &older_keys, clock.clone()));
        let counts = Arc::<counts::Counts>::default();
        let (teller, hints) = (Arc::new(Teller::new(readers.clone(), counts.clone())), Arc::<jobs::Hints>::default());
        let commits = commits::Watch::default();
        let parts = writer::Parts {
            source: source.clone(),
            readers: readers.clone(),
            clock: clock.clone(),
            sealer: sealer.clone(),
            teller: teller.clone(),
            hints: hints.clone(),
            commits: commits.clone(),
            early: Arc::default(),
        };
        let writer = writer::start(conn, parts)?;
        let (node, words) = (OnceLock::new(), OnceLock::new());
        let store = Self { inner: Arc::new(Inner { source, readers, writer, sealer, clock, teller, hints, commits, counts, node, words }) };
        // A first start may have been killed between two migrations: then there is no log yet.
        if store.pending_migrations().await?.is_empty() {
            store.inner.teller.begin(store.last_event().await?).await;
        }
        if let Source::Postgres(address) = &store.inner.source {
            tokio::spawn(teller::listen((**address).clone(), Arc::downgrade(&store.inner.teller), store.inner.hints.clone()));
        }
        Ok(store)
    }

    /// Brings the tables up to date; answers the names of what was applied.
    pub async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        let pending = self.pending_migrations().await?;
        if !pending.is_empty() {
            self.inner.source.migrate(None).await?;
        }
        self.begin_audit_chain().await?;
        self.inner.teller.begin(self.last_event().await?).await;
        Ok(pending)
    }

    /// Names of what [`Store::migrate`] would apply.
    pub async fn pending_migrations(&self) -> Result<Vec<String>, StoreError> {
        let applied = self.applied_migrations().await?;
        let all = Migrator::migrations().into_iter().map(|migration| migration.name().to_owned());
        Ok(all.filter(|name| !applied.contains(name)).collect())
    }

    /// Names of what was applied and this program does not know: a newer one has worked on the database.
    pub async fn newer_migrations(&self) -> Result<Vec<String>, StoreError> {
        let known: Vec<String> = Migrator::migrations().into_iter().map(|migration| migration.name().to_owned()).collect();
        Ok(self.applied_migrations().await?.into_iter().filter(|name| !known.contains(name)).collect())
    }

    /// The list that SeaORM keeps; read by hand because asking SeaORM would make its table.
    async fn applied_migrations(&self) -> Result<Vec<String>, StoreError> {
        if !self.inner.readers.has_table("seaql_migrations").await? {
            return Ok(Vec::new());
        }
        let names = query_scalar("SELECT version FROM seaql_migrations").fetch_all(&self.inner.readers);
        names.await.map_err(dialect::refused)
    }

    /// Whether the database answers, both for reading and for writing.
    pub async fn ping(&self) -> Result<(), StoreError> {
        query("SELECT 1").execute(&self.inner.readers).await.map_err(dialect::refused)?;
        self.write(|_| Box::pin(async { Ok(()) })).await
    }

    /// Whether other processes may work on the same database at the same time.
    pub fn is_shared(&self) -> bool {
        matches!(self.inner.source, Source::Postgres(_))
    }

    /// Finishes what was handed in and closes all connections. Calls after it answer `Unavailable`.
    pub async fn close(&self) {
        self.inner.writer.close().await;
    }

    /// Cursor of the last event on disk; changes after every commit that wrote one.
    pub fn events_written(&self) -> watch::Receiver<i64> {
        self.inner.teller.written()
    }

    /// Every event after its commit. Who lags behind reads the log again from its cursor.
    pub fn changes(&self) -> broadcast::Receiver<Arc<Event>> {
        self.inner.teller.changes()
    }

    /// Runs `work` in the next transaction of the writer; see [`Writer::write`].
    async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    {
        self.inner.writer.write(work).await
    }
}
