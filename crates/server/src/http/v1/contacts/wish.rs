//! Opting a contact out and in by hand.

use super::view::ContactView;
use crate::app::App;
use crate::contacts::import::peer_of;
use crate::http::{Answer, ApiError, Caller, ErrorCode, OptionalJson, Path, Success};
use axum::extract::State;
use sanasend_model::{ContactId, Invalid, OptOutSource, contact};
use sanasend_store::{Contact, NewOptOut, OptOutCause, Peer};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;

/// How it is known.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WhyWish {
    /// The proof, up to 500 characters: where and how the person said so.
    #[schema(example = "By e-mail on 2026-11-27.")]
    pub(crate) note: String,
}

/// The reason that stands beside an opt-out or its end.
pub(crate) fn cause(note: &str, source: OptOutSource) -> Result<OptOutCause, Invalid> {
    let note = contact::note("note", note)?;
    Ok(OptOutCause { source, message_id: None, note: Some(note).filter(|note| !note.is_empty()) })
}

/// Opt a contact out
///
/// Nothing is sent to the person any more by any number or id that is known of them: new messages are refused with
/// `RECIPIENT_OPTED_OUT`, and those that wait fail with it.
#[utoipa::path(post, path = "/contacts/{id}/opt-out/", tag = "contacts", request_body = Option<WhyWish>,
    params(("id" = String, Path, format = "uuid", description = "Id of the contact.")),
    responses((status = 200, description = "The contact as it is now.", body = Success<ContactView>)),
    extensions(("x-scope" = json!("contacts:write")), ("x-error-codes" = json!(["WRONG_STATE"]))))]
pub(crate) async fn opt_out_contact(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<ContactId>,
    OptionalJson(why): OptionalJson<WhyWish>,
) -> Result<Answer<ContactView>, ApiError> {
    let contact = opt_out(&app, &caller, id, cause(&why.note, OptOutSource::Api)?).await?;
    Ok(Answer::ok("The contact is opted out.", contact.into()))
}

/// Opts a contact out; pages do it as well.
pub(crate) async fn opt_out(app: &App, caller: &Caller, id: ContactId, cause: OptOutCause) -> Result<Contact, ApiError> {
    let contact = super::find(app, caller, id).await?;
    let new = NewOptOut { person: contact.person, cause };
    if app.store.opt_out(caller.id(), vec![new]).await?.iter().all(Option::is_none) {
        return Err(ApiError::because(ErrorCode::WrongState, "This person has opted out already."));
    }
    super::note(app, caller, "contact.opted_out", id, json!({})).await;
    super::find(app, caller, id).await
}

/// Opt a contact in again
///
/// Only with the person's consent, which is noted as granted. The opt-out stays in the list of opt-outs, as ended.
#[utoipa::path(post, path = "/contacts/{id}/opt-in/", tag = "contacts", request_body = Option<WhyWish>,
    params(("id" = String, Path, format = "uuid", description = "Id of the contact.")),
    responses((status = 200, description = "The contact as it is now.", body = Success<ContactView>)),
    extensions(("x-scope" = json!("contacts:write")), ("x-error-codes" = json!(["WRONG_STATE"]))))]
pub(crate) async fn opt_in_contact(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<ContactId>,
    OptionalJson(why): OptionalJson<WhyWish>,
) -> Result<Answer<ContactView>, ApiError> {
    let contact = opt_in(&app, &caller, id, cause(&why.note, OptOutSource::Api)?).await?;
    Ok(Answer::ok("The contact is opted in.", contact.into()))
}

/// Opts a contact in again; pages do it as well.
pub(crate) async fn opt_in(app: &App, caller: &Caller, id: ContactId, cause: OptOutCause) -> Result<Contact, ApiError> {
    let contact = super::find(app, caller, id).await?;
    if app.store.opt_in(caller.id(), contact.person, cause).await?.is_none() {
        return Err(ApiError::because(ErrorCode::WrongState, "This person has not opted out."));
    }
    super::note(app, caller, "contact.opted_in", id, json!({})).await;
    super::find(app, caller, id).await
}

/// The person that a caller names.
pub(crate) fn person(phone: &str) -> Result<Peer, Invalid> {
    contact::person("phone", phone).map(|person| peer_of(&person))
}
