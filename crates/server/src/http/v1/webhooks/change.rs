//! Making, changing and removing webhook endpoints, and their secrets.

use super::view::{NewWebhookView, PartOfWebhook, WantedWebhook, WebhookView, WholeWebhook, check_secret};
use crate::app::App;
use crate::http::{Answer, ApiError, Caller, ErrorCode, Json, Nothing, OptionalJson, Path, Success, audit};
use crate::removal;
use crate::webhooks::secret;
use axum::extract::State;
use sanasend_model::{FieldErrors, WebhookId, user};
use sanasend_store::{NewWebhook, StoreError, Webhook, WebhookCreated, WebhookPatch};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// Longest time that an old secret may go on signing after a rotation, in hours.
const LONGEST_GRACE: i64 = 720;

/// How to rotate a secret.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SecretRotation {
    /// How many hours deliveries are signed with the old secret as well; left out: as configured (24). 0: not at all.
    #[schema(minimum = 0, maximum = 720, example = 24)]
    pub(crate) grace_hours: Option<i64>,
}

/// Create a webhook endpoint
///
/// The answer holds the secret that deliveries are signed with, this once. Addresses that are not public are refused
/// unless the operator allows them.
#[utoipa::path(post, path = "/webhooks/", tag = "webhooks", request_body = WantedWebhook,
    responses((status = 201, description = "The new endpoint, with its secret.", body = Success<NewWebhookView>)),
    extensions(("x-scope" = json!("webhooks:manage")), ("x-error-codes" = json!(["WEBHOOK_LIMIT_REACHED"]))))]
pub(crate) async fn create_webhook(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(wanted): Json<WantedWebhook>,
) -> Result<Answer<NewWebhookView>, ApiError> {
    let WantedWebhook { url, description, events, is_active, secret } = wanted;
    let mut errors = FieldErrors::default();
    let secret = errors.take(check_secret(&app, secret.as_deref()));
    let whole = PartOfWebhook { url: Some(url), description: Some(description), events: Some(events), is_active: Some(is_active) };
    let patch = whole.check(&app).map_err(|refused| errors.0.extend(refused.0)).ok();
    errors.into_result()?;
    let (Some(secret), Some(patch)) = (secret, patch) else { return Err(ErrorCode::ValidationError.into()) };
    let shown = secret::show(&secret);
    let new = NewWebhook {
        user_id: caller.id(),
        url: patch.url.unwrap_or_default(),
        description: patch.description.unwrap_or_default(),
        events: patch.events.unwrap_or_default(),
        is_active,
        secret,
    };
    match app.store.create_webhook(new, u64::from(app.config.webhooks.endpoints_per_user)).await {
        Ok(WebhookCreated::Done(webhook)) => {
            note(&app, &caller, "webhook.created", &webhook).await;
            let answer = NewWebhookView { secret: shown, view: (*webhook).into() };
            Ok(Answer::created("The webhook endpoint was created. Keep the secret: it is not shown again.", answer))
        }
        Ok(WebhookCreated::LimitReached) => Err(ErrorCode::WebhookLimitReached.into()),
        // The user went away in this very moment.
        Err(StoreError::Conflict { .. }) => Err(ApiError::not_found()),
        Err(error) => Err(error.into()),
    }
}

/// Replace a webhook endpoint
///
/// Fields that are left out take their defaults; the secret stays.
#[utoipa::path(put, path = "/webhooks/{id}/", tag = "webhooks", request_body = WholeWebhook,
    params(("id" = String, Path, format = "uuid", description = "Id of the endpoint.")),
    responses((status = 200, description = "The endpoint as it is now.", body = Success<WebhookView>)),
    extensions(("x-scope" = json!("webhooks:manage"))))]
pub(crate) async fn replace_webhook(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<WebhookId>,
    Json(whole): Json<WholeWebhook>,
) -> Result<Answer<WebhookView>, ApiError> {
    change(&app, &caller, id, &whole.into()).await
}

/// Change a webhook endpoint
///
/// Only the fields that are sent. Deliveries that are under way go to the new URL.
#[utoipa::path(patch, path = "/webhooks/{id}/", tag = "webhooks", request_body = PartOfWebhook,
    params(("id" = String, Path, format = "uuid", description = "Id of the endpoint.")),
    responses((status = 200, description = "The endpoint as it is now.", body = Success<WebhookView>)),
    extensions(("x-scope" = json!("webhooks:manage"))))]
pub(crate) async fn update_webhook(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<WebhookId>,
    Json(part): Json<PartOfWebhook>,
) -> Result<Answer<WebhookView>, ApiError> {
    change(&app, &caller, id, &part).await
}

