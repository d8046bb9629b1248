//! Accepting: all messages that wait at this moment, written by a handful of statements over many rows.
//!
//! The order of checks is fixed: idempotency key, then who may be written to, then the daily limit, then the write. Everything is decided by what the
//! statements answer (an insert that conflicts, a counter after adding), so that no check can be overtaken.

use super::{Accepted, Idempotency, NewMessage};
use crate::StoreError;
use crate::dialect::{On, Rows, pieces, query, query_as, refused};
use crate::events::{Draft, NewEvent};
use crate::messages::{Message, Peer};
use crate::rows::Place;
use crate::rows::message::{write_details, write_media, write_quoted};
use crate::usage::Usage;
use crate::writer::Tx;
use sanasend_model::{Clock, Direction, EventKind, Jid, MessageStatus, PhoneNumber, Recipient, SessionId, Step, Timestamp, UserId};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// A message on its way to the writer, with what will be written of it. Made by whoever hands it in, beside all others: the
/// writer is one, and what it need not do is done by several.
pub(crate) struct Prepared {
    new: NewMessage,
    /// Right unless the conversation goes by another id.
    message: Message,
    /// Its event; gone once it was recorded.
    draft: Option<Draft>,
}

impl Prepared {
    pub(crate) fn of(new: NewMessage, clock: &dyn Clock) -> Self {
        let message = message(&new, &HashMap::new());
        let draft = Some(Draft::of(accepted(&message), clock));
        Self { new, message, draft }
    }
}

fn accepted(message: &Message) -> NewEvent {
    let kind = if message.status == MessageStatus::Scheduled { EventKind::MessageScheduled } else { EventKind::MessageAccepted };
    NewEvent::of_message(kind, message, message.created_at)
}

/// Accepts messages that came together, as the first work of a transaction. The outer error means that the transaction
/// is broken.
pub(crate) async fn accept_all(tx: &mut Tx, news: &mut [Prepared]) -> Result<Vec<Result<Accepted, StoreError>>, StoreError> {
    if let Ok(accepted) = accept_together(tx, news).await {
        return Ok(accepted.into_iter().map(Ok).collect());
    }
    // One of them can't be written (its account was just deleted, say): from the start again, each for itself, so that it
    // spoils no other. No savepoint was needed for that: nothing else is in the transaction yet.
    tx.events.clear();
    tx.command("ROLLBACK").await?;
    tx.begin_again().await?;
    let mut results = Vec::with_capacity(news.len());
    for new in news {
        let told = tx.events.len();
        tx.command("SAVEPOINT accept").await?;
        let result = accept_together(tx, std::slice::from_mut(new)).await;
        if result.is_err() {
            tx.events.truncate(told);
            tx.command("ROLLBACK TO accept").await?;
        }
        tx.command("RELEASE accept").await?;
        results.push(result.and_then(|mut one| one.pop().ok_or_else(|| StoreError::Unavailable("not accepted".into()))));
    }
    Ok(results)
}

type Key<'a> = (UserId, &'a str);
/// What is behind a key.
#[derive(Clone)]
pub(super) struct Remembered {
    fingerprint: [u8; 32],
    status: u16,
    body: String,
    pub(super) expires_at: Timestamp,
}

