//! Makes the limits as configured: in this process, or together with other nodes in Redis.

use crate::auth::Auth;
use crate::config::Config;
use crate::config::settings::Redis;
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
    let remote = connect(&config.redis, &url.0).await?;
    auth.keys.share(remote.clone());
    Ok((Arc::new(Together::new(remote.clone(), bounds, clock.clone())), Some(remote)))
}

/// The Redis of the settings, at `url`, whether or not it answers.
///
/// # Errors
/// A sentence about an address or a file of authorities that can't be one.
pub async fn connect(settings: &Redis, url: &str) -> anyhow::Result<Remote> {
    let read = |file: &std::path::PathBuf| std::fs::read(file).with_context(|| format!("can't read `redis.ca_file` {}", file.display()));
    let options = RemoteOptions {
        url: url.to_owned(),
        authorities: settings.ca_file.as_ref().map(read).transpose()?,
        prefix: settings.prefix.clone(),
        patience: Duration::from_millis(settings.timeout_ms),
    };
    Remote::open(options).await.context("the limits can't be shared")
}
