//! What the disk or server under the database can do at best: the figures that a load test is held against.
//!
//! Here and not in the load test, because only this crate knows SQL. The table is as plain as can be; settings are those of
//! the real database (WAL and `synchronous=FULL`, or what the PostgreSQL server does when it promises).

mod crowd;
mod fill;

pub use crowd::crowd;
pub use fill::{Filled, fill};

use crate::dialect::{AssertSqlSafe, Conn, Source, query, query_as, query_scalar, refused};
use crate::{Database, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Rows of one statement in the batch measurement.
pub const BATCH: usize = 64;
/// Bytes of one row, about what a short message takes.
const ROW_BYTES: usize = 256;
/// How long the database may take for one statement.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a bare table did, per second.
#[derive(Debug, Clone, Copy)]
pub struct RawFigures {
    /// Transactions of one row each.
    pub commits_per_s: f64,
    /// Rows in transactions of [`BATCH`] rows each.
    pub rows_per_s: f64,
}

/// Measures a bare table for `time` with single rows and for `time` with batches. A SQLite file must be one of its own
/// (made anew, removed by the caller); on PostgreSQL the table `sanasend_raw` is made and dropped.
///
/// # Errors
/// `Unavailable` with what the database said.
pub async fn measure(database: &Database, time: Duration) -> Result<RawFigures, StoreError> {
    let mut conn = Source::new(database, PATIENCE)?.connect_writer().await?;
    conn.command("DROP TABLE IF EXISTS sanasend_raw").await.map_err(refused)?;
    let table = match &conn {
        Conn::Sqlite(_) => "CREATE TABLE sanasend_raw (id INTEGER PRIMARY KEY, body BLOB NOT NULL)",
        Conn::Postgres(_) => "CREATE TABLE sanasend_raw (id BIGSERIAL PRIMARY KEY, body BYTEA NOT NULL)",
    };
    conn.command(table).await.map_err(refused)?;
    let commits_per_s = insert(&mut conn, 1, time).await.map_err(refused)?;
    let rows_per_s = insert(&mut conn, BATCH, time).await.map_err(refused)?;
    conn.command("DROP TABLE sanasend_raw").await.map_err(refused)?;
    conn.close().await;
    Ok(RawFigures { commits_per_s, rows_per_s })
}

/// Inserts `rows` per transaction for `time`; rows per second.
async fn insert(conn: &mut Conn, rows: usize, time: Duration) -> Result<f64, sqlx::Error> {
    let statement: Arc<str> = format!("INSERT INTO sanasend_raw (body) VALUES {}", vec!["(?)"; rows].join(", ")).into();
    let body = vec![0x5a_u8; ROW_BYTES];
    let started = Instant::now();
    let mut written = 0_u32;
    while started.elapsed() < time {
        let mut insert = query(AssertSqlSafe(statement.clone()));
        for _ in 0..rows {
            insert = insert.bind(body.as_slice());
        }
        // One statement outside a transaction is a transaction of its own.
        insert.execute(&mut *conn).await?;
        written = written.saturating_add(u32::try_from(rows).unwrap_or(u32::MAX));
    }
    Ok(f64::from(written) / started.elapsed().as_secs_f64())
}

/// Bare queries for the newest twenty messages of a database, on one connection for `time`; queries per second.
///
/// # Errors
/// `Unavailable` with what the database said.
pub async fn measure_lists(database: &Database, time: Duration) -> Result<f64, StoreError> {
    let readers = Source::new(database, PATIENCE)?.connect_readers(1)?;
    let user: Option<Uuid> = query_scalar("SELECT user_id FROM messages LIMIT 1").fetch_optional(&readers).await.map_err(refused)?;
    let sql = "SELECT * FROM messages WHERE user_id = ? ORDER BY created_at DESC, seq DESC LIMIT 20";
    let started = Instant::now();
    let mut asked = 0_u32;
    while let Some(user) = user.filter(|_| started.elapsed() < time) {
        query_as::<_, crate::rows::message::Model>(sql).bind(user).fetch_all(&readers).await.map_err(refused)?;
        asked += 1;
    }
    readers.close().await;
    Ok(f64::from(asked) / started.elapsed().as_secs_f64())
}

/// Counts the messages in a database, beside or after the server that wrote them.
///
/// # Errors
/// `Unavailable` with what the database said.
pub async fn count_messages(database: &Database) -> Result<u64, StoreError> {
    let readers = Source::new(database, PATIENCE)?.connect_readers(1)?;
    let count = query_scalar::<_, i64>("SELECT COUNT(*) FROM messages").fetch_one(&readers).await.map_err(refused);
    readers.close().await;
    Ok(u64::try_from(count?).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bare_file_is_measured() {
        let folder = tempfile::tempdir().expect("folder");
        let database = Database::Sqlite { path: folder.path().join("raw.db") };
        let figures = measure(&database, Duration::from_millis(50)).await.expect("figures");
        assert!(figures.commits_per_s > 0.0 && figures.rows_per_s > figures.commits_per_s, "{figures:?}");
    }
}
