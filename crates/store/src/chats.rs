//! Conversations: the last message of each chat, newest first.
//!
//! There is no table of chats: it would be one more entry to keep up for every message that goes or comes. A chat is where its
//! last message is; a message is the last of its chat when the index by chat has none behind it. A page looks at a bounded
//! number of messages, so that a chat that was talkative lately costs no more than that.

use crate::dialect::{query_as, query_scalar, refused};
use crate::messages::{Cursor, Message, Peer};
use crate::rows::message;
use crate::{Store, StoreError};
use sanasend_model::{Direction, SessionId, UserId};

/// Messages that one page looks at.
const GLANCE: i64 = 5_000;

/// Up to how many messages without an answer are counted.
pub const UNANSWERED: u64 = 100;

/// Whose chats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChatFilter {
    /// Of this user.
    pub user_id: UserId,
    /// Only of this account.
    pub session_id: Option<SessionId>,
    /// Only those whose last message came in.
    pub unanswered: bool,
}

/// A conversation of one account.
#[derive(Debug, Clone, PartialEq)]
pub struct Chat {
    /// The newest message of it.
    pub last: Message,
    /// What the user calls the other one, where there is such a contact; `None` for a group.
    pub name: Option<String>,
    /// Messages that came in after the last one that went out, counted up to [`UNANSWERED`].
    pub unanswered: u64,
}

/// The newest messages of chats within a stretch. `$more` narrows them; columns that other indexes of the table begin with are
/// asked for there in a way that no index serves, since the order is what counts.
macro_rules! newest {
    ($more:literal) => {
        concat!(
            "SELECT m.* FROM messages m WHERE m.user_id = ? AND (m.created_at, m.seq) < (?, ?) AND (m.created_at, m.seq) >= (?, ?) ",
            $more,
            "AND NOT EXISTS (SELECT 1 FROM messages n WHERE n.chat = m.chat AND n.user_id = m.user_id AND n.session_id = m.session_id \
             AND (n.created_at, n.seq) > (m.created_at, m.seq)) ORDER BY m.created_at DESC, m.seq DESC LIMIT ?"
        )
    };
}

const ALL: &str = newest!("");
const OF_ACCOUNT: &str = newest!("AND COALESCE(m.session_id, m.user_id) = ? ");
const UNANSWERED_ALL: &str = newest!("AND COALESCE(m.direction, '') = 'inbound' ");
const UNANSWERED_OF_ACCOUNT: &str = newest!("AND COALESCE(m.session_id, m.user_id) = ? AND COALESCE(m.direction, '') = 'inbound' ");

impl Store {
    /// The next `limit` chats behind `cursor` (from the start without one), by their newest messages, and the cursor behind them
    /// when more may follow. There can be fewer than `limit`, even none, and still be more.
    pub async fn chats(&self, filter: ChatFilter, cursor: Option<Cursor>, limit: u64) -> Result<(Vec<Chat>, Option<Cursor>), StoreError> {
        let start = cursor.unwrap_or(Cursor { created_at: i64::MAX, seq: i64::MAX });
        let end = self.end_of_glance(filter.user_id, start).await?;
        let until = end.unwrap_or(Cursor { created_at: i64::MIN, seq: i64::MIN });
        let sql = match (filter.session_id, filter.unanswered) {
            (None, false) => ALL,
            (Some(_), false) => OF_ACCOUNT,
            (None, true) => UNANSWERED_ALL,
            (Some(_), true) => UNANSWERED_OF_ACCOUNT,
        };
        let mut select = query_as::<_, message::Model>(sql).bind(filter.user_id.0).bind(start.created_at).bind(start.seq);
        select = select.bind(until.created_at).bind(until.seq);
        if let Some(session) = filter.session_id {
            select = select.bind(session.0);
        }
        let most = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        let mut rows = select.bind(most).fetch_all(&self.inner.readers).await.map_err(refused)?;
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > wanted;
        rows.truncate(wanted);
        let next = if more { rows.last().map(|row| Cursor { created_at: row.created_at, seq: row.seq }) } else { end };
        let newest = rows.into_iter().map(message::Model::read).collect::<Result<Vec<_>, _>>()?;
        let people: Vec<Peer> = newest.iter().map(|last| last.peer.clone()).collect();
        let names = self.contact_names(filter.user_id, &people).await?;
        let mut chats = Vec::with_capacity(newest.len());
        for (last, name) in newest.into_iter().zip(names) {
            let unanswered = if last.direction == Direction::Inbound { self.unanswered(&last).await? } else { 0 };
            // In a group the other one is whoever wrote last.
            let name = name.filter(|_| !last.chat.is_group());
            chats.push(Chat { last, name, unanswered });
        }
        Ok((chats, next))
    }

    /// The last message that a page looks at, when there are more behind it.
    async fn end_of_glance(&self, user: UserId, start: Cursor) -> Result<Option<Cursor>, StoreError> {
        let sql = "SELECT created_at, seq FROM messages WHERE user_id = ? AND (created_at, seq) < (?, ?) \
                   ORDER BY created_at DESC, seq DESC LIMIT 1 OFFSET ?";
        let select = query_as::<_, (i64, i64)>(sql).bind(user.0).bind(start.created_at).bind(start.seq).bind(GLANCE - 1);
        let end = select.fetch_optional(&self.inner.readers).await.map_err(refused)?;
        Ok(end.map(|(created_at, seq)| Cursor { created_at, seq }))
    }

    /// How many messages at the end of a chat came in.
    async fn unanswered(&self, last: &Message) -> Result<u64, StoreError> {
        let sql = "SELECT direction FROM messages WHERE chat = ? AND user_id = ? AND COALESCE(session_id, user_id) = ? \
                   ORDER BY created_at DESC, seq DESC LIMIT ?";
        let select = query_scalar::<_, String>(sql).bind(last.chat.as_str()).bind(last.user_id.0).bind(last.session_id.0);
        let most = i64::try_from(UNANSWERED).unwrap_or(i64::MAX);
        let directions = select.bind(most).fetch_all(&self.inner.readers).await.map_err(refused)?;
        Ok(directions.iter().take_while(|direction| *direction == Direction::Inbound.as_str()).count() as u64)
    }
}
