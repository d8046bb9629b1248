//! The way back: news from the network and from the driver, one transaction per batch, of all accounts that tell at once.
//!
//! Every piece of news may come twice, late or in the wrong order; each is looked at against what is on disk, and what is
//! no step forward changes nothing.

use super::working::WorkingSet;
use super::{Change, News};
use crate::contacts::learn;
use crate::dialect::{query, query_scalar, refused};
use crate::messages::Peer;
use crate::opt_outs::relink;
use crate::together::{AnswerTo, Asked, Together};
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::{Jid, MessageId, SessionId};

/// News that the owner of an account tells.
pub(crate) struct Telling {
    session_id: SessionId,
    generation: i64,
    news: Vec<News>,
}

impl Together for Telling {
    type Answer = Vec<Change>;

    async fn run(tx: &mut Tx, asked: &[Self]) -> Result<Vec<Result<Vec<Change>, StoreError>>, StoreError> {
        let fenced = tx.fence_all(asked.iter().map(|telling| (telling.session_id, telling.generation)).collect()).await?;
        let heard = asked.iter().zip(&fenced).filter(|(_, fenced)| fenced.is_ok()).map(|(telling, _)| telling);
        let all: Vec<(SessionId, &News)> =
            heard.flat_map(|telling| telling.news.iter().map(move |news| (telling.session_id, news))).collect();
        for (session, news) in &all {
            if let News::Resolved { message_id, peer, chat } = news {
                resolved(tx, *session, *message_id, peer, chat).await?;
            }
        }
        let mut set = WorkingSet::read(tx, &all).await?;
        let mut answers = Vec::with_capacity(asked.len());
        for (telling, fenced) in asked.iter().zip(fenced) {
            if let Err(refusal) = fenced {
                answers.push(Err(refusal));
                continue;
            }
            let mut changes = Vec::new();
            for news in &telling.news {
                changes.extend(set.take(tx, telling.session_id, news).await?);
            }
            answers.push(Ok(changes));
        }
        set.write(tx).await?;
        Ok(answers)
    }

    fn with(self, answer: AnswerTo<Self>) -> Asked {
        Asked::Tell(self, answer)
    }
}

/// The recipient turned out to be reached elsewhere than asked for. Everything that waits for the same recipient moves with
/// this message, in its order, and later messages find the way by themselves.
async fn resolved(tx: &mut Tx, session: SessionId, id: MessageId, peer: &Peer, chat: &Jid) -> Result<(), StoreError> {
    let message = tx.message(id).await?.map(|(message, _)| message).filter(|message| message.session_id == session);
    let Some(message) = message.filter(|message| message.chat != *chat || message.peer != *peer) else { return Ok(()) };
    let jid = |jid: Option<&Jid>| jid.map(|jid| jid.as_str().to_owned());
    let phone = peer.phone.as_ref().or(message.peer.phone.as_ref()).map(|phone| phone.as_str().to_owned());
    let waits = query_scalar::<_, String>("SELECT chat FROM outbox WHERE message_id = ?").bind(id.0).fetch_optional(&mut tx.conn);
    let old = waits.await.map_err(refused)?.unwrap_or_else(|| message.chat.to_string());
    let moved = "UPDATE messages SET chat = ?, peer_phone = ?, peer_jid = ?, peer_lid = ? WHERE id = ? OR id IN \
                 (SELECT message_id FROM outbox WHERE session_id = ? AND chat = ?)";
    let update = query(moved).bind(chat.as_str()).bind(&phone).bind(jid(peer.jid.as_ref())).bind(jid(peer.lid.as_ref()));
    update.bind(id.0).bind(session.0).bind(&old).execute(&mut tx.conn).await.map_err(refused)?;
    // Also where the chat stays: later messages then know who is behind it, and need no such news.
    let alias = "INSERT INTO chat_aliases (session_id, asked, chat, phone, jid, lid, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?) \
                 ON CONFLICT (session_id, asked) DO UPDATE SET chat = excluded.chat, phone = excluded.phone, jid = excluded.jid, \
                 lid = excluded.lid, updated_at = excluded.updated_at";
    let insert = query(alias).bind(session.0).bind(&old).bind(chat.as_str()).bind(&phone);
    let insert = insert.bind(jid(peer.jid.as_ref())).bind(jid(peer.lid.as_ref())).bind(tx.clock.now().0);
    insert.execute(&mut tx.conn).await.map_err(refused)?;
    let asked: Vec<Jid> = Jid::parse(&old).into_iter().collect();
    learn(tx, message.user_id, peer, &asked, true).await?;
    relink(tx, message.user_id, peer.handles().into_iter().chain(asked).filter(|handle| !handle.is_group()).collect()).await?;
    if old == chat.as_str() {
        return Ok(());
    }
    // Two lanes become one: none is the head but the first of all. What waited for a connection is simply due.
    let merge = "UPDATE outbox SET chat = ?, head = FALSE, due_at = COALESCE(due_at, ?) WHERE session_id = ? AND chat IN (?, ?)";
    let update = query(merge).bind(chat.as_str()).bind(tx.clock.now().0).bind(session.0).bind(&old).bind(chat.as_str());
    update.execute(&mut tx.conn).await.map_err(refused)?;
    tx.raise_head(session, chat.as_str()).await
}

impl Store {
    /// THE way back: news moves messages forward, writes timeline, events and usage, and removes outbox rows of what is
    /// settled. The same news again changes nothing.
    pub async fn apply(&self, session_id: SessionId, generation: i64, news: Vec<News>) -> Result<Vec<Change>, StoreError> {
        // It moves messages to another chat, which is no news to anybody outside.
        let moved = news.iter().any(|news| matches!(news, News::Resolved { .. }));
        let changes = self.inner.writer.together(Telling { session_id, generation, news }).await;
        if moved {
            self.inner.counts.forget_all();
        }
        changes
    }
}
