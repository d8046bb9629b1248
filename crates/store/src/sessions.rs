//! Linked accounts: what people see of them, and the generation that fences whoever owned one before.

use crate::dialect::{On, Rows, pieces, query, query_as, query_scalar, refused};
use crate::events::NewEvent;
use crate::page::{found_in, listed, nothing_first, order_fields};
use crate::removals::OF_SESSION;
use crate::rows::session;
use crate::signal::SignalState;
use crate::writer::Tx;
use crate::{Listed, Ordering, Page, Store, StoreError};
use sanasend_model::{EventKind, Jid, Network, PhoneNumber, Reason, SessionId, SessionStatus, Timestamp, UserId};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::json;

/// A linked account, or one about to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Id.
    pub id: SessionId,
    /// Its owner.
    pub user_id: UserId,
    /// Its name, unique for the owner.
    pub name: String,
    /// The network it lives in, for ever.
    pub network: Network,
    /// Status.
    pub status: SessionStatus,
    /// Why it is so: a code, and a sentence beside the status.
    pub reason: Option<Reason>,
    /// The account's number.
    pub phone: Option<PhoneNumber>,
    /// The account's id by number.
    pub jid: Option<Jid>,
    /// The account's id that hides the number.
    pub lid: Option<Jid>,
    /// The name that others see.
    pub push_name: Option<String>,
    /// Whether credentials are stored and whole.
    pub linked: bool,
    /// Whether it should be online.
    pub wanted: bool,
    /// Since when it is connected.
    pub connected_at: Option<Timestamp>,
    /// When it last did something.
    pub last_active_at: Option<Timestamp>,
    /// What last went wrong.
    pub last_error: Option<Reason>,
    /// Until when WhatsApp limits it.
    pub limited_until: Option<Timestamp>,
    /// When it was linked; its warm-up begins then.
    pub linked_at: Option<Timestamp>,
    /// Number of its present owner; an older number may write nothing.
    pub generation: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When anything of it was last changed.
    pub updated_at: Timestamp,
    /// The node that runs it, or ran it last, where several nodes share the database.
    pub owner: Option<uuid::Uuid>,
}

/// A session to make.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Id.
    pub id: SessionId,
    /// Its owner.
    pub user_id: UserId,
    /// Its name, unique for the owner.
    pub name: String,
    /// The network it lives in, for ever.
    pub network: Network,
}

/// What to change of a session; the outer `None` leaves a field as it is, `Some(None)` empties it.
#[derive(Debug, Clone, Default)]
pub struct SessionPatch {
    /// New status.
    pub status: Option<SessionStatus>,
    /// Why it is so.
    pub reason: Option<Option<Reason>>,
    /// The account's number.
    pub phone: Option<Option<PhoneNumber>>,
    /// The account's id by number.
    pub jid: Option<Option<Jid>>,
    /// The account's id that hides the number.
    pub lid: Option<Option<Jid>>,
    /// The name that others see.
    pub push_name: Option<Option<String>>,
    /// Whether credentials are stored and whole.
    pub linked: Option<bool>,
    /// Whether it should be online.
    pub wanted: Option<bool>,
    /// Since when it is connected.
    pub connected_at: Option<Option<Timestamp>>,
    /// When it last did something.
    pub last_active_at: Option<Option<Timestamp>>,
    /// What last went wrong.
    pub last_error: Option<Option<Reason>>,
    /// Until when WhatsApp limits it.
    pub limited_until: Option<Option<Timestamp>>,
}

/// Outcome of making a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created<T> {
    /// Made.
    Done(T),
    /// The owner has as many as allowed.
    LimitReached,
    /// One of that name is there; this is it.
    Exists(T),
}

order_fields! {
    /// What sessions can be sorted by.
    SessionOrder {
        /// When the session was made.
        CreatedAt = "created_at",
        /// Its name.
        Name = "name",
        /// When it last did something; never counts as longest ago.
        LastActiveAt = "last_active_at",
        /// Its status, by name.
        Status = "status",
    }
}

/// Which sessions to list.
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    /// Only this user's.
    pub user_id: Option<UserId>,
    /// Only those in this status.
    pub status: Option<SessionStatus>,
    /// Part of the name, number or push name, without case.
    pub search: Option<String>,
    /// Order of the list.
    pub ordering: Ordering<SessionOrder>,
}

/// One session, inside a transaction or outside.
pub(crate) async fn find<'c>(conn: impl Into<On<'c>>, id: SessionId) -> Result<Option<Session>, StoreError> {
    let row = query_as::<_, session::Model>("SELECT * FROM sessions WHERE id = ?").bind(id.0).fetch_optional(conn);
    row.await.map_err(refused)?.map(session::Model::read).transpose()
}

