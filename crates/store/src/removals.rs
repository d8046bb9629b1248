//! Removing what may be much: that it goes is written down first, as a job, and then it goes in pieces.
//!
//! Apart from users and webhooks because both take longer than a request may: who asked may be gone, and the process too;
//! the job goes on. Pieces are small, so that whoever writes beside them gets a turn.

use crate::audit::AuditEntry;
use crate::dialect::{query, query_scalar, refused};
use crate::jobs::NewJob;
use crate::users::{self, Updated, User};
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::{JobId, UserId, WebhookId};
use serde_json::json;
use std::net::IpAddr;
use uuid::Uuid;

/// The kind of the jobs that remove a user. Its payload: `user`, `username`, and of who wanted it `actor` and `ip`.
pub const REMOVE_USER_JOB: &str = "user.remove";
/// The kind of the jobs that remove a webhook endpoint. Its payload: `webhook`.
pub const REMOVE_WEBHOOK_JOB: &str = "webhook.remove";

/// What a user has of which there may be much; each statement removes a piece.
const BEFORE_FILES: [&str; 9] = [
    // Before the events: what is to be posted of them.
    "DELETE FROM webhook_deliveries WHERE seq IN (SELECT d.seq FROM webhook_endpoints e JOIN webhook_deliveries d ON d.endpoint_id = e.id \
     WHERE e.user_id = ? LIMIT 500)",
    "DELETE FROM jobs WHERE seq IN (SELECT seq FROM jobs WHERE user_id = ? LIMIT 1000)",
    "DELETE FROM messages WHERE seq IN (SELECT seq FROM messages WHERE user_id = ? LIMIT 500)",
    "DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE user_id = ? LIMIT 2000)",
    "DELETE FROM idempotency WHERE (user_id, key) IN (SELECT user_id, key FROM idempotency WHERE user_id = ? LIMIT 1000)",
    "DELETE FROM signal WHERE (session_id, kind, key) IN (SELECT g.session_id, g.kind, g.key FROM sessions s \
     JOIN signal g ON g.session_id = s.id WHERE s.user_id = ? LIMIT 1000)",
    "DELETE FROM chat_aliases WHERE (session_id, asked) IN (SELECT a.session_id, a.asked FROM sessions s \
     JOIN chat_aliases a ON a.session_id = s.id WHERE s.user_id = ? LIMIT 1000)",
    "DELETE FROM account_hours WHERE (session_id, hour) IN (SELECT h.session_id, h.hour FROM sessions s \
     JOIN account_hours h ON h.session_id = s.id WHERE s.user_id = ? LIMIT 1000)",
    "DELETE FROM campaign_recipients WHERE (campaign_id, ordinal) IN (SELECT r.campaign_id, r.ordinal FROM campaign_recipients r \
     JOIN campaigns c ON c.id = r.campaign_id WHERE c.user_id = ? LIMIT 500)",
];
const BEHIND_FILES: [&str; 2] = [
    "DELETE FROM contacts WHERE seq IN (SELECT seq FROM contacts WHERE user_id = ? LIMIT 500)",
    "DELETE FROM opt_outs WHERE seq IN (SELECT seq FROM opt_outs WHERE user_id = ? LIMIT 1000)",
];
const DELIVERIES: &str = "DELETE FROM webhook_deliveries WHERE seq IN (SELECT seq FROM webhook_deliveries WHERE endpoint_id = ? LIMIT 500)";

/// Jobs of one lane run one after the other: to ask twice removes nothing twice.
fn job(kind: &'static str, id: Uuid, user_id: Option<UserId>, payload: serde_json::Value, tx: &Tx) -> NewJob {
    NewJob { kind, lane: Some(format!("{kind}/{id}")), bundle: None, user_id, payload, due_at: tx.clock.now() }
}

async fn enqueue(tx: &mut Tx, job: NewJob) -> Result<JobId, StoreError> {
    tx.enqueue(&[job]).await?.first().copied().ok_or_else(|| StoreError::Unavailable("a job was not written".into()))
}

async fn begin_user(tx: &mut Tx, id: UserId, actor: UserId, ip: IpAddr) -> Result<Updated<(User, JobId)>, StoreError> {
    if users::is_last_admin(tx, id).await? {
        return Ok(Updated::LastAdmin);
    }
    let off = query("UPDATE users SET is_active = FALSE, updated_at = ? WHERE id = ?").bind(tx.clock.now().0).bind(id.0);
    off.execute(&mut tx.conn).await.map_err(refused)?;
    let Some(user) = users::find(&mut tx.conn, id).await? else { return Ok(Updated::Missing) };
    let payload = json!({"user": id, "username": user.username, "actor": actor, "ip": ip});
    // It is of nobody: what is of the user goes with the user.
    let job = job(REMOVE_USER_JOB, id.0, None, payload, tx);
    Ok(Updated::Done((user, enqueue(tx, job).await?)))
}

