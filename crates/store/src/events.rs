//! The event log: what is told outside was first written here, in the transaction of the fact itself.

use crate::dialect::{Pool, Rows, query_as, query_scalar, refused};
use crate::messages::Message;
use crate::rows::event::Model;
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::{Clock, Direction, EventId, EventKind, Media, MessageId, Poll, Rich, SessionId, Timestamp, UserId};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

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

/// An entry that is ready to be written: with its id, and as text.
pub(crate) struct Draft {
    id: EventId,
    new: NewEvent,
    text: String,
}

impl Draft {
    pub(crate) fn of(new: NewEvent, clock: &dyn Clock) -> Self {
        Self { id: EventId::new(clock), text: new.data.to_string(), new }
    }
}

impl NewEvent {
    /// What is told about a message. The content is told only of messages that came in: who sent one knows it.
    pub(crate) fn of_message(kind: EventKind, message: &Message, at: Timestamp) -> Self {
        let peer = json!({"phone": message.peer.phone, "jid": message.peer.jid, "lid": message.peer.lid});
        let mut told = json!({
            "id": message.id,
            "session": message.session_id,
            "direction": message.direction,
            "chat": message.chat,
            "message_type": message.content.kind(),
            "status": message.status,
            "wa_message_id": message.wa_message_id,
            "metadata": message.metadata,
            "error_code": message.error_code,
            "error_message": message.error_message,
            "at": at,
        });
        if let Some(fields) = told.as_object_mut() {
            if let Some(due) = message.scheduled_at {
                fields.insert("scheduled_at".into(), json!(due));
            }
            let role = if message.direction == Direction::Outbound { "recipient" } else { "sender" };
            fields.insert(role.into(), peer);
            if kind == EventKind::MessageReceived {
                fields.insert("sender_name".into(), json!(message.peer_name));
                fields.insert("content".into(), json!(message.content.text_body()));
                if let Some(rich) = message.content.rich() {
                    fields.extend(told_rich(rich));
                }
                if let Some(media) = message.content.media() {
                    fields.insert("caption".into(), json!(media.caption));
                    fields.insert("media".into(), told_of(media, message.id));
                }
            }
        }
        Self {
            user_id: message.user_id,
            session_id: Some(message.session_id),
            kind,
            message_id: Some(message.id),
            data: json!({ "message": told }),
            at,
        }
    }
}

/// A place, cards, a poll or an act as they are told outside; the same words as in the API's messages.
fn told_rich(rich: &Rich) -> Map<String, Value> {
    let mut told = Map::new();
    let mut tell = |name: &str, value: Value| drop(told.insert(name.to_owned(), value));
    match rich {
        Rich::Location(place) => tell("location", json!(place)),
        Rich::Contact { contacts } => tell("contacts", json!(contacts)),
        Rich::Poll(Poll { question, options, selectable_count, .. }) => {
            tell("poll", json!({"question": question, "options": options, "selectable_count": selectable_count}));
        }
        Rich::Reaction { emoji, .. } => tell("emoji", json!(emoji)),
        Rich::Edit { text, .. } => tell("content", json!(text)),
        Rich::PollVote { options, .. } => tell("selected_options", json!(options)),
        Rich::Revoke { .. } => {}
    }
    if let Some(target) = rich.target() {
        tell("target", json!({"id": target.message_id, "wa_message_id": target.wa_message_id}));
    }
    told
}

/// A file as it is told outside; the same words as in the API's messages.
fn told_of(media: &Media, message: MessageId) -> Value {
    json!({
        "mime": media.mime,
        "size": media.size,
        "sha256": media.sha256_hex(),
        "filename": media.filename,
        "width": media.width,
        "height": media.height,
        "seconds": media.seconds,
        "state": media.state.as_str(),
        "url": format!("/api/v1/messages/{message}/media/"),
    })
}

static INSERT: Rows = Rows::insert(
    "INSERT INTO events (id, user_id, session_id, kind, message_id, data, at) VALUES ",
    "(?, ?, ?, ?, ?, ?, ?)",
    " RETURNING seq, id",
);

