//! Ends that come from this side: deadlines, an unlinked account, a caller who takes a message back or sends it again.

use super::accept::insert_outbox;
use super::advance::Cause;
use super::claim::phase;
use super::{Backlog, Change, accept};
use crate::dialect::{query, query_as, query_scalar, refused};
use crate::messages::{Message, Settled};
use crate::writer::Tx;
use crate::{Accepted, Store, StoreError};
use sanasend_model::{EventKind, Failure, MessageId, MessageStatus, SessionId, Step, Timestamp, UserId, retry};
use uuid::Uuid;

/// Messages that are given up in one transaction, so that other writers get their turn.
const PIECE: i64 = 200;

impl Tx {
    /// Gives up the messages of outbox rows (message and phase); `cause` is told whether it may have left.
    pub(super) async fn give_up(
        &mut self,
        rows: Vec<(Uuid, i16)>,
        at: Timestamp,
        cause: impl Fn(bool) -> Cause + Send,
    ) -> Result<Vec<Change>, StoreError> {
        let mut changes = Vec::with_capacity(rows.len());
        for (id, was) in rows {
            let id = MessageId(id);
            match self.message(id).await {
                Ok(Some((message, written))) => {
                    let cause = cause(written || was != phase::WAITING);
                    match self.advance(message, MessageStatus::Failed, at, Some(cause)).await? {
                        Some(change) => changes.push(change),
                        // Settled already: its row has no business here.
                        None => self.leave_outbox(id).await?,
                    }
                }
                Ok(None) => self.leave_outbox(id).await?,
                Err(error @ StoreError::Corrupt { .. }) => self.bury(id, &error).await?,
                Err(error) => return Err(error),
            }
        }
        self.finish().await?;
        Ok(changes)
    }

    /// Ends a message whose row can't be read, so that it does not hold up its chat for ever.
    pub(super) async fn bury(&mut self, id: MessageId, error: &StoreError) -> Result<(), StoreError> {
        tracing::error!(%error, "a message can't be read; it is given up");
        let sql = "UPDATE messages SET status = ?, error_code = ?, error_message = ? WHERE id = ?";
        let update = query(sql).bind(MessageStatus::Failed.as_str()).bind(Failure::NotSendable.as_str());
        let update = update.bind("The stored message can't be read.").bind(id.0);
        update.execute(&mut self.conn).await.map_err(refused)?;
        self.leave_outbox(id).await
    }
}

async fn cancel(tx: &mut Tx, user: UserId, id: MessageId) -> Result<Settled, StoreError> {
    let Some((message, written)) = tx.message(id).await? else { return Ok(Settled::Missing) };
    if message.user_id != user {
        return Ok(Settled::Missing);
    }
    let waits = query_scalar::<_, i16>("SELECT phase FROM outbox WHERE message_id = ?").bind(id.0).fetch_optional(&mut tx.conn);
    let status = message.status;
    // What waits for its date has no place in the outbox yet.
    let waits = waits.await.map_err(refused)? == Some(phase::WAITING) || status == MessageStatus::Scheduled;
    if written || !waits {
        return Ok(Settled::WrongState(status));
    }
    let at = tx.clock.now();
    match tx.advance(message, MessageStatus::Canceled, at, None).await? {
        Some(_) => {
            tx.finish().await?;
            done(tx, id).await
        }
        None => Ok(Settled::WrongState(status)),
    }
}

/// A message counts as failed only while it is: it is taken out of the day and the hour in which it was counted.
async fn take_back_failure(tx: &mut Tx, message: &Message) -> Result<(), StoreError> {
    let sql = "SELECT MAX(at) FROM timeline WHERE message_id = ? AND step = ?";
    let failed_at = query_scalar::<_, Option<i64>>(sql).bind(message.id.0).bind(Step::Failed.as_str()).fetch_one(&mut tx.conn);
    let Some(failed_at) = failed_at.await.map_err(refused)?.map(Timestamp) else { return Ok(()) };
    let of_user = query("UPDATE usage_daily SET failed = failed - 1 WHERE user_id = ? AND day = ? AND failed > 0").bind(message.user_id.0);
    of_user.bind(failed_at.day()).execute(&mut tx.conn).await.map_err(refused)?;
    let of_account = query("UPDATE account_hours SET failed = failed - 1 WHERE session_id = ? AND hour = ? AND failed > 0");
    let of_account = of_account.bind(message.session_id.0).bind(failed_at.hour());
    of_account.execute(&mut tx.conn).await.map_err(refused)?;
    let of_all = query("UPDATE usage_hourly SET failed = failed - 1 WHERE hour = ? AND failed > 0").bind(failed_at.hour());
    of_all.execute(&mut tx.conn).await.map(drop).map_err(refused)
}

/// The only way back in the life of a message: a caller asks for it, and the message takes its place at the end of its chat.
async fn requeue(tx: &mut Tx, user: UserId, id: MessageId, expires_at: Timestamp) -> Result<Settled, StoreError> {
    let Some((mut message, _)) = tx.message(id).await? else { return Ok(Settled::Missing) };
    if message.user_id != user {
        return Ok(Settled::Missing);
    }
    if message.status != MessageStatus::Failed {
        return Ok(Settled::WrongState(message.status));
    }
    let at = tx.clock.now();
    message.status = MessageStatus::Pending;
    (message.error_code, message.error_message) = (None, None);
    message.expires_at = Some(expires_at);
    tx.save(&message, false).await?;
    take_back_failure(tx, &message).await?;
    insert_outbox(tx, &[&message]).await?;
    tx.note((id, at, Step::Requeued, message.attempts, None));
    tx.tell(EventKind::MessageRetried, &message, at);
    tx.finish().await?;
    Ok(Settled::Done(Box::new(message)))
}

