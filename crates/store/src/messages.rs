//! Messages as people see them: one message, its timeline, lists by page and by cursor.
//!
//! Nothing here creates or advances a message: that is the business of `outbox` and `inbox` alone.

use crate::counts::{Look, user_of};
use crate::dialect::{fetch, query_as, query_scalar, refused};
use crate::marks::Marks;
use crate::opt_outs::{known_to_anybody, whole};
use crate::page::{COUNTED, behind, count_up_to, found_in, order_fields};
use crate::rows::{Place, message};
use crate::{LongList, Ordering, Page, Store, StoreError};
use sanasend_model::{
    Content, Direction, Failure, Jid, MessageId, MessageStatus, PhoneNumber, Recipient, SessionId, Step, Timestamp, UserId,
};
use sea_orm::sea_query::{Expr, UnionType};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select};
use serde_json::Value;
use std::fmt;
use std::str::FromStr;

/// A person, as far as known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peer {
    /// Phone number.
    pub phone: Option<PhoneNumber>,
    /// Id by number, or of a group.
    pub jid: Option<Jid>,
    /// Id that hides the number.
    pub lid: Option<Jid>,
}

/// The message that a message answers.
#[derive(Clone, PartialEq, Eq)]
pub struct Quoted {
    /// WhatsApp's id of it.
    pub wa_message_id: String,
    /// Who wrote it.
    pub participant: Option<Jid>,
    /// Its text, where known.
    pub text: Option<String>,
}

/// Texts of people are not for logs.
impl fmt::Debug for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quoted").field("wa_message_id", &self.wa_message_id).field("participant", &self.participant).finish_non_exhaustive()
    }
}

/// A message, out or in.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Id.
    pub id: MessageId,
    /// Its owner.
    pub user_id: UserId,
    /// The account it went through.
    pub session_id: SessionId,
    /// Which way it goes.
    pub direction: Direction,
    /// The conversation: a person's or a group's id.
    pub chat: Jid,
    /// Recipient of an outbound message, sender of an inbound one.
    pub peer: Peer,
    /// The name that the sender goes by.
    pub peer_name: Option<String>,
    /// What it says.
    pub content: Content,
    /// Status.
    pub status: MessageStatus,
    /// Times it was taken up to be sent.
    pub attempts: i32,
    /// Why it failed.
    pub error_code: Option<Failure>,
    /// The same for people.
    pub error_message: Option<String>,
    /// When it was accepted or came in.
    pub created_at: Timestamp,
    /// When it is to be sent, if not at once.
    pub scheduled_at: Option<Timestamp>,
    /// Deadline: given up when not sent by then. Inbound messages have none.
    pub expires_at: Option<Timestamp>,
    /// When WhatsApp's server acknowledged it; of an inbound one, when its sender's server stamped it.
    pub sent_at: Option<Timestamp>,
    /// When it reached a device of the recipient.
    pub delivered_at: Option<Timestamp>,
    /// When the recipient read it.
    pub read_at: Option<Timestamp>,
    /// WhatsApp's own id, chosen before it was accepted.
    pub wa_message_id: String,
    /// The message of ours that it answers.
    pub reply_to: Option<MessageId>,
    /// The message that it quotes.
    pub quoted: Option<Quoted>,
    /// The caller's own.
    pub metadata: Option<Value>,
    /// What was done to it since: reactions, votes, an edit, its deletion.
    pub marks: Option<Box<Marks>>,
}

/// A step in the life of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineEntry {
    /// When.
    pub at: Timestamp,
    /// What.
    pub step: Step,
    /// In which attempt; 0 before the first.
    pub attempt: i32,
    /// More for people, like the cause of a retry.
    pub detail: Option<String>,
}

order_fields! {
    /// What messages can be sorted by.
    MessageOrder {
        /// When the message was accepted or came in.
        CreatedAt = "created_at",
    }
}

/// Which messages to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct MessageFilter {
    /// Only this user's.
    pub user_id: Option<UserId>,
    /// Only of this account.
    pub session_id: Option<SessionId>,
    /// Only in this status.
    pub status: Option<MessageStatus>,
    /// Only of this kind, like `text`.
    pub kind: Option<String>,
    /// Only out or only in.
    pub direction: Option<Direction>,
    /// Only with this number or id, as the chat or as the other person.
    pub recipient: Option<String>,
    /// Created at or after.
    pub from: Option<Timestamp>,
    /// Created before.
    pub to: Option<Timestamp>,
    /// Part of the text, the other's name or number, without case.
    pub search: Option<String>,
    /// Order of the list.
    pub ordering: Ordering<MessageOrder>,
}

