//! What each linked account sent and got, by the hour: the base of pacing and of the health of accounts.
//!
//! Written with the news that it counts, in the same transaction. What has no outcome yet is not counted here but in the
//! outbox, so that the two together are everything that an account has sent or is about to.

use crate::dialect::{On, Rows, pieces, query, query_as, query_scalar, refused};
use crate::events::NewEvent;
use crate::rows::{Place, from_row};
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::pacing::{Account, Figures, Level, Policy, alarm, health};
use sanasend_model::{EventKind, Network, Reason, SessionId, SessionStatus, Timestamp, UserId};
use serde_json::json;
use uuid::Uuid;

/// Hours of a day.
const HOURS: i32 = 24;
/// Messages that the share of answers is taken of, the last ones.
const ANSWERS_OF: i64 = 1000;
/// Rows that a sweep removes in one transaction.
const PIECE: i64 = 1000;

/// Counts of an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AccountCounts {
    /// Messages that WhatsApp took.
    pub sent: i64,
    /// Messages that failed.
    pub failed: i64,
    /// Messages that came in.
    pub received: i64,
    /// Messages of campaigns to people who never wrote to the account.
    pub cold: i64,
}

impl AccountCounts {
    /// Adds counts to counts.
    pub fn add(&mut self, more: Self) {
        self.sent += more.sent;
        self.failed += more.failed;
        self.received += more.received;
        self.cold += more.cold;
    }
}

/// An account as pacing and its health need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PacedAccount {
    /// The account.
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// Its name.
    pub name: String,
    /// Its network.
    pub network: Network,
    /// Its status as it was written down.
    pub status: SessionStatus,
    /// Why it is so.
    pub reason: Option<Reason>,
    /// What is sent, waits, and may be sent.
    pub account: Account,
    /// What else is known of today.
    pub figures: Figures,
    /// How it fared when that was last told.
    pub level: Option<Level>,
}

struct Row {
    id: Uuid,
    user_id: Uuid,
    name: String,
    network: String,
    status: String,
    reason_code: Option<String>,
    reason: Option<String>,
    linked: bool,
    linked_at: i64,
    limited_until: Option<i64>,
    next_at: Option<i64>,
    refused_at: Option<i64>,
    level: Option<String>,
    this_hour: i64,
    sent_today: i64,
    failed_today: i64,
    cold_today: i64,
    waiting: i64,
    on_the_way: i64,
}

from_row!("sessions": Row {
    id,
    user_id,
    name,
    network,
    status,
    reason_code,
    reason,
    linked,
    linked_at,
    limited_until,
    next_at,
    refused_at,
    level,
    this_hour,
    sent_today,
    failed_today,
    cold_today,
    waiting,
    on_the_way
});

impl Row {
    fn read(self) -> Result<PacedAccount, StoreError> {
        let id = SessionId(self.id);
        let place = Place { table: "sessions", row: &id };
        let count = |count: i64| u32::try_from(count.max(0)).unwrap_or(u32::MAX);
        let status: SessionStatus = place.name("status", &self.status)?;
        let reason = place.reason("reason_code", self.reason_code.as_deref(), self.reason)?;
        let account = Account {
            linked_at: Timestamp(self.linked_at),
            connected: status == SessionStatus::Connected,
            this_hour: count(self.this_hour + self.waiting),
            today: count(self.sent_today + self.failed_today + self.waiting),
            cold_today: count(self.cold_today),
            on_the_way: count(self.on_the_way),
            next_at: self.next_at.map(Timestamp),
        };
        let figures = Figures {
            linked: self.linked,
            sent: u64::from(count(self.sent_today)),
            failed: u64::from(count(self.failed_today)),
            limited_until: self.limited_until.map(Timestamp),
            warning: reason.as_ref().filter(|reason| reason.code.is_warning()).map(ToString::to_string),
            refused_at: self.refused_at.map(Timestamp),
        };
        let level = self.level.as_deref().and_then(|level| level.parse().ok());
        let (user_id, network) = (UserId(self.user_id), place.name("network", &self.network)?);
        Ok(PacedAccount { id, user_id, name: self.name, network, status, reason, account, figures, level })
    }
}

macro_rules! accounts {
    ($which:literal) => {
        concat!(
            "SELECT s.id AS id, s.user_id AS user_id, s.name AS name, s.network AS network, s.status AS status, \
             s.reason_code AS reason_code, s.reason AS reason, s.linked AS linked, \
             COALESCE(s.linked_at, s.created_at) AS linked_at, s.limited_until AS limited_until, \
             p.next_at AS next_at, p.refused_at AS refused_at, p.level AS level, \
             CAST(COALESCE((SELECT SUM(sent + failed) FROM account_hours WHERE session_id = s.id AND hour = ?), 0) AS BIGINT) AS this_hour, \
             CAST(COALESCE((SELECT SUM(sent) FROM account_hours WHERE session_id = s.id AND hour >= ?), 0) AS BIGINT) AS sent_today, \
             CAST(COALESCE((SELECT SUM(failed) FROM account_hours WHERE session_id = s.id AND hour >= ?), 0) AS BIGINT) AS failed_today, \
             CAST(COALESCE((SELECT SUM(cold) FROM account_hours WHERE session_id = s.id AND hour >= ?), 0) AS BIGINT) AS cold_today, \
             CAST((SELECT COUNT(*) FROM outbox WHERE outbox.session_id = s.id) AS BIGINT) AS waiting, \
             CAST((SELECT COUNT(*) FROM outbox o JOIN campaign_recipients r ON r.message_id = o.message_id \
             WHERE o.session_id = s.id) AS BIGINT) AS on_the_way \
             FROM sessions s LEFT JOIN account_pace p ON p.session_id = s.id WHERE ",
            $which
        )
    };
}

