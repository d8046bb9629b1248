//! Linking an account: the first code, the passkey step.

use super::manage::{Which, find, note, view};
use super::view::SessionView;
use crate::app::App;
use crate::http::v1::messages::DEFAULT;
use crate::http::{Answer, ApiError, Caller, ErrorCode, Json, OptionalJson, Query, Success};
use crate::sessions::{Begin, Live};
use axum::extract::State;
use sanasend_engine::EngineError;
use sanasend_model::{FieldErrors, Invalid, PhoneNumber, SessionId};
use sanasend_store::{Created, NewSession, Session};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;

/// How to link.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InitSession {
    /// Name of the session: 1 to 64 letters, digits, `.`, `_`, `-`. `default` when left out.
    #[serde(default, alias = "session")]
    #[schema(example = "default", pattern = "^[A-Za-z0-9._-]{1,64}$")]
    pub(crate) name: Option<String>,
    /// The number of the account, to be linked by typing an 8-character code on the phone instead of scanning.
    #[serde(default)]
    #[schema(example = "+12025550100")]
    pub(crate) phone_number: Option<String>,
}

/// The person's passkey.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Passkey {
    /// The `PublicKeyCredential` that the browser made, in its JSON form.
    #[schema(value_type = Object)]
    pub(crate) credential: Value,
}

/// Start linking an account
///
/// Answers with the first QR code: as text, as PNG and as SVG. Codes change every 20 to 60 seconds; follow them with
/// `GET /sessions/events/` or `GET /sessions/status/`. With `phone_number` it answers with a pairing code instead. The
/// same call while linking is under way answers the present code. When WhatsApp can't be reached, the status is
/// `failed` and `reason` says why.
#[utoipa::path(post, path = "/sessions/init/", tag = "sessions", request_body = InitSession, params(Which),
    responses(
        (status = 201, description = "A new session, with its first code.", body = Success<SessionView>),
        (status = 200, description = "A session that existed, with its code.", body = Success<SessionView>)),
    extensions(("x-scope" = json!("sessions:manage")), ("x-error-codes" = json!(["WRONG_STATE", "SESSION_LIMIT_REACHED"]))))]
pub(crate) async fn init_session(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(which): Query<Which>,
    OptionalJson(asked): OptionalJson<InitSession>,
) -> Result<Answer<SessionView>, ApiError> {
    let (name, phone) = check(&asked, which.session.as_deref())?;
    let (row, created) = find_or_create(&app, &caller, &name).await?;
    let mut live = app.sessions.watch(&row);
    let was_running = app.sessions.is_running(row.id);
    match app.sessions.begin(&row, phone.clone()).await? {
        // The same call again while linking is under way is no new attempt.
        Begin::UnderWay if was_running => {}
        Begin::UnderWay => note(&app, &caller, "session.link_begun", &row).await,
        Begin::Linked => {
            let text = "An account is linked here already. Bring it online with POST /api/v1/sessions/reconnect/, or log it out with POST /api/v1/sessions/disconnect/ first.";
            return Err(ApiError::because(ErrorCode::WrongState, text));
        }
        Begin::ServerFull => {
            return Err(ApiError::because(ErrorCode::SessionLimitReached, "The server runs as many accounts as it may."));
        }
        Begin::OtherNetwork => {
            let known = app.sessions.live(&row).reason;
            let reason = known.map_or_else(|| "This account belongs to another network.".into(), |reason| reason.text);
            return Err(ApiError::because(ErrorCode::WrongState, reason));
        }
    }
    let by_code = phone.is_some();
    let ready = |live: &Live| live.shows_the_way() && !(by_code && live.qr.is_some() && live.pair_code.is_none());
    // Too late is no error: the code then comes by the status and the stream.
    let _ = tokio::time::timeout(app.sessions.options().first_code, live.wait_for(ready)).await;
    let row = app.store.session(row.id).await?.ok_or_else(ApiError::not_found)?;
    let view = view(&app, row);
    let message = match view.status {
        "failed" => view.reason.clone().unwrap_or_else(|| "Linking failed.".into()),
        _ if view.pairing_code.is_some() => "Type this code on the phone: WhatsApp > Linked devices > Link with phone number.".into(),
        _ if view.qr_code.is_some() => "Scan this code with the phone: WhatsApp > Linked devices > Link a device.".into(),
        _ => "Linking has begun; the code is on its way.".into(),
    };
    Ok(if created { Answer::created(message, view) } else { Answer::ok(message, view) })
}

