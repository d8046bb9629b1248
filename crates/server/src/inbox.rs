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

/// Advances messages by a batch of news, in its order, in one transaction. A piece that can never be written is left out,
/// so that it does not hold up the rest for ever.
///
/// # Errors
/// `Fenced` when another owner has taken the account; `Unavailable` means that the batch has to be offered again.
pub async fn apply(store: &Store, session: SessionId, generation: i64, news: &[News]) -> Result<Vec<Change>, StoreError> {
    match store.apply(session, generation, news.to_vec()).await {
        Err(StoreError::Conflict { .. } | StoreError::Corrupt { .. }) => one_by_one(store, session, generation, news).await,
        done => done,
    }
}

async fn one_by_one(store: &Store, session: SessionId, generation: i64, news: &[News]) -> Result<Vec<Change>, StoreError> {
    let mut changes = Vec::new();
    for piece in news {
        match store.apply(session, generation, vec![piece.clone()]).await {
            Err(error @ (StoreError::Conflict { .. } | StoreError::Corrupt { .. })) => {
                tracing::error!(%session, %error, "a piece of news can't be written and is left out");
            }
            done => changes.extend(done?),
        }
    }
    Ok(changes)
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