/// Rows that one page of a search looks at.
const GLANCE: u64 = 25_000;

/// A place in a list of messages: behind one message, wherever newer ones were added since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) created_at: i64,
    pub(crate) seq: i64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.created_at, self.seq)
    }
}

impl FromStr for Cursor {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (created_at, seq) = text.split_once('-').ok_or(())?;
        let read = |text| i64::from_str_radix(text, 16).map_err(|_| ());
        Ok(Self { created_at: read(created_at)?, seq: read(seq)? })
    }
}

/// Outcome of cancelling or retrying a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Settled {
    /// Done; the message as it is now.
    Done(Box<Message>),
    /// There is no such message of this user.
    Missing,
    /// Not possible in its present status.
    WrongState(MessageStatus),
}

/// The rows that a filter leaves, in no order yet; `ids` are those that its recipient is known by.
fn narrow(filter: &MessageFilter, ids: &[String]) -> Select<message::Entity> {
    use message::Column;
    let equal = [
        (Column::UserId, filter.user_id.map(|id| id.0.into())),
        (Column::SessionId, filter.session_id.map(|id| id.0.into())),
        (Column::Status, filter.status.map(|status| status.as_str().into())),
        (Column::MessageType, filter.kind.clone().map(Into::into)),
        (Column::Direction, filter.direction.map(|direction| direction.as_str().into())),
    ];
    let equal = equal.into_iter().filter_map(|(column, value): (Column, Option<sea_orm::Value>)| value.map(|value| (column, value)));
    let mut all = if filter.recipient.is_some() {
        equal.fold(with(filter.user_id, ids), |all, (column, value)| all.add(unindexed(column, value)))
    } else {
        equal.fold(Condition::all(), |all, (column, value)| all.add(column.eq(value)))
    };
    if filter.kind.as_deref().is_some_and(|kind| kind != "text") {
        // What the index of the other types says of itself: SQLite takes it for no other question.
        all = all.add(Expr::cust("message_type <> 'text'"));
    }
    if let Some(from) = filter.from {
        all = all.add(Column::CreatedAt.gte(from.0));
    }
    if let Some(to) = filter.to {
        all = all.add(Column::CreatedAt.lt(to.0));
    }
    if let Some(text) = &filter.search {
        // Numbers and ids of chats hold digits: what has none is not looked for there, which takes half of the time.
        let with_numbers = [Column::Body, Column::PeerName, Column::PeerPhone, Column::Chat];
        let is_number = text.chars().any(|c| c.is_ascii_digit() || c == '@');
        all = all.add(found_in(if is_number { &with_numbers } else { &with_numbers[..2] }, text));
    }
    message::Entity::find().filter(all)
}

/// Messages in the chat of one of these ids, or written by it into a group.
///
/// Found by the two indexes of it first, and then looked at. SQLite, which keeps no figures, would else take another one: it
/// finds a user's messages or those of a status by an index too, but there are millions of them. (So the other columns are
/// asked for as [`unindexed`].)
fn with(user: Option<UserId>, ids: &[String]) -> Condition {
    use message::Column;
    let of_user = || Condition::all().add_option(user.map(|user| Column::UserId.eq(user.0)));
    let seqs = |whose: Condition| message::Entity::find().select_only().column(Column::Seq).filter(whose).into_query();
    let mut found = seqs(of_user().add(Column::Chat.is_in(ids)));
    found.union(UnionType::All, seqs(of_user().add(Expr::cust("sender <> ''")).add(Column::Sender.is_in(ids))));
    Condition::all().add(Column::Seq.in_subquery(found))
}

/// That a column has a value, asked for in a way that no index serves.
fn unindexed(column: message::Column, value: sea_orm::Value) -> Expr {
    use sea_orm::sea_query::ExprTrait;
    Expr::col(column).if_null(Expr::col(column)).eq(value)
}

fn sorted(rows: Select<message::Entity>, filter: &MessageFilter) -> Select<message::Entity> {
    let direction = filter.ordering.direction();
    rows.order_by(message::Column::CreatedAt, direction.clone()).order_by(message::Column::Seq, direction)
}

