//! A message as callers see it.

use super::view_rich::{ContactCardView, LinkPreviewView, LocationView, PollView, ReactionView, TargetView, text};
use sanasend_model::{Content, Direction, Failure, Jid, Media, MessageId, MessageStatus, SessionId, Timestamp, UserId};
use sanasend_store::{Marks, Message, NewMessage, Peer, Quoted, TimelineEntry};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A person or group: every name that WhatsApp has for it, as far as known.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct PersonView {
    /// Phone number in E.164; null when WhatsApp hides it, and for groups.
    #[schema(value_type = Option<String>, example = "+12025550123")]
    pub phone: Option<String>,
    /// Id by number, or of a group.
    #[schema(value_type = Option<String>, example = "12025550123@s.whatsapp.net")]
    pub jid: Option<Jid>,
    /// Id that hides the number.
    #[schema(value_type = Option<String>, example = "123456789012345@lid")]
    pub lid: Option<Jid>,
    /// The name that the person goes by, where it is known.
    pub name: Option<String>,
}

/// The message that a message answers.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct QuotedView {
    /// WhatsApp's id of it.
    pub wa_message_id: String,
    /// Who wrote it.
    #[schema(value_type = Option<String>)]
    pub participant: Option<Jid>,
    /// Its text, where known.
    pub text: Option<String>,
}

/// A step in the life of a message.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct StepView {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What: `held`, `accepted`, `claimed`, `written`, `acknowledged`, `delivered`, `read`, `played`, `retrying`, `failed`,
    /// `canceled`, `requeued`, `scheduled`, `rescheduled`, `released`, `received`.
    #[schema(example = "acknowledged")]
    pub step: &'static str,
    /// In which attempt; 0 before the first.
    pub attempt: i32,
    /// More, like the cause of a retry.
    pub detail: Option<String>,
}

/// The file of a message.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct MediaView {
    /// MIME type, found out by content for files that were sent from here.
    #[schema(example = "image/jpeg")]
    pub mime: String,
    /// Bytes.
    #[schema(example = 48_213)]
    pub size: u64,
    /// SHA-256 of the bytes, in hexadecimal.
    pub sha256: String,
    /// Name for saving it.
    #[schema(example = "invoice.pdf")]
    pub filename: Option<String>,
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// Length of what can be played.
    pub seconds: Option<u32>,
    /// Where the bytes are: `stored` (here), `remote` (at WhatsApp, fetched when asked for), `gone`, `failed` (what
    /// WhatsApp has is not what was sent).
    #[schema(example = "stored")]
    pub state: &'static str,
    /// Path that answers the bytes; with `?thumbnail=1` a small JPEG.
    #[schema(example = "/api/v1/messages/0190a000-0000-7000-8000-000000000001/media/")]
    pub url: String,
}

impl MediaView {
    fn of(media: &Media, message: MessageId) -> Self {
        Self {
            mime: media.mime.clone(),
            size: media.size,
            sha256: media.sha256_hex(),
            filename: media.filename.clone(),
            width: media.width,
            height: media.height,
            seconds: media.seconds,
            state: media.state.as_str(),
            url: format!("/api/v1/messages/{message}/media/"),
        }
    }
}

/// A message.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct MessageView {
    /// Id.
    #[schema(value_type = String, format = "uuid")]
    pub id: String,
    /// Its owner.
    #[schema(value_type = String, format = "uuid")]
    pub user: String,
    /// The linked account that it goes through.
    #[schema(value_type = String, format = "uuid")]
    pub session: String,
    /// `outbound` or `inbound`.
    #[schema(example = "outbound")]
    pub direction: &'static str,
    /// The conversation: a person's or a group's id.
    #[schema(value_type = String, example = "12025550123@s.whatsapp.net")]
    pub chat: Jid,
    /// To whom, for outbound messages.
    pub recipient: Option<PersonView>,
    /// From whom, for inbound messages.
    pub sender: Option<PersonView>,
    /// `text`, `image`, `video`, `audio`, `voice_note`, `document`, `sticker`, `video_note`, `location`, `contact`, `poll`,
    /// `reaction`, `edit`, `revoke` (deleted for everyone), `poll_vote`, or the kind of an incoming message that is not read
    /// yet.
    #[schema(example = "text")]
    pub message_type: String,
    /// The text of a text, with its last edit; of an edit the new text.
    #[schema(example = "Your order is ready.")]
    pub content: Option<String>,
    /// The file, of messages that carry one.
    pub media: Option<MediaView>,
    /// The text beside a file.
    pub caption: Option<String>,
    /// What is shown of the page that a text links to; only where there is such a preview.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link_preview: Option<LinkPreviewView>,
    /// The place; only of the type `location`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<LocationView>,
    /// The cards; only of the type `contact`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contacts: Option<Vec<ContactCardView>>,
    /// The poll, with the votes so far; only of the type `poll`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll: Option<PollView>,
    /// The emoji, empty when one was taken away; only of the type `reaction`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "👍")]
    pub emoji: Option<String>,
    /// The answers chosen, empty when a vote was taken back; only of the type `poll_vote`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["Tomorrow"]))]
    pub selected_options: Option<Vec<String>>,
    /// The message that this one is about; only of the types `reaction`, `edit`, `revoke` and `poll_vote`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetView>,
    /// Emojis on the message, one for each person; left out when there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<ReactionView>,
    /// When its text was changed last; left out when it never was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub edited_at: Option<Timestamp>,
    /// When it was deleted for everyone; left out when it never was. What it said stays here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub deleted_at: Option<Timestamp>,
    /// `scheduled`, `pending`, `sent`, `delivered`, `read`, `played`, `failed`, `canceled`; inbound: `received`.
    #[schema(example = "pending")]
    pub status: &'static str,
    /// Times it was taken up to be sent.
    pub attempts: i32,
    /// Why it failed: a stable code.
    #[schema(example = "NOT_ON_WHATSAPP")]
    pub error_code: Option<&'static str>,
    /// Why it failed, in a sentence.
    pub error_message: Option<String>,
    /// When it was accepted or came in.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it is to be sent, if not at once.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub scheduled_at: Option<Timestamp>,
    /// Its deadline: it fails when it was not sent by then.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// When WhatsApp's server acknowledged it.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub sent_at: Option<Timestamp>,
    /// When it reached a device of the recipient.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub delivered_at: Option<Timestamp>,
    /// When the recipient read it.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub read_at: Option<Timestamp>,
    /// WhatsApp's own id of it.
    #[schema(example = "3EB0A7A7A7A7A7A7A7A7A7")]
    pub wa_message_id: String,
    /// The message here that it answers.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub reply_to: Option<String>,
    /// What it quotes.
    pub quoted: Option<QuotedView>,
    /// The caller's own.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Value>,
    /// What happened to it, step by step; only where one message is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeline: Option<Vec<StepView>>,
}

