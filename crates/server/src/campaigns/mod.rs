//! Campaigns: many messages with good manners.
//!
//! A campaign is rows (see `sanasend_store`): its recipients, and one job that is its next turn. `content` is what is sent,
//! `pace` how fast, `ahead` who is next, `plan` how a list becomes recipients, `table` how a file becomes a list, `turn` the worker that moves a
//! campaign on. Whether an account may send is decided in the store's transaction by `sanasend_model::pacing`.

mod ahead;
pub mod content;
pub mod outlook;
pub mod pace;
pub mod plan;
pub mod table;
mod turn;

pub use ahead::campaign_hours;
pub use turn::CampaignTurns;

use crate::config::Config;
use crate::outbox::Outbox;
use sanasend_model::campaign::Skip;
use sanasend_model::pacing::Policy;
use sanasend_model::{CampaignId, CampaignState, Clock, Jid, Timestamp, UserId};
use sanasend_store::{Campaign, Funnels, Peer, Store, StoreError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a count is good: a page that is looked at by many asks once in this time.
const COUNT_KEPT: Duration = Duration::from_secs(1);
/// Counts that are kept at most.
const COUNTS: usize = 256;

/// Somebody by one id.
fn peer(id: &Jid) -> Peer {
    if id.is_lid() {
        return Peer { lid: Some(id.clone()), ..Peer::default() };
    }
    Peer { phone: id.phone(), jid: Some(id.clone()), lid: None }
}

/// Settings of campaigns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How accounts are paced where a campaign says nothing else.
    pub policy: Policy,
    /// The share of failures that stops a campaign, in percent.
    pub failure_percent: u32,
    /// Most recipients of a campaign.
    pub most_recipients: u64,
    /// Largest file with recipients, in bytes.
    pub largest_file: u64,
}

impl Settings {
    /// The settings in force.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let set = &config.campaigns;
        let policy = Policy {
            gap_min_seconds: set.gap_min_seconds,
            gap_max_seconds: set.gap_max_seconds.max(set.gap_min_seconds),
            per_hour: set.per_hour,
            per_day: set.per_day,
            warm_up: set.warm_up.0.clone(),
            cold_per_day: set.cold_per_day,
            on_the_way: set.on_the_way,
        };
        let (most_recipients, largest_file) = (set.max_recipients, set.file_limit_mib << 20);
        Self { policy, failure_percent: set.failure_percent, most_recipients, largest_file }
    }
}

type Counted = HashMap<CampaignId, (Timestamp, CampaignState, Arc<Funnels>)>;

/// What campaigns need. Cheap to clone.
#[derive(Clone)]
pub struct Campaigns {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    outbox: Outbox,
    clock: Arc<dyn Clock>,
    settings: Settings,
    counted: Mutex<Counted>,
}

impl Campaigns {
    /// Campaigns over a store, whose messages go through `outbox`.
    #[must_use]
    pub fn new(store: Store, outbox: Outbox, clock: Arc<dyn Clock>, settings: Settings) -> Self {
        Self { inner: Arc::new(Inner { store, outbox, clock, settings, counted: Mutex::default() }) }
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// What became of the recipients of a campaign, counted at most a second ago, and in its present state.
    ///
    /// # Errors
    /// When the store is down.
    pub async fn funnels(&self, campaign: &Campaign) -> Result<Arc<Funnels>, StoreError> {
        let (id, state, now) = (campaign.id, campaign.state, self.inner.clock.now());
        let fresh = |at: Timestamp| now >= at && now.since(at) < COUNT_KEPT;
        if let Some((.., known)) = self.counted().get(&id).filter(|(at, then, _)| fresh(*at) && *then == state) {
            return Ok(known.clone());
        }
        let found = Arc::new(self.inner.store.campaign_funnels(id).await?);
        let mut counted = self.counted();
        if counted.len() >= COUNTS {
            counted.retain(|_, (at, ..)| fresh(*at));
        }
        counted.insert(id, (now, state, found.clone()));
        Ok(found)
    }

    /// Who of these may not be written to, and why: they opted out, or never agreed where that is needed. Asked again when a
    /// message is accepted, and when it leaves.
    ///
    /// # Errors
    /// When the store is down.
    pub async fn unwanted(&self, user: UserId, people: &[Option<Jid>]) -> Result<Vec<Option<Skip>>, StoreError> {
        let peers: Vec<Peer> = people.iter().map(|who| who.as_ref().map(peer).unwrap_or_default()).collect();
        let out = self.inner.store.opted_out(user, &peers).await?;
        let cold = self.inner.store.lacks_consent(user, &peers).await?;
        let skip = |((out, cold), who): ((bool, bool), &Option<Jid>)| match (out, cold && who.is_some()) {
            (true, _) => Some(Skip::OptedOut),
            (false, true) => Some(Skip::ConsentRequired),
            (false, false) => None,
        };
        Ok(out.into_iter().zip(cold).zip(people).map(skip).collect())
    }

    fn counted(&self) -> std::sync::MutexGuard<'_, Counted> {
        self.inner.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
