//! Removing what may be much: that it goes is written down first, as a job, and then it goes in pieces.
//!
//! Apart from users and webhooks because both take longer than a request may: who asked may be gone, and the process too;
//! the job goes on. Pieces are small, so that whoever writes beside them gets a turn.

use crate::audit::AuditEntry;
use crate::dialect::{query, query_as, query_scalar, refused};
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

/// What a user has, of which there may be much; each statement removes a piece. What hangs on others goes before them.
const BEFORE_MESSAGES: &[&str] = &[
    // Before the events: what is to be posted of them.
    "DELETE FROM webhook_deliveries WHERE seq IN (SELECT d.seq FROM webhook_endpoints e JOIN webhook_deliveries d ON d.endpoint_id = e.id \
     WHERE e.user_id = ? LIMIT 500)",
    "DELETE FROM jobs WHERE seq IN (SELECT seq FROM jobs WHERE user_id = ? LIMIT 1000)",
];
const BEHIND_MESSAGES: &[&str] = &[
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
    "DELETE FROM campaign_accounts WHERE (campaign_id, session_id) IN (SELECT a.campaign_id, a.session_id FROM campaigns c \
     JOIN campaign_accounts a ON a.campaign_id = c.id WHERE c.user_id = ? LIMIT 1000)",
    "DELETE FROM campaigns WHERE id IN (SELECT id FROM campaigns WHERE user_id = ? LIMIT 500)",
    "DELETE FROM recurring WHERE id IN (SELECT id FROM recurring WHERE user_id = ? LIMIT 500)",
    "DELETE FROM template_versions WHERE (template_id, version) IN (SELECT v.template_id, v.version FROM templates t \
     JOIN template_versions v ON v.template_id = t.id WHERE t.user_id = ? LIMIT 500)",
    "DELETE FROM templates WHERE id IN (SELECT id FROM templates WHERE user_id = ? LIMIT 500)",
    // These hold the bytes of files.
    "DELETE FROM import_pieces WHERE (import_id, begins) IN (SELECT p.import_id, p.begins FROM contact_imports i \
     JOIN import_pieces p ON p.import_id = i.id WHERE i.user_id = ? LIMIT 50)",
    "DELETE FROM import_faults WHERE (import_id, number) IN (SELECT f.import_id, f.number FROM contact_imports i \
     JOIN import_faults f ON f.import_id = i.id WHERE i.user_id = ? LIMIT 1000)",
    "DELETE FROM contact_imports WHERE id IN (SELECT id FROM contact_imports WHERE user_id = ? LIMIT 500)",
    "DELETE FROM usage_daily WHERE (user_id, day) IN (SELECT user_id, day FROM usage_daily WHERE user_id = ? LIMIT 1000)",
    "DELETE FROM cookies WHERE digest IN (SELECT k.digest FROM logins l JOIN cookies k ON k.login_id = l.id WHERE l.user_id = ? LIMIT 1000)",
    "DELETE FROM refresh_tokens WHERE digest IN (SELECT t.digest FROM logins l JOIN refresh_tokens t ON t.login_id = l.id \
     WHERE l.user_id = ? LIMIT 1000)",
    "DELETE FROM logins WHERE id IN (SELECT id FROM logins WHERE user_id = ? LIMIT 1000)",
    "DELETE FROM api_keys WHERE id IN (SELECT id FROM api_keys WHERE user_id = ? LIMIT 1000)",
    "DELETE FROM webhook_endpoints WHERE id IN (SELECT id FROM webhook_endpoints WHERE user_id = ? LIMIT 100)",
    "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE user_id = ? LIMIT 100)",
    // Due for the next sweep, which removes the bytes and then the rows.
    "UPDATE files SET used_at = 0 WHERE id IN (SELECT id FROM files WHERE user_id = ? AND used_at <> 0 LIMIT 500)",
    "DELETE FROM contacts WHERE seq IN (SELECT seq FROM contacts WHERE user_id = ? LIMIT 500)",
    "DELETE FROM opt_outs WHERE seq IN (SELECT seq FROM opt_outs WHERE user_id = ? LIMIT 1000)",
];

/// How messages go: first what the members of groups told of the next ones, which may be a thousand rows for each, then these
/// messages.
pub(crate) struct MessagePieces {
    receipts: &'static str,
    messages: &'static str,
}

const OF_USER: MessagePieces = MessagePieces {
    receipts: "DELETE FROM receipts WHERE (message_id, participant) IN (SELECT message_id, participant FROM receipts WHERE message_id IN \
               (SELECT id FROM messages WHERE user_id = ? ORDER BY created_at, seq LIMIT 500) LIMIT 1000)",
    messages: "DELETE FROM messages WHERE seq IN (SELECT seq FROM messages WHERE user_id = ? ORDER BY created_at, seq LIMIT 500)",
};

/// The messages of an account.
pub(crate) const OF_SESSION: MessagePieces = MessagePieces {
    receipts: "DELETE FROM receipts WHERE (message_id, participant) IN (SELECT message_id, participant FROM receipts WHERE message_id IN \
               (SELECT id FROM messages WHERE session_id = ? ORDER BY wa_message_id, chat, sender LIMIT 500) LIMIT 1000)",
    messages: "DELETE FROM messages WHERE seq IN \
               (SELECT seq FROM messages WHERE session_id = ? ORDER BY wa_message_id, chat, sender LIMIT 500)",
};

