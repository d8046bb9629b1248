//! How a phone takes in what the network says.
//!
//! A message is decrypted, and then its session, its place on the screen and the note
//! that it was seen are written in one batch; only after that the receipt leaves.
//! Killed before the batch, the phone gets the message again and can still read it;
//! killed after it, it gets the message again and knows it.

use crate::Error;
use crate::phones::chats::{Key, ShownMessage, ShownStatus};
use crate::phones::link::Link;
use crate::phones::phone::Phone;
use crate::phones::signal::{self, Unreadable};
use crate::phones::stanzas::ReceiptKind;
use crate::phones::{attachment, content, rich, stanzas};
use std::sync::Arc;
use wacore::messages::{decode_plaintext, unwrap_device_sent};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use wacore_libsignal::protocol::ProtocolAddress;
use waproto::whatsapp as wa;

/// How often a phone asks for another copy of one message.
const MAX_RETRIES: u8 = 4;

/// Who wrote a message and in which chat.
struct Parties {
    device: Jid,
    chat: String,
    from: String,
    own: bool,
}

/// What came of a message.
struct Taken {
    parties: Parties,
    shown: Option<ShownMessage>,
    /// Place of the shown message on the screen, if it has a file to be fetched.
    file: Option<usize>,
    wants_keys: bool,
}

impl Phone {
    /// Handles one stanza that is no answer to a question.
    pub(super) async fn hear(self: &Arc<Self>, link: &Link, stanza: &Node) {
        let handled = match stanza.tag.as_ref() {
            "message" => self.hear_message(link, stanza).await,
            "receipt" => self.hear_receipt(link, stanza).await,
            "notification" => self.hear_notification(link, stanza).await,
            "ack" => {
                self.hear_ack(stanza);
                Ok(())
            }
            "iq" => answer_ping(link, stanza),
            _ => Ok(()),
        };
        if let Err(error) = handled {
            tracing::debug!(phone = %self.own.pn, tag = %stanza.tag, %error, "not handled");
        }
    }

    async fn hear_message(self: &Arc<Self>, link: &Link, stanza: &Node) -> Result<(), Error> {
        match self.take_in(stanza).await {
            Ok(taken) => {
                let kind = receipt_kind(stanza, &taken.parties);
                if let Some(receipt) = stanzas::receipt(stanza, kind) {
                    link.send(receipt)?;
                }
                acknowledge(link, stanza)?;
                self.after_message(taken);
                Ok(())
            }
            // Not acknowledged: it comes again with the next connection.
            Err(Unreadable::State(error)) => Err(error),
            Err(Unreadable::Duplicate) => {
                let own = stanzas::sender(stanza).is_some_and(|from| self.is_own(&from));
                let kind = if own { ReceiptKind::OwnMessage } else { ReceiptKind::Delivered };
                if let Some(receipt) = stanzas::receipt(stanza, kind) {
                    link.send(receipt)?;
                }
                acknowledge(link, stanza)
            }
            Err(Unreadable::Retry(reason)) => {
                self.ask_again(link, stanza, reason)?;
                acknowledge(link, stanza)
            }
        }
    }

    /// Decrypts and writes. Answers what to do about it once it is on disk.
    async fn take_in(&self, stanza: &Node) -> Result<Taken, Unreadable> {
        let device = stanzas::sender(stanza).ok_or(Unreadable::Duplicate)?;
        let id = stanzas::text(stanza, "id").ok_or(Unreadable::Duplicate)?;
        let _turn = self.turn.lock().await;
        let address = self.signal_address(&device);
        let mut messages = Vec::new();
        for enc in copies_for_us(stanza) {
            let kind = stanzas::text(enc, "type").unwrap_or_default();
            let padding = stanzas::text(enc, "v").and_then(|v| v.parse().ok()).unwrap_or(2);
            let bytes = stanzas::bytes(enc).unwrap_or_default();
            let read = match (kind.as_str(), stanzas::group(stanza)) {
                ("skmsg", Some(group)) => {
                    let opened = self.sender_keys.open_message(&group.to_string(), address.as_str(), bytes).await;
                    opened.map_err(|error| signal::reason(&error))
                }
                _ => self.signal.decrypt(&address, &kind, bytes, self.network.clock()).await,
            };
            let plaintext = match read {
                Ok(plaintext) => plaintext,
                Err(reason) => {
                    self.signal.revert();
                    self.sender_keys.revert();
                    return self.already_taken(stanza, &device, &id, reason);
                }
            };
            let message = decode_plaintext(&plaintext, padding).map_err(|_| Unreadable::Retry(4))?;
            self.learn_sender_key(&address, &message).await;
            messages.push(message);
        }
        self.write(stanza, device, &id, messages).map_err(|error| {
            self.signal.revert();
            self.sender_keys.revert();
            Unreadable::State(error)
        })
    }

