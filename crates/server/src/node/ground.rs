//! What every command that touches data stands on: the locked data folder, its secrets, its database.
//!
//! Opened in this order, so that nobody can open a database in a folder that another process works in, or
//! without the keys that it was written with.

use crate::config::Config;
use crate::data_dir::{DataDir, database};
use crate::secrets::{SealSecret, Secrets};
use anyhow::Context;
use sanasend_model::Clock;
use sanasend_store::{SealKey, Store};
use std::path::Path;
use std::sync::Arc;

/// An opened data folder with its secrets and its database.
pub struct Ground {
    /// The folder; dropping it lets the next process in.
    pub data_dir: DataDir,
    /// The secrets.
    pub secrets: Secrets,
    /// The database; its tables are not yet brought up to date.
    pub store: Store,
}

impl Ground {
    /// Opens the data folder for this process alone; makes what is missing in a new one.
    ///
    /// # Errors
    /// A sentence: the folder is open to others or in use, a secret is missing, the database can't be opened.
    pub async fn open(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let data_dir = DataDir::open(&config.general.data_dir)?;
        // Secrets are always made before the database: a database without them has lost them.
        let fresh = !data_dir.database().exists();
        let secrets = Secrets::open(data_dir.path(), &*clock, fresh)?;
        let store = open_store(config, data_dir.path(), &secrets, clock).await?;
        Ok(Self { data_dir, secrets, store })
    }
}

/// Opens the database of a data folder without taking the folder's lock: for commands that may run beside a server.
///
/// # Errors
/// A sentence when it can't be opened.
pub async fn open_store(config: &Config, data_dir: &Path, secrets: &Secrets, clock: Arc<dyn Clock>) -> anyhow::Result<Store> {
    let options = sanasend_store::Options {
        path: database(data_dir),
        seal_key: seal_key(&secrets.seal_key),
        older_keys: secrets.older_seal_keys.iter().map(seal_key).collect(),
        readers: config.store.readers,
    };
    Store::open(options, clock).await.with_context(|| format!("can't open the database {}", database(data_dir).display()))
}

fn seal_key(secret: &SealSecret) -> SealKey {
    SealKey::new(secret.id, secret.key.0)
}
