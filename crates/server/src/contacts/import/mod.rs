//! Importing a file of contacts, or of people who opted out: looked at as it comes, or staged whole and then taken in behind
//! the request, in batches, a transaction each.
//!
//! A line that can't be read is named and spoils no other. Whoever is a contact already gets what is new, so the same file
//! again changes nothing.

mod head;
mod look;
mod stage;
mod work;

pub use look::Look;
pub use stage::{Stage, Staged};
pub use work::{Taken, Work, take_in};

use super::file::TooLong;
use sanasend_model::contact_file::Line;
use sanasend_model::{Invalid, OptOutSource, Recipient, contact};
use sanasend_store::{ImportFault, ImportKind, NewContact, NewOptOut, OptOutCause, Peer, StoreError};
use std::collections::BTreeMap;

/// Lines in one transaction.
const BATCH: usize = 500;
/// Lines that are shown of a file.
const SHOWN: usize = 10;
/// Lines that are named of those that were refused, where a file is only looked at.
const NAMED: usize = 100;

/// What is to be imported.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What the file holds.
    pub kind: ImportKind,
    /// Only to look.
    pub dry_run: bool,
    /// What the caller says of columns, by their headings.
    pub mapping: BTreeMap<String, String>,
    /// Bytes of the file, where that is known.
    pub total_bytes: Option<u64>,
}

/// Why it ended.
#[derive(Debug)]
pub enum Refused {
    /// Something is wrong with the file as a whole, or with what was said of it.
    File(Invalid),
    /// Somebody ended it.
    Canceled,
    /// The store is down.
    Store(StoreError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Invalid> for Refused {
    fn from(invalid: Invalid) -> Self {
        Self::File(invalid)
    }
}

impl From<TooLong> for Refused {
    fn from(TooLong { line }: TooLong) -> Self {
        Self::File(Invalid::new("file", format!("has no end of line {line}: a quote was opened there and not closed")))
    }
}

/// What is wrong with a line, for its report.
fn faults_of(line: u64, invalid: Vec<Invalid>) -> impl Iterator<Item = ImportFault> {
    invalid.into_iter().map(move |invalid| ImportFault { line, field: invalid.field, message: invalid.message })
}

fn not_utf8() -> Vec<Invalid> {
    vec![Invalid::new("line", "must be text in UTF-8; save the file as CSV UTF-8")]
}

/// A person as the store knows people.
#[must_use]
pub fn peer_of(person: &Recipient) -> Peer {
    match person {
        Recipient::Phone(phone) => Peer { phone: Some(phone.clone()), jid: Some(phone.jid()), lid: None },
        Recipient::Lid(lid) => Peer { phone: None, jid: None, lid: Some(lid.clone()) },
        Recipient::Group(group) => Peer { phone: None, jid: Some(group.clone()), lid: None },
    }
}

fn contact_of(line: Line) -> NewContact {
    let Line { person, name, tags, groups, fields, notes, consent, .. } = line;
    NewContact { person: peer_of(&person), name, tags, groups, fields, notes, consent, consent_note: None }
}

fn opt_out_of(line: &Line) -> NewOptOut {
    let note = contact::note("notes", &line.notes).ok().filter(|note| !note.is_empty());
    NewOptOut { person: peer_of(&line.person), cause: OptOutCause { source: OptOutSource::Import, message_id: None, note } }
}
