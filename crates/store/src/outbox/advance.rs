//! Moving one message forward: its row, its outbox row, timeline, usage and event, always together.
//!
//! Every change of a message's status goes through [`Tx::advance`], and `model`'s `advance` decides there whether the
//! news is a step forward.

use super::Change;
use crate::StoreError;
use crate::account_hours::AccountCounts;
use crate::dialect::{Rows, pieces, query, query_as, refused};
use crate::events::NewEvent;
use crate::messages::Message;
use crate::rows::message::Model;
use crate::usage::Usage;
use crate::writer::Tx;
use sanasend_model::{EventKind, Failure, MessageId, MessageStatus, SessionId, Step, Timestamp, UserId};
use std::collections::{BTreeSet, HashMap};

/// A step for the timeline: message, when, what, in which attempt, more for people.
pub(crate) type Entry = (MessageId, Timestamp, Step, i32, Option<String>);

/// Why a message failed, and the sentence for people.
pub(super) type Cause = (Failure, String);

/// What a request writes at its end by statements over many rows: one message at a time would cost three each.
#[derive(Default)]
pub(crate) struct Queued {
    steps: Vec<Entry>,
    usage: HashMap<(UserId, i32), Usage>,
    accounts: HashMap<SessionId, AccountCounts>,
    /// Accounts of which WhatsApp refused a message to somebody who never wrote to them.
    refusals: BTreeSet<SessionId>,
    events: Vec<NewEvent>,
}

static NOTE: Rows = Rows::new("INSERT INTO timeline (message_id, at, step, attempt, detail) VALUES ", "(?, ?, ?, ?, ?)", "");

impl Tx {
    /// Adds a step to a timeline, with the rest of the request.
    pub(crate) fn note(&mut self, entry: Entry) {
        self.queued.steps.push(entry);
    }

    /// Whether a step of an attempt is queued.
    pub(super) fn is_noted(&self, id: MessageId, what: Step, attempt: i32) -> bool {
        self.queued.steps.iter().any(|(message, _, step, number, _)| (*message, *step, *number) == (id, what, attempt))
    }

    /// Adds to the figures of a user's day, with the rest of the request.
    pub(crate) fn count(&mut self, user: UserId, at: Timestamp, usage: Usage) {
        self.queued.usage.entry((user, at.day())).or_default().add(usage);
    }

    /// Adds to the present hour of an account, with the rest of the request.
    pub(crate) fn count_account(&mut self, session: SessionId, counts: AccountCounts) {
        self.queued.accounts.entry(session).or_default().add(counts);
    }

    /// Writes an event with the rest of the request.
    pub(crate) fn tell(&mut self, kind: EventKind, message: &Message, at: Timestamp) {
        self.queued.events.push(NewEvent::of_message(kind, message, at));
    }

    /// The same for what is about no message.
    pub(crate) fn tell_other(&mut self, event: NewEvent) {
        self.queued.events.push(event);
    }

    /// Writes what was queued. Every request that queues ends with it.
    pub(crate) async fn finish(&mut self) -> Result<(), StoreError> {
        let Queued { steps, usage, accounts, refusals, events } = std::mem::take(&mut self.queued);
        for piece in pieces(&steps) {
            let mut insert = query(NOTE.sql(piece.len()));
            for (message, at, step, attempt, detail) in piece {
                insert = insert.bind(message.0).bind(at.0).bind(step.as_str()).bind(attempt).bind(detail);
            }
            insert.execute(&mut self.conn).await.map_err(refused)?;
        }
        let usage: Vec<_> = usage.into_iter().map(|((user, day), usage)| (user, day, usage)).collect();
        self.add_usage(&usage).await?;
        self.add_account_hours(accounts.into_iter().collect()).await?;
        self.record(events).await?;
        for account in refusals {
            self.note_refusal(account).await?;
        }
        Ok(())
    }

    /// Reads a message inside the transaction, with whether it was ever written to the socket.
    pub(super) async fn message(&mut self, id: MessageId) -> Result<Option<(Message, bool)>, StoreError> {
        let row = query_as::<_, Model>("SELECT * FROM messages WHERE id = ?").bind(id.0).fetch_optional(&mut self.conn);
        let Some(row) = row.await.map_err(refused)? else { return Ok(None) };
        let written = row.written;
        Ok(Some((row.read()?, written)))
    }

    /// Moves a message to `to` if that is a step forward; answers the step.
    pub(super) async fn advance(
        &mut self,
        mut message: Message,
        to: MessageStatus,
        at: Timestamp,
        cause: Option<Cause>,
    ) -> Result<Option<Change>, StoreError> {
        let change = self.forward(&mut message, to, at, cause);
        if change.is_some() {
            let written = message.sent_at.is_some();
            self.save(&message, written).await?;
        }
        if message.status.is_settled() {
            // Without a change it was sent again after a crash, and its outcome is known: nothing is left to do.
            self.leave_outbox(message.id).await?;
        }
        Ok(change)
    }

