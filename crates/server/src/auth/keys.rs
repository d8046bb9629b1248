//! API keys: made once, kept as an HMAC, checked in constant time, remembered for a moment.
//!
//! The HMAC is under a secret of the data folder, so that a stolen database alone opens nothing and no slow hash
//! is needed on the hot path: a key is 256 random bits. What was checked is remembered for a second so that a
//! busy key costs no read per request; every change of a user or key in this process makes all of that worthless
//! at once. Other nodes are hinted at it through Redis, where there is one, and do the same some milliseconds later.
//! The second is the bound for all who hear no hint: a node that lost its Redis, a change by the command line.

use crate::secrets::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sanasend_model::api_key::{self, PREFIX_CHARS};
use sanasend_model::{ApiKeyId, Clock, Timestamp};
use sanasend_store::{ApiKey, Remote, Store, StoreError, User};
use sha2::Sha256;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use subtle::ConstantTimeEq;
use tokio::sync::watch;

/// How long a checked key is believed without asking the database.
const BELIEVED_FOR: Duration = Duration::from_secs(1);
/// Keys that are remembered.
const REMEMBERED: u64 = 10_000;
/// Characters of a prefix; digits and small letters without those that look alike.
const PREFIX_ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// A new key. The plain text is shown once and is nowhere else.
pub struct NewKey {
    /// What the caller sends.
    pub plain: String,
    /// Finds the row.
    pub prefix: String,
    /// What is stored.
    pub digest: [u8; 32],
}

/// Why a key is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRefusal {
    /// Not one of ours.
    Unknown,
    /// Revoked, or replaced and its grace period over.
    Revoked,
    /// Its date has passed.
    Expired,
    /// Not from this address.
    WrongAddress,
    /// Its user is deactivated.
    UserInactive,
}

/// Whom a good key stands for, and the key. Shared, so that a busy key costs no copies.
pub type Believed = (Arc<User>, Arc<ApiKey>);

/// A key that was believed, and when.
#[derive(Debug)]
struct Checked {
    key: Arc<ApiKey>,
    user: Arc<User>,
    at: Timestamp,
    generation: u64,
}

/// Makes and checks keys.
pub struct Keys {
    secret: Secret,
    clock: Arc<dyn Clock>,
    checked: moka::sync::Cache<[u8; 32], Arc<Checked>>,
    /// Moves on with every change of a user or key; what was read under an older one is not believed.
    generation: AtomicU64,
    /// The same for those who wait for a change.
    changes: watch::Sender<u64>,
    touched: Mutex<HashMap<ApiKeyId, Timestamp>>,
    others: OnceLock<Remote>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    /// Digests are made under `secret`.
    #[must_use]
    pub fn new(secret: Secret, clock: Arc<dyn Clock>) -> Self {
        let checked = moka::sync::Cache::new(REMEMBERED);
        Self {
            secret,
            clock,
            checked,
            generation: AtomicU64::new(0),
            changes: watch::Sender::new(0),
            touched: Mutex::default(),
            others: OnceLock::new(),
        }
    }

    /// A new key; nothing is stored.
    #[must_use]
    pub fn issue(&self) -> NewKey {
        let mut random = [0_u8; PREFIX_CHARS];
        self.clock.fill(&mut random);
        let prefix: String = random.iter().map(|byte| char::from(PREFIX_ALPHABET[usize::from(byte % 32)])).collect();
        let mut secret = [0_u8; 32];
        self.clock.fill(&mut secret);
        let plain = api_key::join(&prefix, &URL_SAFE_NO_PAD.encode(secret));
        let digest = self.digest(&plain);
        NewKey { plain, prefix, digest }
    }

