//! Doing something with a message that exists: take it back, try it again, tell its sender that it was read.

use super::choose::own;
use super::view::MessageView;
use crate::app::App;
use crate::http::{Answer, ApiError, Caller, ErrorCode, Path, Success};
use axum::extract::State;
use sanasend_model::retry::AttemptError;
use sanasend_model::{Direction, Jid, MessageId};
use sanasend_store::{Message, Settled};
use std::sync::Arc;

/// Cancel a message
///
/// Possible as long as nothing of it may have left.
#[utoipa::path(post, path = "/messages/{id}/cancel/", tag = "messages", params(("id" = String, Path, format = "uuid", description = "Id of the message.")),
    responses((status = 200, description = "It will not be sent.", body = Success<MessageView>)),
    extensions(("x-scope" = json!("messages:send")), ("x-error-codes" = json!(["WRONG_STATE"]))))]
pub(crate) async fn cancel_message(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<MessageId>,
) -> Result<Answer<MessageView>, ApiError> {
    let message = outcome(app.outbox.cancel(caller.id(), id).await?, "It can't be canceled any more")?;
    Ok(Answer::ok("Canceled.", MessageView::from(message)))
}

/// Retry a failed message
///
/// Puts it back on its way with a new deadline and the same WhatsApp id, so that the recipient sees it once even if
/// the failed attempt had arrived.
#[utoipa::path(post, path = "/messages/{id}/retry/", tag = "messages", params(("id" = String, Path, format = "uuid", description = "Id of the message.")),
    responses((status = 202, description = "On its way again.", body = Success<MessageView>)),
    extensions(("x-scope" = json!("messages:send")), ("x-error-codes" = json!(["WRONG_STATE", "SESSION_NOT_LINKED"]))))]
pub(crate) async fn retry_message(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<MessageId>,
) -> Result<Answer<MessageView>, ApiError> {
    let message = app.store.message(Some(caller.id()), id).await?.ok_or_else(ApiError::not_found)?;
    let session = own(&app, caller.id(), message.session_id).await?;
    if !app.sessions.live(&session).linked {
        return Err(ErrorCode::SessionNotLinked.into());
    }
    let message = outcome(app.outbox.retry(caller.id(), id).await?, "Only a failed message can be retried")?;
    Ok(Answer::accepted("On its way again.", MessageView::from(message)))
}

/// Mark an incoming message as read
///
/// Its sender sees it, as far as the account's privacy settings allow.
#[utoipa::path(post, path = "/messages/{id}/read/", tag = "messages", params(("id" = String, Path, format = "uuid", description = "Id of the message.")),
    responses((status = 200, description = "The sender is told.", body = Success<MessageView>)),
    extensions(("x-scope" = json!("messages:send")), ("x-error-codes" = json!(["WRONG_STATE", "SESSION_NOT_LINKED", "SERVICE_UNAVAILABLE"]))))]
pub(crate) async fn read_message(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<MessageId>,
) -> Result<Answer<MessageView>, ApiError> {
    let message = app.store.message(Some(caller.id()), id).await?.ok_or_else(ApiError::not_found)?;
    if message.direction != Direction::Inbound {
        return Err(ApiError::because(ErrorCode::WrongState, "Only incoming messages can be marked as read."));
    }
    let session = own(&app, caller.id(), message.session_id).await?;
    if !app.sessions.live(&session).linked {
        return Err(ErrorCode::SessionNotLinked.into());
    }
    let sender: Option<Jid> = if message.chat.is_group() { message.peer.lid.clone().or_else(|| message.peer.jid.clone()) } else { None };
    let told = app.sessions.mark_read(&session, message.chat.clone(), sender, vec![message.wa_message_id.clone()]).await;
    told.map_err(|error| match error {
        AttemptError::Offline => ApiError::because(ErrorCode::WrongState, "The account is not connected; try again when it is."),
        other => ApiError::unavailable(format!("{other:?}")),
    })?;
    Ok(Answer::ok("Marked as read.", MessageView::from(message)))
}

pub(super) fn outcome(settled: Settled, wrong: &str) -> Result<Message, ApiError> {
    match settled {
        Settled::Done(message) => Ok(*message),
        Settled::Missing => Err(ApiError::not_found()),
        Settled::WrongState(status) => Err(ApiError::because(ErrorCode::WrongState, format!("{wrong}; it is {status}."))),
    }
}