/// Accepts messages inside a transaction that does more; an error spoils what the caller wrote as well.
pub(crate) async fn accept_together(tx: &mut Tx, prepared: &mut [Prepared]) -> Result<Vec<Accepted>, StoreError> {
    let mut drafts: Vec<Option<Draft>> = prepared.iter_mut().map(|one| one.draft.take()).collect();
    address(tx, prepared, &mut drafts).await?;
    let news: Vec<&NewMessage> = prepared.iter().map(|one| &one.new).collect();
    let mut outcomes: Vec<Option<Accepted>> = vec![None; news.len()];
    let known = check_keys(tx, &news, &mut outcomes).await?;
    check_recipients(tx, prepared, &mut outcomes, &known.repeated).await?;
    check_limits(tx, &news, &mut outcomes, &known.repeated).await?;
    let open = |outcomes: &[Option<Accepted>], index: &usize| outcomes.get(*index).is_some_and(Option::is_none);
    let chosen: Vec<usize> = (0..news.len()).filter(|index| open(&outcomes, index) && !known.repeated.contains(index)).collect();
    let messages: Vec<&Message> = chosen.iter().filter_map(|index| prepared.get(*index)).map(|one| &one.message).collect();
    insert_messages(tx, &messages).await?;
    insert_details(tx, &messages).await?;
    for new in chosen.iter().filter_map(|index| news.get(*index)) {
        if let Some(media) = &new.media {
            tx.carry_file(new.id, new.created_at, media).await?;
        }
    }
    if messages.iter().any(|message| message.status == MessageStatus::Scheduled) {
        note_scheduled(tx, &chosen, prepared).await?;
        let due: Vec<&Message> = messages.iter().copied().filter(|message| message.status == MessageStatus::Pending).collect();
        insert_outbox(tx, &due).await?;
    } else {
        insert_outbox(tx, &messages).await?;
    }
    let mut events = Vec::with_capacity(chosen.len());
    for (index, message) in chosen.iter().zip(&messages) {
        let draft = drafts.get_mut(*index).and_then(Option::take);
        events.push(draft.unwrap_or_else(|| Draft::of(accepted(message), &*tx.clock)));
    }
    let seqs = tx.record_drafts(events).await?;
    for (index, seq) in chosen.into_iter().zip(seqs) {
        if let Some(outcome) = outcomes.get_mut(index) {
            *outcome = Some(Accepted::Created { seq });
        }
    }
    Ok(answer_repeats(&news, &outcomes, &known))
}

/// Tells in their timelines for what messages wait. They get no place in the outbox before they are due.
async fn note_scheduled(tx: &mut Tx, chosen: &[usize], prepared: &[Prepared]) -> Result<(), StoreError> {
    for new in chosen.iter().filter_map(|index| prepared.get(*index)).map(|one| &one.new) {
        if let Some(due) = new.scheduled_at {
            let reason = new.wait_reason.clone().unwrap_or_else(|| format!("It waits until {due}."));
            tx.note((new.id, new.created_at, Step::Scheduled, 0, Some(reason)));
        }
    }
    tx.finish().await
}

/// Gives messages the conversation that their recipient is known to have under another id than the one asked for.
async fn address(tx: &mut Tx, prepared: &mut [Prepared], drafts: &mut [Option<Draft>]) -> Result<(), StoreError> {
    let asked: HashSet<(SessionId, Jid)> = prepared.iter().map(|one| (one.new.session_id, one.new.recipient.jid())).collect();
    let aliases = aliases(tx, &asked.into_iter().collect::<Vec<_>>()).await?;
    for (one, draft) in prepared.iter_mut().zip(drafts).filter(|_| !aliases.is_empty()) {
        let message = message(&one.new, &aliases);
        if message != one.message {
            one.message = message;
            *draft = None;
        }
    }
    Ok(())
}

/// What was found out about idempotency keys.
struct Known<'a> {
    /// Answers behind keys that were there before.
    before: HashMap<Key<'a>, Remembered>,
    /// The first message of this batch under each key.
    first: HashMap<Key<'a>, usize>,
    /// Messages under a key that an earlier message of this batch carries too.
    repeated: HashSet<usize>,
}

impl From<&Idempotency> for Remembered {
    fn from(new: &Idempotency) -> Self {
        Self { fingerprint: new.fingerprint, status: new.status, body: new.body.clone(), expires_at: new.expires_at }
    }
}

fn key_of(new: &NewMessage) -> Option<(Key<'_>, &Idempotency)> {
    new.idempotency.as_ref().map(|idempotency| ((new.user_id, idempotency.key.as_str()), idempotency))
}

