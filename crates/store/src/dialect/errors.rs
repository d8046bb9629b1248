//! What the errors of a database mean to callers.

use crate::StoreError;
use sqlx::error::ErrorKind;

/// Parts of a database's message and what to call the conflict. SQLite names the columns of a unique index, PostgreSQL the
/// index itself.
const CONFLICTS: &[(&str, &str)] = &[
    ("users.username", "username"),
    ("users_username", "username"),
    ("users_email", "email"),
    ("api_keys.prefix", "prefix"),
    ("api_keys_prefix", "prefix"),
    ("refresh_tokens.digest", "refresh_digest"),
    ("refresh_tokens_pkey", "refresh_digest"),
    ("sessions.user_id, sessions.name", "name"),
    ("sessions_name", "name"),
    ("templates.user_id, templates.name", "name"),
    ("templates_of_user", "name"),
    ("recurring.user_id, recurring.name", "name"),
    ("recurring_of_user", "name"),
    ("messages.wa_message_id", "wa_message_id"),
    ("messages_wa_id", "wa_message_id"),
    ("outbox.message_id", "message"),
    ("outbox_message", "message"),
    (".id", "id"),
    ("_pkey", "id"),
];

/// Tables whose rows are read by name, for [`named`].
const TABLES: &[&str] = &[
    "users",
    "api_keys",
    "sessions",
    "messages",
    "events",
    "outbox",
    "jobs",
    "audit_log",
    "webhook_endpoints",
    "webhook_deliveries",
    "webhook_attempts",
    "campaigns",
    "campaign_recipients",
    "api_log",
    "contacts",
    "opt_outs",
    "contact_imports",
    "templates",
    "recurring",
];

/// Writes the table into an error about a column, which knows only the column.
pub(crate) fn named(table: &'static str, error: sqlx::Error) -> sqlx::Error {
    match error {
        sqlx::Error::ColumnDecode { index, source } => {
            sqlx::Error::ColumnDecode { index: format!("{table}.{}", index.trim_matches('"')), source }
        }
        other => other,
    }
}

/// What an error of the database means to callers.
pub(crate) fn refused(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(database) => match database.kind() {
            ErrorKind::UniqueViolation => {
                let message = database.message();
                let what = CONFLICTS.iter().find(|(part, _)| message.contains(part)).map_or("row", |(_, what)| what);
                StoreError::Conflict { what }
            }
            ErrorKind::ForeignKeyViolation => StoreError::Conflict { what: "owner" },
            _ => unavailable(error),
        },
        sqlx::Error::ColumnDecode { index, .. } => {
            let (table, column) = index.split_once('.').unwrap_or(("", index));
            let table = TABLES.iter().find(|known| **known == table).unwrap_or(&"database");
            StoreError::Corrupt { table, row: "unknown".into(), column: column.trim_matches('"').to_owned() }
        }
        _ => unavailable(error),
    }
}

/// What an error of SeaORM means to callers; it is used for migrations only.
pub(crate) fn refused_orm(error: sea_orm::DbErr) -> StoreError {
    match error {
        sea_orm::DbErr::Query(sea_orm::RuntimeErr::SqlxError(error)) | sea_orm::DbErr::Exec(sea_orm::RuntimeErr::SqlxError(error)) => {
            match std::sync::Arc::try_unwrap(error) {
                Ok(error) => refused(error),
                Err(error) => StoreError::Unavailable(error.to_string()),
            }
        }
        other => StoreError::Unavailable(other.to_string()),
    }
}

/// The database did not do what it was asked.
#[expect(clippy::needless_pass_by_value, reason = "used as a function for `map_err`")]
pub(crate) fn unavailable(error: sqlx::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

/// Whether a connection is of no use after this error: it broke, or the server is going down.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        // Class 57P: the server shuts down, crashed, or does not take anybody yet. Class 08: the connection is broken.
        sqlx::Error::Database(database) => database.code().is_some_and(|code| code.starts_with("57P") || code.starts_with("08")),
        _ => false,
    }
}
