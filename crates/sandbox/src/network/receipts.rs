//! Delivered, read, "I cannot read this": what devices say about messages, and to whom
//! it goes.

use super::Inner;
use super::accounts::Account;
use super::login::Session;
use super::nodes::{jid, passed, text};
use super::queue::Class;
use crate::Error;
use std::borrow::Cow;
use std::sync::Arc;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt, Node};

impl Inner {
    /// A receipt from a device. It settles the messages it names, goes to whom it
    /// concerns, and is acknowledged. The wish to get a message again settles nothing:
    /// the `ack` that follows it does. Otherwise that ack would settle the copy that
    /// the sender was quick to send under the same id.
    pub(super) fn on_receipt(&self, session: &Session, node: &Node) -> Result<(), Error> {
        let ids = named(node);
        if !matches!(text(node, "type").as_ref(), "retry" | "enc_rekey_retry") {
            let mut account = session.account.lock();
            let ids = ids.iter().map(AsRef::as_ref);
            self.settle(&mut account, session.device, Class::Message, ids)?;
        }
        if let Some(group) = jid(node, "to").filter(JidExt::is_group) {
            self.receipt_to_group(session, node, &group)?;
        } else if let Some(to) = jid(node, "to")
            && let Some(account) = self.accounts.find(&to)
        {
            self.forward(session, node, &to, &account)?;
        }
        let ack = NodeBuilder::new("ack").attr("class", "receipt");
        let mut ack = passed(ack, node, &["id", "type", "participant"]);
        if let Some(to) = node.attrs.get("to") {
            ack = ack.attr("from", to.clone());
        }
        session.link.send(ack.build());
        Ok(())
    }

    /// A phone tells one of its companions where a file was left again. Nobody else sends notifications.
    pub(super) fn on_notification(&self, session: &Session, node: &Node) -> Result<(), Error> {
        let Some(to) = jid(node, "to").filter(|_| session.device == 0 && text(node, "type") == "mediaretry") else {
            return Ok(());
        };
        if self.accounts.find(&to).is_none_or(|account| account.phone != session.account.phone) {
            return Ok(());
        }
        let notification = NodeBuilder::new("notification")
            .attr("from", session.account.like(&to, 0))
            .attr("id", text(node, "id").as_ref())
            .attr("type", "mediaretry")
            .attr("t", self.clock.unix_seconds());
        self.hand(&session.account, to.device, notification.apply_content(node.content.clone()).build())
    }

    fn forward(&self, session: &Session, node: &Node, to: &Jid, account: &Arc<Account>) -> Result<(), Error> {
        let kind = text(node, "type");
        let own = account.phone == session.account.phone;
        match kind.as_ref() {
            // These concern the one device that sent the message.
            "retry" | "enc_rekey_retry" | "sender" | "peer_msg" => {
                let receipt = self.receipt_for(session, node, to, None);
                self.hand(account, to.device, receipt)
            }
            // A companion could not get a file; its own phone may have it.
            "server-error" if own => {
                let receipt = self.receipt_for(session, node, to, None);
                self.hand(account, 0, receipt)
            }
            "read-self" | "played-self" => {
                let receipt = self.receipt_for(session, node, &session.pn(), Some(to));
                self.hand_to_own(session, &receipt)
            }
            _ if own => Ok(()),
            _ => {
                // Who is blocked sees no further tick, not even of what came before.
                if !Inner::is_blocked(&session.account, &account.phone) {
                    let receipt = self.receipt_for(session, node, to, None);
                    for id in published(account) {
                        self.hand(account, id, receipt.clone())?;
                    }
                }
                if kind == "read" || kind == "played" {
                    self.tell_own_read(session, node, to)?;
                }
                Ok(())
            }
        }
    }

    /// The user's other devices learn what was read on this one.
    fn tell_own_read(&self, session: &Session, node: &Node, chat: &Jid) -> Result<(), Error> {
        let mut receipt = self.receipt_for(session, node, &session.pn(), Some(chat));
        receipt.attrs.insert("type", "read-self");
        self.hand_to_own(session, &receipt)
    }

    fn hand_to_own(&self, session: &Session, receipt: &Node) -> Result<(), Error> {
        for id in published(&session.account) {
            if id != session.device {
                self.hand(&session.account, id, receipt.clone())?;
            }
        }
        Ok(())
    }

    fn hand(&self, account: &Account, device: u16, receipt: Node) -> Result<(), Error> {
        self.deliver(&mut account.lock(), device, receipt)
    }

    /// The receipt as its recipient sees it. `like` says in which address space; a
    /// `chat` is named where the receiver is the reader's own device.
    fn receipt_for(&self, session: &Session, node: &Node, like: &Jid, chat: Option<&Jid>) -> Node {
        let mut receipt =
            NodeBuilder::new("receipt").attr("from", session.account.like(like, session.device)).attr("id", text(node, "id").as_ref());
        receipt = passed(receipt, node, &["type", "participant", "category"]);
        receipt = match chat {
            Some(chat) => receipt.attr("recipient", chat.to_non_ad()),
            None => passed(receipt, node, &["recipient"]),
        };
        let sent = text(node, "t");
        receipt = if sent.is_empty() { receipt.attr("t", self.clock.unix_seconds()) } else { receipt.attr("t", sent.as_ref()) };
        receipt.apply_content(node.content.clone()).build()
    }
}

/// The message ids that a receipt names.
fn named(node: &Node) -> Vec<Cow<'_, str>> {
    let mut ids = vec![text(node, "id")];
    if let Some(list) = node.get_optional_child("list") {
        ids.extend(list.get_children_by_tag("item").map(|item| text(item, "id")));
    }
    ids
}

fn published(account: &Account) -> Vec<u16> {
    account.lock().published().map(|d| d.record.id).collect()
}
