//! Who is next: the first recipients that are awake, and behind strangers whose budget is used up those that are known.
//!
//! A list may be long and most of it asleep, or strangers. It is gone through in pages, a bounded number of recipients in each
//! turn; who was found asleep is written down with the end of its night, and is not looked at before.

use super::Campaigns;
use sanasend_model::pacing::{Policy, quiet_why};
use sanasend_model::quiet::QuietHours;
use sanasend_model::{CampaignId, Recipient, SessionId, Timestamp};
use sanasend_store::{Ahead, CampaignRecipient, StoreError, Turn, TurnWhat};

/// Recipients that may get a message in a turn.
const WINDOW: usize = 32;
/// Recipients that are read together while it may be night for some.
const PAGE: usize = 128;
/// Recipients that are put to rest in one turn.
const MOST_QUIET: usize = 512;
/// Strangers that are told why they wait while known people go before them.
const MOST_TOLD: usize = 8;

/// What decides who can go.
pub(super) struct Sight<'a> {
    /// How the campaign is paced.
    pub policy: &'a Policy,
    /// The quiet hours that hold for it.
    pub hours: Option<QuietHours>,
}

/// Who is next.
#[derive(Default)]
pub(super) struct Looked {
    /// Recipients that are awake, in their order.
    pub open: Vec<CampaignRecipient>,
    /// Those in front of them that sleep.
    pub quiet: Vec<Turn>,
    /// Pairs of recipient and account that don't know each other.
    pub cold: Vec<(String, SessionId)>,
    /// Whether nobody is awake.
    pub all_asleep: bool,
    /// Whether nobody behind these could go before them.
    pub sees_all: bool,
}

/// The quiet hours that hold for a campaign: `own` is its wish, `of_user` the setting.
#[must_use]
pub fn campaign_hours(own: Option<bool>, of_user: Option<QuietHours>) -> Option<QuietHours> {
    let hours = of_user.unwrap_or_default();
    Some(hours).filter(|hours| own.unwrap_or(hours.enabled))
}

/// When somebody wakes up who sleeps now, and why it waits.
fn night(hours: Option<QuietHours>, one: &CampaignRecipient, now: Timestamp) -> Option<TurnWhat> {
    let recipient = Recipient::parse(&one.recipient).ok()?;
    let (until, zone) = hours?.until(&recipient, now)?;
    Some(TurnWhat::Quiet { until, why: quiet_why(zone) })
}

impl Campaigns {
    /// Looks at who is next.
    pub(super) async fn look_ahead(&self, campaign: CampaignId, sight: &Sight<'_>) -> Result<Looked, StoreError> {
        let mut looked = self.awake(campaign, Ahead::All, sight.hours).await?;
        if sight.policy.is_none() || looked.open.is_empty() {
            return Ok(looked);
        }
        let accounts = self.inner.store.campaign_accounts(campaign).await?;
        let accounts: Vec<SessionId> =
            accounts.into_iter().filter(|account| account.left_at.is_none()).map(|account| account.session_id).collect();
        looked.cold = self.strangers(&accounts, &looked.open).await?;
        let all_strangers = looked.cold.len() == accounts.len() * looked.open.len();
        if all_strangers && !looked.sees_all && self.budgets_are_used_up(&accounts, sight.policy).await? {
            let known = self.awake(campaign, Ahead::Known, sight.hours).await?;
            looked.open.truncate(MOST_TOLD);
            looked.cold.extend(self.strangers(&accounts, &known.open).await?);
            looked.open.extend(known.open);
            looked.quiet.extend(known.quiet);
            looked.sees_all = true;
        }
        Ok(looked)
    }

    /// The first recipients that are awake.
    async fn awake(&self, campaign: CampaignId, whom: Ahead, hours: Option<QuietHours>) -> Result<Looked, StoreError> {
        let (mut looked, mut behind, now) = (Looked::default(), 0, self.inner.clock.now());
        let page = if hours.is_some() { PAGE } else { WINDOW };
        loop {
            let next = self.inner.store.next_recipients(campaign, whom, behind, now, u32::try_from(page).unwrap_or(32)).await?;
            let is_last = next.len() < page;
            for one in next {
                behind = one.ordinal;
                match night(hours, &one, now) {
                    Some(what) => looked.quiet.push(Turn { ordinal: one.ordinal, what }),
                    None => looked.open.push(one),
                }
                if looked.open.len() >= WINDOW || looked.quiet.len() >= MOST_QUIET {
                    return Ok(looked);
                }
            }
            if is_last {
                looked.all_asleep = looked.open.is_empty();
                looked.sees_all = true;
                return Ok(looked);
            }
        }
    }

    async fn strangers(&self, accounts: &[SessionId], people: &[CampaignRecipient]) -> Result<Vec<(String, SessionId)>, StoreError> {
        let people: Vec<String> = people.iter().map(|one| one.recipient.clone()).collect();
        self.inner.store.cold_contacts(accounts, &people).await
    }

    /// Whether no account may write to strangers today.
    async fn budgets_are_used_up(&self, accounts: &[SessionId], policy: &Policy) -> Result<bool, StoreError> {
        for account in accounts {
            let paced = self.inner.store.paced_account(*account).await?;
            if paced.is_some_and(|paced| paced.account.cold_today < policy.cold_per_day) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
