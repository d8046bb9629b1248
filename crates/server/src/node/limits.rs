//! Makes the limits as configured: in this process, or together with other nodes in Redis.

use crate::auth::Auth;
use crate::config::Config;
use anyhow::Context;
use sanasend_model::Clock;
use sanasend_model::guess::Bounds;
use sanasend_store::limits::{InMemory, Limits, Together};
use sanasend_store::{Remote, RemoteOptions};
use std::sync::Arc;
use std::time::Duration;

/// The limits, and the Redis where there is one; API keys are told of other nodes' changes through it. A Redis that does
/// not answer stops nobody from starting.
///
/// # Errors
/// A sentence about an address that can't be one.
pub async fn make(config: &Config, auth: &Auth, clock: &Arc<dyn Clock>) -> anyhow::Result<(Arc<dyn Limits>, Option<Remote>)> {
    let bounds = Bounds {
        bad_per_minute: config.auth.bad_credentials_per_minute,
        failures_before_lock: config.auth.failures_before_lock,
        longest_lock: Duration::from_secs(config.auth.longest_lock_minutes * 60),
    };
    let Some(url) = &config.redis.url else {
        return Ok((Arc::new(InMemory::new(bounds, clock.clone())), None));
    };
    let patience = Duration::from_millis(config.redis.timeout_ms);
    let options = RemoteOptions { url: url.0.clone(), prefix: config.redis.prefix.clone(), patience };
    let remote = Remote::open(options).await.context("the limits can't be shared")?;
    auth.keys.share(remote.clone());
    Ok((Arc::new(Together::new(remote.clone(), bounds, clock.clone())), Some(remote)))
}