    /// Checks a key that was presented from `address`, and notes its use.
    ///
    /// # Errors
    /// The store's, when it could not be asked. The inner one says why the key is refused.
    pub async fn check(&self, store: &Store, presented: &str, address: IpAddr) -> Result<Result<Believed, KeyRefusal>, StoreError> {
        let Some(parts) = api_key::split(presented) else {
            return Ok(Err(KeyRefusal::Unknown));
        };
        let digest = self.digest(presented);
        let now = self.clock.now();
        let checked = match self.remembered(&digest, now) {
            Some(checked) => checked,
            None => match self.read(store, parts.prefix, digest, now).await? {
                Some(checked) => checked,
                None => return Ok(Err(KeyRefusal::Unknown)),
            },
        };
        if let Some(refusal) = refusal(&checked.key, &checked.user, address, now) {
            return Ok(Err(refusal));
        }
        self.touched.lock().unwrap_or_else(PoisonError::into_inner).insert(checked.key.id, now);
        Ok(Ok((checked.user.clone(), checked.key.clone())))
    }

    /// Lets other nodes know of changes from now on.
    pub fn share(&self, others: Remote) {
        let _ = self.others.set(others);
    }

    /// Must be called after every change of a user or key and after every end of a login, before it is answered: from
    /// then on nothing that was read before it is believed here, and soon nowhere. Open streams ask again at once.
    pub fn forget(&self) {
        self.forget_here();
        if let Some(others) = self.others.get() {
            others.tell_people_changed();
        }
    }

    /// The same for this process alone.
    pub fn forget_here(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.checked.invalidate_all();
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// A number that moves on with every change of a user, key or login.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// When a key was last used, which may be later than what its row says.
    pub fn last_used(&self, key: &ApiKey) -> Option<Timestamp> {
        let noted = self.touched.lock().unwrap_or_else(PoisonError::into_inner).get(&key.id).copied();
        key.last_used_at.max(noted)
    }

    /// The times of last use that were not written down yet; they are the caller's from now on.
    pub fn take_touches(&self) -> Vec<(ApiKeyId, Timestamp)> {
        std::mem::take(&mut *self.touched.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect()
    }

    /// Takes back what could not be written.
    pub fn give_back_touches(&self, noted: Vec<(ApiKeyId, Timestamp)>) {
        let mut touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, at) in noted {
            let entry = touched.entry(id).or_insert(at);
            *entry = (*entry).max(at);
        }
    }

    fn remembered(&self, digest: &[u8; 32], now: Timestamp) -> Option<Arc<Checked>> {
        let checked = self.checked.get(digest)?;
        let fresh =
            checked.generation == self.generation.load(Ordering::SeqCst) && now >= checked.at && now.since(checked.at) < BELIEVED_FOR;
        fresh.then_some(checked)
    }

    async fn read(&self, store: &Store, prefix: &str, digest: [u8; 32], now: Timestamp) -> Result<Option<Arc<Checked>>, StoreError> {
        // Taken before the read: a change that comes between makes what is read here worthless.
        let generation = self.generation.load(Ordering::SeqCst);
        let Some((key, stored, user)) = store.api_key_by_prefix(prefix).await? else {
            // The same work as for a prefix that exists.
            let _ = bool::from([0_u8; 32].ct_eq(&digest));
            return Ok(None);
        };
        if !bool::from(stored.ct_eq(&digest)) {
            return Ok(None);
        }
        let checked = Arc::new(Checked { key: Arc::new(key), user: Arc::new(user), at: now, generation });
        self.checked.insert(digest, checked.clone());
        Ok(Some(checked))
    }

    fn digest(&self, plain: &str) -> [u8; 32] {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret.0).expect("any length");
        mac.update(plain.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

/// Why a key of a user that comes from `address` is refused now; `None` when it is good.
#[must_use]
pub fn refusal(key: &ApiKey, user: &User, address: IpAddr, now: Timestamp) -> Option<KeyRefusal> {
    let replaced = key.replaced_by.is_some() && key.grace_until.is_none_or(|until| until <= now);
    if !key.is_active || key.revoked_at.is_some() || replaced {
        return Some(KeyRefusal::Revoked);
    }
    if key.expires_at.is_some_and(|until| until <= now) {
        return Some(KeyRefusal::Expired);
    }
    if !api_key::allows(&key.allowed_ips, address) {
        return Some(KeyRefusal::WrongAddress);
    }
    (!user.is_active).then_some(KeyRefusal::UserInactive)
}
