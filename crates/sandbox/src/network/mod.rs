//! What a WhatsApp server does, in stanzas and jids.
//!
//! This room decides who is who, what is answered and who gets what. It knows no
//! sockets and no encryption of the transport (that is `wire`), and cannot read a
//! message (that is for the devices and `phones`). Its handlers never wait: a stanza in,
//! writes to disk, stanzas out. What is written goes before what is answered.

mod accounts;
mod app_state;
mod attach;
mod blocks;
mod devices;
mod faults;
mod groups;
mod iq;
mod link;
mod login;
mod messages;
mod nodes;
mod pair_code;
mod pairing;
mod prekeys;
mod presence;
mod queue;
mod receipts;
mod reorder;
mod seam;
mod settings;
mod tokens;
mod usync;

use crate::Error;
use crate::clock::Clock;
use crate::media::MediaHost;
use crate::state::{Room, State};
use crate::transcript::Transcript;
use accounts::{Account, AccountInner, Device, Registry, device_key};
use pairing::Waiting;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::sync::Notify;
use wacore_binary::Jid;

pub use accounts::{AccountRecord, Addresses, DeviceRecord, Key, SignedPreKey};
pub use faults::{Fault, Faults};
pub use groups::GroupChange;
pub(crate) use link::{Item, Out};
pub(crate) use login::Connection;
pub(crate) use queue::decode;
pub use seam::{CodeFinish, CodeHello, CompanionKeys, CompanionRequest, NodePipe, Pending, Primary, PrimaryHello, SignedCompanion};
pub(crate) use tokens::scenario;

/// The first companion of an account gets this device number.
const FIRST_DEVICE: u16 = 33;

/// How much of everything there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Accounts, one for each phone.
    pub accounts: usize,
    /// Devices, phones among them.
    pub devices: usize,
    /// Open connections, attached phones among them.
    pub connections: usize,
    /// Stanzas that wait for a device or for its acknowledgement.
    pub queued: usize,
    /// Files that clients and phones have left at the media hosts since the start.
    pub uploads: u64,
}

/// The pretend server. Cheap to clone.
#[derive(Clone)]
pub struct Network(Arc<Inner>);

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}

struct Inner {
    state: State,
    clock: Clock,
    transcript: Arc<Transcript>,
    faults: Faults,
    accounts: Registry,
    waiting: Waiting,
    connections: AtomicUsize,
    /// Told at the end of each connection.
    one_closed: Notify,
    next_connection: AtomicU64,
    /// Ids of the network's own stanzas begin with this, so that none that still waits
    /// in a queue from before a restart is used again.
    id_prefix: String,
    next_id: AtomicU64,
    media: MediaHost,
}

impl Network {
    /// Loads accounts, devices and queues from `state`.
    pub(crate) fn open(state: State, clock: Clock, transcript: Arc<Transcript>, media: MediaHost) -> Result<Network, Error> {
        let accounts = Registry::load(&state)?;
        Ok(Network(Arc::new(Inner {
            state,
            clock,
            transcript,
            faults: Faults::default(),
            accounts,
            waiting: Waiting::default(),
            connections: AtomicUsize::new(0),
            one_closed: Notify::new(),
            next_connection: AtomicU64::new(0),
            id_prefix: format!("{:x}", clock.unix_millis()),
            next_id: AtomicU64::new(0),
            media,
        })))
    }

