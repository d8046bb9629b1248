//! The secrets of one data folder: made at the first start, never shown, never logged, never in the database.
//!
//! Each is 256 random bits in a file of its own that only its owner can read. A database whose sealed rows can't
//! be opened any more is worse than no start, so a missing key beside sealed rows stops the start.

use anyhow::{Context, bail};
use sanasend_model::Clock;
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Name of the folder inside the data folder.
pub const FOLDER: &str = "secrets";
const API_KEY_HMAC: &str = "api_key_hmac";
const JWT_HMAC: &str = "jwt_hmac";
/// How the files of seal keys begin; their number follows.
pub(crate) const SEAL_PREFIX: &str = "seal_key_";
/// How the file of a key ends that waits to be taken up.
pub(crate) const WAITING: &str = ".waiting";
/// How the files begin of what is left of retired seal keys.
pub(crate) const MAC_PREFIX: &str = "mac_key_";

/// 256 bits that nobody but this process knows.
#[derive(Clone)]
pub struct Secret(pub [u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}

/// One key that rows are sealed with, and its number, which stands in each row.
#[derive(Debug, Clone)]
pub struct SealSecret {
    /// Number of the key, from 1.
    pub id: u32,
    /// The key.
    pub key: Secret,
}

/// The secrets of the data folder.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// The key that new rows are sealed with: the one with the highest number.
    pub seal_key: SealSecret,
    /// Keys that older rows were sealed with.
    pub older_seal_keys: Vec<SealSecret>,
    /// A key that waits to be taken up: it opens, and seals nothing.
    pub waiting_seal_key: Option<SealSecret>,
    /// What is left of retired keys: the audit log is checked with it.
    pub mac_keys: Vec<SealSecret>,
    /// Digests of API keys are made under it.
    pub api_key_hmac: Secret,
    /// Access tokens are signed with it.
    pub jwt_hmac: Secret,
}

impl Secrets {
    /// Reads the secrets of `data_dir`; makes those that are missing when `may_make` is set.
    ///
    /// # Errors
    /// When a file is readable by others, damaged, or missing and must not be made. `may_make` must be false when
    /// the database already holds what was made with them.
    pub fn open(data_dir: &Path, clock: &dyn Clock, may_make: bool) -> anyhow::Result<Self> {
        let folder = data_dir.join(FOLDER);
        if may_make {
            crate::data_dir::make_private(&folder)?;
        }
        let keep = |name: &str| keep(&folder.join(name), clock, may_make);
        let mut seal_keys = read_keys(&folder, SEAL_PREFIX, "")?;
        let waiting_seal_key = read_keys(&folder, SEAL_PREFIX, WAITING)?.pop();
        if seal_keys.is_empty() {
            seal_keys.push(SealSecret { id: 1, key: keep(&format!("{SEAL_PREFIX}1"))? });
        }
        seal_keys.sort_by_key(|key| key.id);
        let seal_key = seal_keys.pop().context("no seal key")?;
        let mut mac_keys = read_keys(&folder, MAC_PREFIX, "")?;
        // A cut while it was retired: the whole key is there still.
        mac_keys.retain(|key| !seal_keys.iter().any(|old| old.id == key.id));
        Ok(Self {
            seal_key,
            older_seal_keys: seal_keys,
            waiting_seal_key,
            mac_keys,
            api_key_hmac: keep(API_KEY_HMAC)?,
            jwt_hmac: keep(JWT_HMAC)?,
        })
    }
}

impl Secrets {
    /// What says whether two data folders have the same `api_key_hmac` and `jwt_hmac`, without telling them.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let digest = Sha256::new().chain_update(b"sanasend secrets").chain_update(self.api_key_hmac.0).chain_update(self.jwt_hmac.0);
        digest.finalize().into()
    }
}

/// Whether a file of the folder is a secret of ours, by its name.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let number = |id: &str| id.parse::<u32>().is_ok();
    let seal_key = |id: &str| number(id.strip_suffix(WAITING).unwrap_or(id));
    let is_key = name.strip_prefix(SEAL_PREFIX).is_some_and(seal_key) || name.strip_prefix(MAC_PREFIX).is_some_and(number);
    name == API_KEY_HMAC || name == JWT_HMAC || is_key
}

/// The secrets of a folder as they stand in its files, by name: for a backup, and for nothing else.
///
/// # Errors
/// When the folder or a file can't be read, or there are none.
pub fn read_folder(folder: &Path) -> anyhow::Result<std::collections::BTreeMap<String, String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("can't read {}", folder.display()))?;
    let mut files = std::collections::BTreeMap::new();
    for entry in entries {
        let entry = entry?;
        if let Some(name) = entry.file_name().to_str().filter(|name| is_name(name)) {
            let text = fs::read_to_string(entry.path()).with_context(|| format!("can't read {}", entry.path().display()))?;
            files.insert(name.to_owned(), text);
        }
    }
    if files.is_empty() {
        bail!("{} holds no secrets", folder.display());
    }
    Ok(files)
}

/// The keys in files whose names begin and end so, with their numbers between.
fn read_keys(folder: &Path, begin: &str, end: &str) -> anyhow::Result<Vec<SealSecret>> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(Vec::new());
    };
    let mut keys = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_prefix(begin)?.strip_suffix(end)?.parse().ok());
        if let Some(id) = id {
            keys.push(SealSecret { id, key: read(&entry.path())? });
        }
    }
    Ok(keys)
}

