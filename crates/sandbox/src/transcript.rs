//! Everything that crossed the network's boundary, for checks.
//!
//! A bounded ring of stanzas, decrypted at the level of the connection, with time,
//! direction, device and connection number. It is apart so that recording stays
//! cheap (a clone of a byte slice under a short lock) while everything a reader may
//! want (JSON, filters, the headers of encrypted payloads) is worked out only when
//! somebody reads.

mod render;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::watch;
use wacore_binary::{Jid, JidExt as _, OwnedNodeRef};

/// Stanzas kept before the oldest are dropped.
pub const DEFAULT_ENTRIES: usize = 200_000;

/// Bytes kept before the oldest are dropped, whatever their number: a prekey upload
/// alone is 30 kB, and the sandbox may live inside the product's process.
const MAX_BYTES: usize = 128 * 1024 * 1024;

/// Which way a stanza went, seen from the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From a device to the network.
    In,
    /// From the network to a device.
    Out,
}

/// Which stanzas a reader wants. Every condition that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StanzaFilter {
    /// Device (`1:33@s.whatsapp.net`) or, without device number, every device of
    /// that user. `+E164` is read as the number's jid.
    pub jid: Option<String>,
    /// Tag of the stanza, such as `message` or `receipt`.
    pub tag: Option<String>,
    /// Only stanzas whose `seq` is greater; 0 means from the beginning.
    pub after: u64,
    /// At most so many, oldest first; without it 1,000.
    pub limit: Option<usize>,
    /// Only this direction.
    pub direction: Option<Direction>,
    /// Only stanzas with this `id` attribute.
    pub id: Option<String>,
    /// Only stanzas with this `type` attribute.
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

impl StanzaFilter {
    /// Stanzas with this tag.
    #[must_use]
    pub fn tag(tag: &str) -> Self {
        Self { tag: Some(tag.to_owned()), ..Self::default() }
    }

    /// Narrows to a device or user; see [`StanzaFilter::jid`].
    #[must_use]
    pub fn of(mut self, jid: &str) -> Self {
        self.jid = Some(jid.to_owned());
        self
    }

    /// Narrows to one `type` attribute.
    #[must_use]
    pub fn kind(mut self, kind: &str) -> Self {
        self.kind = Some(kind.to_owned());
        self
    }

    /// Narrows to one `id` attribute.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    /// Narrows to one direction.
    #[must_use]
    pub fn direction(mut self, direction: Direction) -> Self {
        self.direction = Some(direction);
        self
    }

    /// Narrows to what came after `seq`.
    #[must_use]
    pub fn after(mut self, seq: u64) -> Self {
        self.after = seq;
        self
    }
}

/// One recorded stanza as readers get it.
#[derive(Clone, Debug, Serialize)]
pub struct StanzaRecord {
    /// Position in the transcript, counted from 1 without gaps.
    pub seq: u64,
    /// Milliseconds since 1970.
    pub at: i64,
    /// Which way it went.
    pub direction: Direction,
    /// Number of the connection, unique while the sandbox runs.
    pub connection: u64,
    /// The device at the other end, when it is known.
    pub jid: Option<String>,
    /// Tag of the stanza.
    pub tag: String,
    /// The stanza: `{tag, attrs, children | text | bytes}`; byte contents are given
    /// by length only, and an `enc` carries `header` with what its unencrypted part
    /// says: `{type, ratchet_key_hash, counter}`.
    pub node: serde_json::Value,
}

struct Entry {
    seq: u64,
    at: i64,
    direction: Direction,
    connection: u64,
    device: Option<Jid>,
    stanza: Bytes,
}

#[derive(Default)]
struct Ring {
    entries: VecDeque<Entry>,
    last: u64,
    bytes: usize,
}

/// The record of stanzas. Share it behind an `Arc`.
pub struct Transcript {
    ring: Mutex<Ring>,
    capacity: usize,
    changed: watch::Sender<u64>,
}

impl Default for Transcript {
    fn default() -> Self {
        Self::with_capacity(DEFAULT_ENTRIES)
    }
}

impl std::fmt::Debug for Transcript {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transcript").finish_non_exhaustive()
    }
}

