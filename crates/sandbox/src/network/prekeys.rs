//! Keys that others need to begin a session: uploaded by each device, handed out once.
//!
//! A one-time prekey is gone from the disk before it leaves the house, so that no two
//! senders can ever be given the same.

use super::Inner;
use super::accounts::{Account, AccountInner, SignedPreKey, device_key, prekey_key};
use super::login::Session;
use super::nodes::{child_bytes, child_key, child_number, error, first_child, holding, jid, refusal, result};
use crate::Error;
use crate::state::Room;
use sha1::{Digest, Sha1};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, SERVER_JID};

/// A device is told that its prekeys run low when so few are left.
const LOW: [usize; 3] = [10, 5, 0];
/// `<type>`: keys of the X25519 kind.
const KEY_TYPE: u8 = 5;
/// More one-time prekeys than this in one upload are refused.
const MOST_PREKEYS: usize = 5000;

impl Inner {
    /// An iq of namespace `encrypt`.
    pub(super) fn on_encrypt(&self, session: &Session, node: &Node) -> Result<(), Error> {
        let Some(what) = first_child(node) else {
            session.link.send(refusal(node, 400, "bad-request"));
            return Ok(());
        };
        let answer = match what.tag.as_ref() {
            "count" => count(session, node),
            "digest" => self.digest(session, node)?,
            "key" => self.fetch(session, node, what)?,
            "identity" if super::nodes::text(node, "type") == "get" => self.identities(node, what),
            "rotate" => self.rotate(session, node, what)?,
            _ => return self.upload(session, node),
        };
        session.link.send(answer);
        Ok(())
    }

    /// Takes in a device's keys. The first upload makes a companion known to others.
    fn upload(&self, session: &Session, node: &Node) -> Result<(), Error> {
        let Some(upload) = Upload::read(node) else {
            session.link.send(refusal(node, 400, "bad-request"));
            return Ok(());
        };
        let mut account = session.account.lock();
        let phone = account.record.phone.clone();
        let Some(device) = account.device(session.device) else {
            return Ok(());
        };
        let first = !device.record.is_published();
        let mut record = device.record.clone();
        record.identity = upload.identity;
        record.registration_id = upload.registration_id;
        record.signed_prekey = Some(upload.signed);
        let mut batch = self.state.batch();
        batch.put(Room::Devices, &device_key(&phone, record.id), &record)?;
        for (id, key) in &upload.prekeys {
            batch.put_raw(Room::PreKeys, &prekey_key(&phone, record.id, *id), key);
        }
        batch.commit()?;
        device.record = record;
        let ids = upload.prekeys.iter().map(|(id, _)| *id);
        device.prekeys.extend(ids);
        // The digest and hand-out go by number; an upload may repeat one.
        device.prekeys.make_contiguous().sort_unstable();
        let mut seen = None;
        device.prekeys.retain(|id| seen.replace(*id) != Some(*id));
        drop(account);
        session.link.send(result(node).build());
        if first && session.device != 0 {
            self.companion_published(&session.account, session.device)?;
        }
        Ok(())
    }

    /// A new signed prekey takes the place of the old.
    fn rotate(&self, session: &Session, node: &Node, what: &Node) -> Result<Node, Error> {
        let Some(signed) = what.get_optional_child("skey").and_then(signed_prekey) else {
            return Ok(refusal(node, 400, "bad-request"));
        };
        let mut account = session.account.lock();
        let phone = account.record.phone.clone();
        let Some(device) = account.device(session.device) else {
            return Ok(refusal(node, 404, "item-not-found"));
        };
        device.record.signed_prekey = Some(signed);
        let key = device_key(&phone, device.record.id);
        self.state.put(Room::Devices, &key, &device.record)?;
        Ok(result(node).build())
    }

    /// What the device should have here, for it to compare.
    fn digest(&self, session: &Session, node: &Node) -> Result<Node, Error> {
        let mut account = session.account.lock();
        let phone = account.record.phone.clone();
        let missing = || refusal(node, 404, "item-not-found");
        let Some(device) = account.device(session.device) else {
            return Ok(missing());
        };
        let Some(signed) = device.record.signed_prekey.clone() else {
            return Ok(missing());
        };
        let mut hash = Sha1::new();
        hash.update(device.record.identity);
        hash.update(signed.public);
        hash.update(&signed.signature);
        let mut ids = Vec::with_capacity(device.prekeys.len());
        for id in &device.prekeys {
            let key = prekey_key(&phone, session.device, *id);
            hash.update(self.state.get_raw(Room::PreKeys, &key)?.unwrap_or_default());
            ids.push(holding("id", three_bytes(*id)));
        }
        let content = [
            holding("registration", device.record.registration_id.to_be_bytes()),
            holding("type", [KEY_TYPE]),
            holding("identity", device.record.identity),
            signed_node(&signed),
            NodeBuilder::new("list").children(ids).build(),
            holding("hash", hash.finalize().to_vec()),
        ];
        let digest = NodeBuilder::new("digest").children(content).build();
        Ok(result(node).children([digest]).build())
    }