async fn change(app: &App, caller: &Caller, id: WebhookId, part: &PartOfWebhook) -> Result<Answer<WebhookView>, ApiError> {
    super::find(app, caller, id).await?;
    let patch = part.check(app)?;
    let webhook = app.store.update_webhook(id, patch).await?.ok_or_else(ApiError::not_found)?;
    note(app, caller, "webhook.changed", &webhook).await;
    Ok(Answer::ok("The webhook endpoint was changed.", webhook.into()))
}

/// Delete a webhook endpoint
///
/// With its deliveries; nothing more is posted. A log of deliveries that can't be removed within a request goes on being
/// removed afterwards; the endpoint is listed as switched off until it is gone.
#[utoipa::path(delete, path = "/webhooks/{id}/", tag = "webhooks",
    params(("id" = String, Path, format = "uuid", description = "Id of the endpoint.")),
    responses((status = 200, description = "The endpoint is gone, or is going and nothing more is posted.", body = Success<Nothing>)),
    extensions(("x-scope" = json!("webhooks:manage"))))]
pub(crate) async fn delete_webhook(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<WebhookId>,
) -> Result<Answer<Nothing>, ApiError> {
    let webhook = super::find(&app, &caller, id).await?;
    let job = app.store.begin_webhook_removal(id).await?.ok_or_else(ApiError::not_found)?;
    note(&app, &caller, "webhook.deleted", &webhook).await;
    let told = if removal::is_done(&app.store, job, removal::patience(&app.config)).await? {
        "The webhook endpoint was deleted."
    } else {
        "Nothing more is posted to the webhook endpoint; its log of deliveries is being removed."
    };
    Ok(Answer::ok(told, Nothing {}))
}

/// Switch a webhook endpoint on
///
/// One that was switched off, by its owner or because it kept failing. What it missed can be replayed.
#[utoipa::path(post, path = "/webhooks/{id}/enable/", tag = "webhooks",
    params(("id" = String, Path, format = "uuid", description = "Id of the endpoint.")),
    responses((status = 200, description = "The endpoint as it is now.", body = Success<WebhookView>)),
    extensions(("x-scope" = json!("webhooks:manage"))))]
pub(crate) async fn enable_webhook(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<WebhookId>,
) -> Result<Answer<WebhookView>, ApiError> {
    super::find(&app, &caller, id).await?;
    let patch = WebhookPatch { is_active: Some(true), ..WebhookPatch::default() };
    let webhook = app.store.update_webhook(id, patch).await?.ok_or_else(ApiError::not_found)?;
    note(&app, &caller, "webhook.enabled", &webhook).await;
    Ok(Answer::ok("The webhook endpoint is switched on.", webhook.into()))
}

/// Rotate the secret of a webhook endpoint
///
/// The answer holds the new secret, this once. For the grace period deliveries carry two signatures, so that the receiver
/// can change over at any moment.
#[utoipa::path(post, path = "/webhooks/{id}/rotate-secret/", tag = "webhooks", request_body = Option<SecretRotation>,
    params(("id" = String, Path, format = "uuid", description = "Id of the endpoint.")),
    responses((status = 200, description = "The endpoint, with its new secret.", body = Success<NewWebhookView>)),
    extensions(("x-scope" = json!("webhooks:manage"))))]
pub(crate) async fn rotate_webhook_secret(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<WebhookId>,
    OptionalJson(wish): OptionalJson<SecretRotation>,
) -> Result<Answer<NewWebhookView>, ApiError> {
    super::find(&app, &caller, id).await?;
    let default_grace = i64::try_from(app.config.webhooks.rotation_grace_hours).unwrap_or(LONGEST_GRACE);
    let grace = user::limit("grace_hours", wish.grace_hours.unwrap_or(default_grace), 0, LONGEST_GRACE)?;
    let until = app.clock.now().plus(Duration::from_secs(u64::try_from(grace).unwrap_or(0) * 3600));
    let new = secret::make(&*app.clock);
    let shown = secret::show(&new);
    let webhook = app.store.rotate_webhook_secret(id, new, until).await?.ok_or_else(ApiError::not_found)?;
    note(&app, &caller, "webhook.secret_rotated", &webhook).await;
    let answer = NewWebhookView { secret: shown, view: webhook.into() };
    Ok(Answer::ok("The secret was rotated. Keep the new one: it is not shown again.", answer))
}

/// The URL is not in the note: people put secrets into URLs.
async fn note(app: &App, caller: &Caller, action: &'static str, webhook: &Webhook) {
    let detail = json!({"user": webhook.user_id, "description": webhook.description, "is_active": webhook.is_active});
    audit::note(app, caller, action, format!("webhook {}", webhook.id), detail).await;
}
