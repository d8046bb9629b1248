//! The one writer: whatever wants to write waits in a queue, and all that waits is committed together.
//!
//! One task owns the one connection that writes. It takes everything that is waiting, runs it in one transaction,
//! commits once (that is the one wait for the disk), and only then answers everybody and tells the events. Each request
//! runs in its own savepoint, so that one that is refused leaves the others whole; waiting accepts, and the other busy kinds
//! (see `together`), are written by statements over many rows. If the commit fails, nobody is told that anything was done.
//!
//! On PostgreSQL every node has such a writer, and each transaction begins by taking one lock that all share: writers of
//! all nodes run one after the other, as the processes on one SQLite file do (decision 0010).

use crate::commits::{Commit, Watch};
use crate::dialect::{Conn, Looked, Pool, Source, refused};
use crate::early::Early;
use crate::events::Event;
use crate::jobs::{Hints, JobHint};
use crate::opt_outs::Guards;
use crate::outbox::{Accepted, Handed, Prepared, Queued};
use crate::seal::Sealer;
use crate::teller::Teller;
use crate::together::{Asked, Piles, Together};
use crate::{StoreError, outbox};
use futures::FutureExt;
use futures::future::BoxFuture;
use sanasend_model::{Clock, SessionId};
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// Requests that may wait; more must wait to be let in, so that an overload costs no memory.
const QUEUE: usize = 4096;
/// Most requests in one transaction, so that the first of them does not wait long for the last.
const BATCH: usize = 256;

/// Where an accept is answered.
type AcceptAnswer = oneshot::Sender<Result<Accepted, StoreError>>;

enum Request {
    Accept(Box<Prepared>, AcceptAnswer),
    Together(Box<Asked>),
    Work(Box<dyn Work>),
    Close(oneshot::Sender<()>),
}

/// A request of any other kind: it is run once inside a transaction, or never, and answered in the end.
trait Work: Send {
    /// Does the work; says whether what it wrote is to be kept.
    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, bool>;
    /// Answers with the result of the work, or with why the transaction came to nothing.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Job<T, F> {
    work: Option<F>,
    result: Result<T, StoreError>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Work for Job<T, F>
where
    T: Send,
    F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, StoreError>> + Send,
{
    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, bool> {
        Box::pin(async move {
            if let Some(work) = self.work.take() {
                // A panic in one request must not end the writer, and with it every other request.
                let result = AssertUnwindSafe(async { work(tx).await }).catch_unwind().await;
                self.result = result.unwrap_or_else(|_| Err(StoreError::Unavailable("a write panicked".into())));
            }
            self.result.is_ok()
        })
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let _ = self.answer.send(committed.and(self.result));
    }
}

/// What a request may use while the transaction is open.
pub(crate) struct Tx {
    /// The connection, inside the transaction.
    pub(crate) conn: Conn,
    /// Time and randomness.
    pub(crate) clock: Arc<dyn Clock>,
    /// Seals secrets.
    pub(crate) sealer: Arc<Sealer>,
    /// Events written so far, told after the commit.
    pub(crate) events: Vec<Arc<Event>>,
    /// What the request at hand will write at its end, together.
    pub(crate) queued: Queued,
    /// Generations of accounts as read in this transaction: many requests of an account share one.
    pub(crate) generations: HashMap<SessionId, i64>,
    /// Jobs that may be due, told after the commit. Too many do no harm, so a refused request leaves its own here.
    pub(crate) hints: Vec<JobHint>,
    /// Nobody listens to events by webhook, as far as this writer knows; see `webhooks::fan_out`.
    pub(crate) hookless: bool,
    /// For which users recipients are to be looked at, as far as this writer knows; see `opt_outs::guard`.
    pub(crate) guards: Option<Guards>,
    /// What was done to messages that are not here yet.
    pub(crate) early: Arc<Early>,
    /// What the transaction that is open found at its beginning, where other nodes write too.
    looked: Option<Looked>,
}

impl Tx {
    /// Whether other processes write to this database as well.
    pub(crate) const fn is_shared(&self) -> bool {
        matches!(self.conn, Conn::Postgres(_))
    }