const DELIVERIES: &str = "DELETE FROM webhook_deliveries WHERE seq IN (SELECT seq FROM webhook_deliveries WHERE endpoint_id = ? LIMIT 500)";

/// Jobs of one lane run one after the other: to ask twice removes nothing twice.
fn job(kind: &'static str, id: Uuid, user_id: Option<UserId>, payload: serde_json::Value, tx: &Tx) -> NewJob {
    NewJob { kind, lane: Some(format!("{kind}/{id}")), bundle: None, user_id, payload, due_at: tx.clock.now() }
}

async fn enqueue(tx: &mut Tx, job: NewJob) -> Result<JobId, StoreError> {
    tx.enqueue(&[job]).await?.first().copied().ok_or_else(|| StoreError::Unavailable("a job was not written".into()))
}

/// Notes that a user goes: from here on nothing of it can be changed, and only the end of the removal ends that.
async fn close_user(tx: &mut Tx, id: UserId) -> Result<Updated<User>, StoreError> {
    if users::is_last_admin(tx, id).await? {
        return Ok(Updated::LastAdmin);
    }
    let now = tx.clock.now();
    let sql = "UPDATE users SET is_active = FALSE, removal_at = ?, updated_at = ? WHERE id = ? AND removal_at IS NULL";
    query(sql).bind(now.0).bind(now.0).bind(id.0).execute(&mut tx.conn).await.map_err(refused)?;
    Ok(users::find(&mut tx.conn, id).await?.map_or(Updated::Missing, Updated::Done))
}

async fn begin_user(tx: &mut Tx, id: UserId, actor: UserId, ip: IpAddr) -> Result<Updated<(User, JobId)>, StoreError> {
    let user = match close_user(tx, id).await? {
        Updated::Done(user) => user,
        Updated::Missing => return Ok(Updated::Missing),
        Updated::LastAdmin => return Ok(Updated::LastAdmin),
        Updated::BeingRemoved => return Ok(Updated::BeingRemoved),
    };
    let payload = json!({"user": id, "username": user.username, "actor": actor, "ip": ip});
    // It is of nobody: what is of the user goes with the user.
    let job = job(REMOVE_USER_JOB, id.0, None, payload, tx);
    Ok(Updated::Done((user, enqueue(tx, job).await?)))
}

/// Writes jobs for users whose removal has begun and that no job is to end.
async fn resume_users(tx: &mut Tx) -> Result<u64, StoreError> {
    let going = query_as::<_, (Uuid, String)>("SELECT id, username FROM users WHERE removal_at IS NOT NULL").fetch_all(&mut tx.conn);
    let mut resumed = 0;
    for (id, username) in going.await.map_err(refused)? {
        let payload = json!({"user": UserId(id), "username": username, "actor": null, "ip": null});
        let job = job(REMOVE_USER_JOB, id, None, payload, tx);
        let there = query_scalar::<_, i64>("SELECT COUNT(*) FROM jobs WHERE lane = ? AND state <> 2").bind(job.lane.as_deref());
        if there.fetch_one(&mut tx.conn).await.map_err(refused)? == 0 {
            enqueue(tx, job).await?;
            resumed += 1;
        }
    }
    Ok(resumed)
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
        match self.write(move |tx| Box::pin(close_user(tx, id))).await? {
            Updated::Done(_) => {}
            Updated::Missing => return Ok(Updated::Missing),
            Updated::LastAdmin => return Ok(Updated::LastAdmin),
            Updated::BeingRemoved => return Ok(Updated::BeingRemoved),
        }
        for &sql in BEFORE_MESSAGES {
            self.delete_in_pieces(sql, id.0).await?;
        }
        self.delete_messages(&OF_USER, id.0).await?;
        for &sql in BEHIND_MESSAGES {
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

    /// Has the removal of users gone on with that was cut, and that no job is to end: it was a command's own, or its job was
    /// given up. Answers how many there are.
    pub async fn resume_user_removals(&self) -> Result<u64, StoreError> {
        let going = query_scalar::<_, i64>("SELECT COUNT(*) FROM users WHERE removal_at IS NOT NULL");
        if going.fetch_one(&self.inner.readers).await.map_err(refused)? == 0 {
            return Ok(0);
        }
        self.write(move |tx| Box::pin(resume_users(tx))).await
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

    /// Removes messages in pieces.
    pub(crate) async fn delete_messages(&self, pieces: &MessagePieces, owner: Uuid) -> Result<(), StoreError> {
        loop {
            self.delete_in_pieces(pieces.receipts, owner).await?;
            if self.delete_piece(pieces.messages, owner).await? == 0 {
                return Ok(());
            }
        }
    }

    /// Repeats a bounded delete, a transaction each, until nothing is left; answers how many rows went.
    pub(crate) async fn delete_in_pieces(&self, sql: &'static str, owner: Uuid) -> Result<u64, StoreError> {
        let mut gone = 0;
        loop {
            match self.delete_piece(sql, owner).await? {
                0 => return Ok(gone),
                some => gone += some,
            }
        }
    }

    /// One piece. No event tells of it, so counts are thrown away here.
    async fn delete_piece(&self, sql: &'static str, owner: Uuid) -> Result<u64, StoreError> {
        let delete = self.write(move |tx| {
            Box::pin(async move { query(sql).bind(owner).execute(&mut tx.conn).await.map(|done| done.rows_affected()).map_err(refused) })
        });
        let gone = delete.await;
        self.inner.counts.forget_all();
        gone
    }
}
