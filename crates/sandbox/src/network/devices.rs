//! The list of an account's devices: who sees it, who is told when it changes, and how a
//! device leaves it.

use super::accounts::{Account, AccountInner, Device, device_key, watch_key};
use super::login::Session;
use super::nodes::{conflict, jid, refusal, result};
use super::{Inner, Network};
use crate::Error;
use crate::state::Room;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{CompactString, Jid, Node};

/// The code of the stream error that a removed device gets, and of its later logins.
const REMOVED: u16 = 401;

/// What happened to a device.
#[derive(Clone, Copy)]
enum Change {
    Added,
    Removed,
}

impl Network {
    /// Removes a companion as its phone does from the list of linked devices.
    ///
    /// # Errors
    /// `Error::Unknown` when there is no such companion.
    pub fn unlink(&self, phone: &str, device: u16) -> Result<(), Error> {
        let account = self.0.account_by_phone(phone)?;
        self.0.remove_companion(&account, device)
    }
}

impl Inner {
    /// A device's list as usync gives it: `<device-list>` and, when there are
    /// companions, `<key-index-list>`.
    pub(super) fn device_lists(account: &Account) -> Vec<Node> {
        let inner = account.lock();
        let devices = inner.published().map(|device| {
            let mut builder = NodeBuilder::new("device").attr("id", device.record.id);
            if device.record.id != 0 {
                builder = builder.attr("key-index", device.record.key_index);
            }
            builder.build()
        });
        let list = NodeBuilder::new("device-list").attr("hash", list_hash(account, &inner)).children(devices).build();
        let mut content = vec![list];
        if inner.published().any(|device| device.record.id != 0) {
            content.push(key_index_list(&inner, true));
        }
        content
    }

    /// Notes that `watcher` wants to know of changes to the account's devices.
    pub(super) fn watch(&self, account: &Account, watcher: &CompactString) -> Result<(), Error> {
        if account.phone == *watcher {
            return Ok(());
        }
        let mut inner = account.lock();
        if inner.watchers.contains(watcher) {
            return Ok(());
        }
        let key = watch_key(&account.phone, watcher);
        self.state.put_raw(Room::Extras, &key, b"")?;
        inner.watchers.insert(watcher.clone());
        Ok(())
    }

    /// A companion's keys have come: it is on the list now, and its phone may write to it.
    pub(super) fn companion_published(&self, account: &Arc<Account>, device: u16) -> Result<(), Error> {
        let lid = account.lid(device);
        let key_index = {
            let mut inner = account.lock();
            inner.device(device).map(|d| d.record.key_index)
        };
        let changed = NodeBuilder::new("device")
            .attr("jid", account.pn(device))
            .attr("key-index", key_index.unwrap_or_default())
            .attr("lid", lid)
            .build();
        self.tell_devices(account, device, Change::Added, &changed)?;
        self.announce(account, device)
    }

    /// Tells the phone of a published companion, unless it knows.
    pub(super) fn announce(&self, account: &Account, device: u16) -> Result<(), Error> {
        let primary = {
            let mut inner = account.lock();
            let primary = inner.primary.clone();
            let device = inner.device(device);
            let new = device.is_some_and(|d| d.record.id != 0 && d.record.is_published() && !d.record.announced);
            primary.filter(|_| new)
        };
        let Some(primary) = primary else {
            return Ok(());
        };
        primary.companion_ready(&account.pn(device));
        let mut inner = account.lock();
        if let Some(device) = inner.device(device) {
            device.record.announced = true;
            let key = device_key(&account.phone, device.record.id);
            self.state.put(Room::Devices, &key, &device.record)?;
        }
        Ok(())
    }

    /// An iq that takes a device off the list: by the companion itself, or by its phone.
    pub(super) fn on_remove(&self, session: &Session, node: &Node, what: &Node) -> Result<(), Error> {
        let target = jid(what, "jid");
        let own = target.filter(|jid| {
            let account = self.accounts.find(jid);
            account.is_some_and(|account| account.phone == session.account.phone)
        });
        let allowed = own.filter(|jid| session.device == 0 || jid.device == session.device);
        let Some(target) = allowed.filter(|jid| jid.device != 0) else {
            session.link.send(refusal(node, 403, "forbidden"));
            return Ok(());
        };
        session.link.send(result(node).build());
        self.remove_companion(&session.account, target.device)
    }