    /// Runs a request so that, when it is refused, nothing of it stays: in a savepoint, or, when nobody shares the
    /// transaction, by ending that. Answers whether the transaction is still open.
    async fn run(&mut self, work: &mut dyn Work, alone: bool) -> Result<bool, StoreError> {
        let told = self.events.len();
        if !alone {
            self.command("SAVEPOINT request").await?;
        }
        let keep = work.run(self).await;
        if !keep {
            self.undo(told);
            self.command(if alone { "ROLLBACK" } else { "ROLLBACK TO request" }).await?;
        }
        if !alone {
            self.command("RELEASE request").await?;
        }
        Ok(keep || !alone)
    }

    /// Forgets what was concluded from rows that are undone now, and the events behind the first `told`.
    pub(crate) fn undo(&mut self, told: usize) {
        self.generations.clear();
        self.events.truncate(told);
        self.queued = Queued::default();
        self.hookless = false;
        if self.guards.as_ref().is_some_and(|guards| guards.changed) {
            self.guards = None;
        }
    }

    /// Opens the transaction. With `look` it finds out what other nodes did since the last one, under the lock that it holds
    /// from here on.
    pub(crate) async fn begin(&mut self, look: bool) -> Result<(), StoreError> {
        self.looked = self.conn.begin(look).await.map_err(refused)?;
        match self.looked {
            Some(looked) => self.hookless = !looked.any_webhook,
            // Without a look nobody knows: another node may have made a webhook.
            None => self.hookless &= !self.is_shared(),
        }
        let known = self.looked.map(|looked| looked.guard_version);
        let is_shared = self.is_shared();
        self.guards = self.guards.take().filter(|guards| !is_shared || known == Some(guards.version));
        if let Some(guards) = &mut self.guards {
            guards.changed = false;
        }
        Ok(())
    }

    /// Opens it again after a ROLLBACK. The lock was free meanwhile, so what was seen before counts no more.
    pub(crate) async fn begin_again(&mut self) -> Result<(), StoreError> {
        self.begin(self.looked.is_some()).await
    }

    /// Runs a statement that takes no values and answers no rows.
    pub(crate) async fn command(&mut self, sql: &'static str) -> Result<(), StoreError> {
        self.conn.command(sql).await.map_err(refused)
    }
}

/// The way into the queue. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Request>,
}

pub(crate) fn closed() -> StoreError {
    StoreError::Unavailable("the database is closed".into())
}

impl Writer {
    /// Hands a message in.
    pub(crate) async fn hand_in(&self, new: Prepared) -> Result<Handed, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.queue.send(Request::Accept(Box::new(new), answer)).await.map_err(|_| closed())?;
        Ok(Handed(answered))
    }

    /// Runs `work` in a transaction; answers when that is on disk. What `work` wrote before it fails is undone.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job = Job { work: Some(work), result: Err(closed()), answer };
        self.queue.send(Request::Work(Box::new(job))).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Runs a request together with others of its kind; answers when it is on disk.
    pub(crate) async fn together<T: Together>(&self, asked: T) -> Result<T::Answer, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.queue.send(Request::Together(Box::new(asked.with(answer)))).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Finishes what was handed in before and closes all connections.
    pub(crate) async fn close(&self) {
        let (done, finished) = oneshot::channel();
        if self.queue.send(Request::Close(done)).await.is_ok() {
            let _ = finished.await;
        }
    }
}

/// What the task needs besides its connection.
pub(crate) struct Parts {
    pub(crate) source: Source,
    pub(crate) readers: Pool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) teller: Arc<Teller>,
    pub(crate) hints: Arc<Hints>,
    pub(crate) commits: Watch,
    pub(crate) early: Arc<Early>,
}

/// Starts the task. On SQLite it has a thread of its own: statements and the wait for the disk happen on it.
pub(crate) fn start(conn: Conn, parts: Parts) -> Result<Writer, StoreError> {
    let (queue, requests) = mpsc::channel(QUEUE);
    match &conn {
        Conn::Postgres(_) => drop(tokio::spawn(run(conn, parts, requests))),
        Conn::Sqlite(_) => {
            let runtime = tokio::runtime::Handle::current();
            let thread = std::thread::Builder::new().name("sqlite-writer".into());
            let started = thread.spawn(move || runtime.block_on(run(conn, parts, requests)));
            started.map_err(|error| StoreError::Unavailable(format!("the writer's thread can't be started: {error}")))?;
        }
    }
    Ok(Writer { queue })
}

/// Requests that share a transaction.
#[derive(Default)]
struct Batch {
    accepts: Vec<Prepared>,
    accept_answers: Vec<AcceptAnswer>,
    accept_results: Vec<Result<Accepted, StoreError>>,
    together: Piles,
    work: Vec<Box<dyn Work>>,
}