    /// Makes an account with its device 0 (the phone). `phone` is digits only; the name may begin with a scenario
    /// (`restricted:Ana`).
    ///
    /// # Errors
    /// `Error::Refused` when the number has an account already, or is none.
    pub fn add_account(&self, phone: &str, push_name: &str, identity: [u8; 32]) -> Result<Addresses, Error> {
        let digits = phone.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || phone.len() < 7 || phone.len() > 15 || phone == crate::RESERVED_NUMBER {
            return Err(Error::Refused(format!("{phone} is not a phone number")));
        }
        if self.0.accounts.by_phone(phone).is_some() {
            return Err(Error::Refused(format!("{phone} has an account already")));
        }
        let record = AccountRecord {
            phone: phone.to_owned(),
            lid: self.0.new_lid(),
            push_name: scenario(push_name).1.to_owned(),
            restricted: scenario(push_name).0.restricted,
            identity,
            key_index_list: Vec::new(),
            key_index_at: 0,
            next_device: FIRST_DEVICE,
            next_key_index: 1,
            about: "Hey there! I am using WhatsApp.".to_owned(),
        };
        let now = self.0.clock.unix_seconds();
        let device = DeviceRecord {
            id: 0,
            noise: None,
            identity,
            registration_id: 0,
            signed_prekey: None,
            device_identity: Vec::new(),
            key_index: 0,
            platform: "Android".to_owned(),
            linked_at: now,
            seen_at: now,
            announced: true,
        };
        let mut batch = self.0.state.batch();
        batch.put(Room::Accounts, phone.as_bytes(), &record)?;
        batch.put(Room::Devices, &device_key(phone, 0), &device)?;
        batch.commit()?;
        let account = self.0.accounts.insert(Account::new(AccountInner {
            record,
            devices: vec![Device::new(device)],
            primary: None,
            watchers: BTreeSet::new(),
            subscribers: HashSet::new(),
            blocked: BTreeMap::new(),
            last_seen: None,
        }));
        Ok(Addresses { pn: account.pn(0), lid: account.lid(0) })
    }

    /// Forgets an account with all its devices; their connections are closed.
    ///
    /// # Errors
    /// `Error::Unknown` when there is no such account.
    pub fn remove_account(&self, phone: &str) -> Result<(), Error> {
        let account = self.0.accounts.remove(phone).ok_or_else(|| Error::Unknown(phone.to_owned()))?;
        self.0.state.delete(Room::Accounts, phone.as_bytes())?;
        let devices = std::mem::take(&mut account.lock().devices);
        for device in &devices {
            self.0.forget_device(&account, device)?;
            if let Some(line) = &device.line {
                line.link.close();
            }
        }
        for kind in ["watch", "version", "patch", "token", "known", "block"] {
            let prefix = format!("{kind}:{phone}:").into_bytes();
            for key in self.0.state.keys(Room::Extras, &prefix)? {
                self.0.state.delete(Room::Extras, &key)?;
            }
        }
        self.0.forget_blocks_of(phone)
    }

    /// Says who signs for an account. To be called for each phone at every start.
    ///
    /// # Errors
    /// `Error::Unknown` when there is no such account.
    pub fn register_primary(&self, phone: &str, primary: Arc<dyn Primary>) -> Result<(), Error> {
        self.0.account_by_phone(phone)?.lock().primary = Some(primary);
        Ok(())
    }

    /// The account of a phone number (digits only).
    #[must_use]
    pub fn account(&self, phone: &str) -> Option<AccountRecord> {
        let account = self.0.accounts.by_phone(phone)?;
        let record = account.lock().record.clone();
        Some(record)
    }

    /// The account that a jid belongs to, by number or LID.
    #[must_use]
    pub fn account_of(&self, jid: &Jid) -> Option<AccountRecord> {
        let account = self.0.accounts.find(jid)?;
        let record = account.lock().record.clone();
        Some(record)
    }

    /// All devices of an account, the phone first; empty when there is no account.
    #[must_use]
    pub fn devices(&self, phone: &str) -> Vec<DeviceRecord> {
        let Some(account) = self.0.accounts.by_phone(phone) else {
            return Vec::new();
        };
        let inner = account.lock();
        inner.devices.iter().map(|d| d.record.clone()).collect()
    }

    /// Makes a group of the account of `founder` and these people; all are told. Answers its jid.
    ///
    /// # Errors
    /// `Error::Unknown` when there is no such account, `Error::Invalid` for a subject that is none, `Error::Refused`
    /// when there are too many people or groups.
    pub fn make_group(&self, founder: &str, subject: &str, people: &[Jid]) -> Result<Jid, Error> {
        let account = self.0.account_by_phone(founder)?;
        let group = self.0.make_group(founder, subject, people)?;
        self.0.tell_group(&group, &account, None, &self.0.announcement(&group))?;
        Ok(group.jid())
    }

    /// Does to a group what its admin `by` does on the phone, to `person` where it is about one; all are told.
    ///
    /// # Errors
    /// `Error::Unknown` when there is no such account or group, `Error::Refused` for who is no admin of it and for what can't
    /// be done.
    pub fn change_group(&self, by: &str, group: &Jid, change: &GroupChange, person: Option<&Jid>) -> Result<(), Error> {
        let account = self.0.account_by_phone(by)?;
        self.0.change_by_phone(&account, group, change, person)
    }