    /// A key for a group that came along; one that cannot be read shows itself when it is needed.
    async fn learn_sender_key(&self, address: &ProtocolAddress, message: &wa::Message) {
        let Some(given) = message.sender_key_distribution_message.as_option() else {
            return;
        };
        let (group, key) = (given.group_id.as_deref().unwrap_or_default(), given.axolotl_sender_key_distribution_message.as_deref());
        if let Err(error) = self.sender_keys.learn(group, address.as_str(), key.unwrap_or_default()).await {
            tracing::debug!(group, %error, "a key for a group cannot be read");
        }
    }

    /// A message that cannot be read is no loss when it was taken in before: its
    /// sender did not know and sent it again.
    fn already_taken(&self, stanza: &Node, device: &Jid, id: &str, reason: Unreadable) -> Result<Taken, Unreadable> {
        let parties = self.parties(stanza, device.clone(), None);
        let seen = self.chats.lock().has_seen(parties.key(id));
        if seen { Ok(Taken { parties, shown: None, file: None, wants_keys: false }) } else { Err(reason) }
    }

    fn write(&self, stanza: &Node, device: Jid, id: &str, messages: Vec<wa::Message>) -> Result<Taken, Error> {
        let destination = messages
            .iter()
            .find_map(|m| m.device_sent_message.as_option()?.destination_jid.clone())
            .and_then(|jid| jid.parse::<Jid>().ok());
        if stanzas::group(stanza).is_none() {
            self.note_addressing(&device, destination.as_ref());
        }
        let parties = self.parties(stanza, device, destination.as_ref());
        let key = parties.key(id);
        let messages: Vec<wa::Message> = messages.into_iter().map(unwrap_device_sent).collect();
        let wants_keys = parties.own && messages.iter().any(asks_for_keys);
        let content = messages.iter().find_map(content::read);
        let act = messages.iter().find_map(|message| rich::act(content::inner(message)));
        let (media, sealed) = messages.iter().find_map(|message| attachment::read(content::inner(message))).unzip();

        let mut chats = self.chats.lock();
        let known = chats.has_seen(key);
        let shown = content.filter(|_| !known).map(|content| {
            let at = stanzas::text(stanza, "t")
                .and_then(|t| t.parse::<i64>().ok())
                .map_or_else(|| self.network.clock().unix_millis(), |t| t * 1000);
            let mut shown = ShownMessage::new(key, parties.own, content, at);
            if parties.own {
                shown.status = ShownStatus::Sent; // it came by way of the network
            }
            shown.media = media;
            shown
        });
        let mut batch = self.state().batch();
        self.signal.stage(&mut batch)?;
        self.sender_keys.stage(&mut batch);
        chats.stage_seen(key, &mut batch);
        if let Some(shown) = &shown {
            chats.stage_message(shown, sealed.as_ref(), &mut batch)?;
        }
        let changed = act.filter(|_| !known).and_then(|act| self.show_act(&mut chats, &parties.chat, &parties.from, &act));
        if let Some(changed) = changed {
            chats.stage_again(changed, &mut batch)?;
        }
        batch.commit()?;
        chats.note_seen(key);
        let index = shown.as_ref().map(|shown| chats.note_message(shown.clone()));
        drop(chats);
        if shown.is_some() || changed.is_some() {
            self.note_change();
        }
        Ok(Taken { parties, shown, file: index.filter(|_| sealed.is_some()), wants_keys: wants_keys && !known })
    }

    /// What a message brings about besides its receipt.
    fn after_message(self: &Arc<Self>, taken: Taken) {
        if let Some(index) = taken.file {
            self.fetch(index);
        }
        if taken.wants_keys {
            let (phone, device) = (self.clone(), taken.parties.device);
            tokio::spawn(async move {
                if let Err(error) = phone.send_to_own(&device, &phone.key_share()).await {
                    tracing::warn!(%device, %error, "app-state keys were not shared");
                }
            });
            return;
        }
        let auto = self.auto();
        let Some(shown) = taken.shown.filter(|shown| !shown.from_me) else {
            return;
        };
        if auto.read
            && let Err(error) = self.read(None, Some(std::slice::from_ref(&shown.id)))
        {
            tracing::warn!(phone = %self.own.pn, %error, "not read by itself");
        }
        if let (Some(reply), Ok(chat)) = (auto.reply, shown.chat.parse::<Jid>()) {
            let phone = self.clone();
            tokio::spawn(async move {
                let text = reply.replace("{text}", &shown.text);
                if let Err(error) = phone.send_text(&chat, &text, None).await {
                    tracing::warn!(%chat, %error, "not answered by itself");
                }
            });
        }
    }

