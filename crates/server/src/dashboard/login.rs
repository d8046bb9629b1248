//! Logging in and out, and the colours.
//!
//! Names and passwords are checked by the same function as those of `POST /auth/login/`, with the same limits.

use super::cookie;
use super::form::Form;
use super::list::Asked;
use super::render::{Page, with_status};
use super::visitor::{Look, Shell, Theme};
use crate::app::App;
use crate::auth::tokens::digest;
use crate::http::v1::auth::{check_credentials, user_agent};
use crate::http::{ApiError, Caller, Exchange, audit};
use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sanasend_model::LoginId;
use sanasend_store::{NewCookie, User};
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long the colours are remembered, in seconds.
const THEME_SECONDS: u32 = 31_536_000;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    shell: Shell,
    form: Form,
    next: String,
}

/// The page; who is logged in already goes on.
pub async fn show(look: Look, caller: Option<Extension<Caller>>, asked: Asked) -> Page {
    let next = sound_next(asked.text("next"));
    if caller.is_some() {
        return Ok(Redirect::to(&next).into_response());
    }
    with_status(StatusCode::OK, &LoginPage { shell: look.shell("Log in"), form: Form::default(), next })
}

/// Logs in.
pub async fn enter(State(app): State<Arc<App>>, look: Look, exchange: Exchange, headers: HeaderMap, form: Form) -> Page {
    let next = sound_next(form.text("next"));
    let password = form.text("password").to_owned();
    let user = match check_credentials(&app, exchange.address, form.text("username"), password).await {
        Ok(user) => user,
        Err(refusal) => {
            let page = LoginPage { shell: look.shell("Log in"), form: form.refused(refusal)?.without("password"), next };
            let mut response = with_status(page.form.status(), &page)?;
            page.form.tell_wait(response.headers_mut());
            return Ok(response);
        }
    };
    let mut response = Redirect::to(&next).into_response();
    begin(&app, &user, &look, exchange.address, &headers, response.headers_mut()).await?;
    Ok(response)
}

/// Makes a login and gives the browser its cookie.
///
/// # Errors
/// `SERVICE_UNAVAILABLE`.
pub async fn begin(app: &App, user: &User, look: &Look, ip: IpAddr, asked: &HeaderMap, answer: &mut HeaderMap) -> Result<(), ApiError> {
    let mut random = [0_u8; 32];
    app.clock.fill(&mut random);
    let value = URL_SAFE_NO_PAD.encode(random);
    let id = LoginId::new(&*app.clock);
    let expires_at = app.clock.now().plus(Duration::from_secs(app.config.auth.dashboard_hours * 3600));
    let new = NewCookie { id, user_id: user.id, digest: digest(&value), expires_at, user_agent: user_agent(asked), ip: Some(ip) };
    app.store.create_cookie(new).await?;
    audit::note_as(app, Some(user.id), ip, "login.created", format!("login {id}"), json!({"by": "dashboard"})).await;
    cookie::set(answer, cookie::LOGIN, &value, look.secure, None);
    Ok(())
}

/// Logs out.
pub async fn leave(State(app): State<Arc<App>>, look: Look, caller: Option<Extension<Caller>>) -> Page {
    if let Some(Extension(caller)) = caller
        && let Some(login) = caller.login
        && app.store.revoke_login(login).await?
    {
        app.auth.keys.forget();
        audit::note(&app, &caller, "login.ended", format!("login {login}"), json!({"by": "dashboard"})).await;
    }
    let mut response = look.leave("/admin/login/", false, "You are logged out.");
    cookie::drop(response.headers_mut(), cookie::LOGIN, look.secure);
    Ok(response)
}

/// Changes the colours, and goes back to where that was asked.
pub async fn choose_theme(look: Look, headers: HeaderMap, form: Form) -> Response {
    let theme = Theme::named(form.text("theme"));
    let from = headers.get(header::REFERER).and_then(|value| value.to_str().ok()).and_then(|url| url.split_once("://"));
    let path = from.and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..))).unwrap_or_default();
    let mut response = Redirect::to(&sound_next(path)).into_response();
    cookie::set(response.headers_mut(), cookie::THEME, theme.as_str(), look.secure, Some(THEME_SECONDS));
    response
}

/// Where to go after the login: a page of the dashboard and nothing else.
fn sound_next(asked: &str) -> String {
    let plain = asked.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    let is_ours = asked.starts_with("/admin/") && !asked.contains("//") && !asked.starts_with("/admin/log") && !asked.contains("/../");
    if plain && is_ours { asked.to_owned() } else { "/admin/".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::sound_next;

    #[test]
    fn a_login_leads_to_pages_of_the_dashboard_only() {
        for good in ["/admin/", "/admin/users/?search=a%2Fb&page=2"] {
            assert_eq!(sound_next(good), good);
        }
        for bad in ["", "https://evil.test/", "//evil.test", "/\\evil.test", "/admin/\\evil", "/admin//evil", "/api/", "/admin/logout/"] {
            assert_eq!(sound_next(bad), "/admin/", "{bad}");
        }
    }
}
