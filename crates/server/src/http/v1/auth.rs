//! Logging in as a person: tokens for a password, new tokens for a refresh token, and leaving again.

use super::users::UserView;
use crate::app::App;
use crate::auth::tokens::{Pair, Purpose, TokenRefusal, digest};
use crate::http::caller::admin_may_come_from;
use crate::http::{Answer, ApiError, Caller, ErrorCode, Exchange, Json, Nothing, OptionalJson, Success, audit};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use sanasend_model::guess::Wait;
use sanasend_model::{LoginId, Timestamp, UserId, user};
use sanasend_store::limits::Guess;
use sanasend_store::{NewLogin, Rotation, Updated, User, UserPatch};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Longest description of a browser that is kept.
const LONGEST_USER_AGENT: usize = 256;

/// Everything under `/auth/`.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(create_login))
        .routes(routes!(refresh_login))
        .routes(routes!(delete_login))
        .routes(routes!(get_me))
        .routes(routes!(change_password))
}

/// Name and password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Login name; case does not matter.
    #[schema(example = "anna")]
    username: String,
    /// Password.
    #[schema(example = "correct horse battery", format = Password)]
    password: String,
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshToken {
    /// The refresh token of the last answer; it works once.
    refresh: String,
}

/// Which login to end.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Leaving {
    /// A refresh token of the login; left out, the login of the access token in the header is ended.
    refresh: Option<String>,
}

/// The present and the wanted password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The present one.
    #[schema(format = Password)]
    current_password: String,
    /// The new one, at least 10 characters.
    #[schema(format = Password, min_length = 10, max_length = 256)]
    new_password: String,
}

/// Tokens of a login.
#[derive(Serialize, ToSchema)]
pub struct LoggedIn {
    /// Sent as `Authorization: Bearer <access>`.
    pub access: String,
    /// When the access token ends.
    #[schema(value_type = String, format = DateTime)]
    pub access_expires_at: Timestamp,
    /// Traded once for new tokens at `/auth/refresh/`.
    pub refresh: String,
    /// When the refresh token ends.
    #[schema(value_type = String, format = DateTime)]
    pub refresh_expires_at: Timestamp,
    /// Who logged in.
    pub user: UserView,
}

impl LoggedIn {
    fn new(pair: Pair, user: &User) -> Self {
        Self {
            access: pair.access,
            access_expires_at: pair.access_expires_at,
            refresh: pair.refresh,
            refresh_expires_at: pair.refresh_expires_at,
            user: UserView::from(user),
        }
    }
}

/// Log in
///
/// Wrong passwords are slowed down per user name and per address: after some, 429 with `Retry-After`.
#[utoipa::path(post, path = "/auth/login/", tag = "auth", request_body = Credentials, security(()),
    responses((status = 200, description = "Tokens and the user.", body = Success<LoggedIn>)),
    extensions(("x-error-codes" = json!(["INVALID_CREDENTIALS", "USER_INACTIVE", "ADMIN_IP_NOT_ALLOWED"]))))]
async fn create_login(
    State(app): State<Arc<App>>,
    exchange: Exchange,
    headers: HeaderMap,
    Json(credentials): Json<Credentials>,
) -> Result<Answer<LoggedIn>, ApiError> {
    let user = check_credentials(&app, exchange.address, &credentials.username, credentials.password).await?;
    let pair = begin_login(&app, &user, &exchange, &headers).await?;
    Ok(Answer::ok("Logged in.", LoggedIn::new(pair, &user)))
}

/// Refresh a login
///
/// A refresh token works once. One that comes a second time was probably stolen, so it ends the whole login.
#[utoipa::path(post, path = "/auth/refresh/", tag = "auth", request_body = RefreshToken, security(()),
    responses((status = 200, description = "New tokens and the user.", body = Success<LoggedIn>)),
    extensions(("x-error-codes" = json!(["INVALID_TOKEN", "TOKEN_EXPIRED", "TOKEN_REUSED", "USER_INACTIVE", "ADMIN_IP_NOT_ALLOWED"]))))]
