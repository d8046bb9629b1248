//! Taking a sealed file in.
//!
//! What broke off half-way is kept for a while (in memory it is known, on disk it lies beside the shelf), so that its
//! sender can ask how far it came and go on from there.

use super::faults::{MediaTrouble, MediaWay, Troubled};
use super::request::{Request, largest};
use super::{Draft, FileRecord, Inner, MediaAnswer, file_key, hash_key, refused, told};
use crate::state::Room;
use parking_lot::Mutex;
use serde_json::json;
use std::io::{self, Read, Write};
use std::sync::atomic::Ordering;

/// Unfinished uploads that are kept; the oldest goes first.
const PARTIALS: usize = 32;
/// Read at once.
const CHUNK: usize = 64 * 1024;

/// Uploads that broke off, oldest first.
#[derive(Default)]
pub(super) struct Partials(Mutex<Vec<Partial>>);

struct Partial {
    phone: String,
    sha256: [u8; 32],
    draft: Draft,
}

impl Partials {
    fn take(&self, phone: &str, sha256: &[u8; 32]) -> Option<Draft> {
        let mut partials = self.0.lock();
        let at = partials.iter().position(|partial| partial.phone == phone && partial.sha256 == *sha256)?;
        Some(partials.remove(at).draft)
    }

    fn size(&self, phone: &str, sha256: &[u8; 32]) -> u64 {
        let partials = self.0.lock();
        let found = partials.iter().find(|partial| partial.phone == phone && partial.sha256 == *sha256);
        found.map_or(0, |partial| partial.draft.size())
    }

    fn keep(&self, phone: &str, sha256: [u8; 32], draft: Draft) {
        let mut partials = self.0.lock();
        if partials.len() == PARTIALS {
            partials.remove(0);
        }
        partials.push(Partial { phone: phone.to_owned(), sha256, draft });
    }
}

impl Inner {
    /// An upload, or the question how far one has come.
    pub(super) fn upload(
        &self,
        phone: &str,
        kind: &'static str,
        sha256: [u8; 32],
        request: &Request,
        body: &mut dyn Read,
    ) -> io::Result<MediaAnswer> {
        if request.resume {
            return self.progress(phone, kind, &sha256);
        }
        let trouble = self.faults.take(Some(phone), MediaWay::Upload);
        if let Some(MediaTrouble::Status(status)) = trouble {
            return refused(status, "refused, as was asked for", body);
        }
        let kept = self.partials.take(phone, &sha256);
        let draft = match kept.filter(|draft| draft.size() == request.offset) {
            Some(draft) => draft,
            None if request.offset == 0 => self.shelf.draft()?,
            None => return refused(400, "this upload is not that far; ask with resume=1", body),
        };
        self.receive(phone, kind, sha256, draft, trouble, body)
    }

    fn receive(
        &self,
        phone: &str,
        kind: &'static str,
        sha256: [u8; 32],
        mut draft: Draft,
        trouble: Option<MediaTrouble>,
        body: &mut dyn Read,
    ) -> io::Result<MediaAnswer> {
        let most = largest(kind);
        let slow = trouble.filter(|trouble| matches!(trouble, MediaTrouble::Slow(_)));
        match copy(&mut Troubled::new(&mut *body, 0, slow), &mut draft, most) {
            Ok(true) => {}
            Ok(false) => return refused(413, "this file is too large", body),
            Err(error) => {
                self.partials.keep(phone, sha256, draft);
                return Err(error);
            }
        }
        if trouble == Some(MediaTrouble::Truncated) {
            // As if the second half had never come.
            let half = self.first_half(&mut draft)?;
            self.partials.keep(phone, sha256, half);
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, "the line broke, as was asked for"));
        }
        if draft.size() == 0 || draft.sha256() != sha256 {
            return refused(400, "the file is not what its hash says", body);
        }
        if trouble == Some(MediaTrouble::Corrupt) {
            draft = self.spoiled(&mut draft)?;
        }
        self.place(phone, kind, sha256, draft)
    }

    /// Puts a received file on the shelf and says where it is.
    fn place(&self, phone: &str, kind: &str, sha256: [u8; 32], draft: Draft) -> io::Result<MediaAnswer> {
        let placed = draft.keep()?;
        let record = FileRecord { kind: kind.to_owned(), sha256, phone: phone.to_owned(), gone: None };
        let mut batch = self.state.batch();
        batch.put(Room::Media, &file_key(&placed.name), &record).map_err(io::Error::other)?;
        batch.put_raw(Room::Media, &hash_key(&sha256), placed.name.as_bytes());
        batch.commit().map_err(io::Error::other)?;
        self.forget(&placed.evicted);
        self.taken.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(kind, size = placed.size, "media taken in");
        Ok(told(200, &self.where_it_is(kind, &placed.name)))
    }

    fn progress(&self, phone: &str, kind: &str, sha256: &[u8; 32]) -> io::Result<MediaAnswer> {
        if let Some(name) = self.by_hash(sha256)?
            && let Some(record) = self.record(&name)?.filter(|record| record.gone.is_none())
            && self.shelf.read(&name)?.is_some()
        {
            let mut told_before = self.where_it_is(&record.kind, &name);
            told_before["resume"] = json!("complete");
            return Ok(told(200, &told_before));
        }
        let size = self.partials.size(phone, sha256);
        tracing::debug!(kind, size, "asked how far an upload has come");
        Ok(told(200, &json!({ "resume": size.to_string() })))
    }

    fn where_it_is(&self, kind: &str, name: &str) -> serde_json::Value {
        let direct_path = self.direct_path(kind, name);
        json!({ "url": format!("https://{}{direct_path}", self.host()), "direct_path": direct_path, "handle": name })
    }

    fn first_half(&self, whole: &mut Draft) -> io::Result<Draft> {
        let half = whole.size() / 2;
        let mut draft = self.shelf.draft()?;
        io::copy(&mut whole.reread()?.take(half), &mut draft)?;
        Ok(draft)
    }

    fn spoiled(&self, whole: &mut Draft) -> io::Result<Draft> {
        let size = whole.size();
        let mut draft = self.shelf.draft()?;
        io::copy(&mut Troubled::new(whole.reread()?, size, Some(MediaTrouble::Corrupt)), &mut draft)?;
        Ok(draft)
    }
}

/// Copies at most `most` bytes in all; `false` when there is more.
fn copy(from: &mut dyn Read, to: &mut Draft, most: u64) -> io::Result<bool> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(true),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if to.size() + read as u64 > most {
            return Ok(false);
        }
        to.write_all(&buffer[..read])?;
    }
}
