//! Users: the tenants that own everything else, and their password hashes, which leave only for a login.

use crate::page::order_fields;
use crate::{Listed, Ordering, Page, Store, StoreError};
use sanasend_model::{Timestamp, UserId};

/// A user. The password hash is never in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Id.
    pub id: UserId,
    /// Login name, lower case, unique.
    pub username: String,
    /// E-mail address, unique without case.
    pub email: String,
    /// Whether keys, logins and sending work.
    pub is_active: bool,
    /// Whether other users can be managed.
    pub is_admin: bool,
    /// Most messages accepted per UTC day.
    pub max_messages_per_day: i64,
    /// Most messages accepted per minute.
    pub max_messages_per_minute: i64,
    /// Most linked accounts.
    pub max_sessions: i64,
    /// When the user was made.
    pub created_at: Timestamp,
    /// When anything of the user was last changed.
    pub updated_at: Timestamp,
}

/// A user to make. The caller has checked every field with the model's rules.
#[derive(Clone)]
pub struct NewUser {
    /// Login name, lower case.
    pub username: String,
    /// E-mail address.
    pub email: String,
    /// Argon2id hash in PHC form.
    pub password_hash: String,
    /// Whether other users can be managed.
    pub is_admin: bool,
    /// Whether the user may do anything.
    pub is_active: bool,
    /// Most messages accepted per UTC day.
    pub max_messages_per_day: i64,
    /// Most messages accepted per minute.
    pub max_messages_per_minute: i64,
    /// Most linked accounts.
    pub max_sessions: i64,
}

/// What to change of a user; `None` leaves a field as it is.
#[derive(Clone, Default)]
pub struct UserPatch {
    /// New login name.
    pub username: Option<String>,
    /// New e-mail address.
    pub email: Option<String>,
    /// New Argon2id hash in PHC form.
    pub password_hash: Option<String>,
    /// Promote or demote.
    pub is_admin: Option<bool>,
    /// Activate or deactivate.
    pub is_active: Option<bool>,
    /// New daily limit.
    pub max_messages_per_day: Option<i64>,
    /// New limit per minute.
    pub max_messages_per_minute: Option<i64>,
    /// New limit of linked accounts.
    pub max_sessions: Option<i64>,
}

/// Outcome of changing something that has a rule about its last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Updated<T> {
    /// Changed; the new state.
    Done(T),
    /// There is no such thing.
    Missing,
    /// Refused: it is the last active admin.
    LastAdmin,
}

order_fields! {
    /// What users can be sorted by.
    UserOrder {
        /// When the user was made.
        CreatedAt = "created_at",
        /// Login name.
        Username = "username",
        /// E-mail address.
        Email = "email",
    }
}

/// Which users to list.
#[derive(Debug, Clone, Default)]
pub struct UserFilter {
    /// Part of the login name or e-mail address, without case.
    pub search: Option<String>,
    /// Only active or only inactive ones.
    pub is_active: Option<bool>,
    /// Only admins or only others.
    pub is_admin: Option<bool>,
    /// Order of the list.
    pub ordering: Ordering<UserOrder>,
}

impl Store {
    /// Makes a user; `Conflict` on `username` or `email` when one of them is taken.
    pub async fn create_user(&self, new: NewUser) -> Result<User, StoreError> {
        let _ = new;
        Err(crate::not_yet())
    }
    /// One user.
    pub async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        let _ = id;
        Err(crate::not_yet())
    }
    /// The user of a login name with the stored password hash, for checking a password.
    pub async fn user_credentials(&self, username: &str) -> Result<Option<(User, String)>, StoreError> {
        let _ = username;
        Err(crate::not_yet())
    }
    /// A page of the users.
    pub async fn list_users(&self, filter: &UserFilter, page: Page) -> Result<Listed<User>, StoreError> {
        let _ = (filter, page);
        Err(crate::not_yet())
    }
    /// Changes a user. The last active admin can't be demoted or deactivated; that is checked in the same transaction.
    pub async fn update_user(&self, id: UserId, patch: UserPatch) -> Result<Updated<User>, StoreError> {
        let _ = (id, patch);
        Err(crate::not_yet())
    }
    /// Removes a user with keys, logins, sessions, Signal state, messages and events. The caller has logged the accounts out before.
    pub async fn delete_user(&self, id: UserId) -> Result<Updated<()>, StoreError> {
        let _ = id;
        Err(crate::not_yet())
    }
    /// How many users there are.
    pub async fn count_users(&self) -> Result<u64, StoreError> {
        Err(crate::not_yet())
    }
}
