//! Telling what was written: every event once, in the order of the log, to whoever in this process listens.
//!
//! This node's own commits are told by its writer. What other nodes of a PostgreSQL database commit is heard by
//! `LISTEN`, and looked for once a second in case that failed; the log itself is then read from where this node stopped.

use crate::counts::Counts;
use crate::dialect::{Address, Heard, Pool};
use crate::events::Event;
use crate::jobs::Hints;
use crate::{Store, StoreError};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Mutex, broadcast, watch};

/// Events that a slow listener may be behind before it has to read the log again.
const TOLD: usize = 1024;
/// Events read at once.
const PIECE: i64 = 500;
/// How often other nodes' events are looked for when nothing was heard.
const LOOK: Duration = Duration::from_secs(1);
/// What `written` holds while the database has no log.
const NO_LOG: i64 = -1;

/// Tells events, and remembers how far it came.
pub(crate) struct Teller {
    readers: Pool,
    /// The cursor told last; held while telling, so that two never tell at once.
    cursor: Mutex<i64>,
    written: watch::Sender<i64>,
    changes: broadcast::Sender<Arc<Event>>,
    counts: Arc<Counts>,
}

impl Teller {
    /// Nobody is told anything before `counts` has forgotten what it made wrong.
    pub(crate) fn new(readers: Pool, counts: Arc<Counts>) -> Self {
        let (written, changes) = (watch::Sender::new(NO_LOG), broadcast::Sender::new(TOLD));
        Self { readers, cursor: Mutex::new(NO_LOG), written, changes, counts }
    }

    /// Starts behind this cursor: what is in the log was told before.
    pub(crate) async fn begin(&self, cursor: i64) {
        let mut told = self.cursor.lock().await;
        *told = (*told).max(cursor);
        self.written.send_replace(*told);
    }

    /// Whether the database has a log to look at.
    pub(crate) fn has_begun(&self) -> bool {
        *self.written.borrow() != NO_LOG
    }

    /// The cursor of the last event that was told.
    pub(crate) fn written(&self) -> watch::Receiver<i64> {
        self.written.subscribe()
    }

    /// Every event.
    pub(crate) fn changes(&self) -> broadcast::Receiver<Arc<Event>> {
        self.changes.subscribe()
    }

    /// Tells what this node has just committed. `before` is the cursor of the last event before that, where other nodes
    /// write too: if it was not told yet, the log is read, so that nothing is told in the wrong order.
    pub(crate) async fn tell(&self, before: Option<i64>, events: &mut Vec<Arc<Event>>) {
        if events.is_empty() {
            return;
        }
        let mut cursor = self.cursor.lock().await;
        if before.is_some_and(|before| before > *cursor) {
            events.clear();
            if let Err(error) = self.read_on(&mut cursor).await {
                tracing::warn!(%error, "events that were written can't be told yet");
            }
            return;
        }
        self.tell_all(&mut cursor, events.drain(..));
    }

    /// Tells what others have committed.
    pub(crate) async fn catch_up(&self) -> Result<(), StoreError> {
        if !self.has_begun() {
            return Ok(());
        }
        let mut cursor = self.cursor.lock().await;
        self.read_on(&mut cursor).await
    }

    async fn read_on(&self, cursor: &mut i64) -> Result<(), StoreError> {
        loop {
            let (last, events) = Store::events_of_all_after(&self.readers, *cursor, PIECE).await?;
            if last == *cursor {
                return Ok(());
            }
            self.tell_all(cursor, events.into_iter().map(Arc::new));
            *cursor = last;
        }
    }

    /// Tells those that were not told. How far it came is told first and once: who waits for that is woken once a commit.
    fn tell_all(&self, cursor: &mut i64, events: impl Iterator<Item = Arc<Event>>) {
        let forgotten = events.inspect(|event| self.counts.forget(event.user_id));
        let news: Vec<Arc<Event>> = forgotten.filter(|event| event.seq > *cursor).collect();
        let Some(last) = news.last() else { return };
        *cursor = last.seq;
        self.written.send_replace(last.seq);
        for event in news {
            let _ = self.changes.send(event);
        }
    }
}

/// Listens to other nodes until the store is gone.
pub(crate) async fn listen(address: Address, teller: Weak<Teller>, hints: Arc<Hints>) {
    let mut listener = None;
    while let Some(teller) = teller.upgrade() {
        if listener.is_none() {
            listener = address.listen().await.inspect_err(|error| tracing::debug!(%error, "other nodes can't be heard")).ok();
        }
        if let Err(error) = teller.catch_up().await {
            tracing::debug!(%error, "events of other nodes can't be read");
        }
        let told = *teller.written().borrow();
        drop(teller);
        let Some(hearing) = &mut listener else {
            tokio::time::sleep(LOOK).await;
            continue;
        };
        let news = async {
            loop {
                match hearing.next().await? {
                    Heard::Events(seq) if seq <= told => {}
                    Heard::Events(_) => return Some(()),
                    Heard::Jobs => hints.elsewhere(),
                }
            }
        };
        if let Ok(None) = tokio::time::timeout(LOOK, news).await {
            listener = None;
        }
    }
}
