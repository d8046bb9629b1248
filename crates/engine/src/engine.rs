//! The engine: what all links of a process share, and how a link is opened.

use crate::{Account, ClientVersion, EngineError, Link, SandboxDoor};
use sanasend_model::Clock;
use std::sync::Arc;
use tokio::sync::watch;

/// Settings of the engine.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many connections may be in the making at the same time (20 to 50 is sane).
    pub handshakes_at_once: usize,
    /// One-time prekeys kept on the server per account. WhatsApp's own client keeps 812.
    pub prekeys: usize,
    /// The last client version that worked, from the database; the engine fetches a newer one when needed.
    pub client_version: Option<ClientVersion>,
    /// The name of this device on the phone's list of linked devices.
    pub device_name: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { handshakes_at_once: 32, prekeys: 812, client_version: None, device_name: "SanaSend".into() }
    }
}

/// Opens links; cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    version: watch::Sender<Option<ClientVersion>>,
}

impl Engine {
    /// An engine. Without a `door` sandbox accounts can't be opened.
    pub fn new(options: Options, door: Option<SandboxDoor>, clock: Arc<dyn Clock>) -> Self {
        let _ = (door, clock);
        Self { inner: Arc::new(Inner { version: watch::Sender::new(options.client_version) }) }
    }

    /// Opens a link of an account. Must be called inside a tokio runtime; at most one link per account may
    /// be open, since two would corrupt its keys.
    ///
    /// It returns at once; what happens is told by `account.events`, the last word is always
    /// [`crate::LinkEvent::Ended`], unless [`Link::close`] or [`Link::log_out`] was called.
    ///
    /// # Errors
    /// `Rejected` when a sandbox account has no door, `RetryAfter` when its rows could not be read.
    pub async fn open(&self, account: Account) -> Result<Link, EngineError> {
        let _ = account;
        Err(EngineError::Offline)
    }

    /// The client version in use, for the caller to remember; changes when a newer one was fetched.
    pub fn client_version(&self) -> watch::Receiver<Option<ClientVersion>> {
        self.inner.version.subscribe()
    }

    /// Asks WhatsApp for its current client version; takes at most 10 s. Only for live accounts, after
    /// [`sanasend_model::session::LinkEnd::Outdated`].
    ///
    /// # Errors
    /// `RetryAfter` when it can't be fetched; the last good one stays.
    pub async fn refresh_version(&self) -> Result<ClientVersion, EngineError> {
        Err(EngineError::Offline)
    }
}
