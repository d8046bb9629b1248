//! Imports of files: how far each is, and which lines were refused.

use crate::dialect::{query, query_as, refused};
use crate::opt_outs::limit;
use crate::rows::Place;
use crate::{Listed, Page, Store, StoreError};
use sanasend_model::{ImportId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportKind {
    /// Contacts.
    Contacts,
    /// People who opted out.
    OptOuts,
}

impl ImportKind {
    /// The name in the API and the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Contacts => "contacts",
            Self::OptOuts => "opt_outs",
        }
    }
}

/// How an import stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportState {
    /// Lines are being read.
    Running,
    /// Every line was read.
    Done,
    /// It ended early: what was read before is in.
    Broken,
}

impl ImportState {
    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Broken => "broken",
        }
    }

    const fn number(self) -> i16 {
        match self {
            Self::Running => 0,
            Self::Done => 1,
            Self::Broken => 2,
        }
    }
}

/// A line that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportFault {
    /// Number of the line in the file, from 1; the headings count.
    pub line: u64,
    /// The column.
    pub field: String,
    /// What to change.
    pub message: String,
}

/// How far an import is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportProgress {
    /// Bytes of the file that were read.
    pub read_bytes: u64,
    /// Lines that were read, without the headings.
    pub lines: u64,
    /// People who were new.
    pub created: u64,
    /// People who were there already.
    pub merged: u64,
    /// Lines that were refused.
    pub refused: u64,
    /// The first of them.
    pub faults: Vec<ImportFault>,
}

/// An import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Id.
    pub id: ImportId,
    /// Whose it is.
    pub user_id: UserId,
    /// What the file holds.
    pub kind: ImportKind,
    /// How it stands.
    pub state: ImportState,
    /// Bytes of the file, where that is known.
    pub total_bytes: Option<u64>,
    /// How far it is.
    pub progress: ImportProgress,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// Figures as they are written.
type Figures = (i64, i64, i64, i64, i64);

fn figures(progress: &ImportProgress) -> Figures {
    let of = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    (of(progress.read_bytes), of(progress.lines), of(progress.created), of(progress.merged), of(progress.refused))
}

struct Row {
    id: Uuid,
    user_id: Uuid,
    kind: String,
    state: i16,
    total_bytes: Option<i64>,
    read_bytes: i64,
    lines: i64,
    created: i64,
    merged: i64,
    refused: i64,
    faults: String,
    started_at: i64,
    ended_at: Option<i64>,
}

crate::rows::from_row!("contact_imports": Row {
    id, user_id, kind, state, total_bytes, read_bytes, lines, created, merged, refused, faults, started_at, ended_at
});

impl Row {
    fn read(self) -> Result<Import, StoreError> {
        let place = Place { table: "contact_imports", row: &self.id };
        let of = |number: i64| u64::try_from(number).unwrap_or(0);
        Ok(Import {
            id: ImportId(self.id),
            user_id: UserId(self.user_id),
            kind: if self.kind == "opt_outs" { ImportKind::OptOuts } else { ImportKind::Contacts },
            state: match self.state {
                0 => ImportState::Running,
                1 => ImportState::Done,
                _ => ImportState::Broken,
            },
            total_bytes: self.total_bytes.map(of),
            progress: ImportProgress {
                read_bytes: of(self.read_bytes),
                lines: of(self.lines),
                created: of(self.created),
                merged: of(self.merged),
                refused: of(self.refused),
                faults: place.json("faults", Some(&self.faults))?.unwrap_or_default(),
            },
            started_at: Timestamp(self.started_at),
            ended_at: self.ended_at.map(Timestamp),
        })
    }
}

impl Store {
    /// Notes that an import begins; its id. `Conflict` on `owner` when the user is gone.
    pub async fn begin_import(&self, user: UserId, kind: ImportKind, total_bytes: Option<u64>) -> Result<ImportId, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let (id, now) = (ImportId::new(&*tx.clock), tx.clock.now());
                let sql = "INSERT INTO contact_imports (id, user_id, kind, state, total_bytes, read_bytes, lines, created, merged, refused, \
                           faults, started_at, updated_at) VALUES (?, ?, ?, 0, ?, 0, 0, 0, 0, 0, '[]', ?, ?)";
                let insert = query(sql).bind(id.0).bind(user.0).bind(kind.as_str());
                let insert = insert.bind(total_bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX))).bind(now.0).bind(now.0);
                insert.execute(&mut tx.conn).await.map_err(refused)?;
                Ok(id)
            })
        })
        .await
    }

    /// Notes how far an import is, or how it ended.
    pub async fn note_import(&self, id: ImportId, state: ImportState, progress: &ImportProgress) -> Result<(), StoreError> {
        let (read, lines, created, merged, bad) = figures(progress);
        let faults = serde_json::to_string(&progress.faults).unwrap_or_else(|_| "[]".into());
        self.write(move |tx| {
            Box::pin(async move {
                let now = tx.clock.now();
                let sql = "UPDATE contact_imports SET state = ?, read_bytes = ?, lines = ?, created = ?, merged = ?, refused = ?, \
                           faults = ?, updated_at = ?, ended_at = ? WHERE id = ?";
                let update = query(sql).bind(state.number()).bind(read).bind(lines).bind(created).bind(merged).bind(bad).bind(faults);
                let update = update.bind(now.0).bind((state != ImportState::Running).then_some(now.0)).bind(id.0);
                update.execute(&mut tx.conn).await.map(drop).map_err(refused)
            })
        })
        .await
    }

    /// One import of a user.
    pub async fn import(&self, user: UserId, id: ImportId) -> Result<Option<Import>, StoreError> {
        let row = query_as::<_, Row>("SELECT * FROM contact_imports WHERE id = ? AND user_id = ?").bind(id.0).bind(user.0);
        row.fetch_optional(&self.inner.readers).await.map_err(refused)?.map(Row::read).transpose()
    }

    /// A page of a user's imports, newest first.
    pub async fn list_imports(&self, user: UserId, page: Page) -> Result<Listed<Import>, StoreError> {
        let count = query_as::<_, (i64,)>("SELECT COUNT(*) FROM contact_imports WHERE user_id = ?").bind(user.0);
        let (count,) = count.fetch_one(&self.inner.readers).await.map_err(refused)?;
        let sql = "SELECT * FROM contact_imports WHERE user_id = ? ORDER BY started_at DESC, id DESC LIMIT ? OFFSET ?";
        let rows = query_as::<_, Row>(sql).bind(user.0).bind(limit(page.page_size)).bind(limit(page.offset()));
        let rows = rows.fetch_all(&self.inner.readers).await.map_err(refused)?;
        let results = rows.into_iter().map(Row::read).collect::<Result<_, _>>()?;
        Ok(Listed { count: u64::try_from(count).unwrap_or(0), results })
    }

    /// Ends imports of which nothing was heard since `before`: their process died. Removes those that ended before `old`.
    /// Answers how many were removed.
    pub async fn sweep_imports(&self, before: Timestamp, old: Timestamp) -> Result<u64, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let end =
                    query("UPDATE contact_imports SET state = 2, ended_at = updated_at WHERE state = 0 AND updated_at < ?").bind(before.0);
                end.execute(&mut tx.conn).await.map_err(refused)?;
                let delete = query("DELETE FROM contact_imports WHERE ended_at < ?").bind(old.0);
                delete.execute(&mut tx.conn).await.map(|done| done.rows_affected()).map_err(refused)
            })
        })
        .await
    }
}
