//! What owners do with a campaign, and how it ends by itself.

use super::{CAMPAIGN_JOB, Campaign, find};
use crate::dialect::{query, query_as, query_scalar, refused};
use crate::jobs::NewJob;
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::campaign::{CampaignWish, Skip};
use sanasend_model::{CampaignId, CampaignState, EventKind, Jid, Timestamp, UserId};
use serde_json::json;

impl Tx {
    /// Writes the next turn of a campaign down: one job, known by its number. The job of an older number does nothing.
    pub(super) async fn next_turn(&mut self, campaign: &Campaign, step: i64, due_at: Timestamp) -> Result<(), StoreError> {
        let payload = json!({"campaign": campaign.id, "step": step});
        let job = NewJob {
            kind: CAMPAIGN_JOB,
            lane: None,
            bundle: Some(campaign.user_id.to_string()),
            user_id: Some(campaign.user_id),
            payload,
            due_at,
        };
        self.enqueue(&[job]).await.map(drop)
    }

    /// Ends a campaign or a part of its life, and tells it.
    pub(super) async fn close_campaign(
        &mut self,
        id: CampaignId,
        state: CampaignState,
        reason: Option<&str>,
        kind: EventKind,
    ) -> Result<Campaign, StoreError> {
        let now = self.clock.now();
        let ended = (state.is_over() || state == CampaignState::Stopped).then_some(now.0);
        let sql = "UPDATE campaigns SET state = ?, reason = ?, step = step + 1, held_until = NULL, held_why = NULL, ended_at = ?, \
                   updated_at = ? WHERE id = ?";
        let update = query(sql).bind(state.as_str()).bind(reason).bind(ended).bind(now.0).bind(id.0);
        update.execute(&mut self.conn).await.map_err(refused)?;
        let campaign = find(&mut self.conn, id).await?.ok_or_else(super::gone)?;
        self.record(vec![campaign.event(kind, now)]).await?;
        Ok(campaign)
    }
}

/// Outcome of a wish.
#[derive(Debug, Clone, PartialEq)]
pub enum CampaignChanged {
    /// Done; the campaign as it is now.
    Done(Box<Campaign>),
    /// There is none.
    Missing,
    /// Not possible as it stands.
    WrongState(CampaignState),
}

async fn run(tx: &mut Tx, before: Campaign, wish: CampaignWish) -> Result<Campaign, StoreError> {
    let (id, now) = (before.id, tx.clock.now());
    // Accounts that had left may be well again; whether they are is looked at in the next turn. What failed before counts
    // no more.
    let back = query("UPDATE campaign_accounts SET left_at = NULL, left_why = NULL WHERE campaign_id = ?").bind(id.0);
    back.execute(&mut tx.conn).await.map_err(refused)?;
    let sql = "UPDATE campaigns SET state = 'running', reason = NULL, step = step + 1, started_at = COALESCE(started_at, ?), \
               ended_at = NULL, held_until = NULL, held_why = NULL, updated_at = ?, judged_from = CASE WHEN state = 'stopped' THEN \
               COALESCE((SELECT MAX(ordinal) FROM campaign_recipients WHERE campaign_id = ? AND state = 1), 0) ELSE judged_from END \
               WHERE id = ?";
    let update = query(sql).bind(now.0).bind(now.0).bind(id.0).bind(id.0);
    update.execute(&mut tx.conn).await.map_err(refused)?;
    let campaign = find(&mut tx.conn, id).await?.ok_or_else(super::gone)?;
    let kind = if wish == CampaignWish::Start { EventKind::CampaignStarted } else { EventKind::CampaignResumed };
    tx.record(vec![campaign.event(kind, now)]).await?;
    tx.next_turn(&campaign, campaign.step, now).await?;
    Ok(campaign)
}

async fn erase(tx: &mut Tx, campaign: uuid::Uuid, ordinal: i32) -> Result<(), StoreError> {
    let sql = "UPDATE campaign_recipients SET state = 2, reason = ? WHERE campaign_id = ? AND ordinal = ? AND state = 0";
    let skip = query(sql).bind(Skip::Erased.as_str()).bind(campaign).bind(ordinal).execute(&mut tx.conn).await.map_err(refused)?;
    if skip.rows_affected() > 0 {
        let sql = "UPDATE campaigns SET skipped = skipped + 1 WHERE id = ?";
        query(sql).bind(campaign).execute(&mut tx.conn).await.map_err(refused)?;
    }
    let sql = "UPDATE campaign_recipients SET recipient = 'erased', variables = NULL, detail = NULL WHERE campaign_id = ? AND ordinal = ?";
    query(sql).bind(campaign).bind(ordinal).execute(&mut tx.conn).await.map(drop).map_err(refused)
}

async fn change(tx: &mut Tx, id: CampaignId, wish: CampaignWish) -> Result<CampaignChanged, StoreError> {
    let Some(before) = find(&mut tx.conn, id).await? else { return Ok(CampaignChanged::Missing) };
    let Some(state) = before.state.after(wish) else { return Ok(CampaignChanged::WrongState(before.state)) };
    let changed = match wish {
        CampaignWish::Start | CampaignWish::Resume => run(tx, before, wish).await?,
        CampaignWish::Pause => tx.close_campaign(id, state, None, EventKind::CampaignPaused).await?,
        CampaignWish::Cancel => tx.close_campaign(id, state, None, EventKind::CampaignCanceled).await?,
    };
    Ok(CampaignChanged::Done(Box::new(changed)))
}

