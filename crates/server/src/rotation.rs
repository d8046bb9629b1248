//! Changing the seal key of a data folder: making a new one, taking it up, retiring an old one.
//!
//! Each step is one file that is there whole or not at all, so a cut leaves either the state before or the one behind. A new
//! key may wait at first: it opens what other nodes sealed with it, and seals nothing. Of a retired key stays what the audit
//! log is checked with.

use crate::secrets::{FOLDER, MAC_PREFIX, SEAL_PREFIX, SealSecret, Secrets, WAITING, write_private};
use anyhow::{Context, bail};
use sanasend_model::Clock;
use sanasend_store::SealKey;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join(FOLDER)
}

/// Makes a key that waits; the one that waits already where there is one. Answers its number.
///
/// # Errors
/// When it can't be written.
pub fn prepare(data_dir: &Path, secrets: &Secrets, clock: &dyn Clock) -> anyhow::Result<u32> {
    if let Some(waiting) = &secrets.waiting_seal_key {
        return Ok(waiting.id);
    }
    // Numbers are never used again, not even those of retired keys.
    let used = secrets.older_seal_keys.iter().chain(&secrets.mac_keys).map(|key| key.id).max().unwrap_or(0);
    let id = used.max(secrets.seal_key.id).checked_add(1).context("there are no more numbers for keys")?;
    let mut bytes = [0_u8; 32];
    clock.fill(&mut bytes);
    write_private(&folder(data_dir).join(format!("{SEAL_PREFIX}{id}{WAITING}")), format!("{}\n", hex::encode(bytes)).as_bytes())?;
    Ok(id)
}

/// Takes the waiting key up: from the next start on everything is sealed with it. Answers its number.
///
/// # Errors
/// When none waits, or it can't be renamed.
pub fn activate(data_dir: &Path, secrets: &Secrets) -> anyhow::Result<u32> {
    let Some(SealSecret { id, .. }) = &secrets.waiting_seal_key else {
        bail!("no key waits here; `sanasend secrets rotate` makes one");
    };
    let (folder, name) = (folder(data_dir), format!("{SEAL_PREFIX}{id}"));
    fs::rename(folder.join(format!("{name}{WAITING}")), folder.join(name)).context("the key can't be taken up")?;
    File::open(&folder).and_then(|folder| folder.sync_all()).context("the key can't be taken up")?;
    Ok(*id)
}

/// Removes an old key, and keeps what the audit log is checked with. Only after the store said that nothing needs it.
///
/// # Errors
/// When it is no old key of this folder, or can't be removed.
pub fn retire(data_dir: &Path, secrets: &Secrets, id: u32) -> anyhow::Result<()> {
    let folder = folder(data_dir);
    let Some(old) = secrets.older_seal_keys.iter().find(|key| key.id == id) else {
        bail!("there is no old key {id} in {}", folder.display());
    };
    let macs = SealKey::new(id, old.key.0).mac_part();
    write_private(&folder.join(format!("{MAC_PREFIX}{id}")), format!("{}\n", hex::encode(macs)).as_bytes())?;
    fs::remove_file(folder.join(format!("{SEAL_PREFIX}{id}"))).with_context(|| format!("the key {id} can't be removed"))?;
    File::open(&folder).and_then(|folder| folder.sync_all()).context("the removal can't be written down")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    fn open(folder: &tempfile::TempDir) -> Secrets {
        Secrets::open(folder.path(), &SystemClock, false).expect("read")
    }

    #[test]
    fn a_key_waits_is_taken_up_and_the_old_one_retired() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Secrets::open(folder.path(), &SystemClock, true).expect("made");
        assert_eq!(prepare(folder.path(), &first, &SystemClock).expect("made"), 2);
        let waiting = open(&folder);
        assert_eq!((waiting.seal_key.id, waiting.waiting_seal_key.as_ref().map(|key| key.id)), (1, Some(2)));
        assert_eq!(prepare(folder.path(), &waiting, &SystemClock).expect("there"), 2, "only one waits");
        assert_eq!(activate(folder.path(), &waiting).expect("taken up"), 2);
        let taken = open(&folder);
        assert!(taken.waiting_seal_key.is_none() && taken.seal_key.id == 2 && taken.older_seal_keys[0].id == 1);
        assert!(activate(folder.path(), &taken).is_err());
        assert!(retire(folder.path(), &taken, 2).is_err(), "the present key");
        retire(folder.path(), &taken, 1).expect("retired");
        let last = open(&folder);
        assert!(last.older_seal_keys.is_empty() && last.mac_keys[0].id == 1);
        assert_eq!(prepare(folder.path(), &last, &SystemClock).expect("made"), 3, "no number twice");
        assert_ne!(last.mac_keys[0].key.0, first.seal_key.key.0, "it opens nothing");
    }

    #[test]
    fn a_cut_between_the_two_steps_of_retiring_harms_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Secrets::open(folder.path(), &SystemClock, true).expect("made");
        prepare(folder.path(), &first, &SystemClock).expect("made");
        activate(folder.path(), &open(&folder)).expect("taken up");
        let kept = std::fs::read(folder.path().join(FOLDER).join("seal_key_1")).expect("the key");
        retire(folder.path(), &open(&folder), 1).expect("retired");
        write_private(&folder.path().join(FOLDER).join("seal_key_1"), &kept).expect("as if it had not been removed");
        let both = open(&folder);
        assert!(both.mac_keys.is_empty() && both.older_seal_keys[0].id == 1, "the whole key counts");
        retire(folder.path(), &both, 1).expect("again");
    }
}
