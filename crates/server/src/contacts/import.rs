//! Importing a file of contacts, or of people who opted out, as it comes: in batches, a transaction each, with a report.
//!
//! A line that can't be read is named and spoils no other. Whoever is a contact already gets what is new, so the same file
//! again changes nothing, and one that broke off is simply sent again.

use super::file::{Lines, Record, TooLong};
use sanasend_model::contact_file::{Line, MOST_COLUMNS, Mapping};
use sanasend_model::{ContactSource, ImportId, Invalid, Jid, OptOutSource, Recipient, UserId, contact};
use sanasend_store::{
    ImportFault, ImportKind, ImportProgress, ImportState, NewContact, NewOptOut, OptOutCause, Peer, Put, Store, StoreError,
};
use std::collections::{BTreeMap, HashSet};

/// Lines in one transaction.
const BATCH: usize = 500;
/// Lines that are shown of a file.
const SHOWN: usize = 10;
/// Lines that are named of those that were refused.
const NAMED: usize = 100;
/// People of a file that are remembered for counting those that come twice, where nothing is written.
const REMEMBERED: usize = 1_000_000;

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

/// What came of it.
#[derive(Debug, Clone)]
pub struct Report {
    /// Its id; nothing is kept of a look.
    pub id: Option<ImportId>,
    /// Headings and what each column was taken for.
    pub columns: Vec<(String, String)>,
    /// How far it came.
    pub progress: ImportProgress,
    /// The first lines as they were understood.
    pub shown: Vec<Line>,
}

/// Why it ended.
#[derive(Debug)]
pub enum Refused {
    /// Something is wrong with the file as a whole, or with what was said of it.
    File(Invalid),
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

/// An import under way.
pub struct Import {
    store: Store,
    user: UserId,
    wanted: Wanted,
    id: Option<ImportId>,
    lines: Lines,
    headings: Vec<String>,
    mapping: Option<Mapping>,
    batch: Vec<Line>,
    seen: HashSet<Jid>,
    report: Report,
}

impl Import {
    /// Begins one.
    ///
    /// # Errors
    /// When the store is down.
    pub async fn begin(store: Store, user: UserId, wanted: Wanted) -> Result<Self, StoreError> {
        let id = if wanted.dry_run { None } else { Some(store.begin_import(user, wanted.kind, wanted.total_bytes).await?) };
        let report = Report { id, columns: Vec::new(), progress: ImportProgress::default(), shown: Vec::new() };
        let (lines, batch) = (Lines::default(), Vec::with_capacity(BATCH));
        Ok(Self { store, user, wanted, id, lines, headings: Vec::new(), mapping: None, batch, seen: HashSet::new(), report })
    }

    /// Takes a piece of the file in.
    ///
    /// # Errors
    /// When it can't go on; what was written before stays.
    pub async fn push(&mut self, piece: &[u8]) -> Result<(), Refused> {
        self.report.progress.read_bytes += piece.len() as u64;
        let records = self.lines.push(piece)?;
        self.take_all(records).await
    }

    /// Takes the end of the file in; the report.
    ///
    /// # Errors
    /// As [`Import::push`], and when there was nothing in the file.
    pub async fn finish(&mut self) -> Result<Report, Refused> {
        let records = std::mem::take(&mut self.lines).finish()?;
        self.take_all(records).await?;
        if self.mapping.is_none() {
            return Err(Invalid::new("file", "is empty").into());
        }
        self.write().await?;
        if let Some(id) = self.id {
            self.store.note_import(id, ImportState::Done, &self.report.progress).await?;
        }
        Ok(self.report.clone())
    }

    /// Notes that it ended early.
    pub async fn broke(&self) {
        let Some(id) = self.id else { return };
        if let Err(error) = self.store.note_import(id, ImportState::Broken, &self.report.progress).await {
            tracing::warn!(%error, "it could not be noted that an import broke off");
        }
    }