async fn begin_webhook(tx: &mut Tx, id: WebhookId) -> Result<Option<JobId>, StoreError> {
    let now = tx.clock.now();
    let sql = "UPDATE webhook_endpoints SET is_active = FALSE, disabled_at = COALESCE(disabled_at, ?), \
               disabled_reason = 'It is being deleted.', updated_at = ? WHERE id = ? RETURNING user_id";
    let owner = query_scalar::<_, Uuid>(sql).bind(now.0).bind(now.0).bind(id.0).fetch_optional(&mut tx.conn).await.map_err(refused)?;
    let Some(owner) = owner else { return Ok(None) };
    let job = job(REMOVE_WEBHOOK_JOB, id.0, Some(UserId(owner)), json!({"webhook": id}), tx);
    enqueue(tx, job).await.map(Some)
}

impl Store {
    /// Deactivates a user for good and writes down that it goes, for [`Store::delete_user_noting`] to do; answers the user and
    /// the job. The last active admin stays.
    pub async fn begin_user_removal(&self, id: UserId, actor: UserId, ip: IpAddr) -> Result<Updated<(User, JobId)>, StoreError> {
        self.write(move |tx| Box::pin(begin_user(tx, id, actor, ip))).await
    }

    /// Removes a user with keys, logins, sessions, Signal state, messages and events; the
    /// bytes of its files go with the next sweep. The caller has logged the accounts
    /// out before. The user is deactivated at once; what may be much goes in pieces, so that other writers get their turn.
    /// What was cut in the middle is done to its end by doing it again.
    pub async fn delete_user(&self, id: UserId) -> Result<Updated<()>, StoreError> {
        self.delete_user_noting(id, None).await
    }

    /// The same, with an entry of the audit log that is written if and only if the user goes by this.
    pub async fn delete_user_noting(&self, id: UserId, entry: Option<AuditEntry>) -> Result<Updated<()>, StoreError> {
        let off = crate::UserPatch { is_active: Some(false), ..crate::UserPatch::default() };
        match self.update_user(id, off).await? {
            Updated::Done(_) => {}
            Updated::Missing => return Ok(Updated::Missing),
            Updated::LastAdmin => return Ok(Updated::LastAdmin),
        }
        for sql in BEFORE_FILES {
            self.delete_in_pieces(sql, id.0).await?;
        }
        self.release_files(id).await?;
        for sql in BEHIND_FILES {
            self.delete_in_pieces(sql, id.0).await?;
        }
        let delete = self.write(move |tx| {
            Box::pin(async move {
                let delete = query("DELETE FROM users WHERE id = ?").bind(id.0).execute(&mut tx.conn).await.map_err(refused)?;
                if delete.rows_affected() == 0 {
                    return Ok(Updated::Missing);
                }
                if let Some(entry) = &entry {
                    tx.audit(entry).await?;
                }
                Ok(Updated::Done(()))
            })
        });
        let gone = delete.await;
        self.inner.counts.forget_all();
        gone
    }

    /// Switches an endpoint off for good and writes down that it goes, for [`Store::delete_webhook`] to do; answers the job.
    /// `None` when it is not there.
    pub async fn begin_webhook_removal(&self, id: WebhookId) -> Result<Option<JobId>, StoreError> {
        self.write(move |tx| Box::pin(begin_webhook(tx, id))).await
    }

    /// Removes an endpoint with its deliveries, in pieces; false when it is not there.
    pub async fn delete_webhook(&self, id: WebhookId) -> Result<bool, StoreError> {
        self.delete_in_pieces(DELIVERIES, id.0).await?;
        Ok(self.delete_in_pieces("DELETE FROM webhook_endpoints WHERE id = ?", id.0).await? > 0)
    }

    /// Repeats a bounded delete, a transaction each, until nothing is left; answers how many rows went. No event tells of
    /// them, so counts are thrown away here.
    pub(crate) async fn delete_in_pieces(&self, sql: &'static str, owner: Uuid) -> Result<u64, StoreError> {
        let mut gone = 0;
        loop {
            let delete = self.write(move |tx| {
                Box::pin(
                    async move { query(sql).bind(owner).execute(&mut tx.conn).await.map(|done| done.rows_affected()).map_err(refused) },
                )
            });
            let gone_now = delete.await;
            self.inner.counts.forget_all();
            match gone_now? {
                0 => return Ok(gone),
                some => gone += some,
            }
        }
    }
}
