//! Sending a template by hand: to whom, and a value for each of its variables. Only as oneself.

use super::form::Form;
use super::once::Once;
use super::render::{Page, page};
use super::send::{Account, accounts, again, due, request, told};
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::http::v1::templates::read::get_template;
use crate::http::v1::templates::send::{SendTemplate, send_template};
use crate::http::v1::templates::view::TemplateView;
use crate::http::{ApiError, Path};
use askama::Template;
use axum::extract::State;
use sanasend_model::TemplateId;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A variable, with what was entered for it and what was wrong with that.
struct Blank {
    name: String,
    hint: String,
    optional: bool,
    value: String,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "template_send.html")]
struct SendPage {
    shell: Shell,
    view: TemplateView,
    form: Form,
    action: String,
    blanks: Vec<Blank>,
    accounts: Vec<Account>,
}

/// The name of a variable's field.
fn field(variable: &str) -> String {
    format!("variables.{variable}")
}

async fn find(app: &Arc<App>, visitor: &Visitor, id: TemplateId) -> Result<TemplateView, ApiError> {
    Ok(get_template(State(app.clone()), visitor.caller.clone(), Path(id)).await?.into_data())
}

async fn send_page(app: &App, visitor: &Visitor, view: TemplateView, (form, once): (Form, Once)) -> Result<SendPage, ApiError> {
    let blank = |name: &str, default: &Option<String>, format: Option<&str>, required: bool| Blank {
        hint: match (default, format) {
            (Some(default), _) => format!("Left empty: {default}"),
            (None, Some(format)) => format!("Written as {format}."),
            (None, None) => String::new(),
        },
        optional: !required,
        value: form.text(&field(name)).to_owned(),
        error: form.error(&field(name)),
        name: name.to_owned(),
    };
    let variables = view.present.variables.iter();
    let blanks = variables.map(|one| blank(&one.name, &one.default, one.format, one.required)).collect();
    let action = once.address(&format!("/admin/templates/{}/send/", view.id));
    let accounts = accounts(app, visitor).await?;
    Ok(SendPage { shell: visitor.shell(format!("Send {}", view.name), "templates"), view, form, action, blanks, accounts })
}

/// Shows the form.
pub async fn ask(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<TemplateId>) -> Page {
    let view = find(&app, &visitor, id).await?;
    page(&send_page(&app, &visitor, view, (Form::default(), Once::new(&app))).await?)
}

/// Sends it.
pub async fn send(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<TemplateId>, once: Once, mut form: Form) -> Page {
    let view = find(&app, &visitor, id).await?;
    let scheduled_at = due(&mut form);
    if !form.is_sound() {
        return again((form, once), |entered| send_page(&app, &visitor, view, entered)).await;
    }
    let entered = view.present.variables.iter().filter_map(|one| Some((one.name.clone(), Value::from(form.some(&field(&one.name))?))));
    let asked = SendTemplate {
        recipient: form.text("recipient").to_owned(),
        template: id.to_string(),
        language: Some(view.language.clone()),
        version: None,
        variables: entered.collect::<BTreeMap<_, _>>(),
        session: form.some("session"),
        reply_to: None,
        metadata: None,
        scheduled_at,
        quiet_hours: None,
        expires_at: None,
    };
    let said = json!([id, asked.recipient, asked.variables, asked.session, scheduled_at]);
    let (query, key, body) = request(asked, &said, once);
    let answer = send_template(State(app.clone()), visitor.caller.clone(), query, key, body).await;
    told(&app, &visitor, answer, (form, once), |entered| send_page(&app, &visitor, view, entered)).await
}
