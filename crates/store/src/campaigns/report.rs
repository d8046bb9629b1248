//! Looking at recipients, and counting what became of them from their messages.

use super::CampaignRecipient;
use super::rows::RecipientRow;
use crate::dialect::{query_as, query_scalar, refused};
use crate::{Listed, Page, Store, StoreError};
use sanasend_model::campaign::{Funnel, WINDOW};
use sanasend_model::{CampaignId, RecipientState, SessionId, Timestamp};
use uuid::Uuid;

/// Which recipients to list; in their order.
#[derive(Debug, Clone, Default)]
pub struct RecipientFilter {
    /// Only in this state.
    pub state: Option<RecipientState>,
    /// Only those behind this place.
    pub after: i32,
}

/// Which recipients are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ahead {
    /// All whose turn has not come.
    All,
    /// Of them those who wrote to an account of the campaign that did not leave it.
    Known,
}

/// How a campaign got on, in all and by account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Funnels {
    /// In all.
    pub all: Funnel,
    /// What each account took: accepted, failed and answered.
    pub by_account: Vec<(SessionId, u64, u64, u64)>,
}

macro_rules! recipients {
    ($which:literal) => {
        concat!(
            "SELECT r.campaign_id AS campaign_id, r.ordinal AS ordinal, r.recipient AS recipient, r.variables AS variables, \
             r.state AS state, r.reason AS reason, r.detail AS detail, r.message_id AS message_id, r.session_id AS session_id, \
             r.accepted_at AS accepted_at, r.held_since AS held_since, r.held_until AS held_until, r.held_why AS held_why, \
             r.quiet_until AS quiet_until, r.quiet_why AS quiet_why, m.status AS message_status, m.error_code AS error_code FROM campaign_recipients r LEFT JOIN messages m ON m.id = r.message_id WHERE ",
            $which
        )
    };
}

const NEXT: &str = recipients!(
    "r.campaign_id = ? AND r.state = 0 AND r.ordinal > ? AND (r.quiet_until IS NULL OR r.quiet_until <= ?) ORDER BY r.ordinal LIMIT ?"
);
/// Of those the ones that wrote to an account of the campaign.
const NEXT_KNOWN: &str = recipients!(
    "r.campaign_id = ? AND r.state = 0 AND r.ordinal > ? AND (r.quiet_until IS NULL OR r.quiet_until <= ?) \
     AND EXISTS (SELECT 1 FROM campaign_accounts c WHERE c.campaign_id = r.campaign_id AND c.left_at IS NULL \
     AND (EXISTS (SELECT 1 FROM messages i WHERE i.session_id = c.session_id AND i.direction = 'inbound' AND i.chat = r.recipient) \
     OR EXISTS (SELECT 1 FROM messages i WHERE i.session_id = c.session_id AND i.direction = 'inbound' AND i.peer_lid = i.chat \
     AND i.peer_jid = r.recipient) \
     OR EXISTS (SELECT 1 FROM chat_aliases a JOIN messages i ON i.session_id = a.session_id AND i.chat = a.chat \
     AND i.direction = 'inbound' WHERE a.session_id = c.session_id AND a.asked = r.recipient))) ORDER BY r.ordinal LIMIT ?"
);
const ALL: &str = recipients!("r.campaign_id = ? AND r.ordinal > ? ORDER BY r.ordinal LIMIT ? OFFSET ?");
const IN_STATE: &str = recipients!("r.campaign_id = ? AND r.state = ? AND r.ordinal > ? ORDER BY r.ordinal LIMIT ? OFFSET ?");

const FUNNEL: &str = "SELECT r.state, r.reason, m.status, m.error_code, r.session_id, CAST(COUNT(*) AS BIGINT), \
    CAST(COALESCE(SUM(CASE WHEN m.id IS NOT NULL AND EXISTS (SELECT 1 FROM messages i WHERE i.session_id = m.session_id \
    AND i.chat = m.chat AND i.direction = 'inbound' AND i.created_at >= m.created_at) THEN 1 ELSE 0 END), 0) AS BIGINT) \
    FROM campaign_recipients r LEFT JOIN messages m ON m.id = r.message_id WHERE r.campaign_id = ? \
    GROUP BY r.state, r.reason, m.status, m.error_code, r.session_id";

type Group = (i16, Option<String>, Option<String>, Option<String>, Option<Uuid>, i64, i64);