impl Transcript {
    /// A transcript that keeps the last `capacity` stanzas.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { ring: Mutex::default(), capacity, changed: watch::Sender::new(0) }
    }

    /// Notes one stanza: `at` in milliseconds since 1970, `stanza` in the binary
    /// form without its leading flag byte.
    pub fn record(&self, at: i64, direction: Direction, connection: u64, device: Option<&Jid>, stanza: Bytes) {
        let seq = {
            let mut ring = self.ring.lock();
            ring.last += 1;
            ring.bytes += stanza.len();
            let seq = ring.last;
            ring.entries.push_back(Entry { seq, at, direction, connection, device: device.cloned(), stanza });
            while ring.entries.len() > self.capacity || ring.bytes > MAX_BYTES {
                let Some(gone) = ring.entries.pop_front() else {
                    break;
                };
                ring.bytes -= gone.stanza.len();
            }
            seq
        };
        self.changed.send_replace(seq);
    }

    /// The `seq` of the newest stanza; 0 when there is none.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.ring.lock().last
    }

    /// What matches, oldest first.
    #[must_use]
    pub fn read(&self, filter: &StanzaFilter) -> Vec<StanzaRecord> {
        let filter = Matcher::new(filter);
        let limit = filter.wanted.limit.unwrap_or(1_000);
        let mut found = Vec::new();
        for entry in self.candidates(&filter) {
            if found.len() == limit {
                break;
            }
            if let Some(record) = filter.accept(&entry) {
                found.push(record);
            }
        }
        found
    }

    /// The first stanza that matches, waiting for it at most `patience`.
    pub async fn wait_for(&self, filter: &StanzaFilter, patience: Duration) -> Option<StanzaRecord> {
        let deadline = tokio::time::Instant::now() + patience;
        let mut changes = self.changed.subscribe();
        let mut next = StanzaFilter { limit: Some(1), ..filter.clone() };
        loop {
            let seen = *changes.borrow_and_update();
            if let Some(found) = self.read(&next).pop() {
                return Some(found);
            }
            next.after = next.after.max(seen);
            if tokio::time::timeout_at(deadline, changes.changed()).await.is_err() {
                return None;
            }
        }
    }

    /// Copies of the entries that pass the conditions which need no decoding; the
    /// lock is not held while stanzas are decoded.
    fn candidates(&self, filter: &Matcher<'_>) -> Vec<Entry> {
        let ring = self.ring.lock();
        let first = ring.entries.partition_point(|e| e.seq <= filter.wanted.after);
        ring.entries
            .range(first..)
            .filter(|entry| filter.may_accept(entry))
            .map(|entry| Entry { device: entry.device.clone(), stanza: entry.stanza.clone(), ..*entry })
            .collect()
    }
}

/// A filter with its jid parsed once.
struct Matcher<'a> {
    wanted: &'a StanzaFilter,
    who: Who,
}

/// Whose stanzas are wanted.
enum Who {
    Everybody,
    /// What was asked for is no jid: nobody has it.
    Nobody,
    /// A device, or every device of a user if its number is 0.
    Of(Jid),
}

impl<'a> Matcher<'a> {
    fn new(wanted: &'a StanzaFilter) -> Self {
        let who = match wanted.jid.as_deref().map(|text| (text, text.strip_prefix('+'))) {
            None => Who::Everybody,
            Some((_, Some(digits))) => Who::Of(Jid::pn(digits)),
            Some((text, None)) => text.parse().map_or(Who::Nobody, Who::Of),
        };
        Self { wanted, who }
    }

    fn may_accept(&self, entry: &Entry) -> bool {
        if self.wanted.direction.is_some_and(|d| d != entry.direction) {
            return false;
        }
        match (&self.who, &entry.device) {
            (Who::Everybody, _) => true,
            (Who::Of(wanted), Some(device)) => wanted.is_same_user_as(device) && (wanted.device == 0 || wanted.device == device.device),
            _ => false,
        }
    }

    fn accept(&self, entry: &Entry) -> Option<StanzaRecord> {
        let owned = OwnedNodeRef::new(entry.stanza.clone()).ok()?;
        let node = owned.get();
        let attribute = |name: &str| node.get_attr(name).map(|value| value.as_str());
        let agrees = |wanted: &Option<String>, name: &str| {
            wanted.as_deref().is_none_or(|wanted| attribute(name).is_some_and(|found| found == wanted))
        };
        if self.wanted.tag.as_deref().is_some_and(|tag| node.tag != tag)
            || !agrees(&self.wanted.id, "id")
            || !agrees(&self.wanted.kind, "type")
        {
            return None;
        }
        Some(StanzaRecord {
            seq: entry.seq,
            at: entry.at,
            direction: entry.direction,
            connection: entry.connection,
            jid: entry.device.as_ref().map(ToString::to_string),
            tag: node.tag.to_string(),
            node: render::node(node),
        })
    }
}

#[cfg(test)]
mod tests;
