//! The worker that moves campaigns on: it looks at what was, prepares the next messages, and lets the store decide.

use super::Campaigns;
use super::ahead::{Looked, Sight, campaign_hours};
use super::content::{CampaignContent, Form};
use super::pace::Pacing;
use crate::jobs::Worker;
use async_trait::async_trait;
use sanasend_model::campaign::too_many_failures;
use sanasend_model::pacing::Policy;
use sanasend_model::{CampaignId, CampaignState, Failure, Jid, Recipient, SessionId, job};
use sanasend_store::{
    CAMPAIGN_JOB, Campaign, CampaignRecipient, CampaignTurn, CampaignTurned, Job, JobOutcome, StoreError, Turn, TurnMessage, TurnWhat,
};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// Campaigns that have a turn at once on this node; a turn takes milliseconds.
const AT_ONCE: usize = 4;

/// Runs jobs of the kind [`CAMPAIGN_JOB`].
pub struct CampaignTurns(pub Campaigns);

#[async_trait]
impl Worker for CampaignTurns {
    fn kind(&self) -> &'static str {
        CAMPAIGN_JOB
    }

    fn at_once(&self) -> usize {
        AT_ONCE
    }

    fn at_once_per_bundle(&self) -> usize {
        AT_ONCE / 2
    }

    fn lease(&self) -> Duration {
        Duration::from_secs(30)
    }

    async fn run(&self, job: &Job) -> JobOutcome {
        let campaign = job.payload["campaign"].as_str().and_then(|text| text.parse::<CampaignId>().ok());
        let (Some(campaign), Some(step)) = (campaign, job.payload["step"].as_i64()) else {
            return JobOutcome::Dead { reason: "The job does not say which campaign it moves.".into() };
        };
        let moved = match self.0.turn(campaign, step).await {
            // That will be so the next time, too.
            Err(error @ StoreError::Corrupt { .. }) => self.0.inner.store.stop_unreadable_campaign(campaign, &error).await.map(drop),
            moved => moved,
        };
        match moved {
            Ok(()) => JobOutcome::Done,
            Err(error) => {
                tracing::warn!(%campaign, %error, "a campaign could not be moved on; it is tried again");
                let attempts = u32::try_from(job.attempts).unwrap_or(1);
                let due_at = self.0.inner.clock.now().plus(job::backoff(attempts, 0));
                JobOutcome::Retry { due_at, reason: error.to_string(), keep_lane: true }
            }
        }
    }
}

/// What a turn is about.
#[derive(Default)]
struct Next {
    turns: Vec<Turn>,
    /// Whether nobody is awake.
    all_asleep: bool,
    /// Whether nobody behind these could go before them.
    sees_all: bool,
}

/// What the last messages of a campaign mean for it.
#[derive(Default)]
struct Judged {
    leaving: Vec<(SessionId, String)>,
    stop: Option<String>,
}

impl Campaigns {
    /// One turn of a campaign.
    async fn turn(&self, id: CampaignId, step: i64) -> Result<(), StoreError> {
        let store = &self.inner.store;
        let runs = |campaign: &Campaign| campaign.state == CampaignState::Running && campaign.step == step;
        let Some(campaign) = store.campaign(id).await?.filter(runs) else { return Ok(()) };
        let Some(user) = store.user(campaign.user_id).await? else { return Ok(()) };
        let policy = self.policy(&campaign);
        let mut judged = self.judge(&campaign).await?;
        if !user.is_active {
            judged.stop = Some("The user was deactivated.".into());
        }
        let sight = Sight { policy: &policy, hours: campaign_hours(campaign.quiet_hours, user.quiet_hours) };
        let next = if judged.stop.is_some() { Next::default() } else { self.next(&campaign, &sight).await? };
        let (from, until) = self.inner.outbox.times();
        let asked = CampaignTurn {
            campaign: id,
            step,
            turns: next.turns,
            all_asleep: next.all_asleep,
            sees_all: next.sees_all,
            leaving: judged.leaving,
            stop: judged.stop,
            deadline: until.since(from),
            daily_limit: user.max_messages_per_day,
            policy,
        };
        match store.campaign_turn(asked).await? {
            CampaignTurned::Next { accepted, .. } => accepted.into_iter().for_each(|session| self.inner.outbox.wake(session)),
            CampaignTurned::Stopped { reason } => tracing::warn!(campaign = %id, reason, "a campaign stopped itself"),
            CampaignTurned::Finished => tracing::info!(campaign = %id, "a campaign is finished"),
            CampaignTurned::Stale => {}
        }
        Ok(())
    }

    /// The policy of a campaign. One that can't be read is the server's own: that is never harsher.
    pub(crate) fn policy(&self, campaign: &Campaign) -> Policy {
        let pacing = serde_json::from_value::<Pacing>(campaign.pacing.clone()).unwrap_or_default();
        pacing.policy(&self.inner.settings.policy)
    }

