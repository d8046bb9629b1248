//! How a phone sends: to every device of both sides, and again to whoever could not
//! read it.
//!
//! The order of the steps is the point. First the message is on disk as unsettled;
//! then sessions move and are on disk; only then the stanza leaves. Killed anywhere
//! between, the phone sends the message again under the same id when it comes back,
//! and whoever has it already shows it once.

use crate::Error;
use crate::phones::attachment::{MediaState, Sealed, ShownMedia};
use crate::phones::chats::{Key, Outgoing, ShownMessage, ShownStatus};
use crate::phones::link::Link;
use crate::phones::phone::Phone;
use crate::phones::{attachment, content, rich, stanzas};
use crate::state::Room;
use std::collections::HashMap;
use wacore::adv::{AdvValidation, validate_adv_with_identity_key};
use wacore::messages::{MessageUtils, wrap_device_sent};
use wacore_binary::{Jid, JidExt as _, Node};
use wacore_libsignal::protocol::PreKeyBundle;
use waproto::whatsapp as wa;

/// A device that asked for another copy so often is not helped by one more.
const MAX_COPIES: u8 = 5;

impl Phone {
    /// Sends a text to a chat. It is on its way when this returns, or waits on the
    /// phone while that is offline. Answers the message id.
    pub async fn send_text(&self, to: &Jid, text: &str, reply_to: Option<&str>) -> Result<String, Error> {
        let chat = self.chat_with(to)?;
        let quoted = self.quoted(reply_to)?;
        let quote = quoted.as_ref().map(ShownMessage::quote);
        let message = content::text(text, quote.as_ref(), self.network.clock().bytes());
        let outgoing = self.outgoing(chat, &message);
        self.show_own(&outgoing, &message, None)?;
        if let Some(link) = self.link() {
            self.dispatch(&link, &outgoing).await;
        }
        Ok(outgoing.id)
    }

    /// The chat with somebody: their jid by number; of a group that the phone is in, its own.
    pub(super) fn chat_with(&self, to: &Jid) -> Result<String, Error> {
        if to.is_group() {
            let members = self.network.group_members(&self.number, to)?;
            let refused = || Error::Refused(format!("this phone is not in the group {to}"));
            return members.first().map(|_| to.to_string()).ok_or_else(refused);
        }
        let account = self.network.account_of(to);
        let account = account.ok_or_else(|| Error::Unknown(format!("{to} is not on WhatsApp; make the phone first")))?;
        self.lets_write(to)?;
        Ok(Jid::pn(account.phone.as_str()).to_string())
    }

    /// The message being answered.
    pub(super) fn quoted(&self, id: Option<&str>) -> Result<Option<ShownMessage>, Error> {
        let Some(id) = id else {
            return Ok(None);
        };
        let found = self.chats.lock().find(id).cloned();
        Ok(Some(found.ok_or_else(|| Error::Unknown(format!("this phone shows no message {id} to reply to")))?))
    }

    /// A message of this phone under a new id.
    pub(super) fn outgoing(&self, chat: String, message: &wa::Message) -> Outgoing {
        let clock = self.network.clock();
        Outgoing {
            id: hex::encode_upper(clock.bytes::<16>()),
            to: chat,
            peer: false,
            message: waproto::codec::message_to_vec(message),
            at: clock.unix_millis(),
        }
    }

    /// Sends something between devices to one of the account's companions.
    pub(super) async fn send_to_own(&self, companion: &Jid, message: &wa::Message) -> Result<(), Error> {
        let clock = self.network.clock();
        let outgoing = Outgoing {
            id: hex::encode_upper(clock.bytes::<16>()),
            to: companion.to_string(),
            peer: true,
            message: waproto::codec::message_to_vec(message),
            at: clock.unix_millis(),
        };
        let row = Outgoing::open_row(&self.number, &outgoing.id);
        self.state().put(Room::Chats, &row, &outgoing)?;
        if let Some(link) = self.link() {
            self.dispatch(&link, &outgoing).await;
        }
        Ok(())
    }

