//! Linked accounts: what people see of them, and the generation that fences whoever owned one before.

use crate::page::order_fields;
use crate::signal::SignalState;
use crate::{Listed, Ordering, Page, Store, StoreError};
use sanasend_model::{Jid, Network, PhoneNumber, SessionId, SessionStatus, Timestamp, UserId};

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
    /// A sentence beside the status.
    pub reason: Option<String>,
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
    pub last_error: Option<String>,
    /// Until when WhatsApp limits it.
    pub limited_until: Option<Timestamp>,
    /// Number of its present owner; an older number may write nothing.
    pub generation: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When anything of it was last changed.
    pub updated_at: Timestamp,
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
    /// Sentence beside the status.
    pub reason: Option<Option<String>>,
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
    pub last_error: Option<Option<String>>,
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

impl Store {
    /// Makes a session unless the owner has `max_sessions` already.
    pub async fn create_session(&self, new: NewSession, max_sessions: i64) -> Result<Created<Session>, StoreError> {
        let _ = (new, max_sessions);
        Err(crate::not_yet())
    }
    /// One session.
    pub async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        let _ = id;
        Err(crate::not_yet())
    }
    /// A user's session by its name.
    pub async fn session_of(&self, user: UserId, name: &str) -> Result<Option<Session>, StoreError> {
        let _ = (user, name);
        Err(crate::not_yet())
    }
    /// A page of the sessions.
    pub async fn list_sessions(&self, filter: &SessionFilter, page: Page) -> Result<Listed<Session>, StoreError> {
        let _ = (filter, page);
        Err(crate::not_yet())
    }
    /// Linked sessions that should be online, for start-up.
    pub async fn wanted_sessions(&self) -> Result<Vec<Session>, StoreError> {
        Err(crate::not_yet())
    }
    /// Takes a session over: answers the new generation, and fences every owner before. `Conflict` on `session` when it is gone.
    pub async fn take_session(&self, id: SessionId) -> Result<i64, StoreError> {
        let _ = id;
        Err(crate::not_yet())
    }
    /// Changes a session; writes the event `session.changed` in the same transaction when status or reason changed.
    pub async fn update_session(&self, id: SessionId, generation: i64, patch: SessionPatch) -> Result<Session, StoreError> {
        let _ = (id, generation, patch);
        Err(crate::not_yet())
    }
    /// Erases all Signal state of an account; it is not linked any more.
    pub async fn erase_credentials(&self, id: SessionId, generation: i64) -> Result<(), StoreError> {
        let _ = (id, generation);
        Err(crate::not_yet())
    }
    /// Removes a session with its Signal state and messages; false when there was none.
    pub async fn delete_session(&self, id: SessionId) -> Result<bool, StoreError> {
        let _ = id;
        Err(crate::not_yet())
    }
    /// The Signal state of an account, for its owner of this generation.
    pub fn signal(&self, id: SessionId, generation: i64) -> SignalState {
        SignalState { store: self.clone(), session_id: id, generation }
    }
}
