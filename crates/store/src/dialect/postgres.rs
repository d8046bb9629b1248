//! PostgreSQL: one connection that writes, several that read, and a time limit on everything.
//!
//! A database that is frozen, or behind a cable that was cut, answers nothing at all: without a limit of our own, callers would
//! wait for minutes. A connection that missed its limit is thrown away, since nobody knows what it will say next.

use super::errors::is_lost;
use super::query::{Answer, Query, Want, on_postgres};
use super::{Conn, unavailable};
use crate::StoreError;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPool, PgPoolOptions, PgRow};
use sqlx::{ConnectOptions, Connection, Executor};
use std::io::Read;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Number of the lock that a transaction takes before it writes (`sanasend` in ASCII, cut to 8 bytes). All nodes of a
/// database take it, so that their transactions run one after the other, as on SQLite; see decision 0010.
const WRITE_LOCK: i64 = 0x7361_6e61_7365_6e64;
/// Number of the lock that whoever changes tables holds.
const MIGRATION_LOCK: i64 = WRITE_LOCK + 1;
/// Every statement of the program in every size stays prepared.
const STATEMENTS: usize = 512;
/// Rows that one statement inserts at most.
pub(super) const MOST_ROWS: usize = 256;

/// Where the database is, and how long it may take to answer.
#[derive(Clone)]
pub(crate) struct Address {
    options: PgConnectOptions,
    limit: Duration,
    /// The server's number for the connection of this process that writes: what it tells is no news here.
    own: Arc<AtomicI32>,
}

impl Address {
    /// Adds to what the URL says. The server ends by itself what a frozen node left open: such a transaction would hold up all
    /// other nodes.
    pub(super) fn new(options: PgConnectOptions, limit: Duration) -> Self {
        let milliseconds = limit.as_millis().max(1).to_string();
        let options = options
            .application_name("sanasend")
            .statement_cache_capacity(STATEMENTS)
            .options([("statement_timeout", &milliseconds), ("idle_in_transaction_session_timeout", &milliseconds)])
            .disable_statement_logging();
        Self { options, limit, own: Arc::default() }
    }

    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        within(self.limit, PgConnection::connect_with(&self.options)).await
    }

    /// The connection that writes. What was promised must be on disk, whatever the server's own default.
    pub(super) async fn connect_writer(&self) -> Result<Conn, StoreError> {
        let mut conn = PgConn { conn: self.connect().await.map_err(unavailable)?, limit: self.limit, lost: false };
        let durable = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";
        conn.command(durable).await.map_err(unavailable)?;
        let own = conn.raw("SELECT pg_backend_pid()".to_owned()).await.map_err(unavailable)?;
        let own = own.first().and_then(|row| sqlx::Row::try_get(row, 0).ok());
        self.own.store(own.unwrap_or_default(), Ordering::Release);
        Ok(Conn::Postgres(conn))
    }

    /// A connection whose statements may take as long as they need.
    pub(super) async fn connect_unhurried(&self) -> Result<PgConnection, sqlx::Error> {
        let options = self.unhurried();
        within(self.limit, PgConnection::connect_with(&options)).await
    }

    fn unhurried(&self) -> PgConnectOptions {
        self.options.clone().options([("statement_timeout", "0"), ("idle_in_transaction_session_timeout", "0")])
    }

    /// A short-lived pool of one for migrations, which may take longer than any statement of the running program.
    pub(super) async fn connect_for_migration(&self) -> Result<PgPool, StoreError> {
        let options = self.unhurried();
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(self.limit).idle_timeout(None).max_lifetime(None);
        let pool = pool.connect_with(options).await.map_err(unavailable)?;
        // Two nodes that start at once: the second waits, and then finds nothing left to do. The lock goes with the connection.
        let lock = sqlx::query("SELECT pg_advisory_lock($1)").bind(MIGRATION_LOCK);
        lock.execute(&pool).await.map_err(unavailable)?;
        Ok(pool)
    }

    /// Hears what other nodes tell.
    pub(crate) async fn listen(&self) -> Result<Listener, StoreError> {
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(self.limit).connect_lazy_with(self.options.clone());
        let listening = async {
            let mut inner = PgListener::connect_with(&pool).await?;
            inner.eager_reconnect(false);
            inner.listen_all([CHANNEL, JOBS]).await?;
            Ok(Listener { inner, own: self.own.clone() })
        };
        within(self.limit, listening).await.map_err(unavailable)
    }

    /// The connections that read; each is made when it is needed.
    pub(super) fn readers(&self, count: u32) -> Readers {
        let places = Semaphore::new(usize::try_from(count).unwrap_or(1).max(1));
        Readers { address: self.clone(), idle: Mutex::default(), places }
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let late = |_| sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "it did not answer in time"));
    tokio::time::timeout(limit, work).await.map_err(late)?
}

/// A connection that is used for several statements in a row.
pub(crate) struct PgConn {
    conn: PgConnection,
    limit: Duration,
    /// Nothing can be asked of it any more; asking it would only cost the time limit again.
    lost: bool,
}

impl PgConn {
    /// Refuses to ask a connection that is lost.
    fn usable(&self) -> Result<(), sqlx::Error> {
        if self.lost { Err(sqlx::Error::WorkerCrashed) } else { Ok(()) }
    }

    /// Remembers when a connection was lost.
    fn heard<T>(&mut self, answer: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        self.lost |= answer.as_ref().is_err_and(is_lost);
        answer
    }

    pub(super) async fn run(&mut self, query: &Query, want: Want) -> Result<Answer, sqlx::Error> {
        self.usable()?;
        let answer = within(self.limit, on_postgres(&mut self.conn, query, want)).await;
        self.heard(answer)
    }

