//! What would become of a campaign: when it would end, and which accounts would send it.

use super::Campaigns;
use sanasend_model::pacing::{Forecast, Neighbours, Policy, forecast, forecast_with_quiet_hours};
use sanasend_model::quiet::{QuietHours, zone_names, zones_named};
use sanasend_model::{Recipient, SessionId};
use sanasend_store::{PacedAccount, StoreError};
use std::collections::BTreeMap;

/// Recipients of which it is looked up who is a cold contact; the others are taken to be alike.
const LOOKED_AT: usize = 500;

/// Recipients that would get a message, as far as an outlook needs to know them: so much is kept however many they are.
#[derive(Debug, Default)]
pub struct Audience {
    /// How many.
    planned: u64,
    /// The first of them.
    some: Vec<String>,
    /// How many live by which clocks.
    places: BTreeMap<&'static [&'static str], u64>,
}

impl Audience {
    /// Counts a recipient.
    pub fn add(&mut self, recipient: &str) {
        self.planned += 1;
        if self.some.len() < LOOKED_AT {
            self.some.push(recipient.to_owned());
        }
        let zones = Recipient::parse(recipient).map(|recipient| zone_names(&recipient)).unwrap_or_default();
        *self.places.entry(zones).or_default() += 1;
    }
}

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

    /// Foretells the way of a campaign to these recipients, with the quiet hours that hold for it.
    ///
    /// # Errors
    /// When the store is down.
    pub async fn outlook(
        &self,
        policy: &Policy,
        sessions: &[SessionId],
        audience: &Audience,
        hours: Option<QuietHours>,
    ) -> Result<Outlook, StoreError> {
        let able = self.able(sessions).await?;
        let ids: Vec<SessionId> = able.iter().map(|paced| paced.id).collect();
        let looked = &audience.some;
        let cold = self.inner.store.cold_contacts(&ids, looked).await?;
        // Cold is who is so for every account: whoever knows a recipient can be the one to write.
        let everywhere = looked.iter().filter(|who| ids.iter().all(|id| cold.iter().any(|(name, at)| name == *who && at == id))).count();
        let share = |count: u64| count.saturating_mul(everywhere as u64).checked_div(looked.len() as u64).unwrap_or(0);
        let cold = share(audience.planned);
        let accounts: Vec<_> = able.into_iter().map(|paced| paced.account).collect();
        let now = self.inner.clock.now();
        let forecast = match hours {
            None => forecast(policy, &accounts, audience.planned.saturating_sub(cold), cold, now),
            Some(hours) => {
                let neighbours = |(zones, count): (&&[&str], &u64)| {
                    let cold = share(*count);
                    Neighbours { zones: zones_named(zones), warm: count.saturating_sub(cold), cold }
                };
                forecast_with_quiet_hours(policy, &accounts, audience.places.iter().map(neighbours).collect(), hours, now)
            }
        };
        Ok(Outlook { forecast, cold })
    }
}
