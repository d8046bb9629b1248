//! SQLite: one file, one connection that writes, several that read.

use super::inline::Inline;
use super::readers::FileReaders;
use super::{Conn, Pool, unavailable};
use crate::StoreError;
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Takes the write lock at once: a transaction that read first and writes later would be refused when another wrote between.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";
/// How long to wait for a lock that another process holds (a backup, a `sanasend` command).
pub(super) const BUSY: Duration = Duration::from_secs(5);

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

/// The connection that writes. A longer log lets a page that changes often be copied back once. The cache is no larger than
/// what a commit touches: where SQLite moved pages while it balanced a tree, it walks through all of the cache at the commit.
pub(super) fn connect_writer(path: &Path) -> Result<Conn, StoreError> {
    const SETTINGS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
        PRAGMA temp_store = memory; PRAGMA cache_size = -8192; PRAGMA wal_autocheckpoint = 8192";
    Inline::open(path, BUSY, SETTINGS).map(Conn::Sqlite).map_err(unavailable)
}

/// A short-lived pool of one for migrations.
pub(super) async fn connect_for_migration(path: &Path) -> Result<SqlitePool, StoreError> {
    SqlitePoolOptions::new().max_connections(1).connect_with(options(path)).await.map_err(unavailable)
}

/// The connections that read.
pub(super) fn connect_readers(path: &Path, count: u32) -> Result<Pool, StoreError> {
    FileReaders::start(path, count).map(|readers| Pool::Sqlite(Arc::new(readers)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::query_scalar;

    /// What a commit promises stands and falls with these; no other test can see an fsync that was left out.
    #[tokio::test]
    async fn what_is_committed_is_on_disk() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("test.db");
        create_file(&path).expect("a file");
        let mut writer = connect_writer(&path).expect("connected");
        let full: i64 = query_scalar("PRAGMA synchronous").fetch_one(&mut writer).await.expect("answered");
        assert_eq!(full, 2, "FULL: the log is synced before a commit is answered");
        let journal: String = query_scalar("PRAGMA journal_mode").fetch_one(&mut writer).await.expect("answered");
        assert_eq!(journal, "wal");
        let keys: i64 = query_scalar("PRAGMA foreign_keys").fetch_one(&mut writer).await.expect("answered");
        assert_eq!(keys, 1);
    }
}
