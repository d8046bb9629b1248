//! SQLite's writing connection: statements run where they are called, on the writer's own thread.
//!
//! A statement that is handed to a thread beside is two wake-ups and a queue; a transaction of the writer is about ten of
//! them, each of microseconds, so that most of its time was spent on being woken. Readers have threads of their own, since
//! they are called from tasks, which must not be held up by a disk; both read rows alike (see `file` and `cell`).

use super::file::{STATEMENTS, ask, failed};
use super::query::Query;
use super::value::{DbRow, FromRow};
use rusqlite::{Connection, OpenFlags, Statement};
use std::path::Path;
use std::time::Duration;

/// The connection.
pub(crate) struct Inline {
    conn: Connection,
}

impl Inline {
    /// Opens a file that is there; `settings` are statements to begin with.
    pub(super) fn open(path: &Path, busy: Duration, settings: &str) -> Result<Self, sqlx::Error> {
        let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX);
        let conn = conn.map_err(failed)?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS);
        conn.busy_timeout(busy).and_then(|()| conn.execute_batch(settings)).map_err(failed)?;
        Ok(Self { conn })
    }

    /// All rows of a statement.
    pub(super) fn all<T: FromRow>(&self, query: Query) -> Result<Vec<T>, sqlx::Error> {
        ask(
            &self.conn,
            query,
            |statement, places| {
                let (mut rows, mut read) = (statement.raw_query(), Vec::new());
                while let Some(row) = rows.next().map_err(failed)? {
                    read.push(T::from_row(DbRow::File(row, places))?);
                }
                Ok(read)
            },
            T::FIELDS,
        )
    }

    /// The first row of a statement.
    pub(super) fn first<T: FromRow>(&self, query: Query) -> Result<Option<T>, sqlx::Error> {
        ask(
            &self.conn,
            query,
            |statement, places| {
                // One that writes and answers has written all only at its end.
                let writes = !statement.readonly();
                let mut rows = statement.raw_query();
                let row = rows.next().map_err(failed)?;
                let first = row.map(|row| T::from_row(DbRow::File(row, places))).transpose()?;
                while writes && first.is_some() && rows.next().map_err(failed)?.is_some() {}
                Ok(first)
            },
            T::FIELDS,
        )
    }

    /// Runs a statement whose answer nobody needs; answers how many rows it wrote.
    pub(super) fn execute(&self, query: Query) -> Result<u64, sqlx::Error> {
        ask(&self.conn, query, |statement, _| to_the_end(statement), &[])?;
        Ok(self.conn.changes())
    }

    /// Runs a statement that takes no values and answers no rows.
    pub(super) fn command(&self, sql: &str) -> Result<(), sqlx::Error> {
        to_the_end(&mut *self.conn.prepare_cached(sql).map_err(failed)?)
    }

    /// Ends the connection in good order; the last one folds the log back into the file.
    pub(super) fn close(self) {
        if let Err((_, error)) = self.conn.close() {
            tracing::warn!(%error, "the database could not be closed in good order");
        }
    }
}

fn to_the_end(statement: &mut Statement<'_>) -> Result<(), sqlx::Error> {
    let mut rows = statement.raw_query();
    while rows.next().map_err(failed)?.is_some() {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{Conn, query, query_as, refused};
    use sqlx::error::ErrorKind;
    use uuid::Uuid;

    fn open() -> (tempfile::TempDir, Conn) {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a.db");
        std::fs::File::create(&path).expect("file");
        let settings = "CREATE TABLE users (id BLOB PRIMARY KEY, username TEXT NOT NULL, n INTEGER, b BOOLEAN, r REAL); \
                        CREATE UNIQUE INDEX users_username ON users (username)";
        (folder, Conn::Sqlite(Inline::open(&path, Duration::ZERO, settings).expect("open")))
    }

    #[tokio::test]
    async fn every_type_comes_back_as_it_went_in_and_so_does_nothing() {
        type Row = (Uuid, String, Option<i64>, Option<bool>, Option<f64>);
        let (_folder, mut conn) = open();
        let id = Uuid::from_u128(7);
        let insert = |id: Uuid, name: &str| query("INSERT INTO users (id, username, n, b, r) VALUES (?, ?, ?, ?, ?)").bind(id).bind(name);
        let done = insert(id, "ann").bind(-3_i64).bind(true).bind(0.5_f64).execute(&mut conn).await.expect("insert");
        assert_eq!(done.rows_affected(), 1);
        let none = insert(Uuid::nil(), "bob").bind(None::<i64>).bind(None::<bool>).bind(None::<f64>);
        none.execute(&mut conn).await.expect("insert");
        let rows = query_as::<_, Row>("SELECT id, username, n, b, r FROM users ORDER BY username").fetch_all(&mut conn).await;
        assert_eq!(
            rows.expect("rows"),
            [(id, "ann".to_owned(), Some(-3), Some(true), Some(0.5)), (Uuid::nil(), "bob".to_owned(), None, None, None)]
        );
        let wrong = query_as::<_, (i64,)>("SELECT username FROM users").fetch_one(&mut conn).await.expect_err("a text is no number");
        assert!(matches!(wrong, sqlx::Error::ColumnDecode { index, .. } if index == "0"));
    }

    #[tokio::test]
    async fn a_statement_that_writes_and_answers_writes_all_for_one_answer() {
        let (_folder, mut conn) = open();
        let sql = "INSERT INTO users (id, username) VALUES (?, 'a'), (?, 'b'), (?, 'c') RETURNING username";
        let insert = query_as::<_, (String,)>(sql).bind(Uuid::from_u128(1)).bind(Uuid::from_u128(2)).bind(Uuid::from_u128(3));
        assert_eq!(insert.fetch_optional(&mut conn).await.expect("one"), Some(("a".to_owned(),)));
        let (count,) = query_as::<_, (i64,)>("SELECT COUNT(*) FROM users").fetch_one(&mut conn).await.expect("count");
        assert_eq!(count, 3);
    }

    #[tokio::test]
    async fn what_sqlite_refuses_has_the_name_that_callers_know() {
        let (_folder, mut conn) = open();
        let insert =
            |id: u128, name: Option<&str>| query("INSERT INTO users (id, username) VALUES (?, ?)").bind(Uuid::from_u128(id)).bind(name);
        insert(1, Some("ann")).execute(&mut conn).await.expect("the first");
        let twice = insert(2, Some("ann")).execute(&mut conn).await.map_err(refused).expect_err("twice");
        assert!(matches!(twice, crate::StoreError::Conflict { what: "username" }), "{twice:?}");
        let nothing = insert(3, None).execute(&mut conn).await.expect_err("no name");
        assert!(matches!(nothing, sqlx::Error::Database(error) if error.kind() == ErrorKind::NotNullViolation));
        assert!(query("SELEC 1").execute(&mut conn).await.is_err());
    }
}
