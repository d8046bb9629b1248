//! Media hosts: where clients leave sealed files and take them from.
//!
//! They know nothing of keys and cannot open a file. What comes in is hashed on the way to disk and kept only if the
//! hash is the one that was announced. The same [`MediaHost::exchange`] serves the product in this process, the
//! virtual phones, and the HTTP ports. It blocks: call it where blocking is allowed.

mod download;
mod faults;
mod request;
mod shelf;
mod ticket;
mod upload;

pub use faults::{MediaTrouble, MediaWay};
pub(crate) use request::token;
pub(crate) use shelf::{Bounds, Draft, Placed, Shelf};

use crate::Error;
use crate::clock::Clock;
use crate::state::{Room, State, hexed};
use faults::MediaFaults;
use request::{Request, Target};
use serde::{Deserialize, Serialize};
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use ticket::Tickets;
use upload::Partials;

/// What the host keeps at most. WhatsApp forgets media after about a month.
const BOUNDS: Bounds = Bounds { bytes: 4 << 30, files: 20_000, age_ms: 30 * 24 * 60 * 60 * 1000 };
/// A body that is refused is read to this length, so that its sender hears the answer.
const PATIENCE: u64 = 8 * 1024 * 1024;

/// The pretend media hosts. Clones share them.
#[derive(Clone)]
pub struct MediaHost(Arc<Inner>);

impl std::fmt::Debug for MediaHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MediaHost").finish_non_exhaustive()
    }
}

struct Inner {
    state: State,
    clock: Clock,
    shelf: Shelf,
    tickets: Tickets,
    partials: Partials,
    faults: MediaFaults,
    /// Files that were taken in since the start.
    taken: AtomicU64,
    /// `host:port`, known once the ports are open.
    address: OnceLock<String>,
}

/// The answer to a request.
pub struct MediaAnswer {
    /// HTTP status.
    pub status: u16,
    /// HTTP headers.
    pub headers: Vec<(String, String)>,
    /// The body; reading it may block, and may fail half-way like any connection.
    pub body: Box<dyn Read + Send>,
}

impl std::fmt::Debug for MediaAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MediaAnswer").field("status", &self.status).field("headers", &self.headers).finish_non_exhaustive()
    }
}

/// What is known of a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct FileRecord {
    /// Kind, as in its path.
    kind: String,
    /// SHA-256 of the sealed file.
    #[serde(with = "hexed")]
    sha256: [u8; 32],
    /// Whose upload it was: digits of the number.
    phone: String,
    /// What it is answered with instead of its bytes, once it has expired.
    gone: Option<u16>,
}

impl MediaHost {
    /// Opens the hosts' files in `folder`.
    pub(crate) fn open(state: State, folder: &Path, clock: Clock) -> Result<MediaHost, Error> {
        let shelf = Shelf::open(folder, BOUNDS, clock)?;
        let tickets = Tickets::open(&state, clock)?;
        let (partials, faults, taken) = (Partials::default(), MediaFaults::default(), AtomicU64::new(0));
        let inner = Inner { state, clock, shelf, tickets, partials, faults, taken, address: OnceLock::new() };
        let evicted = inner.shelf.sweep();
        inner.forget(&evicted);
        Ok(MediaHost(Arc::new(inner)))
    }

    /// Answers one request. `path_and_query` begins with `/mms/` or `/v/`; header names in any case.
    ///
    /// # Errors
    /// When the body cannot be read to its end, a planted fault breaks the line, or the disk fails. Everything that a
    /// host says, refusals among them, is an answer.
    pub fn exchange(
        &self,
        method: &str,
        path_and_query: &str,
        headers: &[(String, String)],
        body: &mut dyn Read,
    ) -> io::Result<MediaAnswer> {
        let Some(request) = Request::read(path_and_query, headers) else {
            return refused(404, "no media is found under this path", body);
        };
        let phone = match &request.auth {
            Some(auth) => match self.0.tickets.holder(auth) {
                Some(phone) => Some(phone),
                None => return refused(401, "this ticket is not valid; ask for media_conn", body),
            },
            None => None,
        };
        match (method, &request.target, phone) {
            ("POST" | "PUT", Target::Hash { .. }, None) => refused(401, "an upload needs a ticket; ask for media_conn", body),
            ("POST" | "PUT", Target::Hash { kind, sha256 }, Some(phone)) => {
                let (kind, sha256) = (*kind, *sha256);
                self.0.upload(&phone, kind, sha256, &request, body)
            }
            ("GET" | "HEAD", _, phone) => self.0.download(phone.as_deref(), &request, method == "HEAD"),
            _ => refused(405, "media is uploaded by POST to /mms/ and downloaded by GET", body),
        }
    }

