//! Looking at what was delivered to an endpoint.

use super::view::{AttemptView, DeliveryDetail, DeliveryView};
use crate::app::App;
use crate::http::{Answer, ApiError, Caller, Origin, Paged, Path, Query, Success, page, paged};
use crate::webhooks::body;
use axum::extract::State;
use sanasend_model::{DeliveryId, EventKind, Timestamp, WebhookId};
use sanasend_store::DeliveryFilter;
use serde::Deserialize;
use std::str::FromStr;
use std::sync::Arc;
use utoipa::IntoParams;

/// Which deliveries to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListDeliveries {
    /// Number of the page, from 1. For long lists use `cursor`.
    #[param(minimum = 1, example = 1)]
    pub(crate) page: Option<u64>,
    /// Deliveries per page.
    #[param(minimum = 1, maximum = 100, example = 20)]
    pub(crate) page_size: Option<u64>,
    /// Only events before this one: the `cursor` of the last delivery that you have seen. The answer then has no `count`
    /// beyond its page.
    #[param(minimum = 1, example = 17)]
    pub(crate) cursor: Option<i64>,
    /// `pending`, `succeeded` or `dead`.
    #[param(example = "dead")]
    pub(crate) state: Option<String>,
    /// Only this kind of event.
    #[serde(rename = "type")]
    #[param(example = "message.received")]
    pub(crate) kind: Option<String>,
    /// Only events from this time on.
    #[param(value_type = Option<String>, format = DateTime, example = "2026-11-21T00:00:00Z")]
    pub(crate) since: Option<Timestamp>,
    /// Only events before this time.
    #[param(value_type = Option<String>, format = DateTime, example = "2026-11-22T00:00:00Z")]
    pub(crate) until: Option<Timestamp>,
}

/// List deliveries
///
/// What was posted to an endpoint, or will be; the newest event first.
#[utoipa::path(get, path = "/webhooks/{id}/deliveries/", tag = "webhooks",
    params(("id" = String, Path, format = "uuid", description = "Id of the endpoint."), ListDeliveries),
    responses((status = 200, description = "One page of deliveries.", body = Success<Paged<DeliveryView>>)),
    extensions(("x-scope" = json!("webhooks:manage"))))]
pub(crate) async fn list_deliveries(
    State(app): State<Arc<App>>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<WebhookId>,
    Query(asked): Query<ListDeliveries>,
) -> Result<Answer<Paged<DeliveryView>>, ApiError> {
    let webhook = super::find(&app, &caller, id).await?;
    let page = page(asked.page, asked.page_size)?;
    let filter = DeliveryFilter {
        state: one_of("state", asked.state.as_deref(), "pending, succeeded, dead")?,
        kind: one_of::<EventKind>("type", asked.kind.as_deref(), "the names of events, like message.received")?,
        since: asked.since,
        until: asked.until,
    };
    let Some(cursor) = asked.cursor else {
        let listed = app.store.list_deliveries(webhook.id, &filter, page).await?;
        return Ok(Answer::ok("Deliveries.", paged(listed, &page, &origin, DeliveryView::from)));
    };
    if asked.page.is_some() {
        return Err(ApiError::field("cursor", "can't be used together with page"));
    }
    // One more than asked for tells whether there is a next page.
    let mut found = app.store.deliveries_before(webhook.id, &filter, Some(cursor), page.page_size + 1).await?;
    let more = u64::try_from(found.len()).is_ok_and(|count| count > page.page_size);
    found.truncate(usize::try_from(page.page_size).unwrap_or(usize::MAX));
    let next = found.last().filter(|_| more).map(|last| origin.with_param("cursor", &last.event_seq.to_string()));
    let results: Vec<DeliveryView> = found.into_iter().map(DeliveryView::from).collect();
    let count = u64::try_from(results.len()).unwrap_or(0);
    Ok(Answer::ok("Deliveries.", Paged { count, next, previous: None, results }))
}

/// Get a delivery
///
/// With its body and every attempt: what was sent, what came back, how long it took.
#[utoipa::path(get, path = "/webhooks/{id}/deliveries/{delivery}/", tag = "webhooks",
    params(("id" = String, Path, format = "uuid", description = "Id of the endpoint."),
        ("delivery" = String, Path, format = "uuid", description = "Id of the delivery.")),
    responses((status = 200, description = "The delivery.", body = Success<DeliveryDetail>)),
    extensions(("x-scope" = json!("webhooks:manage"))))]
pub(crate) async fn get_delivery(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((id, delivery)): Path<(WebhookId, DeliveryId)>,
) -> Result<Answer<DeliveryDetail>, ApiError> {
    let webhook = super::find(&app, &caller, id).await?;
    let delivery = app.store.delivery(webhook.id, delivery).await?.ok_or_else(ApiError::not_found)?;
    let request_body = app.store.event(delivery.event_seq).await?.as_ref().map(body);
    let attempt_log = app.store.attempts(delivery.id).await?.into_iter().map(AttemptView::from).collect();
    Ok(Answer::ok("The delivery.", DeliveryDetail { view: delivery.into(), request_body, attempt_log }))
}

fn one_of<T: FromStr<Err = ()>>(field: &str, text: Option<&str>, names: &str) -> Result<Option<T>, ApiError> {
    let refuse = || ApiError::field(field, format!("must be one of {names}"));
    text.map(|text| text.parse().map_err(|()| refuse())).transpose()
}
