//! Removal of what is old, a bounded piece per transaction, so that whoever writes beside it never waits long.
//!
//! A look by a reader comes before every piece: where nothing is old, nothing is written. Messages and events are walked
//! in the order of their writing, which is that of their age, from the oldest on: no index over times is needed, and the
//! walk ends at the first piece that is young.

use crate::dialect::{query, query_as, query_scalar, refused};
use crate::{Store, StoreError};
use sanasend_model::clock::uuid_v7;
use sanasend_model::{SessionId, Timestamp};
use uuid::Uuid;

/// Rows looked at per piece.
const PIECE: i64 = 1000;

/// A walk over a table from its oldest rows on; both statements take the last row of the piece before and [`PIECE`], the
/// second one also the time.
struct Walk {
    /// Answers the last row and the oldest time of the next piece.
    look: &'static str,
    /// What hangs on the old rows of a piece and may be much.
    parts: Option<Parts>,
    /// Removes what is older than a time in it.
    remove: &'static str,
}

/// What goes before the rows that it hangs on, in pieces of its own: to go with a thousand messages to groups, receipts would
/// be a million rows in one transaction. Both statements take what [`Walk::remove`] takes, the second one also [`PIECE`].
struct Parts {
    /// Whether there is any.
    there: &'static str,
    /// Removes some.
    remove: &'static str,
}

/// The old messages of a piece. What still waits to be sent is young, whatever its date; what waited for its date is as old
/// as that.
macro_rules! old_messages {
    () => {
        "FROM (SELECT seq, id, status, COALESCE(scheduled_at, created_at) AS at FROM messages WHERE seq > ? ORDER BY seq LIMIT ?) \
         AS piece WHERE at < ? AND status <> 'scheduled' AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.message_id = piece.id)"
    };
}

const MESSAGES: Walk = Walk {
    look: "SELECT MAX(seq), MIN(created_at) FROM (SELECT seq, created_at FROM messages WHERE seq > ? ORDER BY seq LIMIT ?) AS piece",
    parts: Some(Parts {
        there: concat!(
            "SELECT COUNT(*) FROM (SELECT 1 AS one FROM receipts WHERE message_id IN (SELECT id ",
            old_messages!(),
            ") LIMIT 1) AS old"
        ),
        remove: concat!(
            "DELETE FROM receipts WHERE (message_id, participant) IN (SELECT message_id, participant FROM receipts WHERE message_id IN \
             (SELECT id ",
            old_messages!(),
            ") LIMIT ?)"
        ),
    }),
    remove: concat!("DELETE FROM messages WHERE seq IN (SELECT seq ", old_messages!(), ")"),
};

const EVENTS: Walk = Walk {
    look: "SELECT MAX(seq), MIN(at) FROM (SELECT seq, at FROM events WHERE seq > ? ORDER BY seq LIMIT ?) AS piece",
    remove: "DELETE FROM events WHERE seq IN (SELECT seq FROM (SELECT seq, at FROM events WHERE seq > ? ORDER BY seq LIMIT ?) AS piece \
             WHERE at < ?)",
    parts: None,
};

impl Store {
    /// Removes messages with their timelines and originals that were made before `before` and do not wait to be sent; answers
    /// how many.
    pub async fn sweep_messages(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.walk(&MESSAGES, before).await
    }

    /// Removes the sealed originals of messages that came in before `before`; the messages stay. Answers how many.
    pub async fn sweep_originals(&self, before: Timestamp) -> Result<u64, StoreError> {
        // An id holds the time of its making, in its first bytes: the primary key is in the order of age.
        let end = uuid_v7(before, [0; 10]);
        let mut gone = 0;
        loop {
            let there = "SELECT COUNT(*) FROM (SELECT 1 AS one FROM message_raw WHERE message_id < ? LIMIT 1) AS old";
            let some = query_scalar::<_, i64>(there).bind(end).fetch_one(&self.inner.readers).await.map_err(refused)?;
            if some == 0 {
                return Ok(gone);
            }
            let piece = self.write(move |tx| {
                Box::pin(async move {
                    let sql = "DELETE FROM message_raw WHERE message_id IN \
                               (SELECT message_id FROM message_raw WHERE message_id < ? ORDER BY message_id LIMIT ?)";
                    let delete = query(sql).bind(end).bind(PIECE).execute(&mut tx.conn).await;
                    delete.map(|done| done.rows_affected()).map_err(refused)
                })
            });
            gone += piece.await?;
        }
    }

    /// Removes entries of the event log from before `before`; answers how many. Cursors stay good: what follows an old one
    /// begins at the oldest entry that is left.
    pub async fn sweep_events(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.walk(&EVENTS, before).await
    }

    async fn walk(&self, walk: &Walk, before: Timestamp) -> Result<u64, StoreError> {
        let (mut gone, mut behind) = (0, i64::MIN);
        loop {
            let look = query_as::<_, (Option<i64>, Option<i64>)>(walk.look).bind(behind).bind(PIECE);
            let (Some(last), Some(oldest)) = look.fetch_one(&self.inner.readers).await.map_err(refused)? else { return Ok(gone) };
            if oldest >= before.0 {
                return Ok(gone);
            }
            if let Some(parts) = &walk.parts {
                self.remove_parts(parts, behind, before).await?;
            }
            let remove = walk.remove;
            let piece = self.write(move |tx| {
                Box::pin(async move {
                    let delete = query(remove).bind(behind).bind(PIECE).bind(before.0).execute(&mut tx.conn).await;
                    delete.map(|done| done.rows_affected()).map_err(refused)
                })
            });
            let gone_now = piece.await;
            self.inner.counts.forget_all();
            gone += gone_now?;
            behind = last;
        }
    }

