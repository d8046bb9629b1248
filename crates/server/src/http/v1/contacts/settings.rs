//! What a user wants of contacts and opt-outs.

use crate::app::App;
use crate::http::extract::{nullable, present};
use crate::http::{Answer, ApiError, Caller, Json, Success, audit};
use axum::extract::State;
use sanasend_model::{Content, FieldErrors, Invalid};
use sanasend_store::ContactSettings;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;

/// Settings.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "ContactSettings")]
pub(crate) struct SettingsView {
    /// Whether messages go only to people who agreed (`consent` is `granted`) or who wrote first. Others are refused with
    /// `CONSENT_REQUIRED`.
    #[schema(example = false)]
    pub(crate) requires_consent: bool,
    /// Whether whoever writes to one of your accounts becomes a contact.
    #[schema(example = true)]
    pub(crate) from_conversations: bool,
    /// What somebody who writes STOP is answered, once; null for nothing.
    #[schema(example = "You will get no more messages from us. Write START to get them again.")]
    pub(crate) stop_answer: Option<String>,
    /// What somebody who writes START is answered; null for nothing.
    #[schema(example = "Welcome back.")]
    pub(crate) start_answer: Option<String>,
}

impl From<ContactSettings> for SettingsView {
    fn from(settings: ContactSettings) -> Self {
        let ContactSettings { requires_consent, from_conversations, stop_answer, start_answer } = settings;
        Self { requires_consent, from_conversations, stop_answer, start_answer }
    }
}

/// What to change; what is left out stays as it is.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PartOfSettings {
    /// Whether messages go only to people who agreed or who wrote first.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<bool>, nullable = false, example = false)]
    pub(crate) requires_consent: Option<bool>,
    /// Whether whoever writes to one of your accounts becomes a contact.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<bool>, nullable = false, example = true)]
    pub(crate) from_conversations: Option<bool>,
    /// What somebody who writes STOP is answered; null for nothing.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, example = "You will get no more messages from us. Write START to get them again.")]
    #[expect(clippy::option_option, reason = "left out, null and a text are three things")]
    pub(crate) stop_answer: Option<Option<String>>,
    /// What somebody who writes START is answered; null for nothing.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, example = "Welcome back.")]
    #[expect(clippy::option_option, reason = "left out, null and a text are three things")]
    pub(crate) start_answer: Option<Option<String>>,
}

/// Get the settings of contacts
///
/// Whether consent is needed, whether whoever writes becomes a contact, and what STOP and START are answered.
#[utoipa::path(get, path = "/contacts/settings/", tag = "contacts",
    responses((status = 200, description = "The settings.", body = Success<SettingsView>)),
    extensions(("x-scope" = json!("contacts:read"))))]
pub(crate) async fn get_contact_settings(State(app): State<Arc<App>>, caller: Caller) -> Result<Answer<SettingsView>, ApiError> {
    Ok(Answer::ok("The settings.", app.store.contact_settings(caller.id()).await?.into()))
}

/// Change the settings of contacts
///
/// In force for everything that is handed in from then on.
#[utoipa::path(patch, path = "/contacts/settings/", tag = "contacts", request_body = PartOfSettings,
    responses((status = 200, description = "The settings as they are now.", body = Success<SettingsView>)),
    extensions(("x-scope" = json!("contacts:write"))))]
pub(crate) async fn update_contact_settings(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(part): Json<PartOfSettings>,
) -> Result<Answer<SettingsView>, ApiError> {
    let settings = update(&app, &caller, part).await?;
    Ok(Answer::ok("The settings were changed.", settings.into()))
}

/// Changes the settings; pages do it as well.
pub(crate) async fn update(app: &App, caller: &Caller, part: PartOfSettings) -> Result<ContactSettings, ApiError> {
    let mut settings = app.store.contact_settings(caller.id()).await?;
    let mut errors = FieldErrors::default();
    settings.requires_consent = part.requires_consent.unwrap_or(settings.requires_consent);
    settings.from_conversations = part.from_conversations.unwrap_or(settings.from_conversations);
    let answers =
        [("stop_answer", part.stop_answer, &mut settings.stop_answer), ("start_answer", part.start_answer, &mut settings.start_answer)];
    for (field, wanted, answer) in answers {
        let Some(wanted) = wanted else { continue };
        let text = wanted.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        if let Some(Err(invalid)) = text.clone().map(Content::text) {
            errors.push(Invalid::new(field, invalid.message));
        }
        *answer = text;
    }
    errors.into_result()?;
    app.store.set_contact_settings(caller.id(), settings.clone()).await?;
    let detail = json!({"requires_consent": settings.requires_consent, "from_conversations": settings.from_conversations});
    audit::note(app, caller, "contact_settings.changed", format!("user {}", caller.id()), detail).await;
    Ok(settings)
}