async fn find_named<'c>(conn: impl Into<On<'c>>, user: UserId, name: &str) -> Result<Option<Session>, StoreError> {
    let sql = "SELECT * FROM sessions WHERE user_id = ? AND name = ?";
    let row = query_as::<_, session::Model>(sql).bind(user.0).bind(name).fetch_optional(conn);
    row.await.map_err(refused)?.map(session::Model::read).transpose()
}

fn gone() -> StoreError {
    StoreError::Conflict { what: "session" }
}

static GENERATIONS: Rows = Rows::new("SELECT id, generation FROM sessions WHERE id IN (", "?", ")");

impl Tx {
    /// Says of each (account and generation) whether it is the present owner, with one question for all.
    pub(crate) async fn fence_all(&mut self, owners: Vec<(SessionId, i64)>) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let mut unread: Vec<SessionId> = owners.iter().map(|(id, _)| *id).filter(|id| !self.generations.contains_key(id)).collect();
        unread.sort_unstable();
        unread.dedup();
        for piece in pieces(&unread) {
            let mut select = query_as::<_, (uuid::Uuid, i64)>(GENERATIONS.sql(piece.len()));
            for id in piece {
                select = select.bind(id.0);
            }
            let rows = select.fetch_all(&mut self.conn).await.map_err(refused)?;
            self.generations.extend(rows.into_iter().map(|(id, now)| (SessionId(id), now)));
        }
        let is = |(id, generation): (SessionId, i64)| self.generations.get(&id) == Some(&generation);
        Ok(owners.into_iter().map(|owner| if is(owner) { Ok(()) } else { Err(StoreError::Fenced) }).collect())
    }

    /// Refuses whoever is not the present owner; inside the transaction, so that nobody can take over between check and write. What
    /// was read once in a transaction holds to its end, unless it is changed in it: nobody else writes meanwhile.
    pub(crate) async fn fence(&mut self, id: SessionId, generation: i64) -> Result<(), StoreError> {
        if let Some(now) = self.generations.get(&id) {
            return if *now == generation { Ok(()) } else { Err(StoreError::Fenced) };
        }
        let now = query_scalar::<_, i64>("SELECT generation FROM sessions WHERE id = ?").bind(id.0).fetch_optional(&mut self.conn);
        let now = now.await.map_err(refused)?;
        self.generations.extend(now.map(|now| (id, now)));
        if now == Some(generation) { Ok(()) } else { Err(StoreError::Fenced) }
    }
}

impl Session {
    fn patch(&mut self, patch: SessionPatch) {
        fn set<T>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        set(&mut self.status, patch.status);
        set(&mut self.reason, patch.reason);
        set(&mut self.phone, patch.phone);
        set(&mut self.jid, patch.jid);
        set(&mut self.lid, patch.lid);
        set(&mut self.push_name, patch.push_name);
        set(&mut self.linked, patch.linked);
        set(&mut self.wanted, patch.wanted);
        set(&mut self.connected_at, patch.connected_at);
        set(&mut self.last_active_at, patch.last_active_at);
        set(&mut self.last_error, patch.last_error);
        set(&mut self.limited_until, patch.limited_until);
    }

    /// What is told about a session.
    pub(crate) fn event(&self, at: Timestamp) -> NewEvent {
        let (reason_code, reason) = code_and_text(self.reason.as_ref());
        let (last_error_code, last_error) = code_and_text(self.last_error.as_ref());
        let data = json!({"session": {
            "id": self.id,
            "name": self.name,
            "network": self.network,
            "status": self.status,
            "reason": reason,
            "reason_code": reason_code,
            "phone_number": self.phone,
            "jid": self.jid,
            "lid": self.lid,
            "push_name": self.push_name,
            "last_error": last_error,
            "last_error_code": last_error_code,
            "limited_until": self.limited_until,
            "at": at,
        }});
        let kind = EventKind::SessionChanged;
        NewEvent { user_id: self.user_id, session_id: Some(self.id), kind, message_id: None, data, at }
    }
}

/// The two columns of a reason, and the two fields that are told of it.
fn code_and_text(reason: Option<&Reason>) -> (Option<&'static str>, Option<&str>) {
    reason.map(|reason| (reason.code.as_str(), reason.text.as_str())).unzip()
}

async fn create(tx: &mut Tx, new: NewSession, max_sessions: i64) -> Result<Created<Session>, StoreError> {
    if let Some(session) = find_named(&mut tx.conn, new.user_id, &new.name).await? {
        return Ok(Created::Exists(session));
    }
    let count = query_scalar::<_, i64>("SELECT COUNT(*) FROM sessions WHERE user_id = ?").bind(new.user_id.0);
    if count.fetch_one(&mut tx.conn).await.map_err(refused)? >= max_sessions {
        return Ok(Created::LimitReached);
    }
    let now = tx.clock.now();
    let sql = "INSERT INTO sessions (id, user_id, name, network, status, linked, wanted, generation, created_at, updated_at) \
               VALUES (?, ?, ?, ?, ?, FALSE, FALSE, 0, ?, ?)";
    let insert = query(sql).bind(new.id.0).bind(new.user_id.0).bind(new.name).bind(new.network.as_str());
    let insert = insert.bind(SessionStatus::Disconnected.as_str()).bind(now.0).bind(now.0);
    insert.execute(&mut tx.conn).await.map_err(refused)?;
    find(&mut tx.conn, new.id).await?.map(Created::Done).ok_or_else(gone)
}