static REMEMBER: Rows = Rows::new(
    "INSERT INTO idempotency (user_id, key, fingerprint, status, body, expires_at) VALUES ",
    "(?, ?, ?, ?, ?, ?)",
    " ON CONFLICT (user_id, key) DO UPDATE SET fingerprint = excluded.fingerprint, status = excluded.status, \
     body = excluded.body, expires_at = excluded.expires_at WHERE idempotency.expires_at <= ? RETURNING user_id, key",
);

/// Writes the keys that are new (or past their end), and answers those messages whose key was there before.
async fn check_keys<'a>(tx: &mut Tx, news: &[&'a NewMessage], outcomes: &mut [Option<Accepted>]) -> Result<Known<'a>, StoreError> {
    let mut known = Known { before: HashMap::new(), first: HashMap::new(), repeated: HashSet::new() };
    let mut fresh = Vec::new();
    for (index, new) in news.iter().copied().enumerate() {
        let Some((key, idempotency)) = key_of(new) else { continue };
        match known.first.entry(key) {
            Entry::Occupied(_) => drop(known.repeated.insert(index)),
            Entry::Vacant(first) => {
                first.insert(index);
                fresh.push((key, idempotency));
            }
        }
    }
    let now = tx.clock.now();
    let mut written: HashSet<(UserId, String)> = HashSet::with_capacity(fresh.len());
    for piece in pieces(&fresh) {
        let mut insert = query_as::<_, (Uuid, String)>(REMEMBER.sql(piece.len()));
        for ((user, key), new) in piece {
            insert = insert.bind(user.0).bind(*key).bind(&new.fingerprint[..]).bind(i32::from(new.status));
            insert = insert.bind(&new.body).bind(new.expires_at.0);
        }
        let rows = insert.bind(now.0).fetch_all(&mut tx.conn).await.map_err(refused)?;
        written.extend(rows.into_iter().map(|(user, key)| (UserId(user), key)));
    }
    for (key, idempotency) in fresh {
        if written.contains(&(key.0, key.1.to_owned())) {
            continue;
        }
        let remembered = remembered(&mut tx.conn, key).await?.ok_or(StoreError::Conflict { what: "idempotency_key" })?;
        if let Some(outcome) = known.first.get(&key).and_then(|index| outcomes.get_mut(*index)) {
            *outcome = Some(compare(&remembered, &idempotency.fingerprint));
        }
        known.before.insert(key, remembered);
    }
    Ok(known)
}

/// Reads what is remembered under a key, whatever its end.
pub(super) async fn remembered<'c>(conn: impl Into<On<'c>>, key: Key<'_>) -> Result<Option<Remembered>, StoreError> {
    let sql = "SELECT fingerprint, status, body, expires_at FROM idempotency WHERE user_id = ? AND key = ?";
    let row = query_as::<_, (Vec<u8>, i32, String, i64)>(sql).bind(key.0.0).bind(key.1).fetch_optional(conn);
    let Some((fingerprint, status, body, expires_at)) = row.await.map_err(refused)? else { return Ok(None) };
    let place = Place { table: "idempotency", row: &key.1 };
    let fingerprint = <[u8; 32]>::try_from(fingerprint.as_slice()).map_err(|_| place.corrupt("fingerprint"))?;
    let status = u16::try_from(status).map_err(|_| place.corrupt("status"))?;
    Ok(Some(Remembered { fingerprint, status, body, expires_at: Timestamp(expires_at) }))
}

/// The answer of a key that is known. Fingerprints are no secrets: nothing is lost by comparing them plainly.
pub(super) fn compare(remembered: &Remembered, fingerprint: &[u8; 32]) -> Accepted {
    let Remembered { status, body, .. } = remembered;
    if remembered.fingerprint == *fingerprint { Accepted::Replayed { status: *status, body: body.clone() } } else { Accepted::KeyReused }
}