impl Tx {
    /// Writes events, and the deliveries to webhook endpoints that want them; answers the cursors of the events in the same
    /// order. They are told after the commit.
    pub(crate) async fn record(&mut self, news: Vec<NewEvent>) -> Result<Vec<i64>, StoreError> {
        let drafts = news.into_iter().map(|new| Draft::of(new, &*self.clock)).collect();
        self.record_drafts(drafts).await
    }

    /// The same, with what was made ready before.
    pub(crate) async fn record_drafts(&mut self, events: Vec<Draft>) -> Result<Vec<i64>, StoreError> {
        let mut seqs = HashMap::with_capacity(events.len());
        for piece in self.conn.pieces(&events) {
            let mut insert = query_as::<_, (i64, Uuid)>(INSERT.sql(piece.len()));
            for Draft { id, new, text } in piece {
                insert = insert.bind(id.0).bind(new.user_id.0).bind(new.session_id.map(|id| id.0)).bind(new.kind.as_str());
                insert = insert.bind(new.message_id.map(|id| id.0)).bind(text).bind(new.at.0);
            }
            let rows = insert.fetch_all(&mut self.conn).await.map_err(refused)?;
            seqs.extend(rows.into_iter().map(|(seq, id)| (id, seq)));
        }
        let mut cursors = Vec::with_capacity(events.len());
        let first = self.events.len();
        for Draft { id, new, .. } in events {
            let seq = seqs.get(&id.0).copied().ok_or_else(|| StoreError::Unavailable("an event was not written".into()))?;
            let NewEvent { user_id, session_id, kind, message_id, data, at } = new;
            self.events.push(Arc::new(Event { seq, id, user_id, session_id, kind, message_id, data, at }));
            cursors.push(seq);
        }
        crate::webhooks::fan_out(self, first).await?;
        Ok(cursors)
    }
}

impl Store {
    /// A user's events behind a cursor (0 for the beginning), oldest first.
    pub async fn events_after(&self, user: UserId, cursor: i64, limit: u64) -> Result<Vec<Event>, StoreError> {
        let sql = "SELECT seq, id, user_id, session_id, kind, message_id, data, at FROM events \
                   WHERE user_id = ? AND seq > ? ORDER BY seq LIMIT ?";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = query_as::<_, Model>(sql).bind(user.0).bind(cursor).bind(limit).fetch_all(&self.inner.readers);
        rows.await.map_err(refused)?.into_iter().map(Model::read).collect()
    }

    /// All events behind a cursor, oldest first, of all users. One that can't be read is left out and logged.
    pub(crate) async fn events_of_all_after(readers: &Pool, cursor: i64, limit: i64) -> Result<(i64, Vec<Event>), StoreError> {
        let sql = "SELECT seq, id, user_id, session_id, kind, message_id, data, at FROM events WHERE seq > ? ORDER BY seq LIMIT ?";
        let rows = query_as::<_, Model>(sql).bind(cursor).bind(limit).fetch_all(readers).await.map_err(refused)?;
        let last = rows.last().map_or(cursor, |row| row.seq);
        let whole = |row: Model| row.read().inspect_err(|error| tracing::error!(%error, "an event can't be read")).ok();
        Ok((last, rows.into_iter().filter_map(whole).collect()))
    }

    /// Writes an event that has no fact of its own in the database.
    pub async fn record_event(&self, new: NewEvent) -> Result<Event, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                tx.record(vec![new]).await?;
                let event = tx.events.last().ok_or_else(|| StoreError::Unavailable("the event was not written".into()))?;
                Ok(Event::clone(event))
            })
        })
        .await
    }

    /// The cursor of the last event in the log.
    pub(crate) async fn last_event(&self) -> Result<i64, StoreError> {
        let last = query_scalar("SELECT COALESCE(MAX(seq), 0) FROM events").fetch_one(&self.inner.readers);
        last.await.map_err(refused)
    }
}
