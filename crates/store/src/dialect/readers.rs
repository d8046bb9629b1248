//! The connections that read SQLite: a few threads, each with one, and a queue before them.
//!
//! Ours and not sqlx's, which carries each row over a channel and copies each column of it before anybody reads it: a page of
//! twenty messages has 600 columns, and most of its time was that. Here a statement crosses to its thread and back once, and
//! its rows are read there, out of SQLite's own memory (decision 0025).

use super::file::{STATEMENTS, ask, failed};
use super::query::Query;
use super::unavailable;
use super::value::{DbRow, FromRow};
use crate::StoreError;
use rusqlite::{CachedStatement, Connection, OpenFlags};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// What waits to be read.
#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job; `None` when it is closed and nothing is left.
    fn next(&self) -> Option<Job> {
        let mut state = self.state();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// False when it is closed.
    fn add(&self, job: Job) -> bool {
        let mut state = self.state();
        let open = !state.closed;
        if open {
            state.jobs.push_back(job);
            self.news.notify_one();
        }
        open
    }

    fn close(&self) {
        self.state().closed = true;
        self.news.notify_all();
    }
}

/// The threads. They end when this is dropped.
pub(crate) struct FileReaders {
    queue: Arc<Queue>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl FileReaders {
    /// Starts `count` threads on the file. Only the first opens it now, to see that it can be opened.
    pub(super) fn start(path: &Path, count: u32) -> Result<Self, StoreError> {
        let mut first = Some(open(path).map_err(|error| unavailable(failed(error)))?);
        let queue = Arc::<Queue>::default();
        let mut threads = Vec::new();
        for _ in 0..count.max(1) {
            let (queue, path, conn) = (queue.clone(), path.to_owned(), first.take());
            let thread = std::thread::Builder::new().name("sqlite-reader".into()).spawn(move || work(&queue, &path, conn));
            threads.push(thread.map_err(|error| unavailable(sqlx::Error::Io(error)))?);
        }
        Ok(Self { queue, threads: Mutex::new(threads) })
    }

    /// All rows of a statement.
    pub(super) async fn all<T: FromRow>(&self, query: Query) -> Result<Vec<T>, sqlx::Error> {
        self.run(
            query,
            |statement, places| {
                let mut rows = statement.raw_query();
                let mut read = Vec::new();
                while let Some(row) = rows.next().map_err(failed)? {
                    read.push(T::from_row(DbRow::File(row, places))?);
                }
                Ok(read)
            },
            T::FIELDS,
        )
        .await
    }

    /// The first row of a statement.
    pub(super) async fn first<T: FromRow>(&self, query: Query) -> Result<Option<T>, sqlx::Error> {
        self.run(
            query,
            |statement, places| {
                let mut rows = statement.raw_query();
                let row = rows.next().map_err(failed)?;
                row.map(|row| T::from_row(DbRow::File(row, places))).transpose()
            },
            T::FIELDS,
        )
        .await
    }

    /// Runs a statement whose answer nobody needs; its rows are counted.
    pub(super) async fn count_rows(&self, query: Query) -> Result<u64, sqlx::Error> {
        self.run(
            query,
            |statement, _| {
                let (mut rows, mut count) = (statement.raw_query(), 0);
                while rows.next().map_err(failed)?.is_some() {
                    count += 1;
                }
                Ok(count)
            },
            &[],
        )
        .await
    }

    async fn run<T, F>(&self, query: Query, read: F, fields: &'static [&'static str]) -> Result<T, sqlx::Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut CachedStatement<'_>, &[usize]) -> Result<T, sqlx::Error> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job = move |conn: &Connection| {
            // Who gave up waiting needs no answer.
            if !answer.is_closed() {
                let _ = answer.send(ask(conn, query, read, fields));
            }
        };
        if !self.queue.add(Box::new(job)) {
            return Err(sqlx::Error::PoolClosed);
        }
        answered.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
    }

    /// Ends the threads when they did what was asked of them; reading is refused from then on.
    pub(super) async fn close(&self) {
        self.queue.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let ended = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join())));
        let _ = ended.await;
    }
}

impl Drop for FileReaders {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// A thread: one connection, one job after the other.
fn work(queue: &Queue, path: &Path, mut conn: Option<Connection>) {
    while let Some(job) = queue.next() {
        if conn.is_none() {
            conn = open(path).inspect_err(|error| tracing::error!(%error, "the database can't be opened for reading")).ok();
        }
        // Without a connection the job is dropped, and who waits for it hears that the worker is gone.
        if let Some(conn) = &conn {
            // A panic in one read must not end the thread, and with it every other read.
            let _ = catch_unwind(AssertUnwindSafe(|| job(conn)));
        }
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(super::sqlite::BUSY)?;
    conn.pragma_update(None, "temp_store", "memory")?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(conn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{query, query_as};

    fn readers(folder: &Path) -> FileReaders {
        let path = folder.join("r.db");
        let made = Connection::open(&path).expect("a file");
        made.execute_batch("CREATE TABLE t (a INTEGER, b TEXT); INSERT INTO t VALUES (1, 'one'), (2, NULL)").expect("rows");
        FileReaders::start(&path, 2).expect("readers")
    }

    #[tokio::test]
    async fn rows_are_read_and_a_closed_reader_refuses() {
        let folder = tempfile::tempdir().expect("folder");
        let readers = readers(folder.path());
        let all = query_as::<_, (i64, Option<String>)>("SELECT a, b FROM t WHERE a < ? ORDER BY a").bind(9_i64);
        assert_eq!(
            readers.all::<(i64, Option<String>)>(all.inner()).await.expect("rows"),
            [(1, Some("one".to_owned())), (2, None::<String>)]
        );
        assert_eq!(readers.count_rows(query("SELECT * FROM t")).await.expect("rows"), 2);
        let wrong = query_as::<_, (i64,)>("SELECT b FROM t");
        assert!(matches!(readers.first::<(i64,)>(wrong.inner()).await, Err(sqlx::Error::ColumnDecode { .. })));
        assert!(readers.count_rows(query("DELETE FROM t")).await.is_err(), "a reader wrote");
        readers.close().await;
        assert!(matches!(readers.count_rows(query("SELECT 1")).await, Err(sqlx::Error::PoolClosed)));
    }

    struct Wide {
        c: Option<String>,
    }

    crate::rows::from_row!("t": Wide { c });

    #[tokio::test]
    async fn a_column_that_came_after_the_connection_is_found() {
        let folder = tempfile::tempdir().expect("folder");
        let readers = readers(folder.path());
        let all = || query_as::<_, Wide>("SELECT * FROM t ORDER BY a").inner();
        // Each connection has read the tables as they are now, and one has the statement prepared.
        for _ in 0..8 {
            assert!(matches!(readers.all::<Wide>(all()).await, Err(sqlx::Error::ColumnNotFound(_))));
        }
        let other = Connection::open(folder.path().join("r.db")).expect("a file");
        other.execute_batch("ALTER TABLE t ADD COLUMN c TEXT; UPDATE t SET c = 'new'").expect("altered");
        for _ in 0..8 {
            let rows = readers.all::<Wide>(all()).await.expect("rows");
            assert_eq!(rows.into_iter().map(|row| row.c).collect::<Vec<_>>(), [Some("new".to_owned()), Some("new".to_owned())]);
        }
    }
}
