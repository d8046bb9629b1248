//! The messages that a batch of news is about: read together, moved on in memory, written back together.
//!
//! One message at a time would cost a handful of statements for each piece of news; this way a batch costs about ten,
//! whatever its size and however many accounts it is about. Nobody else writes meanwhile, so what was read holds.

use super::claim::phase;
use super::{Change, News, advance::Cause};
use crate::StoreError;
use crate::dialect::{Rows, pieces, query, query_as, query_scalar, refused};
use crate::marks::mark;
use crate::messages::{Message, Peer};
use crate::receipts::Members;
use crate::rows::from_row;
use crate::rows::message::Model;
use crate::signal::{SignalKind, delete_all};
use crate::writer::Tx;
use sanasend_model::{Failure, MessageId, MessageStatus, SessionId, Step, Timestamp};
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// An outbox row.
struct Row {
    message_id: Uuid,
    chat: String,
    phase: i16,
    head: bool,
}

from_row!("outbox": Row { message_id, chat, phase, head });

/// A message, and what of it is to be written back.
struct Held {
    message: Message,
    /// Its outbox row, while it has one.
    row: Option<Row>,
    /// Its status has changed, and what goes with it.
    changed: bool,
    /// It was written to the socket.
    written: bool,
    /// What of its outbox row has changed.
    moved: Moved,
}

/// What has changed of an outbox row.
#[derive(Clone, Copy)]
enum Moved {
    Nothing,
    /// It was written.
    Written,
    /// It waits again until this time; `None` for a connection.
    Waits(Option<Timestamp>),
}

/// The messages of a batch.
#[derive(Default)]
pub(super) struct WorkingSet {
    held: HashMap<MessageId, Held>,
    by_wa_id: HashMap<(SessionId, String), Vec<MessageId>>,
    /// Messages that leave the outbox.
    left: Vec<Uuid>,
    /// Chats that lost their head.
    headless: BTreeSet<(SessionId, String)>,
    /// Messages about other messages that were acknowledged just now: they show there from now on.
    acted: Vec<(MessageId, Timestamp)>,
    /// WhatsApp ids of messages that were acknowledged once more: whoever wished for one has it from WhatsApp now.
    again: HashMap<SessionId, Vec<Vec<u8>>>,
    /// What members of groups told.
    members: Members,
}

static BY_ID: Rows = Rows::new("SELECT * FROM messages WHERE id IN (", "?", ")");
// A join and not `IN (VALUES ..)`: for that SQLite reads the whole table. (An id of ours is unique in an account; several rows
// because the database can't promise it.)
static BY_WA_ID: Rows = Rows::new(
    "SELECT messages.* FROM (VALUES ",
    "(?, ?)",
    ") AS wanted JOIN messages ON session_id = wanted.column1 AND wa_message_id = wanted.column2 AND direction = 'outbound'",
);
static OUTBOX: Rows = Rows::new("SELECT message_id, chat, phase, head FROM outbox WHERE message_id IN (", "?", ")");

impl WorkingSet {
    /// Reads the messages that news are about. One that can't be read is left out: it is given up when it is claimed.
    pub(super) async fn read(tx: &mut Tx, news: &[(SessionId, &News)]) -> Result<Self, StoreError> {
        let (mut ids, mut wa_ids) = (BTreeSet::new(), BTreeSet::new());
        for (session, news) in news {
            let session = *session;
            match news {
                News::Written { message_id, .. } | News::Retry { message_id, .. } | News::Failed { message_id, .. } => {
                    ids.insert(message_id.0);
                }
                News::Acked { wa_message_id, .. } => drop(wa_ids.insert((session, wa_message_id.as_str()))),
                News::Receipt { wa_message_ids, .. } => wa_ids.extend(wa_message_ids.iter().map(|id| (session, id.as_str()))),
                News::Resolved { .. } => {}
            }
        }
        let mut set = Self::default();
        let wa_ids: Vec<_> = wa_ids.into_iter().collect();
        for piece in pieces(&wa_ids) {
            let mut select = query_as::<_, Model>(BY_WA_ID.sql(piece.len()));
            for (session, id) in piece {
                select = select.bind(session.0).bind(*id);
            }
            set.hold(select.fetch_all(&mut tx.conn).await.map_err(refused)?);
        }
        for held in set.held.values() {
            let key = (held.message.session_id, held.message.wa_message_id.clone());
            set.by_wa_id.entry(key).or_default().push(held.message.id);
        }
        let ids: Vec<Uuid> = ids.into_iter().filter(|id| !set.held.contains_key(&MessageId(*id))).collect();
        for piece in pieces(&ids) {
            let mut select = query_as::<_, Model>(BY_ID.sql(piece.len()));
            for id in piece {
                select = select.bind(*id);
            }
            set.hold(select.fetch_all(&mut tx.conn).await.map_err(refused)?);
        }
        set.read_outbox(tx).await?;
        Ok(set)
    }

    fn hold(&mut self, rows: Vec<Model>) {
        for row in rows {
            match row.read() {
                Ok(message) => {
                    let held = Held { message, row: None, changed: false, written: false, moved: Moved::Nothing };
                    self.held.insert(held.message.id, held);
                }
                Err(error) => tracing::error!(%error, "news about a message that can't be read are lost"),
            }
        }
    }

