//! The table `events`.

use super::{Place, from_row};
use crate::StoreError;
use crate::events::Event;
use sanasend_model::{EventId, MessageId, SessionId, Timestamp, UserId};
use uuid::Uuid;

#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) seq: i64,
    pub(crate) id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) session_id: Option<Uuid>,
    pub(crate) kind: String,
    pub(crate) message_id: Option<Uuid>,
    pub(crate) data: String,
    pub(crate) at: i64,
}

from_row!("events": Model { seq, id, user_id, session_id, kind, message_id, data, at });

impl Model {
    pub(crate) fn read(self) -> Result<Event, StoreError> {
        let place = Place { table: "events", row: &self.seq };
        Ok(Event {
            seq: self.seq,
            id: EventId(self.id),
            user_id: UserId(self.user_id),
            session_id: self.session_id.map(SessionId),
            kind: place.name("kind", &self.kind)?,
            message_id: self.message_id.map(MessageId),
            data: serde_json::from_str(&self.data).map_err(|_| place.corrupt("data"))?,
            at: Timestamp(self.at),
        })
    }
}