    /// Hands out keys of devices: for each one a bundle with a one-time prekey while
    /// there are any.
    fn fetch(&self, session: &Session, node: &Node, what: &Node) -> Result<Node, Error> {
        let mut users = Vec::new();
        for asked in what.children().unwrap_or_default() {
            let Some(wanted) = jid(asked, "jid") else {
                continue;
            };
            let account = self.accounts.find(&wanted);
            if let Some(account) = &account {
                self.watch(account, &session.account.phone)?;
            }
            let bundle = match &account {
                Some(account) => self.bundle(account, &wanted)?,
                None => None,
            };
            let user = NodeBuilder::new("user").attr("jid", &wanted);
            users.push(match bundle {
                Some(content) => user.attr("t", self.clock.unix_seconds()).children(content).build(),
                None => user.children([error(406, "not-acceptable")]).build(),
            });
        }
        let list = NodeBuilder::new("list").children(users).build();
        Ok(result(node).children([list]).build())
    }

    fn bundle(&self, owner: &Account, wanted: &Jid) -> Result<Option<Vec<Node>>, Error> {
        let mut account = owner.lock();
        let account = &mut *account;
        let phone = account.record.phone.clone();
        let Some(device) = account.device(wanted.device) else {
            return Ok(None);
        };
        let Some(signed) = device.record.signed_prekey.clone() else {
            return Ok(None);
        };
        let mut content = vec![
            holding("registration", device.record.registration_id.to_be_bytes()),
            holding("type", [KEY_TYPE]),
            holding("identity", device.record.identity),
            signed_node(&signed),
        ];
        let identity = device.record.device_identity.clone();
        let mut left = None;
        if let Some(id) = device.prekeys.pop_front() {
            left = Some(device.prekeys.len());
            let key = prekey_key(&phone, wanted.device, id);
            let public = self.state.get_raw(Room::PreKeys, &key)?;
            self.state.delete(Room::PreKeys, &key)?;
            if let Some(public) = public {
                let key = [holding("id", three_bytes(id)), holding("value", public)];
                content.push(NodeBuilder::new("key").children(key).build());
            }
        }
        if !identity.is_empty() {
            content.push(holding("device-identity", identity));
        }
        if let Some(left) = left.filter(|left| LOW.contains(left)) {
            self.tell_low(account, wanted.device, left)?;
        }
        Ok(Some(content))
    }

    fn tell_low(&self, account: &mut AccountInner, device: u16, left: usize) -> Result<(), Error> {
        let notification = NodeBuilder::new("notification")
            .attr("from", SERVER_JID)
            .attr("type", "encrypt")
            .attr("id", self.next_id())
            .attr("t", self.clock.unix_seconds())
            .children([NodeBuilder::new("count").attr("value", left).build()])
            .build();
        self.deliver(account, device, notification)
    }

    /// Identity keys alone, for comparing security codes.
    fn identities(&self, node: &Node, what: &Node) -> Node {
        let users = what.children().unwrap_or_default().iter();
        let users = users.filter_map(|asked| jid(asked, "jid")).map(|wanted| {
            let account = self.accounts.find(&wanted);
            let identity = account.and_then(|account| {
                let mut account = account.lock();
                account.device(wanted.device).map(|d| d.record.identity)
            });
            let user = NodeBuilder::new("user").attr("jid", &wanted);
            match identity {
                Some(identity) => user.children([holding("identity", identity)]).build(),
                None => user.children([error(404, "item-not-found")]).build(),
            }
        });
        let list = NodeBuilder::new("list").children(users).build();
        result(node).children([list]).build()
    }
}

fn count(session: &Session, node: &Node) -> Node {
    let mut account = session.account.lock();
    let count = account.device(session.device).map_or(0, |d| d.prekeys.len());
    let count = NodeBuilder::new("count").attr("value", count).build();
    result(node).children([count]).build()
}

/// The content of an upload.
struct Upload {
    registration_id: u32,
    identity: [u8; 32],
    signed: SignedPreKey,
    prekeys: Vec<(u32, [u8; 32])>,
}

impl Upload {
    fn read(node: &Node) -> Option<Upload> {
        let list = node.get_optional_child("list")?.children().unwrap_or_default();
        if list.len() > MOST_PREKEYS {
            return None;
        }
        let mut prekeys = Vec::with_capacity(list.len());
        for key in list {
            prekeys.push((child_number(key, "id")?, child_key(key, "value")?));
        }
        Some(Upload {
            registration_id: child_number(node, "registration")?,
            identity: child_key(node, "identity")?,
            signed: signed_prekey(node.get_optional_child("skey")?)?,
            prekeys,
        })
    }
}

fn signed_prekey(skey: &Node) -> Option<SignedPreKey> {
    let signature = child_bytes(skey, "signature")?;
    Some(SignedPreKey {
        id: child_number(skey, "id")?,
        public: child_key(skey, "value")?,
        signature: (signature.len() == 64).then(|| signature.to_vec())?,
    })
}

fn signed_node(signed: &SignedPreKey) -> Node {
    NodeBuilder::new("skey")
        .children([holding("id", three_bytes(signed.id)), holding("value", signed.public), holding("signature", signed.signature.clone())])
        .build()
}

/// Key numbers are three bytes on the wire.
fn three_bytes(id: u32) -> Vec<u8> {
    id.to_be_bytes()[1..].to_vec()
}