fn number(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

fn add(funnels: &mut Funnels, group: Group) {
    let (state, reason, status, error_code, session, count, replied) = group;
    let (count, replied) = (number(count), number(replied));
    let all = &mut funnels.all;
    all.total += count;
    all.replied += replied;
    let mut failed = 0;
    match RecipientState::of(state) {
        None | Some(RecipientState::Planned) => all.planned += count,
        Some(RecipientState::Skipped) => *all.skipped.entry(reason.unwrap_or_default()).or_default() += count,
        Some(RecipientState::Accepted) => {
            all.accepted += count;
            match status.as_deref() {
                None => all.removed += count,
                Some("sent") => all.sent += count,
                Some("delivered") => all.delivered += count,
                Some("read" | "played") => all.read += count,
                Some("canceled") => all.canceled += count,
                Some("failed") => {
                    failed = count;
                    *all.failed.entry(error_code.unwrap_or_default()).or_default() += count;
                }
                Some(_) => all.pending += count,
            }
        }
    }
    let Some(session) = session.map(SessionId) else { return };
    match funnels.by_account.iter_mut().find(|(id, ..)| *id == session) {
        Some((_, accepted, failures, answers)) => {
            *accepted += count;
            *failures += failed;
            *answers += replied;
        }
        None => funnels.by_account.push((session, count, failed, replied)),
    }
}

impl Store {
    /// The recipients behind a place whose turn comes next, without those who were found asleep until later than `now`.
    pub async fn next_recipients(
        &self,
        id: CampaignId,
        whom: Ahead,
        behind: i32,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<CampaignRecipient>, StoreError> {
        let sql = if whom == Ahead::Known { NEXT_KNOWN } else { NEXT };
        let rows = query_as::<_, RecipientRow>(sql).bind(id.0).bind(behind).bind(now.0).bind(i64::from(limit));
        let rows = rows.fetch_all(&self.inner.readers);
        rows.await.map_err(refused)?.into_iter().map(RecipientRow::read).collect()
    }

    /// A page of the recipients, in their order. Without a filter the count is that of the campaign.
    pub async fn list_recipients(
        &self,
        id: CampaignId,
        filter: &RecipientFilter,
        page: Page,
    ) -> Result<Listed<CampaignRecipient>, StoreError> {
        let bound = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let (limit, offset) = (bound(page.page_size), bound(page.offset()));
        let (rows, count) = if let Some(state) = filter.state {
            let rows = query_as::<_, RecipientRow>(IN_STATE).bind(id.0).bind(state.number()).bind(filter.after);
            let sql = "SELECT COUNT(*) FROM campaign_recipients WHERE campaign_id = ? AND state = ?";
            let count = query_scalar::<_, i64>(sql).bind(id.0).bind(state.number()).fetch_one(&self.inner.readers);
            (rows.bind(limit).bind(offset), count.await.map_err(refused)?)
        } else {
            let rows = query_as::<_, RecipientRow>(ALL).bind(id.0).bind(filter.after);
            let count = query_scalar::<_, i64>("SELECT total FROM campaigns WHERE id = ?").bind(id.0);
            let count = count.fetch_optional(&self.inner.readers).await.map_err(refused)?;
            (rows.bind(limit).bind(offset), count.unwrap_or(0))
        };
        let rows = rows.fetch_all(&self.inner.readers).await.map_err(refused)?;
        let results = rows.into_iter().map(RecipientRow::read).collect::<Result<_, _>>()?;
        Ok(Listed { count: number(count), results })
    }

    /// Counts what became of the recipients. It reads every message of the campaign; callers keep the answer for a moment.
    pub async fn campaign_funnels(&self, id: CampaignId) -> Result<Funnels, StoreError> {
        let groups = query_as::<_, Group>(FUNNEL).bind(id.0).fetch_all(&self.inner.readers).await.map_err(refused)?;
        let mut funnels = Funnels::default();
        for group in groups {
            add(&mut funnels, group);
        }
        funnels.by_account.sort_unstable();
        Ok(funnels)
    }

    /// The last outcomes of the messages of a campaign behind a recipient, the newest first: account, and the error code where
    /// it failed. Those that were taken back have none.
    pub async fn campaign_outcomes(&self, id: CampaignId, behind: i32) -> Result<Vec<(SessionId, Option<String>)>, StoreError> {
        // What is on its way has no outcome; a few more are read in its place.
        let most = i64::try_from(WINDOW * 2).unwrap_or(100);
        let sql = "SELECT m.session_id, m.status, m.error_code FROM campaign_recipients r JOIN messages m ON m.id = r.message_id \
                   WHERE r.campaign_id = ? AND r.state = 1 AND r.ordinal > ? ORDER BY r.ordinal DESC LIMIT ?";
        let rows = query_as::<_, (Uuid, String, Option<String>)>(sql).bind(id.0).bind(behind).bind(most);
        let rows = rows.fetch_all(&self.inner.readers).await.map_err(refused)?;
        let settled = rows.into_iter().filter(|(_, status, _)| !matches!(status.as_str(), "pending" | "scheduled" | "canceled"));
        Ok(settled.map(|(session, status, code)| (SessionId(session), code.filter(|_| status == "failed"))).take(WINDOW).collect())
    }

    /// For each of these people, the accounts of the campaign to which they never wrote: pairs of recipient and account.
    pub async fn cold_contacts(&self, accounts: &[SessionId], recipients: &[String]) -> Result<Vec<(String, SessionId)>, StoreError> {
        let mut cold = Vec::new();
        let sql = "SELECT CASE WHEN EXISTS (SELECT 1 FROM messages WHERE session_id = ? AND direction = 'inbound' AND chat = ?) \
                   OR EXISTS (SELECT 1 FROM messages WHERE session_id = ? AND direction = 'inbound' AND peer_lid = chat AND peer_jid = ?) \
                   OR EXISTS (SELECT 1 FROM chat_aliases a JOIN messages m ON m.session_id = a.session_id AND m.chat = a.chat \
                   AND m.direction = 'inbound' WHERE a.session_id = ? AND a.asked = ?) THEN 1 ELSE 0 END";
        for account in accounts {
            for recipient in recipients {
                let mut warm = query_scalar::<_, i32>(sql);
                for _ in 0..3 {
                    warm = warm.bind(account.0).bind(recipient.as_str());
                }
                if warm.fetch_one(&self.inner.readers).await.map_err(refused)? == 0 {
                    cold.push((recipient.clone(), *account));
                }
            }
        }
        Ok(cold)
    }
}