/// Hand over the passkey
///
/// While the status is `passkey_required`: the answer to `passkey.options`, made by the person's browser on
/// web.whatsapp.com.
#[utoipa::path(post, path = "/sessions/passkey/", tag = "sessions", request_body = Passkey, params(Which),
    responses((status = 200, description = "WhatsApp has it.", body = Success<SessionView>)),
    extensions(("x-scope" = json!("sessions:manage")), ("x-error-codes" = json!(["WRONG_STATE", "NOT_FOUND"]))))]
pub(crate) async fn answer_passkey(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(which): Query<Which>,
    Json(asked): Json<Passkey>,
) -> Result<Answer<SessionView>, ApiError> {
    let row = find(&app, &caller, &which).await?;
    if app.sessions.live(&row).passkey.is_none() {
        return Err(nothing_waits());
    }
    app.sessions.passkey(&row, asked.credential).await.map_err(refused)?;
    Ok(Answer::ok("WhatsApp has the passkey.", view(&app, row)))
}

/// Confirm the passkey code
///
/// Says that the person sees the same code on the phone as in `passkey.code`.
#[utoipa::path(post, path = "/sessions/passkey/confirm/", tag = "sessions", params(Which),
    responses((status = 200, description = "Confirmed.", body = Success<SessionView>)),
    extensions(("x-scope" = json!("sessions:manage")), ("x-error-codes" = json!(["WRONG_STATE", "NOT_FOUND"]))))]
pub(crate) async fn confirm_passkey(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(which): Query<Which>,
) -> Result<Answer<SessionView>, ApiError> {
    let row = find(&app, &caller, &which).await?;
    if app.sessions.live(&row).passkey_code.is_none() {
        return Err(nothing_waits());
    }
    app.sessions.passkey_confirmed(&row).await.map_err(refused)?;
    Ok(Answer::ok("Confirmed.", view(&app, row)))
}

fn nothing_waits() -> ApiError {
    ApiError::because(ErrorCode::WrongState, "WhatsApp does not ask for a passkey now.")
}

fn refused(error: EngineError) -> ApiError {
    match error {
        EngineError::RetryAfter(wait) => ApiError::unavailable(error).retry_after(wait),
        EngineError::Rejected(reason) => ApiError::because(ErrorCode::WrongState, format!("WhatsApp did not take it: {reason}.")),
        EngineError::Offline | EngineError::LoggedOut => nothing_waits(),
    }
}

/// The session of that name, made when there is none.
async fn find_or_create(app: &App, caller: &Caller, name: &str) -> Result<(Session, bool), ApiError> {
    if let Some(row) = app.store.session_of(caller.id(), name).await? {
        return Ok((row, false));
    }
    let id = SessionId::new(app.clock.as_ref());
    let new = NewSession { id, user_id: caller.id(), name: name.to_owned(), network: app.sessions.network() };
    match app.store.create_session(new, caller.user.max_sessions).await? {
        Created::Done(row) => Ok((row, true)),
        Created::Exists(row) => Ok((row, false)),
        Created::LimitReached => {
            let text = format!("You may have {} and have as many; delete one first.", accounts(caller.user.max_sessions));
            Err(ApiError::because(ErrorCode::SessionLimitReached, text))
        }
    }
}

fn accounts(count: i64) -> String {
    if count == 1 { "1 account".into() } else { format!("{count} accounts") }
}

fn check(asked: &InitSession, from_query: Option<&str>) -> Result<(String, Option<PhoneNumber>), ApiError> {
    let mut errors = FieldErrors::default();
    let name = asked.name.as_deref().or(from_query).unwrap_or(DEFAULT);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !(1..=64).contains(&name.len()) || !name.chars().all(plain) {
        errors.push(Invalid::new("name", "must have 1 to 64 of letters, digits, '.', '_', '-'"));
    }
    let phone = asked.phone_number.as_deref().map(PhoneNumber::parse).transpose();
    let phone = errors.take(phone.map_err(|text| Invalid::new("phone_number", text)));
    errors.into_result()?;
    Ok((name.to_owned(), phone.flatten()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_checked_before_anything_is_made() {
        let asked =
            |name: Option<&str>, phone: Option<&str>| InitSession { name: name.map(str::to_owned), phone_number: phone.map(str::to_owned) };
        assert_eq!(check(&asked(None, None), None).expect("default").0, "default");
        assert_eq!(check(&asked(None, None), Some("shop")).expect("from the query").0, "shop");
        let (name, phone) = check(&asked(Some("shop.1"), Some("+1 202-555-0100")), None).expect("both");
        assert_eq!((name.as_str(), phone.map(|p| p.to_string()).as_deref()), ("shop.1", Some("+12025550100")));
        for refused in [asked(Some(""), None), asked(Some("a b"), None), asked(Some("../x"), None), asked(None, Some("12"))] {
            assert!(check(&refused, None).is_err(), "{refused:?}");
        }
    }
}
