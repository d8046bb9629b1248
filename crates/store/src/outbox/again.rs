//! Sending again what may have been lost between two processes: after a restart, under the same WhatsApp id.
//!
//! A recipient that can't read a message asks for it again, and the client library takes that wish before it has answered
//! it. A process that dies in between would leave the message acknowledged, unread and forgotten. So what was acknowledged
//! shortly before the end, and has not arrived as far as we know, is sent once more; who has it already shows it once,
//! since the id is the same.

use super::claim::phase;
use crate::dialect::{query, query_as, refused};
use crate::rows::message::Model;
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::{MessageId, SessionId, Step, Timestamp};
use std::collections::BTreeSet;

/// Most messages of an account that are sent again at one start.
const MOST: i64 = 500;

async fn send_again(tx: &mut Tx, session: SessionId, since: Timestamp) -> Result<u64, StoreError> {
    let sql = "SELECT * FROM messages WHERE user_id = (SELECT user_id FROM sessions WHERE id = ?) AND created_at >= ? \
               AND session_id = ? AND direction = 'outbound' AND status = 'sent' AND expires_at IS NOT NULL \
               AND NOT EXISTS (SELECT 1 FROM outbox WHERE message_id = messages.id) ORDER BY seq DESC LIMIT ?";
    let rows = query_as::<_, Model>(sql).bind(session.0).bind(since.0).bind(session.0).bind(MOST).fetch_all(&mut tx.conn);
    let rows = rows.await.map_err(refused)?;
    let now = tx.clock.now();
    let mut chats = BTreeSet::new();
    for row in &rows {
        // In front of everything that waits: it was accepted before.
        let sql = "INSERT INTO outbox (seq, message_id, session_id, chat, due_at, expires_at, phase, head) \
                   VALUES ((SELECT COALESCE(MIN(seq), 0) - 1 FROM outbox), ?, ?, ?, ?, ?, ?, FALSE)";
        let insert = query(sql).bind(row.id).bind(session.0).bind(&row.chat).bind(now.0).bind(row.expires_at);
        insert.bind(phase::WRITTEN).execute(&mut tx.conn).await.map_err(refused)?;
        let detail = "The server was restarted before it was known to have arrived; it is sent again under the same id.";
        tx.note((MessageId(row.id), now, Step::Retrying, row.attempts, Some(detail.into())));
        chats.insert(row.chat.as_str());
    }
    for chat in chats {
        let lower = query("UPDATE outbox SET head = FALSE WHERE session_id = ? AND chat = ? AND head").bind(session.0).bind(chat);
        lower.execute(&mut tx.conn).await.map_err(refused)?;
        tx.raise_head(session, chat).await?;
    }
    tx.finish().await?;
    Ok(rows.len() as u64)
}

impl Store {
    /// Puts messages of an account back on their way that were accepted after `since` and acknowledged, and have not
    /// arrived as far as is known. Their status stays; they leave the outbox with the next news. Answers how many.
    pub async fn send_again(&self, session_id: SessionId, since: Timestamp) -> Result<u64, StoreError> {
        self.write(move |tx| Box::pin(send_again(tx, session_id, since))).await
    }
}
