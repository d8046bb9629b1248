//! The way in for what other people write: remembered before WhatsApp is told that it arrived.

use crate::dialect::{query, query_scalar, refused};
use crate::events::NewEvent;
use crate::media::IncomingMedia;
use crate::messages::{Message, Peer, Quoted};
use crate::outbox::{insert_messages, sender_key};
use crate::rows::Place;
use crate::seal::address;
use crate::usage::Usage;
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::{Content, Direction, EventKind, Jid, MessageId, MessageStatus, SessionId, Timestamp, UserId};
use uuid::Uuid;

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
    /// How to fetch the file, when the content is one.
    pub media: Option<IncomingMedia>,
    /// The whole message as it came, for kinds that are read later; sealed on disk.
    pub raw: Option<Vec<u8>>,
}

/// What is already known of a message: by chat, sender and WhatsApp's id, or as one that this account itself sent.
async fn known(tx: &mut Tx, message: &Message) -> Result<Option<MessageId>, StoreError> {
    let sql = "SELECT id FROM messages WHERE session_id = ? AND wa_message_id = ? \
               AND ((chat = ? AND sender = ?) OR (direction = 'outbound' AND ? = 'outbound')) LIMIT 1";
    let row = query_scalar::<_, Uuid>(sql).bind(message.session_id.0).bind(&message.wa_message_id).bind(message.chat.as_str());
    let row = row.bind(sender_key(message)).bind(message.direction.as_str()).fetch_optional(&mut tx.conn);
    Ok(row.await.map_err(refused)?.map(MessageId))
}

/// The row of a message that came in. What the owner wrote on the phone is outbound, and was sent already.
fn message(incoming: &Incoming, id: MessageId, user_id: UserId, session_id: SessionId, now: Timestamp) -> Message {
    let (direction, status) =
        if incoming.from_me { (Direction::Outbound, MessageStatus::Sent) } else { (Direction::Inbound, MessageStatus::Received) };
    let other = Peer {
        phone: incoming.chat.phone(),
        jid: Some(incoming.chat.clone()).filter(|jid| !jid.is_lid()),
        lid: Some(incoming.chat.clone()).filter(Jid::is_lid),
    };
    Message {
        id,
        user_id,
        session_id,
        direction,
        chat: incoming.chat.clone(),
        peer: if incoming.from_me { other } else { incoming.sender.clone() },
        peer_name: incoming.sender_name.clone().filter(|_| !incoming.from_me),
        content: incoming.content.clone(),
        status,
        attempts: 0,
        error_code: None,
        error_message: None,
        created_at: now,
        scheduled_at: None,
        expires_at: None,
        sent_at: Some(incoming.at),
        delivered_at: None,
        read_at: None,
        wa_message_id: incoming.wa_message_id.clone(),
        reply_to: None,
        quoted: incoming.quoted.clone(),
        metadata: None,
    }
}

async fn insert_raw(tx: &mut Tx, id: MessageId, raw: &[u8]) -> Result<(), StoreError> {
    let sealed = tx.sealer.seal(&address_of(id), raw)?;
    let insert = query("INSERT INTO message_raw (message_id, raw) VALUES (?, ?)").bind(id.0).bind(sealed);
    insert.execute(&mut tx.conn).await.map(drop).map_err(refused)
}

fn address_of(id: MessageId) -> Vec<u8> {
    address("message_raw", &[id.0.as_bytes()])
}

async fn receive(tx: &mut Tx, session: SessionId, batch: Vec<Incoming>) -> Result<Vec<MessageId>, StoreError> {
    let owner = crate::sessions::find(&mut tx.conn, session).await?.ok_or(StoreError::Fenced)?.user_id;
    let now = tx.clock.now();
    let (mut ids, mut events) = (Vec::with_capacity(batch.len()), Vec::new());
    let mut received = 0;
    for incoming in batch {
        let new = message(&incoming, MessageId::new(&*tx.clock), owner, session, now);
        if let Some(id) = known(tx, &new).await? {
            ids.push(id);
            continue;
        }
        insert_messages(tx, std::slice::from_ref(&new)).await?;
        if let Some(raw) = &incoming.raw {
            insert_raw(tx, new.id, raw).await?;
        }
        received += i64::from(!incoming.from_me);
        if let Some(media) = &incoming.media {
            tx.carry_remote(&new, now, media).await?;
        }
        events.push(NewEvent::of_message(EventKind::MessageReceived, &new, now));
        ids.push(new.id);
    }
    if received > 0 {
        tx.add_usage(&[(owner, now.day(), Usage { received, ..Usage::default() })]).await?;
    }
    tx.record(events).await?;
    Ok(ids)
}

impl Store {
    /// Remembers messages that came in; on disk when this returns. Known ones (by chat, sender and WhatsApp's id) change
    /// nothing. Answers the id of each, in order.
    pub async fn receive(&self, session_id: SessionId, generation: i64, batch: Vec<Incoming>) -> Result<Vec<MessageId>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                tx.fence(session_id, generation).await?;
                receive(tx, session_id, batch).await
            })
        })
        .await
    }

    /// The sealed original of a message that came in, opened.
    pub async fn raw_message(&self, id: MessageId) -> Result<Option<Vec<u8>>, StoreError> {
        let row = query_scalar::<_, Vec<u8>>("SELECT raw FROM message_raw WHERE message_id = ?").bind(id.0);
        let Some(sealed) = row.fetch_optional(&self.inner.readers).await.map_err(refused)? else { return Ok(None) };
        let place = Place { table: "message_raw", row: &id };
        self.inner.sealer.open(&address_of(id), &sealed).map(Some).ok_or_else(|| place.corrupt("raw"))
    }
}
