//! API keys: credentials of programs, made and revoked by people.

pub(crate) mod change;
mod read;
pub(crate) mod view;

pub use view::{ApiKeyView, NewApiKeyView};

use crate::app::App;
use crate::http::{ApiError, Caller};
use sanasend_model::ApiKeyId;
use sanasend_store::ApiKey;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Everything under `/api-keys/`.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(read::list_api_keys, change::create_api_key))
        .routes(routes!(read::get_api_key, change::delete_api_key))
        .routes(routes!(change::rotate_api_key))
}

/// A key that the caller may see: its own, or any for an admin.
pub(crate) async fn find(app: &App, caller: &Caller, id: ApiKeyId) -> Result<ApiKey, ApiError> {
    let key = app.store.api_key(id).await?;
    key.filter(|key| caller.user.is_admin || key.user_id == caller.id()).ok_or_else(ApiError::not_found)
}
