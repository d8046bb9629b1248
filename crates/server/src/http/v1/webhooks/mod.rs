//! Webhook endpoints: where a user wants to be told, what was delivered there, and delivering it again.

pub(crate) mod change;
pub(crate) mod deliveries;
pub(crate) mod read;
pub(crate) mod replay;
pub(crate) mod view;

use crate::app::App;
use crate::http::{ApiError, Caller};
use sanasend_model::WebhookId;
use sanasend_store::Webhook;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Everything under `/webhooks/`.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(read::list_webhooks, change::create_webhook))
        .routes(routes!(read::get_webhook, change::replace_webhook, change::update_webhook, change::delete_webhook))
        .routes(routes!(change::rotate_webhook_secret))
        .routes(routes!(change::enable_webhook))
        .routes(routes!(replay::test_webhook))
        .routes(routes!(replay::replay_webhook))
        .routes(routes!(deliveries::list_deliveries))
        .routes(routes!(deliveries::get_delivery))
        .routes(routes!(replay::replay_delivery))
}

/// An endpoint that the caller may see: its own, or any for an admin by login.
async fn find(app: &App, caller: &Caller, id: WebhookId) -> Result<Webhook, ApiError> {
    let webhook = app.store.webhook(id).await?;
    webhook.filter(|webhook| caller.acts_as_admin() || webhook.user_id == caller.id()).ok_or_else(ApiError::not_found)
}
