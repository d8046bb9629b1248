//! Webhook endpoints: the list, making, changing and removing them, and their secrets, each shown once.

use super::confirm::Confirm;
use super::form::Form;
use super::list::{Asked, Pager};
use super::owner::{asked_or_own, names};
use super::parts::{Badge, Empty, When};
use super::render::{Page, page, with_status};
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::http::v1::webhooks::change::{
    SecretRotation, create_webhook, delete_webhook, enable_webhook, rotate_webhook_secret, update_webhook,
};
use crate::http::v1::webhooks::read::get_webhook;
use crate::http::v1::webhooks::view::{PartOfWebhook, WantedWebhook, WebhookView};
use crate::http::{ApiError, Json, OptionalJson, Path};
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use sanasend_model::{EventKind, WebhookId};
use std::sync::Arc;

struct Line {
    id: String,
    url: String,
    description: String,
    owner: Option<String>,
    state: Badge,
    events: String,
    since: When,
}

#[derive(Template)]
#[template(path = "webhooks.html")]
struct ListPage {
    shell: Shell,
    is_admin: bool,
    lines: Vec<Line>,
    pager: Pager,
    empty: Empty,
}

/// The form of a new endpoint or of one that is changed.
#[derive(Template)]
#[template(path = "webhook_form.html")]
struct FormPage {
    shell: Shell,
    form: Form,
    action: String,
    back: String,
    button: &'static str,
}

