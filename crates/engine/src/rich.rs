//! Places, cards, polls, and what is done to another message: how they look on the wire, both ways.
//!
//! What comes in was written by a stranger: what can't be used is left out, and a message of which nothing is left is kept
//! by its name alone, as kinds are that are not read.

use crate::jid;
use crate::link::{Link, context};
use sanasend_model::retry::AttemptError;
use sanasend_model::{ContactCard, Content, Jid, Location, Poll, Rich, Target, Timestamp, rich};
use sanasend_store::Quoted;
use sha2::{Digest, Sha256};
use std::fmt;
use whatsapp_rust::Client;
use whatsapp_rust::features::PollVoteCiphertext;
use whatsapp_rust::wacore::proto_helpers::MessageExt;
use whatsapp_rust::wacore::types::message::{EditAttribute, MessageInfo};
use whatsapp_rust::wacore_binary::{Jid as WireJid, JidExt};
use whatsapp_rust::waproto::buffa::MessageField;
use whatsapp_rust::waproto::whatsapp::message::poll_creation_message::Option as PollOption;
use whatsapp_rust::waproto::whatsapp::message::protocol_message::Type;
use whatsapp_rust::waproto::whatsapp::message::{
    ContactMessage, ContactsArrayMessage, LocationMessage, PollCreationMessage, PollUpdateMessage, ProtocolMessage, ReactionMessage,
};
use whatsapp_rust::waproto::whatsapp::{ContextInfo, Message, MessageContextInfo, MessageKey};

/// Most bytes of a text that is believed in a place, a card or a poll.
const MAX_TEXT: usize = 4_096;

/// A message of these kinds on its way.
#[derive(Clone)]
pub struct OutgoingRich {
    /// The id chosen when the message was accepted; the same at every try.
    pub wa_message_id: String,
    /// A person by number or hidden id, or a group.
    pub to: Jid,
    /// What it says.
    pub rich: Rich,
    /// The message it answers.
    pub quoted: Option<Quoted>,
    /// When it was accepted: reactions and edits tell it, so that the last one counts.
    pub at: Timestamp,
}

/// What people write is not for logs.
impl fmt::Debug for OutgoingRich {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutgoingRich({} to {}, {:?})", self.wa_message_id, self.to, self.rich)
    }
}

impl Link {
    /// Encrypts a message of these kinds and writes it to the socket, like [`Link::send_text`].
    ///
    /// # Errors
    /// As there; `Impossible` for kinds that can only be received.
    pub async fn send_rich(&self, message: OutgoingRich) -> Result<(), AttemptError> {
        let (to, wa_message_id) = (message.to.clone(), message.wa_message_id.clone());
        let impossible = || AttemptError::Impossible { reason: "Messages of this kind can't be sent.".into() };
        self.send(&to, &wa_message_id, compose(message).ok_or_else(impossible)?).await
    }
}

/// The message as WhatsApp's web client writes it.
fn compose(message: OutgoingRich) -> Option<Message> {
    let OutgoingRich { to, rich, quoted, at, .. } = message;
    let context_info = quoted.map(|quoted| MessageField::some(context(quoted, &to))).unwrap_or_default();
    let mut composed = Message::default();
    match rich {
        Rich::Location(place) => {
            composed.location_message = MessageField::some(LocationMessage {
                degrees_latitude: Some(place.latitude),
                degrees_longitude: Some(place.longitude),
                name: place.name,
                address: place.address,
                context_info,
                ..Default::default()
            });
        }
        Rich::Contact { contacts } => cards(&mut composed, &contacts, context_info),
        Rich::Poll(poll) => {
            let secret = poll.secret_bytes()?;
            let made = PollCreationMessage {
                name: Some(poll.question),
                options: poll.options.into_iter().map(|name| PollOption { option_name: Some(name), ..Default::default() }).collect(),
                selectable_options_count: Some(poll.selectable_count),
                context_info,
                ..Default::default()
            };
            // As the web client does: the third version for one answer, the first for several.
            if poll.selectable_count == 1 {
                composed.poll_creation_message_v3 = MessageField::some(made);
            } else {
                composed.poll_creation_message = MessageField::some(made);
            }
            composed.message_context_info =
                MessageField::some(MessageContextInfo { message_secret: Some(secret.to_vec()), ..Default::default() });
        }
        Rich::Reaction { target, emoji } => {
            composed.reaction_message = MessageField::some(ReactionMessage {
                key: MessageField::some(key(&to, target)),
                text: Some(emoji),
                sender_timestamp_ms: Some(at.0),
                ..Default::default()
            });
        }
        Rich::Edit { target, text } => {
            let edited = Message { conversation: Some(text), ..Default::default() };
            composed.protocol_message = MessageField::some(ProtocolMessage {
                key: MessageField::some(key(&to, target)),
                r#type: Some(Type::MESSAGE_EDIT),
                edited_message: MessageField::some(edited),
                timestamp_ms: Some(at.0),
                ..Default::default()
            });
        }
        Rich::Revoke { target, .. } => {
            composed.protocol_message = MessageField::some(ProtocolMessage {
                key: MessageField::some(key(&to, target)),
                r#type: Some(Type::REVOKE),
                ..Default::default()
            });
        }
        Rich::PollVote { .. } => return None,
    }
    Some(composed)
}

