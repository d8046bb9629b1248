//! `sanasend backup`: everything of a server in one file, while it serves or while it rests.

use super::{Places, out};
use crate::backup::key::{self, Recipe};
use crate::backup::pack::{self, Content};
use crate::backup::{DATABASE, Head, Kind, MEDIA, Manifest, SECRETS, TABLES};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::data_dir::{self, DataDir};
use crate::node::ground::{is_fresh, open_store, prove};
use crate::secrets::{self, Secrets};
use anyhow::{Context, bail};
use clap::Args;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use sanasend_model::Clock;
use sanasend_store::{Copied, Store};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The variable that may hold the passphrase.
pub const PASSPHRASE: &str = "SANASEND_BACKUP_PASSPHRASE";

/// Flags of `backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The file to write; it must not be there yet. A gzipped tar, so `.tar.gz` is a good ending.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Leave the secrets out. Keep the folder `secrets` yourself then: the backup is worthless without it.
    #[arg(long)]
    pub without_secrets: bool,
    /// Leave media out.
    #[arg(long)]
    pub without_media: bool,
    /// The file whose first line is the passphrase that the secrets are sealed with. [default: SANASEND_BACKUP_PASSPHRASE, or
    /// it is asked for]
    #[arg(long, value_name = "FILE", conflicts_with = "without_secrets")]
    pub passphrase_file: Option<PathBuf>,
}

/// Writes the backup.
///
/// # Errors
/// A sentence; no file is left then.
pub async fn run(args: BackupArgs, places: &Places) -> anyhow::Result<()> {
    let config = places.load(Vec::new())?.config;
    let folder = config.general.data_dir.clone();
    let database = config.database().map_err(anyhow::Error::msg)?;
    if is_fresh(&config).await? {
        bail!("there is nothing in {database} yet; name another folder with --data-dir");
    }
    if args.file.exists() {
        bail!("{} is there already; name another file", args.file.display());
    }
    data_dir::make_private(&folder)?;
    let passphrase = if args.without_secrets { None } else { Some(passphrase(args.passphrase_file.as_deref(), true)?) };
    // Held to the end: while it is held, no server can have started.
    let alone = DataDir::open(&folder).ok();
    let half = PathBuf::from(format!("{}.part", args.file.display()));
    let copy = PathBuf::from(format!("{}.database", args.file.display()));
    let made = make(&args, &config, passphrase, alone.is_some(), (&half, &copy)).await;
    discard(&copy);
    let manifest = match made {
        Ok(manifest) => manifest,
        Err(error) => {
            let _ = fs::remove_file(&half);
            return Err(error);
        }
    };
    fs::rename(&half, &args.file).with_context(|| format!("can't write {}", args.file.display()))?;
    let size = fs::metadata(&args.file)?.len();
    out::line(&format!(
        "{}: {}, {} files, {} linked accounts",
        args.file.display(),
        HumanBytes(size),
        manifest.files.len(),
        manifest.linked_accounts
    ));
    if !manifest.offline {
        out::note(
            "note: a server was running. Accounts must be linked again after a restore of this backup; to move a server, stop it first.",
        );
    }
    if manifest.secrets.is_none() {
        out::note("note: the secrets are not in it; keep a copy of the folder `secrets`.");
    }
    Ok(())
}

async fn make(
    args: &BackupArgs,
    config: &Config,
    passphrase: Option<String>,
    alone: bool,
    (half, copy): (&Path, &Path),
) -> anyhow::Result<Manifest> {
    let folder = &config.general.data_dir;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let secrets = Secrets::open(folder, &*clock, false)?;
    let store = open_store(config, &secrets, clock.clone()).await?;
    prove(&store, &secrets).await?;
    let kind = Kind::of(&config.database().map_err(anyhow::Error::msg)?);
    let copied = copy_database(&store, (kind, copy), alone, &*clock).await;
    store.close().await;
    let (mut manifest, database) = copied?;
    let sealed = match passphrase {
        Some(passphrase) => {
            let recipe = Recipe::new(&*clock);
            let files = serde_json::to_vec(&secrets::read_folder(&folder.join(secrets::FOLDER))?)?;
            let sealed = sanasend_store::seal_file(&recipe.key(&passphrase)?, clock.clone(), SECRETS, &files)?;
            manifest.secrets = Some(recipe);
            Some(sealed)
        }
        None => None,
    };
    let media = media_folder(config).filter(|media| !args.without_media && media.is_dir());
    if let (None, Some(url)) = (media_folder(config), &config.media.storage_url) {
        out::note(&format!("note: files of messages lie in {url} and are not in the backup; keep that bucket as well."));
    }
    let content = Content { manifest, database, media, secrets: sealed };
    let half = half.to_owned();
    let bar = bar("packing");
    tokio::task::spawn_blocking(move || write(content, &half, &bar)).await.context("the backup broke down")?
}

