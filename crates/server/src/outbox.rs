//! The way in: the only place that accepts messages.
//!
//! [`Outbox::accept`] answers only after the message is on disk with its WhatsApp id, its place in the outbox, its
//! event, and its idempotency key, all in one transaction. Then the account's driver is woken, also when the caller has
//! given up meanwhile: nothing else would make it look before the next message.

mod accepting;
mod due;
mod hold;
mod recurring;
mod waits;

pub use hold::{Hold, When, hold};
pub use recurring::fill;

use crate::sessions::Sessions;
use accepting::Accepting;
use due::Dates;
use sanasend_model::{Clock, MessageId, MessageStatus, SessionId, Timestamp, UserId};
use sanasend_store::{Accepted, Message, NewMessage, Settled, Store, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument as _;
use waits::Waits;

/// How often deadlines are looked at; a message fails at most this much after its deadline.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Settings of the way in.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How long a message is tried when the caller sets no time.
    pub deadline: Duration,
    /// How long an idempotency key is remembered.
    pub idempotency: Duration,
    /// Longest `?wait=`.
    pub longest_wait: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let day = Duration::from_hours(24);
        Self { deadline: day, idempotency: day, longest_wait: Duration::from_mins(1) }
    }
}

/// The way in. Cheap to clone.
#[derive(Clone)]
pub struct Outbox {
    store: Store,
    sessions: Sessions,
    clock: Arc<dyn Clock>,
    options: Options,
    waits: Arc<Waits>,
    dates: Arc<Dates>,
}

impl Outbox {
    /// The way in to `store`, waking the drivers of `sessions`.
    pub fn new(store: Store, sessions: Sessions, clock: Arc<dyn Clock>, options: Options) -> Self {
        Self { store, sessions, clock, options, waits: Arc::default(), dates: Arc::default() }
    }

    /// Begins to watch deadlines and outcomes, until the server stops.
    pub fn start(&self) {
        let shutdown = self.sessions.shutdown();
        let (sweeper, waits, changes) = (self.clone(), self.waits.clone(), self.store.changes());
        let stop = shutdown.clone();
        tokio::spawn(async move { stop.run_until_cancelled(sweeper.sweep()).await });
        let (stop, calendar) = (shutdown.clone(), self.clone());
        tokio::spawn(async move { stop.run_until_cancelled(calendar.keep_dates()).await });
        let stop = shutdown.clone();
        tokio::spawn(async move { stop.run_until_cancelled(waits.listen(changes)).await });
    }

    /// The settings.
    pub fn options(&self) -> Options {
        self.options
    }

    /// The time, and for how long a message accepted now is tried.
    pub fn times(&self) -> (Timestamp, Timestamp) {
        let now = self.clock.now();
        (now, now.plus(self.options.deadline))
    }

    /// A new WhatsApp id and a new id of ours for a message.
    pub fn new_ids(&self) -> (MessageId, String) {
        (MessageId::new(self.clock.as_ref()), sanasend_engine::new_message_id(self.clock.as_ref()))
    }

    /// Makes a message durable and sends it on its way. The caller has checked that the session is linked and
    /// that the message may be sent. Once it was handed to the store it goes on its way whoever gives up waiting.
    ///
    /// # Errors
    /// When the store is down: then nothing was accepted.
    pub async fn accept(&self, message: NewMessage) -> Result<Accepted, StoreError> {
        let (session, due) = (message.session_id, message.scheduled_at);
        let span = tracing::debug_span!("accept_message", message = %message.id, session = %session);
        let accepting = async {
            let handed = self.store.hand_in(message).await?;
            Accepting::new(self, handed, session, due).await
        };
        accepting.instrument(span).await
    }

    /// Puts a failed message of a user back on its way.
    ///
    /// # Errors
    /// When the store is down.
    pub async fn retry(&self, user: UserId, id: MessageId) -> Result<Settled, StoreError> {
        let (store, (_, deadline)) = (self.store.clone(), self.times());
        self.settle(async move { store.retry_message(user, id, deadline).await }).await
    }

    /// Takes a message of a user back, only while nothing of it may have left. What waited behind it is sent on: it may be due
    /// long before the one that is gone.
    ///
    /// # Errors
    /// When the store is down.
    pub async fn cancel(&self, user: UserId, id: MessageId) -> Result<Settled, StoreError> {
        let store = self.store.clone();
        self.settle(async move { store.cancel_message(user, id).await }).await
    }

    /// Changes a message, and wakes its driver. In a task of its own: a caller that gives up must not end it between the disk
    /// and the driver.
    async fn settle(&self, change: impl Future<Output = Result<Settled, StoreError>> + Send + 'static) -> Result<Settled, StoreError> {
        let sessions = self.sessions.clone();
        let settled = tokio::spawn(async move {
            let settled = change.await?;
            if let Settled::Done(message) = &settled {
                sessions.wake(message.session_id);
            }
            Ok::<_, StoreError>(settled)
        });
        settled.await.map_err(|error| StoreError::Unavailable(error.to_string()))?
    }

    /// What is on disk is sent on its way.
    fn send_on(&self, accepted: &Result<Accepted, StoreError>, session: SessionId, due: Option<Timestamp>) {
        if matches!(accepted, Ok(Accepted::Created { .. })) {
            match due {
                None => self.sessions.wake(session),
                Some(due) => self.dates.note(due),
            }
        }
    }

    /// Hints that a session's outbox has work again.
    pub fn wake(&self, session: SessionId) {
        self.sessions.wake(session);
    }

    /// Hints that something is due at a time: a message, or a recurring send.
    pub fn note_date(&self, due: Timestamp) {
        self.dates.note(due);
    }

    /// Waits until the message has an outcome, at most for `patience`; then tells how it stands. `None` when it
    /// does not exist (any more).
    ///
    /// # Errors
    /// When the store is down.
    pub async fn outcome(&self, id: MessageId, patience: Duration) -> Result<Option<Message>, StoreError> {
        let until = tokio::time::Instant::now() + patience.min(self.options.longest_wait);
        let mut wait = self.waits.on(id);
        loop {
            let message = self.store.message(None, id).await?;
            if message.as_ref().is_none_or(|message| message.status.is_settled()) {
                return Ok(message);
            }
            if tokio::time::timeout_at(until, wait.changed()).await.is_err() {
                return Ok(message);
            }
        }
    }

    /// Fails what is past its deadline, for ever.
    async fn sweep(self) {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            match self.store.expire(self.clock.now()).await {
                Ok(expired) if expired.is_empty() => {}
                Ok(expired) => tracing::info!(count = expired.len(), "messages reached their deadline"),
                Err(error) => tracing::warn!(%error, "deadlines could not be looked at"),
            }
        }
    }
}

/// Whether a message that stands so can be waited for.
pub fn is_open(status: MessageStatus) -> bool {
    !status.is_settled()
}
