//! Imports of files: what lies ready to be read, how far each is, and which lines were refused.
//!
//! A file is handed in whole and lies in pieces in `import_pieces`; from then on a job takes its lines in, some in each
//! transaction, which also moves the place up to which the file was read and removes what was read of it. So a kill doubles
//! nothing and loses nothing, and whichever node takes the job up goes on at that place.

mod row;
mod step;

pub use step::ImportStep;

use crate::dialect::{query, query_as, query_scalar, refused};
use crate::jobs::NewJob;
use crate::opt_outs::limit;
use crate::writer::Tx;
use crate::{Listed, Page, Store, StoreError};
use row::{Row, fault_of};
use sanasend_model::{ImportId, JobId, Timestamp, UserId};
use serde_json::json;

/// Kind of the jobs that take lines of files in; the payload is `{"import": id}`.
pub const IMPORT_JOB: &str = "contact.import";
/// Faults that are kept of one import; `refused` counts all lines.
pub const MOST_FAULTS: u64 = 10_000;
/// Faults that stand beside an import; the others are listed by themselves.
const SHOWN_FAULTS: i64 = 100;
/// Imports of one user that may be under way, so that nobody fills the disk with files.
pub const MOST_IMPORTS: i64 = 5;

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
    /// Its file is being handed in.
    Receiving,
    /// Lines are being read.
    Running,
    /// Every line was read.
    Done,
    /// It ended early: what was read before is in.
    Broken,
    /// Somebody ended it: what was read before is in.
    Canceled,
}

impl ImportState {
    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Receiving => "receiving",
            Self::Running => "running",
            Self::Done => "done",
            Self::Broken => "broken",
            Self::Canceled => "canceled",
        }
    }

    /// Whether nothing more comes of it.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Broken | Self::Canceled)
    }

    const fn number(self) -> i16 {
        match self {
            Self::Running => 0,
            Self::Done => 1,
            Self::Broken => 2,
            Self::Canceled => 3,
            Self::Receiving => 4,
        }
    }

    const fn of(number: i16) -> Self {
        match number {
            0 => Self::Running,
            1 => Self::Done,
            3 => Self::Canceled,
            4 => Self::Receiving,
            _ => Self::Broken,
        }
    }
}

/// A line that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportFault {
    /// Number of the line in the file, from 1; the headings count.
    pub line: u64,
    /// The column.
    pub field: String,
    /// What to change. Never what stands in the file: faults are kept longer than it.
    pub message: String,
}

/// Up to where a file was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportPlace {
    /// Bytes before it.
    pub bytes: u64,
    /// Line breaks before it.
    pub breaks: u64,
    /// What stands between cells.
    pub separator: u8,
}

