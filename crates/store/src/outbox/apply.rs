//! The way back: news from the network and from the driver, one transaction per batch.
//!
//! Every piece of news may come twice, late or in the wrong order; each is looked at against what is on disk, and what is
//! no step forward changes nothing.

use super::claim::phase;
use super::{Change, News};
use crate::dialect::{query, query_as, query_scalar, refused};
use crate::messages::{Message, Peer};
use crate::rows::from_row;
use crate::rows::message::Model;
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::{Jid, MessageId, MessageStatus, SessionId, Step, Timestamp};

/// An outbox row as the news needs it.
struct Row {
    session_id: uuid::Uuid,
    chat: String,
    phase: i16,
}

from_row!("outbox": Row { session_id, chat, phase });

async fn outbox_row(tx: &mut Tx, id: MessageId) -> Result<Option<Row>, StoreError> {
    let row = query_as("SELECT session_id, chat, phase FROM outbox WHERE message_id = ?").bind(id.0);
    row.fetch_optional(&mut tx.conn).await.map_err(refused)
}

/// A message of this account; another account's driver has no say about it.
async fn own(tx: &mut Tx, session: SessionId, id: MessageId) -> Result<Option<Message>, StoreError> {
    let found = tx.message(id).await?;
    Ok(found.map(|(message, _)| message).filter(|message| message.session_id == session))
}

/// Outbound messages by WhatsApp's id. (Ours is unique in an account; a list because the database can't promise it.)
async fn by_wa_id(tx: &mut Tx, session: SessionId, wa_message_id: &str) -> Result<Vec<Message>, StoreError> {
    let sql = "SELECT * FROM messages WHERE session_id = ? AND wa_message_id = ? AND direction = 'outbound'";
    let rows = query_as::<_, Model>(sql).bind(session.0).bind(wa_message_id).fetch_all(&mut tx.conn);
    rows.await.map_err(refused)?.into_iter().map(Model::read).collect()
}

async fn written(tx: &mut Tx, session: SessionId, id: MessageId, at: Timestamp) -> Result<(), StoreError> {
    let claimed = "UPDATE outbox SET phase = ? WHERE message_id = ? AND session_id = ? AND phase = ?";
    let update = query(claimed).bind(phase::WRITTEN).bind(id.0).bind(session.0).bind(phase::CLAIMED);
    let moved = update.execute(&mut tx.conn).await.map_err(refused)?.rows_affected() > 0;
    if !moved && !overtaken(tx, session, id).await? {
        return Ok(());
    }
    let update = query_scalar("UPDATE messages SET written = TRUE WHERE id = ? RETURNING attempts").bind(id.0);
    let attempts = update.fetch_one(&mut tx.conn).await.map_err(refused)?;
    tx.note((id, at, Step::Written, attempts, None));
    Ok(())
}

/// Whether the acknowledgement overtook the news that a message was written: its outbox row is gone, and the step is not
/// noted yet.
async fn overtaken(tx: &mut Tx, session: SessionId, id: MessageId) -> Result<bool, StoreError> {
    tx.finish().await?;
    let Some(message) = own(tx, session, id).await? else { return Ok(false) };
    if outbox_row(tx, id).await?.is_some() {
        return Ok(false);
    }
    let sql = "SELECT COUNT(*) = 0 FROM timeline WHERE message_id = ? AND step = ? AND attempt = ?";
    let unknown = query_scalar(sql).bind(id.0).bind(Step::Written.as_str()).bind(message.attempts).fetch_one(&mut tx.conn);
    unknown.await.map_err(refused)
}

async fn acked(tx: &mut Tx, session: SessionId, wa_id: &str, to: MessageStatus, at: Timestamp) -> Result<Vec<Change>, StoreError> {
    let mut changes = Vec::new();
    for message in by_wa_id(tx, session, wa_id).await? {
        changes.extend(tx.advance(message, to, at, None).await?);
    }
    Ok(changes)
}

async fn retry(
    tx: &mut Tx,
    session: SessionId,
    id: MessageId,
    at: Timestamp,
    due_at: Option<Timestamp>,
    reason: String,
) -> Result<(), StoreError> {
    let Some(message) = own(tx, session, id).await? else { return Ok(()) };
    match outbox_row(tx, id).await? {
        Some(row) if row.phase != phase::WAITING => {}
        _ => return Ok(()),
    }
    let update = query("UPDATE outbox SET phase = ?, due_at = ? WHERE message_id = ?").bind(phase::WAITING);
    update.bind(due_at.map(|at| at.0)).bind(id.0).execute(&mut tx.conn).await.map_err(refused)?;
    tx.note((id, at, Step::Retrying, message.attempts, Some(reason)));
    Ok(())
}

