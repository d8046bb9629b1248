//! The way out: accepted messages in order per chat, each until its outcome is known.
//!
//! A message enters by [`Store::accept`], is taken up by the account's owner with [`Store::claim`], and is moved on
//! only by [`Store::apply`]. Its outbox row stays until the message is settled, so that a crash forgets nothing.

mod accept;
mod advance;
mod again;
mod apply;
mod claim;
mod scheduled;
mod settle;
mod working;

pub(crate) use accept::{Prepared, accept_all, accept_together, insert_details, insert_messages, sender_key};
pub(crate) use advance::Queued;
pub(crate) use apply::Telling;
pub(crate) use claim::Claim;
pub use claim::Held;
pub use scheduled::{Released, Reschedule};

use crate::media::NewMedia;
use crate::messages::{Message, Peer, Quoted};
use crate::writer::closed;
use crate::{Store, StoreError};
use sanasend_model::{Content, Failure, Jid, MessageId, MessageStatus, Recipient, SessionId, Timestamp, UserId};
use serde_json::Value;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// A message to accept.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Id.
    pub id: MessageId,
    /// Its owner.
    pub user_id: UserId,
    /// The account it goes through.
    pub session_id: SessionId,
    /// To whom.
    pub recipient: Recipient,
    /// What it says.
    pub content: Content,
    /// The stored file, when the content is one.
    pub media: Option<NewMedia>,
    /// WhatsApp's own id, chosen now: a re-send carries the same.
    pub wa_message_id: String,
    /// The message of ours that it answers.
    pub reply_to: Option<MessageId>,
    /// The message that it quotes.
    pub quoted: Option<Quoted>,
    /// The caller's own.
    pub metadata: Option<Value>,
    /// Now.
    pub created_at: Timestamp,
    /// When it is due, if not at once: it waits outside the outbox, and holds up nothing.
    pub scheduled_at: Option<Timestamp>,
    /// Why it waits, for its timeline; only with `scheduled_at`.
    pub wait_reason: Option<String>,
    /// Deadline.
    pub expires_at: Timestamp,
    /// UTC day number, for the daily limit.
    pub day: i32,
    /// Most messages of the user on that day.
    pub daily_limit: i64,
    /// The caller's idempotency key, where it sent one.
    pub idempotency: Option<Idempotency>,
}

/// What a message is called and whose it is: all of it is chosen before it is accepted.
#[derive(Debug, Clone)]
pub struct MessageIds {
    /// Id.
    pub id: MessageId,
    /// WhatsApp's own id.
    pub wa_message_id: String,
    /// Its owner.
    pub user_id: UserId,
    /// The account it goes through.
    pub session_id: SessionId,
}

impl NewMessage {
    /// A message that goes at once, with nothing beside its content: made now, tried until a time, and counted on the day of
    /// today. Whoever wants more writes it over this: `NewMessage { metadata, ..NewMessage::plain(..) }`, so that a new field
    /// has its default here alone.
    #[must_use]
    pub fn plain(
        ids: MessageIds,
        recipient: Recipient,
        content: Content,
        (created_at, expires_at): (Timestamp, Timestamp),
        daily_limit: i64,
    ) -> Self {
        let MessageIds { id, wa_message_id, user_id, session_id } = ids;
        Self {
            id,
            user_id,
            session_id,
            recipient,
            content,
            media: None,
            wa_message_id,
            reply_to: None,
            quoted: None,
            metadata: None,
            created_at,
            scheduled_at: None,
            wait_reason: None,
            expires_at,
            day: created_at.day(),
            daily_limit,
            idempotency: None,
        }
    }
}

/// An idempotency key with the answer that a replay gets.
#[derive(Clone)]
pub struct Idempotency {
    /// The key as sent.
    pub key: String,
    /// Digest of what was asked; another one under the same key is refused.
    pub fingerprint: [u8; 32],
    /// HTTP status of the answer.
    pub status: u16,
    /// Body of the answer.
    pub body: String,
    /// Until when the key is remembered.
    pub expires_at: Timestamp,
}

