//! Making, changing, removing and erasing contacts.

use super::view::{ContactView, PartOfContact, WantedContact};
use crate::app::App;
use crate::http::{Answer, ApiError, Caller, ErrorCode, Json, Nothing, Path, Success};
use axum::extract::State;
use sanasend_model::{ContactId, ContactSource};
use sanasend_store::{Contact, StoreError};
use serde_json::json;
use std::sync::Arc;

/// Create a contact
///
/// A person is one contact, whatever it is called by: one that is there already is refused with `CONFLICT`. An import adds
/// to those instead.
#[utoipa::path(post, path = "/contacts/", tag = "contacts", request_body = WantedContact,
    responses((status = 201, description = "The new contact.", body = Success<ContactView>)),
    extensions(("x-scope" = json!("contacts:write")), ("x-error-codes" = json!(["CONFLICT"]))))]
pub(crate) async fn create_contact(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(wanted): Json<WantedContact>,
) -> Result<Answer<ContactView>, ApiError> {
    let made = create(&app, &caller, wanted, ContactSource::Api).await?;
    Ok(Answer::created("The contact was created.", made.into()))
}

/// Makes a contact; pages do it as well.
pub(crate) async fn create(app: &App, caller: &Caller, wanted: WantedContact, source: ContactSource) -> Result<Contact, ApiError> {
    let new = wanted.check()?;
    match app.store.create_contact(caller.id(), new, source).await {
        Ok(contact) => Ok(contact),
        Err(StoreError::Conflict { what: "phone" }) => {
            Err(ApiError::because(ErrorCode::Conflict, "This person is a contact already.").with_field("phone", "is a contact already"))
        }
        // The user went away in this very moment.
        Err(StoreError::Conflict { .. }) => Err(ApiError::not_found()),
        Err(error) => Err(error.into()),
    }
}

/// Replace a contact
///
/// Fields that are left out take their defaults, also the consent: `unknown`. A consent that is sent as it was keeps its date
/// and its source; of somebody who opted out it stays `withdrawn`. `phone` has to be a number or an id of this contact: another
/// number is another contact. Opting out is no field, because it is kept with its proof: `POST /contacts/{id}/opt-out/`.
#[utoipa::path(put, path = "/contacts/{id}/", tag = "contacts", request_body = WantedContact,
    params(("id" = String, Path, format = "uuid", description = "Id of the contact.")),
    responses((status = 200, description = "The contact as it is now.", body = Success<ContactView>)),
    extensions(("x-scope" = json!("contacts:write"))))]
pub(crate) async fn replace_contact(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<ContactId>,
    Json(whole): Json<WantedContact>,
) -> Result<Answer<ContactView>, ApiError> {
    let new = whole.check()?;
    match app.store.replace_contact(caller.id(), id, new, ContactSource::Api).await {
        Ok(Some(contact)) => Ok(Answer::ok("The contact was changed.", contact.into())),
        Ok(None) => Err(ApiError::not_found()),
        Err(StoreError::Conflict { .. }) => {
            Err(ApiError::field("phone", "must be a number or an id of this contact: make another contact for another number"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Change a contact
///
/// Only the fields that are sent; `tags`, `groups` and `fields` replace what was there. A number can't be changed: another
/// number is another contact. Opting out is no field, because it is kept with its proof: `POST /contacts/{id}/opt-out/`.
#[utoipa::path(patch, path = "/contacts/{id}/", tag = "contacts", request_body = PartOfContact,
    params(("id" = String, Path, format = "uuid", description = "Id of the contact.")),
    responses((status = 200, description = "The contact as it is now.", body = Success<ContactView>)),
    extensions(("x-scope" = json!("contacts:write"))))]
pub(crate) async fn update_contact(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<ContactId>,
    Json(part): Json<PartOfContact>,
) -> Result<Answer<ContactView>, ApiError> {
    let changed = update(&app, &caller, id, part, "api").await?;
    Ok(Answer::ok("The contact was changed.", changed.into()))
}

/// Changes a contact; pages do it as well.
pub(crate) async fn update(app: &App, caller: &Caller, id: ContactId, part: PartOfContact, source: &str) -> Result<Contact, ApiError> {
    let patch = part.check(source)?;
    app.store.update_contact(caller.id(), id, patch).await?.ok_or_else(ApiError::not_found)
}

/// Delete a contact
///
/// Messages stay, and whoever opted out stays so. To remove everything of a person, erase the contact instead.
#[utoipa::path(delete, path = "/contacts/{id}/", tag = "contacts",
    params(("id" = String, Path, format = "uuid", description = "Id of the contact.")),
    responses((status = 200, description = "The contact is gone.", body = Success<Nothing>)),
    extensions(("x-scope" = json!("contacts:write"))))]
pub(crate) async fn delete_contact(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<ContactId>,
) -> Result<Answer<Nothing>, ApiError> {
    if !app.store.delete_contact(caller.id(), id).await? {
        return Err(ApiError::not_found());
    }
    super::note(&app, &caller, "contact.deleted", id, json!({})).await;
    Ok(Answer::ok("The contact was deleted.", Nothing {}))
}

/// Erase a person
///
/// The contact at once, and in the background everything that was written with them: messages with their files, what events
/// and deliveries told, remembered answers. It can't be undone. The bare number of somebody who opted out is kept, because
/// without it the wish could not be honoured.
#[utoipa::path(post, path = "/contacts/{id}/erase/", tag = "contacts",
    params(("id" = String, Path, format = "uuid", description = "Id of the contact.")),
    responses((status = 202, description = "The contact is gone; the rest follows.", body = Success<Nothing>)),
    extensions(("x-scope" = json!("contacts:write"))))]
pub(crate) async fn erase_contact(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<ContactId>,
) -> Result<Answer<Nothing>, ApiError> {
    if !app.store.erase_contact(caller.id(), id).await? {
        return Err(ApiError::not_found());
    }
    super::note(&app, &caller, "contact.erased", id, json!({})).await;
    Ok(Answer::accepted("The contact is gone; everything else of the person is being erased.", Nothing {}))
}
