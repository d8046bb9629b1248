//! Posting again, and posting a test.

use super::view::DeliveryView;
use crate::app::App;
use crate::http::{Answer, ApiError, Caller, ErrorCode, Json, Path, Success, audit};
use axum::extract::State;
use sanasend_model::{DeliveryId, Timestamp, WebhookId};
use sanasend_store::{Replay, ReplayOnly, Webhook};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;

/// Which deliveries to repeat.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Only {
    /// Those that were given up.
    #[default]
    Failed,
    /// Every event that the endpoint wants, also those that it has taken and those that it was never told.
    All,
}

/// A range of time to repeat.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayWish {
    /// Events from this time on.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T00:00:00Z")]
    pub(crate) since: Timestamp,
    /// Events before this time; left out: up to now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-11-22T00:00:00Z")]
    pub(crate) until: Option<Timestamp>,
    /// `failed` (those that were given up) or `all`.
    #[serde(default)]
    #[schema(example = "failed")]
    pub(crate) only: Only,
}

/// What is on its way again.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ReplayView {
    /// Deliveries that were put on their way.
    #[schema(example = 3)]
    pub(crate) count: u64,
    /// Whether that is the whole range. If not (after 100,000), ask again with a later `since`.
    #[schema(example = true)]
    pub(crate) complete: bool,
}

/// What came of a test.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct TestView {
    /// Whether the receiver took it (answered 2xx).
    #[schema(example = true)]
    pub(crate) delivered: bool,
    /// HTTP status of the answer.
    #[schema(example = 200)]
    pub(crate) response_status: Option<u16>,
    /// How long it took, in milliseconds.
    #[schema(example = 12)]
    pub(crate) latency_ms: i32,
    /// The first 2 KiB of the answer's body.
    #[schema(example = "ok")]
    pub(crate) response_body: Option<String>,
    /// Why it came to nothing.
    pub(crate) error: Option<String>,
    /// Id of the delivery in the log.
    #[schema(value_type = String, format = "uuid")]
    pub(crate) delivery: DeliveryId,
}

/// Test a webhook endpoint
///
/// Posts a signed `webhook.tested` now, once, also to an endpoint that is switched off, and answers what came back.
#[utoipa::path(post, path = "/webhooks/{id}/test/", tag = "webhooks",
    params(("id" = String, Path, format = "uuid", description = "Id of the endpoint.")),
    responses((status = 200, description = "What came of it.", body = Success<TestView>)),
    extensions(("x-scope" = json!("webhooks:manage"))))]
pub(crate) async fn test_webhook(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<WebhookId>,
) -> Result<Answer<TestView>, ApiError> {
    let webhook = super::find(&app, &caller, id).await?;
    let tested = app.webhooks.test(webhook.id).await?.ok_or_else(ApiError::not_found)?;
    let message = if tested.delivered { "The receiver took it." } else { "The receiver did not take it." };
    let view = TestView {
        delivered: tested.delivered,
        response_status: tested.attempt.response_status,
        latency_ms: tested.attempt.latency_ms,
        response_body: tested.attempt.response_body,
        error: tested.error,
        delivery: tested.delivery,
    };
    Ok(Answer::ok(message, view))
}

/// Replay a delivery
///
/// From its first attempt on, with the same `webhook-id` and body, whatever its state.
#[utoipa::path(post, path = "/webhooks/{id}/deliveries/{delivery}/replay/", tag = "webhooks",
    params(("id" = String, Path, format = "uuid", description = "Id of the endpoint."),
        ("delivery" = String, Path, format = "uuid", description = "Id of the delivery.")),
    responses((status = 202, description = "It is on its way again.", body = Success<DeliveryView>)),
    extensions(("x-scope" = json!("webhooks:manage")), ("x-error-codes" = json!(["WRONG_STATE"]))))]
pub(crate) async fn replay_delivery(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((id, delivery)): Path<(WebhookId, DeliveryId)>,
) -> Result<Answer<DeliveryView>, ApiError> {
    let webhook = switched_on(super::find(&app, &caller, id).await?)?;
    let replayed = app.store.replay_delivery(webhook.id, delivery).await?.ok_or_else(ApiError::not_found)?;
    Ok(Answer::accepted("On its way again.", replayed.into()))
}

/// Replay a range of time
///
/// For a receiver that was away for longer than the retries: everything that was given up, or every event again. Each keeps
/// its `webhook-id`. Events that the log does not keep any more can't be replayed.
#[utoipa::path(post, path = "/webhooks/{id}/replay/", tag = "webhooks", request_body = ReplayWish,
    params(("id" = String, Path, format = "uuid", description = "Id of the endpoint.")),
    responses((status = 202, description = "How many are on their way again.", body = Success<ReplayView>)),
    extensions(("x-scope" = json!("webhooks:manage")), ("x-error-codes" = json!(["WRONG_STATE"]))))]
pub(crate) async fn replay_webhook(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<WebhookId>,
    Json(wish): Json<ReplayWish>,
) -> Result<Answer<ReplayView>, ApiError> {
    let webhook = switched_on(super::find(&app, &caller, id).await?)?;
    let until = wish.until.unwrap_or_else(|| app.clock.now());
    if until <= wish.since {
        return Err(ApiError::field("until", "must be later than since"));
    }
    let only = match wish.only {
        Only::Failed => ReplayOnly::Failed,
        Only::All => ReplayOnly::All,
    };
    let replayed = app.store.replay_deliveries(&webhook, Replay { since: wish.since, until, only }).await?;
    let detail = json!({"since": wish.since, "until": until, "only": wish.only, "count": replayed.count});
    audit::note(&app, &caller, "webhook.replayed", format!("webhook {id}"), detail).await;
    Ok(Answer::accepted("On their way again.", ReplayView { count: replayed.count, complete: replayed.complete }))
}

/// What is replayed to an endpoint that is switched off would only be given up again.
fn switched_on(webhook: Webhook) -> Result<Webhook, ApiError> {
    let refuse = || ApiError::because(ErrorCode::WrongState, "The endpoint is switched off; switch it on first.");
    if webhook.is_active { Ok(webhook) } else { Err(refuse()) }
}