/// The recipient turned out to be reached elsewhere than asked for. Everything that waits for the same recipient moves with
/// this message, in its order, and later messages find the way by themselves.
async fn resolved(tx: &mut Tx, session: SessionId, id: MessageId, peer: &Peer, chat: &Jid) -> Result<(), StoreError> {
    let Some(message) = own(tx, session, id).await? else { return Ok(()) };
    let jid = |jid: Option<&Jid>| jid.map(|jid| jid.as_str().to_owned());
    let phone = peer.phone.as_ref().or(message.peer.phone.as_ref()).map(|phone| phone.as_str().to_owned());
    let old = outbox_row(tx, id).await?.filter(|row| row.session_id == session.0).map_or_else(|| message.chat.to_string(), |row| row.chat);
    let moved = "UPDATE messages SET chat = ?, peer_phone = ?, peer_jid = ?, peer_lid = ? WHERE id = ? OR id IN \
                 (SELECT message_id FROM outbox WHERE session_id = ? AND chat = ?)";
    let update = query(moved).bind(chat.as_str()).bind(&phone).bind(jid(peer.jid.as_ref())).bind(jid(peer.lid.as_ref()));
    update.bind(id.0).bind(session.0).bind(&old).execute(&mut tx.conn).await.map_err(refused)?;
    if old == chat.as_str() {
        return Ok(());
    }
    let alias = "INSERT INTO chat_aliases (session_id, asked, chat, phone, jid, lid, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?) \
                 ON CONFLICT (session_id, asked) DO UPDATE SET chat = excluded.chat, phone = excluded.phone, jid = excluded.jid, \
                 lid = excluded.lid, updated_at = excluded.updated_at";
    let insert = query(alias).bind(session.0).bind(&old).bind(chat.as_str()).bind(&phone);
    let insert = insert.bind(jid(peer.jid.as_ref())).bind(jid(peer.lid.as_ref())).bind(tx.clock.now().0);
    insert.execute(&mut tx.conn).await.map_err(refused)?;
    // Two lanes become one: none is the head but the first of all. What waited for a connection is simply due.
    let merge = "UPDATE outbox SET chat = ?, head = FALSE, due_at = COALESCE(due_at, ?) WHERE session_id = ? AND chat IN (?, ?)";
    let update = query(merge).bind(chat.as_str()).bind(tx.clock.now().0).bind(session.0).bind(&old).bind(chat.as_str());
    update.execute(&mut tx.conn).await.map_err(refused)?;
    tx.raise_head(session, chat.as_str()).await
}

async fn receipt(tx: &mut Tx, session: SessionId, ids: &[String], status: MessageStatus, at: Timestamp) -> Result<Vec<Change>, StoreError> {
    let mut changes = Vec::new();
    if matches!(status, MessageStatus::Delivered | MessageStatus::Read | MessageStatus::Played) {
        for id in ids {
            changes.extend(acked(tx, session, id, status, at).await?);
        }
    }
    Ok(changes)
}

async fn apply(tx: &mut Tx, session: SessionId, news: Vec<News>) -> Result<Vec<Change>, StoreError> {
    let mut changes = Vec::new();
    for news in news {
        match news {
            News::Written { message_id, at } => written(tx, session, message_id, at).await?,
            News::Acked { wa_message_id, at } => changes.extend(acked(tx, session, &wa_message_id, MessageStatus::Sent, at).await?),
            News::Receipt { wa_message_ids, status, at, .. } => changes.extend(receipt(tx, session, &wa_message_ids, status, at).await?),
            News::Retry { message_id, at, due_at, reason } => retry(tx, session, message_id, at, due_at, reason).await?,
            News::Failed { message_id, at, failure, text } => {
                if let Some(message) = own(tx, session, message_id).await? {
                    changes.extend(tx.advance(message, MessageStatus::Failed, at, Some((failure, text))).await?);
                }
            }
            News::Resolved { message_id, peer, chat } => resolved(tx, session, message_id, &peer, &chat).await?,
        }
    }
    tx.finish().await?;
    Ok(changes)
}

impl Store {
    /// THE way back: news moves messages forward, writes timeline, events and usage, and removes outbox rows of what is
    /// settled. The same news again changes nothing.
    pub async fn apply(&self, session_id: SessionId, generation: i64, news: Vec<News>) -> Result<Vec<Change>, StoreError> {
        // It moves messages to another chat, which is no news to anybody outside.
        let moved = news.iter().any(|news| matches!(news, News::Resolved { .. }));
        let changes = self.write(move |tx| {
            Box::pin(async move {
                tx.fence(session_id, generation).await?;
                apply(tx, session_id, news).await
            })
        });
        let changes = changes.await;
        if moved {
            self.inner.counts.forget_all();
        }
        changes
    }
}
