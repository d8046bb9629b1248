//! The event log: what is told outside was first written here, in the transaction of the fact itself.

use crate::{Store, StoreError};
use sanasend_model::{EventId, EventKind, MessageId, SessionId, Timestamp, UserId};
use serde_json::Value;

/// An entry of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Place in the log; a client asks for what follows it.
    pub seq: i64,
    /// Id, the same in every delivery.
    pub id: EventId,
    /// Whose it is.
    pub user_id: UserId,
    /// The account, where it is about one.
    pub session_id: Option<SessionId>,
    /// What it tells.
    pub kind: EventKind,
    /// The message, where it is about one.
    pub message_id: Option<MessageId>,
    /// The snapshot told outside.
    pub data: Value,
    /// When it happened.
    pub at: Timestamp,
}

/// An entry to write.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Whose it is.
    pub user_id: UserId,
    /// The account, where it is about one.
    pub session_id: Option<SessionId>,
    /// What it tells.
    pub kind: EventKind,
    /// The message, where it is about one.
    pub message_id: Option<MessageId>,
    /// The snapshot told outside.
    pub data: Value,
    /// When it happened.
    pub at: Timestamp,
}

impl Store {
    /// A user's events behind a cursor (0 for the beginning), oldest first.
    pub async fn events_after(&self, user: UserId, cursor: i64, limit: u64) -> Result<Vec<Event>, StoreError> {
        let _ = (user, cursor, limit);
        Err(crate::not_yet())
    }
    /// Writes an event that has no fact of its own in the database.
    pub async fn record_event(&self, new: NewEvent) -> Result<Event, StoreError> {
        let _ = new;
        Err(crate::not_yet())
    }
}