impl FormPage {
    fn kinds(&self) -> impl Iterator<Item = (&'static str, bool)> + '_ {
        EventKind::ALL.iter().map(|kind| (kind.as_str(), self.form.all("events").any(|wanted| covers(wanted, kind.as_str()))))
    }
}

/// A secret, this once.
#[derive(Template)]
#[template(path = "webhook_secret.html")]
struct SecretPage {
    shell: Shell,
    id: String,
    url: String,
    secret: String,
}

/// Whether a filter like `message.*` wants a kind.
fn covers(wanted: &str, kind: &str) -> bool {
    wanted == kind || wanted.strip_suffix('*').is_some_and(|family| kind.starts_with(family))
}

/// How an endpoint does, as a word with a colour.
pub fn state(view: &WebhookView) -> Badge {
    if !view.is_active {
        if view.disabled_reason.is_some() { Badge::bad("switched off") } else { Badge::plain("off") }
    } else if view.failing_since.is_some() {
        Badge::warn("failing")
    } else {
        Badge::good("on")
    }
}

/// Shows the list.
pub async fn list(State(app): State<Arc<App>>, visitor: Visitor, asked: Asked) -> Page {
    let listed = app.store.list_webhooks(asked_or_own(&visitor, &asked)?, asked.page()).await?;
    let owners = names(&app, &visitor, listed.results.iter().map(|webhook| webhook.user_id)).await?;
    let pager = asked.pager(&listed);
    let lines = listed.results.into_iter().map(|webhook| {
        let view = WebhookView::from(webhook);
        Line {
            state: state(&view),
            owner: owners.get(&view.user).cloned(),
            events: if view.events.is_empty() { "every event".into() } else { view.events.join(", ") },
            since: When(view.created_at),
            id: view.id.to_string(),
            url: view.url,
            description: view.description,
        }
    });
    let text = "Tell SanaSend where to post what happens: messages that come in, and how sent ones fare.";
    let empty = Empty { title: "No webhook yet", text, href: "/admin/webhooks/new/".into(), action: "Add an endpoint" };
    page(&ListPage { shell: visitor.shell("Webhooks", "webhooks"), is_admin: visitor.is_admin(), lines: lines.collect(), pager, empty })
}

fn new_page(visitor: &Visitor, form: Form) -> FormPage {
    let shell = visitor.shell("Add an endpoint", "webhooks");
    FormPage { shell, form, action: "/admin/webhooks/new/".into(), back: "/admin/webhooks/".into(), button: "Add the endpoint" }
}

/// Shows the form of a new one.
pub async fn ask_new(visitor: Visitor) -> Page {
    page(&new_page(&visitor, Form::of([("is_active", "on".into())])))
}

/// Makes one, and shows its secret.
pub async fn create(State(app): State<Arc<App>>, visitor: Visitor, form: Form) -> Page {
    let wanted = WantedWebhook {
        url: form.text("url").trim().to_owned(),
        description: form.text("description").to_owned(),
        events: form.all("events").map(str::to_owned).collect(),
        is_active: form.is_on("is_active"),
        secret: form.some("secret"),
    };
    match create_webhook(State(app), visitor.caller.clone(), Json(wanted)).await {
        Ok(answer) => {
            let made = answer.into_data();
            let shell = visitor.shell("The endpoint was added", "webhooks");
            secret_page(StatusCode::CREATED, &SecretPage { shell, id: made.view.id.to_string(), url: made.view.url, secret: made.secret })
        }
        Err(refusal) => {
            let form = form.refused(refusal)?.without("secret");
            with_status(form.status(), &new_page(&visitor, form))
        }
    }
}

/// Browsers keep no copy of a page with a secret.
fn secret_page(status: StatusCode, made: &SecretPage) -> Page {
    let mut response = with_status(status, made)?;
    response.headers_mut().insert(axum::http::header::CACHE_CONTROL, axum::http::HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The endpoint, as far as the visitor may see it.
pub async fn find(app: &Arc<App>, visitor: &Visitor, id: WebhookId) -> Result<WebhookView, ApiError> {
    Ok(get_webhook(State(app.clone()), visitor.caller.clone(), Path(id)).await?.into_data())
}

fn edit_page(visitor: &Visitor, id: WebhookId, form: Form) -> FormPage {
    let here = format!("/admin/webhooks/{id}/");
    let shell = visitor.shell("Change the endpoint", "webhooks");
    FormPage { shell, form, action: format!("{here}edit/"), back: here, button: "Save" }
}

/// Shows the form of one.
pub async fn ask_edit(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<WebhookId>) -> Page {
    let view = find(&app, &visitor, id).await?;
    let active = if view.is_active { "on" } else { "" };
    let mut values = vec![("url", view.url), ("description", view.description), ("is_active", active.to_owned())];
    values.extend(view.events.into_iter().map(|wanted| ("events", wanted)));
    page(&edit_page(&visitor, id, Form::with(values)))
}

/// Changes one.
pub async fn edit(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<WebhookId>, form: Form) -> Page {
    let part = PartOfWebhook {
        url: Some(form.text("url").trim().to_owned()),
        description: Some(form.text("description").to_owned()),
        events: Some(form.all("events").map(str::to_owned).collect()),
        is_active: Some(form.is_on("is_active")),
    };
    match update_webhook(State(app), visitor.caller.clone(), Path(id), Json(part)).await {
        Ok(answer) => Ok(visitor.done(&format!("/admin/webhooks/{id}/"), &answer.body().message)),
        Err(refusal) => {
            let form = form.refused(refusal)?;
            with_status(form.status(), &edit_page(&visitor, id, form))
        }
    }
}

/// Switches one on.
pub async fn enable(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<WebhookId>) -> Page {
    let answer = enable_webhook(State(app), visitor.caller.clone(), Path(id)).await?;
    Ok(visitor.done(&format!("/admin/webhooks/{id}/"), &answer.body().message))
}

/// Asks before a secret is rotated.
pub async fn ask_rotate(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<WebhookId>) -> Page {
    let view = find(&app, &visitor, id).await?;
    let hours = app.config.webhooks.rotation_grace_hours;
    Confirm {
        shell: visitor.shell("Make a new secret?", "webhooks"),
        text: vec![format!("For {hours} hours deliveries to {} are signed with the old secret as well.", view.url)],
        action: format!("/admin/webhooks/{id}/rotate/"),
        button: "Make a new secret",
        is_grave: false,
        back: format!("/admin/webhooks/{id}/"),
        hidden: Vec::new(),
        fields: Vec::new(),
    }
    .show()
}

/// Rotates the secret, and shows the new one.
pub async fn rotate(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<WebhookId>) -> Page {
    let rotation = OptionalJson(SecretRotation::default());
    let made = rotate_webhook_secret(State(app), visitor.caller.clone(), Path(id), rotation).await?.into_data();
    let shell = visitor.shell("The secret was rotated", "webhooks");
    secret_page(StatusCode::OK, &SecretPage { shell, id: id.to_string(), url: made.view.url, secret: made.secret })
}

/// Asks before one is removed.
pub async fn ask_delete(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<WebhookId>) -> Page {
    let view = find(&app, &visitor, id).await?;
    Confirm {
        shell: visitor.shell("Delete the endpoint?", "webhooks"),
        text: vec![format!("Nothing more is posted to {}, and its log of deliveries is removed.", view.url)],
        action: format!("/admin/webhooks/{id}/delete/"),
        button: "Delete the endpoint",
        is_grave: true,
        back: format!("/admin/webhooks/{id}/"),
        hidden: Vec::new(),
        fields: Vec::new(),
    }
    .show()
}

/// Removes one.
pub async fn delete(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<WebhookId>) -> Page {
    let answer = delete_webhook(State(app), visitor.caller.clone(), Path(id)).await?;
    Ok(visitor.done("/admin/webhooks/", &answer.body().message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_ticks_the_boxes_of_its_kinds() {
        assert!(covers("message.*", "message.received") && covers("message.read", "message.read"));
        assert!(!covers("session.*", "message.received") && !covers("message.re", "message.read"));
    }
}