    /// Puts a stored message on the wire. What cannot be sent now stays unsettled if
    /// the connection is to blame, and is given up if the message is.
    pub(super) async fn dispatch(&self, link: &Link, outgoing: &Outgoing) {
        let sent = if outgoing.peer { self.send_peer(link, outgoing).await } else { self.fan_out(link, outgoing).await };
        let Err(error) = sent else { return };
        tracing::debug!(phone = %self.own.pn, id = outgoing.id, %error, "not sent");
        if !link.is_closed() && !matches!(error, Error::State(_)) {
            self.settle(&outgoing.id, ShownStatus::Failed);
        }
    }

    /// Notes the network's answer to one of our messages.
    pub(super) fn settle(&self, id: &str, status: ShownStatus) {
        let settled = Outgoing::settle(self.state(), &self.number, id);
        let advanced = settled.and_then(|()| self.chats.lock().advance(self.state(), id, status));
        match advanced {
            Ok(true) => self.note_change(),
            Ok(false) => {}
            Err(error) => tracing::warn!(id, %error, "an answer was not noted"),
        }
    }

    /// Sends another copy to a device that could not read a message.
    pub(super) async fn send_again(&self, link: &Link, receipt: &Node) -> Result<(), Error> {
        let (Some(id), Some(device)) = (stanzas::text(receipt, "id"), stanzas::sender(receipt)) else {
            return Ok(());
        };
        let count = receipt
            .get_optional_child("retry")
            .and_then(|retry| stanzas::text(retry, "count"))
            .and_then(|count| count.parse().ok())
            .unwrap_or(1);
        let Some(outgoing) = Outgoing::find(self.state(), &self.number, &id)? else {
            return Ok(());
        };
        if count >= MAX_COPIES {
            return Ok(());
        }
        let bundle = match receipt.get_optional_child("keys") {
            Some(keys) => stanzas::read_bundle(&device, receipt, keys)?,
            None => self.bundle_of(link, &device).await?,
        };
        let own = self.is_own(&device);
        let message = waproto::codec::message_decode(&outgoing.message).map_err(unreadable)?;
        let shape = stanzas::Shape::of(&message);
        let recipient = (own && !outgoing.peer && stanzas::group(receipt).is_none())
            .then(|| outgoing.to.parse::<Jid>().ok())
            .flatten()
            .map(|chat| self.in_chat_addressing(&chat));
        let plaintext = match &recipient {
            Some(chat) => MessageUtils::encode_and_pad(&wrap_device_sent(message, chat.to_string())),
            None => MessageUtils::encode_and_pad(&message),
        };
        let address = self.signal_address(&device);
        let _turn = self.turn.lock().await;
        self.signal.adopt(&address, &bundle, self.network.clock()).await?;
        let sealed = self.signal.encrypt(&address, &plaintext).await?;
        self.commit_sessions()?;
        let copy = stanzas::Copy { sealed, retry: Some(count), media: shape.media };
        let group = stanzas::group(receipt);
        link.send(stanzas::resend(&device, &id, recipient.as_ref(), group.as_ref(), outgoing.peer, (&shape, copy)))
    }

