//! App state: the collections that an account's devices share, as sealed patches. The
//! server keeps them in order and hands them out; it cannot read them.

use super::Inner;
use super::login::Session;
use super::nodes::{bytes, error, refusal, result, text};
use crate::Error;
use crate::state::Room;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, SERVER_JID};
use waproto::buffa::{Message, MessageField};
use waproto::whatsapp::{SyncdPatch, SyncdVersion};

/// The collections there are.
const COLLECTIONS: [&str; 5] = ["critical_block", "critical_unblock_low", "regular_high", "regular", "regular_low"];

/// How many patches one answer carries at most; more follow on request.
const PATCHES_AT_ONCE: usize = 200;

impl Inner {
    /// An iq of namespace `w:sync:app:state`: patches up, patches down, or both.
    pub(super) fn on_app_state(&self, session: &Session, node: &Node) -> Result<(), Error> {
        let Some(sync) = node.get_optional_child("sync") else {
            session.link.send(refusal(node, 400, "bad-request"));
            return Ok(());
        };
        let mut answers = Vec::new();
        let mut changed = Vec::new();
        for collection in sync.get_children_by_tag("collection") {
            let name = text(collection, "name");
            let Some(name) = COLLECTIONS.into_iter().find(|known| *known == name) else {
                answers.push(failed(&name, 404, "item-not-found"));
                continue;
            };
            let (answer, moved) = self.sync_collection(session, name, collection)?;
            answers.push(answer);
            changed.extend(moved.map(|version| (name, version)));
        }
        let sync = NodeBuilder::new("sync").children(answers).build();
        session.link.send(result(node).children([sync]).build());
        if !changed.is_empty() {
            self.tell_app_state(session, &changed)?;
        }
        Ok(())
    }

    /// One collection of a sync. Also answers its new version when patches came up.
    fn sync_collection(&self, session: &Session, name: &'static str, collection: &Node) -> Result<(Node, Option<u64>), Error> {
        let phone = &session.account.phone;
        let known: u64 = text(collection, "version").parse().unwrap_or(0);
        // Held so that two devices cannot both become the next version.
        let _account = session.account.lock();
        let current = self.collection_version(phone, name)?;
        let patches = sent_patches(collection);
        if patches.is_empty() {
            return Ok((self.patches_since(phone, name, known, current)?, None));
        }
        if known != current {
            let mut conflict = self.patches_since(phone, name, known, current)?;
            conflict.attrs.insert("type", "error");
            if let Some(wacore_binary::NodeContent::Nodes(content)) = &mut conflict.content {
                content.insert(0, error(409, "conflict"));
            }
            return Ok((conflict, None));
        }
        let mut version = current;
        let mut batch = self.state.batch();
        for patch in patches {
            let Ok(mut patch) = SyncdPatch::decode_from_slice(patch) else {
                return Ok((failed(name, 400, "bad-request"), None));
            };
            version += 1;
            patch.version = MessageField::some(SyncdVersion { version: Some(version) });
            let key = patch_key(phone, name, version);
            batch.put_raw(Room::Extras, &key, &patch.encode_to_vec());
        }
        batch.put(Room::Extras, &version_key(phone, name), &version)?;
        batch.commit()?;
        let answer = NodeBuilder::new("collection").attr("name", name).attr("version", version).build();
        Ok((answer, Some(version)))
    }

    fn collection_version(&self, phone: &str, name: &str) -> Result<u64, Error> {
        let key = version_key(phone, name);
        Ok(self.state.get(Room::Extras, &key)?.unwrap_or(0))
    }

    fn patches_since(&self, phone: &str, name: &'static str, known: u64, current: u64) -> Result<Node, Error> {
        let mut patches = Vec::new();
        let mut version = known.min(current);
        while version < current && patches.len() < PATCHES_AT_ONCE {
            version += 1;
            let key = patch_key(phone, name, version);
            if let Some(patch) = self.state.get_raw(Room::Extras, &key)? {
                patches.push(NodeBuilder::new("patch").bytes(patch).build());
            }
        }
        let builder =
            NodeBuilder::new("collection").attr("name", name).attr("version", version).attr("has_more_patches", version < current);
        let patches = NodeBuilder::new("patches").children(patches).build();
        Ok(builder.children([patches]).build())
    }

    /// The account's other devices are told that there is something to fetch.
    fn tell_app_state(&self, session: &Session, changed: &[(&'static str, u64)]) -> Result<(), Error> {
        let collections =
            changed.iter().map(|(name, version)| NodeBuilder::new("collection").attr("name", *name).attr("version", *version).build());
        let notification = NodeBuilder::new("notification")
            .attr("from", SERVER_JID)
            .attr("type", "server_sync")
            .attr("id", self.next_id())
            .attr("t", self.clock.unix_seconds())
            .children(collections)
            .build();
        let mut account = session.account.lock();
        let others: Vec<u16> = account.published().map(|device| device.record.id).filter(|id| *id != session.device).collect();
        for id in others {
            self.deliver(&mut account, id, notification.clone())?;
        }
        Ok(())
    }
}

/// The patches that came up with a collection: one, or a list.
fn sent_patches(collection: &Node) -> Vec<&[u8]> {
    let inside = collection.get_optional_child("patches").and_then(Node::children).unwrap_or_default();
    let beside = collection.children().unwrap_or_default();
    let all = inside.iter().chain(beside);
    all.filter(|child| child.tag == "patch").filter_map(bytes).collect()
}

fn failed(name: &str, code: u16, why: &'static str) -> Node {
    NodeBuilder::new("collection").attr("name", name).attr("type", "error").children([error(code, why)]).build()
}

fn version_key(phone: &str, name: &str) -> Vec<u8> {
    format!("version:{phone}:{name}").into_bytes()
}

fn patch_key(phone: &str, name: &str, version: u64) -> Vec<u8> {
    let mut key = format!("patch:{phone}:{name}:").into_bytes();
    key.extend_from_slice(&version.to_be_bytes());
    key
}
