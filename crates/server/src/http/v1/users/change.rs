//! Making, changing and removing users.
//!
//! Whatever is changed counts from the moment of the answer: checked keys are forgotten, and who was deactivated
//! or got another password has no login left.

use super::UserView;
use super::view::{PartOfUser, WholeUser};
use crate::app::App;
use crate::http::{Answer, ApiError, Caller, ErrorCode, Json, Nothing, Path, Success, audit};
use crate::removal;
use axum::extract::State;
use sanasend_model::UserId;
use sanasend_store::{NewUser, Updated, User};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;

/// Why nothing of a user can be changed any more.
const BEING_DELETED: &str = "The user is being deleted, which can't be undone; nothing of it can be changed any more.";

/// A new password for somebody else.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPassword {
    /// At least 10 characters.
    #[schema(example = "correct horse battery", format = Password, min_length = 10, max_length = 256)]
    pub password: String,
}

/// Create a user
///
/// The user can log in at once. Programs of theirs need an API key: `POST /api/v1/api-keys/`.
#[utoipa::path(post, path = "/users/", tag = "users", request_body = WholeUser,
    responses((status = 201, description = "The new user.", body = Success<UserView>)),
    extensions(("x-admin" = json!(true)), ("x-error-codes" = json!(["CONFLICT"]))))]
pub async fn create_user(State(app): State<Arc<App>>, caller: Caller, Json(whole): Json<WholeUser>) -> Result<Answer<UserView>, ApiError> {
    let part = PartOfUser::from(whole);
    let Some(password) = part.password.clone() else {
        return Err(ApiError::field("password", "is required"));
    };
    let checked = part.check("")?;
    let new = NewUser {
        username: checked.username.unwrap_or_default(),
        email: checked.email.unwrap_or_default(),
        password_hash: app.auth.passwords.hash(password).await?,
        is_admin: checked.is_admin.unwrap_or_default(),
        is_active: checked.is_active.unwrap_or_default(),
        max_messages_per_day: checked.max_messages_per_day.unwrap_or_default(),
        max_messages_per_minute: checked.max_messages_per_minute.unwrap_or_default(),
        max_sessions: checked.max_sessions.unwrap_or_default(),
    };
    let user = app.store.create_user(new).await?;
    audit::note(&app, &caller, "user.created", target(user.id), json!({"username": user.username, "is_admin": user.is_admin})).await;
    Ok(Answer::created("The user was created.", UserView::from(&user)))
}

/// Replace a user
///
/// Fields that are left out take their defaults, except the password, which stays.
#[utoipa::path(put, path = "/users/{id}/", tag = "users", request_body = WholeUser,
    params(("id" = String, Path, format = "uuid", description = "Id of the user.")),
    responses((status = 200, description = "The user as it is now.", body = Success<UserView>)),
    extensions(("x-admin" = json!(true)), ("x-error-codes" = json!(["CONFLICT", "LAST_ADMIN", "WRONG_STATE"]))))]
pub async fn replace_user(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<UserId>,
    Json(whole): Json<WholeUser>,
) -> Result<Answer<UserView>, ApiError> {
    change(&app, &caller, id, &whole.into()).await
}

/// Change a user
///
/// Only the fields that are sent. Deactivating ends all logins; so does a new password. Of a user who is being deleted nothing
/// can be changed: that is a 409.
#[utoipa::path(patch, path = "/users/{id}/", tag = "users", request_body = PartOfUser,
    params(("id" = String, Path, format = "uuid", description = "Id of the user.")),
    responses((status = 200, description = "The user as it is now.", body = Success<UserView>)),
    extensions(("x-admin" = json!(true)), ("x-error-codes" = json!(["CONFLICT", "LAST_ADMIN", "WRONG_STATE"]))))]
pub async fn update_user(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<UserId>,
    Json(part): Json<PartOfUser>,
) -> Result<Answer<UserView>, ApiError> {
    change(&app, &caller, id, &part).await
}

/// Delete a user
///
/// Its WhatsApp accounts are logged out, then everything of it is removed: sessions, keys, messages, events. From the first
/// moment it can do nothing any more. What can't be removed within a request (millions of messages) goes on afterwards, also
/// through a restart; until it is gone the user is listed, inactive and with `deleting_since`, and can't be changed or
/// activated. To delete it once more does no harm.
#[utoipa::path(delete, path = "/users/{id}/", tag = "users",
    params(("id" = String, Path, format = "uuid", description = "Id of the user.")),
    responses((status = 200, description = "The user is gone, or is going and can't be used any more.", body = Success<Nothing>)),
    extensions(("x-admin" = json!(true)), ("x-error-codes" = json!(["LAST_ADMIN"]))))]