    /// Takes a companion off the list, ends its connection, and tells everybody.
    fn remove_companion(&self, account: &Arc<Account>, device: u16) -> Result<(), Error> {
        let (removed, primary, valid) = {
            let mut inner = account.lock();
            let at = inner
                .devices
                .iter()
                .position(|d| d.record.id == device && device != 0)
                .ok_or_else(|| Error::Unknown(account.pn(device).to_string()))?;
            let key = device_key(&account.phone, device);
            self.state.delete(Room::Devices, &key)?;
            let removed = inner.devices.remove(at);
            (removed, inner.primary.clone(), inner.key_indexes())
        };
        self.forget_device(account, &removed)?;
        if let Some(line) = &removed.line {
            line.link.send(conflict(Some(REMOVED), "device_removed"));
            line.link.close();
        }
        if let Some(primary) = primary {
            let now = self.clock.unix_seconds();
            let list = primary.sign_key_indexes(&valid, now)?;
            let mut inner = account.lock();
            inner.record.key_index_list = list;
            inner.record.key_index_at = now;
            self.save_account(&inner.record)?;
            drop(inner);
            primary.companion_removed(&account.pn(device));
        }
        let changed = NodeBuilder::new("device").attr("jid", account.pn(device)).attr("lid", account.lid(device)).build();
        self.tell_devices(account, device, Change::Removed, &changed)
    }

    /// Deletes what is kept for a device that is no more.
    pub(super) fn forget_device(&self, account: &Account, device: &Device) -> Result<(), Error> {
        let id = device.record.id;
        let prefix = device_key(&account.phone, id);
        self.state.delete(Room::Devices, &prefix)?;
        for key in self.state.keys(Room::PreKeys, &prefix)? {
            self.state.delete(Room::PreKeys, &key)?;
        }
        self.forget_queue(&account.phone, id)
    }

    /// Tells the account's other devices and everybody who watches the list.
    fn tell_devices(&self, account: &Account, device: u16, change: Change, changed: &Node) -> Result<(), Error> {
        let (own, other, watchers) = {
            let inner = account.lock();
            let own = self.own_notice(account, &inner);
            let other = self.others_notice(account, &inner, change, changed);
            (own, other, inner.watchers.clone())
        };
        {
            let mut inner = account.lock();
            let ids: Vec<u16> = inner.published().map(|d| d.record.id).collect();
            for id in ids.into_iter().filter(|id| *id != device) {
                self.deliver(&mut inner, id, own.clone())?;
            }
        }
        for phone in watchers {
            if let Some(watcher) = self.accounts.by_phone(&phone) {
                let mut inner = watcher.lock();
                let ids: Vec<u16> = inner.published().map(|d| d.record.id).collect();
                for id in ids {
                    self.deliver(&mut inner, id, other.clone())?;
                }
            }
        }
        Ok(())
    }

    fn own_notice(&self, account: &Account, inner: &AccountInner) -> Node {
        let mut content: Vec<Node> = inner
            .published()
            .map(|device| {
                let mut builder = NodeBuilder::new("device").attr("jid", account.pn(device.record.id));
                if device.record.id != 0 {
                    builder = builder.attr("key-index", device.record.key_index);
                }
                builder.build()
            })
            .collect();
        content.push(key_index_list(inner, true));
        let devices = NodeBuilder::new("devices").attr("dhash", list_hash(account, inner)).children(content).build();
        self.notice(account, "account_sync").children([devices]).build()
    }

    fn others_notice(&self, account: &Account, inner: &AccountInner, change: Change, changed: &Node) -> Node {
        let (tag, with_list) = match change {
            Change::Added => ("add", true),
            Change::Removed => ("remove", false),
        };
        let change = NodeBuilder::new(tag)
            .attr("device_hash", list_hash(account, inner))
            .children([changed.clone(), key_index_list(inner, with_list)])
            .build();
        self.notice(account, "devices").attr("lid", account.lid(0)).children([change]).build()
    }

    fn notice(&self, account: &Account, kind: &'static str) -> NodeBuilder {
        NodeBuilder::new("notification")
            .attr("from", account.pn(0))
            .attr("type", kind)
            .attr("id", self.next_id())
            .attr("t", self.clock.unix_seconds())
    }
}

fn key_index_list(inner: &AccountInner, signed: bool) -> Node {
    let builder = NodeBuilder::new("key-index-list").attr("ts", inner.record.key_index_at);
    if signed { builder.bytes(inner.record.key_index_list.clone()).build() } else { builder.build() }
}

/// The hash by which clients compare device lists: the first six bytes of SHA-256 over
/// the sorted jids, as clients compute it for `phash`.
fn list_hash(account: &Account, inner: &AccountInner) -> String {
    let mut jids: Vec<String> = inner.published().map(|device| phash_form(&account.pn(device.record.id))).collect();
    jids.sort_unstable();
    let hash = Sha256::digest(jids.concat());
    format!("2:{}", BASE64_STANDARD.encode(&hash[..6]))
}

/// `user.0:device@server`
fn phash_form(jid: &Jid) -> String {
    jid.to_phash_form_string()
}
