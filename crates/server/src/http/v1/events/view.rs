//! An event as callers see it.

use sanasend_model::Timestamp;
use sanasend_store::Event;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Something that happened.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct EventView {
    /// Its place in the log; send it as `after` to go on behind it.
    #[schema(example = 17)]
    pub cursor: i64,
    /// Id, the same wherever the event is told.
    #[schema(value_type = String, format = "uuid")]
    pub id: String,
    /// What happened, like `message.delivered`.
    #[serde(rename = "type")]
    #[schema(example = "message.delivered")]
    pub kind: &'static str,
    /// The linked account, where it is about one.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub session: Option<String>,
    /// The message, where it is about one.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub message: Option<String>,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// A snapshot of what it is about.
    #[schema(value_type = Object)]
    pub data: Value,
}

impl From<&Event> for EventView {
    fn from(event: &Event) -> Self {
        Self {
            cursor: event.seq,
            id: event.id.to_string(),
            kind: event.kind.as_str(),
            session: event.session_id.map(|id| id.to_string()),
            message: event.message_id.map(|id| id.to_string()),
            at: event.at,
            data: event.data.clone(),
        }
    }
}
