//! A folder of files, bounded in bytes, number and age.
//!
//! Names are made here and never come from outside: milliseconds of the day the file came, and 16 random bytes, in
//! hexadecimal, so that the order of names is the order of coming. A file is written beside the shelf, hashed on the
//! way, and put on it whole by a rename: killed at any moment, the shelf holds only whole files. When a bound is
//! passed, the oldest go.

use crate::Error;
use crate::clock::Clock;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Hexadecimal digits of the milliseconds in a name.
const TIME_DIGITS: usize = 12;
/// Length of a name.
pub(super) const NAME_LENGTH: usize = TIME_DIGITS + 32;
/// What is written to at once.
const BUFFER: usize = 64 * 1024;

/// How much a shelf holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Bytes of all files together.
    pub bytes: u64,
    /// Number of files.
    pub files: usize,
    /// Milliseconds since 1970 that a file came before are too old when this much has passed.
    pub age_ms: i64,
}

/// The shelf. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Shelf(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    drafts: PathBuf,
    bounds: Bounds,
    clock: Clock,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    sizes: BTreeMap<String, u64>,
    bytes: u64,
}

/// A file that was put on the shelf.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    /// Its name on the shelf.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// What had to go for it.
    pub evicted: Vec<String>,
}

impl Shelf {
    /// Opens the shelf in `folder`, making it when absent. What was being written when the process ended is thrown away.
    ///
    /// # Errors
    /// `Error::File` when the folder cannot be used.
    pub fn open(folder: &Path, bounds: Bounds, clock: Clock) -> Result<Shelf, Error> {
        let unusable = |source| Error::File { path: folder.display().to_string(), source };
        let drafts = folder.join("drafts");
        if drafts.exists() {
            fs::remove_dir_all(&drafts).map_err(unusable)?;
        }
        crate::keys::make_private_folder(folder)?;
        crate::keys::make_private_folder(&drafts)?;
        let mut kept = Kept::default();
        for entry in fs::read_dir(folder).map_err(unusable)? {
            let entry = entry.map_err(unusable)?;
            let Some(name) = entry.file_name().to_str().filter(|name| is_name(name)).map(str::to_owned) else {
                continue;
            };
            kept.add(name, entry.metadata().map_err(unusable)?.len());
        }
        Ok(Shelf(Arc::new(Inner { folder: folder.to_owned(), drafts, bounds, clock, kept: Mutex::new(kept) })))
    }

    /// Begins a file. Dropped, it never was.
    pub fn draft(&self) -> io::Result<Draft> {
        let path = self.0.drafts.join(hex::encode(self.0.clock.bytes::<16>()));
        let file = File::options().write(true).create_new(true).open(&path)?;
        Ok(Draft { shelf: self.clone(), path: Some(path), file: BufWriter::with_capacity(BUFFER, file), hash: Sha256::new(), size: 0 })
    }

