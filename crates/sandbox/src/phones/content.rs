//! What is inside a message: reading it for display, and making texts.
//!
//! Apart because it is pure: protobuf in, words out, and back.

use crate::phones::attachment;
use crate::phones::rich::{self, Details};
use serde::{Deserialize, Serialize};
use waproto::buffa::MessageField;
use waproto::whatsapp as wa;

/// The part of a message that a phone shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Content {
    /// What kind of thing it is.
    pub kind: MessageKind,
    /// The text, or a medium's caption; a reaction's emoji.
    pub text: String,
    /// The message it answers (or, for a reaction, the one it is about).
    pub quoted_id: Option<String>,
    /// The text of that message, as carried along.
    pub quoted_text: Option<String>,
    /// What it says beside its text.
    pub details: Details,
}

/// Kinds of messages that a phone tells apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// A text, with or without quote.
    #[default]
    Text,
    /// A picture.
    Image,
    /// A film.
    Video,
    /// A round film, recorded in the chat.
    VideoNote,
    /// A sound.
    Audio,
    /// A sound recorded in the chat.
    VoiceNote,
    /// A file.
    Document,
    /// A sticker.
    Sticker,
    /// A place.
    Location,
    /// Contact cards.
    Contact,
    /// A poll.
    Poll,
    /// An emoji on another message.
    Reaction,
    /// Something this phone has no eyes for.
    Other,
}

/// What a phone shows of `message`; `None` for what only devices care about (key
/// shares, receipts in message form), and for what shows at another message only
/// (edits, deletions, votes).
pub(super) fn read(message: &wa::Message) -> Option<Content> {
    let message = inner(message);
    let content = read_inner(message)?;
    Some(Content { details: rich::details(message), ..content })
}

fn read_inner(message: &wa::Message) -> Option<Content> {
    if message.protocol_message.is_set()
        || message.poll_update_message.is_set()
        || message.sender_key_distribution_message.is_set() && message.conversation.is_none()
    {
        return None;
    }
    if let Some(text) = &message.conversation {
        return Some(text_content(text, None));
    }
    if let Some(extended) = message.extended_text_message.as_option() {
        let text = extended.text.as_deref().unwrap_or_default();
        return Some(text_content(text, extended.context_info.as_option()));
    }
    if let Some(reaction) = message.reaction_message.as_option() {
        return Some(Content {
            kind: MessageKind::Reaction,
            text: reaction.text.clone().unwrap_or_default(),
            quoted_id: reaction.key.as_option().and_then(|key| key.id.clone()),
            ..Content::default()
        });
    }
    Some(medium(message))
}

/// The text of `message` when it is one.
fn text_of(message: &wa::Message) -> Option<String> {
    read(message).map(|content| content.text)
}

fn medium(message: &wa::Message) -> Content {
    let (kind, caption) = if let Some(kind) = attachment::kind(message) {
        (kind, caption(message))
    } else if let Some(location) = message.location_message.as_option() {
        (MessageKind::Location, location.name.clone())
    } else if let Some(contact) = message.contact_message.as_option() {
        (MessageKind::Contact, contact.display_name.clone())
    } else if let Some(contacts) = message.contacts_array_message.as_option() {
        (MessageKind::Contact, contacts.display_name.clone())
    } else if let Some(poll) = rich::creation(message) {
        (MessageKind::Poll, poll.name.clone())
    } else {
        (MessageKind::Other, None)
    };
    let quote = context(message);
    Content {
        kind,
        text: caption.unwrap_or_default(),
        quoted_id: quote.and_then(|context| context.stanza_id.clone()),
        quoted_text: quote.and_then(|context| context.quoted_message.as_option()).and_then(text_of),
        details: Details::default(),
    }
}

fn caption(message: &wa::Message) -> Option<String> {
    let image = message.image_message.as_option().and_then(|image| image.caption.clone());
    let video = message.video_message.as_option().or(message.ptv_message.as_option()).and_then(|video| video.caption.clone());
    let document = message.document_message.as_option().and_then(|document| document.caption.clone());
    image.or(video).or(document)
}

