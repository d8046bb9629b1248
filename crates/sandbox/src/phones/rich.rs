//! Places, cards, polls, and what is done to another message: protobuf in, plain facts out, and back.
//!
//! Apart because it is pure.

use crate::Error;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wacore::poll::{PollVoteAddressing, PollVoteCiphertext, decrypt_poll_vote_with_fallback, encrypt_poll_vote_with_secret};
use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::poll_creation_message::Option as PollOption;
use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::message::{
    ContactMessage, ContactsArrayMessage, LocationMessage, PollCreationMessage, PollEncValue, PollUpdateMessage, ProtocolMessage,
    ReactionMessage,
};

/// What a phone shows of a place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownLocation {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// What it is called.
    #[serde(default)]
    pub name: Option<String>,
    /// Where it is.
    #[serde(default)]
    pub address: Option<String>,
}

/// What a phone shows of a contact card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownCard {
    /// The name beside the card.
    pub name: String,
    /// The card itself, as it came.
    pub vcard: String,
}

/// What a phone shows of a poll.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownPoll {
    /// What is asked.
    pub question: String,
    /// What can be answered.
    pub options: Vec<String>,
    /// How many answers a person may choose; 0: any number.
    pub selectable_count: u32,
    /// What votes are sealed with, 64 hexadecimal digits.
    pub secret: String,
    /// Who chose what; the last choice of each.
    pub votes: Vec<ShownVote>,
}

/// What somebody chose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownVote {
    /// Jid by number, without device.
    pub by: String,
    /// The answers.
    pub options: Vec<String>,
}

/// An emoji that somebody put on a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownReaction {
    /// Jid by number, without device.
    pub by: String,
    /// The emoji.
    pub emoji: String,
}

/// The page that a text links to, as its sender shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownPreview {
    /// The link.
    pub url: String,
    /// The page's title.
    pub title: String,
    /// A few words about it.
    pub description: Option<String>,
}

/// What is shown of a message beside its text.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Details {
    pub location: Option<ShownLocation>,
    pub contacts: Vec<ShownCard>,
    pub poll: Option<ShownPoll>,
    pub preview: Option<ShownPreview>,
}

/// Something done to another message.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Act {
    /// The id of that message.
    pub id: String,
    pub what: Doing,
}

/// What is done to it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Doing {
    React(String),
    Edit(String),
    Delete,
    /// A vote that is still sealed.
    Vote {
        payload: Vec<u8>,
        iv: Vec<u8>,
    },
}

/// What `message` says beside its text.
pub(super) fn details(message: &wa::Message) -> Details {
    let location = message.location_message.as_option().map(|place| ShownLocation {
        latitude: place.degrees_latitude.unwrap_or_default(),
        longitude: place.degrees_longitude.unwrap_or_default(),
        name: place.name.clone(),
        address: place.address.clone(),
    });
    let card = |card: &ContactMessage| ShownCard {
        name: card.display_name.clone().unwrap_or_default(),
        vcard: card.vcard.clone().unwrap_or_default(),
    };
    let one = message.contact_message.as_option().map(card);
    let several = message.contacts_array_message.as_option().map(|cards| cards.contacts.iter().map(card).collect());
    let preview = message.extended_text_message.as_option().and_then(|text| {
        let (url, title) = (text.matched_text.clone()?, text.title.clone()?);
        Some(ShownPreview { url, title, description: text.description.clone() })
    });
    Details { location, contacts: several.unwrap_or_else(|| one.into_iter().collect()), poll: poll(message), preview }
}

fn poll(message: &wa::Message) -> Option<ShownPoll> {
    let made = creation(message)?;
    let secret = message.message_context_info.as_option().and_then(|info| info.message_secret.as_ref());
    Some(ShownPoll {
        question: made.name.clone().unwrap_or_default(),
        options: made.options.iter().filter_map(|option| option.option_name.clone()).collect(),
        selectable_count: made.selectable_options_count.unwrap_or_default(),
        secret: secret.map(hex::encode).unwrap_or_default(),
        votes: Vec::new(),
    })
}

