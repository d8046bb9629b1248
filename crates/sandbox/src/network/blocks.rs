//! Whom an account does not want to hear from.
//!
//! WhatsApp's server keeps the list and acts on it without a word to the other side: what somebody blocked writes is
//! acknowledged and goes nowhere, and neither presence, typing nor ticks of the account reach them. In groups nothing
//! changes. Apart because every room that hands something from one account to another asks it the same question.

use super::accounts::{Account, AccountInner};
use super::login::Session;
use super::nodes::{first_child, jid, refusal, result, text};
use super::{Inner, Network};
use crate::Error;
use crate::state::{Room, State};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{CompactString, Jid, Node};

/// Bytes of the digest that names a state of the list.
const DIGEST: usize = 6;

impl Network {
    /// Numbers (digits only) that an account has blocked, in order; none when there is no such account.
    #[must_use]
    pub fn blocked(&self, phone: &str) -> Vec<String> {
        let account = self.0.accounts.by_phone(phone);
        account.map_or_else(Vec::new, |account| account.lock().blocked.keys().map(ToString::to_string).collect())
    }

    /// Whether an account has blocked the person behind a jid.
    #[must_use]
    pub fn has_blocked(&self, phone: &str, other: &Jid) -> bool {
        let (account, other) = (self.0.accounts.by_phone(phone), self.0.accounts.find(other));
        account.zip(other).is_some_and(|(account, other)| account.lock().blocks(&other.phone))
    }
}

impl AccountInner {
    /// Whether it has blocked this number.
    pub fn blocks(&self, phone: &str) -> bool {
        self.blocked.contains_key(phone)
    }

    /// Names the list as it is now; another list has another name.
    fn block_digest(&self) -> String {
        let mut digest = Sha256::new();
        for phone in self.blocked.keys() {
            digest.update(phone.as_bytes());
            digest.update(b",");
        }
        hex::encode(&digest.finalize()[..DIGEST])
    }
}

impl Inner {
    /// An iq about the list of blocked people: the list, or a change of it by any device of the account.
    pub(super) fn on_blocklist(&self, session: &Session, node: &Node) -> Result<Node, Error> {
        if text(node, "type") != "set" {
            return Ok(self.block_list(session, node));
        }
        let bad = || Ok(refusal(node, 400, "bad-request"));
        let Some(item) = first_child(node).filter(|item| item.tag == "item") else {
            return bad();
        };
        let block = match text(item, "action").as_ref() {
            "block" => true,
            "unblock" => false,
            _ => return bad(),
        };
        // People are named by LID; who blocks has to know the number behind it as well.
        let Some(who) = jid(item, "jid").filter(Jid::is_lid) else {
            return bad();
        };
        let Some(other) = self.accounts.find(&who) else {
            return Ok(refusal(node, 404, "item-not-found"));
        };
        let number = jid(item, "pn_jid").filter(Jid::is_pn).map(|number| number.user);
        if other.phone == session.account.phone || (block && number.as_ref() != Some(&other.phone)) {
            return bad();
        }
        self.change_block(session, &other, block)?;
        Ok(self.block_list(session, node))
    }

    fn block_list(&self, session: &Session, node: &Node) -> Node {
        let (digest, blocked) = {
            let account = session.account.lock();
            (account.block_digest(), account.blocked.clone())
        };
        let items = blocked.iter().filter_map(|(phone, at)| {
            let other = self.accounts.by_phone(phone)?;
            Some(NodeBuilder::new("item").attr("jid", other.lid(0)).attr("pn_jid", other.pn(0)).attr("t", *at).build())
        });
        let list = NodeBuilder::new("list").attr("dhash", digest).attr("addressing_mode", "lid").children(items).build();
        result(node).children([list]).build()
    }

    /// Writes a change down and tells the account's other devices. What is so already changes nothing.
    fn change_block(&self, session: &Session, other: &Account, block: bool) -> Result<(), Error> {
        let own = &session.account;
        let mut inner = own.lock();
        if inner.blocks(&other.phone) == block {
            return Ok(());
        }
        let before = inner.block_digest();
        let key = block_key(&own.phone, &other.phone);
        if block {
            let now = self.clock.unix_seconds();
            self.state.put(Room::Extras, &key, &now)?;
            inner.blocked.insert(other.phone.clone(), now);
        } else {
            self.state.delete(Room::Extras, &key)?;
            inner.blocked.remove(&other.phone);
        }
        let item = NodeBuilder::new("item").attr("action", if block { "block" } else { "unblock" }).attr("jid", other.lid(0)).build();
        let changed = NodeBuilder::new("blocklist")
            .attr("action", "modify")
            .attr("dhash", inner.block_digest())
            .attr("prev_dhash", before)
            .children([item])
            .build();
        let notification = NodeBuilder::new("notification")
            .attr("from", own.pn(0))
            .attr("id", self.next_id())
            .attr("type", "account_sync")
            .attr("t", self.clock.unix_seconds())
            .children([changed])
            .build();
        let devices: Vec<u16> = inner.published().map(|device| device.record.id).filter(|id| *id != session.device).collect();
        for device in devices {
            self.deliver(&mut inner, device, notification.clone())?;
        }
        Ok(())
    }

    /// Whether `account` has blocked this number.
    pub(super) fn is_blocked(account: &Account, phone: &str) -> bool {
        account.lock().blocks(phone)
    }

    /// An account is gone: nobody has it on a list any more.
    pub(super) fn forget_blocks_of(&self, phone: &str) -> Result<(), Error> {
        for account in self.accounts.all() {
            if account.lock().blocked.remove(phone).is_some() {
                self.state.delete(Room::Extras, &block_key(&account.phone, phone))?;
            }
        }
        Ok(())
    }
}

/// Reads whom an account has blocked, and since when (seconds since 1970).
pub(super) fn load(state: &State, phone: &str) -> Result<BTreeMap<CompactString, i64>, Error> {
    let prefix = block_key(phone, "");
    let rows = state.scan::<i64>(Room::Extras, &prefix)?;
    Ok(rows.into_iter().map(|(key, at)| (CompactString::from_utf8_lossy(&key[prefix.len()..]), at)).collect())
}

/// Where it is kept that `phone` has blocked `other`.
fn block_key(phone: &str, other: &str) -> Vec<u8> {
    format!("block:{phone}:{other}").into_bytes()
}