    /// What an account shows when it brings or takes media: the `auth` of `media_conn`.
    pub(crate) fn ticket(&self, phone: &str) -> String {
        self.0.tickets.of(phone)
    }

    /// `host:port`, as clients are told.
    pub(crate) fn address(&self) -> &str {
        self.0.address.get().map_or("localhost", String::as_str)
    }

    /// Says under which `host:port` media is found. The first call counts.
    pub(crate) fn set_address(&self, address: String) {
        // A second call would mean that ports moved, which they do not.
        let _ = self.0.address.set(address);
    }

    /// How many files clients and phones have left since the start.
    pub(crate) fn taken(&self) -> u64 {
        self.0.taken.load(Ordering::Relaxed)
    }

    /// Makes the next `count` requests of an account go wrong.
    pub(crate) fn plant(&self, phone: &str, way: MediaWay, trouble: MediaTrouble, count: u32) {
        self.0.faults.plant(phone, way, trouble, count);
    }

    /// Ends all planted faults. What has expired stays so.
    pub(crate) fn clear_faults(&self) {
        self.0.faults.clear();
    }

    /// Everything that an account has uploaded until now is answered with this status from now on.
    pub(crate) fn expire(&self, phone: &str, status: u16) -> Result<(), Error> {
        for (key, mut record) in self.0.state.scan::<FileRecord>(Room::Media, b"file/")? {
            if record.phone == phone && record.gone.is_none() {
                record.gone = Some(status);
                self.0.state.put(Room::Media, &key, &record)?;
            }
        }
        Ok(())
    }
}

impl MediaHost {
    /// The file under this direct path is answered with `status` from now on.
    pub(crate) fn expire_path(&self, direct_path: &str, status: u16) -> Result<(), Error> {
        let name = direct_path.split(['/', '.', '?']).find(|part| part.len() == shelf::NAME_LENGTH).unwrap_or_default();
        let key = file_key(name);
        let Some(mut record) = self.0.state.get::<FileRecord>(Room::Media, &key)? else {
            return Err(Error::Unknown("no such file at the media hosts".into()));
        };
        record.gone = Some(status);
        self.0.state.put(Room::Media, &key, &record)
    }
}

impl Inner {
    fn record(&self, name: &str) -> io::Result<Option<FileRecord>> {
        self.state.get(Room::Media, &file_key(name)).map_err(io::Error::other)
    }

    /// The newest file with this hash that can be had.
    fn by_hash(&self, sha256: &[u8; 32]) -> io::Result<Option<String>> {
        let Some(name) = self.state.get_raw(Room::Media, &hash_key(sha256)).map_err(io::Error::other)? else {
            return Ok(None);
        };
        Ok(String::from_utf8(name).ok())
    }

    /// Forgets files that are off the shelf.
    fn forget(&self, names: &[String]) {
        for name in names {
            let Ok(Some(record)) = self.record(name) else {
                continue;
            };
            let is_newest = self.by_hash(&record.sha256).is_ok_and(|newest| newest.as_ref() == Some(name));
            let mut batch = self.state.batch();
            batch.delete(Room::Media, &file_key(name));
            if is_newest {
                batch.delete(Room::Media, &hash_key(&record.sha256));
            }
            if let Err(error) = batch.commit() {
                tracing::warn!(%error, "a file that is gone was not forgotten");
            }
        }
    }

    /// Where clients find a file, without host. `oe` looks like an expiry, as clients expect a query here.
    fn direct_path(&self, kind: &str, name: &str) -> String {
        let until = (self.clock.unix_millis() + BOUNDS.age_ms) / 1000;
        format!("/v/{kind}/{name}.enc?ccb=11-4&oe={until:X}")
    }

    fn host(&self) -> &str {
        self.address.get().map_or("localhost", String::as_str)
    }
}

fn file_key(name: &str) -> Vec<u8> {
    format!("file/{name}").into_bytes()
}

fn hash_key(sha256: &[u8; 32]) -> Vec<u8> {
    format!("hash/{}", hex::encode(sha256)).into_bytes()
}

/// A refusal in JSON, after what the sender says was heard.
fn refused(status: u16, why: &str, body: &mut dyn Read) -> io::Result<MediaAnswer> {
    io::copy(&mut body.take(PATIENCE), &mut io::sink())?;
    Ok(told(status, &serde_json::json!({ "error": why })))
}

/// An answer in JSON.
fn told(status: u16, what: &serde_json::Value) -> MediaAnswer {
    let text = what.to_string();
    let headers = vec![header("content-type", "application/json"), header("content-length", &text.len())];
    MediaAnswer { status, headers, body: Box::new(Cursor::new(text)) }
}

fn header(name: &str, value: &(impl ToString + ?Sized)) -> (String, String) {
    (name.to_owned(), value.to_string())
}

#[cfg(test)]
mod tests;