/// Refuses what is for people who opted out or never agreed. Costs nothing where there are none.
async fn check_recipients(
    tx: &mut Tx,
    prepared: &[Prepared],
    outcomes: &mut [Option<Accepted>],
    repeated: &HashSet<usize>,
) -> Result<(), StoreError> {
    if !tx.is_any_guarded(prepared.iter().map(|one| one.new.user_id)).await? {
        return Ok(());
    }
    let open = |index: &usize| outcomes.get(*index).is_some_and(Option::is_none) && !repeated.contains(index);
    let places: Vec<usize> = (0..prepared.len()).filter(open).collect();
    let looked: Vec<(&Message, Jid)> =
        places.iter().filter_map(|place| prepared.get(*place)).map(|one| (&one.message, one.new.recipient.jid())).collect();
    let refusals = tx.refuse_recipients(&looked).await?;
    for (place, refusal) in places.into_iter().zip(refusals) {
        let (Some(refusal), Some(outcome), Some(one)) = (refusal, outcomes.get_mut(place), prepared.get(place)) else { continue };
        *outcome = Some(refusal);
        if let Some((key, _)) = key_of(&one.new) {
            forget(tx, key).await?;
        }
    }
    Ok(())
}

/// Counts what is new against the users' days, and refuses what is too much, the last first.
async fn check_limits(
    tx: &mut Tx,
    news: &[&NewMessage],
    outcomes: &mut [Option<Accepted>],
    repeated: &HashSet<usize>,
) -> Result<(), StoreError> {
    let mut days: HashMap<(UserId, i32), Vec<usize>> = HashMap::new();
    for (index, (new, outcome)) in news.iter().zip(outcomes.iter()).enumerate() {
        if outcome.is_none() && !repeated.contains(&index) {
            days.entry((new.user_id, new.day)).or_default().push(index);
        }
    }
    let count = |indexes: &[usize]| i64::try_from(indexes.len()).unwrap_or(i64::MAX);
    let more: Vec<_> =
        days.iter().map(|((user, day), indexes)| (*user, *day, Usage { accepted: count(indexes), ..Usage::default() })).collect();
    for (user, day, total) in tx.add_usage(&more).await? {
        let indexes = days.remove(&(user, day)).unwrap_or_default();
        let mut place = total - count(&indexes);
        let mut refusals = 0;
        for index in indexes {
            let (Some(new), Some(outcome)) = (news.get(index), outcomes.get_mut(index)) else { continue };
            if place < new.daily_limit {
                place += 1;
                continue;
            }
            *outcome = Some(Accepted::DailyLimitReached);
            refusals -= 1;
            if let Some((key, _)) = key_of(new) {
                forget(tx, key).await?;
            }
        }
        if refusals < 0 {
            tx.add_usage(&[(user, day, Usage { accepted: refusals, ..Usage::default() })]).await?;
        }
    }
    Ok(())
}

/// A refused message leaves no key behind: tomorrow the same request is good.
async fn forget(tx: &mut Tx, key: Key<'_>) -> Result<(), StoreError> {
    let delete = query("DELETE FROM idempotency WHERE user_id = ? AND key = ?").bind(key.0.0).bind(key.1);
    delete.execute(&mut tx.conn).await.map(drop).map_err(refused)
}

/// Answers messages whose key came earlier in the same batch by what became of that one.
fn answer_repeats(news: &[&NewMessage], outcomes: &[Option<Accepted>], known: &Known<'_>) -> Vec<Accepted> {
    let first_of = |key: &Key<'_>| known.first.get(key).and_then(|index| Some((news.get(*index)?, outcomes.get(*index)?.as_ref()?)));
    let repeat = |new: &NewMessage| -> Option<Accepted> {
        let (key, idempotency) = key_of(new)?;
        if let Some(remembered) = known.before.get(&key) {
            return Some(compare(remembered, &idempotency.fingerprint));
        }
        let (first, outcome) = first_of(&key)?;
        let first = first.idempotency.as_ref()?;
        match outcome {
            Accepted::Created { .. } => Some(compare(&Remembered::from(first), &idempotency.fingerprint)),
            other => Some(other.clone()),
        }
    };
    let all = news.iter().zip(outcomes);
    all.map(|(new, outcome)| outcome.clone().or_else(|| repeat(new)).unwrap_or(Accepted::DailyLimitReached)).collect()
}