    /// Shows a message of our own and writes it down as still to be sent.
    pub(super) fn show_own(&self, outgoing: &Outgoing, message: &wa::Message, sealed: Option<&Sealed>) -> Result<(), Error> {
        let from = self.own.pn.to_string();
        let key = Key { chat: &outgoing.to, from: &from, id: &outgoing.id };
        let act = rich::act(message);
        // An edit, a deletion or a vote shows at its message only.
        let content = content::read(message).or_else(|| act.is_none().then(content::Content::default));
        let shown = content.map(|content| {
            let media = attachment::read(message).map(|(media, _)| ShownMedia { state: MediaState::Ready, ..media });
            ShownMessage { media, ..ShownMessage::new(key, true, content, outgoing.at) }
        });
        let mut chats = self.chats.lock();
        let mut batch = self.state().batch();
        chats.stage_seen(key, &mut batch);
        if let Some(shown) = &shown {
            chats.stage_message(shown, sealed, &mut batch)?;
        }
        if let Some(changed) = act.and_then(|act| self.show_act(&mut chats, &outgoing.to, &from, &act)) {
            chats.stage_again(changed, &mut batch)?;
        }
        let row = Outgoing::open_row(&self.number, &outgoing.id);
        batch.put(Room::Chats, &row, outgoing)?;
        batch.commit()?;
        chats.note_seen(key);
        if let Some(shown) = shown {
            chats.note_message(shown);
        }
        drop(chats);
        self.note_change();
        Ok(())
    }

    async fn send_peer(&self, link: &Link, outgoing: &Outgoing) -> Result<(), Error> {
        let device: Jid = outgoing.to.parse().map_err(unreadable)?;
        let message = waproto::codec::message_decode(&outgoing.message).map_err(unreadable)?;
        let plaintext = MessageUtils::encode_and_pad(&message);
        let mut bundles = self.missing_bundles(link, std::slice::from_ref(&device)).await?;
        let address = self.signal_address(&device);
        let _turn = self.turn.lock().await;
        if let Some(bundle) = bundles.remove(&device)
            && !self.signal.has_session(&address)
        {
            self.signal.adopt(&address, &bundle, self.network.clock()).await?;
        }
        let sealed = self.signal.encrypt(&address, &plaintext).await?;
        self.commit_sessions()?;
        link.send(stanzas::peer_message(&device, &outgoing.id, sealed))
    }

    async fn fan_out(&self, link: &Link, outgoing: &Outgoing) -> Result<(), Error> {
        let chat: Jid = outgoing.to.parse().map_err(unreadable)?;
        let to = self.in_chat_addressing(&chat);
        let devices = if to.is_group() {
            self.devices_of(link, &self.network.group_members(&self.number, &to)?).await?
        } else {
            self.devices_of_both(link, &to).await?
        };
        let message = waproto::codec::message_decode(&outgoing.message).map_err(unreadable)?;
        let shape = stanzas::Shape::of(&message);
        let theirs = MessageUtils::encode_and_pad(&message);
        // What own devices get says where it went; in a group they see that.
        let ours = if to.is_group() { theirs.clone() } else { MessageUtils::encode_and_pad(&wrap_device_sent(message, to.to_string())) };
        let bundles = self.missing_bundles(link, &devices).await?;

        let _turn = self.turn.lock().await;
        let mut copies = Vec::with_capacity(devices.len());
        for device in devices {
            let address = self.signal_address(&device);
            if !self.signal.has_session(&address) {
                let Some(bundle) = bundles.get(&device) else {
                    continue;
                };
                self.signal.adopt(&address, bundle, self.network.clock()).await?;
            }
            let plaintext = if self.is_own(&device) { &ours } else { &theirs };
            copies.push((device, self.signal.encrypt(&address, plaintext).await?));
        }
        if copies.iter().all(|(device, _)| self.is_own(device)) && !self.is_own(&to) {
            self.signal.revert();
            return Err(Error::Refused(format!("no device of {to} has keys")));
        }
        self.commit_sessions()?;
        if !self.is_own(&to) && !to.is_group() && self.tokens_given.lock().insert(outgoing.to.clone()) {
            let id = hex::encode(self.network.clock().bytes::<8>());
            link.send(stanzas::give_token(&to, &id, self.network.clock().unix_seconds()))?;
        }
        link.send(stanzas::fanout(&to, &outgoing.id, &shape, copies))
    }

