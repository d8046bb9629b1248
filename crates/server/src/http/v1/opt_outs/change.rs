//! Opting people out and in by number, whether or not they are contacts.

use super::read::OptOutView;
use crate::app::App;
use crate::http::v1::contacts::import::{ImportForm, ReportView, import};
use crate::http::v1::contacts::wish::{WhyWish, cause, person};
use crate::http::{Answer, ApiError, Caller, ErrorCode, Json, OptionalJson, Path, Success, audit};
use axum::extract::{Request, State};
use sanasend_model::{FieldErrors, OptOutId, OptOutSource};
use sanasend_store::{ImportKind, NewOptOut, OptOut, OptOutCause, Peer};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;

/// Somebody to opt out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedOptOut {
    /// Who: a number with country code, or an id that ends in `@s.whatsapp.net` or `@lid`.
    #[schema(example = "+12025550123")]
    phone: String,
    /// The proof, up to 500 characters.
    #[serde(default)]
    #[schema(example = "By e-mail on 2026-11-27.")]
    note: String,
}

/// Opt somebody out
///
/// Nothing is sent to the person any more by any number or id that is known of them: new messages are refused with
/// `RECIPIENT_OPTED_OUT`, and those that wait fail with it.
#[utoipa::path(post, path = "/opt-outs/", tag = "contacts", request_body = WantedOptOut,
    responses((status = 201, description = "The opt-out.", body = Success<OptOutView>)),
    extensions(("x-scope" = json!("contacts:write")), ("x-error-codes" = json!(["WRONG_STATE"]))))]
pub(crate) async fn create_opt_out(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(wanted): Json<WantedOptOut>,
) -> Result<Answer<OptOutView>, ApiError> {
    let made = create(&app, &caller, &wanted.phone, &wanted.note, OptOutSource::Api).await?;
    Ok(Answer::created("The person is opted out.", made.into()))
}

/// Opts somebody out; pages do it as well.
pub(crate) async fn create(app: &App, caller: &Caller, phone: &str, note: &str, source: OptOutSource) -> Result<OptOut, ApiError> {
    let mut errors = FieldErrors::default();
    let (person, cause) = (errors.take(person(phone)), errors.take(cause(note, source)));
    errors.into_result()?;
    let (Some(person), Some(cause)) = (person, cause) else { return Err(ApiError::internal("a field that was refused and not named")) };
    let made = app.store.opt_out(caller.id(), vec![NewOptOut { person, cause }]).await?.pop().flatten();
    let Some(id) = made else { return Err(ApiError::because(ErrorCode::WrongState, "This person has opted out already.")) };
    audit::note(app, caller, "opt_out.created", format!("opt-out {id}"), json!({})).await;
    app.store.find_opt_out(caller.id(), id).await?.ok_or_else(ApiError::not_found)
}

/// End an opt-out
///
/// Only with the person's consent. The opt-out stays in the list, as ended.
#[utoipa::path(post, path = "/opt-outs/{id}/end/", tag = "contacts", request_body = Option<WhyWish>,
    params(("id" = String, Path, format = "uuid", description = "Id of the opt-out.")),
    responses((status = 200, description = "The opt-out, ended.", body = Success<OptOutView>)),
    extensions(("x-scope" = json!("contacts:write")), ("x-error-codes" = json!(["WRONG_STATE"]))))]
pub(crate) async fn end_opt_out(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<OptOutId>,
    OptionalJson(why): OptionalJson<WhyWish>,
) -> Result<Answer<OptOutView>, ApiError> {
    let ended = end(&app, &caller, id, cause(&why.note, OptOutSource::Api)?).await?;
    Ok(Answer::ok("The person is opted in.", ended.into()))
}

/// Ends an opt-out; pages do it as well.
pub(crate) async fn end(app: &App, caller: &Caller, id: OptOutId, cause: OptOutCause) -> Result<OptOut, ApiError> {
    let opt_out = app.store.find_opt_out(caller.id(), id).await?.ok_or_else(ApiError::not_found)?;
    let person: Peer = opt_out.person.clone();
    if opt_out.ended.is_some() || app.store.opt_in(caller.id(), person, cause).await?.is_none() {
        return Err(ApiError::because(ErrorCode::WrongState, "This opt-out has ended already."));
    }
    audit::note(app, caller, "opt_out.ended", format!("opt-out {id}"), json!({})).await;
    app.store.find_opt_out(caller.id(), id).await?.ok_or_else(ApiError::not_found)
}

/// Import a list of people who want no messages
///
/// A form with a CSV file, as for contacts; only the column of the number is needed, and a list of bare numbers needs no
/// headings. Nobody becomes a contact by it. A large file is taken in behind the answer, as for contacts:
/// `GET /contacts/imports/{id}/` tells how far it is.
#[utoipa::path(post, path = "/opt-outs/import/", tag = "contacts",
    request_body(content((ImportForm = "multipart/form-data", example = json!({
        "dry_run": "true", "file": "(the bytes of suppressed.csv)"})))),
    responses((status = 200, description = "What came of it.", body = Success<ReportView>),
        (status = 202, description = "The file is there; its lines are being read.", body = Success<ReportView>)),
    extensions(("x-scope" = json!("contacts:write")), ("x-time-limit" = json!("contacts.import_seconds")),
        ("x-error-codes" = json!(["BAD_REQUEST", "WRONG_STATE"]))))]
pub(crate) async fn import_opt_outs(State(app): State<Arc<App>>, caller: Caller, request: Request) -> Result<Answer<ReportView>, ApiError> {
    Ok(import(&app, &caller, ImportKind::OptOuts, request).await?.answer("The list was imported."))
}
