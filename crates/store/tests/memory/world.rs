//! The small world that the sentences play in: a store in a folder of its own, a clock that stands still, people and
//! accounts made with few words.

pub use crate::backend::Backend;
use sanasend_model::{Clock, Content, MessageId, Network, Recipient, SessionId, Timestamp, UserId};
use sanasend_store::{
    Claimed, Created, Database, Idempotency, MessageIds, NewMessage, NewSession, NewUser, News, Options, SealKey, SignalState, Store, User,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// 2026-11-21T00:00:00Z.
pub const START: Timestamp = Timestamp(1_795_219_200_000);
/// Its UTC day.
pub const TODAY: i32 = 20_778;

/// A clock that moves only when told to, and random bytes that never repeat.
#[derive(Debug)]
pub struct StillClock {
    now: AtomicI64,
    state: AtomicU64,
}

impl Default for StillClock {
    fn default() -> Self {
        Self { now: AtomicI64::new(START.0), state: AtomicU64::new(7) }
    }
}

impl StillClock {
    pub fn advance(&self, by: Duration) {
        self.now.fetch_add(i64::try_from(by.as_millis()).expect("not that long"), Ordering::SeqCst);
    }
}

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let mut z = self.state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

/// One store and what stands around it.
pub struct World<B> {
    pub store: Store,
    pub clock: Arc<StillClock>,
    pub backend: B,
    pub database: Database,
    pub folder: tempfile::TempDir,
    counter: AtomicU64,
}

/// How the suite opens a database.
pub fn options(database: &Database) -> Options {
    Options {
        database: database.clone(),
        seal_key: SealKey::new(1, [7; 32]),
        older_keys: Vec::new(),
        readers: 4,
        timeout: Duration::from_secs(5),
    }
}

/// An account with its present owner's generation.
#[derive(Clone, Copy)]
pub struct Account {
    pub user: UserId,
    pub id: SessionId,
    pub generation: i64,
}

impl<B: Backend> World<B> {
    pub async fn new() -> Self {
        let clock = Arc::new(StillClock { now: AtomicI64::new(START.0), state: AtomicU64::new(7) });
        let folder = tempfile::tempdir().expect("a folder");
        let (backend, database) = B::fresh(folder.path()).await;
        let store = Store::open(options(&database), clock.clone()).await.expect("opened");
        store.migrate().await.expect("migrated");
        Self { store, clock, backend, database, folder, counter: AtomicU64::new(0) }
    }

    /// A second store on the same database, as after a crash: the first one is not closed.
    pub async fn reopen(&self) -> Store {
        self.open_at(&self.database).await
    }

    pub async fn reopen_with(&self, seal_key: SealKey, older_keys: Vec<SealKey>) -> Store {
        let options = Options { seal_key, older_keys, ..options(&self.database) };
        Store::open(options, self.clock.clone()).await.expect("opened again")
    }

    /// A store on a database elsewhere.
    pub async fn open_at(&self, database: &Database) -> Store {
        Store::open(options(database), self.clock.clone()).await.expect("opened elsewhere")
    }

    /// Makes all later ids and numbers differ from those of a world with another seed.
    pub fn set_seed(&self, seed: u64) {
        self.clock.state.store(seed << 40, Ordering::SeqCst);
        self.counter.store(seed << 40, Ordering::SeqCst);
    }

    pub async fn tamper(&self, sql: &str) {
        self.backend.tamper(&self.database, sql).await;
    }

    pub async fn ask(&self, sql: &str) -> i64 {
        self.backend.ask(&self.database, sql).await
    }

    pub fn number(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::SeqCst)
    }

    #[expect(clippy::unused_self, reason = "reads as one of the world's words")]
    pub fn new_user(&self, name: &str) -> NewUser {
        NewUser {
            username: name.into(),
            email: format!("{name}@example.com"),
            password_hash: format!("hash of {name}"),
            is_admin: false,
            is_active: true,
            max_messages_per_day: 1000,
            max_messages_per_minute: 60,
            max_sessions: 1,
        }
    }

    pub async fn user(&self, name: &str) -> User {
        self.store.create_user(self.new_user(name)).await.expect("a user")
    }

    pub async fn account_of(&self, user: UserId, name: &str) -> Account {
        let new = NewSession { id: SessionId::new(&*self.clock), user_id: user, name: name.into(), network: Network::Sandbox };
        let id = new.id;
        assert!(matches!(self.store.create_session(new, 100).await, Ok(Created::Done(_))));
        let generation = self.store.take_session(id).await.expect("taken");
        Account { user, id, generation }
    }

    /// A user with an account.
    pub async fn account(&self) -> Account {
        let user = self.user(&format!("user{}", self.number())).await;
        self.account_of(user.id, "default").await
    }

    /// A text to a phone number, not handed in yet.
    pub fn text(&self, account: Account, to: &str, body: &str) -> NewMessage {
        let now = self.clock.now();
        let ids = MessageIds {
            id: MessageId::new(&*self.clock),
            wa_message_id: format!("3EB0{:016X}", self.number()),
            user_id: account.user,
            session_id: account.id,
        };
        let (recipient, content) = (Recipient::parse(to).expect("a recipient"), Content::text(body).expect("a text"));
        NewMessage { day: TODAY, ..NewMessage::plain(ids, recipient, content, (now, now.plus(Duration::from_hours(1))), 1_000_000) }
    }

    /// Hands a text in.
    pub async fn send(&self, account: Account, to: &str, body: &str) -> NewMessage {
        let new = self.text(account, to, body);
        let accepted = self.store.accept(new.clone()).await.expect("accepted");
        assert!(matches!(accepted, sanasend_store::Accepted::Created { .. }), "{accepted:?}");
        new
    }

    /// Takes up what is due, as bodies in order.
    pub async fn claim(&self, account: Account) -> Vec<String> {
        self.claimed(account).await.iter().map(|claimed| claimed.message.content.body().unwrap_or_default().to_owned()).collect()
    }

    pub async fn claimed(&self, account: Account) -> Vec<Claimed> {
        self.store.claim(account.id, account.generation, self.clock.now(), &[], 100).await.expect("claimed")
    }

    pub async fn apply(&self, account: Account, news: Vec<News>) -> Vec<(MessageId, sanasend_model::MessageStatus)> {
        let changes = self.store.apply(account.id, account.generation, news).await.expect("applied");
        changes.into_iter().map(|change| (change.message_id, change.to)).collect()
    }

    pub async fn ack(&self, account: Account, message: &NewMessage) {
        self.apply(account, vec![News::Acked { wa_message_id: message.wa_message_id.clone(), at: self.clock.now() }]).await;
    }

    pub fn signal(&self, account: Account) -> SignalState {
        self.store.signal(account.id, account.generation)
    }
}

/// An idempotency key with the answer `body`.
#[expect(clippy::unnecessary_wraps, reason = "it stands where a message has its key or none")]
pub fn key(key: &str, asked: u8, body: &str) -> Option<Idempotency> {
    let expires_at = START.plus(Duration::from_hours(24));
    Some(Idempotency { key: key.into(), fingerprint: [asked; 32], status: 202, body: body.into(), expires_at })
}

/// Numbers that the numbering plan knows.
pub const ANNA: &str = "+14155550101";
pub const BEN: &str = "+14155550102";
pub const CARL: &str = "+14155550103";