async fn refresh_login(
    State(app): State<Arc<App>>,
    exchange: Exchange,
    Json(token): Json<RefreshToken>,
) -> Result<Answer<LoggedIn>, ApiError> {
    let claims = app.auth.tokens.read(&token.refresh, Purpose::Refresh)?;
    if let Some(user) = app.store.user(claims.sub).await? {
        expect_admins_place(&app, &user, exchange.address).await?;
    }
    let pair = app.auth.tokens.issue(claims.sub, claims.sid);
    let old = digest(&token.refresh);
    match app.store.rotate_refresh(old, pair.refresh_digest, app.clock.now(), pair.refresh_expires_at).await? {
        Rotation::Rotated { user, .. } if user.is_active => Ok(Answer::ok("Refreshed.", LoggedIn::new(pair, &user))),
        Rotation::Rotated { .. } => {
            app.store.revoke_login(claims.sid).await?;
            app.auth.keys.forget();
            Err(ErrorCode::UserInactive.into())
        }
        Rotation::Reused => {
            app.auth.keys.forget();
            let target = format!("login {}", claims.sid);
            audit::note_as(&app, Some(claims.sub), exchange.address, "login.reuse_refused", target, json!({})).await;
            Err(ErrorCode::TokenReused.into())
        }
        Rotation::Unknown => Err(ErrorCode::InvalidToken.into()),
        Rotation::Expired => Err(ErrorCode::TokenExpired.into()),
    }
}

/// Log out
///
/// Ends the login of the refresh token in the body, or of the access token in the header. Ending it again is no error.
#[utoipa::path(post, path = "/auth/logout/", tag = "auth", request_body = Option<Leaving>,
    security(("bearer" = []), ()),
    responses((status = 200, description = "The login has ended.", body = Success<Nothing>)),
    extensions(("x-error-codes" = json!(["LOGIN_REQUIRED"]))))]
async fn delete_login(
    State(app): State<Arc<App>>,
    exchange: Exchange,
    caller: Result<Caller, ApiError>,
    OptionalJson(leaving): OptionalJson<Leaving>,
) -> Result<Answer<Nothing>, ApiError> {
    let login: LoginId = match leaving.refresh {
        Some(refresh) => match app.auth.tokens.read(&refresh, Purpose::Refresh) {
            Ok(claims) => claims.sid,
            // What has expired by itself needs no ending.
            Err(TokenRefusal::Expired) => return Ok(Answer::ok("Logged out.", Nothing {})),
            Err(refusal) => return Err(refusal.into()),
        },
        None => caller?.require_login()?,
    };
    if app.store.revoke_login(login).await? {
        app.auth.keys.forget();
        audit::note_as(&app, None, exchange.address, "login.ended", format!("login {login}"), json!({})).await;
    }
    Ok(Answer::ok("Logged out.", Nothing {}))
}

/// Who am I?
///
/// The user behind the access token or API key.
#[utoipa::path(get, path = "/auth/me/", tag = "auth",
    responses((status = 200, description = "The user.", body = Success<UserView>)))]
async fn get_me(caller: Caller) -> Answer<UserView> {
    Answer::ok("You.", UserView::from(&*caller.user))
}

/// Change your own password
///
/// Ends all your logins and answers with tokens of a new one.
#[utoipa::path(post, path = "/auth/change-password/", tag = "auth", request_body = PasswordChange,
    responses((status = 200, description = "New tokens and the user.", body = Success<LoggedIn>)),
    extensions(("x-login" = json!(true))))]
async fn change_password(
    State(app): State<Arc<App>>,
    caller: Caller,
    exchange: Exchange,
    headers: HeaderMap,
    Json(change): Json<PasswordChange>,
) -> Result<Answer<LoggedIn>, ApiError> {
    let user = replace_password(&app, &caller, change.current_password, change.new_password).await?;
    let pair = begin_login(&app, &user, &exchange, &headers).await?;
    Ok(Answer::ok("The password was changed.", LoggedIn::new(pair, &user)))
}

