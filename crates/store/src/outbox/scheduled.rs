//! Messages that wait for their date: outside the outbox, so that they hold up nobody, until they are due.
//!
//! What is due is moved in bulk, in the order of the dates, in the transaction that finds it: however many nodes look at the
//! same moment, each message is moved once. What can't be sent any more when its date has come fails there, and says why.

use super::accept::{aliases, insert_outbox};
use super::advance::Cause;
use crate::dialect::{Rows, pieces, query, query_as, query_scalar, refused};
use crate::messages::{Message, Settled};
use crate::rows::message::Model;
use crate::writer::Tx;
use crate::{Listed, Page, Store, StoreError};
use sanasend_model::{EventKind, Failure, Jid, MessageId, MessageStatus, PhoneNumber, SessionId, Step, Timestamp, UserId};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use uuid::Uuid;

/// Messages that are moved in one transaction, so that other writers get their turn.
const PIECE: i64 = 500;
/// How late a message may be without its timeline saying so.
const IN_TIME: Duration = Duration::from_mins(1);

/// What became of messages whose date has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Released {
    /// How many are on their way now.
    pub released: u64,
    /// How many failed: their deadline has passed too, or their account or user can't send any more.
    pub failed: u64,
    /// Accounts that have something to send.
    pub sessions: BTreeSet<SessionId>,
}

/// What to change of a message that waits for its date; what is `None` stays.
#[derive(Clone, Default)]
pub struct Reschedule {
    /// Its new date. The deadline moves with it.
    pub scheduled_at: Option<Timestamp>,
    /// Its new text, or the new text beside its file.
    pub body: Option<String>,
}

/// Whether an account is linked, and its user active.
type Standing = (Uuid, bool, bool);

static STANDING: Rows = Rows::new(
    "SELECT sessions.id, sessions.linked, users.is_active FROM sessions JOIN users ON users.id = sessions.user_id WHERE sessions.id IN (",
    "?",
    ")",
);
static RELEASE: Rows = Rows::new("UPDATE messages SET status = 'pending' WHERE id IN (", "?", ")");

const DUE: &str = "SELECT * FROM messages WHERE status = 'scheduled' AND scheduled_at <= ? ORDER BY scheduled_at, seq LIMIT ?";

/// Moves a piece of what is due; answers also how many were found.
async fn release(tx: &mut Tx, now: Timestamp) -> Result<(usize, Released), StoreError> {
    let rows = query_as::<_, Model>(DUE).bind(now.0).bind(PIECE).fetch_all(&mut tx.conn).await.map_err(refused)?;
    let found = rows.len();
    let mut due = Vec::with_capacity(found);
    for row in rows {
        let id = MessageId(row.id);
        match row.read() {
            Ok(message) => due.push(message),
            Err(error) => tx.bury(id, &error).await?,
        }
    }
    let standing = standing(tx, &due).await?;
    let (mut going, mut released) = (Vec::with_capacity(due.len()), Released::default());
    for message in due {
        match hindrance(&message, standing.get(&message.session_id), now) {
            None => going.push(message),
            Some(cause) => {
                tx.advance(message, MessageStatus::Failed, now, Some(cause)).await?;
                released.failed += 1;
            }
        }
    }
    address(tx, &mut going).await?;
    for piece in pieces(&going) {
        let mut update = query(RELEASE.sql(piece.len()));
        for message in piece {
            update = update.bind(message.id.0);
        }
        update.execute(&mut tx.conn).await.map_err(refused)?;
    }
    for message in &mut going {
        message.status = MessageStatus::Pending;
        tx.note((message.id, now, Step::Released, 0, lateness(message, now)));
        tx.tell(EventKind::MessageReleased, message, now);
        released.sessions.insert(message.session_id);
        released.released += 1;
    }
    insert_outbox(tx, &going.iter().collect::<Vec<_>>()).await?;
    tx.finish().await?;
    Ok((found, released))
}

