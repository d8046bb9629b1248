//! The way in for what other people write: remembered before WhatsApp is told that it arrived.

use crate::account_hours::AccountCounts;
use crate::dialect::{Rows, pieces, query, query_as, query_scalar, refused};
use crate::marks::{mark, mark_late};
use crate::media::IncomingMedia;
use crate::messages::{Message, Peer, Quoted};
use crate::opt_outs::heard;
use crate::outbox::{insert_details, insert_messages, sender_key};
use crate::rows::Place;
use crate::seal::address;
use crate::together::{AnswerTo, Asked, Together};
use crate::usage::Usage;
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::opt_out::Words;
use sanasend_model::{Content, Direction, EventKind, Jid, MessageId, MessageStatus, Poll, Rich, SessionId, Timestamp, UserId};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
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

static OWNERS: Rows = Rows::new("SELECT id, user_id FROM sessions WHERE id IN (", "?", ")");
static KNOWN: Rows = Rows::new(
    "SELECT session_id, wa_message_id, chat, sender, direction, id FROM (VALUES ",
    "(?, ?)",
    ") AS wanted JOIN messages ON session_id = wanted.column1 AND wa_message_id = wanted.column2",
);

/// Messages that came in for an account.
pub(crate) struct Receiving {
    session_id: SessionId,
    generation: i64,
    batch: Vec<Incoming>,
    /// By which people opt out and in.
    words: Arc<Words>,
}

/// What makes a message the same as another: account, WhatsApp's id, chat, sender, direction.
type Key = (Uuid, String, String, String, String);

fn key_of(message: &Message) -> Key {
    let (chat, sender) = (message.chat.to_string(), sender_key(message).to_owned());
    (message.session_id.0, message.wa_message_id.clone(), chat, sender, message.direction.as_str().to_owned())
}

/// Messages that are known, by account and WhatsApp's id.
#[derive(Default)]
struct Known(HashMap<(Uuid, String), Vec<(Key, MessageId)>>);

impl Known {
    /// Reads what is known of these.
    async fn read(tx: &mut Tx, messages: &[Message]) -> Result<Self, StoreError> {
        let wanted: BTreeSet<(Uuid, &str)> =
            messages.iter().map(|message| (message.session_id.0, message.wa_message_id.as_str())).collect();
        let mut known = Self::default();
        for piece in pieces(&wanted.into_iter().collect::<Vec<_>>()) {
            let mut select = query_as::<_, (Uuid, String, String, String, String, Uuid)>(KNOWN.sql(piece.len()));
            for (session, id) in piece {
                select = select.bind(*session).bind(*id);
            }
            for (session, wa_id, chat, sender, direction, id) in select.fetch_all(&mut tx.conn).await.map_err(refused)? {
                known.add((session, wa_id, chat, sender, direction), MessageId(id));
            }
        }
        Ok(known)
    }

    fn add(&mut self, key: Key, id: MessageId) {
        self.0.entry((key.0, key.1.clone())).or_default().push((key, id));
    }

    /// The same message: by chat, sender and WhatsApp's id, or as one that this account itself sent.
    fn find(&self, key: &Key) -> Option<MessageId> {
        let outbound = Direction::Outbound.as_str();
        let same =
            |(_, _, chat, sender, direction): &Key| (chat, sender) == (&key.2, &key.3) || (direction == outbound && key.4 == outbound);
        let found = self.0.get(&(key.0, key.1.clone()))?.iter().find(|(known, _)| same(known));
        found.map(|(_, id)| *id)
    }
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
        marks: None,
    }
}

async fn insert_raw(tx: &mut Tx, id: MessageId, raw: &[u8]) -> Result<(), StoreError> {
    let sealed = tx.sealer.seal(&address_of(id), raw)?;
    let insert = query("INSERT INTO message_raw (message_id, raw) VALUES (?, ?)").bind(id.0).bind(sealed);
    insert.execute(&mut tx.conn).await.map(drop).map_err(refused)
}

pub(crate) fn address_of(id: MessageId) -> Vec<u8> {
    address("message_raw", &[id.0.as_bytes()])
}

/// The users of accounts.
async fn owners(tx: &mut Tx, sessions: &[SessionId]) -> Result<HashMap<SessionId, UserId>, StoreError> {
    let mut owners = HashMap::with_capacity(sessions.len());
    for piece in pieces(sessions) {
        let mut select = query_as::<_, (Uuid, Uuid)>(OWNERS.sql(piece.len()));
        for session in piece {
            select = select.bind(session.0);
        }
        let rows = select.fetch_all(&mut tx.conn).await.map_err(refused)?;
        owners.extend(rows.into_iter().map(|(session, user)| (SessionId(session), UserId(user))));
    }
    Ok(owners)
}

