//! Opens the data folder for commands that work on it directly.
//!
//! Such a command may run beside the server of the same folder: users and keys live in the database, which both
//! may write, and the server believes what it read about a key for a second at most. What needs the server's links
//! (deleting a user whose accounts must be logged out) is refused while one runs.

use super::{Places, out};
use crate::auth::Auth;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::data_dir;
use crate::node::ground::{is_fresh, open_store, prove};
use crate::secrets::Secrets;
use anyhow::bail;
use sanasend_model::Clock;
use sanasend_store::Store;
use std::sync::Arc;

/// An opened data folder.
pub struct Data {
    /// The settings.
    pub config: Config,
    /// The database, up to date.
    pub store: Store,
    /// Makes passwords and keys as the server does.
    pub auth: Auth,
    /// Time and randomness.
    pub clock: Arc<dyn Clock>,
    /// Id of the server that has the folder open, when one does.
    pub server: Option<String>,
}

impl Data {
    /// Opens the data folder that the configuration names; it must exist and be up to date.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub async fn open(places: &Places) -> anyhow::Result<Self> {
        let config = places.load(Vec::new())?.config;
        let folder = config.general.data_dir.clone();
        if is_fresh(&config).await? {
            let database = config.database().map_err(anyhow::Error::msg)?;
            bail!(
                "there is nothing in {database} yet; start the server once, run `sanasend migrate`, or name another folder with --data-dir"
            );
        }
        data_dir::make_private(&folder)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let secrets = Secrets::open(&folder, &*clock, false)?;
        let store = open_store(&config, &secrets, clock.clone()).await?;
        let pending = store.pending_migrations().await?;
        if !pending.is_empty() {
            bail!("the database is older than this program ({}); run `sanasend migrate` first", pending.join(", "));
        }
        prove(&store, &secrets).await?;
        let server = data_dir::holder(&folder);
        if let Some(pid) = &server {
            out::note(&format!("note: a server (process {pid}) has this folder open; it sees the change within a second"));
        }
        let auth = Auth::new(&config, &secrets, &clock);
        Ok(Self { config, store, auth, clock, server })
    }
}
