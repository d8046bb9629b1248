//! `sanasend restore`: a backup becomes a data folder again.

use super::backup::{bar, passphrase};
use super::data::Data;
use super::{Places, out};
use crate::backup::restore::{Place, REASON};
use crate::backup::{Kind, MEDIA, unpack};
use crate::clock::SystemClock;
use crate::config::Config;
use anyhow::{Context, bail};
use clap::Args;
use indicatif::HumanBytes;
use sanasend_model::Clock;
use sanasend_store::Fenced;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

/// Flags of `restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The file that `sanasend backup` wrote.
    #[arg(value_name = "FILE", required_unless_present = "fence_only")]
    pub file: Option<PathBuf>,
    /// The database was put back by other means (`pg_restore`): only make it safe. No server of it may be running.
    #[arg(long, conflicts_with_all = ["file", "force", "moved", "passphrase_file", "secrets"])]
    pub fence_only: bool,
    /// Move what the data folder holds aside, instead of refusing it.
    #[arg(long)]
    pub force: bool,
    /// Keep accounts linked. Only when the old server was stopped before the backup was taken, and never runs again: two
    /// servers with the same keys destroy the accounts' encryption.
    #[arg(long = "move")]
    pub moved: bool,
    /// The file whose first line is the passphrase. [default: SANASEND_BACKUP_PASSPHRASE, or it is asked for]
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// The old server's folder `secrets`, for a backup without them.
    #[arg(long, value_name = "DIR", conflicts_with = "passphrase_file")]
    pub secrets: Option<PathBuf>,
}

/// Reads the backup, checks it, and puts it in place.
///
/// # Errors
/// A sentence; the data folder is left as it was.
pub async fn run(args: RestoreArgs, places: &Places) -> anyhow::Result<()> {
    let config = places.load(Vec::new())?.config;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let Some(path) = &args.file else { return fence(places).await };
    let open = || File::open(path).with_context(|| format!("can't read {}", path.display()));
    check_kind(&config, unpack::head(std::io::BufReader::new(open()?))?.database)?;
    let file = open()?;
    let place = Place::prepare(&config.general.data_dir, args.force)?;
    match restore(&args, &config, &place, file, clock.clone()).await {
        Ok(told) => {
            let aside = place.finish(clock.now().0)?;
            for line in &told {
                out::line(line);
            }
            if let Some(aside) = aside {
                out::note(&format!("what was in the folder before is in {}", aside.display()));
            }
            Ok(())
        }
        Err(error) => {
            place.abandon();
            Err(error)
        }
    }
}

/// A backup becomes what it was made of: SQLite's file in the data folder, or the tables of an empty PostgreSQL database.
fn check_kind(config: &Config, kind: Kind) -> anyhow::Result<()> {
    let database = config.database().map_err(anyhow::Error::msg)?;
    match (kind, Kind::of(&database)) {
        (Kind::Sqlite, Kind::Postgresql) => bail!(
            "this is a backup of SQLite, and `database_url` names {database}; a backup can't become another kind of database: unset \
             `database_url`, and it becomes a file in the data folder"
        ),
        (Kind::Postgresql, Kind::Sqlite) => bail!(
            "this is a backup of PostgreSQL; a backup can't become another kind of database: set `database_url` to a new, empty \
             PostgreSQL database (postgres://user:password@host/name)"
        ),
        (Kind::Sqlite, Kind::Sqlite) if config.general.database_url.is_some() => {
            bail!("`database_url` is set, and a backup becomes a database in the data folder; unset it for the restore")
        }
        _ => Ok(()),
    }
}

/// Makes a database safe that was put back by other means.
async fn fence(places: &Places) -> anyhow::Result<()> {
    let data = Data::open(places).await?;
    if let Some(pid) = &data.server {
        bail!("a server (process {pid}) has this folder open; stop it first");
    }
    let done = data.store.fence_restored(REASON).await;
    data.store.close().await;
    out::line(&fenced(done?));
    Ok(())
}

fn fenced(done: Fenced) -> String {
    format!("{} accounts must be linked again; {} waiting messages were given up", done.accounts, done.messages)
}

/// Everything but the last step; answers what to tell.
async fn restore(args: &RestoreArgs, config: &Config, place: &Place, file: File, clock: Arc<dyn Clock>) -> anyhow::Result<Vec<String>> {
    let (stage, length) = (place.stage().to_owned(), file.metadata()?.len());
    let bar = bar("unpacking");
    let unpacking = tokio::task::spawn_blocking(move || {
        let read = unpack::read(std::io::BufReader::new(file), &stage, &|bytes| bar.inc(bytes));
        bar.finish_and_clear();
        read
    });
    let manifest = unpacking.await.context("unpacking broke down")??;
    if args.moved && !manifest.offline {
        bail!(
            "this backup was taken while a server was running, so accounts can't stay linked: stop the old server, take another \
             backup, and move that; or restore this one without --move and link the accounts again"
        );
    }
    match &args.secrets {
        Some(folder) => place.copy_secrets(folder)?,
        None if manifest.secrets.is_some() => {
            let passphrase = passphrase(args.passphrase_file.as_deref(), false)?;
            place.lay_out_secrets(&manifest, Some(&passphrase), clock.clone())?;
        }
        None => place.lay_out_secrets(&manifest, None, clock.clone())?,
    }
    let filling = super::backup::bar("filling the database");
    filling.set_length(manifest.files.iter().filter(|file| file.path.starts_with(crate::backup::TABLES)).map(|file| file.bytes).sum());
    let told = {
        let filling = filling.clone();
        Arc::new(move |bytes| filling.inc(bytes))
    };
    let done = place.put_in_order(config, &manifest, args.moved, (clock, told)).await;
    filling.finish_and_clear();
    let done = done?;
    let mut told = vec![format!("restored what was saved at {} ({})", manifest.made_at, HumanBytes(length))];
    if args.moved {
        told.push(format!("{} accounts stay linked; never start the old server again", manifest.linked_accounts));
    } else {
        told.push(fenced(done));
    }
    let has_media = manifest.files.iter().any(|file| file.path.starts_with(MEDIA));
    if let (true, Some(url)) = (has_media, &config.media.storage_url) {
        told.push(format!("files of messages were put into the data folder's `{MEDIA}`; `media.storage_url` is {url}: move them there"));
    }
    Ok(told)
}