fn key(chat: &Jid, target: Target) -> MessageKey {
    MessageKey {
        remote_jid: Some(chat.to_string()),
        from_me: Some(target.from_me),
        id: Some(target.wa_message_id),
        participant: target.participant.filter(|_| chat.is_group() && !target.from_me).map(|jid| jid.to_string()),
    }
}

fn cards(composed: &mut Message, contacts: &[ContactCard], context_info: MessageField<ContextInfo>) {
    let card =
        |card: &ContactCard| ContactMessage { display_name: Some(card.name.clone()), vcard: Some(card.to_vcard()), ..Default::default() };
    if let [one] = contacts {
        composed.contact_message = MessageField::some(ContactMessage { context_info, ..card(one) });
        return;
    }
    composed.contacts_array_message = MessageField::some(ContactsArrayMessage {
        display_name: Some(format!("{} contacts", contacts.len())),
        contacts: contacts.iter().map(card).collect(),
        context_info,
    });
}

/// What of `message` is of these kinds. Votes are encrypted, and read by [`vote`].
pub(crate) fn read(message: &Message, info: Option<&MessageInfo>) -> Option<Rich> {
    let base = message.get_base_message();
    if let Some(place) = base.location_message.as_option() {
        let (latitude, longitude) = (place.degrees_latitude?, place.degrees_longitude?);
        let on_earth = latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
        let (name, address) = (said(place.name.as_ref()), said(place.address.as_ref()));
        return on_earth.then_some(Rich::Location(Location { latitude, longitude, name, address }));
    }
    if let Some(contact) = base.contact_message.as_option() {
        return Some(Rich::Contact { contacts: vec![card(contact)] });
    }
    if let Some(several) = base.contacts_array_message.as_option() {
        let contacts: Vec<ContactCard> = several.contacts.iter().take(rich::MAX_CARDS * 5).map(card).collect();
        return (!contacts.is_empty()).then_some(Rich::Contact { contacts });
    }
    if let Some(reaction) = base.reaction_message.as_option() {
        let emoji = reaction.text.clone().unwrap_or_default();
        return (emoji.len() <= MAX_TEXT).then_some(Rich::Reaction { target: target(reaction.key.as_option()?)?, emoji });
    }
    if let Some(protocol) = base.protocol_message.as_option() {
        let target = target(protocol.key.as_option()?)?;
        return match protocol.r#type {
            Some(Type::REVOKE) => Some(Rich::Revoke { target, by_admin: info.is_some_and(|info| info.edit == EditAttribute::AdminRevoke) }),
            Some(Type::MESSAGE_EDIT) => {
                let edited = protocol.edited_message.as_option()?.get_base_message();
                Some(Rich::Edit { target, text: words(edited)? })
            }
            _ => None,
        };
    }
    poll(base).map(Rich::Poll)
}

/// The words of an edited message: its text, or the caption of its file.
fn words(message: &Message) -> Option<String> {
    let caption = || {
        let image = message.image_message.as_option().and_then(|image| image.caption.as_deref());
        let video = message.video_message.as_option().and_then(|video| video.caption.as_deref());
        let document = message.document_message.as_option().and_then(|document| document.caption.as_deref());
        image.or(video).or(document)
    };
    message.text_content().or_else(caption).map(str::to_owned)
}

fn said(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty() && text.len() <= MAX_TEXT).cloned()
}

