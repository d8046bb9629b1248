//! Looking at API keys: your own, or all of them for an admin.

use super::ApiKeyView;
use crate::app::App;
use crate::http::{Answer, ApiError, Caller, Origin, Paged, Path, Query, Success, page, paged};
use axum::extract::State;
use sanasend_model::{ApiKeyId, UserId};
use sanasend_store::{ApiKeyFilter, ApiKeyOrder, Listed};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// Which keys to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListApiKeys {
    /// Number of the page, from 1.
    #[param(minimum = 1, example = 1)]
    page: Option<u64>,
    /// Keys per page.
    #[param(minimum = 1, maximum = 100, example = 20)]
    page_size: Option<u64>,
    /// Only keys of this user (for admins; others see their own only).
    #[param(value_type = Option<String>, format = "uuid")]
    user: Option<UserId>,
    /// Part of the name or prefix.
    search: Option<String>,
    /// Only active or only revoked ones.
    is_active: Option<bool>,
    /// `created_at`, `name` or `last_used_at`; with `-` in front for the reverse.
    #[param(example = "-created_at", pattern = "^-?(created_at|name|last_used_at)$")]
    ordering: Option<String>,
}

/// List API keys
///
/// Your own; all of them for an admin. Newest first, unless `ordering` says otherwise.
#[utoipa::path(get, path = "/api-keys/", tag = "api-keys", params(ListApiKeys),
    responses((status = 200, description = "One page of keys.", body = Success<Paged<ApiKeyView>>)),
    extensions(("x-login" = json!(true))))]
pub async fn list_api_keys(
    State(app): State<Arc<App>>,
    caller: Caller,
    origin: Origin,
    Query(asked): Query<ListApiKeys>,
) -> Result<Answer<Paged<ApiKeyView>>, ApiError> {
    let page = page(asked.page, asked.page_size)?;
    let ordering = crate::http::page::ordering(asked.ordering.as_deref(), ApiKeyOrder::NAMES)?;
    let own = (!caller.user.is_admin).then(|| caller.id());
    let listed = if own.is_some() && asked.user.is_some() && asked.user != own {
        // The same answer as for a user that does not exist.
        Listed { count: 0, results: Vec::new() }
    } else {
        let filter = ApiKeyFilter { user_id: own.or(asked.user), search: asked.search, is_active: asked.is_active, ordering };
        app.store.list_api_keys(&filter, page).await?
    };
    Ok(Answer::ok("API keys.", paged(listed, &page, &origin, |key| ApiKeyView::of(&app, key))))
}

/// Get an API key
///
/// Never with its secret, which is shown only once, when the key is made.
#[utoipa::path(get, path = "/api-keys/{id}/", tag = "api-keys",
    params(("id" = String, Path, format = "uuid", description = "Id of the key.")),
    responses((status = 200, description = "The key.", body = Success<ApiKeyView>)),
    extensions(("x-login" = json!(true))))]
pub async fn get_api_key(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<ApiKeyId>) -> Result<Answer<ApiKeyView>, ApiError> {
    let key = super::find(&app, &caller, id).await?;
    Ok(Answer::ok("The API key.", ApiKeyView::of(&app, key)))
}
