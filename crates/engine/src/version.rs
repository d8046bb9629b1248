//! WhatsApp's client version: fetched once for all accounts, and the last good value kept.

use crate::live::Live;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

/// After this time a version is asked for again; WhatsApp's own client does so daily.
const FRESH: Duration = Duration::from_hours(24);
/// After a failed fetch nobody tries again for this long: a start with many accounts and no Internet must not
/// wait for the same failure again and again.
const AFTER_FAILURE: Duration = Duration::from_secs(30);

/// The version of WhatsApp's web client that live links claim to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientVersion(pub u32, pub u32, pub u32);

impl fmt::Display for ClientVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// The version that all live links share.
pub(crate) struct Versions {
    pub(crate) live: Arc<Live>,
    known: watch::Sender<Option<ClientVersion>>,
    /// When it was last asked for, and how that ended. Held over the asking, so that many ask once.
    asked: Mutex<Option<(Instant, Result<(), String>)>>,
}

impl Versions {
    pub(crate) fn new(known: Option<ClientVersion>, live: Arc<Live>) -> Self {
        Self { live, known: watch::Sender::new(known), asked: Mutex::new(None) }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Option<ClientVersion>> {
        self.known.subscribe()
    }

    /// The version to log in with: a fresh one, or the last good one when there is none to be had.
    ///
    /// # Errors
    /// Why none could be fetched, when none is known at all.
    pub(crate) async fn current(&self) -> Result<ClientVersion, String> {
        let mut asked = self.asked.lock().await;
        let due = match &*asked {
            None => true,
            Some((at, Ok(()))) => at.elapsed() >= FRESH,
            Some((at, Err(_))) => at.elapsed() >= AFTER_FAILURE,
        };
        let answer = if due {
            let answer = self.ask().await;
            *asked = Some((Instant::now(), answer.clone()));
            answer
        } else {
            asked.as_ref().map_or(Ok(()), |(_, answer)| answer.clone())
        };
        let known = *self.known.borrow();
        known.ok_or_else(|| answer.err().unwrap_or_default())
    }

    /// Asks now, whatever is known.
    pub(crate) async fn refresh(&self) -> Result<ClientVersion, String> {
        let mut asked = self.asked.lock().await;
        let answer = self.ask().await;
        *asked = Some((Instant::now(), answer.clone()));
        answer?;
        let known = *self.known.borrow();
        known.ok_or_else(String::new)
    }

    async fn ask(&self) -> Result<(), String> {
        let version = self.live.version().await?;
        self.known.send_if_modified(|known| known.replace(version) != Some(version));
        Ok(())
    }
}