/// What lies behind a cursor, in order. Over all users that is the order of arrival, as pages have it.
fn going_on(rows: Select<message::Entity>, filter: &MessageFilter, cursor: Option<Cursor>) -> Select<message::Entity> {
    use message::Column;
    let descending = filter.ordering.descending;
    match (filter.user_id, cursor) {
        (Some(_), None) => sorted(rows, filter),
        (Some(_), Some(cursor)) => sorted(rows.filter(behind(Column::CreatedAt, Column::Seq, cursor, descending)), filter),
        (None, None) => rows.order_by(Column::Seq, filter.ordering.direction()),
        (None, Some(cursor)) => {
            let rest = if descending { Column::Seq.lt(cursor.seq) } else { Column::Seq.gt(cursor.seq) };
            rows.filter(rest).order_by(Column::Seq, filter.ordering.direction())
        }
    }
}

/// A step is a row; the first, `accepted` or `received`, is the message itself.
type StepRow = (i64, String, i32, Option<String>);

impl Store {
    /// One message; with a user, only if it is theirs.
    pub async fn message(&self, user: Option<UserId>, id: MessageId) -> Result<Option<Message>, StoreError> {
        let row = query_as::<_, message::Model>("SELECT * FROM messages WHERE id = ?").bind(id.0);
        let row = row.fetch_optional(&self.inner.readers).await.map_err(refused)?;
        row.filter(|row| user.is_none_or(|user| user.0 == row.user_id)).map(message::Model::read).transpose()
    }

    /// The ids that a filter's recipient is known by, given as a number in any spelling or as an id.
    async fn ids_asked_for(&self, filter: &MessageFilter) -> Result<Vec<String>, StoreError> {
        let Some(text) = &filter.recipient else { return Ok(Vec::new()) };
        let Ok(asked) = Recipient::parse(text) else { return Ok(vec![text.clone()]) };
        let known = match filter.user_id {
            Some(user) => whole(&self.inner.readers, user, vec![vec![asked.jid()]]).await?.pop().unwrap_or_default(),
            None => known_to_anybody(&self.inner.readers, &asked.jid()).await?,
        };
        Ok(known.into_iter().map(|jid| jid.as_str().to_owned()).collect())
    }

    /// A page of the messages.
    pub async fn list_messages(&self, filter: &MessageFilter, page: Page) -> Result<LongList<Message>, StoreError> {
        let ids = self.ids_asked_for(filter).await?;
        // Over all users the order is that of arrival, which the primary key has; an index of its own would cost every accept.
        let rows = match filter.user_id {
            Some(_) => sorted(narrow(filter, &ids), filter),
            None => narrow(filter, &ids).order_by(message::Column::Seq, filter.ordering.direction()),
        };
        let rows = rows.limit(page.page_size).offset(page.offset());
        let rows = fetch(rows, &self.inner.readers).await?;
        let known = page.known_count(rows.len());
        let count = match known {
            Some(count) => count,
            None => self.count_messages(filter, &ids).await?,
        };
        let next = rows.last().filter(|_| known.is_none()).map(|row| Cursor { created_at: row.created_at, seq: row.seq });
        let results = rows.into_iter().map(message::Model::read).collect::<Result<_, _>>()?;
        Ok(LongList { count: count.min(COUNTED), is_exact: count <= COUNTED, results, next })
    }

    /// How many messages a filter leaves, up to one more than [`COUNTED`].
    async fn count_messages(&self, filter: &MessageFilter, ids: &[String]) -> Result<u64, StoreError> {
        let look = match user_of(filter) {
            Some(user) if self.is_shared() => {
                let last = query_scalar::<_, i64>("SELECT COALESCE(MAX(seq), 0) FROM events WHERE user_id = ?").bind(user.0);
                let last = last.fetch_one(&self.inner.readers).await.map_err(refused)?;
                self.inner.counts.look_as_of(filter, last, self.inner.clock.now())
            }
            _ => self.inner.counts.look(filter),
        };
        if let Look::Counted(count) = look {
            return Ok(count);
        }
        let count = count_up_to(COUNTED + 1, narrow(filter, ids), &self.inner.readers).await?;
        if let Look::Count(ticket) = look {
            self.inner.counts.keep(ticket, filter, count);
        }
        Ok(count)
    }