/// Copies the database to `copy`; answers the manifest without files, and the files of the copy.
async fn copy_database(
    store: &Store,
    (kind, copy): (Kind, &Path),
    alone: bool,
    clock: &dyn Clock,
) -> anyhow::Result<(Manifest, Vec<(String, PathBuf)>)> {
    discard(copy);
    let before = store.owners().await?;
    let (tables, files) = match kind {
        Kind::Sqlite => {
            let spinner = out::spinner("copying the database");
            // Made first, so that nobody else can read it; SQLite fills an empty file.
            let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(copy);
            made.with_context(|| format!("can't write {}", copy.display()))?;
            store.copy_to(copy).await.context("the database can't be copied")?;
            spinner.finish_and_clear();
            (None, vec![(DATABASE.to_owned(), copy.to_owned())])
        }
        Kind::Postgresql => {
            data_dir::make_private(copy)?;
            let bar = bar("copying the database");
            bar.set_length(store.bytes_used().await?);
            let copied = store.copy_tables_to(copy, &|bytes| bar.inc(bytes)).await.context("the database can't be copied")?;
            bar.finish_and_clear();
            let file = |name: &str| (format!("{TABLES}/{}", Copied::file_of(name)), copy.join(Copied::file_of(name)));
            let files = copied.tables.iter().map(|table| file(&table.name)).collect();
            (Some(copied), files)
        }
    };
    let manifest = Manifest {
        head: Head::ours(kind),
        made_at: clock.now().to_string(),
        tables,
        migrations: store.migrations().await?,
        linked_accounts: store.count_linked().await?,
        // Of a database that several nodes share, the lock of one folder says nothing about the others.
        offline: alone && before.living == 0 && store.owners().await? == before,
        secrets: None,
        files: Vec::new(),
    };
    Ok((manifest, files))
}

/// Removes the copy of a database, whatever it is.
fn discard(copy: &Path) {
    let _ = if copy.is_dir() { fs::remove_dir_all(copy) } else { fs::remove_file(copy) };
}

/// The folder of media that goes into the backup; a bucket does not, and is not ours to copy.
fn media_folder(config: &Config) -> Option<PathBuf> {
    match config.media.storage_url.as_deref() {
        None => Some(config.general.data_dir.join(MEDIA)),
        Some(url) => url.strip_prefix("file://").map(PathBuf::from),
    }
}

fn write(content: Content, half: &Path, bar: &ProgressBar) -> anyhow::Result<Manifest> {
    let length = content.database.iter().filter_map(|(_, path)| Some(fs::metadata(path).ok()?.len())).sum();
    bar.set_length(length);
    let open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(half);
    let file = open.with_context(|| format!("can't write {}", half.display()))?;
    let (manifest, file) = pack::write(content, file, &|bytes| bar.inc(bytes))?;
    file.sync_all()?;
    bar.finish_and_clear();
    Ok(manifest)
}

/// A bar of bytes; shown only at a terminal.
pub(super) fn bar(text: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(0).with_message(text);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {wide_bar} {bytes} {bytes_per_sec}") {
        bar.set_style(style);
    }
    bar
}

/// The passphrase: from a file, the environment, or the person at the terminal, who gives it twice when it is a new one.
pub(super) fn passphrase(file: Option<&Path>, new: bool) -> anyhow::Result<String> {
    let given = match (file, std::env::var(PASSPHRASE)) {
        (Some(file), _) => {
            let text = fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
            text.lines().next().unwrap_or_default().to_owned()
        }
        (None, Ok(text)) => text,
        (None, Err(_)) => {
            let first = rpassword::prompt_password("Passphrase of the backup: ").context("there is no terminal to ask at")?;
            if new && rpassword::prompt_password("Once more: ")? != first {
                bail!("the two are not the same");
            }
            first
        }
    };
    if new {
        key::check(&given)?;
    }
    Ok(given)
}
