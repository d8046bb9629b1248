//! `POST /messages/{id}/react/`, `/edit/`, `/delete/`: doing something to a message that was sent.
//!
//! Each is a message of its own: accepted, durable, sent in its chat's order, with a status and a timeline. At the message it
//! is about it shows when WhatsApp has acknowledged it.

use super::accept::{Checked, Terms, patience, take_in};
use super::asked::{SentKey, TAKING_IN, TakenIn, check_metadata};
use super::choose::choose_linked;
use crate::app::App;
use crate::http::{ApiError, Caller, ErrorCode, JsonBytes, OptionalJson, Path, Query};
use crate::outbox::When;
use axum::extract::State;
use axum::response::Response;
use sanasend_model::{Content, Direction, FieldErrors, MessageId, MessageStatus, Recipient, Rich, Target, Timestamp, rich};
use sanasend_store::Message;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

/// What WhatsApp's clients allow for editing.
const EDITABLE: Duration = Duration::from_mins(rich::EDIT_MINUTES);
/// An edit that was accepted in time may be this much later on its way: clients take it then.
const EDIT_GRACE: Duration = Duration::from_mins(5);
/// What WhatsApp's clients allow for deleting.
const DELETABLE: Duration = Duration::from_hours(rich::DELETE_HOURS);

/// Codes of all of them.
const CODES: [&[&str]; 2] = [&["WRONG_STATE"], TAKING_IN];

/// An emoji to put on a message.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReactToMessage {
    /// One emoji; empty takes yours away.
    #[schema(example = "👍")]
    pub(crate) emoji: String,
    /// Your own: kept with the reaction and told in its events.
    #[serde(default)]
    #[schema(value_type = Option<Object>, example = json!(null))]
    pub(crate) metadata: Option<Value>,
}

/// Another text.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EditMessage {
    /// What the message says from now on, at most 65,536 characters.
    #[schema(example = "Your order is ready at noon.")]
    pub(crate) content: String,
    /// Your own: kept with the edit and told in its events.
    #[serde(default)]
    #[schema(value_type = Option<Object>, example = json!(null))]
    pub(crate) metadata: Option<Value>,
}

/// What may be said when a message is deleted.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteMessage {
    /// Your own: kept with the deletion and told in its events.
    #[serde(default)]
    #[schema(value_type = Option<Object>, example = json!(null))]
    pub(crate) metadata: Option<Value>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MarkQuery {
    /// Seconds to wait for the outcome (at most 60). Answered 200 with the outcome, or 202 when there is none yet.
    #[param(minimum = 0, maximum = 60)]
    pub(crate) wait: Option<u64>,
}

/// React to a message
///
/// To any message that came in, or that was sent. Answers the reaction, a message of the type `reaction`; it shows in
/// `reactions` of the message when WhatsApp has acknowledged it. `Idempotency-Key` works as for texts.
#[utoipa::path(post, path = "/messages/{id}/react/", tag = "messages", request_body = ReactToMessage,
    params(MarkQuery, ("id" = String, Path, format = "uuid", description = "Id of the message."), SentKey), responses(TakenIn),
    extensions(("x-scope" = json!("messages:send")), ("x-error-codes" = json!(CODES.concat()))))]
pub(crate) async fn react_to_message(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<MessageId>,
    Query(query): Query<MarkQuery>,
    SentKey(key): SentKey,
    body: JsonBytes<ReactToMessage>,
) -> Result<Response, ApiError> {
    let mut errors = FieldErrors::default();
    let emoji = errors.take(rich::emoji(body.value.emoji));
    let metadata = check_metadata(body.value.metadata, &mut errors);
    errors.into_result()?;
    let asked = Asked { id, what: "react", wait: query.wait, key, bytes: &body.bytes, metadata };
    mark(&app, &caller, asked, |message, _| {
        if message.content.rich().is_some_and(|rich| rich.target().is_some()) {
            return Err(wrong(format!("A {} can't be reacted to.", message.content.kind().replace('_', " "))));
        }
        let emoji = emoji.unwrap_or_default();
        Ok((Rich::Reaction { target: target(message), emoji }, None))
    })
    .await
}

/// Edit a message
///
/// Your own texts, within 15 minutes after they were sent: WhatsApp's clients take no later edits. Answers the edit, a message of the type `edit`; the message has the new text and `edited_at` when WhatsApp has
/// acknowledged it. `Idempotency-Key` works as for texts.
#[utoipa::path(post, path = "/messages/{id}/edit/", tag = "messages", request_body = EditMessage,
    params(MarkQuery, ("id" = String, Path, format = "uuid", description = "Id of the message."), SentKey), responses(TakenIn),
    extensions(("x-scope" = json!("messages:send")), ("x-error-codes" = json!(CODES.concat()))))]
pub(crate) async fn edit_message(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<MessageId>,
    Query(query): Query<MarkQuery>,
    SentKey(key): SentKey,
    body: JsonBytes<EditMessage>,
) -> Result<Response, ApiError> {
    let mut errors = FieldErrors::default();
    let text = errors.take(Content::text(body.value.content));
    let metadata = check_metadata(body.value.metadata, &mut errors);
    errors.into_result()?;
    let text = text.as_ref().and_then(Content::text_body).unwrap_or_default().to_owned();
    let asked = Asked { id, what: "edit", wait: query.wait, key, bytes: &body.bytes, metadata };
    mark(&app, &caller, asked, |message, now| {
        if !matches!(message.content, Content::Text { .. }) {
            return Err(wrong("Only texts can be edited.".into()));
        }
        let sent = own(message, "edited")?;
        if now > sent.plus(EDITABLE) {
            return Err(wrong(format!("It was sent more than {} minutes ago; WhatsApp takes no edit of it.", rich::EDIT_MINUTES)));
        }
        Ok((Rich::Edit { target: target(message), text }, Some(sent.plus(EDITABLE).plus(EDIT_GRACE))))
    })
    .await
}

