//! What every command that touches data stands on: the locked data folder, its secrets, its database.
//!
//! Opened in this order, so that nobody can open a database in a folder that another process works in, or
//! without the keys that it was written with.

use crate::config::Config;
use crate::data_dir::DataDir;
use crate::secrets::{SealSecret, Secrets};
use anyhow::{Context, bail};
use sanasend_model::Clock;
use sanasend_store::{Proof, SealKey, Store};
use std::sync::Arc;
use std::time::Duration;

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
    /// A sentence: the folder is open to others or in use, a secret is missing or another one, the database can't be opened.
    pub async fn open(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let data_dir = DataDir::open(&config.general.data_dir)?;
        let fresh = is_fresh(config).await?;
        let secrets = Secrets::open(data_dir.path(), &*clock, fresh)?;
        let store = open_store(config, &secrets, clock).await?;
        Ok(Self { data_dir, secrets, store })
    }
}

/// Whether the database holds nothing that was made with secrets yet: only then may they be made anew. (Secrets come
/// before the tables: a database with tables and without secrets has lost them.)
///
/// # Errors
/// A sentence when the database does not answer.
pub async fn is_fresh(config: &Config) -> anyhow::Result<bool> {
    let database = config.database().map_err(anyhow::Error::msg)?;
    database.is_fresh(timeout(config)).await.with_context(|| format!("can't open the database {database}"))
}

/// Opens the database without taking the data folder's lock: for commands that may run beside a server.
///
/// A database that a newer program has changed is refused: what this one does not know it could only break.
///
/// # Errors
/// A sentence when it can't be opened.
pub async fn open_store(config: &Config, secrets: &Secrets, clock: Arc<dyn Clock>) -> anyhow::Result<Store> {
    let database = config.database().map_err(anyhow::Error::msg)?;
    let options = sanasend_store::Options {
        database: database.clone(),
        seal_key: seal_key(&secrets.seal_key),
        older_keys: other_keys(secrets),
        readers: config.store.readers,
        timeout: timeout(config),
    };
    let store = Store::open(options, clock).await.with_context(|| format!("can't open the database {database}"))?;
    let newer = store.newer_migrations().await.with_context(|| format!("can't open the database {database}"))?;
    if let Some(name) = newer.last() {
        store.close().await;
        bail!(
            "the database {database} was changed by a newer program (it has the migration {name}): run that program, or put back a \
             backup from before the upgrade"
        );
    }
    Ok(store)
}

/// Refuses to work on a database with secrets that are not those that it was written with: of another data folder, or of a
/// node that was not given the secrets of the others. The tables must be up to date.
///
/// # Errors
/// A sentence that says which secret it is.
pub async fn prove(store: &Store, secrets: &Secrets) -> anyhow::Result<()> {
    match store.prove_secrets(secrets.fingerprint()).await? {
        Proof::Good => Ok(()),
        Proof::OtherSealKey => bail!(
            "the seal key of this data folder is not the one that the database was written with; put the folder `secrets` back from \
             your backup, or copy it from another node of this database"
        ),
        Proof::OtherSecrets => bail!(
            "`api_key_hmac` or `jwt_hmac` of this data folder is not the one that the database was made with: API keys and logins \
             would not work; put the folder `secrets` back from your backup, or copy it from another node of this database"
        ),
    }
}

const fn timeout(config: &Config) -> Duration {
    Duration::from_secs(config.store.timeout_seconds)
}

/// Every key but the one that seals.
fn other_keys(secrets: &Secrets) -> Vec<SealKey> {
    let whole = secrets.older_seal_keys.iter().chain(&secrets.waiting_seal_key).map(seal_key);
    whole.chain(secrets.mac_keys.iter().map(|left| SealKey::for_macs(left.id, left.key.0))).collect()
}

fn seal_key(secret: &SealSecret) -> SealKey {
    SealKey::new(secret.id, secret.key.0)
}
