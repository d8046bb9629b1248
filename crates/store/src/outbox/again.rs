//! Sending again what may have been lost between two processes: after a restart, under the same WhatsApp id.
//!
//! A recipient that can't read a message asks for it again, and the client library takes that wish before it has answered
//! it. A process that dies in between would leave the message acknowledged, unread and forgotten. So wishes are written down
//! when they come ([`SignalKind::ResendAsked`]), and at the next start what was wished for is sent once more, whatever its
//! age; and so is what was acknowledged shortly before the end and has not arrived as far as we know, since the copy that
//! the library keeps for answering may not have reached the disk. Who has a message already shows it once: the id is the same.
//!
//! A wish is forgotten when WhatsApp acknowledges what the library sent in answer, or when it is old
//! ([`Store::forget_wishes`]): what is left at the next start is what nobody is known to have answered.

use super::claim::phase;
use crate::dialect::{Rows, pieces, query, query_as, refused};
use crate::rows::message::Model;
use crate::signal::SignalKind;
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::{MessageId, SessionId, Step, Timestamp};
use std::collections::BTreeSet;
use std::time::Duration;

/// Most messages of an account that are sent again at one start.
const MOST: i64 = 500;
/// How long a message that is past its own deadline is tried, so that a wish for it is answered.
const TIME: Duration = Duration::from_hours(1);
/// Who asked for a message so long ago and was not heard since does not wait for it any more.
const WISHES_KEPT: Duration = Duration::from_hours(24 * 14);

/// Messages that were wished for, the last wishes first, and forgets the wishes.
async fn wished_for(tx: &mut Tx, session: SessionId) -> Result<Vec<Model>, StoreError> {
    let sql = "DELETE FROM signal WHERE session_id = ? AND kind = ? RETURNING key, updated_at";
    let wishes = query_as::<_, (Vec<u8>, i64)>(sql).bind(session.0).bind(SignalKind::ResendAsked as u8).fetch_all(&mut tx.conn);
    let mut wishes = wishes.await.map_err(refused)?;
    let oldest = tx.clock.now().minus(WISHES_KEPT);
    wishes.retain(|(_, at)| *at >= oldest.0);
    wishes.sort_unstable_by_key(|(_, at)| std::cmp::Reverse(*at));
    wishes.truncate(usize::try_from(MOST).unwrap_or(usize::MAX));
    let mut rows = Vec::new();
    for (key, _) in wishes {
        let sql = "SELECT * FROM messages WHERE session_id = ? AND wa_message_id = ? AND direction = 'outbound' \
                   AND status IN ('sent', 'delivered', 'read') AND expires_at IS NOT NULL \
                   AND NOT EXISTS (SELECT 1 FROM outbox WHERE message_id = messages.id)";
        let id = String::from_utf8_lossy(&key).into_owned();
        rows.extend(query_as::<_, Model>(sql).bind(session.0).bind(id).fetch_all(&mut tx.conn).await.map_err(refused)?);
    }
    Ok(rows)
}

async fn send_again(tx: &mut Tx, session: SessionId, since: Timestamp) -> Result<u64, StoreError> {
    let sql = "SELECT * FROM messages WHERE user_id = (SELECT user_id FROM sessions WHERE id = ?) AND created_at >= ? \
               AND session_id = ? AND direction = 'outbound' AND status = 'sent' AND expires_at IS NOT NULL \
               AND NOT EXISTS (SELECT 1 FROM outbox WHERE message_id = messages.id) ORDER BY seq DESC LIMIT ?";
    let rows = query_as::<_, Model>(sql).bind(session.0).bind(since.0).bind(session.0).bind(MOST).fetch_all(&mut tx.conn);
    let mut rows = rows.await.map_err(refused)?;
    // What waited for its date was accepted long before.
    let dated = "SELECT * FROM messages WHERE status = 'sent' AND scheduled_at >= ? AND session_id = ? AND direction = 'outbound' \
                 AND expires_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM outbox WHERE message_id = messages.id) \
                 ORDER BY seq DESC LIMIT ?";
    let dated = query_as::<_, Model>(dated).bind(since.0).bind(session.0).bind(MOST).fetch_all(&mut tx.conn);
    rows.extend(dated.await.map_err(refused)?);
    rows.extend(wished_for(tx, session).await?);
    rows.sort_by_key(|row| std::cmp::Reverse(row.seq));
    rows.dedup_by_key(|row| row.seq);
    let now = tx.clock.now();
    let mut chats = BTreeSet::new();
    for row in &rows {
        // In front of everything that waits: it was accepted before.
        let sql = "INSERT INTO outbox (seq, message_id, session_id, chat, due_at, expires_at, phase, head) \
                   VALUES ((SELECT COALESCE(MIN(seq), 0) - 1 FROM outbox), ?, ?, ?, ?, ?, ?, FALSE)";
        // An old message gets time for this try.
        let expires_at = row.expires_at.unwrap_or_default().max(now.plus(TIME).0);
        let insert = query(sql).bind(row.id).bind(session.0).bind(&row.chat).bind(now.0).bind(expires_at);
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

static FORGET: Rows = Rows::new("DELETE FROM signal WHERE session_id IN (", "?", ") AND kind = ? AND updated_at < ?");

impl Store {
    /// Forgets wishes of these accounts that came before `before`; answers how many. Not of accounts that were not brought
    /// back yet: theirs are answered first. In pieces, so that other writers get their turn.
    pub async fn forget_wishes(&self, accounts: &[SessionId], before: Timestamp) -> Result<u64, StoreError> {
        let mut gone = 0;
        for piece in pieces(accounts) {
            let piece = piece.to_vec();
            let forget = self.write(move |tx| {
                Box::pin(async move {
                    let mut delete = query(FORGET.sql(piece.len()));
                    for account in &piece {
                        delete = delete.bind(account.0);
                    }
                    let delete = delete.bind(SignalKind::ResendAsked as u8).bind(before.0);
                    delete.execute(&mut tx.conn).await.map(|done| done.rows_affected()).map_err(refused)
                })
            });
            gone += forget.await?;
        }
        Ok(gone)
    }

    /// Puts messages of an account back on their way that were accepted after `since` and acknowledged, and have not
    /// arrived as far as is known, and all that a recipient asked for again. Their status stays; they leave the outbox with the next news. Answers how many.
    pub async fn send_again(&self, session_id: SessionId, since: Timestamp) -> Result<u64, StoreError> {
        self.write(move |tx| Box::pin(send_again(tx, session_id, since))).await
    }
}