/// The user of a name and password that may log in from `ip`: for tokens and for the dashboard's cookies alike.
///
/// # Errors
/// `RATE_LIMITED`, `INVALID_CREDENTIALS`, `USER_INACTIVE`, `ADMIN_IP_NOT_ALLOWED`.
pub(crate) async fn check_credentials(app: &App, ip: IpAddr, username: &str, password: String) -> Result<User, ApiError> {
    let username = username.trim().to_lowercase();
    let attempt = app.limits.begin_guess(&username, ip).await.map_err(too_many)?;
    let (user, hash) = app.store.user_credentials(&username).await?.unzip();
    // Longer than any password can be: not worth hashing, but it takes as long as any other wrong one.
    let sound = password.chars().count() <= user::MAX_PASSWORD_CHARS;
    let is_right = app.auth.passwords.verify(password, hash.filter(|_| sound)).await?;
    // People type passwords into the wrong field: a name that nobody has is not written down.
    let shown = user.as_ref().map_or_else(|| "that nobody has".to_owned(), |user| user.username.clone());
    let Some(user) = user.filter(|_| is_right) else {
        audit::note_as(app, None, ip, "login.refused", format!("username {shown}"), json!({})).await;
        note_lock(app, &attempt, None, ip, &shown).await;
        return Err(ErrorCode::InvalidCredentials.into());
    };
    app.limits.forgive_guess(attempt).await;
    if !user.is_active {
        return Err(ErrorCode::UserInactive.into());
    }
    expect_admins_place(app, &user, ip).await?;
    Ok(user)
}

/// Gives a caller another password and ends all its logins.
///
/// # Errors
/// `VALIDATION_ERROR` on `current_password` or `new_password`, `RATE_LIMITED`.
pub(crate) async fn replace_password(app: &App, caller: &Caller, current: String, new: String) -> Result<User, ApiError> {
    let name = &caller.user.username;
    user::password(&new, name).map_err(|refused| ApiError::field("new_password", refused.message))?;
    let attempt = app.limits.begin_guess(name, caller.ip).await.map_err(too_many)?;
    let hash = app.store.user_credentials(name).await?.map(|(_, hash)| hash);
    if !app.auth.passwords.verify(current, hash).await? {
        note_lock(app, &attempt, Some(caller.id()), caller.ip, name).await;
        return Err(ApiError::field("current_password", "is wrong"));
    }
    app.limits.forgive_guess(attempt).await;
    let patch = UserPatch { password_hash: Some(app.auth.passwords.hash(new).await?), ..UserPatch::default() };
    let Updated::Done(user) = app.store.update_user(caller.id(), patch).await? else {
        return Err(ErrorCode::InvalidToken.into());
    };
    app.store.revoke_logins_of(user.id).await?;
    app.auth.keys.forget();
    audit::note(app, caller, "user.password_changed", format!("user {}", user.id), json!({})).await;
    Ok(user)
}

async fn begin_login(app: &App, user: &User, exchange: &Exchange, headers: &HeaderMap) -> Result<Pair, ApiError> {
    let id = LoginId::new(&*app.clock);
    let pair = app.auth.tokens.issue(user.id, id);
    let new = NewLogin {
        id,
        user_id: user.id,
        refresh_digest: pair.refresh_digest,
        expires_at: pair.refresh_expires_at,
        user_agent: user_agent(headers),
        ip: Some(exchange.address),
    };
    app.store.create_login(new).await?;
    audit::note_as(app, Some(user.id), exchange.address, "login.created", format!("login {id}"), json!({})).await;
    Ok(pair)
}

/// The browser or program, as it calls itself.
pub(crate) fn user_agent(headers: &HeaderMap) -> Option<String> {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    agent.map(|agent| agent.chars().take(LONGEST_USER_AGENT).collect())
}

/// Refuses an admin who comes from elsewhere than admins may.
async fn expect_admins_place(app: &App, user: &User, ip: IpAddr) -> Result<(), ApiError> {
    if admin_may_come_from(app, user, ip) {
        return Ok(());
    }
    audit::note_as(app, Some(user.id), ip, "login.place_refused", format!("user {}", user.id), json!({})).await;
    Err(ErrorCode::AdminIpNotAllowed.into())
}

/// Notes that a wrong password locked a name, and for how long. Attempts at a locked name are not tried and not noted.
async fn note_lock(app: &App, attempt: &Guess, actor: Option<UserId>, ip: IpAddr, username: &str) {
    if let Some(lock) = attempt.lock() {
        audit::note_as(app, actor, ip, "login.locked", format!("username {username}"), json!({"seconds": lock.as_secs()})).await;
    }
}

fn too_many(wait: Wait) -> ApiError {
    ApiError::because(ErrorCode::RateLimited, "Too many attempts to log in; wait as long as `Retry-After` says.").retry_after(wait.0)
}