/// Makes the turn of a campaign that has no job for it; says whether it did.
async fn wake(tx: &mut Tx, id: CampaignId) -> Result<bool, StoreError> {
    let Some(campaign) = find(&mut tx.conn, id).await?.filter(|campaign| campaign.state == CampaignState::Running) else {
        return Ok(false);
    };
    // A turn that fails is tried again by its own job: another one beside it would do no better. Turns have no lane, so each
    // that is not given up is a head, and heads have the index.
    let sql = "SELECT payload FROM jobs WHERE head AND kind = ? AND bundle = ? AND state <> 2";
    let jobs = query_scalar::<_, String>(sql).bind(CAMPAIGN_JOB).bind(campaign.user_id.to_string());
    let jobs = jobs.fetch_all(&mut tx.conn).await.map_err(refused)?;
    let (wanted, now) = (json!({"campaign": id, "step": campaign.step}), tx.clock.now());
    if jobs.iter().any(|payload| serde_json::from_str::<serde_json::Value>(payload).is_ok_and(|payload| payload == wanted)) {
        return Ok(false);
    }
    tx.next_turn(&campaign, campaign.step, now).await.map(|()| true)
}

async fn stop_unreadable(tx: &mut Tx, id: CampaignId, reason: String) -> Result<bool, StoreError> {
    let now = tx.clock.now();
    let sql = "UPDATE campaigns SET state = 'stopped', reason = ?, step = step + 1, held_until = NULL, held_why = NULL, ended_at = ?, \
               updated_at = ? WHERE id = ? AND state = 'running'";
    let update = query(sql).bind(reason).bind(now.0).bind(now.0).bind(id.0).execute(&mut tx.conn).await.map_err(refused)?;
    if update.rows_affected() == 0 {
        return Ok(false);
    }
    match find(&mut tx.conn, id).await {
        Ok(Some(campaign)) => drop(tx.record(vec![campaign.event(EventKind::CampaignStopped, now)]).await?),
        // Nothing can be told of it.
        Ok(None) | Err(StoreError::Corrupt { .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(true)
}

impl Store {
    /// Starts, pauses, resumes or cancels a campaign, with its event, in one transaction.
    pub async fn change_campaign(&self, id: CampaignId, wish: CampaignWish) -> Result<CampaignChanged, StoreError> {
        self.write(move |tx| Box::pin(change(tx, id, wish))).await
    }

    /// Makes a turn of running campaigns that had none since `before` and have no job for it: it was dropped or given up. One
    /// that can't be read is stopped. Answers how many turns were made.
    pub async fn wake_campaigns(&self, before: Timestamp) -> Result<u64, StoreError> {
        let sql = "SELECT id FROM campaigns WHERE state = 'running' AND updated_at < ?";
        let quiet = query_scalar::<_, uuid::Uuid>(sql).bind(before.0).fetch_all(&self.inner.readers).await.map_err(refused)?;
        let mut woken = 0;
        for id in quiet.into_iter().map(CampaignId) {
            match self.write(move |tx| Box::pin(wake(tx, id))).await {
                Ok(made) => woken += u64::from(made),
                Err(error @ StoreError::Corrupt { .. }) => drop(self.stop_unreadable_campaign(id, &error).await?),
                Err(error) => return Err(error),
            }
        }
        Ok(woken)
    }

    /// Stops a running campaign of which something can't be read, with that as the reason; its event is told unless it is the
    /// campaign itself. False when it does not run.
    pub async fn stop_unreadable_campaign(&self, id: CampaignId, error: &StoreError) -> Result<bool, StoreError> {
        tracing::error!(campaign = %id, %error, "what is stored for a campaign can't be read; it is stopped");
        let reason = format!("What is stored for it can't be read: {error}.");
        self.write(move |tx| Box::pin(stop_unreadable(tx, id, reason))).await
    }

    /// Takes a person out of the lists of a user's campaigns: who is still planned is skipped, and of the others only their
    /// place stays. Answers how many places.
    pub(crate) async fn erase_recipients(&self, user: UserId, handles: &[Jid]) -> Result<u64, StoreError> {
        let mut found: Vec<(uuid::Uuid, i32)> = Vec::new();
        for handle in handles {
            let sql = "SELECT r.campaign_id, r.ordinal FROM campaigns c JOIN campaign_recipients r ON r.campaign_id = c.id \
                       WHERE c.user_id = ? AND r.recipient = ?";
            let rows = query_as::<_, (uuid::Uuid, i32)>(sql).bind(user.0).bind(handle.as_str()).fetch_all(&self.inner.readers);
            found.extend(rows.await.map_err(refused)?);
        }
        let count = found.len() as u64;
        for (campaign, ordinal) in found {
            self.write(move |tx| Box::pin(erase(tx, campaign, ordinal))).await?;
        }
        Ok(count)
    }

    /// Says that all recipients of a campaign are written down. `None` when it is gone or was complete before.
    pub async fn complete_campaign(&self, id: CampaignId) -> Result<Option<Campaign>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "UPDATE campaigns SET state = 'draft', updated_at = ? WHERE id = ? AND state = 'planning'";
                let done = query(sql).bind(tx.clock.now().0).bind(id.0).execute(&mut tx.conn).await.map_err(refused)?;
                if done.rows_affected() == 0 { Ok(None) } else { find(&mut tx.conn, id).await }
            })
        })
        .await
    }
}