async fn update(tx: &mut Tx, id: SessionId, generation: i64, patch: SessionPatch) -> Result<Session, StoreError> {
    let before = find(&mut tx.conn, id).await?.ok_or_else(gone)?;
    if before.generation != generation {
        return Err(StoreError::Fenced);
    }
    let mut session = before.clone();
    session.patch(patch);
    session.updated_at = tx.clock.now();
    let sql = "UPDATE sessions SET status = ?, reason_code = ?, reason = ?, phone = ?, jid = ?, lid = ?, push_name = ?, linked = ?, \
               wanted = ?, connected_at = ?, last_active_at = ?, last_error_code = ?, last_error = ?, limited_until = ?, updated_at = ?, \
               linked_at = CASE WHEN CAST(? AS BOOLEAN) THEN ? ELSE linked_at END WHERE id = ?";
    let time = |at: Option<Timestamp>| at.map(|at| at.0);
    let (reason_code, reason) = code_and_text(session.reason.as_ref());
    let (last_error_code, last_error) = code_and_text(session.last_error.as_ref());
    let update = query(sql).bind(session.status.as_str()).bind(reason_code).bind(reason);
    let update = update.bind(session.phone.as_ref().map(PhoneNumber::as_str));
    let update = update.bind(session.jid.as_ref().map(Jid::as_str)).bind(session.lid.as_ref().map(Jid::as_str));
    let update = update.bind(&session.push_name).bind(session.linked).bind(session.wanted).bind(time(session.connected_at));
    let update = update.bind(time(session.last_active_at)).bind(last_error_code).bind(last_error).bind(time(session.limited_until));
    // An account is as old as its link; the same number linked again stays as old as it was.
    let is_new = session.linked && !before.linked && (before.linked_at.is_none() || session.phone != before.phone);
    let update = update.bind(session.updated_at.0).bind(is_new).bind(session.updated_at.0);
    update.bind(id.0).execute(&mut tx.conn).await.map_err(refused)?;
    if (session.status, &session.reason) != (before.status, &before.reason) {
        let event = session.event(session.updated_at);
        tx.record(vec![event]).await?;
    }
    let is_warned = session.reason.as_ref().is_some_and(|reason| reason.code.is_warning());
    let is_alarming = !session.linked || session.limited_until.is_some() || is_warned;
    let was = (before.linked, before.limited_until, &before.reason);
    if is_alarming && (session.linked, session.limited_until, &session.reason) != was {
        tx.raise_alarm(id).await?;
    }
    Ok(session)
}

impl Store {
    /// Makes a session unless the owner has `max_sessions` already.
    pub async fn create_session(&self, new: NewSession, max_sessions: i64) -> Result<Created<Session>, StoreError> {
        self.write(move |tx| Box::pin(create(tx, new, max_sessions))).await
    }

