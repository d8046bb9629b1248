//! Putting a backup in order and in place: all of it in a folder beside, and only at the end into the data folder, the
//! database last. Whatever breaks off before leaves the data folder as it was. A database of PostgreSQL is filled in one
//! transaction just before that.

use super::{DATABASE, Kind, MEDIA, Manifest, Progress, SECRETS, TABLES};
use crate::config::Config;
use crate::data_dir::{self, DataDir};
use crate::node::ground::{open_store, prove};
use crate::secrets::{self, Secrets, write_private};
use anyhow::{Context, bail, ensure};
use sanasend_model::Clock;
use sanasend_store::{Copied, Fenced, Fillable, Store, StoreError};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a backup is unpacked, inside the data folder, so that it lies on the same disk.
pub const STAGE: &str = "restoring";
/// What people read beside an account that must be linked again.
pub const REASON: &str = "The server was restored from a backup. Link the account again: its old keys were used since.";
/// What a data folder may hold and still count as empty.
const NOT_DATA: [&str; 2] = ["lock", STAGE];

/// How long one statement of a restore into PostgreSQL may take, in seconds: a large table takes its time.
const LONGEST_STATEMENT: u64 = 86_400;

/// A data folder that a backup may be put into.
pub struct Place {
    folder: DataDir,
    stage: PathBuf,
}

impl Place {
    /// Locks the folder and makes the stage. What is in it is moved aside with `force`, and refused without.
    ///
    /// # Errors
    /// A sentence: a server runs on it, or it is not empty.
    pub fn prepare(path: &Path, force: bool) -> anyhow::Result<Self> {
        let folder = DataDir::open(path)?;
        let stage = folder.path().join(STAGE);
        if stage.exists() {
            // A restore that was cut off; nothing of it was ever in place.
            fs::remove_dir_all(&stage)?;
        }
        let there = content(folder.path())?;
        if !there.is_empty() && !force {
            bail!(
                "{} is not empty ({}); restore into a new folder, or say --force: what is there is then moved aside",
                folder.path().display(),
                there.join(", ")
            );
        }
        data_dir::make_private(&stage)?;
        Ok(Self { folder, stage })
    }

    /// The empty folder to unpack into.
    #[must_use]
    pub fn stage(&self) -> &Path {
        &self.stage
    }

    /// Opens the sealed secrets, or takes those of `kept`, a folder with files as `secrets/` has.
    ///
    /// # Errors
    /// When the passphrase is wrong, or there are none.
    pub fn lay_out_secrets(&self, manifest: &Manifest, passphrase: Option<&str>, clock: Arc<dyn Clock>) -> anyhow::Result<()> {
        let (Some(recipe), Some(passphrase)) = (&manifest.secrets, passphrase) else {
            bail!(
                "the backup holds no secrets; put the folder `{}` of the old server beside it and name it with --secrets",
                secrets::FOLDER
            );
        };
        let sealed = fs::read(self.stage.join(SECRETS)).context("the secrets are missing")?;
        let opened = sanasend_store::open_file(&recipe.key(passphrase)?, clock, SECRETS, &sealed).context("the passphrase is wrong")?;
        let files: BTreeMap<String, String> = serde_json::from_slice(&opened).context("the secrets are damaged")?;
        self.write_secrets(files)?;
        fs::remove_file(self.stage.join(SECRETS))?;
        Ok(())
    }

