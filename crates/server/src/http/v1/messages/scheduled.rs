//! Messages that wait for their date: the list of them, and changing one before it goes. `act` takes them back.

use super::asked::check_date;
use super::choose::choose;
use super::view::MessageView;
use crate::app::App;
use crate::http::extract::present;
use crate::http::{Answer, ApiError, Caller, Json, Origin, Paged, Path, Query, Success, page, paged};
use axum::extract::State;
use sanasend_model::{Content, FieldErrors, Invalid, MessageId, Timestamp, UserId};
use sanasend_store::Reschedule;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Which messages to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListScheduled {
    /// Number of the page, from 1.
    #[param(minimum = 1, example = 1)]
    page: Option<u64>,
    /// Messages per page.
    #[param(minimum = 1, maximum = 100, example = 20)]
    page_size: Option<u64>,
    /// Only of this account: name or id.
    session: Option<String>,
    /// Only those of this user (for admins; others see their own only).
    #[param(value_type = Option<String>, format = "uuid")]
    user: Option<UserId>,
}

/// What to change of a message that waits; what is left out stays as it is.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PartOfMessage {
    /// When to send it. Its deadline moves along.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, nullable = false, format = DateTime, example = "2027-01-01T09:00:00Z")]
    pub(crate) scheduled_at: Option<Timestamp>,
    /// The new text, of a text.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, nullable = false, example = "Your order is ready.")]
    pub(crate) content: Option<String>,
    /// The new text beside its file, of a message that carries one.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, nullable = false, example = "")]
    pub(crate) caption: Option<String>,
}

/// List scheduled messages
///
/// Those that wait for their date or for the end of quiet hours; the next one first.
#[utoipa::path(get, path = "/messages/scheduled/", tag = "messages", params(ListScheduled),
    responses((status = 200, description = "One page.", body = Success<Paged<MessageView>>)),
    extensions(("x-scope" = json!("messages:read")), ("x-error-codes" = json!(["NOT_FOUND"]))))]
pub(crate) async fn list_scheduled_messages(
    State(app): State<Arc<App>>,
    caller: Caller,
    origin: Origin,
    Query(asked): Query<ListScheduled>,
) -> Result<Answer<Paged<MessageView>>, ApiError> {
    let page = page(asked.page, asked.page_size)?;
    let session = match &asked.session {
        Some(named) => Some(choose(&app, caller.whose(asked.user), Some(named)).await?.id),
        None => None,
    };
    let listed = app.store.list_scheduled(caller.whose_or_all(asked.user), session, page).await?;
    Ok(Answer::ok("Scheduled messages.", paged(listed, &page, &origin, MessageView::from)))
}

/// Change a scheduled message
///
/// Its date or its words, as long as it is `scheduled`. A date that is set here is kept: quiet hours are not asked again.
#[utoipa::path(patch, path = "/messages/{id}/", tag = "messages", request_body = PartOfMessage,
    params(("id" = String, Path, format = "uuid", description = "Id of the message.")),
    responses((status = 200, description = "The message as it is now.", body = Success<MessageView>)),
    extensions(("x-scope" = json!("messages:send")), ("x-error-codes" = json!(["WRONG_STATE"]))))]
pub(crate) async fn update_message(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<MessageId>,
    Json(part): Json<PartOfMessage>,
) -> Result<Answer<MessageView>, ApiError> {
    let message = app.store.message(Some(caller.id()), id).await?.ok_or_else(ApiError::not_found)?;
    let change = check(&part, &message.content, app.clock.now())?;
    let settled = app.store.reschedule_message(caller.id(), id, change).await?;
    let message = super::act::outcome(settled, "Only a scheduled message can be changed")?;
    if let Some(due) = message.scheduled_at {
        app.outbox.note_date(due);
    }
    Ok(Answer::ok("The message was changed.", MessageView::from(message)))
}

fn check(part: &PartOfMessage, content: &Content, now: Timestamp) -> Result<Reschedule, FieldErrors> {
    let mut errors = FieldErrors::default();
    let scheduled_at = part.scheduled_at.and_then(|due| errors.take(check_date("scheduled_at", due, now)));
    let mut body = None;
    match (content.media(), &part.content, &part.caption) {
        (_, None, None) => {}
        (None, Some(text), None) => body = errors.take(Content::text(text)).map(|_| text.clone()),
        (Some(media), None, Some(caption)) => {
            body = errors.take(media.kind.caption(Some(caption.clone()))).map(Option::unwrap_or_default);
        }
        (None, _, Some(_)) => errors.push(Invalid::new("caption", "is not possible: the message carries no file; change its `content`")),
        (Some(_), Some(_), _) => errors.push(Invalid::new("content", "is not possible: the message carries a file; change its `caption`")),
    }
    if part.scheduled_at.is_none() && part.content.is_none() && part.caption.is_none() {
        errors.push(Invalid::new("scheduled_at", "is missing: give a new `scheduled_at`, `content` or `caption`"));
    }
    errors.into_result()?;
    Ok(Reschedule { scheduled_at, body })
}
