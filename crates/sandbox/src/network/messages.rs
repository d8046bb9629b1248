//! From one device to all devices of two accounts: what a message looks like to each
//! recipient, and the server's acknowledgement.
//!
//! The server cannot read a message. It takes each sealed copy out of the sender's
//! envelope and puts it into one of its own.

use super::Inner;
use super::accounts::Account;
use super::faults::AckFate;
use super::login::Session;
use super::nodes::{jid, passed, text};
use crate::Error;
use std::sync::Arc;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{CompactString, Jid, JidExt, Node, SERVER_JID};

/// `<ack error>`: the envelope is not one.
const MALFORMED: u16 = 479;
/// `<ack error>`: a restricted account writes to somebody who has not let it.
const REACH_OUT: u16 = 463;
/// `<ack error>`: nobody has this number, or the kind of chat is not built.
const NOBODY: u16 = 404;

/// What all copies of a message share.
struct Envelope<'a> {
    node: &'a Node,
    to: Jid,
    now: i64,
    push_name: String,
    identity: Option<&'a Node>,
}

impl Inner {
    /// A message from a device.
    pub(super) fn on_message(&self, session: &Session, node: &Node) -> Result<(), Error> {
        let refused = self.faults.take_nack(&session.account.phone);
        let outcome = match refused {
            Some(code) => Err(code),
            None => self.route(session, node)?,
        };
        let mut ack =
            NodeBuilder::new("ack").attr("class", "message").attr("id", text(node, "id").as_ref()).attr("t", self.clock.unix_seconds());
        ack = match node.attrs.get("to") {
            Some(to) => ack.attr("from", to.clone()),
            None => ack.attr("from", SERVER_JID),
        };
        if let Err(code) = outcome {
            ack = ack.attr("error", code);
        }
        let ack = ack.build();
        match self.faults.ack_fate(&session.account.phone) {
            AckFate::Send => session.link.send(ack),
            AckFate::Drop => {}
            AckFate::Hold => self.faults.hold(session.link.clone(), ack),
        }
        Ok(())
    }

    /// Puts every copy into its device's queue. An inner error is the code of a refusal:
    /// then nothing went out.
    fn route(&self, session: &Session, node: &Node) -> Result<Result<(), u16>, Error> {
        let Some(to) = jid(node, "to").filter(|_| !text(node, "id").is_empty()) else {
            return Ok(Err(MALFORMED));
        };
        if to.is_group() {
            return self.post_to_group(session, node, &to);
        }
        if to.is_status_broadcast() || to.is_newsletter() {
            return Ok(Err(NOBODY));
        }
        let Some(recipient) = self.accounts.find(&to) else {
            return Ok(Err(NOBODY));
        };
        if !self.may_write(session, &recipient, node)? {
            return Ok(Err(REACH_OUT));
        }
        self.watch(&recipient, &session.account.phone)?;
        let envelope = Envelope {
            node,
            now: self.clock.unix_seconds(),
            push_name: session.account.lock().record.push_name.clone(),
            identity: node.get_optional_child("device-identity"),
            to,
        };
        let Some(participants) = node.get_optional_child("participants") else {
            let target = envelope.to.clone();
            return self.post(session, &envelope, &target, node).map(Ok);
        };
        for copy in participants.children().unwrap_or_default() {
            if let Some(target) = jid(copy, "jid").filter(|_| copy.tag == "to") {
                self.post(session, &envelope, &target, copy)?;
            }
        }
        Ok(Ok(()))
    }

    /// Delivers the copy inside `holder` to the device `target`.
    fn post(&self, session: &Session, envelope: &Envelope<'_>, target: &Jid, holder: &Node) -> Result<(), Error> {
        let Some(account) = self.accounts.find(target) else {
            return Ok(());
        };
        if account.phone == session.account.phone && target.device == session.device {
            return Ok(());
        }
        let sealed: Vec<Node> = holder.get_children_by_tag("enc").cloned().collect();
        if sealed.is_empty() {
            return Ok(());
        }
        // The sender is told nothing of it: one tick, for ever.
        if Inner::is_blocked(&account, &session.account.phone) {
            return Ok(());
        }
        let copy = self.copy_for(session, envelope, target, &account, sealed);
        let mut inner = account.lock();
        let known = inner.device(target.device).is_some_and(|device| device.record.is_published());
        if known {
            self.deliver(&mut inner, target.device, copy)?;
        }
        Ok(())
    }

    /// The envelope that one device gets.
    fn copy_for(&self, session: &Session, envelope: &Envelope<'_>, target: &Jid, account: &Arc<Account>, sealed: Vec<Node>) -> Node {
        let sender = &session.account;
        let mut copy = NodeBuilder::new("message")
            .attr("from", sender.like(target, session.device))
            .attr("id", text(envelope.node, "id").as_ref())
            .attr("t", envelope.now)
            .attr("type", kind(envelope.node));
        copy = passed(copy, envelope.node, &["category", "edit"]);
        if !envelope.push_name.is_empty() {
            copy = copy.attr("notify", CompactString::from(&*envelope.push_name));
        }
        copy = if target.is_lid() {
            copy.attr("addressing_mode", "lid").attr("sender_pn", sender.pn(0))
        } else {
            copy.attr("addressing_mode", "pn").attr("sender_lid", sender.lid(0))
        };
        let peer = text(envelope.node, "category") == "peer";
        if account.phone == sender.phone && !peer {
            // A copy sent again to one own device names the chat itself.
            let chat = jid(envelope.node, "recipient");
            copy = self.addressed_to(copy, chat.as_ref().unwrap_or(&envelope.to));
        }
        let needs_identity = sealed.iter().any(|enc| text(enc, "type") == "pkmsg");
        let mut content = sealed;
        for child in envelope.node.children().unwrap_or_default() {
            if matches!(child.tag.as_ref(), "meta" | "reporting" | "biz" | "bot") {
                content.push(child.clone());
            }
        }
        content.extend(envelope.identity.filter(|_| needs_identity).cloned());
        copy.children(content).build()
    }

    /// A copy for the sender's own other devices says to whom it was sent.
    fn addressed_to(&self, copy: NodeBuilder, to: &Jid) -> NodeBuilder {
        let copy = copy.attr("recipient", to.to_non_ad());
        match self.accounts.find(to) {
            Some(other) if to.is_lid() => copy.attr("recipient_pn", other.pn(0)).attr("peer_recipient_pn", other.pn(0)),
            Some(other) => copy.attr("recipient_lid", other.lid(0)).attr("peer_recipient_lid", other.lid(0)),
            None => copy,
        }
    }
}

fn kind(node: &Node) -> CompactString {
    let kind = text(node, "type");
    if kind.is_empty() { CompactString::const_new("text") } else { CompactString::from(kind) }
}
