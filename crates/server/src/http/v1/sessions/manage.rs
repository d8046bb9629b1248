//! Looking at sessions, taking them offline and back, deleting them.

use super::view::SessionView;
use crate::app::App;
use crate::http::v1::messages::{choose, own};
use crate::http::{Answer, ApiError, Caller, ErrorCode, OptionalJson, Origin, Paged, Path, Query, Success, audit, page, paged};
use crate::sessions::{Left, qr};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use sanasend_model::{FieldErrors, Invalid, SessionId, SessionStatus};
use sanasend_store::{Session, SessionFilter, SessionOrder};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Which session is meant.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Name or id of the session. Not needed when there is one, or one named `default`.
    pub session: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListSessions {
    /// Number of the page, from 1.
    #[param(minimum = 1)]
    pub(crate) page: Option<u64>,
    /// Entries per page, at most 100.
    #[param(minimum = 1, maximum = 100)]
    pub(crate) page_size: Option<u64>,
    /// Only in this status.
    #[param(
        example = "connected",
        pattern = "^(disconnected|qr_pending|passkey_required|connecting|connected|degraded|logged_out|failed)$"
    )]
    pub(crate) status: Option<String>,
    /// Part of the name, of the number or of the account's own name.
    pub(crate) search: Option<String>,
    /// `created_at`, `name`, `last_active_at` or `status`; with `-` for the reverse.
    #[param(example = "-created_at", pattern = "^-?(created_at|name|last_active_at|status)$")]
    pub(crate) ordering: Option<String>,
}

/// How to leave.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Disconnect {
    /// `true` (the default) unlinks the account; `false` only goes offline.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub(crate) logout: bool,
}

/// What came of leaving.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LeftView {
    /// Whether the account was unlinked.
    pub(crate) unlinked: bool,
    /// Whether WhatsApp was told of it. If not, remove the device on the phone, under Linked devices.
    pub(crate) unlinked_at_whatsapp: bool,
    /// The session now; null when it was deleted.
    pub(crate) session: Option<SessionView>,
}

impl Default for Disconnect {
    fn default() -> Self {
        Self { logout: true }
    }
}

fn yes() -> bool {
    true
}

/// List sessions
///
/// Your own, newest first unless `ordering` says otherwise.
#[utoipa::path(get, path = "/sessions/", tag = "sessions", params(ListSessions),
    responses((status = 200, description = "One page.", body = Success<Paged<SessionView>>)),
    extensions(("x-scope" = json!("sessions:read"))))]
pub(crate) async fn list_sessions(
    State(app): State<Arc<App>>,
    caller: Caller,
    origin: Origin,
    Query(asked): Query<ListSessions>,
) -> Result<Answer<Paged<SessionView>>, ApiError> {
    let page = page(asked.page, asked.page_size)?;
    let mut filter = SessionFilter { user_id: Some(caller.id()), search: asked.search, ..SessionFilter::default() };
    let mut errors = FieldErrors::default();
    if let Some(status) = &asked.status {
        let names: Vec<&str> = SessionStatus::ALL.iter().map(|status| status.as_str()).collect();
        let refuse = |()| Invalid::new("status", format!("must be one of {}", names.join(", ")));
        filter.status = errors.take(status.parse().map_err(refuse));
    }
    if let Some(ordering) = &asked.ordering {
        let refuse = |()| Invalid::new("ordering", format!("must be one of {}, with - for the reverse", SessionOrder::NAMES.join(", ")));
        filter.ordering = errors.take(ordering.parse().map_err(refuse)).unwrap_or_default();
    }
    errors.into_result()?;
    let listed = app.store.list_sessions(&filter, page).await?;
    Ok(Answer::ok("Sessions.", paged(listed, &page, &origin, |row| view(&app, row))))
}

/// Get the status of a session
///
/// What the link is at this moment, and the present QR code while one waits to be scanned.
#[utoipa::path(get, path = "/sessions/status/", tag = "sessions", params(Which),
    responses((status = 200, description = "The session.", body = Success<SessionView>)),
    extensions(("x-scope" = json!("sessions:read")), ("x-error-codes" = json!(["NOT_FOUND"]))))]
pub(crate) async fn get_session_status(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(which): Query<Which>,
) -> Result<Answer<SessionView>, ApiError> {
    let row = find(&app, &caller, &which).await?;
    Ok(Answer::ok("The session.", view(&app, row)))
}

/// Get the QR code as a picture
///
/// A PNG, to be opened in a browser or shown on a screen.
#[utoipa::path(get, path = "/sessions/qr.png/", tag = "sessions", params(Which),
    responses((status = 200, description = "The code to scan now.", content_type = "image/png", body = Vec<u8>)),
    extensions(("x-scope" = json!("sessions:manage")), ("x-error-codes" = json!(["NOT_FOUND", "WRONG_STATE"]))))]
pub(crate) async fn get_session_picture(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(which): Query<Which>,
) -> Result<Response, ApiError> {
    let row = find(&app, &caller, &which).await?;
    let code = app.sessions.live(&row).qr;
    let picture = code.and_then(|code| qr::png(&code.text));
    let picture =
        picture.ok_or_else(|| ApiError::because(ErrorCode::WrongState, "No QR code waits to be scanned; start linking first."))?;
    Ok(([(header::CONTENT_TYPE, "image/png")], picture).into_response())
}