    async fn take_all(&mut self, records: Vec<Record>) -> Result<(), Refused> {
        for record in records {
            self.take(record)?;
            if self.batch.len() >= BATCH {
                self.write().await?;
                if let Some(id) = self.id {
                    self.store.note_import(id, ImportState::Running, &self.report.progress).await?;
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, Record { line, cells }: Record) -> Result<(), Refused> {
        if self.mapping.is_none() {
            let Some(cells) = cells else { return Err(Invalid::new("file", "must be text in UTF-8; save it as CSV UTF-8").into()) };
            if !self.take_headings(&cells)? {
                return Ok(());
            }
            self.take_line(line, Some(&cells));
            return Ok(());
        }
        self.take_line(line, cells.as_deref());
        Ok(())
    }

    /// Reads the first line; whether it is one of the table already, since a list of bare numbers has no headings.
    fn take_headings(&mut self, cells: &[String]) -> Result<bool, Refused> {
        if cells.len() > MOST_COLUMNS {
            return Err(Invalid::new("file", format!("must have at most {MOST_COLUMNS} columns")).into());
        }
        let number = cells.iter().position(|cell| contact::person("phone", cell.trim_start_matches('\'')).is_ok());
        let headings: Vec<String> = match number {
            Some(place) => {
                (0..cells.len()).map(|column| if column == place { "phone".into() } else { format!("({})", column + 1) }).collect()
            }
            None => cells.iter().map(|cell| cell.trim().to_owned()).collect(),
        };
        let mut said = self.wanted.mapping.clone();
        if number.is_some() {
            // Columns without a heading are left out unless something is said of them.
            for heading in headings.iter().filter(|heading| *heading != "phone") {
                said.entry(heading.clone()).or_insert_with(|| "skip".into());
            }
        }
        let mapping = Mapping::of(&headings, &said)?;
        self.report.columns =
            headings.iter().cloned().zip(mapping.columns().iter().map(sanasend_model::contact_file::Column::text)).collect();
        (self.headings, self.mapping) = (headings, Some(mapping));
        Ok(number.is_some())
    }

    fn take_line(&mut self, line: u64, cells: Option<&[String]>) {
        let progress = &mut self.report.progress;
        progress.lines += 1;
        let Some(mapping) = &self.mapping else { return };
        let read = match cells {
            Some(cells) => mapping.read(cells.iter().map(String::as_str)),
            None => Err(vec![Invalid::new("line", "must be text in UTF-8; save the file as CSV UTF-8")]),
        };
        match read {
            Ok(read) => {
                if self.report.shown.len() < SHOWN {
                    self.report.shown.push(read.clone());
                }
                self.batch.push(read);
            }
            Err(invalid) => {
                progress.refused += 1;
                let room = NAMED.saturating_sub(progress.faults.len());
                let faults = invalid.into_iter().map(|invalid| ImportFault { line, field: invalid.field, message: invalid.message });
                progress.faults.extend(faults.take(room));
            }
        }
    }

    /// Writes the lines that were read, or only looks what would become of them.
    async fn write(&mut self) -> Result<(), StoreError> {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        let new: Vec<bool> = if self.wanted.dry_run {
            self.look(&batch).await?
        } else if self.wanted.kind == ImportKind::Contacts {
            let contacts = batch.into_iter().map(|line| (line.opted_out, contact_of(line))).map(|(out, new)| (new, out)).collect();
            let put = self.store.put_contacts(self.user, contacts, ContactSource::Import).await?;
            put.into_iter().map(|put| matches!(put, Put::Created(_))).collect()
        } else {
            let made = self.store.opt_out(self.user, batch.iter().map(opt_out_of).collect()).await?;
            made.iter().map(Option::is_some).collect()
        };
        let created = new.iter().filter(|new| **new).count() as u64;
        self.report.progress.created += created;
        self.report.progress.merged += new.len() as u64 - created;
        Ok(())
    }

    async fn look(&mut self, batch: &[Line]) -> Result<Vec<bool>, StoreError> {
        let people: Vec<Peer> = batch.iter().map(|line| peer_of(&line.person)).collect();
        let known = match self.wanted.kind {
            ImportKind::Contacts => self.store.are_contacts(self.user, &people).await?,
            ImportKind::OptOuts => self.store.opted_out(self.user, &people).await?,
        };
        let fresh = |(line, known): (&Line, bool)| {
            let again = self.seen.len() < REMEMBERED && !self.seen.insert(line.person.jid());
            !known && !again
        };
        Ok(batch.iter().zip(known).map(fresh).collect())
    }
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