// A join and not `IN (VALUES ..)`: for that SQLite reads the whole table.
static ALIASES: Rows = Rows::new(
    "SELECT session_id, asked, chat, phone, jid, lid FROM (VALUES ",
    "(?, ?)",
    ") AS wanted JOIN chat_aliases ON session_id = wanted.column1 AND asked = wanted.column2",
);

type AliasRow = (Uuid, String, String, Option<String>, Option<String>, Option<String>);

/// The conversations that recipients are known to have under another id than the one asked for.
pub(super) async fn aliases(tx: &mut Tx, asked: &[(SessionId, Jid)]) -> Result<HashMap<(SessionId, String), (Jid, Peer)>, StoreError> {
    let mut found = HashMap::new();
    for piece in pieces(asked) {
        let mut select = query_as::<_, AliasRow>(ALIASES.sql(piece.len()));
        for (session, chat) in piece {
            select = select.bind(session.0).bind(chat.as_str());
        }
        for (session, asked, chat, phone, jid, lid) in select.fetch_all(&mut tx.conn).await.map_err(refused)? {
            let place = Place { table: "chat_aliases", row: &asked };
            let chat = Jid::parse(&chat).ok_or_else(|| place.corrupt("chat"))?;
            let peer = Peer {
                phone: place.phone("phone", phone.as_deref())?,
                jid: place.jid("jid", jid.as_deref())?,
                lid: place.jid("lid", lid.as_deref())?,
            };
            found.insert((SessionId(session), asked), (chat, peer));
        }
    }
    Ok(found)
}

/// The message as it will be read.
fn message(new: &NewMessage, aliases: &HashMap<(SessionId, String), (Jid, Peer)>) -> Message {
    let asked = new.recipient.jid();
    let plain = match &new.recipient {
        Recipient::Phone(phone) => Peer { phone: Some(phone.clone()), jid: Some(asked.clone()), lid: None },
        Recipient::Lid(lid) => Peer { phone: None, jid: None, lid: Some(lid.clone()) },
        Recipient::Group(group) => Peer { phone: None, jid: Some(group.clone()), lid: None },
    };
    let alias = aliases.get(&(new.session_id, asked.as_str().to_owned())).cloned();
    let (chat, peer) = alias.unwrap_or((asked, plain));
    Message {
        id: new.id,
        user_id: new.user_id,
        session_id: new.session_id,
        direction: Direction::Outbound,
        chat,
        peer,
        peer_name: None,
        content: new.content.clone(),
        status: if new.scheduled_at.is_some() { MessageStatus::Scheduled } else { MessageStatus::Pending },
        attempts: 0,
        error_code: None,
        error_message: None,
        created_at: new.created_at,
        scheduled_at: new.scheduled_at,
        expires_at: Some(new.expires_at),
        sent_at: None,
        delivered_at: None,
        read_at: None,
        wa_message_id: new.wa_message_id.clone(),
        reply_to: new.reply_to,
        quoted: new.quoted.clone(),
        metadata: new.metadata.clone(),
        marks: None,
    }
}

static INSERT_MESSAGE: Rows = Rows::insert(
    "INSERT INTO messages (id, user_id, session_id, direction, chat, sender, peer_phone, peer_jid, peer_lid, peer_name, message_type, \
     body, status, attempts, written, created_at, scheduled_at, expires_at, sent_at, wa_message_id, reply_to, quoted, metadata, media, \
     media_state) VALUES ",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, FALSE, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "",
);