const OF_CAMPAIGN: &str = accounts!("s.id IN (SELECT session_id FROM campaign_accounts WHERE campaign_id = ?) ORDER BY s.id");
const ONE: &str = accounts!("s.id = ?");
const LINKED: &str = accounts!("(s.linked OR p.level IS NOT NULL) AND s.id > ? ORDER BY s.id LIMIT 500");

async fn read<'c>(on: impl Into<On<'c>>, sql: &'static str, now: Timestamp, id: Uuid) -> Result<Vec<PacedAccount>, StoreError> {
    let midnight = now.day().saturating_mul(HOURS);
    let select = query_as::<_, Row>(sql).bind(now.hour()).bind(midnight).bind(midnight).bind(midnight).bind(id);
    select.fetch_all(on).await.map_err(refused)?.into_iter().map(Row::read).collect()
}

static ADD: Rows = Rows::new(
    "INSERT INTO account_hours (session_id, hour, sent, failed, received, cold) VALUES ",
    "(?, ?, ?, ?, ?, ?)",
    " ON CONFLICT (session_id, hour) DO UPDATE SET sent = account_hours.sent + excluded.sent, \
     failed = account_hours.failed + excluded.failed, received = account_hours.received + excluded.received, \
     cold = account_hours.cold + excluded.cold",
);

impl Tx {
    /// The accounts of a campaign, those included that left it.
    pub(crate) async fn accounts_of_campaign(&mut self, campaign: Uuid) -> Result<Vec<PacedAccount>, StoreError> {
        let now = self.clock.now();
        read(&mut self.conn, OF_CAMPAIGN, now, campaign).await
    }

    /// Adds to the present hour of accounts.
    pub(crate) async fn add_account_hours(&mut self, more: Vec<(SessionId, AccountCounts)>) -> Result<(), StoreError> {
        let hour = self.clock.now().hour();
        let more: Vec<_> = more.into_iter().filter(|(_, counts)| *counts != AccountCounts::default()).collect();
        for piece in pieces(&more) {
            let mut add = query(ADD.sql(piece.len()));
            for (session, counts) in piece {
                add = add.bind(session.0).bind(hour).bind(counts.sent).bind(counts.failed).bind(counts.received).bind(counts.cold);
            }
            add.execute(&mut self.conn).await.map_err(refused)?;
        }
        Ok(())
    }

    /// Looks whether WhatsApp limits an account or it is unlinked, and tells it at once; everything else about accounts is
    /// looked at every minute.
    pub(crate) async fn raise_alarm(&mut self, id: SessionId) -> Result<(), StoreError> {
        let now = self.clock.now();
        let Some(paced) = read(&mut self.conn, ONE, now, id.0).await?.pop() else { return Ok(()) };
        match alarm(&paced.figures, now) {
            // One that was never linked is no news.
            Some((Level::Unlinked, _)) if paced.level.is_none() => Ok(()),
            Some((level, sentence)) => self.note_health(&paced, level, &sentence).await.map(drop),
            None => Ok(()),
        }
    }

    /// Remembers that WhatsApp refused a message of an account to somebody who never wrote to it, and tells it.
    pub(crate) async fn note_refusal(&mut self, id: SessionId) -> Result<(), StoreError> {
        let sql = "INSERT INTO account_pace (session_id, refused_at) VALUES (?, ?) ON CONFLICT (session_id) DO UPDATE \
                   SET refused_at = excluded.refused_at";
        query(sql).bind(id.0).bind(self.clock.now().0).execute(&mut self.conn).await.map_err(refused)?;
        self.raise_alarm(id).await
    }

    /// Remembers how an account fares, and tells it when that is another level than before.
    async fn note_health(&mut self, paced: &PacedAccount, level: Level, sentence: &str) -> Result<bool, StoreError> {
        if paced.level == Some(level) {
            return Ok(false);
        }
        let now = self.clock.now();
        let sql = "INSERT INTO account_pace (session_id, level, level_at) VALUES (?, ?, ?) ON CONFLICT (session_id) DO UPDATE \
                   SET level = excluded.level, level_at = excluded.level_at";
        let insert = query(sql).bind(paced.id.0).bind(level.as_str()).bind(now.0);
        insert.execute(&mut self.conn).await.map_err(refused)?;
        // That a new account is well or warms up is no news.
        if paced.level.is_none() && matches!(level, Level::Good | Level::WarmingUp) {
            return Ok(false);
        }
        let data = json!({"session": {
            "id": paced.id,
            "name": paced.name,
            "health": level,
            "before": paced.level,
            "sentence": sentence,
            "limited_until": paced.figures.limited_until,
            "sent_today": paced.figures.sent,
            "failed_today": paced.figures.failed,
            "at": now,
        }});
        let kind = EventKind::SessionHealthChanged;
        self.record(vec![NewEvent { user_id: paced.user_id, session_id: Some(paced.id), kind, message_id: None, data, at: now }]).await?;
        Ok(true)
    }
}

