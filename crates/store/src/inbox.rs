//! The way in for what other people write: remembered before WhatsApp is told that it arrived.

use crate::messages::{Peer, Quoted};
use crate::{Store, StoreError};
use sanasend_model::{Content, Jid, MessageId, SessionId, Timestamp};

/// A message that came in.
#[derive(Debug, Clone, PartialEq)]
pub struct Incoming {
    /// WhatsApp's id.
    pub wa_message_id: String,
    /// The conversation.
    pub chat: Jid,
    /// Who wrote it; when `from_me`, the account itself.
    pub sender: Peer,
    /// The name that the sender goes by.
    pub sender_name: Option<String>,
    /// Written by the account's owner on another device.
    pub from_me: bool,
    /// What it says.
    pub content: Content,
    /// The message that it quotes.
    pub quoted: Option<Quoted>,
    /// WhatsApp's time of it.
    pub at: Timestamp,
    /// The whole message as it came, for kinds that are read later; sealed on disk.
    pub raw: Option<Vec<u8>>,
}

impl Store {
    /// Remembers messages that came in; on disk when this returns. Known ones (by chat, sender and WhatsApp's id) change
    /// nothing. Answers the id of each, in order.
    pub async fn receive(&self, session_id: SessionId, generation: i64, batch: Vec<Incoming>) -> Result<Vec<MessageId>, StoreError> {
        let _ = (session_id, generation, batch);
        Err(crate::not_yet())
    }
}
