//! The data folder: its layout, its mode, and the lock that lets one process in.
//!
//! Apart from the secrets and the database, because both must be inside a folder that is already safe.

use anyhow::{Context, bail};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// An opened data folder. The lock is held as long as this value lives; a killed process loses it at once.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the folder when it is not there, checks that nobody else can look into it, and locks it.
    ///
    /// # Errors
    /// When others can read it, it can't be made, or another process has it open.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        make_private(path)?;
        let path = fs::canonicalize(path).with_context(|| format!("can't use the data folder {}", path.display()))?;
        let lock = lock(&path)?;
        Ok(Self { path, _lock: lock })
    }

    /// The folder itself, as an absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The simulated network's own folder.
    #[must_use]
    pub fn sandbox(&self) -> PathBuf {
        self.path.join("sandbox")
    }
}

/// Where the SQLite database of a data folder lies when nothing else was set.
#[must_use]
pub fn database(data_dir: &Path) -> PathBuf {
    data_dir.join("sanasend.db")
}

/// The process that holds the folder, when one does: its id, where it could be read.
#[must_use]
pub fn holder(data_dir: &Path) -> Option<String> {
    let mut file = OpenOptions::new().read(true).open(data_dir.join("lock")).ok()?;
    if file.try_lock().is_ok() {
        return None;
    }
    let mut pid = String::new();
    let _ = file.read_to_string(&mut pid);
    Some(pid.trim().to_owned())
}

fn lock(path: &Path) -> anyhow::Result<File> {
    let name = path.join("lock");
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&name);
    let mut file = open.with_context(|| format!("can't open {}", name.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            bail!("another process ({}) has the data folder {} open; stop it first", pid.trim(), path.display());
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("can't lock {}", name.display())),
    }
    // For people only: the lock itself is the kernel's, and dies with the process.
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}

/// Makes a folder that only its owner can enter, or checks that the one there is so. An empty one is closed to others:
/// there is nothing in it that they could have read.
///
/// # Errors
/// When it can't be made, is no folder, or others can enter it.
pub fn make_private(path: &Path) -> anyhow::Result<()> {
    if !path.exists() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.with_context(|| format!("can't make the folder {}", path.display()))?;
    }
    let found = fs::metadata(path).with_context(|| format!("can't look at {}", path.display()))?;
    if !found.is_dir() {
        bail!("{} is no folder", path.display());
    }
    let mode = found.permissions().mode();
    if mode & 0o077 != 0 {
        if fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none()) {
            let closed = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
            return closed.with_context(|| format!("can't close the folder {} to others", path.display()));
        }
        bail!("the folder {0} can be entered by others (mode {1:o}); run `chmod 700 {0}`", path.display(), mode & 0o777);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_folder_is_for_its_owner_alone() {
        let parent = tempfile::tempdir().expect("folder");
        let opened = DataDir::open(&parent.path().join("a/b")).expect("opened");
        assert_eq!(fs::metadata(opened.path()).expect("folder").permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_folder_that_others_can_enter_is_refused() {
        let parent = tempfile::tempdir().expect("folder");
        fs::write(parent.path().join("a"), "").expect("written");
        fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o755)).expect("changed");
        let refusal = DataDir::open(parent.path()).expect_err("refused").to_string();
        assert!(refusal.contains("chmod 700"), "{refusal}");
    }

    #[test]
    fn an_empty_folder_is_closed_to_others() {
        let parent = tempfile::tempdir().expect("folder");
        fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o755)).expect("changed");
        DataDir::open(parent.path()).expect("opened");
        assert_eq!(fs::metadata(parent.path()).expect("folder").permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn two_can_not_have_one_folder_open_and_the_second_is_told_who_has_it() {
        let parent = tempfile::tempdir().expect("folder");
        let path = parent.path().join("data");
        assert_eq!(holder(&path), None);
        let first = DataDir::open(&path).expect("opened");
        let refusal = DataDir::open(&path).expect_err("locked").to_string();
        assert!(refusal.contains(&std::process::id().to_string()), "{refusal}");
        assert_eq!(holder(&path), Some(std::process::id().to_string()));
        drop(first);
        assert_eq!(holder(&path), None);
        DataDir::open(&path).expect("opened again");
    }
}