    /// Looks at the last outcomes: an account that WhatsApp limits leaves, and too many failures end the campaign.
    async fn judge(&self, campaign: &Campaign) -> Result<Judged, StoreError> {
        let mut judged = Judged::default();
        // Nothing is left to be spared once every message was accepted.
        if campaign.accepted == 0 || campaign.left() == 0 {
            return Ok(judged);
        }
        let outcomes = self.inner.store.campaign_outcomes(campaign.id, campaign.judged_from).await?;
        let limited = outcomes.iter().filter(|(_, code)| code.as_deref() == Some(Failure::ReachoutLimited.as_str()));
        for (session, _) in limited {
            if !judged.leaving.iter().any(|(leaving, _)| leaving == session) {
                judged.leaving.push((*session, "WhatsApp refuses its messages to people who never wrote to it (463).".into()));
            }
        }
        // Messages of an account that leaves for a 463 are its affair: they don't stop what the others do.
        let of_leaving = |session: &SessionId, code: Option<&str>| {
            code == Some(Failure::ReachoutLimited.as_str()) && judged.leaving.iter().any(|(leaving, _)| leaving == session)
        };
        let judgeable = outcomes.iter().filter(|(session, code)| !of_leaving(session, code.as_deref()));
        let failed: Vec<bool> = judgeable.map(|(_, code)| code.is_some()).collect();
        if let Some(rate) = too_many_failures(&failed, self.inner.settings.failure_percent) {
            let mut codes: BTreeMap<&str, usize> = BTreeMap::new();
            for code in outcomes.iter().filter_map(|(_, code)| code.as_deref()) {
                *codes.entry(code).or_default() += 1;
            }
            let most = codes.into_iter().max_by_key(|(_, count)| *count).map_or("", |(code, _)| code);
            judged.stop = Some(format!("{} of the last {} messages failed, most of them with {most}.", rate.failed, rate.of));
        }
        Ok(judged)
    }

    /// The next recipients with their messages.
    async fn next(&self, campaign: &Campaign, sight: &Sight<'_>) -> Result<Next, StoreError> {
        let Looked { open, quiet, cold, all_asleep, sees_all } = self.look_ahead(campaign.id, sight).await?;
        let mut turns = quiet;
        if open.is_empty() {
            return Ok(Next { turns, all_asleep, sees_all });
        }
        let form = form(campaign)?;
        let jids: Vec<Option<Jid>> = open.iter().map(|one| Jid::parse(&one.recipient)).collect();
        let unwanted = self.unwanted(campaign.user_id, &jids).await?;
        turns.extend(open.into_iter().zip(unwanted).map(|(one, unwanted)| match unwanted {
            Some(why) => Turn { ordinal: one.ordinal, what: TurnWhat::Skip { why, detail: None } },
            None => self.prepare(campaign, &form, &cold, one),
        }));
        Ok(Next { turns, all_asleep, sees_all })
    }

    fn prepare(&self, campaign: &Campaign, form: &Form, cold: &[(String, SessionId)], one: CampaignRecipient) -> Turn {
        let ordinal = one.ordinal;
        let skip = |(why, detail)| TurnWhat::Skip { why, detail: Some(detail) };
        let filled = form.fill(one.variables.as_ref());
        let recipient = Recipient::parse(&one.recipient).map_err(|invalid| (sanasend_model::campaign::Skip::Invalid, invalid.message));
        let what = match (recipient, filled) {
            (Err(why), _) | (_, Err(why)) => skip(why),
            (Ok(recipient), Ok((content, media))) => {
                let (id, wa_message_id) = self.inner.outbox.new_ids();
                let cold_for = cold.iter().filter(|(who, _)| *who == one.recipient).map(|(_, account)| *account).collect();
                let held = one.held_since.zip(one.held_until).zip(one.held_why).map(|((since, until), why)| (since, until, why));
                let quiet = one.held_since.zip(one.quiet).map(|(since, (until, why))| (since, until, why));
                let metadata = Some(json!({"campaign": campaign.id, "recipient": ordinal}));
                TurnWhat::Send(Box::new(TurnMessage { id, wa_message_id, recipient, content, media, metadata, cold_for, held, quiet }))
            }
        };
        Turn { ordinal, what }
    }
}

/// The content of a campaign, with its file.
fn form(campaign: &Campaign) -> Result<Form, StoreError> {
    let corrupt = || StoreError::Corrupt { table: "campaigns", row: campaign.id.to_string(), column: "content".into() };
    let content: CampaignContent = serde_json::from_value(campaign.content.clone()).map_err(|_| corrupt())?;
    Ok(content.form().map_err(|_| corrupt())?.with_file(campaign.media.clone()))
}