/// Writes what is new of these, in their order; the ids of all.
async fn receive(tx: &mut Tx, words: &Words, incoming: Vec<(&Incoming, Message)>) -> Result<Vec<MessageId>, StoreError> {
    let (incoming, messages): (Vec<&Incoming>, Vec<Message>) = incoming.into_iter().unzip();
    let mut known = Known::read(tx, &messages).await?;
    let (mut ids, mut fresh, mut new) = (Vec::with_capacity(messages.len()), Vec::new(), Vec::new());
    for (incoming, message) in incoming.into_iter().zip(messages) {
        let key = key_of(&message);
        let id = known.find(&key).unwrap_or(message.id);
        if id == message.id {
            known.add(key, id);
            fresh.push(incoming);
            new.push(message);
        }
        ids.push(id);
    }
    insert_messages(tx, &new.iter().collect::<Vec<_>>()).await?;
    for (incoming, message) in fresh.into_iter().zip(&mut new) {
        let marked = mark(tx, message, incoming.at).await?;
        insert_details(tx, &[message]).await?;
        if let Some(raw) = &incoming.raw {
            insert_raw(tx, message.id, raw).await?;
        }
        if let Some(media) = &incoming.media {
            tx.carry_remote(message, message.created_at, media).await?;
        }
        let received = i64::from(!incoming.from_me);
        tx.count(message.user_id, message.created_at, Usage { received, ..Usage::default() });
        // What the owner wrote on the phone was sent by the account as well.
        tx.count_account(message.session_id, AccountCounts { sent: 1 - received, received, ..AccountCounts::default() });
        tx.tell(EventKind::MessageReceived, message, message.created_at);
        for event in marked.into_iter().chain(mark_late(tx, message).await?) {
            tx.tell_other(event);
        }
    }
    heard(tx, words, &new).await?;
    Ok(ids)
}

impl Together for Receiving {
    type Answer = Vec<MessageId>;

    async fn run(tx: &mut Tx, asked: &[Self]) -> Result<Vec<Result<Vec<MessageId>, StoreError>>, StoreError> {
        let fenced = tx.fence_all(asked.iter().map(|one| (one.session_id, one.generation)).collect()).await?;
        let open: BTreeSet<SessionId> =
            asked.iter().zip(&fenced).filter(|(_, fenced)| fenced.is_ok()).map(|(one, _)| one.session_id).collect();
        let owners = owners(tx, &open.into_iter().collect::<Vec<_>>()).await?;
        let now = tx.clock.now();
        let (mut incoming, mut counts) = (Vec::new(), Vec::with_capacity(asked.len()));
        for (one, fenced) in asked.iter().zip(fenced) {
            let owner = owners.get(&one.session_id).copied().ok_or(StoreError::Fenced);
            counts.push(fenced.and(owner).map(|owner| {
                let row = |new| (new, message(new, MessageId::new(&*tx.clock), owner, one.session_id, now));
                incoming.extend(one.batch.iter().map(row));
                one.batch.len()
            }));
        }
        // All are of one process, so all have the same words.
        let words = asked.first().map(|one| one.words.clone()).unwrap_or_default();
        let mut ids = receive(tx, &words, incoming).await?.into_iter();
        Ok(counts.into_iter().map(|count| count.map(|count| ids.by_ref().take(count).collect())).collect())
    }

    fn with(self, answer: AnswerTo<Self>) -> Asked {
        Asked::Receive(self, answer)
    }
}

impl Store {
    /// Remembers messages that came in; on disk when this returns. Known ones (by chat, sender and WhatsApp's id) change
    /// nothing. Answers the id of each, in order.
    pub async fn receive(&self, session_id: SessionId, generation: i64, batch: Vec<Incoming>) -> Result<Vec<MessageId>, StoreError> {
        self.inner.writer.together(Receiving { session_id, generation, batch, words: self.words() }).await
    }

    /// The poll with this WhatsApp id in an account: what a vote needs to be read.
    pub async fn poll(&self, session_id: SessionId, wa_message_id: &str) -> Result<Option<Poll>, StoreError> {
        let sql = "SELECT details FROM messages WHERE session_id = ? AND wa_message_id = ? AND message_type = 'poll'";
        let row = query_scalar::<_, Option<String>>(sql).bind(session_id.0).bind(wa_message_id);
        let Some(details) = row.fetch_optional(&self.inner.readers).await.map_err(refused)?.flatten() else { return Ok(None) };
        match serde_json::from_str(&details) {
            Ok(Rich::Poll(poll)) => Ok(Some(poll)),
            _ => Err(Place { table: "messages", row: &wa_message_id }.corrupt("details")),
        }
    }

    /// The sealed original of a message that came in, opened.
    pub async fn raw_message(&self, id: MessageId) -> Result<Option<Vec<u8>>, StoreError> {
        let row = query_scalar::<_, Vec<u8>>("SELECT raw FROM message_raw WHERE message_id = ?").bind(id.0);
        let Some(sealed) = row.fetch_optional(&self.inner.readers).await.map_err(refused)? else { return Ok(None) };
        let place = Place { table: "message_raw", row: &id };
        self.inner.sealer.open(&address_of(id), &sealed).map(Some).ok_or_else(|| place.corrupt("raw"))
    }
}
