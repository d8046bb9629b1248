//! Making, rotating and revoking API keys.

use super::view::{ApiKeyView, NewApiKeyView, WantedKey};
use crate::app::App;
use crate::http::{Answer, ApiError, Caller, ErrorCode, Json, OptionalJson, Path, Success, audit};
use axum::extract::State;
use sanasend_model::{ApiKeyId, user};
use sanasend_store::{ApiKey, NewApiKey, StoreError};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// Longest time that an old key may go on working after its rotation, in hours.
const LONGEST_GRACE: i64 = 720;

/// How to rotate.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RotationWish {
    /// How many hours the old key goes on working; left out: as configured (24). 0: not at all.
    #[schema(minimum = 0, maximum = 720, example = 24)]
    pub grace_hours: Option<i64>,
}

/// Create an API key
///
/// The answer holds the key itself in `data.key`, this once.
#[utoipa::path(post, path = "/api-keys/", tag = "api-keys", request_body = WantedKey,
    responses((status = 201, description = "The new key, with its secret.", body = Success<NewApiKeyView>)),
    extensions(("x-login" = json!(true)), ("x-error-codes" = json!(["NOT_FOUND"]))))]
pub async fn create_api_key(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(wanted): Json<WantedKey>,
) -> Result<Answer<NewApiKeyView>, ApiError> {
    let checked = wanted.check(app.clock.now())?;
    let user_id = wanted.user.unwrap_or(caller.id());
    if user_id != caller.id() && !caller.user.is_admin {
        return Err(ApiError::not_found());
    }
    app.store.user(user_id).await?.ok_or_else(ApiError::not_found)?;
    let issued = app.auth.keys.issue();
    let new = NewApiKey {
        user_id,
        name: checked.name,
        prefix: issued.prefix,
        digest: issued.digest,
        scopes: checked.scopes,
        allowed_ips: checked.allowed_ips,
        expires_at: wanted.expires_at,
    };
    let key = app.store.create_api_key(new).await.map_err(gone_or_down)?;
    note(&app, &caller, "api_key.created", &key).await;
    Ok(Answer::created(
        "The API key was created. Keep it: it is not shown again.",
        NewApiKeyView { key: issued.plain, view: ApiKeyView::of(&app, key) },
    ))
}

/// Revoke an API key
///
/// It stops working at once. It stays in the list, inactive. Revoking it again is no error.
#[utoipa::path(delete, path = "/api-keys/{id}/", tag = "api-keys",
    params(("id" = String, Path, format = "uuid", description = "Id of the key.")),
    responses((status = 200, description = "The key as it is now.", body = Success<ApiKeyView>)),
    extensions(("x-login" = json!(true))))]
pub async fn delete_api_key(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<ApiKeyId>) -> Result<Answer<ApiKeyView>, ApiError> {
    super::find(&app, &caller, id).await?;
    let key = app.store.revoke_api_key(id).await?.ok_or_else(ApiError::not_found)?;
    app.auth.keys.forget();
    note(&app, &caller, "api_key.revoked", &key).await;
    Ok(Answer::ok("The API key was revoked.", ApiKeyView::of(&app, key)))
}

/// Rotate an API key
///
/// Answers a new key with the same name, scopes, networks and end; the old one goes on working for the grace period.
#[utoipa::path(post, path = "/api-keys/{id}/rotate/", tag = "api-keys", request_body = Option<RotationWish>,
    params(("id" = String, Path, format = "uuid", description = "Id of the key.")),
    responses((status = 201, description = "The new key, with its secret.", body = Success<NewApiKeyView>)),
    extensions(("x-login" = json!(true)), ("x-error-codes" = json!(["WRONG_STATE"]))))]
pub async fn rotate_api_key(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<ApiKeyId>,
    OptionalJson(wish): OptionalJson<RotationWish>,
) -> Result<Answer<NewApiKeyView>, ApiError> {
    let old = super::find(&app, &caller, id).await?;
    let now = app.clock.now();
    if !old.is_active || old.replaced_by.is_some() || old.expires_at.is_some_and(|at| at <= now) {
        return Err(ApiError::because(ErrorCode::WrongState, "The API key is revoked, expired or was rotated before; make a new one."));
    }
    let default_grace = i64::try_from(app.config.auth.rotation_grace_hours).unwrap_or(LONGEST_GRACE);
    let grace = user::limit("grace_hours", wish.grace_hours.unwrap_or(default_grace), 0, LONGEST_GRACE)?;
    let grace_until = now.plus(Duration::from_secs(u64::try_from(grace).unwrap_or(0) * 3600));
    let issued = app.auth.keys.issue();
    let new = NewApiKey {
        user_id: old.user_id,
        name: old.name,
        prefix: issued.prefix,
        digest: issued.digest,
        scopes: old.scopes,
        allowed_ips: old.allowed_ips,
        expires_at: old.expires_at,
    };
    let rotated = app.store.rotate_api_key(id, new, grace_until).await.map_err(gone_or_down)?;
    app.auth.keys.forget();
    // Between the look above and the rotation somebody else may have revoked it.
    let key = rotated.ok_or(ErrorCode::WrongState)?;
    note(&app, &caller, "api_key.rotated", &key).await;
    Ok(Answer::created(
        "The API key was rotated. Keep the new one: it is not shown again.",
        NewApiKeyView { key: issued.plain, view: ApiKeyView::of(&app, key) },
    ))
}

/// The only thing a new key can clash with is that its user went away in this very moment.
fn gone_or_down(error: StoreError) -> ApiError {
    match error {
        StoreError::Conflict { .. } => ApiError::not_found(),
        error => error.into(),
    }
}

async fn note(app: &App, caller: &Caller, action: &'static str, key: &ApiKey) {
    let detail = json!({"user": key.user_id, "name": key.name, "prefix": key.prefix});
    audit::note(app, caller, action, format!("api_key {}", key.id), detail).await;
}