/// Writes message rows; `inbox` writes its own the same way.
pub(crate) async fn insert_messages(tx: &mut Tx, messages: &[&Message]) -> Result<(), StoreError> {
    for piece in tx.conn.pieces(messages) {
        let mut insert = query(INSERT_MESSAGE.sql(piece.len()));
        for message in piece {
            let text = |jid: Option<&Jid>| jid.map(|jid| jid.as_str().to_owned());
            insert = insert.bind(message.id.0).bind(message.user_id.0).bind(message.session_id.0).bind(message.direction.as_str());
            insert =
                insert.bind(message.chat.as_str()).bind(sender_key(message)).bind(message.peer.phone.as_ref().map(PhoneNumber::as_str));
            insert = insert.bind(text(message.peer.jid.as_ref())).bind(text(message.peer.lid.as_ref())).bind(&message.peer_name);
            insert = insert.bind(message.content.kind()).bind(message.content.body()).bind(message.status.as_str());
            insert = insert.bind(message.created_at.0).bind(message.scheduled_at.map(|at| at.0));
            insert = insert.bind(message.expires_at.map(|at| at.0)).bind(message.sent_at.map(|at| at.0));
            insert = insert.bind(&message.wa_message_id).bind(message.reply_to.map(|id| id.0));
            insert = insert.bind(write_quoted(message.quoted.as_ref())).bind(message.metadata.as_ref().map(ToString::to_string));
            insert = insert.bind(write_media(&message.content)).bind(message.content.media().map(|media| media.state.as_str()));
        }
        insert.execute(&mut tx.conn).await.map_err(refused)?;
    }
    Ok(())
}

/// Writes what a text or a file has no place for. Costs nothing where there is none.
pub(crate) async fn insert_details(tx: &mut Tx, messages: &[&Message]) -> Result<(), StoreError> {
    for (message, details) in messages.iter().filter_map(|message| Some((message, write_details(&message.content)?))) {
        let update = query("UPDATE messages SET details = ? WHERE id = ?").bind(details).bind(message.id.0);
        update.execute(&mut tx.conn).await.map_err(refused)?;
    }
    Ok(())
}

/// What makes incoming messages with the same WhatsApp id different: who wrote them.
pub(crate) fn sender_key(message: &Message) -> &str {
    let sender = message.peer.jid.as_ref().or(message.peer.lid.as_ref());
    if message.direction == Direction::Inbound { sender.map_or("", Jid::as_str) } else { "" }
}

static INSERT_OUTBOX: Rows = Rows::insert(
    "INSERT INTO outbox (message_id, session_id, chat, due_at, expires_at, phase, head) VALUES ",
    "(?, ?, ?, ?, ?, 0, ? AND NOT EXISTS (SELECT 1 FROM outbox AS other WHERE other.session_id = ? AND other.chat = ?))",
    "",
);

/// Puts messages at the end of their chats. The first of a chat in this batch is its head if nothing waits there.
pub(super) async fn insert_outbox(tx: &mut Tx, messages: &[&Message]) -> Result<(), StoreError> {
    let mut chats = HashSet::with_capacity(messages.len());
    let rows: Vec<(&Message, bool)> =
        messages.iter().map(|message| (*message, chats.insert((message.session_id, &message.chat)))).collect();
    for piece in tx.conn.pieces(&rows) {
        let mut insert = query(INSERT_OUTBOX.sql(piece.len()));
        for (message, first) in piece {
            let expires_at = message.expires_at.unwrap_or(message.created_at);
            insert = insert.bind(message.id.0).bind(message.session_id.0).bind(message.chat.as_str()).bind(message.created_at.0);
            insert = insert.bind(expires_at.0).bind(first).bind(message.session_id.0).bind(message.chat.as_str());
        }
        insert.execute(&mut tx.conn).await.map_err(refused)?;
    }
    Ok(())
}
