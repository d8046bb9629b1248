//! What the pretend network remembers, on disk.
//!
//! A small key-value face over `fjall`. It is apart so that no other module knows
//! how things are stored. Every write has reached the operating system when the
//! call returns: it survives the death of the process (not a power cut). The rule
//! for callers is to write first and answer afterwards.

use crate::Error;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use parking_lot::RwLock;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::sync::Arc;

/// The shelves of the store. A key is unique within its room; on disk each key begins with its room's number, so
/// that all rooms share one tree (a tree of its own costs twenty syncs when it is made).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Room {
    /// One record for each account, by phone number.
    Accounts = 1,
    /// One record for each device, by `number:device`.
    Devices = 2,
    /// One-time prekeys that nobody has fetched yet: 32 raw bytes each.
    PreKeys = 3,
    /// Stanzas that a device has not acknowledged yet.
    Queue = 4,
    /// App-state collections and other small things of an account.
    Extras = 5,
    /// The phones: their own keys and settings.
    Phones = 6,
    /// The phones' Signal state.
    Signal = 7,
    /// What the phones show.
    Chats = 8,
    /// What the media hosts know of their files.
    Media = 9,
}

impl Room {
    /// Where `key` of this room is on disk.
    fn at(self, key: &[u8]) -> Vec<u8> {
        let mut whole = Vec::with_capacity(1 + key.len());
        whole.push(self as u8);
        whole.extend_from_slice(key);
        whole
    }
}

/// Unwritten data is kept in memory up to this size. Small, because the sandbox may live inside the product's
/// process.
const MEMTABLE_BYTES: u64 = 8 * 1024 * 1024;

/// Block cache.
const CACHE_BYTES: u64 = 4 * 1024 * 1024;

/// Name of the empty file that says that the store was made to the end. `fjall` can't open what it was killed in making.
const WHOLE: &str = "whole";

/// A key with the raw value found under it.
pub type RawEntry = (Vec<u8>, Vec<u8>);

/// The store. Cheap to clone; safe to use from any thread. Once closed, by any of its clones, it refuses everything.
#[derive(Clone)]
pub struct State(Arc<RwLock<Option<Arc<Files>>>>);

/// The open files; given back to the system when the last user lets go.
struct Files {
    database: Database,
    tree: Keyspace,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

impl State {
    /// Opens the store in `folder`, making it when absent. What a killed first start left half made is made anew: nothing
    /// was ever written into it.
    ///
    /// # Errors
    /// `Error::State` when the folder cannot be used, or another process holds it.
    pub fn open(folder: &Path) -> Result<State, Error> {
        let whole = folder.join(WHOLE);
        let is_whole = whole.exists();
        if !is_whole && folder.exists() {
            std::fs::remove_dir_all(folder).map_err(|source| unusable(folder, source))?;
        }
        let database = Database::builder(folder).cache_size(CACHE_BYTES).worker_threads(1).open()?;
        let tree = database.keyspace("rooms", || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES))?;
        if !is_whole {
            let mark = std::fs::File::create(&whole).and_then(|mark| mark.sync_all());
            mark.and_then(|()| std::fs::File::open(folder)?.sync_all()).map_err(|source| unusable(folder, source))?;
        }
        Ok(State(Arc::new(RwLock::new(Some(Arc::new(Files { database, tree }))))))
    }

    /// Lets go of the files, so that they can be opened again; whoever still holds a clone gets errors from now on.
    pub fn close(&self) {
        self.0.write().take();
    }

    fn files(&self) -> Result<Arc<Files>, Error> {
        self.0.read().clone().ok_or_else(closed)
    }

    /// Writes `value` as JSON under `key`.
    ///
    /// # Errors
    /// `Error::State` when the disk refuses or the value cannot be written as JSON.
    pub fn put<T: Serialize>(&self, room: Room, key: &[u8], value: &T) -> Result<(), Error> {
        self.put_raw(room, key, &serde_json::to_vec(value)?)
    }

    /// Writes raw bytes under `key`.
    ///
    /// # Errors
    /// `Error::State` when the disk refuses.
    pub fn put_raw(&self, room: Room, key: &[u8], value: &[u8]) -> Result<(), Error> {
        Ok(self.files()?.tree.insert(room.at(key), value)?)
    }

    /// Reads the JSON value under `key`; `None` when there is none.
    ///
    /// # Errors
    /// `Error::State` when the disk refuses or the value has another shape.
    pub fn get<T: DeserializeOwned>(&self, room: Room, key: &[u8]) -> Result<Option<T>, Error> {
        match self.get_raw(room, key)? {
            Some(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            None => Ok(None),
        }
    }

    /// Reads the raw bytes under `key`; `None` when there are none.
    ///
    /// # Errors
    /// `Error::State` when the disk refuses.
    pub fn get_raw(&self, room: Room, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.files()?.tree.get(room.at(key))?.map(|v| v.to_vec()))
    }