    /// A file for reading, with its length; `None` when it is not there any more.
    pub fn read(&self, name: &str) -> io::Result<Option<(File, u64)>> {
        if !is_name(name) {
            return Ok(None);
        }
        match File::open(self.0.folder.join(name)) {
            Ok(file) => {
                let size = file.metadata()?.len();
                Ok(Some((file, size)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes a file away; one that is not there is fine.
    pub fn remove(&self, name: &str) {
        if let Some(size) = self.0.kept.lock().take(name) {
            self.unlink(name, size);
        }
    }

    /// Takes away what is too old, or too much, and says what that was.
    pub fn sweep(&self) -> Vec<String> {
        let oldest = self.0.clock.unix_millis() - self.0.bounds.age_ms;
        let mut gone = Vec::new();
        let mut kept = self.0.kept.lock();
        while let Some((name, size)) = kept.sizes.first_key_value().map(|(name, size)| (name.clone(), *size)) {
            let is_old = came_at(&name).is_some_and(|at| at < oldest);
            if !is_old && kept.bytes <= self.0.bounds.bytes && kept.sizes.len() <= self.0.bounds.files {
                break;
            }
            kept.take(&name);
            self.unlink(&name, size);
            gone.push(name);
        }
        gone
    }

    fn unlink(&self, name: &str, size: u64) {
        // Not there already: somebody tidied the folder by hand.
        if let Err(error) = fs::remove_file(self.0.folder.join(name)) {
            tracing::debug!(name, size, %error, "a file was not taken off the shelf");
        }
    }
}

impl Kept {
    fn add(&mut self, name: String, size: u64) {
        self.bytes += size;
        self.sizes.insert(name, size);
    }

    fn take(&mut self, name: &str) -> Option<u64> {
        let size = self.sizes.remove(name)?;
        self.bytes = self.bytes.saturating_sub(size);
        Some(size)
    }
}

/// A file that is being written.
pub(crate) struct Draft {
    shelf: Shelf,
    /// `None` once it is on the shelf.
    path: Option<PathBuf>,
    file: BufWriter<File>,
    hash: Sha256,
    size: u64,
}

impl Draft {
    /// Bytes written so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// SHA-256 of what was written so far.
    pub fn sha256(&self) -> [u8; 32] {
        self.hash.clone().finalize().into()
    }

    /// Everything written so far, for reading from the start.
    pub fn reread(&mut self) -> io::Result<File> {
        self.file.flush()?;
        let path = self.path.as_ref().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        File::open(path)
    }

    /// Puts it on the shelf; it survives a `kill -9` from here on.
    pub fn keep(mut self) -> io::Result<Placed> {
        self.file.flush()?;
        let inner = &self.shelf.0;
        let at = u64::try_from(inner.clock.unix_millis()).unwrap_or(0);
        let name = format!("{at:0TIME_DIGITS$x}{}", hex::encode(inner.clock.bytes::<16>()));
        let path = self.path.as_ref().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        fs::rename(path, inner.folder.join(&name))?;
        inner.kept.lock().add(name.clone(), self.size);
        self.path = None;
        Ok(Placed { name, size: self.size, evicted: self.shelf.sweep() })
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            // What stays is thrown away at the next start.
            let _ = fs::remove_file(path);
        }
    }
}

fn is_name(name: &str) -> bool {
    name.len() == NAME_LENGTH && name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn came_at(name: &str) -> Option<i64> {
    i64::from_str_radix(name.get(..TIME_DIGITS)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    const ROOMY: Bounds = Bounds { bytes: 1_000, files: 10, age_ms: 60_000 };

    fn shelf(folder: &Path, bounds: Bounds) -> Shelf {
        Shelf::open(folder, bounds, Clock).unwrap()
    }

    fn place(shelf: &Shelf, bytes: &[u8]) -> Placed {
        let mut draft = shelf.draft().unwrap();
        draft.write_all(bytes).unwrap();
        draft.keep().unwrap()
    }

    #[test]
    fn a_file_outlives_the_shelf_and_an_unfinished_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let first = shelf(folder.path(), ROOMY);
        let placed = place(&first, b"bread");
        let mut open = first.draft().unwrap();
        open.write_all(b"half").unwrap();
        std::mem::forget(open); // killed here
        let again = shelf(folder.path(), ROOMY);
        let (mut file, size) = again.read(&placed.name).unwrap().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), size), ("bread", 5));
        assert_eq!(fs::read_dir(folder.path().join("drafts")).unwrap().count(), 0);
    }

    #[test]
    fn the_oldest_go_when_there_is_too_much() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = shelf(folder.path(), Bounds { bytes: 10, files: 2, age_ms: 60_000 });
        let first = place(&shelf, b"aaaa").name;
        std::thread::sleep(std::time::Duration::from_millis(2)); // names tell milliseconds apart
        place(&shelf, b"bbbb");
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert_eq!(place(&shelf, b"cccc").evicted, std::slice::from_ref(&first));
        assert!(shelf.read(&first).unwrap().is_none());
    }

    #[test]
    fn what_is_too_old_goes() {
        let folder = tempfile::tempdir().unwrap();
        let old = format!("{:012x}{}", 1_000, "0".repeat(32));
        fs::write(folder.path().join(&old), b"old").unwrap();
        assert_eq!(shelf(folder.path(), ROOMY).sweep(), [old]);
    }

    #[test]
    fn a_name_from_outside_is_no_path() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = shelf(&folder.path().join("shelf"), ROOMY);
        fs::write(folder.path().join("secret"), b"x").unwrap();
        for name in ["../secret", "drafts", "", "/etc/passwd", &"../".repeat(15)[..44]] {
            assert!(shelf.read(name).unwrap().is_none(), "{name}");
        }
    }
}