impl Default for ImportPlace {
    fn default() -> Self {
        Self { bytes: 0, breaks: 0, separator: b',' }
    }
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
    /// Why it broke off.
    pub reason: Option<String>,
    /// Headings, and what each column holds.
    pub columns: Vec<(String, String)>,
    /// Bytes of the file, where that is known.
    pub total_bytes: Option<u64>,
    /// Up to where it was read.
    pub place: ImportPlace,
    /// How far it is.
    pub progress: ImportProgress,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

fn of(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Ends an import that is not over; whether it was not.
async fn end(tx: &mut Tx, id: ImportId, state: ImportState, reason: Option<&str>) -> Result<bool, StoreError> {
    let now = tx.clock.now();
    let sql = "UPDATE contact_imports SET state = ?, reason = ?, updated_at = ?, ended_at = ? WHERE id = ? AND state IN (0, 4)";
    let update = query(sql).bind(state.number()).bind(reason).bind(now.0).bind(now.0).bind(id.0);
    if update.execute(&mut tx.conn).await.map_err(refused)?.rows_affected() == 0 {
        return Ok(false);
    }
    query("DELETE FROM import_pieces WHERE import_id = ?").bind(id.0).execute(&mut tx.conn).await.map_err(refused)?;
    Ok(true)
}

/// Moves an import from being handed in to being read, and makes the job that does it.
async fn start(
    tx: &mut Tx,
    id: ImportId,
    columns: &str,
    place: ImportPlace,
    bytes: u64,
    due_at: Timestamp,
) -> Result<Option<JobId>, StoreError> {
    let now = tx.clock.now();
    let sql = "UPDATE contact_imports SET state = 0, columns = ?, read_bytes = ?, breaks = ?, separator = ?, total_bytes = ?, updated_at = ? \
               WHERE id = ? AND state = 4";
    let update = query(sql).bind(columns).bind(of(place.bytes)).bind(of(place.breaks)).bind(i16::from(place.separator));
    let update = update.bind(of(bytes)).bind(now.0).bind(id.0);
    if update.execute(&mut tx.conn).await.map_err(refused)?.rows_affected() == 0 {
        return Ok(None);
    }
    let user = query_scalar::<_, uuid::Uuid>("SELECT user_id FROM contact_imports WHERE id = ?").bind(id.0);
    let user = UserId(user.fetch_one(&mut tx.conn).await.map_err(refused)?);
    let (payload, bundle) = (json!({"import": id}), Some(format!("{user}/import")));
    let job = NewJob { kind: IMPORT_JOB, lane: None, bundle, user_id: Some(user), payload, due_at };
    Ok(tx.enqueue(&[job]).await?.pop())
}

impl Store {
    /// Notes that a file is being handed in; the import's id. `Conflict` on `owner` when the user is gone, on `imports` when
    /// [`MOST_IMPORTS`] of theirs are under way.
    pub async fn begin_import(&self, user: UserId, kind: ImportKind, total_bytes: Option<u64>) -> Result<ImportId, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let under_way = query_scalar::<_, i64>("SELECT COUNT(*) FROM contact_imports WHERE user_id = ? AND state IN (0, 4)");
                if under_way.bind(user.0).fetch_one(&mut tx.conn).await.map_err(refused)? >= MOST_IMPORTS {
                    return Err(StoreError::Conflict { what: "imports" });
                }
                let (id, now) = (ImportId::new(&*tx.clock), tx.clock.now());
                let sql = "INSERT INTO contact_imports (id, user_id, kind, state, total_bytes, read_bytes, lines, created, merged, refused, \
                           started_at, updated_at) VALUES (?, ?, ?, 4, ?, 0, 0, 0, 0, 0, ?, ?)";
                let insert = query(sql).bind(id.0).bind(user.0).bind(kind.as_str());
                let insert = insert.bind(total_bytes.map(of)).bind(now.0).bind(now.0);
                insert.execute(&mut tx.conn).await.map_err(refused)?;
                Ok(id)
            })
        })
        .await
    }

    /// Keeps a piece of a file that is being handed in, behind `begins` bytes; false when the import was ended meanwhile.
    pub async fn stage_import(&self, id: ImportId, begins: u64, bytes: Vec<u8>) -> Result<bool, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let alive = query("UPDATE contact_imports SET updated_at = ? WHERE id = ? AND state = 4").bind(tx.clock.now().0).bind(id.0);
                if alive.execute(&mut tx.conn).await.map_err(refused)?.rows_affected() == 0 {
                    return Ok(false);
                }
                let insert = query("INSERT INTO import_pieces (import_id, begins, bytes) VALUES (?, ?, ?)").bind(id.0).bind(of(begins));
                insert.bind(bytes).execute(&mut tx.conn).await.map_err(refused)?;
                Ok(true)
            })
        })
        .await
    }

    /// The file is there, with `bytes` bytes: its lines are read from `place` on, by a job that is due at `due_at`. `None` when
    /// the import was ended meanwhile.
    pub async fn start_import(
        &self,
        id: ImportId,
        columns: &[(String, String)],
        place: ImportPlace,
        bytes: u64,
        due_at: Timestamp,
    ) -> Result<Option<JobId>, StoreError> {
        let columns = serde_json::to_string(columns).unwrap_or_else(|_| "[]".into());
        self.write(move |tx| Box::pin(async move { start(tx, id, &columns, place, bytes, due_at).await })).await
    }

    /// Takes back a job that [`Store::start_import`] made and nobody began, because its work is done.
    pub async fn drop_import_job(&self, id: JobId) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let delete = query("DELETE FROM jobs WHERE id = ? AND kind = ? AND attempts = 0").bind(id.0).bind(IMPORT_JOB);
                delete.execute(&mut tx.conn).await.map(drop).map_err(refused)
            })
        })
        .await
    }

    /// The piece of a file in which the byte behind `begins` others is, and how many stand before the piece.
    pub async fn import_piece(&self, id: ImportId, begins: u64) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let sql = "SELECT begins, bytes FROM import_pieces WHERE import_id = ? AND begins <= ? ORDER BY begins DESC LIMIT 1";
        let row = query_as::<_, (i64, Vec<u8>)>(sql).bind(id.0).bind(of(begins)).fetch_optional(&self.inner.readers);
        let row = row.await.map_err(refused)?.map(|(begins, bytes)| (u64::try_from(begins).unwrap_or(0), bytes));
        Ok(row.filter(|(first, bytes)| begins < first + bytes.len() as u64))
    }

    /// Ends an import that breaks off, and removes what is left of its file.
    pub async fn break_import(&self, id: ImportId, reason: String) -> Result<bool, StoreError> {
        self.write(move |tx| Box::pin(async move { end(tx, id, ImportState::Broken, Some(&reason)).await })).await
    }

    /// Ends an import because somebody wants that, and removes what is left of its file; false when it was over.
    pub async fn cancel_import(&self, id: ImportId) -> Result<bool, StoreError> {
        self.write(move |tx| Box::pin(async move { end(tx, id, ImportState::Canceled, None).await })).await
    }

    /// One import, of this user if one is given.
    pub async fn import(&self, user: Option<UserId>, id: ImportId) -> Result<Option<Import>, StoreError> {
        let row = query_as::<_, Row>("SELECT * FROM contact_imports WHERE id = ?").bind(id.0);
        let row = row.fetch_optional(&self.inner.readers).await.map_err(refused)?;
        let import = row.map(Row::read).transpose()?.filter(|import| user.is_none_or(|user| import.user_id == user));
        let Some(mut import) = import else { return Ok(None) };
        import.progress.faults = self.faults(id, 0, SHOWN_FAULTS).await?;
        Ok(Some(import))
    }

    /// A page of imports, newest first: of a user, or of all. Without their faults.
    pub async fn list_imports(&self, user: Option<UserId>, page: Page) -> Result<Listed<Import>, StoreError> {
        let (count, sql) = match user {
            Some(_) => (
                "SELECT COUNT(*) FROM contact_imports WHERE user_id = ?",
                "SELECT * FROM contact_imports WHERE user_id = ? ORDER BY started_at DESC, id DESC LIMIT ? OFFSET ?",
            ),
            None => {
                ("SELECT COUNT(*) FROM contact_imports", "SELECT * FROM contact_imports ORDER BY started_at DESC, id DESC LIMIT ? OFFSET ?")
            }
        };
        let (mut count, mut rows) = (query_as::<_, (i64,)>(count), query_as::<_, Row>(sql));
        if let Some(user) = user {
            (count, rows) = (count.bind(user.0), rows.bind(user.0));
        }
        let (count,) = count.fetch_one(&self.inner.readers).await.map_err(refused)?;
        let rows = rows.bind(limit(page.page_size)).bind(limit(page.offset()));
        let rows = rows.fetch_all(&self.inner.readers).await.map_err(refused)?;
        let results = rows.into_iter().map(Row::read).collect::<Result<_, _>>()?;
        Ok(Listed { count: u64::try_from(count).unwrap_or(0), results })
    }

    /// A page of the faults of an import, in the order of the lines.
    pub async fn list_import_faults(&self, id: ImportId, page: Page) -> Result<Listed<ImportFault>, StoreError> {
        let count = query_scalar::<_, i64>("SELECT COUNT(*) FROM import_faults WHERE import_id = ?").bind(id.0);
        let count = count.fetch_one(&self.inner.readers).await.map_err(refused)?;
        let results = self.faults(id, limit(page.offset()), limit(page.page_size)).await?;
        Ok(Listed { count: u64::try_from(count).unwrap_or(0), results })
    }

    async fn faults(&self, id: ImportId, skip: i64, most: i64) -> Result<Vec<ImportFault>, StoreError> {
        let sql = "SELECT line, field, message FROM import_faults WHERE import_id = ? ORDER BY number LIMIT ? OFFSET ?";
        let rows = query_as::<_, (i64, String, String)>(sql).bind(id.0).bind(most).bind(skip).fetch_all(&self.inner.readers);
        Ok(rows.await.map_err(refused)?.into_iter().map(fault_of).collect())
    }

    /// Ends imports of which nothing was heard since `before` and whose files are nobody's work: the process that received
    /// them died, or their job was given up. Removes those that ended before `old`. Answers how many were removed.
    pub async fn sweep_imports(&self, before: Timestamp, old: Timestamp) -> Result<u64, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let reason = "The server did not get to its end: the request broke off, or its job was given up.";
                let lost = "SELECT id FROM contact_imports WHERE updated_at < ? AND (state = 4 OR (state = 0 AND NOT EXISTS (SELECT 1 FROM \
                            jobs WHERE jobs.kind = ? AND jobs.state <> 2 AND jobs.user_id = contact_imports.user_id)))";
                let lost = query_scalar::<_, uuid::Uuid>(lost).bind(before.0).bind(IMPORT_JOB);
                for id in lost.fetch_all(&mut tx.conn).await.map_err(refused)? {
                    end(tx, ImportId(id), ImportState::Broken, Some(reason)).await?;
                }
                let delete = query("DELETE FROM contact_imports WHERE ended_at < ?").bind(old.0);
                delete.execute(&mut tx.conn).await.map(|done| done.rows_affected()).map_err(refused)
            })
        })
        .await
    }
}