async fn standing(tx: &mut Tx, due: &[Message]) -> Result<HashMap<SessionId, (bool, bool)>, StoreError> {
    let ids: BTreeSet<SessionId> = due.iter().map(|message| message.session_id).collect();
    let mut all = HashMap::with_capacity(ids.len());
    for piece in pieces(&ids.into_iter().collect::<Vec<_>>()) {
        let mut select = query_as::<_, Standing>(STANDING.sql(piece.len()));
        for id in piece {
            select = select.bind(id.0);
        }
        let rows = select.fetch_all(&mut tx.conn).await.map_err(refused)?;
        all.extend(rows.into_iter().map(|(id, linked, active)| (SessionId(id), (linked, active))));
    }
    Ok(all)
}

/// Why a message whose date has come can't be sent.
fn hindrance(message: &Message, standing: Option<&(bool, bool)>, now: Timestamp) -> Option<Cause> {
    let (linked, active) = standing.copied().unwrap_or_default();
    let due = message.scheduled_at.unwrap_or(message.created_at);
    if let Some(end) = message.expires_at.filter(|end| *end <= now) {
        let text = if end <= due {
            format!("It was held until {due}, and its deadline came before; nothing was sent.")
        } else {
            format!("It was due at {due}, and the server did not run until its deadline had passed; nothing was sent.")
        };
        return Some((Failure::Expired, text));
    }
    if !active {
        return Some((Failure::UserInactive, "The user was deactivated before the message was due; nothing was sent.".into()));
    }
    let unlinked = "The account was not linked any more when the message was due; nothing was sent.";
    (!linked).then(|| (Failure::AccountUnlinked, unlinked.into()))
}

fn lateness(message: &Message, now: Timestamp) -> Option<String> {
    let due = message.scheduled_at?;
    (now.since(due) > IN_TIME).then(|| format!("It was due at {due}, when the server did not run."))
}

/// Messages go to the conversation that their recipient is known to have by now.
async fn address(tx: &mut Tx, going: &mut [Message]) -> Result<(), StoreError> {
    let asked: BTreeSet<(SessionId, &str)> = going.iter().map(|message| (message.session_id, message.chat.as_str())).collect();
    let asked: Vec<(SessionId, Jid)> = asked.into_iter().filter_map(|(session, chat)| Some((session, Jid::parse(chat)?))).collect();
    let known = aliases(tx, &asked).await?;
    for message in going.iter_mut().filter(|_| !known.is_empty()) {
        let Some((chat, peer)) = known.get(&(message.session_id, message.chat.as_str().to_owned())) else { continue };
        if message.chat == *chat && message.peer == *peer {
            continue;
        }
        (message.chat, message.peer) = (chat.clone(), peer.clone());
        let jid = |jid: Option<&Jid>| jid.map(|jid| jid.as_str().to_owned());
        let sql = "UPDATE messages SET chat = ?, peer_phone = ?, peer_jid = ?, peer_lid = ? WHERE id = ?";
        let update = query(sql).bind(chat.as_str()).bind(peer.phone.as_ref().map(PhoneNumber::as_str));
        let update = update.bind(jid(peer.jid.as_ref())).bind(jid(peer.lid.as_ref())).bind(message.id.0);
        update.execute(&mut tx.conn).await.map_err(refused)?;
    }
    Ok(())
}