fn keep(path: &Path, clock: &dyn Clock, may_make: bool) -> anyhow::Result<Secret> {
    if path.exists() {
        return read(path);
    }
    if !may_make {
        bail!(
            "{} is missing, and the database holds what was made with it. Put the file back from your backup: without it the linked \
             accounts and API keys of this data folder can't be used. (A further node of a database gets a copy of the first \
             one's folder `secrets`.)",
            path.display()
        );
    }
    let mut bytes = [0_u8; 32];
    clock.fill(&mut bytes);
    write_private(path, format!("{}\n", hex::encode(bytes)).as_bytes())?;
    Ok(Secret(bytes))
}

fn read(path: &Path) -> anyhow::Result<Secret> {
    let mode = fs::metadata(path).with_context(|| format!("can't look at {}", path.display()))?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!(
            "{0} can be read by others (mode {1:o}). Run `chmod 600 {0}`, and think about who may have read it",
            path.display(),
            mode & 0o777
        );
    }
    let text = fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
    let mut bytes = [0_u8; 32];
    if hex::decode_to_slice(text.trim(), &mut bytes).is_err() {
        bail!("{} is damaged: it must hold 64 hexadecimal digits. Put it back from your backup", path.display());
    }
    Ok(Secret(bytes))
}

/// Writes a file that only its owner can read, so that it is there whole or not at all, also after a power cut.
///
/// # Errors
/// What the system says.
pub fn write_private(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().context("a file lies in a folder")?;
    let temporary = PathBuf::from(format!("{}.new", path.display()));
    let write = || -> std::io::Result<()> {
        // What a killed start left behind is not worth keeping: it was never used.
        let _ = fs::remove_file(&temporary);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    };
    write().with_context(|| format!("can't write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    fn made() -> (tempfile::TempDir, Secrets) {
        let folder = tempfile::tempdir().expect("folder");
        let secrets = Secrets::open(folder.path(), &SystemClock, true).expect("made");
        (folder, secrets)
    }

    #[test]
    fn the_first_start_makes_three_different_secrets_that_only_the_owner_can_read() {
        let (folder, secrets) = made();
        let all = [secrets.seal_key.key.0, secrets.api_key_hmac.0, secrets.jwt_hmac.0];
        assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
        let inside = folder.path().join(FOLDER);
        assert_eq!(fs::metadata(&inside).expect("folder").permissions().mode() & 0o777, 0o700);
        for entry in fs::read_dir(&inside).expect("folder") {
            let entry = entry.expect("entry");
            assert_eq!(entry.metadata().expect("file").permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
        }
    }

    #[test]
    fn the_next_start_reads_the_same_secrets_and_newer_seal_keys_come_first() {
        let (folder, first) = made();
        let newer = folder.path().join(FOLDER).join("seal_key_2");
        write_private(&newer, hex::encode([7; 32]).as_bytes()).expect("written");
        let again = Secrets::open(folder.path(), &SystemClock, false).expect("read");
        assert_eq!((again.jwt_hmac.0, again.api_key_hmac.0), (first.jwt_hmac.0, first.api_key_hmac.0));
        assert_eq!((again.seal_key.id, again.seal_key.key.0), (2, [7; 32]));
        assert_eq!((again.older_seal_keys[0].id, again.older_seal_keys[0].key.0), (1, first.seal_key.key.0));
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused_with_what_to_do() {
        let (folder, _) = made();
        let file = folder.path().join(FOLDER).join(JWT_HMAC);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("changed");
        let refusal = Secrets::open(folder.path(), &SystemClock, true).expect_err("refused").to_string();
        assert!(refusal.contains("chmod 600") && refusal.contains("640"), "{refusal}");
    }

    #[test]
    fn a_secret_that_is_missing_beside_a_database_is_never_made_anew() {
        for name in ["seal_key_1", API_KEY_HMAC, JWT_HMAC] {
            let (folder, _) = made();
            fs::remove_file(folder.path().join(FOLDER).join(name)).expect("removed");
            let refusal = Secrets::open(folder.path(), &SystemClock, false).expect_err("refused").to_string();
            assert!(refusal.contains(name) && refusal.contains("is missing"), "{refusal}");
            assert!(!folder.path().join(FOLDER).join(name).exists());
        }
    }

    #[test]
    fn a_damaged_secret_is_refused_and_nothing_of_it_is_shown() {
        let (folder, secrets) = made();
        let file = folder.path().join(FOLDER).join(API_KEY_HMAC);
        let cut = hex::encode(secrets.api_key_hmac.0)[..40].to_owned();
        fs::write(&file, &cut).expect("damaged");
        let refusal = Secrets::open(folder.path(), &SystemClock, true).expect_err("refused").to_string();
        assert!(refusal.contains("damaged") && !refusal.contains(&cut), "{refusal}");
    }

    #[test]
    fn what_a_killed_start_left_behind_does_not_matter() {
        let folder = tempfile::tempdir().expect("folder");
        crate::data_dir::make_private(&folder.path().join(FOLDER)).expect("folder");
        fs::write(folder.path().join(FOLDER).join("jwt_hmac.new"), "half").expect("written");
        Secrets::open(folder.path(), &SystemClock, true).expect("made");
        assert!(!folder.path().join(FOLDER).join("jwt_hmac.new").exists());
    }

    #[test]
    fn debug_shows_no_secret() {
        let (_folder, secrets) = made();
        let shown = format!("{secrets:?}");
        assert!(!shown.contains(&hex::encode(secrets.jwt_hmac.0)) && !shown.contains(&format!("{:?}", secrets.jwt_hmac.0)), "{shown}");
    }
}