    async fn read_outbox(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        let ids: Vec<Uuid> = self.held.keys().map(|id| id.0).collect();
        for piece in pieces(&ids) {
            let mut select = query_as::<_, Row>(OUTBOX.sql(piece.len()));
            for id in piece {
                select = select.bind(*id);
            }
            for row in select.fetch_all(&mut tx.conn).await.map_err(refused)? {
                if let Some(held) = self.held.get_mut(&MessageId(row.message_id)) {
                    held.row = Some(row);
                }
            }
        }
        Ok(())
    }

    /// A message of this account; another account's driver has no say about it.
    fn own(&mut self, session: SessionId, id: MessageId) -> Option<&mut Held> {
        self.held.get_mut(&id).filter(|held| held.message.session_id == session)
    }

    /// Takes one piece of news in; answers the steps that messages made.
    pub(super) async fn take(&mut self, tx: &mut Tx, session: SessionId, news: &News) -> Result<Vec<Change>, StoreError> {
        match news {
            News::Written { message_id, at } => self.written(tx, session, *message_id, *at).await.map(|()| Vec::new()),
            News::Acked { wa_message_id, at } => {
                let changes = self.acked(tx, session, wa_message_id, MessageStatus::Sent, *at);
                if changes.is_empty() && self.by_wa_id.contains_key(&(session, wa_message_id.clone())) {
                    self.again.entry(session).or_default().push(wa_message_id.clone().into_bytes());
                }
                Ok(changes)
            }
            News::Receipt { wa_message_ids, by, status, at, .. } => {
                let told = matches!(status, MessageStatus::Delivered | MessageStatus::Read | MessageStatus::Played);
                let mut changes = Vec::new();
                for id in wa_message_ids.iter().filter(|_| told) {
                    changes.extend(self.acked(tx, session, id, *status, *at));
                    if let Some(by) = by {
                        self.of_member(session, id, by, *status, *at);
                    }
                }
                Ok(changes)
            }
            News::Retry { message_id, at, due_at, reason } => {
                self.retry(tx, session, *message_id, (*at, *due_at), reason);
                Ok(Vec::new())
            }
            News::Failed { message_id, at, failure, text } => {
                let cause = Some((*failure, text.clone()));
                let known = self.own(session, *message_id).is_some();
                Ok(known.then(|| self.advance(tx, *message_id, MessageStatus::Failed, *at, cause)).flatten().into_iter().collect())
            }
            // Moves whole chats: done before the messages are read.
            News::Resolved { .. } => Ok(Vec::new()),
        }
    }

    async fn written(&mut self, tx: &mut Tx, session: SessionId, id: MessageId, at: Timestamp) -> Result<(), StoreError> {
        let Some(held) = self.own(session, id) else { return Ok(()) };
        let attempt = held.message.attempts;
        match &mut held.row {
            Some(row) if row.phase == phase::CLAIMED => {
                row.phase = phase::WRITTEN;
                held.moved = Moved::Written;
            }
            Some(_) => return Ok(()),
            // The acknowledgement overtook the news that the message was written.
            None if tx.is_noted(id, Step::Written, attempt) => return Ok(()),
            None => {
                let sql = "SELECT COUNT(*) FROM timeline WHERE message_id = ? AND step = ? AND attempt = ?";
                let noted = query_scalar::<_, i64>(sql).bind(id.0).bind(Step::Written.as_str()).bind(attempt);
                if noted.fetch_one(&mut tx.conn).await.map_err(refused)? > 0 {
                    return Ok(());
                }
            }
        }
        held.written = true;
        tx.note((id, at, Step::Written, attempt, None));
        Ok(())
    }

    fn acked(&mut self, tx: &mut Tx, session: SessionId, wa_id: &str, to: MessageStatus, at: Timestamp) -> Vec<Change> {
        let ids = self.by_wa_id.get(&(session, wa_id.to_owned())).cloned().unwrap_or_default();
        ids.into_iter().filter_map(|id| self.advance(tx, id, to, at, None)).collect()
    }

    /// A member of a group told of a message: the first one to do so has moved its status, and each is remembered.
    fn of_member(&mut self, session: SessionId, wa_id: &str, by: &Peer, status: MessageStatus, at: Timestamp) {
        for id in self.by_wa_id.get(&(session, wa_id.to_owned())).into_iter().flatten() {
            if let Some(held) = self.held.get(id).filter(|held| held.message.has_receipts()) {
                let sent = held.message.sent_at.unwrap_or(at);
                self.members.add(*id, by, status, at.max(sent));
            }
        }
    }

    fn retry(&mut self, tx: &mut Tx, session: SessionId, id: MessageId, (at, due_at): (Timestamp, Option<Timestamp>), reason: &str) {
        let Some(held) = self.own(session, id) else { return };
        let Some(row) = held.row.as_mut().filter(|row| row.phase != phase::WAITING) else { return };
        row.phase = phase::WAITING;
        held.moved = Moved::Waits(due_at);
        tx.note((id, at, Step::Retrying, held.message.attempts, Some(reason.to_owned())));
    }