    /// Forgets `key`. Forgetting what is not there is fine.
    ///
    /// # Errors
    /// `Error::State` when the disk refuses.
    pub fn delete(&self, room: Room, key: &[u8]) -> Result<(), Error> {
        Ok(self.files()?.tree.remove(room.at(key))?)
    }

    /// All JSON values whose key begins with `prefix`, in key order.
    ///
    /// # Errors
    /// `Error::State` when the disk refuses or a value has another shape.
    pub fn scan<T: DeserializeOwned>(&self, room: Room, prefix: &[u8]) -> Result<Vec<(Vec<u8>, T)>, Error> {
        let raw = self.scan_raw(room, prefix)?;
        let mut found = Vec::with_capacity(raw.len());
        for (key, value) in raw {
            found.push((key, serde_json::from_slice(&value)?));
        }
        Ok(found)
    }

    /// All raw values whose key begins with `prefix`, in key order.
    ///
    /// # Errors
    /// `Error::State` when the disk refuses.
    pub fn scan_raw(&self, room: Room, prefix: &[u8]) -> Result<Vec<RawEntry>, Error> {
        let mut found = Vec::new();
        for entry in self.files()?.tree.prefix(room.at(prefix)) {
            let (key, value) = entry.into_inner()?;
            found.push((key[1..].to_vec(), value.to_vec()));
        }
        Ok(found)
    }

    /// All keys that begin with `prefix`, in order, without their values.
    ///
    /// # Errors
    /// `Error::State` when the disk refuses.
    pub fn keys(&self, room: Room, prefix: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        let mut found = Vec::new();
        for entry in self.files()?.tree.prefix(room.at(prefix)) {
            found.push(entry.key()?[1..].to_vec());
        }
        Ok(found)
    }

    /// Starts a set of changes that is written as one: all of it or nothing.
    #[must_use]
    pub fn batch(&self) -> Batch {
        let files = self.files().ok();
        Batch(files.map(|files| (files.database.batch(), files)))
    }

    /// Makes everything written so far safe against a power cut as well.
    ///
    /// # Errors
    /// `Error::State` when the disk refuses.
    pub fn flush(&self) -> Result<(), Error> {
        Ok(self.files()?.database.persist(PersistMode::SyncAll)?)
    }
}

fn closed() -> Error {
    Error::State("the sandbox has stopped".into())
}

fn unusable(folder: &Path, source: std::io::Error) -> Error {
    Error::File { path: folder.display().to_string(), source }
}

/// Changes that are written as one by [`Batch::commit`]; dropped, they never were.
pub struct Batch(Option<(fjall::OwnedWriteBatch, Arc<Files>)>);

impl Batch {
    /// Adds a JSON value.
    ///
    /// # Errors
    /// `Error::State` when the value cannot be written as JSON.
    pub fn put<T: Serialize>(&mut self, room: Room, key: &[u8], value: &T) -> Result<(), Error> {
        self.put_raw(room, key, &serde_json::to_vec(value)?);
        Ok(())
    }

    /// Adds a raw value.
    pub fn put_raw(&mut self, room: Room, key: &[u8], value: &[u8]) {
        if let Some((batch, files)) = &mut self.0 {
            batch.insert(&files.tree, room.at(key), value);
        }
    }

    /// Adds the removal of a key.
    pub fn delete(&mut self, room: Room, key: &[u8]) {
        if let Some((batch, files)) = &mut self.0 {
            batch.remove(&files.tree, room.at(key));
        }
    }

    /// Writes everything added.
    ///
    /// # Errors
    /// `Error::State` when the disk refuses or the store is closed; then nothing was written.
    pub fn commit(self) -> Result<(), Error> {
        let (batch, _files) = self.0.ok_or_else(closed)?;
        Ok(batch.commit()?)
    }
}

/// `#[serde(with = "crate::state::hexed")]` for keys and other short byte strings:
/// a JSON list of numbers would be four times as long.
pub mod hexed {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes bytes as a hexadecimal string.
    ///
    /// # Errors
    /// What the serializer says.
    pub fn serialize<S: Serializer, B: AsRef<[u8]>>(bytes: &B, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex::encode(bytes))
    }

    /// Reads bytes from a hexadecimal string.
    ///
    /// # Errors
    /// When the text is not hexadecimal or has the wrong length.
    pub fn deserialize<'de, D: Deserializer<'de>, B: TryFrom<Vec<u8>>>(from: D) -> Result<B, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = hex::decode(text).map_err(D::Error::custom)?;
        B::try_from(bytes).map_err(|_| D::Error::custom("wrong number of bytes"))
    }
}