/// What a medium says of the message it answers.
fn context(message: &wa::Message) -> Option<&wa::ContextInfo> {
    let image = message.image_message.as_option().and_then(|image| image.context_info.as_option());
    let video = message.video_message.as_option().and_then(|video| video.context_info.as_option());
    let audio = message.audio_message.as_option().and_then(|audio| audio.context_info.as_option());
    let document = message.document_message.as_option().and_then(|document| document.context_info.as_option());
    let sticker = message.sticker_message.as_option().and_then(|sticker| sticker.context_info.as_option());
    let location = message.location_message.as_option().and_then(|location| location.context_info.as_option());
    let contact = message.contact_message.as_option().and_then(|contact| contact.context_info.as_option());
    let poll = rich::creation(message).and_then(|poll| poll.context_info.as_option());
    image.or(video).or(audio).or(document).or(sticker).or(location).or(contact).or(poll)
}

fn text_content(text: &str, context: Option<&wa::ContextInfo>) -> Content {
    Content {
        kind: MessageKind::Text,
        text: text.to_owned(),
        quoted_id: context.and_then(|c| c.stanza_id.clone()),
        quoted_text: context.and_then(|c| c.quoted_message.as_option()).and_then(text_of),
        details: Details::default(),
    }
}

/// Looks through the wrappers that only change how a message is shown.
pub(super) fn inner(message: &wa::Message) -> &wa::Message {
    let wrappers =
        [&message.ephemeral_message, &message.view_once_message, &message.view_once_message_v2, &message.document_with_caption_message];
    for wrapper in wrappers {
        if let Some(wrapped) = wrapper.as_option().and_then(|w| w.message.as_option()) {
            return inner(wrapped);
        }
    }
    message
}

/// The message being answered.
pub(super) struct Quote<'a> {
    /// Its id.
    pub id: &'a str,
    /// Who wrote it, as a jid without device.
    pub author: &'a str,
    /// Its text.
    pub text: &'a str,
}

impl Quote<'_> {
    /// The part of a message that says what it answers.
    pub fn context(&self) -> wa::ContextInfo {
        wa::ContextInfo {
            stanza_id: Some(self.id.to_owned()),
            participant: Some(self.author.to_owned()),
            quoted_message: MessageField::some(wa::Message { conversation: Some(self.text.to_owned()), ..Default::default() }),
            ..Default::default()
        }
    }
}

/// A text message as phones make it. `secret` is what later polls, edits and
/// reporting tokens are derived from.
pub(super) fn text(text: &str, quote: Option<&Quote<'_>>, secret: [u8; 32]) -> wa::Message {
    let mut message = wa::Message {
        message_context_info: MessageField::some(wa::MessageContextInfo { message_secret: Some(secret.to_vec()), ..Default::default() }),
        ..Default::default()
    };
    let Some(quote) = quote else {
        message.conversation = Some(text.to_owned());
        return message;
    };
    message.extended_text_message = MessageField::some(wa::message::ExtendedTextMessage {
        text: Some(text.to_owned()),
        context_info: MessageField::some(quote.context()),
        ..Default::default()
    });
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_reads_back() {
        let content = read(&text("hi", None, [0; 32])).unwrap();
        assert_eq!((content.kind, content.text.as_str()), (MessageKind::Text, "hi"));
        assert_eq!(content.quoted_id, None);
    }

    #[test]
    fn a_quote_reads_back() {
        let quote = Quote { id: "Q1", author: "1@s.whatsapp.net", text: "what?" };
        let content = read(&text("this", Some(&quote), [0; 32])).unwrap();
        assert_eq!(content.text, "this");
        assert_eq!(content.quoted_id.as_deref(), Some("Q1"));
        assert_eq!(content.quoted_text.as_deref(), Some("what?"));
    }

    #[test]
    fn wrappers_are_looked_through_and_housekeeping_is_not_shown() {
        let wrapped = wa::Message {
            ephemeral_message: MessageField::some(wa::message::FutureProofMessage {
                message: MessageField::some(text("gone soon", None, [0; 32])),
            }),
            ..Default::default()
        };
        assert_eq!(read(&wrapped).unwrap().text, "gone soon");
        let housekeeping =
            wa::Message { protocol_message: MessageField::some(wa::message::ProtocolMessage::default()), ..Default::default() };
        assert_eq!(read(&housekeeping), None);
    }
}