    fn advance(&mut self, tx: &mut Tx, id: MessageId, to: MessageStatus, at: Timestamp, cause: Option<Cause>) -> Option<Change> {
        let held = self.held.get_mut(&id)?;
        let was_sent = held.message.sent_at.is_some();
        let change = tx.forward(&mut held.message, to, at, cause);
        held.changed |= change.is_some();
        if !was_sent && held.message.sent_at.is_some() && held.message.content.rich().is_some_and(|rich| rich.target().is_some()) {
            self.acted.push((id, at));
        }
        if held.message.status.is_settled()
            && let Some(row) = held.row.take()
        {
            self.left.push(id.0);
            if row.head {
                self.headless.insert((held.message.session_id, row.chat));
            }
        }
        change
    }

    /// Writes back what has changed.
    pub(super) async fn write(mut self, tx: &mut Tx) -> Result<(), StoreError> {
        self.write_messages(tx).await?;
        std::mem::take(&mut self.members).write(tx).await?;
        for (id, at) in &self.acted {
            if let Some(held) = self.held.get(id)
                && let Some(event) = mark(tx, &mut held.message.clone(), *at).await?
            {
                tx.tell_other(event);
            }
        }
        for (session, ids) in &self.again {
            delete_all(tx, *session, SignalKind::ResendAsked, ids).await?;
        }
        self.write_outbox(tx).await
    }

    async fn write_messages(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let changed: Vec<&Held> = self.held.values().filter(|held| held.changed).collect();
        for piece in pieces(&changed) {
            let mut update = query(SAVE.sql(piece.len()));
            for Held { message, written, .. } in piece {
                let time = |at: Option<Timestamp>| at.map(|at| at.0);
                update = update.bind(message.id.0).bind(message.status.as_str()).bind(message.error_code.map(Failure::as_str));
                update = update.bind(&message.error_message).bind(time(message.sent_at)).bind(time(message.delivered_at));
                update = update.bind(time(message.read_at)).bind(*written || message.sent_at.is_some());
            }
            update.execute(&mut tx.conn).await.map_err(refused)?;
        }
        let written = self.held.values().filter(|held| held.written && !held.changed).map(|held| held.message.id.0);
        each(tx, &WRITTEN, &written.collect::<Vec<_>>()).await
    }

    async fn write_outbox(self, tx: &mut Tx) -> Result<(), StoreError> {
        let mut moved = Vec::new();
        for (id, held) in &self.held {
            match (&held.row, held.moved) {
                (Some(row), Moved::Waits(due_at)) => {
                    let update = query("UPDATE outbox SET phase = ?, due_at = ? WHERE message_id = ?").bind(row.phase);
                    update.bind(due_at.map(|at| at.0)).bind(id.0).execute(&mut tx.conn).await.map_err(refused)?;
                }
                (Some(_), Moved::Written) => moved.push(id.0),
                _ => {}
            }
        }
        each(tx, &MOVED, &moved).await?;
        each(tx, &LEAVE, &self.left).await?;
        let headless: Vec<_> = self.headless.into_iter().collect();
        for piece in pieces(&headless) {
            let mut update = query(RAISE.sql(piece.len())).bind(tx.clock.now().0);
            for (session, chat) in piece {
                update = update.bind(session.0).bind(chat);
            }
            update.execute(&mut tx.conn).await.map_err(refused)?;
        }
        Ok(())
    }
}

static SAVE: Rows = Rows::new(
    "UPDATE messages SET status = fresh.column2, error_code = fresh.column3, error_message = fresh.column4, sent_at = fresh.column5, \
     delivered_at = fresh.column6, read_at = fresh.column7, written = written OR fresh.column8 FROM (VALUES ",
    "(?, ?, ?, ?, ?, ?, ?, ?)",
    ") AS fresh WHERE messages.id = fresh.column1",
);
// Also of what may have been written only.
pub(super) static WRITTEN: Rows = Rows::new("UPDATE messages SET written = TRUE WHERE id IN (", "?", ")");
static MOVED: Rows = Rows::new("UPDATE outbox SET phase = 2 WHERE message_id IN (", "?", ")");
static LEAVE: Rows = Rows::new("DELETE FROM outbox WHERE message_id IN (", "?", ")");
// As `Tx::raise_head`, for many chats.
static RAISE: Rows = Rows::new(
    "UPDATE outbox SET head = TRUE, due_at = COALESCE(due_at, ?) WHERE seq IN (SELECT (SELECT MIN(seq) FROM outbox WHERE session_id = wanted.column1 \
     AND chat = wanted.column2) FROM (VALUES ",
    "(?, ?)",
    ") AS wanted)",
);

/// Runs a statement over ids.
pub(super) async fn each(tx: &mut Tx, rows: &'static Rows, ids: &[Uuid]) -> Result<(), StoreError> {
    for piece in pieces(ids) {
        let mut change = query(rows.sql(piece.len()));
        for id in piece {
            change = change.bind(*id);
        }
        change.execute(&mut tx.conn).await.map_err(refused)?;
    }
    Ok(())
}
