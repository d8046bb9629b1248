//! Accounts and their devices: the records, what lives beside them, and the registry
//! that finds them.
//!
//! Apart because everything else here asks it the same two questions: whose jid is
//! this, and which devices does it reach. No two accounts are ever locked at once, and
//! no lock is held over an await.

use super::blocks;
use super::link::Link;
use super::queue::Queue;
use super::seam::Primary;
use crate::Error;
use crate::state::{Room, State, hexed};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use wacore_binary::{CompactString, Jid};

/// What is kept about an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccountRecord {
    /// Phone number: digits of E.164 without the plus.
    pub phone: String,
    /// Local part of its `@lid`, 15 digits.
    pub lid: String,
    /// Name others see (`notify` on messages).
    pub push_name: String,
    /// Its first message to somebody needs a token of theirs (463).
    #[serde(default)]
    pub restricted: bool,
    /// Identity key of the phone, without type byte.
    #[serde(with = "hexed")]
    pub identity: [u8; 32],
    /// Encoded `ADVSignedKeyIndexList`; empty while no companion was ever linked.
    #[serde(with = "hexed")]
    pub key_index_list: Vec<u8>,
    /// When that list was signed, seconds since 1970.
    pub key_index_at: i64,
    /// Number the next companion gets; the first is 33.
    pub next_device: u16,
    /// Key index the next companion gets; the first is 1.
    pub next_key_index: u32,
    /// "About" text.
    pub about: String,
}

/// What is kept about a device. The phone itself is device 0.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeviceRecord {
    /// Device number in jids.
    pub id: u16,
    /// Noise key it logs in with; `None` for the phone, which needs no handshake.
    pub noise: Option<Key>,
    /// Identity key, without type byte.
    #[serde(with = "hexed")]
    pub identity: [u8; 32],
    /// Signal registration id.
    pub registration_id: u32,
    /// Current signed prekey; `None` until the first upload.
    pub signed_prekey: Option<SignedPreKey>,
    /// Encoded `ADVSignedDeviceIdentity` with both signatures; empty for the phone.
    #[serde(with = "hexed")]
    pub device_identity: Vec<u8>,
    /// Key index of its linking; 0 for the phone.
    pub key_index: u32,
    /// Platform name for lists, e.g. `Chrome`.
    pub platform: String,
    /// Linked at, seconds since 1970.
    pub linked_at: i64,
    /// Seen last (connected or disconnected), seconds since 1970.
    pub seen_at: i64,
    /// Whether its phone was told that it can be written to.
    pub announced: bool,
}

impl DeviceRecord {
    /// Whether others may know of it: a companion is hidden until its prekeys are
    /// there, since a sender could not encrypt for it before.
    #[must_use]
    pub fn is_published(&self) -> bool {
        self.signed_prekey.is_some()
    }
}

/// A 32-byte public key in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key(#[serde(with = "hexed")] pub [u8; 32]);

/// A signed prekey as uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedPreKey {
    /// Number, 3 bytes on the wire.
    pub id: u32,
    /// Public key, without type byte.
    #[serde(with = "hexed")]
    pub public: [u8; 32],
    /// `XEdDSA` signature by the identity key, 64 bytes.
    #[serde(with = "hexed")]
    pub signature: Vec<u8>,
}

/// An account's two addresses, without device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// `...@s.whatsapp.net`
    pub pn: Jid,
    /// `...@lid`
    pub lid: Jid,
}

/// A living account.
pub(crate) struct Account {
    pub phone: CompactString,
    pub lid: CompactString,
    inner: Mutex<AccountInner>,
}

/// The part of an account that changes.
pub(crate) struct AccountInner {
    pub record: AccountRecord,
    /// By number, the phone first.
    pub devices: Vec<Device>,
    pub primary: Option<Arc<dyn Primary>>,
    /// Phones of the accounts that are told when the device list changes.
    pub watchers: BTreeSet<CompactString>,
    /// Phones of the accounts that asked for presence; ends with the process.
    pub subscribers: HashSet<CompactString>,
    /// Phones of the accounts that it has blocked, and since when, in seconds since 1970.
    pub blocked: BTreeMap<CompactString, i64>,
    /// When its last device stopped being available, seconds since 1970.
    pub last_seen: Option<i64>,
}

/// A living device.
pub(crate) struct Device {
    pub record: DeviceRecord,
    /// Numbers of the one-time prekeys that nobody has fetched yet, in order.
    pub prekeys: VecDeque<u32>,
    pub queue: Queue,
    pub line: Option<Line>,
}

/// A device's open connection.
pub(crate) struct Line {
    pub link: Link,
    /// Whether it has asked for what it missed; before, it gets nothing but answers.
    pub active: bool,
    /// Whether its presence says available.
    pub available: bool,
}

impl Account {
    pub fn new(inner: AccountInner) -> Account {
        Account {
            phone: CompactString::from(inner.record.phone.as_str()),
            lid: CompactString::from(inner.record.lid.as_str()),
            inner: Mutex::new(inner),
        }
    }