    /// Takes the secrets from a folder that the operator kept.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn copy_secrets(&self, from: &Path) -> anyhow::Result<()> {
        let _ = fs::remove_file(self.stage.join(SECRETS));
        self.write_secrets(secrets::read_folder(from)?)
    }

    fn write_secrets(&self, files: BTreeMap<String, String>) -> anyhow::Result<()> {
        let folder = self.stage.join(secrets::FOLDER);
        data_dir::make_private(&folder)?;
        for (name, text) in files {
            ensure!(secrets::is_name(&name), "the secrets hold {name:?}, which is no secret of ours");
            write_private(&folder.join(name), text.as_bytes())?;
        }
        Ok(())
    }

    /// Brings the database up to date, and makes it safe unless it was moved; see [`sanasend_store::Store::fence_restored`].
    /// PostgreSQL is filled first; `told` hears of every piece.
    ///
    /// # Errors
    /// When it can't be opened with the secrets, is of a newer program, or the database that is to be filled is not empty.
    pub async fn put_in_order(
        &self,
        config: &Config,
        manifest: &Manifest,
        moved: bool,
        (clock, told): (Arc<dyn Clock>, Progress),
    ) -> anyhow::Result<Fenced> {
        let mut config = config.clone();
        config.general.data_dir.clone_from(&self.stage);
        if manifest.head.database == Kind::Postgresql {
            config.store.timeout_seconds = LONGEST_STATEMENT;
        }
        let secrets = Secrets::open(&self.stage, &*clock, false)?;
        let store = open_store(&config, &secrets, clock).await?;
        let work = async {
            match (manifest.head.database, &manifest.tables) {
                (Kind::Postgresql, Some(tables)) => self.fill(&store, &secrets, (manifest, tables), (moved, told)).await?,
                (Kind::Postgresql, None) => bail!("the manifest of the backup lists no tables"),
                (Kind::Sqlite, _) => {}
            }
            store.migrate().await?;
            prove(&store, &secrets).await?;
            if moved { Ok(Fenced::default()) } else { Ok(store.fence_restored(REASON).await?) }
        };
        let done = work.await;
        // Folds the log into the one file.
        store.close().await;
        done.context("the database of the backup can't be put in order")
    }

    async fn fill(
        &self,
        store: &Store,
        secrets: &Secrets,
        (manifest, tables): (&Manifest, &Copied),
        (moved, told): (bool, Progress),
    ) -> anyhow::Result<()> {
        match store.make_fillable(&manifest.migrations).await? {
            Fillable::Ready => {}
            Fillable::NotEmpty => bail!("the database that `database_url` names is not empty; make a new one (`CREATE DATABASE`)"),
            Fillable::Newer(name) => bail!(newer_program(&name)),
        }
        match store.fill(&self.stage.join(TABLES), tables.clone(), (secrets.fingerprint(), !moved), told).await {
            Err(StoreError::Conflict { what: "secrets" }) => {
                bail!("these secrets are not those that the backup was written with; take the folder `secrets` of the same server")
            }
            done => Ok(done?),
        }
    }

    /// Moves everything into place, the database last: from that moment on the folder is a server's.
    ///
    /// # Errors
    /// What the disk says.
    pub fn finish(self, now_ms: i64) -> anyhow::Result<Option<PathBuf>> {
        let folder = self.folder.path();
        let aside = move_aside(folder, now_ms)?;
        for name in [secrets::FOLDER, MEDIA, DATABASE] {
            let from = self.stage.join(name);
            if from.exists() {
                fs::rename(&from, folder.join(name)).with_context(|| format!("can't put {name} in place"))?;
            }
        }
        fs::File::open(folder)?.sync_all()?;
        fs::remove_dir_all(&self.stage)?;
        Ok(aside)
    }

    /// Gives up: the folder is left as it was.
    pub fn abandon(self) {
        // What stays lies in the stage, and goes with the next try.
        let _ = fs::remove_dir_all(&self.stage);
    }
}

fn newer_program(migration: &str) -> String {
    format!("the backup is of a newer program: it has the migration {migration}")
}

fn content(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !NOT_DATA.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn move_aside(folder: &Path, now_ms: i64) -> anyhow::Result<Option<PathBuf>> {
    let names = content(folder)?;
    if names.is_empty() {
        return Ok(None);
    }
    let aside = folder.join(format!("replaced-{now_ms}"));
    data_dir::make_private(&aside)?;
    for name in names.iter().filter(|name| !name.starts_with("replaced-")) {
        fs::rename(folder.join(name), aside.join(name)).with_context(|| format!("can't move {name} aside"))?;
    }
    Ok(Some(aside))
}