    /// The next `limit` messages behind `cursor` (from the start without one), and the cursor behind them when more follow.
    pub async fn list_messages_after(
        &self,
        filter: &MessageFilter,
        cursor: Option<Cursor>,
        limit: u64,
    ) -> Result<(Vec<Message>, Option<Cursor>), StoreError> {
        let ids = self.ids_asked_for(filter).await?;
        self.messages_behind(narrow(filter, &ids), filter, cursor, limit).await
    }

    /// The same, newest first, for pages that people wait for: a search looks at 25,000 rows at once, so that there can be
    /// fewer than `limit`, even none, and still be more behind the cursor.
    pub async fn glance_at_messages(
        &self,
        filter: &MessageFilter,
        cursor: Option<Cursor>,
        limit: u64,
    ) -> Result<(Vec<Message>, Option<Cursor>), StoreError> {
        use message::Column;
        if filter.search.is_none() || !filter.ordering.descending {
            return self.list_messages_after(filter, cursor, limit).await;
        }
        let ids = self.ids_asked_for(filter).await?;
        let all = MessageFilter { search: None, ..filter.clone() };
        let last = going_on(narrow(&all, &ids), filter, cursor).offset(GLANCE - 1).limit(1);
        let end = fetch(last, &self.inner.readers).await?.first().map(|row| Cursor { created_at: row.created_at, seq: row.seq });
        let within = end.map(|end| {
            let later = Condition::all().add(Column::Seq.gte(end.seq));
            if filter.user_id.is_none() {
                return later;
            }
            Condition::any().add(Column::CreatedAt.gt(end.created_at)).add(later.add(Column::CreatedAt.eq(end.created_at)))
        });
        let rows = narrow(filter, &ids).filter(Condition::all().add_option(within));
        let (found, next) = self.messages_behind(rows, filter, cursor, limit).await?;
        Ok((found, next.or(end)))
    }

    async fn messages_behind(
        &self,
        rows: Select<message::Entity>,
        filter: &MessageFilter,
        cursor: Option<Cursor>,
        limit: u64,
    ) -> Result<(Vec<Message>, Option<Cursor>), StoreError> {
        let rows = going_on(rows, filter, cursor);
        let mut rows = fetch(rows.limit(limit.saturating_add(1)), &self.inner.readers).await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more).map(|row| Cursor { created_at: row.created_at, seq: row.seq });
        Ok((rows.into_iter().map(message::Model::read).collect::<Result<_, _>>()?, last))
    }

    /// What happened to a message, `accepted` (or `received`) first; empty when there is no such message.
    pub async fn timeline(&self, id: MessageId) -> Result<Vec<TimelineEntry>, StoreError> {
        let Some(message) = self.message(None, id).await? else { return Ok(Vec::new()) };
        let step = if message.direction == Direction::Outbound { Step::Accepted } else { Step::Received };
        let mut entries = vec![TimelineEntry { at: message.created_at, step, attempt: 0, detail: None }];
        let mut before = 0;
        let sql = "SELECT at, step, attempt, detail FROM timeline WHERE message_id = ? ORDER BY seq";
        let rows = query_as::<_, StepRow>(sql).bind(id.0).fetch_all(&self.inner.readers).await.map_err(refused)?;
        let place = Place { table: "timeline", row: &id };
        for (at, step, attempt, detail) in rows {
            let entry = TimelineEntry { at: Timestamp(at), step: place.name("step", &step)?, attempt, detail };
            // Its campaign kept it back before it was accepted; the pacing of its account, afterwards.
            if entry.step == Step::Held && entry.attempt == 0 {
                entries.insert(before, entry);
                before += 1;
            } else {
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    /// How many messages there are in each status, of one user or of all, for people (it reads all of them).
    pub async fn message_counts(&self, user: Option<UserId>) -> Result<Vec<(MessageStatus, u64)>, StoreError> {
        let all = "SELECT status, COUNT(*) FROM messages GROUP BY status ORDER BY status";
        let of_user = "SELECT status, COUNT(*) FROM messages WHERE user_id = ? GROUP BY status ORDER BY status";
        let rows = match user {
            Some(user) => query_as::<_, (String, i64)>(of_user).bind(user.0).fetch_all(&self.inner.readers),
            None => query_as::<_, (String, i64)>(all).fetch_all(&self.inner.readers),
        };
        let place = Place { table: "messages", row: &"any" };
        let counted = rows.await.map_err(refused)?.into_iter().map(|(status, count)| {
            let status = place.name("status", &status)?;
            Ok((status, u64::try_from(count).unwrap_or(0)))
        });
        counted.collect()
    }
}
