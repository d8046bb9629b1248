//! Sending a message by hand: a text, or a file. Only as oneself; nobody writes in another user's name here.

use super::form::Form;
use super::list::Asked;
use super::render::{Page, page, with_status};
use super::trouble::Trouble;
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::http::v1::messages::send::{SendQuery, SendText, SentKey, send_text};
use crate::http::v1::messages::send_media::{self, form as media_form};
use crate::http::{ApiError, JsonBytes, Query};
use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use sanasend_store::{Page as Paging, SessionFilter};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Accounts offered to send with.
const MOST_ACCOUNTS: u64 = 100;
/// An answer of the API about one message is smaller.
const MOST_ANSWER: usize = 1 << 20;
const AS_WHAT: &[(&str, &str)] = &[
    ("", "As its type says"),
    ("image", "Image"),
    ("video", "Video"),
    ("audio", "Audio"),
    ("voice_note", "Voice note"),
    ("document", "Document"),
    ("sticker", "Sticker"),
    ("video_note", "Video note"),
];

/// An account to send with.
struct Account {
    id: String,
    label: String,
}

#[derive(Template)]
#[template(path = "message_new.html")]
struct SendPage {
    shell: Shell,
    text: Form,
    file: Form,
    accounts: Vec<Account>,
}

async fn page_of(app: &App, visitor: &Visitor, text: Form, file: Form) -> Result<SendPage, ApiError> {
    let filter = SessionFilter { user_id: Some(visitor.caller.id()), ..SessionFilter::default() };
    let listed = app.store.list_sessions(&filter, Paging { page: 1, page_size: MOST_ACCOUNTS }).await?;
    let accounts = listed.results.into_iter().filter_map(|row| {
        let live = app.sessions.live(&row);
        let number = live.phone.as_ref().map(|phone| format!(", {phone}")).unwrap_or_default();
        live.linked.then(|| Account { id: row.id.to_string(), label: format!("{}{number} ({})", row.name, live.status.as_str()) })
    });
    Ok(SendPage { shell: visitor.shell("Send a message", "messages"), text, file, accounts: accounts.collect() })
}

/// Shows both forms; the address may name a recipient.
pub async fn ask(State(app): State<Arc<App>>, visitor: Visitor, asked: Asked) -> Page {
    let to = || Form::of([("recipient", asked.text("to").to_owned())]);
    page(&page_of(&app, &visitor, to(), to()).await?)
}

/// Sends a text.
pub async fn text(State(app): State<Arc<App>>, visitor: Visitor, mut form: Form) -> Page {
    let due = form.some("scheduled_at");
    let scheduled_at = due.as_deref().and_then(super::scheduled::read_entered);
    if due.is_some() && scheduled_at.is_none() {
        form.refuse("scheduled_at", "must be a date and time like 2026-12-01T09:00");
        return with_status(form.status(), &page_of(&app, &visitor, form, Form::default()).await?);
    }
    let asked = SendText {
        recipient: form.text("recipient").to_owned(),
        // Browsers send line ends as in letters of old.
        content: form.text("content").replace("\r\n", "\n"),
        link_preview: None,
        session: form.some("session"),
        reply_to: None,
        metadata: None,
        scheduled_at,
        quiet_hours: None,
    };
    let body = JsonBytes { value: asked, bytes: bytes::Bytes::new() };
    let query = Query(SendQuery { wait: None, session: None });
    match send_text(State(app.clone()), visitor.caller.clone(), query, SentKey::none(), body).await {
        Ok(answer) => accepted(&visitor, answer).await,
        Err(refusal) => {
            let form = form.refused(refusal)?;
            with_status(form.status(), &page_of(&app, &visitor, form, Form::default()).await?)
        }
    }
}

/// Sends a file.
pub async fn file(State(app): State<Arc<App>>, visitor: Visitor, request: Request) -> Page {
    let mut asked = match media_form::read(&app, request).await {
        Ok(asked) => asked,
        Err(refusal) => return again(&app, &visitor, Form::default(), refusal).await,
    };
    // An empty field of a form is one that was not filled in; so is a file without bytes and name.
    for text in [&mut asked.caption, &mut asked.filename, &mut asked.session, &mut asked.media_type] {
        *text = text.take().filter(|text| !text.trim().is_empty());
    }
    asked.file = asked.file.take().filter(|file| file.name.as_deref().is_some_and(|name| !name.is_empty()));
    let kept = |text: &Option<String>| text.clone().unwrap_or_default();
    let entered = Form::of([
        ("recipient", kept(&asked.recipient)),
        ("caption", kept(&asked.caption)),
        ("media_type", kept(&asked.media_type)),
        ("session", kept(&asked.session)),
    ]);
    let declared = asked.file.as_ref().and_then(|file| file.declared.as_deref()).unwrap_or_default();
    asked.media_type = asked.media_type.take().or_else(|| Some(kind_of(declared).to_owned()));
    let query = SendQuery { wait: None, session: None };
    match send_media::send(&app, &visitor.caller, &query, asked, (None, Duration::ZERO)).await {
        Ok(answer) => accepted(&visitor, answer).await,
        Err(refusal) => again(&app, &visitor, entered, refusal).await,
    }
}

/// The form of the file again. What is wrong with the file itself is said beside it.
async fn again(app: &App, visitor: &Visitor, entered: Form, refusal: ApiError) -> Page {
    let about_file = refusal.code.as_str().starts_with("MEDIA_");
    let refusal = if about_file { ApiError { message: format!("The file was not sent. {}", refusal.message), ..refusal } } else { refusal };
    let form = entered.refused(refusal)?;
    with_status(form.status(), &page_of(app, visitor, Form::default(), form).await?)
}

/// As what a file is sent whose sender did not say.
fn kind_of(mime: &str) -> &'static str {
    match mime {
        "image/jpeg" | "image/png" | "image/webp" => "image",
        "video/mp4" => "video",
        _ if mime.starts_with("audio/") => "audio",
        _ => "document",
    }
}

/// Leads to the message that was accepted.
async fn accepted(visitor: &Visitor, answer: Response) -> Page {
    let body = axum::body::to_bytes(answer.into_body(), MOST_ANSWER).await.map_err(ApiError::internal)?;
    let answer: Value = serde_json::from_slice(&body).map_err(ApiError::internal)?;
    let id = answer["data"]["id"].as_str().ok_or_else(|| Trouble(ApiError::internal("an answer without an id")))?;
    Ok(visitor.done(&format!("/admin/messages/{id}/"), "Accepted; it is on its way."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_whatsapp_shows_is_sent_as_a_picture() {
        assert_eq!(
            ["image/png", "image/svg+xml", "audio/ogg", "video/mp4", ""].map(kind_of),
            ["image", "document", "audio", "video", "document"]
        );
    }
}