/// The answer repeats what people wrote, so it is not for logs.
impl std::fmt::Debug for Idempotency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Idempotency").field("key", &self.key).field("status", &self.status).finish_non_exhaustive()
    }
}

/// Outcome of handing a message in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// On disk; `seq` is the cursor of its event `message.accepted`.
    Created {
        /// Cursor of the event.
        seq: i64,
    },
    /// The same key and request came before; this was the answer.
    Replayed {
        /// HTTP status.
        status: u16,
        /// Body.
        body: String,
    },
    /// The same key came before with another request.
    KeyReused,
    /// The user has sent as many messages today as allowed.
    DailyLimitReached,
    /// The recipient wants no messages of the user.
    OptedOut,
    /// The user writes only to people who agreed or wrote first, and the recipient is neither.
    ConsentRequired,
}

/// A message that was handed in, and the answer that comes when it is on disk. It is written whether or not anybody waits.
#[derive(Debug)]
pub struct Handed(pub(crate) oneshot::Receiver<Result<Accepted, StoreError>>);

impl Future for Handed {
    type Output = Result<Accepted, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answered| answered.unwrap_or_else(|_| Err(closed())))
    }
}

/// A message taken up for an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// The message.
    pub message: Message,
    /// Number of this attempt, from 1.
    pub attempts: i32,
    /// Whether an attempt before this one was, or may have been, written to the socket.
    pub written_before: bool,
    /// Until when it is tried; one that is sent again may be past its own deadline.
    pub expires_at: Timestamp,
}

/// News about messages, from the engine or the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// An attempt was written to the socket.
    Written {
        /// Message.
        message_id: MessageId,
        /// When.
        at: Timestamp,
    },
    /// WhatsApp's server acknowledged it.
    Acked {
        /// WhatsApp's id.
        wa_message_id: String,
        /// When.
        at: Timestamp,
    },
    /// The recipient's side told what became of messages.
    Receipt {
        /// WhatsApp's ids.
        wa_message_ids: Vec<String>,
        /// The conversation.
        chat: Jid,
        /// Who, in a group; with both ids where both are known.
        by: Option<Peer>,
        /// `Delivered`, `Read` or `Played`; others are ignored.
        status: MessageStatus,
        /// When.
        at: Timestamp,
    },
    /// An attempt came to nothing; another will be made.
    Retry {
        /// Message.
        message_id: MessageId,
        /// When the attempt ended.
        at: Timestamp,
        /// When to try again; `None` for as soon as the account is connected.
        due_at: Option<Timestamp>,
        /// Why, for people.
        reason: String,
    },
    /// The message is given up.
    Failed {
        /// Message.
        message_id: MessageId,
        /// When.
        at: Timestamp,
        /// Why.
        failure: Failure,
        /// The same for people.
        text: String,
    },
    /// WhatsApp told who the recipient is.
    Resolved {
        /// Message.
        message_id: MessageId,
        /// The recipient.
        peer: Peer,
        /// The conversation to use.
        chat: Jid,
    },
}

/// What waits in the outbox, of all accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Messages that wait for their outcome.
    pub depth: u64,
    /// When the oldest of them was accepted.
    pub oldest: Option<Timestamp>,
}

/// A step that a message made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Message.
    pub message_id: MessageId,
    /// WhatsApp's id of it.
    pub wa_message_id: String,
    /// Status before.
    pub from: MessageStatus,
    /// Status now.
    pub to: MessageStatus,
}

impl Store {
    /// Takes a message in: message row, outbox row, idempotency key, event and usage in one transaction, shared with
    /// the others that wait at this moment. On disk when this answers `Created`. `Conflict` on `owner` when the account is
    /// gone, on `wa_message_id` when that id was used before.
    pub async fn accept(&self, new: NewMessage) -> Result<Accepted, StoreError> {
        self.hand_in(new).await?.await
    }

    /// The first half of [`Store::accept`]: once this has returned, the message is written even if the caller gives up.
    pub async fn hand_in(&self, new: NewMessage) -> Result<Handed, StoreError> {
        self.inner.writer.hand_in(Prepared::of(new, &*self.inner.clock)).await
    }
}
