//! The long-lived parts of a running server, in one place.
//!
//! Made once by `node::Node` (and by tests), shared as `Arc<App>`: it is the state of the HTTP router.

use crate::api_log::ApiLog;
use crate::auth::Auth;
use crate::campaigns::Campaigns;
use crate::config::Config;
use crate::egress::Egress;
use crate::http::v1::streams::Streams;
use crate::jobs::Jobs;
use crate::media::Files;
use crate::outbox::Outbox;
use crate::secrets::Secrets;
use crate::sessions::Sessions;
use crate::vitals::Vitals;
use crate::webhooks::Webhooks;
use sanasend_model::{Clock, Timestamp};
use sanasend_sandbox::Sandbox;
use sanasend_store::limits::Limits;
use sanasend_store::{Remote, Store};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The parts. Fields are public: there is nothing to guard between them.
pub struct App {
    /// The settings in force.
    pub config: Config,
    /// Time and randomness.
    pub clock: Arc<dyn Clock>,
    /// The secrets of the data folder.
    pub secrets: Secrets,
    /// The database.
    pub store: Store,
    /// Who is calling: passwords, tokens, keys.
    pub auth: Auth,
    /// How often callers may ask, send and guess.
    pub limits: Arc<dyn Limits>,
    /// The Redis that nodes share, where there is one.
    pub remote: Option<Remote>,
    /// The linked accounts that this process runs.
    pub sessions: Sessions,
    /// Files of messages.
    pub media: Files,
    /// The way in of messages.
    pub outbox: Outbox,
    /// Campaigns.
    pub campaigns: Campaigns,
    /// The way out to hosts that callers name.
    pub egress: Egress,
    /// Background work.
    pub jobs: Jobs,
    /// Deliveries of events to the endpoints of users.
    pub webhooks: Webhooks,
    /// What is remembered of requests.
    pub api_log: Arc<ApiLog>,
    /// The live streams that callers have open.
    pub streams: Streams,
    /// How the parts were a moment ago.
    pub vitals: Vitals,
    /// The simulated network, where it runs in this process.
    pub sandbox: Option<Sandbox>,
    /// When the process began to serve.
    pub started_at: Timestamp,
    /// Canceled when the server begins to stop: long answers and streams end then.
    pub shutdown: CancellationToken,
}
