//! What people do on a virtual phone: scan, type a code, write, send a file, read, go offline, block, unlink.
//!
//! Each form leads back to the page as it was, with a sentence about what was done or why it was not.

use super::super::form::Form;
use super::super::render::Page;
use super::super::visitor::Visitor;
use super::screen::PICTURES;
use super::{control, digits};
use crate::app::App;
use crate::http::{ApiError, ErrorCode, Path};
use axum::extract::multipart::Field;
use axum::extract::{Multipart, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::IntoResponse;
use sanasend_model::SessionId;
use sanasend_sandbox::{Auto, Error, MessageKind, NewMedia};
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

/// Most bytes of a file sent from here; larger ones go over the control API.
pub const MOST_FILE: usize = 64 << 20;
/// How long a download under way is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// Most bytes of a picture that is shown.
const MOST_SHOWN: u64 = 64 << 20;

/// The page as it was; `back` is its query.
fn back(phone: &str, query: &str) -> String {
    let pairs = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| !name.starts_with('a'));
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let place = if phone.is_empty() { String::new() } else { format!("#phone-{}", digits(phone)) };
    format!("/admin/phones/?{query}{place}")
}

#[expect(clippy::unnecessary_wraps, reason = "the answer of every act here, which may refuse before it gets this far")]
fn told<T>(visitor: &Visitor, back: &str, done: Result<T, Error>, says: impl FnOnce(T) -> String) -> Page {
    Ok(match done {
        Ok(value) => visitor.done(back, &says(value)),
        Err(error) => visitor.refused(back, &sentence(&error)),
    })
}

/// A refusal of the sandbox as a sentence.
fn sentence(error: &Error) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().collect::<String>()).unwrap_or_default();
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}

/// Makes a phone.
pub async fn add(State(app): State<Arc<App>>, visitor: Visitor, form: Form) -> Page {
    let made = control(&app)?.add_phone(form.some("phone").as_deref(), form.some("push_name").as_deref()).await;
    told(&visitor, &back("", form.text("back")), made, |phone| format!("{} is here, number {}.", phone.push_name, phone.phone))
}

/// Forgets a phone.
pub async fn remove(State(app): State<Arc<App>>, visitor: Visitor, Path(phone): Path<String>, form: Form) -> Page {
    told(&visitor, &back("", form.text("back")), control(&app)?.remove_phone(&phone), |()| "The phone is gone.".into())
}

/// Scans the code that a session shows, or one that was pasted.
pub async fn scan(State(app): State<Arc<App>>, visitor: Visitor, Path(phone): Path<String>, form: Form) -> Page {
    let back = back(&phone, form.text("back"));
    let text = match form.some("session") {
        Some(id) => shown_code(&app, &id).await?,
        None => form.some("qr"),
    };
    let Some(text) = text else {
        return Ok(visitor.refused(&back, "There is no code to scan: choose a session that shows one, or paste the text of a code."));
    };
    let linked = control(&app)?.scan(&text, Some(&phone)).await;
    told(&visitor, &back, linked, |linked| format!("Linked as {}.", linked.jid))
}

async fn shown_code(app: &App, id: &str) -> Result<Option<String>, ApiError> {
    let Ok(id) = id.parse::<SessionId>() else { return Ok(None) };
    let row = app.store.session(id).await?;
    Ok(row.and_then(|row| app.sessions.live(&row).qr).map(|code| code.text))
}

/// Types the pairing code that a session shows.
pub async fn pair(State(app): State<Arc<App>>, visitor: Visitor, Path(phone): Path<String>, form: Form) -> Page {
    let linked = control(&app)?.type_pair_code(&phone, form.text("code").trim()).await;
    told(&visitor, &back(&phone, form.text("back")), linked, |linked| format!("Linked as {}.", linked.jid))
}

/// Writes a text, as an answer where one is meant.
pub async fn send(State(app): State<Arc<App>>, visitor: Visitor, Path(phone): Path<String>, form: Form) -> Page {
    let back = back(&phone, form.text("back"));
    let text = form.text("text").replace("\r\n", "\n");
    if text.trim().is_empty() {
        return Ok(visitor.refused(&back, "Write something first."));
    }
    let sent = control(&app)?.send(&phone, form.text("to").trim(), &text, form.some("reply_to").as_deref()).await;
    told(&visitor, &back, sent, |_| "Written.".into())
}