fn card(contact: &ContactMessage) -> ContactCard {
    ContactCard::from_vcard(contact.display_name.as_deref(), contact.vcard.as_deref().unwrap_or_default())
}

fn target(key: &MessageKey) -> Option<Target> {
    let participant = key.participant.as_deref().and_then(|jid| jid.parse().ok());
    Some(Target {
        wa_message_id: key.id.clone().filter(|id| !id.is_empty() && id.len() <= 256)?,
        // Said from the other side; what is known here decides.
        from_me: false,
        participant: participant.as_ref().and_then(jid::from_wire),
        message_id: None,
    })
}

fn poll(message: &Message) -> Option<Poll> {
    let versions = [
        &message.poll_creation_message,
        &message.poll_creation_message_v2,
        &message.poll_creation_message_v3,
        &message.poll_creation_message_v5,
    ];
    let made = versions.into_iter().find_map(MessageField::as_option)?;
    let options: Vec<String> = made.options.iter().take(64).filter_map(|option| said(option.option_name.as_ref())).collect();
    let secret = message.message_context_info.as_option().and_then(|info| info.message_secret.as_deref());
    let poll = Poll {
        question: said(made.name.as_ref())?,
        options,
        selectable_count: made.selectable_options_count.unwrap_or(0),
        secret: secret.filter(|secret| secret.len() == 32).map(rich::hex).unwrap_or_default(),
    };
    (!poll.options.is_empty()).then_some(poll)
}

/// The poll that a vote is for.
pub(crate) fn voted(message: &Message) -> Option<(&PollUpdateMessage, Target)> {
    let update = message.get_base_message().poll_update_message.as_option().filter(|update| update.vote.is_set())?;
    Some((update, target(update.poll_creation_message_key.as_option()?)?))
}

/// Opens a vote for `poll`; `None` when it does not open.
pub(crate) async fn vote(client: &Client, info: &MessageInfo, update: &PollUpdateMessage, target: Target, poll: &Poll) -> Option<Content> {
    let sealed = update.vote.as_option()?;
    let (enc_payload, enc_iv) = (sealed.enc_payload.as_deref()?, sealed.enc_iv.as_deref()?);
    let secret = poll.secret_bytes()?;
    let voter = info.source.sender.to_non_ad();
    for creator in creators(client, info, update).await {
        let sealed = PollVoteCiphertext { enc_payload, enc_iv };
        if let Ok(hashes) = client.polls().decrypt_vote(sealed, &secret, &target.wa_message_id, &creator, &voter).await {
            let chosen = |option: &&String| hashes.iter().any(|hash| hash.as_slice() == Sha256::digest(option.as_bytes()).as_slice());
            let options = poll.options.iter().filter(chosen).cloned().collect();
            return Some(Rich::PollVote { target, options }.into());
        }
    }
    None
}

/// The ids of who made the poll, in the addressing of the vote first: the key of a vote is made of both people's ids.
async fn creators(client: &Client, info: &MessageInfo, update: &PollUpdateMessage) -> Vec<WireJid> {
    let source = &info.source;
    let key = update.poll_creation_message_key.as_option();
    let named = key.and_then(|key| key.participant.as_deref()).and_then(|jid| jid.parse::<WireJid>().ok());
    let creator = match (named, key.and_then(|key| key.from_me)) {
        (Some(named), _) => Some(named.to_non_ad()),
        // Said by the voter: the poll is their own.
        (None, Some(true)) => Some(source.sender.to_non_ad()),
        (None, _) => (source.is_from_me && !source.chat.is_group()).then(|| source.chat.to_non_ad()),
    };
    let own = client.persistence_manager().get_device_snapshot();
    let own: Vec<WireJid> = [&own.lid, &own.pn].into_iter().flatten().map(WireJid::to_non_ad).collect();
    let mut ids = match creator {
        Some(creator) if own.iter().all(|jid| jid.user != creator.user) => {
            let other = client.get_lid_pn_entry(&creator).await.ok().flatten();
            let other = other.map(|entry| if creator.is_lid() { WireJid::pn(&*entry.phone_number) } else { WireJid::lid(&*entry.lid) });
            [Some(creator), other].into_iter().flatten().collect()
        }
        _ => own,
    };
    ids.sort_by_key(|jid| jid.is_lid() != source.sender.is_lid());
    ids
}

#[cfg(test)]
#[path = "rich_tests.rs"]
mod tests;
