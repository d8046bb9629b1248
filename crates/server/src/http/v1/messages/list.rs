//! Looking at messages: lists by page and by cursor, one message with its timeline.

use super::choose::choose;
use super::receipts::{MessageDetail, counts};
use super::timeline::timeline;
use super::view::MessageView;
use crate::app::App;
use crate::http::{Answer, ApiError, Caller, LongPage, Origin, Path, Query, Success, long};
use axum::extract::State;
use sanasend_model::{Direction, FieldErrors, Invalid, MessageId, MessageStatus, Recipient, Timestamp};
use sanasend_store::{MessageFilter, MessageOrder};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListMessages {
    /// Number of the page, from 1; pages reach as far as `count` does.
    #[param(minimum = 1)]
    page: Option<u64>,
    /// Entries per page, at most 100.
    #[param(minimum = 1, maximum = 100)]
    page_size: Option<u64>,
    /// Instead of a page: the place behind which to go on, from `next_cursor`; empty for the start. Stays fast
    /// however many messages there are; `count` is null then.
    #[param(pattern = "^$|^[0-9a-f]{1,15}-[0-9a-f]{1,15}$")]
    cursor: Option<String>,
    /// Only in this status.
    #[param(example = "delivered", pattern = "^(scheduled|pending|sent|delivered|read|played|failed|canceled|received)$")]
    status: Option<String>,
    /// Only of this type, like `text`.
    #[serde(rename = "type", alias = "message_type")]
    #[param(rename = "type")]
    kind: Option<String>,
    /// Only `outbound` or only `inbound`.
    #[param(example = "outbound", pattern = "^(outbound|inbound)$")]
    direction: Option<String>,
    /// Only with this person or group: a number or an id.
    #[param(example = "+12025550123")]
    recipient: Option<String>,
    /// Only of this account: name or id.
    session: Option<String>,
    /// Only from this moment on (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<String>,
    /// Only before this moment (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<String>,
    /// Part of the text, of a name or of a number.
    search: Option<String>,
    /// `created_at` or `-created_at` (newest first, the default).
    #[param(example = "-created_at", pattern = "^-?created_at$")]
    ordering: Option<String>,
}

/// List messages
///
/// Outbound and inbound, newest first. Use pages for people, `cursor` for programs that read everything.
#[utoipa::path(get, path = "/messages/list/", tag = "messages", params(ListMessages),
    responses((status = 200, description = "One page.", body = Success<LongPage<MessageView>>)),
    extensions(("x-scope" = json!("messages:read")), ("x-error-codes" = json!(["NOT_FOUND"]))))]
pub(crate) async fn list_messages(
    State(app): State<Arc<App>>,
    caller: Caller,
    origin: Origin,
    Query(asked): Query<ListMessages>,
) -> Result<Answer<LongPage<MessageView>>, ApiError> {
    let page = long::page(asked.page, asked.page_size)?;
    let mut filter = filter(&asked)?;
    filter.user_id = Some(caller.id());
    if let Some(session) = &asked.session {
        filter.session_id = Some(choose(&app, caller.id(), Some(session)).await?.id);
    }
    let found = if let Some(text) = asked.cursor.as_deref() {
        let (messages, next) = app.store.list_messages_after(&filter, long::cursor(text)?, page.page_size).await?;
        LongPage::behind_cursor(messages.into_iter().map(MessageView::from).collect(), next, &origin)
    } else {
        let listed = app.store.list_messages(&filter, page).await?;
        let messages = listed.results.into_iter().map(MessageView::from).collect();
        LongPage::of(messages, (listed.count, listed.is_exact), listed.next, &page, &origin)
    };
    Ok(Answer::ok("Messages.", found))
}

/// Get a message
///
/// With its timeline: accepted, held and why, claimed, written, acknowledged, delivered, read, each retry and its cause. A message to a group
/// says in `receipts` how many members it reached and how many read it; its status is what the first of them told, and each
/// member is in `/messages/{id}/receipts/`.
#[utoipa::path(get, path = "/messages/{id}/", tag = "messages", params(("id" = String, Path, format = "uuid", description = "Id of the message.")),
    responses((status = 200, description = "The message.", body = Success<MessageDetail>)),
    extensions(("x-scope" = json!("messages:read"))))]
pub(crate) async fn get_message(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<MessageId>,
) -> Result<Answer<MessageDetail>, ApiError> {
    let message = app.store.message(Some(caller.id()), id).await?.ok_or_else(ApiError::not_found)?;
    let timeline = timeline(&app, &message).await?;
    let receipts = counts(&app, &message).await?;
    Ok(Answer::ok("The message.", MessageDetail { message: MessageView::with_timeline(message, timeline), receipts }))
}

fn filter(asked: &ListMessages) -> Result<MessageFilter, ApiError> {
    let mut errors = FieldErrors::default();
    let moment = "2026-11-21T08:30:00Z";
    let mut filter = MessageFilter {
        status: read(&mut errors, "status", asked.status.as_deref(), |text| text.parse().ok(), &names(MessageStatus::ALL.iter())),
        direction: read(&mut errors, "direction", asked.direction.as_deref(), |text| text.parse::<Direction>().ok(), "outbound, inbound"),
        from: read(&mut errors, "from", asked.from.as_deref(), Timestamp::parse, moment),
        to: read(&mut errors, "to", asked.to.as_deref(), Timestamp::parse, moment),
        ..MessageFilter::default()
    };
    filter.recipient = asked.recipient.as_deref().and_then(|text| match Recipient::parse(text) {
        Ok(Recipient::Phone(phone)) => Some(phone.to_string()),
        Ok(other) => Some(other.jid().to_string()),
        Err(invalid) => {
            errors.push(invalid);
            None
        }
    });
    if let Some(ordering) =
        read(&mut errors, "ordering", asked.ordering.as_deref(), |text| text.parse().ok(), &MessageOrder::NAMES.join(", "))
    {
        filter.ordering = ordering;
    }
    filter.kind.clone_from(&asked.kind);
    filter.search = asked.search.clone().filter(|text| !text.trim().is_empty());
    errors.into_result()?;
    Ok(filter)
}

/// Reads one parameter; what can't be read is noted with what would be possible.
fn read<T>(errors: &mut FieldErrors, field: &str, text: Option<&str>, parse: impl Fn(&str) -> Option<T>, possible: &str) -> Option<T> {
    let text = text?;
    let value = parse(text);
    if value.is_none() {
        errors.push(Invalid::new(field, format!("must be like: {possible}")));
    }
    value
}

fn names<'a>(all: impl Iterator<Item = &'a MessageStatus>) -> String {
    all.map(|status| status.as_str()).collect::<Vec<_>>().join(", ")
}
