//! What the members of a group told of a message: whom it reached, who read it, who played it.
//!
//! A message has one status, and of a group that is what the first member told; the truth about each is here.

use super::view::MessageView;
use crate::app::App;
use crate::http::{Answer, ApiError, Caller, Origin, Paged, Path, Query, Success, page, paged};
use axum::extract::State;
use sanasend_model::{Jid, MessageId, Timestamp};
use sanasend_store::{Message, Receipt, ReceiptCounts, StoreError};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// A message where one is asked for, with how far it got among the members of its group.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "MessageDetail")]
pub(crate) struct MessageDetail {
    /// The message.
    #[serde(flatten)]
    pub message: MessageView,
    /// How many members of the group it reached and how many read it; only of messages that were sent to a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipts: Option<ReceiptCountsView>,
}

/// How many members of a group told of a message.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(crate) struct ReceiptCountsView {
    /// Members whom it reached.
    #[schema(example = 3)]
    pub delivered: u64,
    /// Members who read it.
    #[schema(example = 2)]
    pub read: u64,
}

/// What one member of a group told of a message.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Receipt")]
pub(crate) struct ReceiptView {
    /// Who: the id by number where WhatsApp tells it, else the one that hides it.
    #[schema(value_type = String, example = "12025550123@s.whatsapp.net")]
    pub participant: Jid,
    /// Phone number in E.164; null when it is not known.
    #[schema(example = "+12025550123")]
    pub phone: Option<String>,
    /// The name of your contact; null when there is none.
    #[schema(example = "Anna")]
    pub name: Option<String>,
    /// When it reached a device of the member.
    #[schema(value_type = String, format = DateTime)]
    pub delivered_at: Timestamp,
    /// When the member read it.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub read_at: Option<Timestamp>,
    /// When the member played it, of voice notes and the like.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub played_at: Option<Timestamp>,
}

impl From<Receipt> for ReceiptView {
    fn from(receipt: Receipt) -> Self {
        Self {
            participant: receipt.participant,
            phone: receipt.phone.map(|phone| phone.to_string()),
            name: receipt.name,
            delivered_at: receipt.delivered_at,
            read_at: receipt.read_at,
            played_at: receipt.played_at,
        }
    }
}

impl From<ReceiptCounts> for ReceiptCountsView {
    fn from(counts: ReceiptCounts) -> Self {
        Self { delivered: counts.delivered, read: counts.read }
    }
}

/// How many members told of a message; `None` for one that was not sent to a group, of which nothing is asked.
pub(super) async fn counts(app: &App, message: &Message) -> Result<Option<ReceiptCountsView>, StoreError> {
    if !message.has_receipts() {
        return Ok(None);
    }
    Ok(Some(app.store.receipt_counts(message.user_id, message.id).await?.into()))
}

/// Which page of receipts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListReceipts {
    /// Number of the page, from 1.
    #[param(minimum = 1)]
    page: Option<u64>,
    /// Members per page, at most 100.
    #[param(minimum = 1, maximum = 100)]
    page_size: Option<u64>,
}

/// List who got and who read a message
///
/// Of a message that was sent to a group: each member who told something, in the order in which it reached them. Who is not
/// listed has not got it yet, or does not tell. The list is empty for a message to one person, whose own `delivered_at` and
/// `read_at` say it, and for one that came in.
#[utoipa::path(get, path = "/messages/{id}/receipts/", tag = "messages",
    params(ListReceipts, ("id" = String, Path, format = "uuid", description = "Id of the message.")),
    responses((status = 200, description = "One page of members.", body = Success<Paged<ReceiptView>>)),
    extensions(("x-scope" = json!("messages:read"))))]
pub(crate) async fn list_message_receipts(
    State(app): State<Arc<App>>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<MessageId>,
    Query(asked): Query<ListReceipts>,
) -> Result<Answer<Paged<ReceiptView>>, ApiError> {
    let page = page(asked.page, asked.page_size)?;
    let message = app.store.message(Some(caller.id()), id).await?.ok_or_else(ApiError::not_found)?;
    let listed = app.store.list_receipts(message.user_id, message.id, page).await?;
    Ok(Answer::ok("Who got and who read it.", paged(listed, &page, &origin, ReceiptView::from)))
}
