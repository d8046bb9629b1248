//! What waits for its date, and quiet hours: the list, moving a message, and the setting.

use super::form::Form;
use super::list::{Asked, Pager};
use super::owner::{acting_for, asked_or_own, names};
use super::parts::{Empty, When};
use super::render::{Page, page, with_status};
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::http::v1::messages::scheduled::{PartOfMessage, update_message};
use crate::http::v1::quiet_hours::{QuietHoursView, replace_quiet_hours};
use crate::http::{ApiError, Json, Path};
use askama::Template;
use axum::extract::State;
use sanasend_model::{MessageId, MessageStatus, Timestamp};
use std::sync::Arc;

struct Line {
    id: String,
    person: String,
    owner: Option<String>,
    text: String,
    due: When,
}

#[derive(Template)]
#[template(path = "scheduled.html")]
struct ListPage {
    shell: Shell,
    is_admin: bool,
    lines: Vec<Line>,
    pager: Pager,
    empty: Empty,
}

#[derive(Template)]
#[template(path = "scheduled_form.html")]
struct FormPage {
    shell: Shell,
    form: Form,
    id: String,
    /// Whether it carries a file, and whether there may be words beside it.
    words: Option<(&'static str, &'static str)>,
}

#[derive(Template)]
#[template(path = "quiet_hours.html")]
struct QuietPage {
    shell: Shell,
    form: Form,
}

/// Shows the list, the next first.
pub async fn list(State(app): State<Arc<App>>, visitor: Visitor, asked: Asked) -> Page {
    let listed = app.store.list_scheduled(asked_or_own(&visitor, &asked)?, None, asked.page()).await?;
    let owners = names(&app, &visitor, listed.results.iter().map(|message| message.user_id)).await?;
    let pager = asked.pager(&listed);
    let lines = listed.results.into_iter().map(|message| Line {
        id: message.id.to_string(),
        person: message.peer.phone.as_ref().map_or_else(|| message.chat.to_string(), ToString::to_string),
        owner: owners.get(&message.user_id).cloned(),
        text: message.content.body().unwrap_or_default().chars().take(160).collect(),
        due: When(message.scheduled_at.unwrap_or(message.created_at)),
    });
    let text = "A message with a date, or one that quiet hours hold, waits here until it goes.";
    let empty = Empty { title: "Nothing waits", text, href: "/admin/messages/new/".into(), action: "Send a message" };
    let shell = visitor.shell("Scheduled messages", "scheduled");
    page(&ListPage { shell, is_admin: visitor.is_admin(), lines: lines.collect(), pager, empty })
}

/// A time as browsers write it into a field: in UTC, without its seconds.
fn entered(at: Timestamp) -> String {
    at.to_string().chars().take(16).collect()
}

/// Reads such a field.
pub fn read_entered(text: &str) -> Option<Timestamp> {
    let text = text.trim().replace(' ', "T");
    Timestamp::parse(&format!("{text}:00Z")).or_else(|| Timestamp::parse(&format!("{text}Z"))).or_else(|| Timestamp::parse(&text))
}

async fn form_page(app: &App, visitor: &Visitor, id: MessageId, form: Option<Form>) -> Result<FormPage, ApiError> {
    let message = app.store.message(None, id).await?.ok_or_else(ApiError::not_found)?;
    acting_for(app, visitor, message.user_id).await?;
    if message.status != MessageStatus::Scheduled {
        return Err(ApiError::not_found());
    }
    let words = match message.content.media() {
        None => Some(("content", "Text")),
        Some(media) => media.kind.takes_caption().then_some(("caption", "Caption")),
    };
    let body = message.content.body().unwrap_or_default().to_owned();
    let due = entered(message.scheduled_at.unwrap_or(message.created_at));
    let form = form.unwrap_or_else(|| Form::of([("scheduled_at", due), (words.map_or("content", |(name, _)| name), body)]));
    Ok(FormPage { shell: visitor.shell("Change the message", "scheduled"), form, id: id.to_string(), words })
}

/// Shows the form of one.
pub async fn ask_change(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<MessageId>) -> Page {
    page(&form_page(&app, &visitor, id, None).await?)
}

/// Changes one.
pub async fn change(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<MessageId>, mut form: Form) -> Page {
    let message = app.store.message(None, id).await?.ok_or_else(ApiError::not_found)?;
    let caller = acting_for(&app, &visitor, message.user_id).await?;
    let Some(due) = read_entered(form.text("scheduled_at")) else {
        form.refuse("scheduled_at", "must be a date and time like 2026-12-01T09:00");
        return with_status(form.status(), &form_page(&app, &visitor, id, Some(form)).await?);
    };
    // A date that was not touched stays as it is, to the second.
    let moved = message.scheduled_at.is_none_or(|was| entered(was) != entered(due));
    let words =
        |name: &str| form.some(name).map(|text| text.replace("\r\n", "\n")).filter(|text| Some(text.as_str()) != message.content.body());
    let part = PartOfMessage { scheduled_at: moved.then_some(due), content: words("content"), caption: words("caption") };
    if part.scheduled_at.is_none() && part.content.is_none() && part.caption.is_none() {
        return Ok(visitor.done(&format!("/admin/messages/{id}/"), "Nothing was changed."));
    }
    match update_message(State(app.clone()), caller, Path(id), Json(part)).await {
        Ok(answer) => Ok(visitor.done(&format!("/admin/messages/{id}/"), &answer.body().message)),
        Err(refusal) => {
            let form = form.refused(refusal)?;
            with_status(form.status(), &form_page(&app, &visitor, id, Some(form)).await?)
        }
    }
}

/// Shows the setting.
pub async fn ask_quiet(visitor: Visitor) -> Page {
    let hours = QuietHoursView::from(visitor.caller.user.quiet_hours.unwrap_or_default());
    let enabled = if hours.enabled { "on" } else { "" };
    let form = Form::of([("enabled", enabled.to_owned()), ("from", hours.from), ("to", hours.to)]);
    page(&QuietPage { shell: visitor.shell("Quiet hours", "scheduled"), form })
}

/// Changes the setting.
pub async fn set_quiet(State(app): State<Arc<App>>, visitor: Visitor, form: Form) -> Page {
    let text = |name: &str| form.text(name).trim().to_owned();
    let wanted = QuietHoursView { enabled: form.is_on("enabled"), from: text("from"), to: text("to") };
    match replace_quiet_hours(State(app), visitor.caller.clone(), Json(wanted)).await {
        Ok(answer) => Ok(visitor.done("/admin/quiet-hours/", &answer.body().message)),
        Err(refusal) => {
            let form = form.refused(refusal)?;
            with_status(form.status(), &QuietPage { shell: visitor.shell("Quiet hours", "scheduled"), form })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_browsers_write_it() {
        let at = Timestamp::parse("2026-12-01T09:00:00Z");
        for text in ["2026-12-01T09:00", "2026-12-01 09:00", "2026-12-01T09:00:00", "2026-12-01T10:00:00+01:00"] {
            assert_eq!(read_entered(text), at, "{text}");
        }
        assert_eq!((read_entered(""), read_entered("tomorrow")), (None, None));
        assert_eq!(at.map(entered).as_deref(), Some("2026-12-01T09:00"));
    }
}
