//! Looking at a file as it comes: what would become of it, and nothing is written or kept.

use super::head::{Table, table};
use super::{BATCH, NAMED, Refused, SHOWN, Wanted, faults_of, not_utf8, peer_of};
use crate::contacts::file::{Lines, Record};
use sanasend_model::contact_file::Line;
use sanasend_model::{Invalid, Jid, UserId};
use sanasend_store::{ImportKind, ImportProgress, Peer, Store, StoreError};
use std::collections::HashSet;

/// People of a file that are remembered for counting those that come twice.
const REMEMBERED: usize = 1_000_000;

/// A look under way.
pub struct Look {
    store: Store,
    user: UserId,
    wanted: Wanted,
    lines: Lines,
    table: Option<Table>,
    batch: Vec<Line>,
    seen: HashSet<Jid>,
    progress: ImportProgress,
    shown: Vec<Line>,
}

impl Look {
    /// Begins one.
    #[must_use]
    pub fn new(store: Store, user: UserId, wanted: Wanted) -> Self {
        let (lines, batch, progress) = (Lines::default(), Vec::with_capacity(BATCH), ImportProgress::default());
        Self { store, user, wanted, lines, table: None, batch, seen: HashSet::new(), progress, shown: Vec::new() }
    }

    /// Takes a piece of the file in.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn push(&mut self, piece: &[u8]) -> Result<(), Refused> {
        self.progress.read_bytes += piece.len() as u64;
        let records = self.lines.push(piece)?;
        self.take_all(records).await
    }

    /// The end of the file: the columns, what would become of its lines, and the first of them.
    ///
    /// # Errors
    /// As [`Look::push`], and when there was nothing in the file.
    pub async fn finish(mut self) -> Result<(Vec<(String, String)>, ImportProgress, Vec<Line>), Refused> {
        let records = std::mem::take(&mut self.lines).finish()?;
        self.take_all(records).await?;
        let Some(table) = self.table.take() else { return Err(Invalid::new("file", "is empty").into()) };
        self.look().await?;
        Ok((table.columns, self.progress, self.shown))
    }

    async fn take_all(&mut self, records: Vec<Record>) -> Result<(), Refused> {
        for Record { line, cells, .. } in records {
            if self.table.is_none() {
                let found = table(cells.as_deref(), &self.wanted.mapping)?;
                let bare = found.bare;
                self.table = Some(found);
                if !bare {
                    continue;
                }
            }
            self.take_line(line, cells.as_deref());
            if self.batch.len() >= BATCH {
                self.look().await?;
            }
        }
        Ok(())
    }

    fn take_line(&mut self, line: u64, cells: Option<&[String]>) {
        let Some(table) = &self.table else { return };
        self.progress.lines += 1;
        match cells.map_or_else(|| Err(not_utf8()), |cells| table.mapping.read(cells.iter().map(String::as_str))) {
            Ok(read) => {
                if self.shown.len() < SHOWN {
                    self.shown.push(read.clone());
                }
                self.batch.push(read);
            }
            Err(invalid) => {
                self.progress.refused += 1;
                let room = NAMED.saturating_sub(self.progress.faults.len());
                self.progress.faults.extend(faults_of(line, invalid).take(room));
            }
        }
    }

    async fn look(&mut self) -> Result<(), StoreError> {
        let batch = std::mem::take(&mut self.batch);
        let people: Vec<Peer> = batch.iter().map(|line| peer_of(&line.person)).collect();
        let known = match self.wanted.kind {
            ImportKind::Contacts => self.store.are_contacts(self.user, &people).await?,
            ImportKind::OptOuts => self.store.opted_out(self.user, &people).await?,
        };
        for (line, known) in batch.iter().zip(known) {
            let again = self.seen.len() < REMEMBERED && !self.seen.insert(line.person.jid());
            let count = if known || again { &mut self.progress.merged } else { &mut self.progress.created };
            *count += 1;
        }
        Ok(())
    }
}
