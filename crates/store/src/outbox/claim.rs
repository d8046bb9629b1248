//! Taking messages up: the first of each chat, in the order of acceptance.
//!
//! Only the heads of chats are looked at, over an index of their own, so that the cost does not grow with what waits behind
//! them. A claim that no news ever follows means a crash between the claim and the record of what became of it: the
//! message may have left, and the next claim says so.

use super::Claimed;
use crate::dialect::{Rows, pieces, query, query_as, refused};
use crate::rows::from_row;
use crate::rows::message::Model;
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::{Jid, MessageId, SessionId, Step, Timestamp, retry};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Phases of an outbox row.
pub(super) mod phase {
    /// Nothing is being tried.
    pub(crate) const WAITING: i16 = 0;
    /// Taken up; whether it was written is not known yet.
    pub(crate) const CLAIMED: i16 = 1;
    /// Written to the socket, not answered yet.
    pub(crate) const WRITTEN: i16 = 2;
}

/// A due head.
struct Head {
    seq: i64,
    message_id: Uuid,
    chat: String,
    phase: i16,
    expires_at: i64,
}

from_row!("outbox": Head { seq, message_id, chat, phase, expires_at });

static CLAIM: Rows = Rows::new("UPDATE outbox SET phase = 1 WHERE seq IN (", "?", ")");
static ATTEMPT: Rows = Rows::new("UPDATE messages SET attempts = attempts + 1 WHERE id IN (", "?", ") RETURNING *");

/// The heads to take, in order. Those past their deadline are given up on the way: they must not hold up their chat.
async fn due_heads(tx: &mut Tx, session: SessionId, now: Timestamp, busy: &HashSet<&str>, limit: usize) -> Result<Vec<Head>, StoreError> {
    let sql = "SELECT seq, message_id, chat, phase, expires_at FROM outbox \
               WHERE session_id = ? AND head AND due_at <= ? ORDER BY seq LIMIT ?";
    let most = i64::try_from(limit.saturating_add(busy.len())).unwrap_or(i64::MAX);
    loop {
        let heads = query_as::<_, Head>(sql).bind(session.0).bind(now.0).bind(most).fetch_all(&mut tx.conn);
        let mut heads = heads.await.map_err(refused)?;
        heads.retain(|head| !busy.contains(head.chat.as_str()));
        let late: Vec<(Uuid, i16)> =
            heads.iter().filter(|head| head.expires_at <= now.0).map(|head| (head.message_id, head.phase)).collect();
        if late.is_empty() {
            heads.truncate(limit);
            return Ok(heads);
        }
        tx.give_up(late, now, retry::expired).await?;
    }
}

async fn claim(tx: &mut Tx, session: SessionId, now: Timestamp, busy: Vec<Jid>, limit: usize) -> Result<Vec<Claimed>, StoreError> {
    let busy = busy.iter().map(Jid::as_str).collect();
    let heads = due_heads(tx, session, now, &busy, limit).await?;
    let mut rows: HashMap<Uuid, Model> = HashMap::with_capacity(heads.len());
    for piece in pieces(&heads) {
        let mut update = query(CLAIM.sql(piece.len()));
        let mut attempt = query_as::<_, Model>(ATTEMPT.sql(piece.len()));
        for head in piece {
            update = update.bind(head.seq);
            attempt = attempt.bind(head.message_id);
        }
        update.execute(&mut tx.conn).await.map_err(refused)?;
        let messages = attempt.fetch_all(&mut tx.conn).await.map_err(refused)?;
        rows.extend(messages.into_iter().map(|row| (row.id, row)));
    }
    let mut claimed = Vec::with_capacity(heads.len());
    for head in heads {
        let Some(row) = rows.remove(&head.message_id) else { continue };
        let written_before = row.written || head.phase != phase::WAITING;
        let message = match row.read() {
            Ok(message) => message,
            Err(error) => {
                tx.bury(MessageId(head.message_id), &error).await?;
                continue;
            }
        };
        tx.note((message.id, now, Step::Claimed, message.attempts, None));
        claimed.push(Claimed { attempts: message.attempts, message, written_before });
    }
    tx.finish().await?;
    Ok(claimed)
}

impl Store {
    /// Takes up to `limit` messages up: the first of each chat that is due and not busy, in the order of acceptance.
    pub async fn claim(
        &self,
        session_id: SessionId,
        generation: i64,
        now: Timestamp,
        busy_chats: &[Jid],
        limit: u32,
    ) -> Result<Vec<Claimed>, StoreError> {
        let busy = busy_chats.to_vec();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.write(move |tx| {
            Box::pin(async move {
                tx.fence(session_id, generation).await?;
                claim(tx, session_id, now, busy, limit).await
            })
        })
        .await
    }

    /// When the next message of a chat that is not busy is due; `None` when none is or all wait for a connection.
    pub async fn next_due(&self, session_id: SessionId, busy_chats: &[Jid]) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT due_at, chat FROM outbox WHERE session_id = ? AND head AND due_at IS NOT NULL ORDER BY due_at LIMIT ?";
        let most = i64::try_from(busy_chats.len().saturating_add(1)).unwrap_or(i64::MAX);
        let heads = query_as::<_, (i64, String)>(sql).bind(session_id.0).bind(most).fetch_all(&self.inner.readers);
        let busy: HashSet<&str> = busy_chats.iter().map(Jid::as_str).collect();
        let free = heads.await.map_err(refused)?.into_iter().find(|(_, chat)| !busy.contains(chat.as_str()));
        Ok(free.map(|(due_at, _)| Timestamp(due_at)))
    }

    /// Makes messages due that wait for a connection; answers how many.
    pub async fn wake_offline(&self, session_id: SessionId) -> Result<u64, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "UPDATE outbox SET due_at = ? WHERE session_id = ? AND head AND due_at IS NULL";
                let update = query(sql).bind(tx.clock.now().0).bind(session_id.0);
                update.execute(&mut tx.conn).await.map(|done| done.rows_affected()).map_err(refused)
            })
        })
        .await
    }
}