async fn done(tx: &mut Tx, id: MessageId) -> Result<Settled, StoreError> {
    Ok(tx.message(id).await?.map_or(Settled::Missing, |(message, _)| Settled::Done(Box::new(message))))
}

impl Store {
    /// Gives up what is past its deadline, in all accounts: `EXPIRED`, or `OUTCOME_UNKNOWN` where it may have left.
    pub async fn expire(&self, now: Timestamp) -> Result<Vec<Change>, StoreError> {
        let mut changes = Vec::new();
        loop {
            let piece = self.write(move |tx| {
                Box::pin(async move {
                    let sql = "SELECT message_id, phase FROM outbox WHERE expires_at <= ? ORDER BY expires_at LIMIT ?";
                    let rows: Vec<_> = query_as(sql).bind(now.0).bind(PIECE).fetch_all(&mut tx.conn).await.map_err(refused)?;
                    Ok((rows.len(), tx.give_up(rows, now, retry::expired).await?))
                })
            });
            let (rows, given_up) = piece.await?;
            changes.extend(given_up);
            if rows == 0 {
                return Ok(changes);
            }
        }
    }

    /// Gives up everything that waits in an account, because it was unlinked or banned: as told, or `OUTCOME_UNKNOWN` where it
    /// may have left.
    pub async fn fail_all(&self, session_id: SessionId, failure: Failure, text: &str) -> Result<Vec<Change>, StoreError> {
        let mut changes = Vec::new();
        loop {
            let text = text.to_owned();
            let piece = self.write(move |tx| {
                Box::pin(async move {
                    let sql = "SELECT message_id, phase FROM outbox WHERE session_id = ? ORDER BY seq LIMIT ?";
                    let rows = query_as(sql).bind(session_id.0).bind(PIECE).fetch_all(&mut tx.conn);
                    let (rows, at): (Vec<_>, _) = (rows.await.map_err(refused)?, tx.clock.now());
                    let cause = |may_have_left| if may_have_left { retry::left_behind(failure, &text) } else { (failure, text.clone()) };
                    Ok((rows.len(), tx.give_up(rows, at, cause).await?))
                })
            });
            let (rows, given_up) = piece.await?;
            changes.extend(given_up);
            if rows == 0 {
                return Ok(changes);
            }
        }
    }

    /// Takes a message back, only while no attempt was made that may have left.
    pub async fn cancel_message(&self, user: UserId, id: MessageId) -> Result<Settled, StoreError> {
        self.write(move |tx| Box::pin(cancel(tx, user, id))).await
    }

    /// Puts a failed message back on its way with a new deadline and the same WhatsApp id.
    pub async fn retry_message(&self, user: UserId, id: MessageId, expires_at: Timestamp) -> Result<Settled, StoreError> {
        self.write(move |tx| Box::pin(requeue(tx, user, id, expires_at))).await
    }

    /// Messages that wait for their outcome, in all accounts.
    pub async fn outbox_depth(&self) -> Result<u64, StoreError> {
        let count: i64 = query_scalar("SELECT COUNT(*) FROM outbox").fetch_one(&self.inner.readers).await.map_err(refused)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// What waits in the outbox, of all accounts.
    pub async fn backlog(&self) -> Result<Backlog, StoreError> {
        let depth = self.outbox_depth().await?;
        // What waited for its date is as old as that.
        let sql = "SELECT COALESCE(scheduled_at, created_at) FROM messages WHERE id = (SELECT message_id FROM outbox ORDER BY seq LIMIT 1)";
        let oldest: Option<i64> = query_scalar(sql).fetch_optional(&self.inner.readers).await.map_err(refused)?;
        Ok(Backlog { depth, oldest: oldest.map(Timestamp) })
    }

    /// Replaces the answer that a replay of the key gets, after a caller waited for the outcome.
    pub async fn replace_answer(&self, user: UserId, key: &str, status: u16, body: String) -> Result<(), StoreError> {
        let key = key.to_owned();
        self.write(move |tx| {
            Box::pin(async move {
                let update = query("UPDATE idempotency SET status = ?, body = ? WHERE user_id = ? AND key = ?");
                let update = update.bind(i32::from(status)).bind(body).bind(user.0).bind(key);
                update.execute(&mut tx.conn).await.map(drop).map_err(refused)
            })
        })
        .await
    }

    /// A cheap look before work is done: `Replayed` or `KeyReused` when the key is known and not past its end.
    pub async fn idempotent_answer(&self, user: UserId, key: &str, fingerprint: [u8; 32]) -> Result<Option<Accepted>, StoreError> {
        let now = self.inner.clock.now();
        let remembered = accept::remembered(&self.inner.readers, (user, key)).await?;
        Ok(remembered.filter(|known| known.expires_at > now).map(|known| accept::compare(&known, &fingerprint)))
    }
}