    /// The members of a group, by number; empty when `phone` is not one of them.
    ///
    /// # Errors
    /// `Error::State` when they cannot be read.
    pub fn group_members(&self, phone: &str, group: &Jid) -> Result<Vec<Jid>, Error> {
        self.0.members_for(phone, group)
    }

    /// Whether a device has an open connection.
    #[must_use]
    pub fn is_connected(&self, jid: &Jid) -> bool {
        let account = self.0.accounts.find(jid);
        account.is_some_and(|account| {
            let mut inner = account.lock();
            inner.device(jid.device).is_some_and(|d| d.line.is_some())
        })
    }

    /// Makes something go wrong for an account, in all its companions.
    pub fn plant_fault(&self, phone: &str, fault: Fault) {
        self.0.faults.plant(phone, fault);
        match fault {
            Fault::Media { way, trouble, count } => self.0.media.plant(phone, way, trouble, count),
            Fault::MediaGone(status) => {
                if let Err(error) = self.0.media.expire(phone, status) {
                    tracing::error!(%error, "media did not expire");
                }
            }
            _ => {}
        }
        let last = match fault {
            Fault::Disconnect => None,
            Fault::StreamError(code) => Some(nodes::stream_error(code)),
            _ => return,
        };
        let Some(account) = self.0.accounts.by_phone(phone) else {
            return;
        };
        let inner = account.lock();
        for device in inner.devices.iter().filter(|d| d.record.id != 0) {
            if let Some(line) = &device.line {
                if let Some(last) = &last {
                    line.link.send(last.clone());
                }
                line.link.close();
            }
        }
    }

    /// Ends all faults; held acknowledgements and stanzas go out.
    pub fn clear_faults(&self) {
        self.0.faults.clear();
        self.0.media.clear_faults();
    }

    /// How much of everything there is.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let accounts = self.0.accounts.all();
        let (connections, uploads) = (self.0.connections.load(Ordering::Relaxed), self.0.media.taken());
        let mut counts = Counts { accounts: accounts.len(), connections, uploads, ..Counts::default() };
        for account in accounts {
            let inner = account.lock();
            counts.devices += inner.devices.len();
            counts.queued += inner.devices.iter().map(|d| d.queue.len()).sum::<usize>();
        }
        counts
    }

    /// Ends every connection.
    pub(crate) fn close_all(&self) {
        for account in self.0.accounts.all() {
            for device in &account.lock().devices {
                if let Some(line) = &device.line {
                    line.link.close();
                }
            }
        }
    }

    /// Resolves when no connection is left.
    pub(crate) async fn all_closed(&self) {
        while self.0.connections.load(Ordering::Acquire) > 0 {
            self.0.one_closed.notified().await;
        }
    }

    /// Where clients leave media and take it from.
    #[must_use]
    pub fn media(&self) -> &MediaHost {
        &self.0.media
    }

    /// The clock that stamps stanzas.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.0.clock
    }

    /// The store, for rooms that keep their own things in it.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.0.state
    }

    /// The record of all stanzas.
    #[must_use]
    pub fn transcript(&self) -> &Arc<Transcript> {
        &self.0.transcript
    }
}

impl Inner {
    fn account_by_phone(&self, phone: &str) -> Result<Arc<Account>, Error> {
        let account = self.accounts.by_phone(phone);
        account.ok_or_else(|| Error::Unknown(format!("{phone} has no account")))
    }

    fn save_account(&self, record: &AccountRecord) -> Result<(), Error> {
        let key = record.phone.as_bytes();
        self.state.put(Room::Accounts, key, record)
    }

    /// A stanza id of the network's own.
    fn next_id(&self) -> String {
        let number = self.next_id.fetch_add(1, Ordering::Relaxed);
        format!("{}-{number}", self.id_prefix)
    }

    /// 15 digits that nobody has.
    fn new_lid(&self) -> String {
        loop {
            let high = 100 + self.clock.below(900);
            let low = (self.clock.below(1_000_000), self.clock.below(1_000_000));
            let lid = format!("{high}{:06}{:06}", low.0, low.1);
            if self.accounts.by_lid(&lid).is_none() {
                return lid;
            }
        }
    }
}
