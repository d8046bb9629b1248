//! Rows of imports and of their faults.

use super::{Import, ImportFault, ImportKind, ImportPlace, ImportProgress, ImportState};
use crate::StoreError;
use crate::rows::Place;
use sanasend_model::{ImportId, Timestamp, UserId};
use uuid::Uuid;

pub(super) struct Row {
    id: Uuid,
    user_id: Uuid,
    kind: String,
    state: i16,
    reason: Option<String>,
    columns: String,
    total_bytes: Option<i64>,
    read_bytes: i64,
    breaks: i64,
    separator: i16,
    lines: i64,
    created: i64,
    merged: i64,
    refused: i64,
    started_at: i64,
    ended_at: Option<i64>,
}

crate::rows::from_row!("contact_imports": Row {
    id, user_id, kind, state, reason, columns, total_bytes, read_bytes, breaks, separator, lines, created, merged, refused, started_at,
    ended_at
});

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

pub(super) fn fault_of((line, field, message): (i64, String, String)) -> ImportFault {
    ImportFault { line: count(line), field, message }
}

impl Row {
    /// The import, without its faults.
    pub(super) fn read(self) -> Result<Import, StoreError> {
        let place = Place { table: "contact_imports", row: &self.id };
        Ok(Import {
            id: ImportId(self.id),
            user_id: UserId(self.user_id),
            kind: if self.kind == "opt_outs" { ImportKind::OptOuts } else { ImportKind::Contacts },
            state: ImportState::of(self.state),
            reason: self.reason,
            columns: place.json("columns", Some(&self.columns))?.unwrap_or_default(),
            total_bytes: self.total_bytes.map(count),
            place: ImportPlace {
                bytes: count(self.read_bytes),
                breaks: count(self.breaks),
                separator: u8::try_from(self.separator).map_err(|_| place.corrupt("separator"))?,
            },
            progress: ImportProgress {
                read_bytes: count(self.read_bytes),
                lines: count(self.lines),
                created: count(self.created),
                merged: count(self.merged),
                refused: count(self.refused),
                faults: Vec::new(),
            },
            started_at: Timestamp(self.started_at),
            ended_at: self.ended_at.map(Timestamp),
        })
    }
}
