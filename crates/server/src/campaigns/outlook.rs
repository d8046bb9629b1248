//! What would become of a campaign: when it would end, and which accounts would send it.

use super::Campaigns;
use sanasend_model::SessionId;
use sanasend_model::pacing::{Forecast, Policy, forecast};
use sanasend_store::{PacedAccount, StoreError};

/// Recipients of which it is looked up who is a cold contact; the others are taken to be alike.
pub const LOOKED_AT: usize = 500;

/// The forecast of a campaign.
#[derive(Debug, Clone, Default)]
pub struct Outlook {
    /// When it would end, and what would be sent when.
    pub forecast: Forecast,
    /// Recipients who never wrote to any of the accounts, as an estimate.
    pub cold: u64,
}

impl Campaigns {
    /// The accounts of a campaign that can send.
    ///
    /// # Errors
    /// When the store is down.
    pub async fn able(&self, sessions: &[SessionId]) -> Result<Vec<PacedAccount>, StoreError> {
        let now = self.inner.clock.now();
        let mut able = Vec::with_capacity(sessions.len());
        for id in sessions {
            let account = self.inner.store.paced_account(*id).await?;
            able.extend(account.filter(|paced| paced.figures.linked && paced.figures.limited_until.is_none_or(|until| until <= now)));
        }
        Ok(able)
    }

    /// Foretells the way of `planned` recipients, of whom `some` are known by id.
    ///
    /// # Errors
    /// When the store is down.
    pub async fn outlook(&self, policy: &Policy, sessions: &[SessionId], planned: u64, some: &[String]) -> Result<Outlook, StoreError> {
        let able = self.able(sessions).await?;
        let ids: Vec<SessionId> = able.iter().map(|paced| paced.id).collect();
        let looked: Vec<String> = some.iter().take(LOOKED_AT).cloned().collect();
        let cold = self.inner.store.cold_contacts(&ids, &looked).await?;
        // Cold is who is so for every account: whoever knows a recipient can be the one to write.
        let everywhere = looked.iter().filter(|who| ids.iter().all(|id| cold.iter().any(|(name, at)| name == *who && at == id))).count();
        let share = |count: u64| count.saturating_mul(everywhere as u64).checked_div(looked.len() as u64).unwrap_or(0);
        let cold = share(planned);
        let accounts: Vec<_> = able.into_iter().map(|paced| paced.account).collect();
        let forecast = forecast(policy, &accounts, planned.saturating_sub(cold), cold, self.inner.clock.now());
        Ok(Outlook { forecast, cold })
    }
}