    pub fn lock(&self) -> parking_lot::MutexGuard<'_, AccountInner> {
        self.inner.lock()
    }

    /// Its jid by number, of one device.
    pub fn pn(&self, device: u16) -> Jid {
        Jid::pn_device(self.phone.clone(), device)
    }

    /// Its jid by LID, of one device.
    pub fn lid(&self, device: u16) -> Jid {
        Jid::lid_device(self.lid.clone(), device)
    }

    /// Its jid in the address space of `other`, of one device.
    pub fn like(&self, other: &Jid, device: u16) -> Jid {
        if other.is_lid() { self.lid(device) } else { self.pn(device) }
    }
}

impl AccountInner {
    pub fn device(&mut self, id: u16) -> Option<&mut Device> {
        self.devices.iter_mut().find(|device| device.record.id == id)
    }

    /// Numbers of the devices that others may know of.
    pub fn published(&self) -> impl Iterator<Item = &Device> {
        self.devices.iter().filter(|d| d.record.is_published())
    }

    /// Whether any device says that its user is there.
    pub fn is_available(&self) -> bool {
        self.devices.iter().any(|d| d.line.as_ref().is_some_and(|line| line.available))
    }

    /// Key indexes of all companions.
    pub fn key_indexes(&self) -> Vec<u32> {
        let companions = self.devices.iter().filter(|d| d.record.id != 0);
        companions.map(|d| d.record.key_index).collect()
    }
}

/// Finds accounts by number and by LID.
#[derive(Default)]
pub(crate) struct Registry {
    by_phone: RwLock<HashMap<CompactString, Arc<Account>>>,
    by_lid: RwLock<HashMap<CompactString, Arc<Account>>>,
}

impl Registry {
    /// Reads everything that is on disk.
    pub fn load(state: &State) -> Result<Registry, Error> {
        let registry = Registry::default();
        for (_, record) in state.scan::<AccountRecord>(Room::Accounts, b"")? {
            let mut devices = Vec::new();
            let prefix = format!("{}:", record.phone);
            for (_, device) in state.scan::<DeviceRecord>(Room::Devices, prefix.as_bytes())? {
                devices.push(Device::load(state, &record.phone, device)?);
            }
            devices.sort_by_key(|device| device.record.id);
            let mut watchers = BTreeSet::new();
            let prefix = watch_key(&record.phone, "");
            for key in state.keys(Room::Extras, &prefix)? {
                watchers.insert(CompactString::from_utf8_lossy(&key[prefix.len()..]));
            }
            let blocked = blocks::load(state, &record.phone)?;
            registry.insert(Account::new(AccountInner {
                record,
                devices,
                primary: None,
                watchers,
                subscribers: HashSet::new(),
                blocked,
                last_seen: None,
            }));
        }
        Ok(registry)
    }

    /// Adds an account; answers it.
    pub fn insert(&self, account: Account) -> Arc<Account> {
        let account = Arc::new(account);
        let mut by_phone = self.by_phone.write();
        by_phone.insert(account.phone.clone(), account.clone());
        let mut by_lid = self.by_lid.write();
        by_lid.insert(account.lid.clone(), account.clone());
        account
    }

    /// Removes an account; answers it.
    pub fn remove(&self, phone: &str) -> Option<Arc<Account>> {
        let account = self.by_phone.write().remove(phone)?;
        self.by_lid.write().remove(&account.lid);
        Some(account)
    }

    pub fn by_phone(&self, phone: &str) -> Option<Arc<Account>> {
        self.by_phone.read().get(phone).cloned()
    }

    pub fn by_lid(&self, lid: &str) -> Option<Arc<Account>> {
        self.by_lid.read().get(lid).cloned()
    }

    /// The account a jid belongs to, whichever address space it is in.
    pub fn find(&self, jid: &Jid) -> Option<Arc<Account>> {
        if jid.is_lid() {
            self.by_lid(&jid.user)
        } else if jid.is_pn() || jid.server == wacore_binary::Server::Legacy {
            self.by_phone(&jid.user)
        } else {
            None
        }
    }

    /// All accounts, in no order.
    pub fn all(&self) -> Vec<Arc<Account>> {
        self.by_phone.read().values().cloned().collect()
    }
}

impl Device {
    /// A device that has nothing yet.
    pub fn new(record: DeviceRecord) -> Device {
        Device { record, prekeys: VecDeque::new(), queue: Queue::default(), line: None }
    }

    fn load(state: &State, phone: &str, record: DeviceRecord) -> Result<Device, Error> {
        let prefix = device_key(phone, record.id);
        let mut prekeys = VecDeque::new();
        for key in state.keys(Room::PreKeys, &prefix)? {
            if let Ok(id) = <[u8; 4]>::try_from(&key[prefix.len()..]) {
                prekeys.push_back(u32::from_be_bytes(id));
            }
        }
        let queue = Queue::load(state, &prefix)?;
        Ok(Device { record, prekeys, queue, line: None })
    }
}

/// Beginning of every key that belongs to a device: `number:device:`.
pub(crate) fn device_key(phone: &str, device: u16) -> Vec<u8> {
    format!("{phone}:{device}:").into_bytes()
}

/// Where a one-time prekey is kept.
pub(crate) fn prekey_key(phone: &str, device: u16, id: u32) -> Vec<u8> {
    let mut key = device_key(phone, device);
    key.extend_from_slice(&id.to_be_bytes());
    key
}

/// Where it is kept that `watcher` is told of changes to the devices of `phone`.
pub(crate) fn watch_key(phone: &str, watcher: &str) -> Vec<u8> {
    format!("watch:{phone}:{watcher}").into_bytes()
}
