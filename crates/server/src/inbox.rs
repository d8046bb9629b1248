//! The way back: the only place through which news from WhatsApp reaches messages.
//!
//! Two doors. [`apply`] advances messages that went out: written, acknowledged, delivered, read, failed. [`Receiver`]
//! takes in messages that came in, called by the engine *before* WhatsApp is told that they arrived, and again while
//! the store is down. Both are one transaction each in the store, both change nothing when the same news comes twice, and both are fenced by
//! the account's generation.

use crate::sessions::Seat;
use async_trait::async_trait;
use sanasend_model::{Poll, SessionId};
use sanasend_store::{Change, Incoming, News, Store, StoreError};
use std::sync::Arc;

/// Advances messages by a batch of news, in its order, in one transaction.
///
/// # Errors
/// `Fenced` when another owner has taken the account; anything else means that nothing of the batch is written,
/// and it has to be offered again.
pub async fn apply(store: &Store, session: SessionId, generation: i64, news: Vec<News>) -> Result<Vec<Change>, StoreError> {
    store.apply(session, generation, news).await
}

/// Where the engine puts one account's incoming messages.
pub struct Receiver {
    store: Store,
    session: SessionId,
    generation: i64,
    seat: Arc<Seat>,
    fetch_files: bool,
}

impl Receiver {
    /// For the owner of `generation`. With `fetch_files` every file is fetched soon after its message came.
    pub fn new(store: Store, session: SessionId, generation: i64, seat: Arc<Seat>, fetch_files: bool) -> Self {
        Self { store, session, generation, seat, fetch_files }
    }
}

#[async_trait]
impl sanasend_engine::Inbox for Receiver {
    async fn commit(&self, mut batch: Vec<Incoming>) -> Result<(), StoreError> {
        batch.iter_mut().filter_map(|incoming| incoming.media.as_mut()).for_each(|media| media.fetch = self.fetch_files);
        self.store.receive(self.session, self.generation, batch).await?;
        self.seat.touch();
        Ok(())
    }

    async fn poll(&self, wa_message_id: &str) -> Result<Option<Poll>, StoreError> {
        self.store.poll(self.session, wa_message_id).await
    }
}
