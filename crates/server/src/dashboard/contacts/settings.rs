//! What a user wants of contacts and opt-outs.

use crate::app::App;
use crate::dashboard::form::Form;
use crate::dashboard::render::{Page, page, with_status};
use crate::dashboard::visitor::{Shell, Visitor};
use crate::http::v1::contacts::settings::{PartOfSettings, update};
use askama::Template;
use axum::extract::State;
use std::sync::Arc;

#[derive(Template)]
#[template(path = "contact_settings.html")]
struct SettingsPage {
    shell: Shell,
    form: Form,
    languages: String,
}

fn page_of(app: &App, visitor: &Visitor, form: Form) -> SettingsPage {
    let languages = app.config.contacts.opt_out_languages.join(", ");
    SettingsPage { shell: visitor.shell("Settings of contacts", "contacts"), form, languages }
}

/// Shows them.
pub async fn show(State(app): State<Arc<App>>, visitor: Visitor) -> Page {
    let settings = app.store.contact_settings(visitor.caller.id()).await?;
    let on = |is_on: bool| if is_on { "on" } else { "" }.to_owned();
    let form = Form::of([
        ("requires_consent", on(settings.requires_consent)),
        ("from_conversations", on(settings.from_conversations)),
        ("stop_answer", settings.stop_answer.unwrap_or_default()),
        ("start_answer", settings.start_answer.unwrap_or_default()),
    ]);
    page(&page_of(&app, &visitor, form))
}

/// Changes them.
pub async fn change(State(app): State<Arc<App>>, visitor: Visitor, form: Form) -> Page {
    let text = |name: &str| Some(form.some(name).map(|text| text.replace("\r\n", "\n")));
    let part = PartOfSettings {
        requires_consent: Some(form.is_on("requires_consent")),
        from_conversations: Some(form.is_on("from_conversations")),
        stop_answer: text("stop_answer"),
        start_answer: text("start_answer"),
    };
    match update(&app, &visitor.caller, part).await {
        Ok(_) => Ok(visitor.done("/admin/contacts/settings/", "The settings were changed.")),
        Err(refusal) => {
            let form = form.refused(refusal)?;
            with_status(form.status(), &page_of(&app, &visitor, form))
        }
    }
}
