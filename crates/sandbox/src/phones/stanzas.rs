//! The stanzas that a phone sends and the parts of those it reads.
//!
//! Apart because it is pure: addresses and ids in, nodes out. Shapes follow what the
//! client libraries send and accept.

use crate::Error;
use crate::phones::attachment::wire_name;
use crate::phones::rich::{self, Doing};
use crate::phones::signal::Sealed;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt as _, Node, NodeContent, Server};
use wacore_libsignal::protocol::{IdentityKey, PreKeyBundle, PublicKey};
use waproto::whatsapp as wa;

/// A stanza's attribute as text.
pub(super) fn text(node: &Node, name: &str) -> Option<String> {
    node.attrs.get(name).map(ToString::to_string)
}

/// A stanza's attribute as a jid.
pub(super) fn jid(node: &Node, name: &str) -> Option<Jid> {
    node.attrs.get(name).and_then(wacore_binary::NodeValue::to_jid)
}

/// The device that a stanza comes from: in a group it is named apart.
pub(super) fn sender(node: &Node) -> Option<Jid> {
    let from = jid(node, "from")?;
    if from.is_group() { jid(node, "participant") } else { Some(from) }
}

/// The group that a stanza comes from.
pub(super) fn group(node: &Node) -> Option<Jid> {
    jid(node, "from").filter(wacore_binary::JidExt::is_group)
}

/// A stanza's byte content.
pub(super) fn bytes(node: &Node) -> Option<&[u8]> {
    match &node.content {
        Some(NodeContent::Bytes(bytes)) => Some(bytes),
        _ => None,
    }
}

/// The acknowledgement that every message, receipt and notification gets.
pub(super) fn ack(stanza: &Node) -> Option<Node> {
    let mut ack = NodeBuilder::new("ack")
        .attr("class", stanza.tag.as_ref())
        .attr("id", stanza.attrs.get("id")?.clone())
        .attr("to", stanza.attrs.get("from")?.clone());
    for name in ["participant", "recipient", "type"] {
        let wanted = name != "type" || stanza.tag != "message";
        if let Some(value) = stanza.attrs.get(name).filter(|_| wanted) {
            ack = ack.attr(name, value.clone());
        }
    }
    Some(ack.build())
}

/// Why a receipt is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ReceiptKind {
    /// The message is here.
    Delivered,
    /// A message of our own, written on a companion, is here.
    OwnMessage,
    /// A message between own devices is here.
    Peer,
}

/// The receipt for a message that has been taken in.
pub(super) fn receipt(message: &Node, kind: ReceiptKind) -> Option<Node> {
    let mut receipt =
        NodeBuilder::new("receipt").attr("id", message.attrs.get("id")?.clone()).attr("to", message.attrs.get("from")?.clone());
    if let Some(participant) = message.attrs.get("participant") {
        receipt = receipt.attr("participant", participant.clone());
    }
    let receipt = match kind {
        ReceiptKind::Delivered => receipt,
        ReceiptKind::Peer => receipt.attr("type", "peer_msg"),
        ReceiptKind::OwnMessage => {
            let receipt = receipt.attr("type", "sender");
            match jid(message, "recipient") {
                Some(recipient) => receipt.attr("recipient", recipient.to_non_ad()),
                None => receipt,
            }
        }
    };
    Some(receipt.build())
}

/// The receipt for messages of one chat that were read.
pub(super) fn read_receipt(chat: &Jid, author: Option<&Jid>, ids: &[String], now: i64) -> Option<Node> {
    let (first, rest) = ids.split_first()?;
    let mut receipt = NodeBuilder::new("receipt").attr("id", first.as_str()).attr("to", chat).attr("type", "read").attr("t", now);
    if let Some(author) = author {
        receipt = receipt.attr("participant", author);
    }
    if rest.is_empty() {
        return Some(receipt.build());
    }
    let items = rest.iter().map(|id| NodeBuilder::new("item").attr("id", id.as_str()).build());
    let list = NodeBuilder::new("list").children(items).build();
    Some(receipt.children([list]).build())
}

/// The ids that a receipt speaks of.
pub(super) fn receipt_ids(receipt: &Node) -> Vec<String> {
    let mut ids: Vec<String> = receipt
        .get_optional_child("list")
        .and_then(Node::children)
        .unwrap_or_default()
        .iter()
        .filter_map(|item| text(item, "id"))
        .collect();
    ids.extend(text(receipt, "id"));
    ids
}

/// What a retry receipt carries so that the other side can begin anew.
pub(super) struct RetryKeys {
    /// The account's identity key.
    pub identity: PublicKey,
    /// Signal registration id.
    pub registration_id: u32,
    /// A one-time prekey kept for this.
    pub prekey: (u32, PublicKey),
    /// The signed prekey.
    pub signed_prekey: (u32, PublicKey),
    /// The identity's signature over the signed prekey.
    pub signature: Vec<u8>,
}