    /// Moves a message in memory if that is a step forward, and queues what is told of it. Its row is the caller's to write.
    /// Whoever acknowledges a message has seen it: one with `sent_at` was written, whether or not that was recorded.
    pub(super) fn forward(&mut self, message: &mut Message, to: MessageStatus, at: Timestamp, cause: Option<Cause>) -> Option<Change> {
        let from = message.status;
        let to = from.advance(to)?;
        let usage = difference(message, to);
        let at = at.max(latest(message));
        date(message, to, at);
        let detail = cause.as_ref().map(|(failure, text)| format!("{}: {text}", failure.as_str()));
        if matches!(cause, Some((Failure::ReachoutLimited, _))) {
            self.queued.refusals.insert(message.session_id);
        }
        (message.error_code, message.error_message) = cause.unzip();
        let (step, kind) = told_as(to);
        self.note((message.id, at, step, message.attempts, detail));
        self.count(message.user_id, at, usage);
        self.count_account(message.session_id, AccountCounts { sent: usage.sent, failed: usage.failed, ..AccountCounts::default() });
        self.tell(kind, message, at);
        Some(Change { message_id: message.id, wa_message_id: message.wa_message_id.clone(), from, to })
    }

    /// Writes what can change of a message. `written` is remembered for ever once it was true.
    pub(super) async fn save(&mut self, message: &Message, written: bool) -> Result<(), StoreError> {
        let sql = "UPDATE messages SET status = ?, error_code = ?, error_message = ?, expires_at = ?, sent_at = ?, delivered_at = ?, \
                   read_at = ?, written = written OR ? WHERE id = ?";
        let time = |at: Option<Timestamp>| at.map(|at| at.0);
        let update = query(sql).bind(message.status.as_str()).bind(message.error_code.map(Failure::as_str));
        let update = update.bind(&message.error_message).bind(time(message.expires_at)).bind(time(message.sent_at));
        let update = update.bind(time(message.delivered_at)).bind(time(message.read_at)).bind(written).bind(message.id.0);
        update.execute(&mut self.conn).await.map(drop).map_err(refused)
    }

    /// Removes the outbox row of a settled message; the next of its chat becomes the head.
    pub(crate) async fn leave_outbox(&mut self, id: MessageId) -> Result<(), StoreError> {
        let delete = query_as::<_, (uuid::Uuid, String, bool)>("DELETE FROM outbox WHERE message_id = ? RETURNING session_id, chat, head");
        let gone = delete.bind(id.0).fetch_optional(&mut self.conn).await.map_err(refused)?;
        match gone {
            Some((session, chat, true)) => self.raise_head(SessionId(session), &chat).await,
            _ => Ok(()),
        }
    }

    /// Makes the first row of a chat its head. If it waited for a connection it is simply due: connections wake heads only,
    /// and it may have missed one while it was none.
    pub(super) async fn raise_head(&mut self, session: SessionId, chat: &str) -> Result<(), StoreError> {
        let sql = "UPDATE outbox SET head = TRUE, due_at = COALESCE(due_at, ?) \
                   WHERE seq = (SELECT MIN(seq) FROM outbox WHERE session_id = ? AND chat = ?)";
        let update = query(sql).bind(self.clock.now().0).bind(session.0).bind(chat);
        update.execute(&mut self.conn).await.map(drop).map_err(refused)
    }
}

/// The latest moment that a message tells of. WhatsApp's times are whole seconds: without it a message could have
/// been sent before it was accepted.
fn latest(message: &Message) -> Timestamp {
    [message.sent_at, message.delivered_at, message.read_at].into_iter().flatten().fold(message.created_at, Timestamp::max)
}

/// Fills in the dates that a status proves: what was delivered was sent, what was read was delivered.
fn date(message: &mut Message, to: MessageStatus, at: Timestamp) {
    use MessageStatus::{Delivered, Played, Read, Sent};
    message.status = to;
    if matches!(to, Sent | Delivered | Read | Played) {
        message.sent_at = message.sent_at.or(Some(at));
    }
    if matches!(to, Delivered | Read | Played) {
        message.delivered_at = message.delivered_at.or(Some(at));
    }
    if matches!(to, Read | Played) {
        message.read_at = message.read_at.or(Some(at));
    }
}

/// What a step changes in the day's figures. A message counts as sent once, and as failed only while it is.
fn difference(message: &Message, to: MessageStatus) -> Usage {
    let mut usage = Usage::default();
    match to {
        MessageStatus::Failed => usage.failed = 1,
        MessageStatus::Canceled => {}
        _ if message.sent_at.is_none() => {
            usage.sent = 1;
            usage.media_sent = i64::from(is_media(message.content.kind()));
        }
        _ => {}
    }
    if message.status == MessageStatus::Failed {
        usage.failed -= 1;
    }
    usage
}

/// Whether messages of this type carry a file.
fn is_media(kind: &str) -> bool {
    matches!(kind, "image" | "video" | "audio" | "voice_note" | "document" | "sticker" | "video_note")
}

/// How a status is called in the timeline and in the event log.
const fn told_as(status: MessageStatus) -> (Step, EventKind) {
    match status {
        MessageStatus::Sent => (Step::Acknowledged, EventKind::MessageSent),
        MessageStatus::Delivered => (Step::Delivered, EventKind::MessageDelivered),
        MessageStatus::Read => (Step::Read, EventKind::MessageRead),
        MessageStatus::Played => (Step::Played, EventKind::MessagePlayed),
        MessageStatus::Failed => (Step::Failed, EventKind::MessageFailed),
        MessageStatus::Canceled => (Step::Canceled, EventKind::MessageCanceled),
        MessageStatus::Received => (Step::Received, EventKind::MessageReceived),
        MessageStatus::Scheduled | MessageStatus::Pending => (Step::Requeued, EventKind::MessageRetried),
    }
}
