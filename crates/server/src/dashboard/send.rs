//! Sending a message by hand: a text, or a file. Only as oneself; nobody writes in another user's name here.

use super::form::Form;
use super::list::Asked;
use super::once::{Once, is_replayed};
use super::render::{Page, page, with_status};
use super::trouble::Trouble;
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::http::v1::messages::asked::{SendQuery, SentKey};
use crate::http::v1::messages::send::{SendText, send_text};
use crate::http::v1::messages::send_media::{self, form as media_form};
use crate::http::{ApiError, JsonBytes, Query};
use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use sanasend_model::{MediaKind, Timestamp};
use sanasend_store::{Page as Paging, SessionFilter};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Accounts offered to send with.
const MOST_ACCOUNTS: u64 = 100;
/// An answer of the API about one message is smaller.
const MOST_ANSWER: usize = 1 << 20;
/// A page waits for no outcome, and names the account in its form.
const ASKED: SendQuery = SendQuery { wait: None, session: None };
/// As what a file can be sent.
pub const AS_WHAT: &[(&str, &str)] = &[
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
pub struct Account {
    /// Its id.
    pub id: String,
    /// What people know it by.
    pub label: String,
}

#[derive(Template)]
#[template(path = "message_new.html")]
struct SendPage {
    shell: Shell,
    text: Form,
    file: Form,
    once: [Once; 2],
    accounts: Vec<Account>,
}

/// The linked accounts of whoever looks.
pub async fn accounts(app: &App, visitor: &Visitor) -> Result<Vec<Account>, ApiError> {
    let filter = SessionFilter { user_id: Some(visitor.caller.id()), ..SessionFilter::default() };
    let listed = app.store.list_sessions(&filter, Paging { page: 1, page_size: MOST_ACCOUNTS }).await?;
    let accounts = listed.results.into_iter().filter_map(|row| {
        let live = app.sessions.live(&row);
        let number = live.phone.as_ref().map(|phone| format!(", {phone}")).unwrap_or_default();
        live.linked.then(|| Account { id: row.id.to_string(), label: format!("{}{number} ({})", row.name, live.status.as_str()) })
    });
    Ok(accounts.collect())
}

/// Each form as it is shown, with its key.
struct Both {
    text: (Form, Once),
    file: (Form, Once),
}

impl Both {
    /// What is entered in the one, with the other empty.
    fn new(app: &App) -> Self {
        let empty = || (Form::default(), Once::new(app));
        Self { text: empty(), file: empty() }
    }

    async fn page(self, app: &App, visitor: &Visitor) -> Result<SendPage, ApiError> {
        let (Self { text: (text, of_text), file: (file, of_file) }, accounts) = (self, accounts(app, visitor).await?);
        Ok(SendPage { shell: visitor.shell("Send a message", "messages"), text, file, once: [of_text, of_file], accounts })
    }
}

/// Shows both forms; the address may name a recipient.
pub async fn ask(State(app): State<Arc<App>>, visitor: Visitor, asked: Asked) -> Page {
    let to = || (Form::of([("recipient", asked.text("to").to_owned())]), Once::new(&app));
    page(&Both { text: to(), file: to() }.page(&app, &visitor).await?)
}

/// When it is to be sent, as it was entered; what can't be read is refused in the form.
pub fn due(form: &mut Form) -> Option<Timestamp> {
    let text = form.some("scheduled_at")?;
    let due = super::scheduled::read_entered(&text);
    if due.is_none() {
        form.refuse("scheduled_at", "must be a date and time like 2026-12-01T09:00");
    }
    due
}

/// Sends a text.
pub async fn text(State(app): State<Arc<App>>, visitor: Visitor, once: Once, mut form: Form) -> Page {
    let scheduled_at = due(&mut form);
    let show = |text| Both { text, ..Both::new(&app) }.page(&app, &visitor);
    if !form.is_sound() {
        return again((form, once), show).await;
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
        expires_at: None,
    };
    let said = json!([asked.recipient, asked.content, asked.session, scheduled_at]);
    let (query, key, body) = request(asked, &said, once);
    let answer = send_text(State(app.clone()), visitor.caller.clone(), query, key, body).await;
    told(&app, &visitor, answer, (form, once), show).await
}

/// Sends a file.
pub async fn file(State(app): State<Arc<App>>, visitor: Visitor, once: Once, request: Request) -> Page {
    let mut asked = match media_form::read(&app, request).await {
        Ok(asked) => asked,
        Err(refusal) => return told_of_file(&app, &visitor, Err(refusal), (Form::default(), once)).await,
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
    asked.media_type = asked.media_type.take().or_else(|| Some(MediaKind::of_mime(declared).as_str().to_owned()));
    let answer = send_media::send(&app, &visitor.caller, &ASKED, asked, (once.key(), Duration::ZERO)).await;
    told_of_file(&app, &visitor, answer, (entered, once)).await
}

/// The same for the form of the file. What is wrong with the file itself is said in words of their own.
async fn told_of_file(app: &App, visitor: &Visitor, answer: Result<Response, ApiError>, entered: (Form, Once)) -> Page {
    let answer = answer.map_err(|refusal| {
        let about_file = refusal.code.as_str().starts_with("MEDIA_");
        if about_file { ApiError { message: format!("The file was not sent. {}", refusal.message), ..refusal } } else { refusal }
    });
    told(app, visitor, answer, entered, |file| Both { file, ..Both::new(app) }.page(app, visitor)).await
}

/// What a page sends, as the handlers of the API are given it. `said` is what makes two forms the same.
pub fn request<T>(asked: T, said: &Value, once: Once) -> (Query<SendQuery>, SentKey, JsonBytes<T>) {
    (Query(ASKED), SentKey(Ok(once.key())), JsonBytes { value: asked, bytes: said.to_string().into() })
}

/// What a handler of the API answered: leads to the message that was accepted, or shows the form again with what was refused
/// beside its field.
pub async fn told<T: Template, F: Future<Output = Result<T, ApiError>>>(
    app: &App,
    visitor: &Visitor,
    answer: Result<Response, ApiError>,
    (form, once): (Form, Once),
    show: impl FnOnce((Form, Once)) -> F,
) -> Page {
    match answer {
        Ok(answer) => accepted(visitor, answer).await,
        Err(refusal) => again(once.refused(app, form, refusal)?, show).await,
    }
}

/// A form again, with the status of its refusal.
pub async fn again<T: Template, F: Future<Output = Result<T, ApiError>>>(
    entered: (Form, Once),
    show: impl FnOnce((Form, Once)) -> F,
) -> Page {
    let status = entered.0.status();
    with_status(status, &show(entered).await?)
}

/// What is said of a message that was accepted, now or by an earlier sending of the same form.
pub fn said_of(answer: &Response) -> &'static str {
    if is_replayed(answer.headers()) { "It was sent already; nothing is sent twice." } else { "Accepted; it is on its way." }
}

/// Leads to the message that was accepted.
async fn accepted(visitor: &Visitor, answer: Response) -> Page {
    let said = said_of(&answer);
    let body = axum::body::to_bytes(answer.into_body(), MOST_ANSWER).await.map_err(ApiError::internal)?;
    let answer: Value = serde_json::from_slice(&body).map_err(ApiError::internal)?;
    let id = answer["data"]["id"].as_str().ok_or_else(|| Trouble(ApiError::internal("an answer without an id")))?;
    Ok(visitor.done(&format!("/admin/messages/{id}/"), said))
}
