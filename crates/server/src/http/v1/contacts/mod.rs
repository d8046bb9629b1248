//! Contacts: the people that a user writes to, with what is noted of them, in and out of files.

pub(crate) mod change;
pub(crate) mod check;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod imports;
pub(crate) mod labels;
pub(crate) mod read;
pub(crate) mod settings;
pub(crate) mod view;
pub(crate) mod wish;

use crate::app::App;
use crate::http::{ApiError, Caller, audit};
use axum::extract::DefaultBodyLimit;
use sanasend_model::ContactId;
use sanasend_store::Contact;
use serde_json::Value;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Everything under `/contacts/`.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(read::list_contacts, change::create_contact))
        .routes(routes!(read::get_contact, change::replace_contact, change::update_contact, change::delete_contact))
        .merge(OpenApiRouter::default().routes(routes!(import::import_contacts)).layer(DefaultBodyLimit::disable()))
        .routes(routes!(imports::list_imports))
        .routes(routes!(imports::get_import))
        .routes(routes!(imports::cancel_import))
        .routes(routes!(imports::list_import_faults))
        .routes(routes!(export::export_contacts))
        .routes(routes!(check::check_contacts, check::get_contact_check))
        .routes(routes!(labels::list_contact_tags))
        .routes(routes!(labels::list_contact_groups))
        .routes(routes!(labels::move_contact_label))
        .routes(routes!(settings::get_contact_settings, settings::update_contact_settings))
        .routes(routes!(wish::opt_out_contact))
        .routes(routes!(wish::opt_in_contact))
        .routes(routes!(change::erase_contact))
}

/// A contact that the caller may look at: its own, or for admins by login anybody's.
pub(crate) async fn see(app: &App, caller: &Caller, id: ContactId) -> Result<Contact, ApiError> {
    let owner = app.store.contact_owner(id).await?.filter(|owner| caller.may_see(*owner)).ok_or_else(ApiError::not_found)?;
    app.store.contact(owner, id).await?.ok_or_else(ApiError::not_found)
}

/// A contact of the caller's own.
pub(crate) async fn find(app: &App, caller: &Caller, id: ContactId) -> Result<Contact, ApiError> {
    app.store.contact(caller.id(), id).await?.ok_or_else(ApiError::not_found)
}

/// Notes what was done to a contact. Never with a number or a name: the audit log is not erased.
pub(crate) async fn note(app: &App, caller: &Caller, action: &'static str, id: ContactId, detail: Value) {
    audit::note(app, caller, action, format!("contact {id}"), detail).await;
}
