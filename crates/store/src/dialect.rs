//! The database behind the hand-written SQL, and everything in it that another database would spell differently.
//!
//! Statements elsewhere are written once, with `?` for values in their order, and keep to what SQLite and PostgreSQL
//! both know: `ON CONFLICT`, `RETURNING`, row values, partial indexes. SQLite gets bare `?` and not `?1`, because
//! it finds a numbered parameter's name by a linear search, which makes big statements quadratic.

use crate::StoreError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The database.
pub(crate) type Db = sqlx::Sqlite;
/// One row of an answer.
pub(crate) type DbRow = sqlx::sqlite::SqliteRow;
/// One connection to it.
pub(crate) type Conn = sqlx::SqliteConnection;
/// Several connections to it.
pub(crate) type Pool = sqlx::SqlitePool;

/// Takes the write lock at once: a transaction that read first and writes later would be refused when another wrote between.
pub(crate) const BEGIN: &str = "BEGIN IMMEDIATE";
/// How long to wait for a lock that another process holds (a backup, a `sanasend` command).
const BUSY: Duration = Duration::from_secs(5);

/// Makes the file with mode 600 when it is not there; SQLite gives its side files the same mode.
pub(crate) fn create_file(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt;
    let made = std::fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    made.map(drop).map_err(|error| StoreError::Unavailable(format!("{}: {error}", path.display())))
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY)
        .pragma("temp_store", "memory")
        .statement_cache_capacity(256)
        .disable_statement_logging()
}

/// The connection that writes. Ids from WhatsApp and keys of callers are random, so their indexes are touched all over: a
/// larger cache keeps those pages in memory, and a longer log lets a page that changes often be copied back once.
pub(crate) async fn connect_writer(path: &Path) -> Result<Conn, StoreError> {
    let options = options(path).pragma("cache_size", "-32768").pragma("wal_autocheckpoint", "8192");
    Conn::connect_with(&options).await.map_err(unavailable)
}

/// A short-lived pool of one for migrations.
pub(crate) async fn connect_for_migration(path: &Path) -> Result<Pool, StoreError> {
    SqlitePoolOptions::new().max_connections(1).connect_with(options(path)).await.map_err(unavailable)
}

/// The connections that read. A ping before each use would double the cost of a point read.
pub(crate) async fn connect_readers(path: &Path, count: u32) -> Result<Pool, StoreError> {
    let pool = SqlitePoolOptions::new()
        .max_connections(count.max(1))
        .acquire_timeout(BUSY)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false);
    pool.connect_with(options(path).read_only(true)).await.map_err(unavailable)
}

/// Sizes in which rows are written by one statement: so few that every statement stays prepared, and so many that a batch of
/// any size up to the largest takes three statements at most.
const SIZES: [usize; 12] = [64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1];

/// Cuts rows into pieces that [`Rows::sql`] has a statement for.
pub(crate) fn pieces<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = SIZES.into_iter().find(|size| *size <= rows.len())?;
        let (piece, rest) = rows.split_at(size);
        rows = rest;
        Some(piece)
    })
}

/// A statement over many rows: `head`, then `row` once per row with commas between, then `tail`.
pub(crate) struct Rows {
    head: &'static str,
    row: &'static str,
    tail: &'static str,
    made: [OnceLock<Arc<str>>; SIZES.len()],
}

impl Rows {
    /// The parts of the statement.
    pub(crate) const fn new(head: &'static str, row: &'static str, tail: &'static str) -> Self {
        Self { head, row, tail, made: [const { OnceLock::new() }; SIZES.len()] }
    }

    /// The statement for a piece of this many rows, put together once.
    pub(crate) fn sql(&self, rows: usize) -> AssertSqlSafe<Arc<str>> {
        let make = || Arc::from(format!("{}{}{}", self.head, vec![self.row; rows].join(","), self.tail));
        let made = SIZES.iter().position(|size| *size == rows).and_then(|at| self.made.get(at));
        AssertSqlSafe(made.map_or_else(make, |made| made.get_or_init(make).clone()))
    }
}

/// A pattern that finds `text` anywhere by `LIKE ... ESCAPE '\'`, in lower case.
pub(crate) fn like(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for letter in text.to_lowercase().chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

/// Names of constraints (a part of the database's message) and what to call the conflict.
const CONFLICTS: &[(&str, &str)] = &[
    ("users.username", "username"),
    ("users_email", "email"),
    ("api_keys.prefix", "prefix"),
    ("refresh_tokens.digest", "refresh_digest"),
    ("sessions.user_id, sessions.name", "name"),
    ("messages.wa_message_id", "wa_message_id"),
    ("outbox.message_id", "message"),
    (".id", "id"),
];

/// Tables whose rows are read by name, for [`named`].
const TABLES: &[&str] = &["users", "api_keys", "sessions", "messages", "events", "outbox", "jobs"];

/// Writes the table into an error about a column, which knows only the column.
pub(crate) fn named(table: &'static str, error: sqlx::Error) -> sqlx::Error {
    match error {
        sqlx::Error::ColumnDecode { index, source } => {
            sqlx::Error::ColumnDecode { index: format!("{table}.{}", index.trim_matches('"')), source }
        }
        other => other,
    }
}

/// What an error of the database means to callers.
pub(crate) fn refused(error: sqlx::Error) -> StoreError {
    use sqlx::error::ErrorKind;
    match &error {
        sqlx::Error::Database(database) => match database.kind() {
            ErrorKind::UniqueViolation => {
                let message = database.message();
                let what = CONFLICTS.iter().find(|(part, _)| message.contains(part)).map_or("row", |(_, what)| what);
                StoreError::Conflict { what }
            }
            ErrorKind::ForeignKeyViolation => StoreError::Conflict { what: "owner" },
            _ => unavailable(error),
        },
        sqlx::Error::ColumnDecode { index, .. } => {
            let (table, column) = index.split_once('.').unwrap_or(("", index));
            let table = TABLES.iter().find(|known| **known == table).unwrap_or(&"database");
            StoreError::Corrupt { table, row: "unknown".into(), column: column.trim_matches('"').to_owned() }
        }
        _ => unavailable(error),
    }
}

/// What an error of SeaORM means to callers; it is used for reading only.
pub(crate) fn refused_orm(error: sea_orm::DbErr) -> StoreError {
    match error {
        sea_orm::DbErr::Query(sea_orm::RuntimeErr::SqlxError(error)) | sea_orm::DbErr::Exec(sea_orm::RuntimeErr::SqlxError(error)) => {
            match std::sync::Arc::try_unwrap(error) {
                Ok(error) => refused(error),
                Err(error) => StoreError::Unavailable(error.to_string()),
            }
        }
        other => StoreError::Unavailable(other.to_string()),
    }
}

/// The database did not do what it was asked.
#[expect(clippy::needless_pass_by_value, reason = "used as a function for `map_err`")]
pub(crate) fn unavailable(error: sqlx::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hold_all_rows_in_order() {
        let rows: Vec<u32> = (0..87).collect();
        let sizes: Vec<usize> = pieces(&rows).map(<[u32]>::len).collect();
        assert_eq!(sizes, [64, 16, 6, 1]);
        assert_eq!(pieces(&rows).flatten().copied().collect::<Vec<_>>(), rows);
    }

    #[test]
    fn a_batch_takes_three_statements_at_most() {
        for rows in 1..=64 {
            assert!(pieces(&vec![(); rows]).count() <= 3, "{rows}");
        }
    }

    #[test]
    fn a_search_text_is_no_pattern() {
        assert_eq!(like("5%_\\A"), "%5\\%\\_\\\\a%");
    }
}