/// The request for another copy of a message that could not be read.
pub(super) fn retry_receipt(message: &Node, count: u8, error: u8, keys: &RetryKeys) -> Option<Node> {
    let mut retry = NodeBuilder::new("retry").attr("v", "1").attr("id", message.attrs.get("id")?.clone()).attr("count", count);
    if let Some(t) = message.attrs.get("t") {
        retry = retry.attr("t", t.clone());
    }
    if error != 0 {
        retry = retry.attr("error", error);
    }
    let mut receipt = NodeBuilder::new("receipt")
        .attr("id", message.attrs.get("id")?.clone())
        .attr("to", message.attrs.get("from")?.clone())
        .attr("type", "retry");
    for name in ["recipient", "category", "participant"] {
        if let Some(value) = message.attrs.get(name) {
            receipt = receipt.attr(name, value.clone());
        }
    }
    let bundle = NodeBuilder::new("keys")
        .children([
            leaf("type", vec![5]),
            leaf("identity", keys.identity.public_key_bytes().to_vec()),
            key("key", keys.prekey.0, &keys.prekey.1, None),
            key("skey", keys.signed_prekey.0, &keys.signed_prekey.1, Some(&keys.signature)),
        ])
        .build();
    let registration = leaf("registration", keys.registration_id.to_be_bytes().to_vec());
    Some(receipt.children([retry.build(), registration, bundle]).build())
}

/// One device's copy of a message.
pub(super) struct Copy {
    /// What the device opens.
    pub sealed: Sealed,
    /// The how-manieth copy this is, when it was asked for.
    pub retry: Option<u8>,
    /// Kind of the file that the message carries.
    pub media: Option<&'static str>,
}

impl Copy {
    fn node(self) -> Node {
        let mut enc = NodeBuilder::new("enc").attr("v", "2").attr("type", self.sealed.kind);
        if let Some(count) = self.retry {
            enc = enc.attr("count", count);
        }
        if let Some(media) = self.media {
            enc = enc.attr("mediatype", media);
        }
        enc.bytes(self.sealed.bytes).build()
    }
}

/// What the outside of a message says of its inside.
pub(super) struct Shape {
    /// `type` of the message.
    kind: &'static str,
    /// Kind of the file that it carries.
    pub media: Option<&'static str>,
    /// `edit`: it changes another message.
    edit: Option<&'static str>,
    /// `polltype` of a `<meta>` inside.
    poll: Option<&'static str>,
}

impl Shape {
    /// The shape of a message, as WhatsApp's clients give it.
    pub fn of(message: &wa::Message) -> Self {
        let media = wire_name(message);
        let act = rich::act(message).map(|act| act.what);
        let asks = rich::creation(message).is_some();
        let votes = matches!(act, Some(Doing::Vote { .. }));
        let carries = media.is_some() || message.location_message.is_set() || message.contact_message.is_set();
        let kind = match &act {
            Some(Doing::React(_)) => "reaction",
            _ if asks || votes => "poll",
            None if carries || message.contacts_array_message.is_set() => "media",
            _ => "text",
        };
        let edit = match &act {
            Some(Doing::Edit(_)) => Some("1"),
            Some(Doing::Delete) => Some("7"),
            Some(Doing::React(emoji)) if emoji.is_empty() => Some("7"),
            _ => None,
        };
        let poll = if asks { Some("creation") } else { votes.then_some("vote") };
        let contact = message.contact_message.is_set().then_some("vcard");
        let location = message.location_message.is_set().then_some("location");
        let several = message.contacts_array_message.is_set().then_some("contact_array");
        Self { kind, media: media.or(contact).or(location).or(several), edit, poll }
    }

    fn begin(&self, id: &str) -> NodeBuilder {
        let message = NodeBuilder::new("message").attr("id", id).attr("type", self.kind);
        match self.edit {
            Some(edit) => message.attr("edit", edit),
            None => message,
        }
    }

    fn meta(&self) -> Option<Node> {
        self.poll.map(|poll| NodeBuilder::new("meta").attr("polltype", poll).build())
    }
}

/// A message to a chat: one copy for each device of both sides.
pub(super) fn fanout(to: &Jid, id: &str, shape: &Shape, copies: Vec<(Jid, Sealed)>) -> Node {
    let participants = copies.into_iter().map(|(device, sealed)| {
        let copy = Copy { sealed, retry: None, media: shape.media };
        NodeBuilder::new("to").attr("jid", device).children([copy.node()]).build()
    });
    let participants = NodeBuilder::new("participants").children(participants).build();
    shape.begin(id).attr("to", to).children([participants].into_iter().chain(shape.meta())).build()
}

/// A message to one own device.
pub(super) fn peer_message(to: &Jid, id: &str, sealed: Sealed) -> Node {
    NodeBuilder::new("message")
        .attr("id", id)
        .attr("to", to)
        .attr("type", "text")
        .attr("category", "peer")
        .attr("push_priority", "high")
        .children([NodeBuilder::new("meta").attr("appdata", "default").build(), Copy { sealed, retry: None, media: None }.node()])
        .build()
}

