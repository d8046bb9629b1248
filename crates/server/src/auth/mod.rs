//! Who is asking: passwords, tokens, API keys.
//!
//! Apart from `http` because the command line makes passwords and keys too, and because everything here is
//! about secrets: it is read with other eyes.

pub mod keys;
pub mod passwords;
pub mod tokens;

use crate::app::App;
use crate::config::Config;
use crate::secrets::Secrets;
use sanasend_model::Clock;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

/// How often the times of last use of API keys are written down.
const TOUCH_EVERY: Duration = Duration::from_secs(5);

/// The long-lived parts of authentication.
#[derive(Debug)]
pub struct Auth {
    /// Hashes and checks passwords.
    pub passwords: passwords::Passwords,
    /// Makes and reads access and refresh tokens.
    pub tokens: tokens::Tokens,
    /// Makes and checks API keys.
    pub keys: keys::Keys,
}

impl Auth {
    /// The parts as configured.
    #[must_use]
    pub fn new(config: &Config, secrets: &Secrets, clock: &Arc<dyn Clock>) -> Self {
        let cost = passwords::Cost { memory_kib: config.auth.password_memory_kib, passes: config.auth.password_passes };
        Self {
            passwords: passwords::Passwords::new(cost, config.auth.password_hashes_at_once, clock.clone()),
            tokens: tokens::Tokens::new(
                secrets.jwt_hmac.clone(),
                Duration::from_secs(config.auth.access_token_minutes * 60),
                Duration::from_secs(config.auth.refresh_token_days * 86_400),
                clock.clone(),
            ),
            keys: keys::Keys::new(secrets.api_key_hmac.clone(), clock.clone()),
        }
    }
}

/// Writes down times of last use until the server stops; then once more.
pub async fn keep_house(app: Arc<App>) {
    let mut touch = tokio::time::interval(TOUCH_EVERY);
    loop {
        tokio::select! {
            () = app.shutdown.cancelled() => break,
            _ = touch.tick() => flush_touches(&app).await,
        }
    }
    flush_touches(&app).await;
}

/// Believes nothing that was read before whenever another node hints that users or keys were changed.
pub async fn follow_changes(app: Arc<App>) {
    let Some(remote) = &app.remote else { return };
    let mut changes = remote.people_changes();
    let follow = async {
        // A listener that was too slow has missed hints, which is a hint.
        while !matches!(changes.recv().await, Err(RecvError::Closed)) {
            app.auth.keys.forget_here();
        }
    };
    app.shutdown.run_until_cancelled(follow).await;
}

/// Writes the times of last use that were noted since the last call.
pub async fn flush_touches(app: &App) {
    let noted = app.auth.keys.take_touches();
    if noted.is_empty() {
        return;
    }
    if let Err(error) = app.store.touch_api_keys(noted.clone()).await {
        tracing::warn!(%error, "times of last use could not be written; trying again");
        app.auth.keys.give_back_touches(noted);
    }
}
