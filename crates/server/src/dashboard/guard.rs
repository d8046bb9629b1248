//! What every request to the dashboard passes: whether another site sent it, whose cookie it carries, and whether that
//! person may go where it leads.
//!
//! Other sites' forms are told by `Sec-Fetch-Site`, which pages can't set. Browsers send it over HTTPS and to this
//! machine only; without it the `Origin` header has to name this server.

use super::cookie;
use super::trouble::{Trouble, in_colours, is_trouble};
use super::visitor::{CameWith, Look};
use crate::app::App;
use crate::auth::tokens::digest;
use crate::http::{ApiError, Caller, ErrorCode, Exchange};
use axum::body::Body;
use axum::extract::{OriginalUri, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use sanasend_store::StoreError;
use std::sync::Arc;
use std::time::Duration;

/// The use of a cookie is noted at most so often: a page costs no write.
const NOTED_EVERY: Duration = Duration::from_mins(1);

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Everybody, logged in or not.
    Anyone,
    /// Who is logged in; sees its own things.
    User,
    /// Admins.
    Admin,
}

/// The guard of one route; a middleware.
pub async fn check(State((app, who)): State<(Arc<App>, Who)>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let exchange = Exchange::of(&parts);
    exchange.note_route(&parts);
    let look = Look::of(&app, &parts.headers, cookie::are_secure(&app.config, &exchange));
    let (secure, spend_flash, theme) = (look.secure, look.flash.is_some(), look.theme);
    parts.extensions.insert(look);
    let response = answer(&app, who, (parts, body), exchange, next).await;
    // A page of trouble does not show the message that waits: it is for the next one.
    let spend_flash = spend_flash && !is_trouble(&response) && is_shown(&response);
    let mut response = in_colours(response, theme);
    if spend_flash {
        cookie::drop(response.headers_mut(), cookie::FLASH, secure);
    }
    response
}

/// The answer for whoever may have it.
async fn answer(app: &App, who: Who, (mut parts, body): (Parts, Body), exchange: Arc<Exchange>, next: Next) -> Response {
    if parts.method != Method::GET && parts.method != Method::HEAD && !is_own(app, &parts.headers, exchange.https()) {
        return Trouble::from(ErrorCode::CrossSite).into_response();
    }
    match caller(app, &parts, exchange).await {
        Ok(Some((caller, _))) if who == Who::Admin && !caller.user.is_admin => {
            return Trouble::from(ErrorCode::AdminRequired).into_response();
        }
        Ok(Some((caller, came_with))) => {
            parts.extensions.insert(caller);
            parts.extensions.insert(came_with);
        }
        Ok(None) if who == Who::Anyone => {}
        Ok(None) => {
            let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
            return to_login(&parts.headers, &parts.method, uri.path_and_query().map_or("", |path| path.as_str()));
        }
        // Who may not come in any more still sees the page to log in.
        Err(refused) if who != Who::Anyone => return Trouble(refused).into_response(),
        Err(_) => {}
    }
    next.run(Request::from_parts(parts, body)).await
}

/// Whether an answer is a page that showed the message that waited for it.
fn is_shown(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    !response.status().is_redirection() && kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

/// The person behind the cookie; `None` without a good one.
async fn caller(app: &App, asked: &Parts, exchange: Arc<Exchange>) -> Result<Option<(Caller, CameWith)>, ApiError> {
    let secure = cookie::are_secure(&app.config, &exchange);
    let Some(value) = cookie::read(&asked.headers, cookie::LOGIN, secure) else { return Ok(None) };
    let digest = digest(&value);
    let idle = idle(app);
    let Some(found) = app.store.cookie(digest, idle).await? else { return Ok(None) };
    if !is_by_itself(asked) && app.clock.now().since(found.seen_at) >= NOTED_EVERY.min(idle / 2) {
        note_use(app.store.touch_cookie(digest).await);
    }
    let caller = Caller::by_cookie(app, found.user, found.login, exchange).await?;
    Ok(Some((caller, CameWith(digest))))
}

/// How long a login lasts that nobody uses.
pub fn idle(app: &App) -> Duration {
    Duration::from_secs(app.config.auth.dashboard_idle_minutes * 60)
}

/// Whether a page asks, to keep a part of it up to date. Nobody has to be there for that, so it keeps no login alive.
fn is_by_itself(asked: &Parts) -> bool {
    asked.method == Method::GET && asked.headers.get("sec-fetch-dest").is_some_and(|kind| kind == "empty")
}

/// A database that can't be written for a moment is no reason to show no page.
fn note_use(noted: Result<(), StoreError>) {
    if let Err(error) = noted {
        tracing::warn!(%error, "the use of a login could not be noted");
    }
}

/// A page leads to the login and back; a form that was filled in too slowly does not.
fn to_login(headers: &HeaderMap, method: &Method, path: &str) -> Response {
    let wants_page = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|accept| accept.contains("text/html"));
    if !wants_page {
        return (StatusCode::UNAUTHORIZED, ErrorCode::InvalidToken.sentence()).into_response();
    }
    let next = if *method == Method::GET && path != "/admin/" { path } else { "" };
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
    Redirect::to(&if next.is_empty() { "/admin/login/".to_owned() } else { format!("/admin/login/?{query}") }).into_response()
}

/// Whether a form was sent from a page of this server.
fn is_own(app: &App, headers: &HeaderMap, https: bool) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let Some(origin) = text("origin") else { return false };
    let public = app.config.general.public_url.as_deref().map(|url| url.trim_end_matches('/'));
    let hosts = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://").filter(|_| !https));
    public == Some(origin) || (hosts.is_some() && hosts == text("host"))
}
