//! The engine: what all links of a process share, and how a link is opened.

use crate::admission::Admission;
use crate::build::Way;
use crate::live::Live;
use crate::supervisor::Supervisor;
use crate::version::Versions;
use crate::{Account, ClientVersion, EngineError, Link, SandboxDoor};
use sanasend_model::{Clock, Network};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What to wait when an account's rows could not be read.
const AFTER_TROUBLE: Duration = Duration::from_secs(2);

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
    /// Whether the history that a phone sends to a new device is left aside.
    pub skip_history: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { handshakes_at_once: 32, prekeys: 812, client_version: None, device_name: "SanaSend".into(), skip_history: true }
    }
}

/// Opens links; cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    door: Option<SandboxDoor>,
    clock: Arc<dyn Clock>,
    admission: Admission,
    versions: Arc<Versions>,
}

impl Engine {
    /// An engine. Without a `door` sandbox accounts can't be opened.
    pub fn new(options: Options, door: Option<SandboxDoor>, clock: Arc<dyn Clock>) -> Self {
        Self::with(options, door, clock, Live::new())
    }

    pub(crate) fn with(options: Options, door: Option<SandboxDoor>, clock: Arc<dyn Clock>, live: Live) -> Self {
        let admission = Admission::new(options.handshakes_at_once, Arc::clone(&clock));
        let versions = Arc::new(Versions::new(options.client_version, Arc::new(live)));
        Self { inner: Arc::new(Inner { options, door, clock, admission, versions }) }
    }

    /// Opens a link of an account. Must be called inside a tokio runtime; at most one link per account may
    /// be open, since two would corrupt its keys.
    ///
    /// It returns when the account's rows were read; what happens then is told by `account.events`. The last
    /// word is always [`crate::LinkEvent::Ended`], unless [`Link::close`] or [`Link::log_out`] was called.
    ///
    /// # Errors
    /// `Rejected` when a sandbox account has no door, `RetryAfter` when its rows could not be read.
    pub async fn open(&self, account: Account) -> Result<Link, EngineError> {
        let way = self.way(account.network)?;
        let supervisor = Supervisor::prepare(account, way, &self.inner.admission, &self.inner.options, &self.inner.clock);
        let supervisor = supervisor.await.map_err(|error| {
            tracing::warn!(%error, "an account's rows could not be read");
            EngineError::RetryAfter(AFTER_TROUBLE)
        })?;
        Ok(Link::over(supervisor))
    }

    /// Where links of a network go.
    pub(crate) fn way(&self, network: Network) -> Result<Way, EngineError> {
        match network {
            Network::Live => Ok(Way::Live(Arc::clone(&self.inner.versions))),
            Network::Sandbox => {
                let door = self.inner.door.clone();
                door.map(Way::Sandbox).ok_or_else(|| EngineError::Rejected("the sandbox is not switched on".into()))
            }
        }
    }

    /// The client version in use, for the caller to remember; changes when a newer one was fetched.
    pub fn client_version(&self) -> watch::Receiver<Option<ClientVersion>> {
        self.inner.versions.watch()
    }

    /// Asks WhatsApp for its current client version; takes at most 10 s. Only for live accounts, after
    /// [`sanasend_model::session::LinkEnd::Outdated`].
    ///
    /// # Errors
    /// `RetryAfter` when it can't be fetched; the last good one stays.
    pub async fn refresh_version(&self) -> Result<ClientVersion, EngineError> {
        self.inner.versions.refresh().await.map_err(|error| {
            tracing::warn!(error, "WhatsApp's client version could not be fetched");
            EngineError::RetryAfter(Duration::from_mins(1))
        })
    }
}
