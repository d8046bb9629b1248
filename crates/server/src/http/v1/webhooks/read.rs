//! Looking at webhook endpoints.

use super::view::WebhookView;
use crate::app::App;
use crate::http::{Answer, ApiError, Caller, Origin, Paged, Path, Query, Success, page, paged};
use axum::extract::State;
use sanasend_model::{UserId, WebhookId};
use sanasend_store::Listed;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// Which endpoints to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListWebhooks {
    /// Number of the page, from 1.
    #[param(minimum = 1, example = 1)]
    pub(crate) page: Option<u64>,
    /// Endpoints per page.
    #[param(minimum = 1, maximum = 100, example = 20)]
    pub(crate) page_size: Option<u64>,
    /// Only endpoints of this user (for admins; others see their own only).
    #[param(value_type = Option<String>, format = "uuid")]
    pub(crate) user: Option<UserId>,
}

/// List webhook endpoints
///
/// Your own; all of them for an admin's login. Oldest first.
#[utoipa::path(get, path = "/webhooks/", tag = "webhooks", params(ListWebhooks),
    responses((status = 200, description = "One page of endpoints.", body = Success<Paged<WebhookView>>)),
    extensions(("x-scope" = json!("webhooks:manage"))))]
pub(crate) async fn list_webhooks(
    State(app): State<Arc<App>>,
    caller: Caller,
    origin: Origin,
    Query(asked): Query<ListWebhooks>,
) -> Result<Answer<Paged<WebhookView>>, ApiError> {
    let page = page(asked.page, asked.page_size)?;
    let own = (!caller.acts_as_admin()).then(|| caller.id());
    let listed = if own.is_some() && asked.user.is_some() && asked.user != own {
        // The same answer as for a user that does not exist.
        Listed { count: 0, results: Vec::new() }
    } else {
        app.store.list_webhooks(own.or(asked.user), page).await?
    };
    Ok(Answer::ok("Webhook endpoints.", paged(listed, &page, &origin, WebhookView::from)))
}

/// Get a webhook endpoint
///
/// Never with its secret, which is shown only when it is made or rotated.
#[utoipa::path(get, path = "/webhooks/{id}/", tag = "webhooks",
    params(("id" = String, Path, format = "uuid", description = "Id of the endpoint.")),
    responses((status = 200, description = "The endpoint.", body = Success<WebhookView>)),
    extensions(("x-scope" = json!("webhooks:manage"))))]
pub(crate) async fn get_webhook(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<WebhookId>,
) -> Result<Answer<WebhookView>, ApiError> {
    let webhook = super::find(&app, &caller, id).await?;
    Ok(Answer::ok("The webhook endpoint.", webhook.into()))
}