/// Sends a file.
pub async fn send_file(State(app): State<Arc<App>>, visitor: Visitor, Path(phone): Path<String>, mut form: Multipart) -> Page {
    let (mut query, mut to, mut file) = (String::new(), String::new(), None);
    let mut media = NewMedia { kind: MessageKind::Document, ..NewMedia::default() };
    while let Some(field) = form.next_field().await.map_err(|_| ErrorCode::BadRequest)? {
        match field.name().unwrap_or_default() {
            "back" => query = text(field).await?,
            "to" => to = text(field).await?,
            "caption" => media.caption = Some(text(field).await?).filter(|text| !text.trim().is_empty()),
            "file" => {
                media.file_name = field.file_name().map(str::to_owned).filter(|name| !name.is_empty());
                media.mime = field.content_type().map(str::to_owned);
                file = Some(field.bytes().await.map_err(|_| ErrorCode::PayloadTooLarge)?);
            }
            _ => {}
        }
    }
    let back = back(&phone, &query);
    let Some(file) = file.filter(|file| !file.is_empty()) else {
        return Ok(visitor.refused(&back, "Choose a file first."));
    };
    media.kind = kind_of(media.mime.as_deref().unwrap_or_default());
    let sent = control(&app)?.send_media(&phone, to.trim(), media, file.to_vec()).await;
    told(&visitor, &back, sent, |_| "Sent.".into())
}

async fn text(field: Field<'_>) -> Result<String, ApiError> {
    field.text().await.map_err(|_| ErrorCode::BadRequest.into())
}

fn kind_of(mime: &str) -> MessageKind {
    match mime {
        "image/jpeg" | "image/png" => MessageKind::Image,
        "video/mp4" => MessageKind::Video,
        _ if mime.starts_with("audio/") => MessageKind::Audio,
        _ => MessageKind::Document,
    }
}

/// Reads a chat.
pub async fn read(State(app): State<Arc<App>>, visitor: Visitor, Path(phone): Path<String>, form: Form) -> Page {
    let read = control(&app)?.read(&phone, form.some("chat").as_deref(), None);
    told(&visitor, &back(&phone, form.text("back")), read, |count| format!("Messages read: {count}."))
}

/// Connects or disconnects it.
pub async fn set_online(State(app): State<Arc<App>>, visitor: Visitor, Path(phone): Path<String>, form: Form) -> Page {
    let online = form.text("online") == "yes";
    let done = control(&app)?.set_online(&phone, online).await;
    let says = if online { "The phone is online." } else { "The phone is offline; what it misses waits for it." };
    told(&visitor, &back(&phone, form.text("back")), done, |()| says.into())
}

/// Blocks somebody, or lets them through again.
pub async fn set_blocked(State(app): State<Arc<App>>, visitor: Visitor, Path(phone): Path<String>, form: Form) -> Page {
    let (control, who) = (control(&app)?, form.text("who").trim());
    let (done, says) = if form.text("block") == "yes" {
        (control.block(&phone, who).await, "Blocked: they see one tick, and nothing of it comes here.")
    } else {
        (control.unblock(&phone, who).await, "Let through again; what came meanwhile is lost.")
    };
    told(&visitor, &back(&phone, form.text("back")), done, |_| says.into())
}

/// Says what it does by itself.
pub async fn set_auto(State(app): State<Arc<App>>, visitor: Visitor, Path(phone): Path<String>, form: Form) -> Page {
    let auto = Auto { read: form.is_on("read"), reply: form.some("reply") };
    let done = control(&app)?.auto(&phone, auto);
    told(&visitor, &back(&phone, form.text("back")), done, |()| "Saved.".into())
}

/// Removes a companion from its list of linked devices.
pub async fn unlink(State(app): State<Arc<App>>, visitor: Visitor, Path((phone, device)): Path<(String, u16)>, form: Form) -> Page {
    let done = control(&app)?.unlink(&phone, device);
    told(&visitor, &back(&phone, form.text("back")), done, |()| "Unlinked.".into())
}

/// The file of a message on a phone. A stranger may have made it: only pictures keep their type.
pub async fn media(State(app): State<Arc<App>>, _visitor: Visitor, Path((phone, id)): Path<(String, String)>) -> Page {
    let open = control(&app)?.media(&phone, &id, PATIENCE).await;
    let mut open = open.map_err(|error| match error {
        Error::Unknown(_) => ApiError::not_found(),
        other => ApiError::because(ErrorCode::WrongState, sentence(&other)),
    })?;
    if open.size > MOST_SHOWN {
        return Err(ErrorCode::MediaTooLarge.into());
    }
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        open.file.read_to_end(&mut bytes).map(|_| (bytes, open.media.mime))
    });
    let (bytes, mime) = read.await.map_err(ApiError::internal)?.map_err(ApiError::internal)?;
    let kind = PICTURES.into_iter().find(|picture| *picture == mime).unwrap_or("application/octet-stream");
    let nosniff = (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let save = (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    Ok(([nosniff, kind, save], bytes).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_stays_on_this_page() {
        assert_eq!(back("+12025550100", "c12025550100=x%40g.us&a12025550100=ID"), "/admin/phones/?c12025550100=x%40g.us#phone-12025550100");
        assert_eq!(back("", "//evil.example/\r\n"), "/admin/phones/?%2F%2Fevil.example%2F%0D%0A=");
    }

    #[test]
    fn a_refusal_is_a_sentence() {
        assert_eq!(sentence(&Error::Invalid("the text is no code".into())).chars().last(), Some('.'));
    }
}
