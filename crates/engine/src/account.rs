//! What the caller hands over to open a link: the account's rows, the place for incoming messages, the ear
//! for events.

use crate::LinkEvent;
use async_trait::async_trait;
use sanasend_model::{Network, Poll, SessionId};
use sanasend_store::{Incoming, SignalState, StoreError};
use std::fmt;
use std::sync::Arc;
use tokio::sync::mpsc;

/// One account, as [`crate::Engine::open`] needs it.
pub struct Account {
    /// Whose link it is; only for the log.
    pub session_id: SessionId,
    /// Decides which transport the link has: a live account can't reach the sandbox, a sandbox account can't
    /// reach anything else.
    pub network: Network,
    /// Whether it was linked already. A linked account whose rows hold no credentials ends as logged out,
    /// instead of showing codes that nobody asked for.
    pub linked: bool,
    /// The name that people see, sent with the first login; a client without one waits 10 s for it at every
    /// start. `None` keeps what the rows hold.
    pub push_name: Option<String>,
    /// The account's sealed rows, fenced by its generation.
    pub signal: SignalState,
    /// Where incoming messages are made durable before WhatsApp is acknowledged.
    pub inbox: Arc<dyn Inbox>,
    /// Where everything that happens to the link is told, in order. Of a link that is closed or dropped only what WhatsApp will
    /// not tell again ([`LinkEvent::is_told_once`]) still comes; the channel ends when nothing of the link runs any more.
    pub events: mpsc::UnboundedSender<LinkEvent>,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("session_id", &self.session_id).field("network", &self.network).finish_non_exhaustive()
    }
}

/// Where incoming messages go. WhatsApp is told that a batch arrived only after `commit` returned `Ok`.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// Makes the whole batch durable, in its order, or nothing of it.
    ///
    /// The same message may come again (a crash between commit and acknowledgement): (chat, sender,
    /// `wa_message_id`) tells it. Must not send to anybody in the batch before it returns, or it waits for itself.
    ///
    /// # Errors
    /// What the store says; the batch is not acknowledged then. `Unavailable`: it is offered again for some seconds, and later
    /// the link ends, so that WhatsApp brings it again.
    async fn commit(&self, batch: Vec<Incoming>) -> Result<(), StoreError>;

    /// The poll with this WhatsApp id, made by the account or by somebody who wrote to it; votes are opened with what it holds.
    ///
    /// # Errors
    /// What the store says; the batch with the vote is not acknowledged then.
    async fn poll(&self, wa_message_id: &str) -> Result<Option<Poll>, StoreError> {
        let _ = wa_message_id;
        Ok(None)
    }
}