async fn reschedule(tx: &mut Tx, user: UserId, id: MessageId, change: Reschedule) -> Result<Settled, StoreError> {
    let Some((message, _)) = tx.message(id).await?.filter(|(message, _)| message.user_id == user) else { return Ok(Settled::Missing) };
    if message.status != MessageStatus::Scheduled {
        return Ok(Settled::WrongState(message.status));
    }
    let was = message.scheduled_at.unwrap_or(message.created_at);
    let due = change.scheduled_at.unwrap_or(was);
    // One that was held past its deadline has none to move: it may be sent before.
    let along = |end: Timestamp| if end > was { due.plus(end.since(was)) } else { end };
    let expires_at = message.expires_at.map(|end| along(end).0);
    let sql = "UPDATE messages SET scheduled_at = ?, expires_at = ?, body = COALESCE(?, body) WHERE id = ?";
    let update = query(sql).bind(due.0).bind(expires_at).bind(change.body.as_deref()).bind(id.0);
    update.execute(&mut tx.conn).await.map_err(refused)?;
    let moved = (due != was).then(|| format!("It waits until {due}."));
    let edited = change.body.is_some().then(|| "Its content was changed.".to_owned());
    let told: Vec<String> = moved.into_iter().chain(edited).collect();
    let Some((message, _)) = tx.message(id).await? else { return Ok(Settled::Missing) };
    let now = tx.clock.now();
    tx.note((id, now, Step::Rescheduled, 0, Some(told.join(" "))));
    tx.tell(EventKind::MessageRescheduled, &message, now);
    tx.finish().await?;
    Ok(Settled::Done(Box::new(message)))
}

impl Store {
    /// Puts everything that is due on its way, in the order of the dates, or fails it where it can't be sent any more.
    pub async fn release_due(&self, now: Timestamp) -> Result<Released, StoreError> {
        let mut all = Released::default();
        loop {
            if self.next_scheduled().await?.is_none_or(|next| next > now) {
                return Ok(all);
            }
            let (found, piece) = self.write(move |tx| Box::pin(release(tx, now))).await?;
            all.released += piece.released;
            all.failed += piece.failed;
            all.sessions.extend(piece.sessions);
            if found == 0 {
                return Ok(all);
            }
        }
    }

    /// The earliest date for which a message waits.
    pub async fn next_scheduled(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT MIN(scheduled_at) FROM messages WHERE status = 'scheduled' AND scheduled_at IS NOT NULL";
        let next: Option<i64> = query_scalar(sql).fetch_one(&self.inner.readers).await.map_err(refused)?;
        Ok(next.map(Timestamp))
    }

    /// Changes the date or the text of a message that waits for its date.
    pub async fn reschedule_message(&self, user: UserId, id: MessageId, change: Reschedule) -> Result<Settled, StoreError> {
        self.write(move |tx| Box::pin(reschedule(tx, user, id, change))).await
    }

    /// A page of the messages that wait for their date, the next first; of one user or all, of one account or all.
    pub async fn list_scheduled(
        &self,
        user: Option<UserId>,
        session: Option<SessionId>,
        page: Page,
    ) -> Result<Listed<Message>, StoreError> {
        let (user, session) = (user.map(|id| id.0), session.map(|id| id.0));
        let count = "SELECT COUNT(*) FROM messages WHERE status = 'scheduled' AND scheduled_at IS NOT NULL \
                     AND (? IS NULL OR user_id = ?) AND (? IS NULL OR session_id = ?)";
        let count = query_scalar::<_, i64>(count).bind(user).bind(user).bind(session).bind(session);
        let count = count.fetch_one(&self.inner.readers).await.map_err(refused)?;
        let sql = "SELECT * FROM messages WHERE status = 'scheduled' AND scheduled_at IS NOT NULL AND (? IS NULL OR user_id = ?) \
                   AND (? IS NULL OR session_id = ?) ORDER BY scheduled_at, seq LIMIT ? OFFSET ?";
        let rows = query_as::<_, Model>(sql).bind(user).bind(user).bind(session).bind(session);
        let rows = rows.bind(i64::try_from(page.page_size).unwrap_or(i64::MAX)).bind(i64::try_from(page.offset()).unwrap_or(i64::MAX));
        let rows = rows.fetch_all(&self.inner.readers).await.map_err(refused)?;
        let results = rows.into_iter().map(Model::read).collect::<Result<_, _>>()?;
        Ok(Listed { count: u64::try_from(count).unwrap_or(0), results })
    }
}