    async fn hear_receipt(&self, link: &Link, receipt: &Node) -> Result<(), Error> {
        let status = match stanzas::text(receipt, "type").as_deref() {
            None | Some("delivery") => Some(ShownStatus::Delivered),
            Some("read" | "played") => Some(ShownStatus::Read),
            Some("retry") => {
                let sent = self.send_again(link, receipt).await;
                acknowledge(link, receipt)?;
                return sent;
            }
            Some("server-error") => {
                let left = self.leave_again(link, receipt).await;
                acknowledge(link, receipt)?;
                return left;
            }
            // Our own devices' news among themselves, and devices in the background.
            Some(_) => None,
        };
        let own = stanzas::sender(receipt).is_some_and(|from| self.is_own(&from));
        if let Some(status) = status.filter(|_| !own) {
            let mut changed = false;
            for id in stanzas::receipt_ids(receipt) {
                changed |= self.chats.lock().advance(self.state(), &id, status)?;
            }
            if changed {
                self.note_change();
            }
        }
        acknowledge(link, receipt)
    }

    async fn hear_notification(&self, link: &Link, notification: &Node) -> Result<(), Error> {
        let runs_low =
            stanzas::text(notification, "type").as_deref() == Some("encrypt") && notification.get_optional_child("count").is_some();
        if runs_low {
            self.upload_prekeys(link).await?;
        }
        acknowledge(link, notification)
    }

    fn hear_ack(&self, ack: &Node) {
        if stanzas::text(ack, "class").as_deref() != Some("message") {
            return;
        }
        let Some(id) = stanzas::text(ack, "id") else {
            return;
        };
        let refused = ack.attrs.get("error").is_some();
        let status = if refused { ShownStatus::Failed } else { ShownStatus::Sent };
        self.settle(&id, status);
    }

    /// Asks the sender for another copy, with fresh keys to begin anew from.
    fn ask_again(&self, link: &Link, stanza: &Node, reason: u8) -> Result<(), Error> {
        let Some(id) = stanzas::text(stanza, "id") else {
            return Ok(());
        };
        let count = {
            let mut retries = self.retries.lock();
            let count = retries.entry(id).or_insert(0);
            *count += 1;
            *count
        };
        if count > MAX_RETRIES {
            return Ok(());
        }
        let keys = self.spare_prekey()?;
        match stanzas::retry_receipt(stanza, count, reason, &keys) {
            Some(receipt) => link.send(receipt),
            None => Ok(()),
        }
    }

    fn parties(&self, stanza: &Node, device: Jid, destination: Option<&Jid>) -> Parties {
        let own = self.is_own(&device);
        if let Some(group) = stanzas::group(stanza) {
            return Parties { chat: group.to_string(), from: self.addresses_of(&device).pn.to_string(), device, own };
        }
        let chat = if own {
            let recipient = stanzas::jid(stanza, "recipient");
            destination.or(recipient.as_ref()).unwrap_or(&device).clone()
        } else {
            device.clone()
        };
        Parties { chat: self.addresses_of(&chat).pn.to_string(), from: self.addresses_of(&device).pn.to_string(), device, own }
    }

    /// Answers go out in the addressing that the chat was last seen to use.
    fn note_addressing(&self, device: &Jid, destination: Option<&Jid>) {
        let chat = if self.is_own(device) { destination } else { Some(device) };
        if let Some(chat) = chat {
            let number = self.addresses_of(chat).pn.user.to_string();
            self.by_lid.lock().insert(number, chat.is_lid());
        }
    }
}

impl Parties {
    fn key<'a>(&'a self, id: &'a str) -> Key<'a> {
        Key { chat: &self.chat, from: &self.from, id }
    }
}

fn receipt_kind(stanza: &Node, parties: &Parties) -> ReceiptKind {
    if stanzas::text(stanza, "category").as_deref() == Some("peer") {
        ReceiptKind::Peer
    } else if parties.own {
        ReceiptKind::OwnMessage
    } else {
        ReceiptKind::Delivered
    }
}

/// The copies of a message that are meant for this device and that it can open.
fn copies_for_us(stanza: &Node) -> impl Iterator<Item = &Node> {
    stanza.get_children_by_tag("enc").filter(|enc| matches!(stanzas::text(enc, "type").as_deref(), Some("msg" | "pkmsg" | "skmsg")))
}

fn asks_for_keys(message: &wa::Message) -> bool {
    message.protocol_message.as_option().is_some_and(|protocol| protocol.app_state_sync_key_request.is_set())
}

fn acknowledge(link: &Link, stanza: &Node) -> Result<(), Error> {
    match stanzas::ack(stanza) {
        Some(ack) => link.send(ack),
        None => Ok(()),
    }
}

fn answer_ping(link: &Link, iq: &Node) -> Result<(), Error> {
    let is_question = stanzas::text(iq, "type").as_deref() == Some("get");
    let Some(id) = stanzas::text(iq, "id").filter(|_| is_question) else {
        return Ok(());
    };
    let mut result = NodeBuilder::new("iq").attr("id", id).attr("type", "result");
    if let Some(from) = iq.attrs.get("from") {
        result = result.attr("to", from.clone());
    }
    link.send(result.build())
}