/// The poll in a message, whichever version it has.
pub(super) fn creation(message: &wa::Message) -> Option<&PollCreationMessage> {
    let versions = [
        &message.poll_creation_message,
        &message.poll_creation_message_v2,
        &message.poll_creation_message_v3,
        &message.poll_creation_message_v5,
    ];
    versions.into_iter().find_map(MessageField::as_option)
}

/// What `message` does to another one.
pub(super) fn act(message: &wa::Message) -> Option<Act> {
    let id = |key: &MessageField<wa::MessageKey>| key.as_option().and_then(|key| key.id.clone());
    if let Some(reaction) = message.reaction_message.as_option() {
        return Some(Act { id: id(&reaction.key)?, what: Doing::React(reaction.text.clone().unwrap_or_default()) });
    }
    if let Some(update) = message.poll_update_message.as_option() {
        let vote = update.vote.as_option()?;
        let (payload, iv) = (vote.enc_payload.clone()?, vote.enc_iv.clone()?);
        return Some(Act { id: id(&update.poll_creation_message_key)?, what: Doing::Vote { payload, iv } });
    }
    let protocol = message.protocol_message.as_option()?;
    let what = match protocol.r#type {
        Some(Type::REVOKE) => Doing::Delete,
        Some(Type::MESSAGE_EDIT) => Doing::Edit(words(protocol.edited_message.as_option()?)?),
        _ => return None,
    };
    Some(Act { id: id(&protocol.key)?, what })
}

fn words(edited: &wa::Message) -> Option<String> {
    let extended = || edited.extended_text_message.as_option().and_then(|text| text.text.clone());
    edited.conversation.clone().or_else(extended)
}