impl PersonView {
    fn of(peer: Peer, name: Option<String>) -> Self {
        let Peer { phone, jid, lid } = peer;
        let phone = phone.or_else(|| jid.as_ref().and_then(Jid::phone));
        Self { phone: phone.map(|phone| phone.to_string()), jid, lid, name }
    }
}

/// What there is of every message from its first moment on.
struct Origin {
    id: MessageId,
    user: UserId,
    session: SessionId,
    chat: Jid,
    wa_message_id: String,
    created_at: Timestamp,
}

impl MessageView {
    /// The message with its timeline.
    pub(crate) fn with_timeline(message: Message, timeline: Vec<TimelineEntry>) -> Self {
        let step =
            |entry: TimelineEntry| StepView { at: entry.at, step: entry.step.as_str(), attempt: entry.attempt, detail: entry.detail };
        Self { timeline: Some(timeline.into_iter().map(step).collect()), ..Self::from(message) }
    }

    /// A message as it stands the moment it is accepted.
    pub(crate) fn accepted(new: &NewMessage) -> Self {
        let chat = new.recipient.jid();
        let peer = match (chat.is_lid(), chat.phone()) {
            (true, _) => Peer { lid: Some(chat.clone()), ..Peer::default() },
            (false, phone) => Peer { phone, jid: Some(chat.clone()), lid: None },
        };
        let (wa_message_id, created_at) = (new.wa_message_id.clone(), new.created_at);
        let origin = Origin { id: new.id, user: new.user_id, session: new.session_id, chat, wa_message_id, created_at };
        Self {
            recipient: Some(PersonView::of(peer, None)),
            status: if new.scheduled_at.is_some() { MessageStatus::Scheduled } else { MessageStatus::Pending }.as_str(),
            scheduled_at: new.scheduled_at,
            expires_at: Some(new.expires_at),
            reply_to: new.reply_to.map(|id| id.to_string()),
            quoted: new.quoted.clone().map(QuotedView::from),
            metadata: new.metadata.clone(),
            ..Self::saying(&new.content, None, origin)
        }
    }

    /// A message that says this, on its way to nobody yet.
    fn saying(content: &Content, marks: Option<&Marks>, origin: Origin) -> Self {
        let Origin { id, user, session, chat, wa_message_id, created_at } = origin;
        let view = Self {
            id: id.to_string(),
            user: user.to_string(),
            session: session.to_string(),
            direction: Direction::Outbound.as_str(),
            chat,
            recipient: None,
            sender: None,
            message_type: content.kind().to_owned(),
            content: text(content),
            media: content.media().map(|media| MediaView::of(media, id)),
            caption: content.media().and_then(|media| media.caption.clone()),
            link_preview: None,
            location: None,
            contacts: None,
            poll: None,
            emoji: None,
            selected_options: None,
            target: None,
            reactions: Vec::new(),
            edited_at: None,
            deleted_at: None,
            status: MessageStatus::Pending.as_str(),
            attempts: 0,
            error_code: None,
            error_message: None,
            created_at,
            scheduled_at: None,
            expires_at: None,
            sent_at: None,
            delivered_at: None,
            read_at: None,
            wa_message_id,
            reply_to: None,
            quoted: None,
            metadata: None,
            timeline: None,
        };
        view.with_beyond(content, marks)
    }
}

impl From<Quoted> for QuotedView {
    fn from(quoted: Quoted) -> Self {
        Self { wa_message_id: quoted.wa_message_id, participant: quoted.participant, text: quoted.text }
    }
}

impl From<Message> for MessageView {
    fn from(message: Message) -> Self {
        let person = PersonView::of(message.peer, message.peer_name);
        let (recipient, sender) = match message.direction {
            Direction::Outbound => (Some(person), None),
            Direction::Inbound => (None, Some(person)),
        };
        let Message { id, user_id: user, session_id: session, chat, wa_message_id, created_at, .. } = message;
        Self {
            direction: message.direction.as_str(),
            recipient,
            sender,
            status: message.status.as_str(),
            attempts: message.attempts,
            error_code: message.error_code.map(Failure::as_str),
            error_message: message.error_message,
            scheduled_at: message.scheduled_at,
            expires_at: message.expires_at,
            sent_at: message.sent_at,
            delivered_at: message.delivered_at,
            read_at: message.read_at,
            reply_to: message.reply_to.map(|id| id.to_string()),
            quoted: message.quoted.map(QuotedView::from),
            metadata: message.metadata,
            ..Self::saying(&message.content, message.marks.as_deref(), Origin { id, user, session, chat, wa_message_id, created_at })
        }
    }
}