    /// Writes sessions that have moved. On failure nothing has moved.
    fn commit_sessions(&self) -> Result<(), Error> {
        let mut batch = self.state().batch();
        let written = self.signal.stage(&mut batch).and_then(|()| batch.commit());
        if written.is_err() {
            self.signal.revert();
        }
        written
    }

    /// The devices of the other side and our own, without this phone.
    async fn devices_of_both(&self, link: &Link, to: &Jid) -> Result<Vec<Jid>, Error> {
        let own = if to.is_lid() { &self.own.lid } else { &self.own.pn };
        let mut users = vec![to.clone()];
        if to != own {
            users.push(own.clone());
        }
        self.devices_of(link, &users).await
    }

    /// The devices of these people, without this phone.
    async fn devices_of(&self, link: &Link, users: &[Jid]) -> Result<Vec<Jid>, Error> {
        let sid = hex::encode(self.network.clock().bytes::<8>());
        let answer = link.ask("get", "usync", vec![stanzas::usync(users, &sid)]).await?;
        let mut devices = Vec::new();
        let listed = answer.get_optional_child_by_tag(&["usync", "list"]).and_then(Node::children).unwrap_or_default();
        for user in listed {
            let Some(jid) = stanzas::jid(user, "jid") else {
                continue;
            };
            let ids = user.get_optional_child_by_tag(&["devices", "device-list"]).and_then(Node::children).unwrap_or_default();
            devices.extend(ids.iter().filter_map(|device| stanzas::text(device, "id")?.parse().ok()).map(|id| jid.with_device(id)));
        }
        devices.retain(|device| !(self.is_own(device) && device.device == 0));
        Ok(devices)
    }

    async fn bundle_of(&self, link: &Link, device: &Jid) -> Result<PreKeyBundle, Error> {
        self.fetch_bundles(link, std::slice::from_ref(device))
            .await?
            .remove(device)
            .ok_or_else(|| Error::Refused(format!("{device} has no keys")))
    }

    /// The bundles of those devices that there is no session with.
    async fn missing_bundles(&self, link: &Link, devices: &[Jid]) -> Result<HashMap<Jid, PreKeyBundle>, Error> {
        let missing: Vec<Jid> = devices.iter().filter(|device| !self.signal.has_session(&self.signal_address(device))).cloned().collect();
        if missing.is_empty() {
            return Ok(HashMap::new());
        }
        self.fetch_bundles(link, &missing).await
    }

    async fn fetch_bundles(&self, link: &Link, devices: &[Jid]) -> Result<HashMap<Jid, PreKeyBundle>, Error> {
        let answer = link.ask("get", "encrypt", vec![stanzas::bundles(devices)]).await?;
        let listed = answer.get_optional_child("list").and_then(Node::children).unwrap_or_default();
        let mut found = HashMap::with_capacity(listed.len());
        for user in listed {
            let Some(device) = stanzas::jid(user, "jid") else {
                continue;
            };
            if user.get_optional_child("error").is_some() || !is_vouched_for(&device, user) {
                tracing::debug!(%device, "no bundle that can be used");
                continue;
            }
            match stanzas::read_bundle(&device, user, user) {
                Ok(bundle) => {
                    found.insert(device, bundle);
                }
                Err(error) => tracing::warn!(%device, %error, "a bundle was left out"),
            }
        }
        Ok(found)
    }
}

/// Whether the account has signed this companion's identity, as real clients demand.
fn is_vouched_for(device: &Jid, bundle: &Node) -> bool {
    if device.device == 0 {
        return true;
    }
    let identity = bundle.get_optional_child("identity").and_then(stanzas::bytes).and_then(|bytes| <&[u8; 32]>::try_from(bytes).ok());
    let signed = bundle.get_optional_child("device-identity").and_then(stanzas::bytes);
    match (identity, signed) {
        (Some(identity), Some(signed)) => validate_adv_with_identity_key(signed, identity, None) != AdvValidation::Invalid,
        _ => false,
    }
}

fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::State(format!("a stored message cannot be read: {error}"))
}
