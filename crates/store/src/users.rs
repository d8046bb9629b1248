//! Users: the tenants that own everything else, and their password hashes, which leave only for a login.

use crate::dialect::{On, query, query_as, query_scalar, refused};
use crate::page::{found_in, listed, order_fields};
use crate::rows::user;
use crate::writer::Tx;
use crate::{Listed, Ordering, Page, Store, StoreError};
use sanasend_model::quiet::QuietHours;
use sanasend_model::{Timestamp, UserId};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use uuid::Uuid;

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
    /// When nobody is written to, where the user has set it.
    pub quiet_hours: Option<QuietHours>,
    /// Since when the user is being removed, where it is: nothing of it can be changed any more.
    pub removal_at: Option<Timestamp>,
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
    /// Refused: the user is being removed.
    BeingRemoved,
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

/// Whether taking admin rights or activity from this user would leave no active admin.
pub(crate) async fn is_last_admin(tx: &mut Tx, id: UserId) -> Result<bool, StoreError> {
    let sql = "SELECT (SELECT COUNT(*) FROM users WHERE id = ? AND is_admin AND is_active) > 0 \
               AND (SELECT COUNT(*) FROM users WHERE id <> ? AND is_admin AND is_active) = 0";
    query_scalar(sql).bind(id.0).bind(id.0).fetch_one(&mut tx.conn).await.map_err(refused)
}

/// One user, inside a transaction or outside.
pub(crate) async fn find<'c>(conn: impl Into<On<'c>>, id: UserId) -> Result<Option<User>, StoreError> {
    let sql = "SELECT id, username, email, is_active, is_admin, max_messages_per_day, max_messages_per_minute, max_sessions, \
               quiet_hours, removal_at, created_at, updated_at FROM users WHERE id = ?";
    let row = query_as::<_, user::Model>(sql).bind(id.0).fetch_optional(conn);
    Ok(row.await.map_err(refused)?.map(User::from))
}

impl Store {
    /// Makes a user; `Conflict` on `username` or `email` when one of them is taken.
    pub async fn create_user(&self, new: NewUser) -> Result<User, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let (id, now) = (UserId::new(&*tx.clock), tx.clock.now());
                let sql = "INSERT INTO users (id, username, email, password_hash, is_active, is_admin, max_messages_per_day, \
                           max_messages_per_minute, max_sessions, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
                let insert = query(sql).bind(id.0).bind(new.username).bind(new.email).bind(new.password_hash);
                let insert = insert.bind(new.is_active).bind(new.is_admin).bind(new.max_messages_per_day);
                let insert = insert.bind(new.max_messages_per_minute).bind(new.max_sessions).bind(now.0).bind(now.0);
                insert.execute(&mut tx.conn).await.map_err(refused)?;
                find(&mut tx.conn, id).await?.ok_or_else(|| StoreError::Unavailable("the user was not written".into()))
            })
        })
        .await
    }

    /// One user.
    pub async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        find(&self.inner.readers, id).await
    }

    /// The user of a login name with the stored password hash, for checking a password.
    pub async fn user_credentials(&self, username: &str) -> Result<Option<(User, String)>, StoreError> {
        let sql = "SELECT id, password_hash FROM users WHERE username = ?";
        let row = query_as::<_, (Uuid, String)>(sql).bind(username).fetch_optional(&self.inner.readers);
        let Some((id, hash)) = row.await.map_err(refused)? else { return Ok(None) };
        Ok(self.user(UserId(id)).await?.map(|user| (user, hash)))
    }

    /// A page of the users.
    pub async fn list_users(&self, filter: &UserFilter, page: Page) -> Result<Listed<User>, StoreError> {
        let mut rows = user::Entity::find();
        if let Some(text) = &filter.search {
            let columns = [user::Column::Username, user::Column::Email];
            rows = rows.filter(found_in(&columns, text));
        }
        if let Some(is_active) = filter.is_active {
            rows = rows.filter(user::Column::IsActive.eq(is_active));
        }
        if let Some(is_admin) = filter.is_admin {
            rows = rows.filter(user::Column::IsAdmin.eq(is_admin));
        }
        let column = match filter.ordering.by {
            UserOrder::CreatedAt => user::Column::CreatedAt,
            UserOrder::Username => user::Column::Username,
            UserOrder::Email => user::Column::Email,
        };
        let rows = rows.order_by(column, filter.ordering.direction()).order_by(user::Column::Id, filter.ordering.direction());
        Ok(listed(rows, page, &self.inner.readers).await?.map(User::from))
    }

    /// Changes a user. The last active admin can't be demoted or deactivated, and who is being removed is not changed at all;
    /// that is checked in the same transaction.
    pub async fn update_user(&self, id: UserId, patch: UserPatch) -> Result<Updated<User>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let loses = patch.is_admin == Some(false) || patch.is_active == Some(false);
                if loses && is_last_admin(tx, id).await? {
                    return Ok(Updated::LastAdmin);
                }
                if find(&mut tx.conn, id).await?.is_some_and(|user| user.removal_at.is_some()) {
                    return Ok(Updated::BeingRemoved);
                }
                let sql = "UPDATE users SET username = COALESCE(?, username), email = COALESCE(?, email), \
                           password_hash = COALESCE(?, password_hash), is_admin = COALESCE(?, is_admin), \
                           is_active = COALESCE(?, is_active), max_messages_per_day = COALESCE(?, max_messages_per_day), \
                           max_messages_per_minute = COALESCE(?, max_messages_per_minute), \
                           max_sessions = COALESCE(?, max_sessions), updated_at = ? WHERE id = ?";
                let update = query(sql).bind(patch.username).bind(patch.email).bind(patch.password_hash);
                let update = update.bind(patch.is_admin).bind(patch.is_active).bind(patch.max_messages_per_day);
                let update = update.bind(patch.max_messages_per_minute).bind(patch.max_sessions);
                update.bind(tx.clock.now().0).bind(id.0).execute(&mut tx.conn).await.map_err(refused)?;
                Ok(find(&mut tx.conn, id).await?.map_or(Updated::Missing, Updated::Done))
            })
        })
        .await
    }

    /// Sets when nobody is written to; `None` when the user is not there.
    pub async fn set_quiet_hours(&self, id: UserId, hours: QuietHours) -> Result<Option<User>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let update = query("UPDATE users SET quiet_hours = ?, updated_at = ? WHERE id = ?").bind(hours.to_string());
                update.bind(tx.clock.now().0).bind(id.0).execute(&mut tx.conn).await.map_err(refused)?;
                find(&mut tx.conn, id).await
            })
        })
        .await
    }

    /// How many users there are.
    pub async fn count_users(&self) -> Result<u64, StoreError> {
        let count: i64 = query_scalar("SELECT COUNT(*) FROM users").fetch_one(&self.inner.readers).await.map_err(refused)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }
}