/// How many conversations an account began lately, and how many of them were answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answers {
    /// People and groups that were written to.
    pub written_to: u64,
    /// Those of them that wrote afterwards.
    pub answered: u64,
}

impl Store {
    /// An account as pacing sees it.
    pub async fn paced_account(&self, id: SessionId) -> Result<Option<PacedAccount>, StoreError> {
        Ok(read(&self.inner.readers, ONE, self.inner.clock.now(), id.0).await?.pop())
    }

    /// Counts of an account by UTC hour from `from` on, oldest first; hours without any are left out.
    pub async fn account_hours(&self, id: SessionId, from: i32) -> Result<Vec<(i32, AccountCounts)>, StoreError> {
        let sql = "SELECT hour, sent, failed, received, cold FROM account_hours WHERE session_id = ? AND hour >= ? ORDER BY hour";
        let rows = query_as::<_, (i32, i64, i64, i64, i64)>(sql).bind(id.0).bind(from).fetch_all(&self.inner.readers);
        let counts = |(hour, sent, failed, received, cold)| (hour, AccountCounts { sent, failed, received, cold });
        Ok(rows.await.map_err(refused)?.into_iter().map(counts).collect())
    }

    /// Of those whom an account wrote to since `since` (by its last 1,000 messages), how many answered.
    pub async fn account_answers(&self, user: UserId, id: SessionId, since: Timestamp) -> Result<Answers, StoreError> {
        let sql = "SELECT CAST(COUNT(*) AS BIGINT), CAST(COALESCE(SUM(CASE WHEN EXISTS (SELECT 1 FROM messages i WHERE i.session_id = ? \
                   AND i.chat = w.chat AND i.direction = 'inbound' AND i.created_at >= w.first_at) THEN 1 ELSE 0 END), 0) AS BIGINT) \
                   FROM (SELECT chat, MIN(created_at) AS first_at FROM (SELECT chat, created_at FROM messages WHERE user_id = ? \
                   AND created_at >= ? AND session_id = ? AND direction = 'outbound' AND status <> 'failed' \
                   ORDER BY created_at DESC, seq DESC LIMIT ?) AS last GROUP BY chat) AS w";
        let count = query_as::<_, (i64, i64)>(sql).bind(id.0).bind(user.0).bind(since.0).bind(id.0).bind(ANSWERS_OF);
        let (written_to, answered) = count.fetch_one(&self.inner.readers).await.map_err(refused)?;
        let number = |count: i64| u64::try_from(count).unwrap_or(0);
        Ok(Answers { written_to: number(written_to), answered: number(answered) })
    }

    /// Judges all linked accounts, and tells of those that fare otherwise than before; answers how many.
    pub async fn check_account_health(&self, policy: &Policy) -> Result<u64, StoreError> {
        let (mut told, mut behind) = (0, Uuid::nil());
        loop {
            let now = self.inner.clock.now();
            let accounts = read(&self.inner.readers, LINKED, now, behind).await?;
            let Some(last) = accounts.last() else { return Ok(told) };
            behind = last.id.0;
            let judged = accounts.into_iter().map(|paced| (health(policy, &paced.account, &paced.figures, now), paced));
            let changed: Vec<_> = judged.filter(|(health, paced)| paced.level != Some(health.level)).collect();
            if changed.is_empty() {
                continue;
            }
            told += self
                .write(move |tx| {
                    Box::pin(async move {
                        let mut told = 0;
                        for (health, paced) in &changed {
                            // It may have been deleted in the meantime.
                            let there = query_scalar::<_, i64>("SELECT COUNT(*) FROM sessions WHERE id = ?").bind(paced.id.0);
                            if there.fetch_one(&mut tx.conn).await.map_err(refused)? > 0 {
                                told += u64::from(tx.note_health(paced, health.level, &health.sentence).await?);
                            }
                        }
                        Ok(told)
                    })
                })
                .await?;
        }
    }

    /// Removes the counts of accounts from before `before`; answers how many hours.
    pub async fn sweep_account_hours(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut gone = 0;
        loop {
            let piece = self.write(move |tx| {
                Box::pin(async move {
                    let sql = "DELETE FROM account_hours WHERE (session_id, hour) IN \
                               (SELECT session_id, hour FROM account_hours WHERE hour < ? LIMIT ?)";
                    let delete = query(sql).bind(before.hour()).bind(PIECE).execute(&mut tx.conn).await;
                    delete.map(|done| done.rows_affected()).map_err(refused)
                })
            });
            match piece.await? {
                0 => return Ok(gone),
                some => gone += some,
            }
        }
    }
}