    /// One session.
    pub async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        find(&self.inner.readers, id).await
    }

    /// A user's session by its name.
    pub async fn session_of(&self, user: UserId, name: &str) -> Result<Option<Session>, StoreError> {
        find_named(&self.inner.readers, user, name).await
    }

    /// A page of the sessions.
    pub async fn list_sessions(&self, filter: &SessionFilter, page: Page) -> Result<Listed<Session>, StoreError> {
        let mut rows = session::Entity::find();
        if let Some(user) = filter.user_id {
            rows = rows.filter(session::Column::UserId.eq(user.0));
        }
        if let Some(status) = filter.status {
            rows = rows.filter(session::Column::Status.eq(status.as_str()));
        }
        if let Some(text) = &filter.search {
            rows = rows.filter(found_in(&[session::Column::Name, session::Column::Phone, session::Column::PushName], text));
        }
        let column = match filter.ordering.by {
            SessionOrder::CreatedAt => session::Column::CreatedAt,
            SessionOrder::Name => session::Column::Name,
            SessionOrder::LastActiveAt => session::Column::LastActiveAt,
            SessionOrder::Status => session::Column::Status,
        };
        let direction = || filter.ordering.direction();
        let rows = if filter.ordering.by == SessionOrder::LastActiveAt {
            nothing_first(rows, column, direction())
        } else {
            rows.order_by(column, direction())
        };
        let rows = rows.order_by(session::Column::Id, direction());
        let Listed { count, results } = listed(rows, page, &self.inner.readers).await?;
        let results = results.into_iter().map(session::Model::read).collect::<Result<_, _>>()?;
        Ok(Listed { count, results })
    }

    /// Sessions that a row shows in one of these statuses although nothing brings them back: not linked, not wanted, or of
    /// another network. At most `most` behind `behind`, by id, with the id to go on from, if there may be more; one that can't
    /// be read is left out and logged.
    pub async fn sessions_left_in(
        &self,
        statuses: [SessionStatus; 4],
        network: Network,
        behind: SessionId,
        most: u32,
    ) -> Result<(Vec<Session>, Option<SessionId>), StoreError> {
        let sql = "SELECT * FROM sessions WHERE status IN (?, ?, ?, ?) AND NOT (linked AND wanted AND network = ?) AND id > ? \
                   ORDER BY id LIMIT ?";
        let rows = statuses.iter().fold(query_as::<_, session::Model>(sql), |rows, status| rows.bind(status.as_str()));
        let rows = rows.bind(network.as_str()).bind(behind.0).bind(i64::from(most)).fetch_all(&self.inner.readers);
        let rows = rows.await.map_err(refused)?;
        let next = rows.last().map(|row| SessionId(row.id)).filter(|_| rows.len() >= most as usize);
        let whole = |row: session::Model| row.read().inspect_err(|error| tracing::error!(%error, "a session can't be read")).ok();
        Ok((rows.into_iter().filter_map(whole).collect(), next))
    }

    /// Linked sessions that should be online, for start-up. One that can't be read is left out and logged: it must not keep
    /// the others from starting.
    pub async fn wanted_sessions(&self) -> Result<Vec<Session>, StoreError> {
        let sql = "SELECT * FROM sessions WHERE linked AND wanted ORDER BY id";
        let rows = query_as::<_, session::Model>(sql).fetch_all(&self.inner.readers).await.map_err(refused)?;
        let whole = |row: session::Model| row.read().inspect_err(|error| tracing::error!(%error, "a session can't be read")).ok();
        Ok(rows.into_iter().filter_map(whole).collect())
    }

    /// Takes a session over: answers the new generation, and fences every owner before. `Conflict` on `session` when it is gone.
    /// Where several nodes share the database: `Fenced` while another living node has it.
    pub async fn take_session(&self, id: SessionId) -> Result<i64, StoreError> {
        let node = self.node();
        self.write(move |tx| {
            Box::pin(async move {
                tx.generations.remove(&id);
                if let Some(node) = node {
                    return match tx.take_for_node(id, node).await? {
                        Some(generation) => Ok(generation),
                        None => Err(find(&mut tx.conn, id).await?.map_or_else(gone, |_| StoreError::Fenced)),
                    };
                }
                let update = query_scalar("UPDATE sessions SET generation = generation + 1 WHERE id = ? RETURNING generation");
                update.bind(id.0).fetch_optional(&mut tx.conn).await.map_err(refused)?.ok_or_else(gone)
            })
        })
        .await
    }

    /// Changes a session; writes the event `session.changed` in the same transaction when status or reason changed.
    /// `Fenced` when the generation is old, `Conflict` on `session` when it is gone.
    pub async fn update_session(&self, id: SessionId, generation: i64, patch: SessionPatch) -> Result<Session, StoreError> {
        self.write(move |tx| Box::pin(update(tx, id, generation, patch))).await
    }

    /// Erases all Signal state of an account; it is not linked any more.
    pub async fn erase_credentials(&self, id: SessionId, generation: i64) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                tx.fence(id, generation).await?;
                query("DELETE FROM signal WHERE session_id = ?").bind(id.0).execute(&mut tx.conn).await.map_err(refused)?;
                let update = query("UPDATE sessions SET linked = FALSE, updated_at = ? WHERE id = ?").bind(tx.clock.now().0);
                update.bind(id.0).execute(&mut tx.conn).await.map(drop).map_err(refused)
            })
        })
        .await
    }

    /// Removes a session with its Signal state and messages; false when there was none. Its owner is fenced first; its
    /// events stay in the log.
    pub async fn delete_session(&self, id: SessionId) -> Result<bool, StoreError> {
        match self.take_session(id).await {
            Ok(_) => {}
            Err(StoreError::Conflict { .. }) => return Ok(false),
            Err(error) => return Err(error),
        }
        self.delete_messages(&OF_SESSION, id.0).await?;
        Ok(self.delete_in_pieces("DELETE FROM sessions WHERE id = ?", id.0).await? > 0)
    }

    /// The Signal state of an account, for its owner of this generation.
    pub fn signal(&self, id: SessionId, generation: i64) -> SignalState {
        SignalState::new(self.clone(), id, generation)
    }
}