    /// Removes what hangs on the old rows of the piece behind a row.
    async fn remove_parts(&self, parts: &Parts, behind: i64, before: Timestamp) -> Result<(), StoreError> {
        let remove = parts.remove;
        loop {
            let some = query_scalar::<_, i64>(parts.there).bind(behind).bind(PIECE).bind(before.0).fetch_one(&self.inner.readers);
            if some.await.map_err(refused)? == 0 {
                return Ok(());
            }
            let piece = self.write(move |tx| {
                Box::pin(async move {
                    let delete = query(remove).bind(behind).bind(PIECE).bind(before.0).bind(PIECE).execute(&mut tx.conn).await;
                    delete.map(drop).map_err(refused)
                })
            });
            piece.await?;
        }
    }

    /// Forgets idempotency keys that are past their end; answers how many.
    pub async fn delete_expired_idempotency(&self, now: Timestamp) -> Result<u64, StoreError> {
        let there = "SELECT COUNT(*) FROM (SELECT 1 AS one FROM idempotency WHERE expires_at <= ? LIMIT 1) AS old";
        let remove = "DELETE FROM idempotency WHERE (user_id, key) IN \
                      (SELECT user_id, key FROM idempotency WHERE expires_at <= ? LIMIT ?)";
        self.remove_expired(there, remove, now).await
    }

    /// Removes refresh tokens and logins that can never be used again; answers how many rows went.
    pub async fn delete_expired_logins(&self, now: Timestamp) -> Result<u64, StoreError> {
        let there = "SELECT COUNT(*) FROM (SELECT 1 AS one FROM refresh_tokens WHERE expires_at <= ? LIMIT 1) AS old";
        let remove = "DELETE FROM refresh_tokens WHERE digest IN (SELECT digest FROM refresh_tokens WHERE expires_at <= ? LIMIT ?)";
        let tokens = self.remove_expired(there, remove, now).await?;
        let there = "SELECT COUNT(*) FROM (SELECT 1 AS one FROM logins WHERE expires_at <= ? LIMIT 1) AS old";
        let remove = "DELETE FROM logins WHERE id IN (SELECT id FROM logins WHERE expires_at <= ? LIMIT ?)";
        Ok(tokens + self.remove_expired(there, remove, now).await?)
    }

    /// Forgets what was learnt before `before` about recipients who are reached under another id, unless something waits for
    /// them now: then the order of their chat hangs on it. Answers how many. Whoever is written to again is asked about again.
    pub async fn sweep_aliases(&self, before: Timestamp) -> Result<u64, StoreError> {
        // No index over times: it is a small table, and this is done once a day.
        let there = "SELECT COUNT(*) FROM (SELECT 1 AS one FROM chat_aliases AS known WHERE updated_at <= ? AND NOT EXISTS \
                     (SELECT 1 FROM outbox WHERE outbox.session_id = known.session_id AND outbox.chat = known.chat) LIMIT 1) AS old";
        let remove = "DELETE FROM chat_aliases WHERE (session_id, asked) IN (SELECT session_id, asked FROM chat_aliases AS known \
                      WHERE updated_at <= ? AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.session_id = known.session_id \
                      AND outbox.chat = known.chat) LIMIT ?)";
        self.remove_expired(there, remove, before).await
    }

    /// Removes rows in pieces while a reader finds some that are past their end.
    async fn remove_expired(&self, there: &'static str, remove: &'static str, now: Timestamp) -> Result<u64, StoreError> {
        let mut gone = 0;
        loop {
            let some = query_scalar::<_, i64>(there).bind(now.0).fetch_one(&self.inner.readers).await.map_err(refused)?;
            if some == 0 {
                return Ok(gone);
            }
            let piece = self.write(move |tx| {
                Box::pin(async move {
                    let delete = query(remove).bind(now.0).bind(PIECE).execute(&mut tx.conn).await;
                    delete.map(|done| done.rows_affected()).map_err(refused)
                })
            });
            gone += piece.await?;
        }
    }

    /// Sessions made before `before` that no account was ever linked to, and that are not changed since; at most 1000.
    pub async fn never_linked(&self, before: Timestamp) -> Result<Vec<SessionId>, StoreError> {
        let sql = "SELECT id FROM sessions WHERE NOT linked AND jid IS NULL AND created_at < ? AND updated_at < ? \
                   AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.user_id = sessions.user_id AND messages.session_id = sessions.id) \
                   ORDER BY created_at LIMIT ?";
        let ids = query_scalar::<_, Uuid>(sql).bind(before.0).bind(before.0).bind(PIECE).fetch_all(&self.inner.readers);
        Ok(ids.await.map_err(refused)?.into_iter().map(SessionId).collect())
    }
}