/// Another copy of a message for the one device that asked. `recipient` names the
/// chat when that device is our own; `group` the group that it was sent to.
pub(super) fn resend(
    device: &Jid,
    id: &str,
    recipient: Option<&Jid>,
    group: Option<&Jid>,
    peer: bool,
    (shape, copy): (&Shape, Copy),
) -> Node {
    let mut message = shape.begin(id).attr("to", group.unwrap_or(device));
    if group.is_some() {
        message = message.attr("participant", device);
    }
    if let Some(recipient) = recipient {
        message = message.attr("recipient", recipient);
    }
    if peer {
        message = message.attr("category", "peer");
    }
    message.children([copy.node()].into_iter().chain(shape.meta())).build()
}

/// Lets a contact write: gives them a token. Nobody waits for the answer.
pub(super) fn give_token(contact: &Jid, id: &str, now: i64) -> Node {
    let token = NodeBuilder::new("token").attr("jid", contact).attr("t", now).attr("type", "trusted_contact").build();
    NodeBuilder::new("iq")
        .attr("id", id)
        .attr("to", Jid::new("", Server::Pn))
        .attr("type", "set")
        .attr("xmlns", "privacy")
        .children([NodeBuilder::new("tokens").children([token]).build()])
        .build()
}

/// The question which devices and LIDs these users have.
pub(super) fn usync(users: &[Jid], sid: &str) -> Node {
    let query = NodeBuilder::new("query")
        .children([
            NodeBuilder::new("contact").build(),
            NodeBuilder::new("devices").attr("version", "2").build(),
            NodeBuilder::new("lid").build(),
        ])
        .build();
    let list = users.iter().map(|user| {
        let entry = NodeBuilder::new("user").attr("jid", user);
        let contact = user.is_pn().then(|| NodeBuilder::new("contact").string_content(format!("+{}", user.user)).build());
        entry.children(contact).build()
    });
    NodeBuilder::new("usync")
        .attr("context", "message")
        .attr("index", "0")
        .attr("last", "true")
        .attr("mode", "query")
        .attr("sid", sid)
        .children([query, NodeBuilder::new("list").children(list).build()])
        .build()
}

/// The question for the key bundles of these devices.
pub(super) fn bundles(devices: &[Jid]) -> Node {
    let users = devices.iter().map(|device| NodeBuilder::new("user").attr("jid", device).build());
    NodeBuilder::new("key").children(users).build()
}

/// Reads a bundle out of a `user` (or the receipt of a retry, with its `keys`).
pub(super) fn read_bundle(device: &Jid, outer: &Node, keys: &Node) -> Result<PreKeyBundle, Error> {
    let registration_id = outer.get_optional_child("registration").and_then(bytes).map(number).ok_or_else(|| missing("registration"))?;
    let identity = keys.get_optional_child("identity").and_then(bytes).ok_or_else(|| missing("identity"))?;
    let signed = keys.get_optional_child("skey").ok_or_else(|| missing("skey"))?;
    let signature = signed.get_optional_child("signature").and_then(bytes).ok_or_else(|| missing("signature"))?;
    let (signed_id, signed_key) = read_key(signed)?;
    let one_time = keys.get_optional_child("key").map(read_key).transpose()?.map(|(id, key)| (id.into(), key));
    PreKeyBundle::new(
        registration_id,
        u32::from(device.device()).into(),
        one_time,
        signed_id.into(),
        signed_key,
        signature.to_vec(),
        IdentityKey::new(PublicKey::from_djb_public_key_bytes(identity).map_err(broken)?),
    )
    .map_err(broken)
}

fn read_key(node: &Node) -> Result<(u32, PublicKey), Error> {
    let id = node.get_optional_child("id").and_then(bytes).map(number).ok_or_else(|| missing("id"))?;
    let value = node.get_optional_child("value").and_then(bytes).ok_or_else(|| missing("value"))?;
    Ok((id, PublicKey::from_djb_public_key_bytes(value).map_err(broken)?))
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte))
}

fn leaf(tag: &'static str, bytes: Vec<u8>) -> Node {
    NodeBuilder::new(tag).bytes(bytes).build()
}

fn key(tag: &'static str, id: u32, public: &PublicKey, signature: Option<&[u8]>) -> Node {
    let mut children = vec![leaf("id", id.to_be_bytes()[1..].to_vec()), leaf("value", public.public_key_bytes().to_vec())];
    children.extend(signature.map(|signature| leaf("signature", signature.to_vec())));
    NodeBuilder::new(tag).children(children).build()
}

fn missing(what: &str) -> Error {
    Error::Protocol(format!("a key bundle without <{what}>"))
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::Protocol(format!("a key bundle that cannot be read: {error}"))
}