impl Batch {
    fn answer(self, committed: &Result<(), StoreError>) {
        let missing = std::iter::repeat_with(|| Err(closed()));
        for (answer, result) in self.accept_answers.into_iter().zip(self.accept_results.into_iter().chain(missing)) {
            let _ = answer.send(committed.clone().and(result));
        }
        self.together.answer(committed);
        self.work.into_iter().for_each(|work| work.answer(committed.clone()));
    }
}

async fn run(conn: Conn, parts: Parts, mut requests: mpsc::Receiver<Request>) {
    let mut tx = Some(parts.transaction(conn));
    let mut waiting = Vec::new();
    while requests.recv_many(&mut waiting, BATCH).await > 0 {
        let mut closing = None;
        let mut batch = Batch::default();
        for request in waiting.drain(..) {
            match request {
                Request::Accept(new, answer) => {
                    batch.accepts.push(*new);
                    batch.accept_answers.push(answer);
                }
                Request::Together(asked) => batch.together.add(*asked),
                Request::Work(work) => batch.work.push(work),
                Request::Close(done) => closing = Some(done),
            }
        }
        tx = parts.commit(tx, batch).await;
        if let Some(done) = closing {
            requests.close();
            // The writer is the last to go: only it can fold the log back into the file, so that one file holds all.
            parts.readers.close().await;
            if let Some(tx) = tx.take() {
                tx.conn.close().await;
            }
            let _ = done.send(());
            return;
        }
    }
}

impl Parts {
    fn transaction(&self, conn: Conn) -> Tx {
        let (clock, sealer) = (self.clock.clone(), self.sealer.clone());
        let (events, queued, hints, generations) = (Vec::new(), Queued::default(), Vec::new(), HashMap::new());
        let early = self.early.clone();
        Tx { conn, clock, sealer, events, queued, generations, hints, hookless: false, guards: None, early, looked: None }
    }

    /// Writes a batch and answers it; gives the connection back unless it is in doubt.
    async fn commit(&self, tx: Option<Tx>, mut batch: Batch) -> Option<Tx> {
        let (accepts, begun) = (batch.accepts.len(), Instant::now());
        let requests = accepts + batch.together.len() + batch.work.len();
        let seen = |committed, events: &[Arc<Event>]| {
            if let (Some(watcher), true) = (self.commits.get(), requests > 0) {
                watcher(&Commit { requests, accepts, took: begun.elapsed(), committed, events });
            }
        };
        match self.attempt(tx, &mut batch).await {
            Ok((mut tx, before)) => {
                seen(true, &tx.events);
                // Told before the answers: who was answered finds the event already told.
                self.teller.tell(before, &mut tx.events).await;
                self.hints.add(tx.hints.drain(..));
                batch.answer(&Ok(()));
                Some(tx)
            }
            Err(error) => {
                seen(false, &[]);
                tracing::error!(%error, "a transaction failed; nothing of it was written");
                batch.answer(&Err(StoreError::Unavailable(error.to_string())));
                None
            }
        }
    }

    /// One transaction for all; on a new connection when the last one was in doubt. An error means that nothing was
    /// written, unless it is COMMIT itself whose answer was lost: the connection is dropped, which rolls back. Answers also
    /// the cursor of the last event before it, where other nodes write too.
    async fn attempt(&self, tx: Option<Tx>, batch: &mut Batch) -> Result<(Tx, Option<i64>), StoreError> {
        let mut tx = match tx {
            Some(tx) => tx,
            None => self.transaction(self.source.connect_writer().await?),
        };
        let waiting = batch.accepts.len() + batch.together.len();
        if waiting + batch.work.len() == 0 {
            return Ok((tx, None));
        }
        tx.generations.clear();
        tx.begin(self.teller.has_begun()).await?;
        if !batch.accepts.is_empty() {
            batch.accept_results = outbox::accept_all(&mut tx, &mut batch.accepts).await?;
        }
        batch.together.run(&mut tx).await?;
        let alone = waiting == 0 && batch.work.len() == 1;
        for work in &mut batch.work {
            if !tx.run(work.as_mut(), alone).await? {
                return Ok((tx, None));
            }
        }
        let told = tx.events.last().map(|event| event.seq);
        tx.conn.commit(told, !tx.hints.is_empty()).await.map_err(refused)?;
        let before = tx.looked.map(|looked| looked.last_event);
        Ok((tx, before))
    }
}
