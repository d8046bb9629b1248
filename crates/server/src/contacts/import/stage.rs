//! Handing a file in: it is kept in pieces as it comes, and its lines are read when it is there whole.

use super::head::Head;
use super::{Refused, Wanted};
use sanasend_model::{Clock, ImportId, JobId, UserId};
use sanasend_store::{Store, StoreError};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a piece. Larger ones are slower for everybody else who writes, smaller ones for the file.
const PIECE: usize = 256 * 1024;
/// When the job of a file is due that the request itself takes in: should that break off, the job goes on.
const AFTER_REQUEST: Duration = Duration::from_mins(1);

/// A file that is being handed in.
pub struct Stage {
    store: Store,
    clock: Arc<dyn Clock>,
    id: ImportId,
    head: Head,
    piece: Vec<u8>,
    /// Bytes that are kept.
    kept: u64,
}

/// A file that is there.
#[derive(Debug, Clone, Copy)]
pub struct Staged {
    /// The import.
    pub id: ImportId,
    /// The job that takes its lines in.
    pub job: JobId,
    /// Whether it is so small that the request does it itself.
    pub is_small: bool,
}

impl Stage {
    /// Begins to receive a file.
    ///
    /// # Errors
    /// `Conflict` on `imports` when too many are under way.
    pub async fn begin(store: Store, clock: Arc<dyn Clock>, user: UserId, wanted: Wanted) -> Result<Self, StoreError> {
        let id = store.begin_import(user, wanted.kind, wanted.total_bytes).await?;
        Ok(Self { store, clock, id, head: Head::new(wanted.mapping), piece: Vec::with_capacity(PIECE), kept: 0 })
    }

    /// Takes bytes of the file in.
    ///
    /// # Errors
    /// When the first line is not that of a table, or the import was ended.
    pub async fn push(&mut self, mut bytes: &[u8]) -> Result<(), Refused> {
        self.head.push(bytes)?;
        while !bytes.is_empty() {
            let room = PIECE.saturating_sub(self.piece.len()).min(bytes.len());
            let (now, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.piece.extend_from_slice(now);
            bytes = rest;
            if self.piece.len() >= PIECE {
                self.keep().await?;
            }
        }
        Ok(())
    }

    async fn keep(&mut self) -> Result<(), Refused> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        let begins = self.kept;
        self.kept += piece.len() as u64;
        if self.store.stage_import(self.id, begins, piece).await? { Ok(()) } else { Err(Refused::Canceled) }
    }

    /// The file is there: a job takes it in from now on.
    ///
    /// # Errors
    /// As [`Stage::push`], and when there was nothing in the file.
    pub async fn finish(&mut self) -> Result<Staged, Refused> {
        let is_small = self.kept == 0;
        if !self.piece.is_empty() {
            self.keep().await?;
        }
        let head = std::mem::replace(&mut self.head, Head::new(std::collections::BTreeMap::new()));
        let (table, place) = head.finish()?;
        let now = self.clock.now();
        let due_at = if is_small { now.plus(AFTER_REQUEST) } else { now };
        let job = self.store.start_import(self.id, &table.columns, place, self.kept, due_at).await?;
        Ok(Staged { id: self.id, job: job.ok_or(Refused::Canceled)?, is_small })
    }

    /// Notes that it ended before the file was there.
    pub async fn broke(&self, reason: &str) {
        if let Err(error) = self.store.break_import(self.id, reason.to_owned()).await {
            tracing::warn!(%error, "it could not be noted that an import broke off");
        }
    }
}