/// Delete a message for everyone
///
/// Your own messages, within two days and twelve hours after they were sent: WhatsApp's clients take no later deletions.
/// Answers the deletion, a message of the type `revoke`; the message has `deleted_at` when WhatsApp has acknowledged it, and
/// what it said stays readable here. `Idempotency-Key` works as for texts.
#[utoipa::path(post, path = "/messages/{id}/delete/", tag = "messages", request_body = Option<DeleteMessage>,
    params(MarkQuery, ("id" = String, Path, format = "uuid", description = "Id of the message."), SentKey), responses(TakenIn),
    extensions(("x-scope" = json!("messages:send")), ("x-error-codes" = json!(CODES.concat()))))]
pub(crate) async fn delete_message(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<MessageId>,
    Query(query): Query<MarkQuery>,
    SentKey(key): SentKey,
    OptionalJson(body): OptionalJson<DeleteMessage>,
) -> Result<Response, ApiError> {
    let bytes = serde_json::to_vec(&body).map_err(ApiError::internal)?;
    let mut errors = FieldErrors::default();
    let metadata = check_metadata(body.metadata, &mut errors);
    errors.into_result()?;
    let asked = Asked { id, what: "delete", wait: query.wait, key, bytes: &bytes, metadata };
    mark(&app, &caller, asked, |message, now| {
        let sent = own(message, "deleted for everyone")?;
        if matches!(message.content.rich(), Some(Rich::Reaction { .. } | Rich::Edit { .. } | Rich::Revoke { .. })) {
            return Err(wrong("An act on another message can't be deleted; to take a reaction away, react with an empty emoji.".into()));
        }
        if now > sent.plus(DELETABLE) {
            return Err(wrong("It was sent more than two days and twelve hours ago; WhatsApp does not delete it any more.".into()));
        }
        Ok((Rich::Revoke { target: target(message), by_admin: false }, Some(sent.plus(DELETABLE))))
    })
    .await
}

/// One of these requests.
struct Asked<'a> {
    id: MessageId,
    what: &'static str,
    wait: Option<u64>,
    key: Result<Option<String>, ApiError>,
    bytes: &'a [u8],
    metadata: Option<Value>,
}

/// The way of all of them. `make` says what is sent about the message, and until when that makes sense.
async fn mark(
    app: &App,
    caller: &Caller,
    asked: Asked<'_>,
    make: impl FnOnce(&Message, Timestamp) -> Result<(Rich, Option<Timestamp>), ApiError>,
) -> Result<Response, ApiError> {
    let wait = patience(app, asked.wait)?;
    let message = app.store.message(Some(caller.id()), asked.id).await?.ok_or_else(ApiError::not_found)?;
    let path = format!("POST /api/v1/messages/{}/{}/", asked.id, asked.what);
    let terms = Terms::of(asked.key?, (&path, asked.bytes, None), wait);
    // Before what may have changed since the first answer.
    if let Some(answer) = terms.replay(app, caller.id()).await? {
        return Ok(answer);
    }
    if message.direction == Direction::Outbound && !is_sent(message.status) {
        return Err(wrong(format!("It is {}: only what WhatsApp has can be changed; cancel what waits.", message.status)));
    }
    if message.marks.as_ref().is_some_and(|marks| marks.deleted_at.is_some()) {
        return Err(wrong("It was deleted for everyone.".into()));
    }
    let (content, until) = make(&message, app.clock.now())?;
    let recipient =
        Recipient::parse(message.chat.as_str()).map_err(|_| wrong(format!("The chat {} can't be written to.", message.chat)))?;
    let session = choose_linked(app, caller.id(), Some(&message.session_id.to_string())).await?;
    // Now or never: a reaction in the morning is about last night's message.
    let when = When { quiet_hours: Some(false), ..When::default() };
    let checked = Checked { metadata: asked.metadata, when, until, ..Checked::new(recipient, content.into()) };
    take_in(app, caller, session.id, checked, terms).await
}

fn is_sent(status: MessageStatus) -> bool {
    matches!(status, MessageStatus::Sent | MessageStatus::Delivered | MessageStatus::Read | MessageStatus::Played)
}

/// When an own message was sent.
fn own(message: &Message, what: &str) -> Result<Timestamp, ApiError> {
    if message.direction == Direction::Inbound {
        return Err(wrong(format!("Only your own messages can be {what}.")));
    }
    Ok(message.sent_at.unwrap_or(message.created_at))
}

/// The message as WhatsApp names it.
fn target(message: &Message) -> Target {
    let inbound = message.direction == Direction::Inbound;
    let author = || message.peer.lid.clone().or_else(|| message.peer.jid.clone());
    Target {
        wa_message_id: message.wa_message_id.clone(),
        from_me: !inbound,
        participant: author().filter(|_| inbound && message.chat.is_group()),
        message_id: Some(message.id),
    }
}

fn wrong(sentence: String) -> ApiError {
    ApiError::because(ErrorCode::WrongState, sentence)
}
