//! Whether contacts are on WhatsApp.

use crate::app::App;
use crate::http::{Answer, ApiError, Caller, Json, Success};
use axum::extract::State;
use sanasend_model::ContactId;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// Most contacts that one request may name.
const MOST: usize = 1000;

/// About whom WhatsApp is to be asked.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedCheck {
    /// Ids of contacts, up to 1000. Left out: everybody who was not asked about for `contacts.check_days`.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, example = json!([]))]
    contacts: Option<Vec<ContactId>>,
}

/// How far it is.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "ContactCheck")]
pub(crate) struct CheckView {
    /// Contacts that this request has asked about.
    #[schema(example = 250)]
    added: u64,
    /// Contacts that are still to be asked about.
    #[schema(example = 250)]
    left: u64,
    /// How many a minute.
    #[schema(example = 30)]
    per_minute: u32,
}

/// Ask who is on WhatsApp
///
/// In the background, a few numbers at a time (`contacts.checks_per_minute`), since accounts that ask about many strangers
/// get banned. What is found stands in `on_whatsapp`, `jid` and `lid` of the contacts, and in `checked_at` when.
#[utoipa::path(post, path = "/contacts/check/", tag = "contacts", request_body = WantedCheck,
    responses((status = 202, description = "It is under way.", body = Success<CheckView>)),
    extensions(("x-scope" = json!("contacts:write"))))]
pub(crate) async fn check_contacts(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(wanted): Json<WantedCheck>,
) -> Result<Answer<CheckView>, ApiError> {
    let added = begin(&app, &caller, wanted.contacts).await?;
    Ok(Answer::accepted("WhatsApp is being asked.", view(&app, &caller, added).await?))
}

/// Has WhatsApp asked about contacts; pages do it as well. Answers about how many.
pub(crate) async fn begin(app: &App, caller: &Caller, contacts: Option<Vec<ContactId>>) -> Result<u64, ApiError> {
    match contacts {
        Some(ids) if ids.len() > MOST => Err(ApiError::field("contacts", format!("must be at most {MOST} ids"))),
        Some(ids) => Ok(app.store.ask_for_check(caller.id(), ids).await?),
        None => {
            let days = Duration::from_secs(app.config.contacts.check_days * 24 * 3600);
            Ok(app.store.ask_for_all_checks(caller.id(), app.clock.now().minus(days)).await?)
        }
    }
}

/// See how far that is
///
/// How many contacts are still to be asked about, and how many are a minute.
#[utoipa::path(get, path = "/contacts/check/", tag = "contacts",
    responses((status = 200, description = "How far it is.", body = Success<CheckView>)),
    extensions(("x-scope" = json!("contacts:read"))))]
pub(crate) async fn get_contact_check(State(app): State<Arc<App>>, caller: Caller) -> Result<Answer<CheckView>, ApiError> {
    Ok(Answer::ok("How far it is.", view(&app, &caller, 0).await?))
}

async fn view(app: &App, caller: &Caller, added: u64) -> Result<CheckView, ApiError> {
    let left = app.store.checks_left(caller.id()).await?;
    Ok(CheckView { added, left, per_minute: app.config.contacts.checks_per_minute })
}