/// A place as phones send it.
pub(super) fn location(place: &ShownLocation) -> wa::Message {
    wa::Message {
        location_message: MessageField::some(LocationMessage {
            degrees_latitude: Some(place.latitude),
            degrees_longitude: Some(place.longitude),
            name: place.name.clone(),
            address: place.address.clone(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Cards as phones send them.
pub(super) fn contacts(cards: &[ShownCard]) -> wa::Message {
    let card =
        |card: &ShownCard| ContactMessage { display_name: Some(card.name.clone()), vcard: Some(card.vcard.clone()), ..Default::default() };
    match cards {
        [one] => wa::Message { contact_message: MessageField::some(card(one)), ..Default::default() },
        several => wa::Message {
            contacts_array_message: MessageField::some(ContactsArrayMessage {
                display_name: Some(format!("{} contacts", several.len())),
                contacts: several.iter().map(card).collect(),
                ..Default::default()
            }),
            ..Default::default()
        },
    }
}

/// A poll as phones send it.
pub(super) fn new_poll(question: &str, options: &[String], selectable_count: u32, secret: [u8; 32]) -> wa::Message {
    let made = PollCreationMessage {
        name: Some(question.to_owned()),
        options: options.iter().map(|name| PollOption { option_name: Some(name.clone()), ..Default::default() }).collect(),
        selectable_options_count: Some(selectable_count),
        ..Default::default()
    };
    wa::Message {
        poll_creation_message_v3: MessageField::some(made),
        message_context_info: MessageField::some(wa::MessageContextInfo { message_secret: Some(secret.to_vec()), ..Default::default() }),
        ..Default::default()
    }
}

/// A reaction; an empty emoji takes an earlier one away. `at` is milliseconds since 1970.
pub(super) fn reaction(key: wa::MessageKey, emoji: &str, at: i64) -> wa::Message {
    wa::Message {
        reaction_message: MessageField::some(ReactionMessage {
            key: MessageField::some(key),
            text: Some(emoji.to_owned()),
            sender_timestamp_ms: Some(at),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Another text for a message.
pub(super) fn edit(key: wa::MessageKey, text: &str, at: i64) -> wa::Message {
    wa::Message {
        protocol_message: MessageField::some(ProtocolMessage {
            key: MessageField::some(key),
            r#type: Some(Type::MESSAGE_EDIT),
            edited_message: MessageField::some(wa::Message { conversation: Some(text.to_owned()), ..Default::default() }),
            timestamp_ms: Some(at),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// A message is taken back.
pub(super) fn revoke(key: wa::MessageKey) -> wa::Message {
    wa::Message {
        protocol_message: MessageField::some(ProtocolMessage {
            key: MessageField::some(key),
            r#type: Some(Type::REVOKE),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// A sealed vote. `creator` and `voter` are jids without device, in one addressing.
pub(super) fn vote(
    key: wa::MessageKey,
    chosen: &[String],
    secret: &str,
    creator: &str,
    voter: &str,
    at: i64,
) -> Result<wa::Message, Error> {
    let secret = hex::decode(secret).map_err(|error| Error::State(error.to_string()))?;
    let hashes: Vec<Vec<u8>> = chosen.iter().map(|option| Sha256::digest(option.as_bytes()).to_vec()).collect();
    let id = key.id.clone().unwrap_or_default();
    let sealed = encrypt_poll_vote_with_secret(&hashes, &secret, &id, creator, voter);
    let (payload, iv) = sealed.map_err(|error| Error::Keys(format!("the vote could not be sealed: {error}")))?;
    Ok(wa::Message {
        poll_update_message: MessageField::some(PollUpdateMessage {
            poll_creation_message_key: MessageField::some(key),
            vote: MessageField::some(PollEncValue { enc_payload: Some(payload), enc_iv: Some(iv.to_vec()) }),
            sender_timestamp_ms: Some(at),
            ..Default::default()
        }),
        ..Default::default()
    })
}

/// Opens a vote: `ways` are the ids of the poll's author and the voter, in one addressing and in the other.
pub(super) fn open_vote(poll: &ShownPoll, id: &str, (payload, iv): (&[u8], &[u8]), ways: &[(String, String)]) -> Option<Vec<String>> {
    let secret = hex::decode(&poll.secret).ok()?;
    let sealed = PollVoteCiphertext { enc_payload: payload, enc_iv: iv };
    let mut tried = ways.iter().map(|(creator, voter)| {
        let way = PollVoteAddressing { poll_creator_jid: creator, voter_jid: voter };
        decrypt_poll_vote_with_fallback(sealed, &secret, id, way, None)
    });
    let hashes = tried.find_map(Result::ok)?;
    let chosen = |option: &&String| hashes.iter().any(|hash| hash.as_slice() == Sha256::digest(option.as_bytes()).as_slice());
    Some(poll.options.iter().filter(chosen).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str) -> wa::MessageKey {
        wa::MessageKey { id: Some(id.to_owned()), from_me: Some(true), ..Default::default() }
    }

    #[test]
    fn what_is_sent_is_read_back() {
        let place = ShownLocation { latitude: 1.5, longitude: -2.5, name: Some("Here".into()), address: None };
        assert_eq!(details(&location(&place)).location, Some(place));
        let card = |name: &str| ShownCard { name: name.into(), vcard: "BEGIN:VCARD".into() };
        for cards in [vec![card("Ana")], vec![card("Ana"), card("Bob")]] {
            assert_eq!(details(&contacts(&cards)).contacts, cards);
        }
        let acts = [
            (reaction(key("A"), "👍", 1), Doing::React("👍".into())),
            (edit(key("A"), "new", 1), Doing::Edit("new".into())),
            (revoke(key("A")), Doing::Delete),
        ];
        for (message, what) in acts {
            assert_eq!(act(&message), Some(Act { id: "A".into(), what }));
        }
    }

    #[test]
    fn a_vote_opens_for_who_has_the_secret() {
        let options = ["yes".to_owned(), "no".to_owned()];
        let poll = details(&new_poll("Lunch?", &options, 1, [7; 32])).poll.unwrap();
        let sealed = vote(key("P"), &options[1..], &poll.secret, "1@lid", "2@lid", 1).unwrap();
        let Some(Act { what: Doing::Vote { payload, iv }, .. }) = act(&sealed) else { panic!("no vote") };
        let way = |creator: &str, voter: &str| (creator.to_owned(), voter.to_owned());
        let opened = open_vote(&poll, "P", (&payload, &iv), &[way("1@s.whatsapp.net", "2@s.whatsapp.net"), way("1@lid", "2@lid")]);
        assert_eq!(opened, Some(vec!["no".to_owned()]));
        assert_eq!(open_vote(&poll, "other", (&payload, &iv), &[way("1@lid", "2@lid")]), None);
    }
}
