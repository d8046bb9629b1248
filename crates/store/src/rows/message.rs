//! The table `messages`, and how parts of a message are written into its columns.

use super::{Place, from_row};
use crate::StoreError;
use crate::messages::{Message, Peer, Quoted};
use sanasend_model::{Content, Jid, Media, MessageId, Rich, SessionId, Timestamp, UserId};
use sea_orm::entity::prelude::*;
use serde_json::{Value, json};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "messages")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub seq: i64,
    pub id: Uuid,
    pub user_id: Uuid,
    pub session_id: Uuid,
    pub direction: String,
    pub chat: String,
    pub sender: String,
    pub peer_phone: Option<String>,
    pub peer_jid: Option<String>,
    pub peer_lid: Option<String>,
    pub peer_name: Option<String>,
    pub message_type: String,
    pub body: Option<String>,
    pub status: String,
    pub attempts: i32,
    pub written: bool,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub created_at: i64,
    pub scheduled_at: Option<i64>,
    pub expires_at: Option<i64>,
    pub sent_at: Option<i64>,
    pub delivered_at: Option<i64>,
    pub read_at: Option<i64>,
    pub wa_message_id: String,
    pub reply_to: Option<Uuid>,
    pub quoted: Option<String>,
    pub metadata: Option<String>,
    pub media: Option<String>,
    pub media_state: Option<String>,
    pub details: Option<String>,
    pub marks: Option<String>,
}

from_row!("messages": Model {
    seq,
    id,
    user_id,
    session_id,
    direction,
    chat,
    sender,
    peer_phone,
    peer_jid,
    peer_lid,
    peer_name,
    message_type,
    body,
    status,
    attempts,
    written,
    error_code,
    error_message,
    created_at,
    scheduled_at,
    expires_at,
    sent_at,
    delivered_at,
    read_at,
    wa_message_id,
    reply_to,
    quoted,
    metadata,
    media,
    media_state,
    details,
    marks
});

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn read(self) -> Result<Message, StoreError> {
        let id = MessageId(self.id);
        let place = Place { table: "messages", row: &id };
        let content = match (self.message_type.as_str(), self.body, self.media) {
            ("text", Some(body), _) => {
                let preview = self.details.as_deref().map(serde_json::from_str).transpose().map_err(|_| place.corrupt("details"))?;
                Content::Text { body, preview: preview.map(Box::new) }
            }
            ("text", None, _) => return Err(place.corrupt("body")),
            (_, caption, Some(media)) => {
                let mut media: Media = serde_json::from_str(&media).map_err(|_| place.corrupt("media"))?;
                media.caption = caption;
                media.state = place.name("media_state", self.media_state.as_deref().unwrap_or_default())?;
                Content::Media(Box::new(media))
            }
            (kind, ..) => match self.details.filter(|_| Rich::KINDS.contains(&kind)) {
                Some(details) => Content::Rich(Box::new(serde_json::from_str(&details).map_err(|_| place.corrupt("details"))?)),
                None => Content::Other { kind: self.message_type },
            },
        };
        let marks = self.marks.as_deref().map(serde_json::from_str).transpose().map_err(|_| place.corrupt("marks"))?;
        Ok(Message {
            id,
            user_id: UserId(self.user_id),
            session_id: SessionId(self.session_id),
            direction: place.name("direction", &self.direction)?,
            chat: Jid::parse(&self.chat).ok_or_else(|| place.corrupt("chat"))?,
            peer: Peer {
                phone: place.phone("peer_phone", self.peer_phone.as_deref())?,
                jid: place.jid("peer_jid", self.peer_jid.as_deref())?,
                lid: place.jid("peer_lid", self.peer_lid.as_deref())?,
            },
            peer_name: self.peer_name,
            content,
            status: place.name("status", &self.status)?,
            attempts: self.attempts,
            error_code: place.optional("error_code", self.error_code.as_deref(), |text| text.parse().ok())?,
            error_message: self.error_message,
            created_at: Timestamp(self.created_at),
            scheduled_at: self.scheduled_at.map(Timestamp),
            expires_at: self.expires_at.map(Timestamp),
            sent_at: self.sent_at.map(Timestamp),
            delivered_at: self.delivered_at.map(Timestamp),
            read_at: self.read_at.map(Timestamp),
            wa_message_id: self.wa_message_id,
            reply_to: self.reply_to.map(MessageId),
            quoted: self.quoted.as_deref().map(|text| read_quoted(text).ok_or_else(|| place.corrupt("quoted"))).transpose()?,
            metadata: place.json("metadata", self.metadata.as_deref())?,
            marks: marks.map(Box::new),
        })
    }
}

fn read_quoted(text: &str) -> Option<Quoted> {
    let value: Value = serde_json::from_str(text).ok()?;
    let field = |name: &str| value.get(name).and_then(Value::as_str);
    let participant = match field("participant") {
        Some(jid) => Some(Jid::parse(jid)?),
        None => None,
    };
    Some(Quoted { wa_message_id: field("wa_message_id")?.to_owned(), participant, text: field("text").map(str::to_owned) })
}

/// The column `media`: what does not change of a file. The caption is the body, the state has a column of its own.
pub(crate) fn write_media(content: &Content) -> Option<String> {
    content.media().and_then(|media| serde_json::to_string(media).ok())
}

/// The column `details`: what a text or a file has no place for. Written beside the row, since few messages have any.
pub(crate) fn write_details(content: &Content) -> Option<String> {
    match content {
        Content::Text { preview, .. } => preview.as_ref().and_then(|preview| serde_json::to_string(preview).ok()),
        Content::Rich(rich) => serde_json::to_string(rich).ok(),
        Content::Media(_) | Content::Other { .. } => None,
    }
}

/// The column `quoted`.
pub(crate) fn write_quoted(quoted: Option<&Quoted>) -> Option<String> {
    quoted.map(|quoted| json!({"wa_message_id": quoted.wa_message_id, "participant": quoted.participant, "text": quoted.text}).to_string())
}
