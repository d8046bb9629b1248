//! What the disk under the database can do at best: the figures that a load test is held against.
//!
//! Here and not in the load test, because only this crate knows SQL. The table is as plain as can be and lives in a
//! file of its own; settings are those of the real database (WAL, `synchronous=FULL`).

use crate::StoreError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// Rows of one statement in the batch measurement.
pub const BATCH: usize = 64;
/// Bytes of one row, about what a short message takes.
const ROW_BYTES: usize = 256;

/// What a bare SQLite file did, per second.
#[derive(Debug, Clone, Copy)]
pub struct RawFigures {
    /// Transactions of one row each.
    pub commits_per_s: f64,
    /// Rows in transactions of [`BATCH`] rows each.
    pub rows_per_s: f64,
}

/// Measures a bare SQLite file `path` (made anew, removed by the caller) for `time` with single rows and for `time`
/// with batches.
///
/// # Errors
/// `Unavailable` with what the database said.
pub async fn measure(path: &Path, time: Duration) -> Result<RawFigures, StoreError> {
    measure_inner(path, time).await.map_err(|error| StoreError::Unavailable(error.to_string()))
}

async fn measure_inner(path: &Path, time: Duration) -> Result<RawFigures, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging();
    let mut connection = SqliteConnection::connect_with(&options).await?;
    sqlx::query("CREATE TABLE raw (id INTEGER PRIMARY KEY, body BLOB NOT NULL)").execute(&mut connection).await?;
    let commits_per_s = insert(&mut connection, 1, time).await?;
    let rows_per_s = insert(&mut connection, BATCH, time).await?;
    connection.close().await?;
    Ok(RawFigures { commits_per_s, rows_per_s })
}

/// Inserts `rows` per transaction for `time`; rows per second.
async fn insert(connection: &mut SqliteConnection, rows: usize, time: Duration) -> Result<f64, sqlx::Error> {
    let statement = format!("INSERT INTO raw (body) VALUES {}", vec!["(?)"; rows].join(", "));
    let body = vec![0x5a_u8; ROW_BYTES];
    let started = Instant::now();
    let mut written = 0_u32;
    while started.elapsed() < time {
        let mut query = sqlx::query(sqlx::AssertSqlSafe(statement.clone()));
        for _ in 0..rows {
            query = query.bind(body.as_slice());
        }
        // One statement outside a transaction is a transaction of its own.
        query.execute(&mut *connection).await?;
        written = written.saturating_add(u32::try_from(rows).unwrap_or(u32::MAX));
    }
    Ok(f64::from(written) / started.elapsed().as_secs_f64())
}

/// Counts the messages in a database file, beside or after the server that wrote them.
///
/// # Errors
/// `Unavailable` with what the database said.
pub async fn count_messages(path: &Path) -> Result<u64, StoreError> {
    let count = async {
        let options = SqliteConnectOptions::new().filename(path).read_only(true).disable_statement_logging();
        let mut connection = SqliteConnection::connect_with(&options).await?;
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM messages").fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok::<_, sqlx::Error>(u64::try_from(count).unwrap_or(0))
    };
    count.await.map_err(|error| StoreError::Unavailable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bare_file_is_measured() {
        let folder = tempfile::tempdir().expect("folder");
        let figures = measure(&folder.path().join("raw.db"), Duration::from_millis(50)).await.expect("figures");
        assert!(figures.commits_per_s > 0.0 && figures.rows_per_s > figures.commits_per_s, "{figures:?}");
    }
}