pub async fn delete_user(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<UserId>) -> Result<Answer<Nothing>, ApiError> {
    // Deactivating first asks the rule of the last admin before anything is undone, and stops new sends.
    let (_, job) = done(app.store.begin_user_removal(id, caller.actor(), caller.ip).await?)?;
    app.auth.keys.forget();
    app.store.revoke_logins_of(id).await?;
    let gone = removal::is_done(&app.store, job, removal::patience(&app.config)).await?;
    app.auth.keys.forget();
    let told = if gone { "The user was deleted." } else { "The user can do nothing any more; what is left of it is being removed." };
    Ok(Answer::ok(told, Nothing {}))
}

/// Activate a user
///
/// Its keys and its password work again; logins that ended stay ended. A user who is being deleted can't come back: that is
/// a 409.
#[utoipa::path(post, path = "/users/{id}/activate/", tag = "users",
    params(("id" = String, Path, format = "uuid", description = "Id of the user.")),
    responses((status = 200, description = "The user as it is now.", body = Success<UserView>)),
    extensions(("x-admin" = json!(true)), ("x-error-codes" = json!(["WRONG_STATE"]))))]
pub async fn activate_user(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<UserId>) -> Result<Answer<UserView>, ApiError> {
    change(&app, &caller, id, &PartOfUser { is_active: Some(true), ..PartOfUser::default() }).await
}

/// Deactivate a user
///
/// Its keys, logins and sending stop at once; its WhatsApp accounts stay linked.
#[utoipa::path(post, path = "/users/{id}/deactivate/", tag = "users",
    params(("id" = String, Path, format = "uuid", description = "Id of the user.")),
    responses((status = 200, description = "The user as it is now.", body = Success<UserView>)),
    extensions(("x-admin" = json!(true)), ("x-error-codes" = json!(["LAST_ADMIN", "WRONG_STATE"]))))]
pub async fn deactivate_user(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<UserId>) -> Result<Answer<UserView>, ApiError> {
    change(&app, &caller, id, &PartOfUser { is_active: Some(false), ..PartOfUser::default() }).await
}

/// Reset a user's password
///
/// Ends all logins of the user.
#[utoipa::path(post, path = "/users/{id}/reset-password/", tag = "users", request_body = NewPassword,
    params(("id" = String, Path, format = "uuid", description = "Id of the user.")),
    responses((status = 200, description = "The user as it is now.", body = Success<UserView>)),
    extensions(("x-admin" = json!(true)), ("x-error-codes" = json!(["WRONG_STATE"]))))]
pub async fn reset_user_password(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<UserId>,
    Json(new): Json<NewPassword>,
) -> Result<Answer<UserView>, ApiError> {
    change(&app, &caller, id, &PartOfUser { password: Some(new.password), ..PartOfUser::default() }).await
}

async fn change(app: &App, caller: &Caller, id: UserId, part: &PartOfUser) -> Result<Answer<UserView>, ApiError> {
    let before = app.store.user(id).await?.ok_or_else(ApiError::not_found)?;
    let mut patch = part.check(&before.username)?;
    if let Some(password) = part.password.clone() {
        patch.password_hash = Some(app.auth.passwords.hash(password).await?);
    }
    let new_password = patch.password_hash.is_some();
    let user = done(app.store.update_user(id, patch).await?)?;
    app.auth.keys.forget();
    if new_password || !user.is_active {
        app.store.revoke_logins_of(id).await?;
        app.auth.keys.forget();
    }
    if before.is_active && !user.is_active {
        app.sessions.user_deactivated(id).await;
    }
    note_change(app, caller, &before, &user, new_password).await;
    Ok(Answer::ok("The user was changed.", UserView::from(&user)))
}

async fn note_change(app: &App, caller: &Caller, before: &User, after: &User, new_password: bool) {
    let action = match (before.is_active, after.is_active) {
        (true, false) => "user.deactivated",
        (false, true) => "user.activated",
        _ => "user.changed",
    };
    let detail = json!({
        "username": after.username,
        "was_admin": before.is_admin,
        "is_admin": after.is_admin,
        "new_password": new_password,
    });
    audit::note(app, caller, action, target(after.id), detail).await;
}

fn done<T>(updated: Updated<T>) -> Result<T, ApiError> {
    match updated {
        Updated::Done(value) => Ok(value),
        Updated::Missing => Err(ApiError::not_found()),
        Updated::LastAdmin => Err(ErrorCode::LastAdmin.into()),
        Updated::BeingRemoved => Err(ApiError::because(ErrorCode::WrongState, BEING_DELETED)),
    }
}

fn target(id: UserId) -> String {
    format!("user {id}")
}
