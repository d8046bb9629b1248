//! Which of the caller's accounts a request is about.

use crate::app::App;
use crate::http::{ApiError, ErrorCode};
use crate::sessions::Known;
use sanasend_model::{SessionId, UserId};
use sanasend_store::{Page, Session, SessionFilter};

/// Name of the account that is meant when none is named.
pub(crate) const DEFAULT: &str = "default";

/// The linked account that a message goes through: the one named (by name or id), else `default`, else the only
/// one there is.
///
/// # Errors
/// `NOT_FOUND` for a name that the user has not, `SESSION_NOT_LINKED` when there is nothing to send with,
/// `VALIDATION_ERROR` when there are several and none is named.
pub(in crate::http::v1) async fn choose_linked(app: &App, user: UserId, named: Option<&str>) -> Result<Known, ApiError> {
    let known = match app.sessions.known(user, named.unwrap_or(DEFAULT)) {
        Some(known) => known,
        None => match choose(app, user, named).await {
            Ok(row) => app.sessions.learn(&row),
            Err(refused) if named.is_none() && refused.code == ErrorCode::NotFound => return Err(ErrorCode::SessionNotLinked.into()),
            Err(refused) => return Err(refused),
        },
    };
    if known.seat.is_linked() { Ok(known) } else { Err(ErrorCode::SessionNotLinked.into()) }
}

/// The row of the account that is meant.
///
/// # Errors
/// As above, `NOT_FOUND` when the user has none.
pub(in crate::http::v1) async fn choose(app: &App, user: UserId, named: Option<&str>) -> Result<Session, ApiError> {
    if let Some(row) = app.store.session_of(user, named.unwrap_or(DEFAULT)).await? {
        return Ok(row);
    }
    match named {
        Some(text) => {
            let id: SessionId = text.parse().map_err(|_| ApiError::not_found())?;
            own(app, user, id).await
        }
        None => the_only_one(app, user).await,
    }
}

/// A user's own session; another's does not exist.
///
/// # Errors
/// `NOT_FOUND`.
pub(in crate::http::v1) async fn own(app: &App, user: UserId, id: SessionId) -> Result<Session, ApiError> {
    let row = app.store.session(id).await?;
    row.filter(|row| row.user_id == user).ok_or_else(ApiError::not_found)
}

async fn the_only_one(app: &App, user: UserId) -> Result<Session, ApiError> {
    let filter = SessionFilter { user_id: Some(user), ..SessionFilter::default() };
    let mut listed = app.store.list_sessions(&filter, Page { page: 1, page_size: 2 }).await?;
    match (listed.count, listed.results.pop()) {
        (1, Some(row)) => Ok(row),
        (0, _) | (_, None) => Err(ApiError::not_found()),
        _ => Err(ApiError::field("session", "is required: you have several accounts; name one of them")),
    }
}