    /// Runs a statement, or several, that take no values; answers their rows.
    async fn raw(&mut self, sql: String) -> Result<Vec<PgRow>, sqlx::Error> {
        self.usable()?;
        let answer = within(self.limit, self.conn.fetch_all(sqlx::raw_sql(sqlx::AssertSqlSafe(sql)))).await;
        self.heard(answer)
    }

    /// Runs a `COPY ... FROM STDIN` with what is read; answers the rows. It takes as long as the server lets it.
    pub(super) async fn copy_in(&mut self, sql: &str, from: &mut (dyn Read + Send)) -> Result<u64, sqlx::Error> {
        self.usable()?;
        let answer = super::copy::fill(&mut self.conn, sql, from).await;
        self.heard(answer)
    }

    /// Runs a statement that takes no values and answers no rows.
    pub(super) async fn command(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        self.raw(sql.to_owned()).await.map(drop)
    }

    /// Opens a transaction that no other writer of any node is in. With `look` answers what can't change any more before
    /// this transaction ends.
    pub(super) async fn begin(&mut self, look: bool) -> Result<Option<Looked>, sqlx::Error> {
        // One message, one round trip; the lock is taken before the third statement looks at anything.
        let begin = format!("BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({WRITE_LOCK})");
        let looking = if look {
            "; SELECT COALESCE(MAX(seq), 0), EXISTS (SELECT 1 FROM webhook_endpoints WHERE is_active), \
             COALESCE((SELECT MAX(version) FROM guard_version), 0) FROM events"
        } else {
            ""
        };
        let rows = self.raw(format!("{begin}{looking}")).await?;
        match rows.last() {
            Some(row) if look => Ok(Some(Looked {
                last_event: sqlx::Row::try_get(row, 0)?,
                any_webhook: sqlx::Row::try_get(row, 1)?,
                guard_version: sqlx::Row::try_get(row, 2)?,
            })),
            _ => Ok(None),
        }
    }

    /// Ends the transaction; with a cursor also tells the other nodes of events up to there, and with `jobs` of those.
    pub(super) async fn commit(&mut self, told: Option<i64>, jobs: bool) -> Result<(), sqlx::Error> {
        // Something is selected in any case: COMMIT alone ends a transaction that went wrong without saying so.
        let told = told.map_or_else(|| "1".to_owned(), |seq| format!("pg_notify('{CHANNEL}', '{seq}')"));
        let jobs = if jobs { format!(", pg_notify('{JOBS}', '')") } else { String::new() };
        self.raw(format!("SELECT {told}{jobs}; COMMIT")).await.map(drop)
    }

    pub(super) async fn close(self) {
        let _ = within(self.limit, self.conn.close()).await;
    }
}

/// Where nodes tell each other that events were written.
const CHANNEL: &str = "sanasend_events";
/// Where nodes tell each other that jobs were written.
const JOBS: &str = "sanasend_jobs";

/// What a transaction finds at its beginning.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Looked {
    /// The cursor of the last event.
    pub(crate) last_event: i64,
    /// Whether anybody listens to events by webhook.
    pub(crate) any_webhook: bool,
    /// Grows when there is something new to look at about recipients.
    pub(crate) guard_version: i64,
}

/// What another node told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Events, up to this cursor.
    Events(i64),
    /// Jobs.
    Jobs,
}

/// A connection that hears what nodes have written.
pub(crate) struct Listener {
    inner: PgListener,
    own: Arc<AtomicI32>,
}

impl Listener {
    /// Waits for the next word of another process. `None` when the connection broke.
    ///
    /// What this process commits, its writer tells by itself: hearing of that too would mean to read every event back.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        loop {
            let told = self.inner.try_recv().await.ok()??;
            if i32::try_from(told.process_id()) == Ok(self.own.load(Ordering::Acquire)) {
                continue;
            }
            if told.channel() == JOBS {
                return Some(Heard::Jobs);
            }
            if let Ok(seq) = told.payload().parse() {
                return Some(Heard::Events(seq));
            }
        }
    }
}

/// Connections for reading. Ours and not sqlx's pool: that one asks the server after every use whether it is still there,
/// which doubles the cost of a read, and waits for a frozen one for ever.
pub(crate) struct Readers {
    address: Address,
    idle: Mutex<Vec<PgConnection>>,
    places: Semaphore,
}

impl Readers {
    /// Runs a statement that reads. One that met a connection which had died meanwhile is sent again on another.
    pub(super) async fn run(&self, query: &Query, want: Want) -> Result<Answer, sqlx::Error> {
        let answer = within(self.address.limit, self.attempt(query, want)).await;
        if matches!(&answer, Err(sqlx::Error::Io(error)) if error.kind() == std::io::ErrorKind::TimedOut) {
            // The others were made to the same place and are as likely dead.
            self.idle().clear();
        }
        answer
    }

    async fn attempt(&self, query: &Query, want: Want) -> Result<Answer, sqlx::Error> {
        let _place = self.places.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
        loop {
            let (mut conn, used) = match self.take() {
                Some(conn) => (conn, true),
                None => (self.address.connect().await?, false),
            };
            let answer = on_postgres(&mut conn, query, want).await;
            match &answer {
                Err(error) if is_lost(error) && used => {}
                Err(error) if is_lost(error) => return answer,
                _ => {
                    self.idle().push(conn);
                    return answer;
                }
            }
        }
    }

    fn take(&self) -> Option<PgConnection> {
        self.idle().pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<PgConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes all; reading is refused from then on.
    pub(super) async fn close(&self) {
        self.places.close();
        let idle = std::mem::take(&mut *self.idle());
        for conn in idle {
            let _ = within(self.address.limit, conn.close()).await;
        }
    }
}
