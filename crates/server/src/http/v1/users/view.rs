//! A user as callers see it, and as they write it.

use crate::http::extract::present;
use sanasend_model::{FieldErrors, Timestamp, UserId, user};
use sanasend_store::{User, UserPatch};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most messages that a limit can allow.
const MOST_MESSAGES: i64 = 1_000_000_000;
/// Most linked accounts that a limit can allow.
const MOST_SESSIONS: i64 = 1_000_000;

/// A user. The password is never in it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "User")]
pub struct UserView {
    /// Id.
    #[schema(value_type = String, format = "uuid", example = "01936b1e-7a40-7c3e-8b5e-2f6d1c0a9e77")]
    pub id: UserId,
    /// Login name, in lower case.
    #[schema(example = "anna")]
    pub username: String,
    /// E-mail address.
    #[schema(example = "anna@example.com")]
    pub email: String,
    /// Whether keys, logins and sending work.
    #[schema(example = true)]
    pub is_active: bool,
    /// Whether it may manage users.
    #[schema(example = false)]
    pub is_admin: bool,
    /// Most messages per day (UTC).
    #[schema(example = 1000)]
    pub max_messages_per_day: i64,
    /// Most messages per minute.
    #[schema(example = 60)]
    pub max_messages_per_minute: i64,
    /// Most linked WhatsApp accounts.
    #[schema(example = 1)]
    pub max_sessions: i64,
    /// Since when it is being deleted; null for all others. It is gone when everything of it is.
    #[schema(value_type = Option<String>, format = DateTime, example = json!(null))]
    pub deleting_since: Option<Timestamp>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T08:30:00.000Z")]
    pub created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T08:30:00.000Z")]
    pub updated_at: Timestamp,
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        Self {
            id: user.id,
            username: user.username.clone(),
            email: user.email.clone(),
            is_active: user.is_active,
            is_admin: user.is_admin,
            max_messages_per_day: user.max_messages_per_day,
            max_messages_per_minute: user.max_messages_per_minute,
            max_sessions: user.max_sessions,
            deleting_since: user.removal_at,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

/// A whole user, as it is created or replaced. What is left out takes the default.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WholeUser {
    /// 3 to 64 of `a-z`, `0-9`, `.`, `_`, `-`, `@`; kept in lower case.
    #[schema(example = "anna", pattern = "^[A-Za-z0-9._@-]{3,64}$")]
    pub username: String,
    /// E-mail address.
    #[schema(example = "anna@example.com", format = "email", max_length = 254)]
    pub email: String,
    /// At least 10 characters. Required for a new user; when replacing one, left out means unchanged.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, nullable = false, example = "correct horse battery", format = Password, min_length = 10, max_length = 256)]
    pub password: Option<String>,
    /// Whether keys, logins and sending work.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub is_active: bool,
    /// Whether it may manage users.
    #[serde(default)]
    #[schema(default = false)]
    pub is_admin: bool,
    /// Most messages per day (UTC).
    #[serde(default = "default_per_day")]
    #[schema(default = 1000, minimum = 0, maximum = 1_000_000_000)]
    pub max_messages_per_day: i64,
    /// Most messages per minute.
    #[serde(default = "default_per_minute")]
    #[schema(default = 60, minimum = 1, maximum = 1_000_000_000)]
    pub max_messages_per_minute: i64,
    /// Most linked WhatsApp accounts.
    #[serde(default = "default_sessions")]
    #[schema(default = 1, minimum = 0, maximum = 1_000_000)]
    pub max_sessions: i64,
}

/// What to change of a user; what is left out stays as it is.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PartOfUser {
    /// 3 to 64 of `a-z`, `0-9`, `.`, `_`, `-`, `@`; kept in lower case.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, nullable = false, example = "anna", pattern = "^[A-Za-z0-9._@-]{3,64}$")]
    pub username: Option<String>,
    /// E-mail address.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, nullable = false, example = "anna@example.com", format = "email", max_length = 254)]
    pub email: Option<String>,
    /// At least 10 characters. Ends all logins of the user.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, nullable = false, example = "correct horse battery", format = Password, min_length = 10, max_length = 256)]
    pub password: Option<String>,
    /// Whether keys, logins and sending work.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<bool>, nullable = false)]
    pub is_active: Option<bool>,
    /// Whether it may manage users.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<bool>, nullable = false)]
    pub is_admin: Option<bool>,
    /// Most messages per day (UTC).
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<i64>, nullable = false, minimum = 0, maximum = 1_000_000_000)]
    pub max_messages_per_day: Option<i64>,
    /// Most messages per minute.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<i64>, nullable = false, minimum = 1, maximum = 1_000_000_000)]
    pub max_messages_per_minute: Option<i64>,
    /// Most linked WhatsApp accounts.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<i64>, nullable = false, minimum = 0, maximum = 1_000_000)]
    pub max_sessions: Option<i64>,
}

impl From<WholeUser> for PartOfUser {
    fn from(whole: WholeUser) -> Self {
        Self {
            username: Some(whole.username),
            email: Some(whole.email),
            password: whole.password,
            is_active: Some(whole.is_active),
            is_admin: Some(whole.is_admin),
            max_messages_per_day: Some(whole.max_messages_per_day),
            max_messages_per_minute: Some(whole.max_messages_per_minute),
            max_sessions: Some(whole.max_sessions),
        }
    }
}

impl PartOfUser {
    /// Checks every field that is there; `present_name` is the name that the user has without this change. The
    /// password is checked and not yet hashed: it is not in the patch.
    ///
    /// # Errors
    /// All refusals at once.
    pub fn check(&self, present_name: &str) -> Result<UserPatch, FieldErrors> {
        let mut errors = FieldErrors::default();
        let mut limit = |field: &str, value: Option<i64>, least: i64, most: i64| {
            value.and_then(|value| errors.take(user::limit(field, value, least, most)))
        };
        let max_messages_per_day = limit("max_messages_per_day", self.max_messages_per_day, 0, MOST_MESSAGES);
        let max_messages_per_minute = limit("max_messages_per_minute", self.max_messages_per_minute, 1, MOST_MESSAGES);
        let max_sessions = limit("max_sessions", self.max_sessions, 0, MOST_SESSIONS);
        let username = self.username.as_deref().and_then(|text| errors.take(user::username(text)));
        let email = self.email.as_deref().and_then(|text| errors.take(user::email(text)));
        if let Some(password) = &self.password {
            errors.take(user::password(password, username.as_deref().unwrap_or(present_name)));
        }
        errors.into_result()?;
        Ok(UserPatch {
            username,
            email,
            password_hash: None,
            is_admin: self.is_admin,
            is_active: self.is_active,
            max_messages_per_day,
            max_messages_per_minute,
            max_sessions,
        })
    }
}

fn yes() -> bool {
    true
}

fn default_per_day() -> i64 {
    user::DEFAULT_MESSAGES_PER_DAY
}

fn default_per_minute() -> i64 {
    user::DEFAULT_MESSAGES_PER_MINUTE
}

fn default_sessions() -> i64 {
    user::DEFAULT_MAX_SESSIONS
}