/// Get a session
///
/// The same as `GET /sessions/status/`, by id.
#[utoipa::path(get, path = "/sessions/{id}/", tag = "sessions", params(("id" = String, Path, format = "uuid", description = "Id of the session.")),
    responses((status = 200, description = "The session.", body = Success<SessionView>)),
    extensions(("x-scope" = json!("sessions:read"))))]
pub(crate) async fn get_session(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<SessionId>,
) -> Result<Answer<SessionView>, ApiError> {
    let row = own(&app, caller.id(), id).await?;
    app.sessions.look(&row).await;
    Ok(Answer::ok("The session.", view(&app, row)))
}

/// Disconnect a session
///
/// Logs the account out: WhatsApp removes the device, its credentials are erased, and what waits to be sent fails with
/// `ACCOUNT_UNLINKED`. With `{"logout": false}` it only goes offline: messages are still accepted and wait.
#[utoipa::path(post, path = "/sessions/disconnect/", tag = "sessions", request_body = Disconnect, params(Which),
    responses((status = 200, description = "Done.", body = Success<LeftView>)),
    extensions(("x-scope" = json!("sessions:manage")), ("x-error-codes" = json!(["NOT_FOUND", "WRONG_STATE"]))))]
pub(crate) async fn disconnect_session(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(which): Query<Which>,
    OptionalJson(asked): OptionalJson<Disconnect>,
) -> Result<Answer<LeftView>, ApiError> {
    let row = find(&app, &caller, &which).await?;
    let was_idle = !app.sessions.live(&row).linked && !app.sessions.is_running(row.id);
    if was_idle {
        return Err(ApiError::because(ErrorCode::WrongState, "No account is linked here, and none is being linked."));
    }
    let left = app.sessions.leave(&row, asked.logout).await?;
    let action = if asked.logout { "session.logged_out" } else { "session.taken_offline" };
    note(&app, &caller, action, &row).await;
    let message = said(left);
    let row = app.store.session(row.id).await?;
    Ok(Answer::ok(message, left_view(left, row.map(|row| view(&app, row)))))
}

/// Reconnect a session
///
/// Brings a linked account online that was taken offline, or tries at once when it waits before its next try.
#[utoipa::path(post, path = "/sessions/reconnect/", tag = "sessions", params(Which),
    responses((status = 200, description = "On its way.", body = Success<SessionView>)),
    extensions(("x-scope" = json!("sessions:manage")), ("x-error-codes" = json!(["NOT_FOUND", "SESSION_NOT_LINKED", "WRONG_STATE"]))))]
pub(crate) async fn reconnect_session(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(which): Query<Which>,
) -> Result<Answer<SessionView>, ApiError> {
    let row = find(&app, &caller, &which).await?;
    if !app.sessions.reconnect(&row).await? {
        let live = app.sessions.live(&row);
        return Err(if live.linked {
            ApiError::because(ErrorCode::WrongState, live.reason.map(|reason| reason.text).unwrap_or_default())
        } else {
            ErrorCode::SessionNotLinked.into()
        });
    }
    let row = app.store.session(row.id).await?.ok_or_else(ApiError::not_found)?;
    Ok(Answer::ok("Reconnecting.", view(&app, row)))
}

/// Delete a session
///
/// Logs the account out if it is linked, and removes the session with its messages.
#[utoipa::path(delete, path = "/sessions/{id}/", tag = "sessions", params(("id" = String, Path, format = "uuid", description = "Id of the session.")),
    responses((status = 200, description = "It is gone.", body = Success<LeftView>)),
    extensions(("x-scope" = json!("sessions:manage"))))]
pub(crate) async fn delete_session(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<SessionId>,
) -> Result<Answer<LeftView>, ApiError> {
    let row = own(&app, caller.id(), id).await?;
    let left = app.sessions.delete(&row).await?;
    note(&app, &caller, "session.deleted", &row).await;
    let message = if left == Left::UnlinkedHereOnly { said(left) } else { "Deleted." };
    Ok(Answer::ok(message, left_view(left, None)))
}

/// Accounts that come and go touch security: who holds one can read what it receives.
pub(crate) async fn note(app: &App, caller: &Caller, action: &'static str, row: &Session) {
    let detail = json!({"user": row.user_id, "name": row.name, "network": row.network, "key": caller.key.as_ref().map(|key| key.id)});
    audit::note(app, caller, action, format!("session {}", row.id), detail).await;
}

/// The row of the caller's session that is meant.
pub(crate) async fn find(app: &App, caller: &Caller, which: &Which) -> Result<Session, ApiError> {
    let row = choose(app, caller.id(), which.session.as_deref()).await?;
    app.sessions.look(&row).await;
    Ok(row)
}

/// A session as it is now.
pub(crate) fn view(app: &App, row: Session) -> SessionView {
    let (live, last_active) = (app.sessions.live(&row), app.sessions.last_active(&row));
    SessionView::new(row, live, last_active)
}

fn left_view(left: Left, session: Option<SessionView>) -> LeftView {
    let unlinked = matches!(left, Left::Unlinked | Left::UnlinkedHereOnly);
    LeftView { unlinked, unlinked_at_whatsapp: left == Left::Unlinked, session }
}

fn said(left: Left) -> &'static str {
    match left {
        Left::Offline => "Offline. The account is still linked; POST /api/v1/sessions/reconnect/ brings it back.",
        Left::Unlinked => "Logged out; WhatsApp removed the device.",
        Left::UnlinkedHereOnly => "Logged out here, but WhatsApp could not be told: remove the device on the phone, under Linked devices.",
        Left::Nothing => "Linking was given up.",
    }
}
