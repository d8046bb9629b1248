//! `POST /messages/send-media/`: the fields and the file, from a form, a URL or base64; then as every other send.
//!
//! The file lies on this machine's disk before anything is decided about it, and is durable under a generated name before
//! the message is accepted.

pub(crate) mod form;
pub(crate) mod source;

use super::accept::{Checked, Terms, fingerprint, patience, take_in};
use super::asked::{
    Common, NAMING, SendQuery, SentKey, TAKING_IN, TakenIn, check_metadata, check_recipient, check_when, idempotency_key, send_body,
};
use super::choose::choose_linked;
use crate::app::App;
use crate::http::{ApiError, Caller, ErrorCode, JsonBytes, Query};
use crate::media::look::Unfit;
use crate::media::picture::Spoilt;
use crate::media::{KeepError, StageError, Staged, Wish};
use crate::outbox::When;
use crate::turns::Turn;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use sanasend_model::media::file_name;
use sanasend_model::{Content, FieldErrors, Invalid, MediaKind, MessageId, Recipient};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// The path as it enters the fingerprint.
const PATH: &str = "POST /api/v1/messages/send-media/";
/// The last but one: of the form that a file came in.
const CODES: [&[&str]; 4] = [NAMING, TAKING_IN, &["BAD_REQUEST"], REFUSED_FILES];
/// Codes of what is wrong with a file, for every operation that takes one.
pub(crate) const REFUSED_FILES: &[&str] =
    &["MEDIA_TYPE_NOT_ALLOWED", "MEDIA_INVALID", "MEDIA_TOO_LARGE", "MEDIA_URL_REFUSED", "MEDIA_URL_FAILED"];

send_body! {
    /// A file to send, from a URL or as base64.
    SendMedia {
        /// `image` (JPEG, PNG, WebP), `video` (MP4), `audio`, `voice_note` (Ogg Opus), `document` (anything), `sticker` (WebP) or
        /// `video_note` (MP4).
        #[schema(example = "document")]
        media_type: String,
        /// Where the file is: an http or https address on the public Internet. One of `media_url` and `media_base64`.
        #[serde(default)]
        #[schema(example = "https://example.com/invoice.pdf")]
        media_url: Option<String>,
        /// The file itself, as base64 or as a `data:` URL.
        #[serde(default)]
        media_base64: Option<String>,
        /// Text beside the file, at most 1,024 characters; not for sound, stickers and video notes.
        #[serde(default)]
        #[schema(example = "Your invoice.")]
        caption: Option<String>,
        /// Name under which the recipient saves it. Paths are cut off.
        #[serde(default)]
        #[schema(example = "invoice.pdf")]
        filename: Option<String>,
    }
}

/// The same as a form, with the file in it.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it only documents the form, which is read as it streams in")]
pub(crate) struct SendMediaForm {
    /// To whom, as in the JSON body.
    #[schema(example = "+12025550123")]
    pub(crate) recipient: String,
    /// As what, as in the JSON body.
    #[schema(example = "image")]
    pub(crate) media_type: String,
    /// The file. Its own name is taken when there is no field `filename`.
    #[schema(value_type = String, format = Binary)]
    pub(crate) file: Vec<u8>,
    /// Instead of the file: where it is.
    pub(crate) media_url: Option<String>,
    /// Text beside the file.
    pub(crate) caption: Option<String>,
    /// Name under which the recipient saves it.
    pub(crate) filename: Option<String>,
    /// Name or id of the account to send with.
    pub(crate) session: Option<String>,
    /// Id of the message that this one answers.
    pub(crate) reply_to: Option<String>,
    /// Your own, as JSON.
    pub(crate) metadata: Option<String>,
    /// When to send it.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) scheduled_at: Option<String>,
    /// When it makes no sense any more.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) expires_at: Option<String>,
    /// `true` or `false`: whether your quiet hours hold it.
    pub(crate) quiet_hours: Option<String>,
}

/// What was asked, however it came.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) recipient: Option<String>,
    pub(crate) media_type: Option<String>,
    pub(crate) caption: Option<String>,
    pub(crate) filename: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) reply_to: Option<MessageId>,
    pub(crate) metadata: Option<Value>,
    pub(crate) media_url: Option<String>,
    pub(crate) media_base64: Option<String>,
    pub(crate) file: Option<Uploaded>,
    pub(crate) when: When,
    /// Kept for as long as the file may be in memory.
    pub(crate) _turn: Option<Turn>,
}

/// A file that lies on this machine's disk, with what its sender said of it.
#[derive(Debug)]
pub(crate) struct Uploaded {
    pub(crate) staged: Staged,
    pub(crate) name: Option<String>,
    pub(crate) declared: Option<String>,
}

/// What was checked before the file is looked at.
struct Sound {
    pub(crate) recipient: Recipient,
    pub(crate) kind: MediaKind,
    pub(crate) caption: Option<String>,
    pub(crate) filename: Option<String>,
    pub(crate) metadata: Option<Value>,
}

/// Send a file
///
/// A picture, a film, sound, a document or a sticker: as a form (`multipart/form-data`, the file streamed to disk as it
/// comes), or as JSON with `media_url` or `media_base64`. What the file is, is found out by its content. It and the message
/// are on disk when this answers 202. `Idempotency-Key` works as for texts; the bytes of an uploaded file belong to what
/// makes two requests the same.
#[utoipa::path(post, path = "/messages/send-media/", tag = "messages",
    request_body(content(
        (SendMediaForm = "multipart/form-data", example = json!({
            "recipient": "+12025550123", "media_type": "document", "caption": "Your invoice.", "file": "(the bytes of invoice.pdf)"})),
        (SendMedia = "application/json", example = json!({
            "recipient": "+12025550123", "media_type": "image", "media_url": "https://example.com/photo.jpg", "caption": "Look!"})))),
    params(SendQuery, SentKey), responses(TakenIn),
    extensions(("x-scope" = json!("messages:send")), ("x-time-limit" = json!("media.request_seconds")),
        ("x-error-codes" = json!(CODES.concat()))))]
pub(crate) async fn send_media(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<SendQuery>,
    request: Request,
) -> Result<Response, ApiError> {
    let wait = patience(&app, query.wait)?;
    let key = idempotency_key(request.headers())?;
    let asked = read(&app, &caller, request).await?;
    send(&app, &caller, &query, asked, (key, wait)).await
}

/// Sends what was asked: checks it, keeps the file, takes the message in.
///
/// # Errors
/// As `send_media`.
pub(crate) async fn send(
    app: &App,
    caller: &Caller,
    query: &SendQuery,
    asked: Asked,
    (key, wait): (Option<String>, Duration),
) -> Result<Response, ApiError> {
    let sound = check(app, &asked)?;
    let fingerprint = fingerprint(PATH, asked.summary(&sound).as_bytes(), query.session.as_deref());
    let terms = Terms { key, fingerprint, wait };
    if let Some(answer) = terms.replay(app, caller.id()).await? {
        return Ok(answer);
    }
    let session = choose_linked(app, caller.id(), asked.session.as_deref().or(query.session.as_deref())).await?;
    caller.look_for_room(app).await?;
    let (reply_to, when) = (asked.reply_to, asked.when);
    let Uploaded { staged, name, declared } = source::file(app, caller, asked, sound.kind).await?;
    let filename = sound.filename.or_else(|| name.as_deref().and_then(file_name));
    let wish = Wish { user: caller.id(), kind: sound.kind, caption: sound.caption, filename, declared };
    let kept = app.media.keep(staged, wish).await.map_err(not_kept)?;
    let content = Content::Media(Box::new(kept.media));
    let checked = Checked { media: Some(kept.file), metadata: sound.metadata, reply_to, when, ..Checked::new(sound.recipient, content) };
    take_in(app, caller, session.id, checked, terms).await
}

async fn read(app: &App, caller: &Caller, request: Request) -> Result<Asked, ApiError> {
    if is_form(request.headers()) {
        return form::read(app, request).await;
    }
    let (JsonBytes { value: mut body, .. }, turn) = JsonBytes::<SendMedia>::with_file(app, caller, request).await?;
    let Common { recipient, session, reply_to, metadata, when } = body.common();
    let SendMedia { media_type, media_url, media_base64, caption, filename, .. } = body;
    let (recipient, media_type) = (Some(recipient), Some(media_type));
    Ok(Asked {
        recipient,
        media_type,
        caption,
        filename,
        session,
        reply_to,
        metadata,
        media_url,
        media_base64,
        file: None,
        when,
        _turn: turn,
    })
}

fn is_form(headers: &HeaderMap) -> bool {
    let essence = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    essence.trim_start().to_ascii_lowercase().starts_with("multipart/form-data")
}

fn check(app: &App, asked: &Asked) -> Result<Sound, ApiError> {
    let mut errors = FieldErrors::default();
    check_when(asked.when, app.clock.now(), &mut errors);
    check_fields(asked, errors)
}

fn check_fields(asked: &Asked, mut errors: FieldErrors) -> Result<Sound, ApiError> {
    let mut refuse = |field: &str, message: String| errors.push(Invalid::new(field, message));
    let kind = asked.media_type.as_deref().map(str::parse::<MediaKind>);
    let kind = match kind {
        Some(Ok(kind)) => Some(kind),
        Some(Err(())) => {
            let all: Vec<&str> = MediaKind::ALL.iter().map(|kind| kind.as_str()).collect();
            refuse("media_type", format!("must be one of: {}", all.join(", ")));
            None
        }
        None => {
            refuse("media_type", "is required".into());
            None
        }
    };
    match usize::from(asked.file.is_some()) + usize::from(asked.media_url.is_some()) + usize::from(asked.media_base64.is_some()) {
        1 => {}
        0 => refuse("file", "is required: a file in the form, or `media_url` or `media_base64` in the body".into()),
        _ => refuse("file", "is given more than once: only one of `file`, `media_url` and `media_base64` is possible".into()),
    }
    let caption = kind.and_then(|kind| errors.take(kind.caption(asked.caption.clone()))).flatten();
    let metadata = check_metadata(asked.metadata.clone(), &mut errors);
    if asked.recipient.is_none() {
        errors.push(Invalid::new("recipient", "is required"));
        return Err(errors.into());
    }
    let recipient = check_recipient(asked.recipient.as_deref().unwrap_or_default(), errors)?;
    let kind = kind.ok_or_else(|| ApiError::internal("a media type that was refused and not named"))?;
    let filename = asked.filename.as_deref().and_then(file_name);
    Ok(Sound { recipient, kind, caption, filename, metadata })
}

impl Asked {
    /// Everything that makes two requests the same, the bytes of the file among it.
    fn summary(&self, sound: &Sound) -> String {
        let hash = |bytes: &[u8]| hex::encode(<sha2::Sha256 as sha2::Digest>::digest(bytes));
        let mut summary = json!({
            "recipient": self.recipient,
            "media_type": sound.kind.as_str(),
            "caption": self.caption,
            "filename": self.filename,
            "session": self.session,
            "reply_to": self.reply_to,
            "metadata": self.metadata,
            "media_url": self.media_url,
            "media_base64": self.media_base64.as_deref().map(|text| hash(text.as_bytes())),
            "file": self.file.as_ref().map(|file| json!([hex::encode(file.staged.sha256), file.name, file.declared])),
        });
        // Only where they are given: a request without them is the same as ever.
        if let Some(due) = self.when.scheduled_at {
            summary["scheduled_at"] = json!(due);
        }
        if let Some(end) = self.when.expires_at {
            summary["expires_at"] = json!(end);
        }
        if let Some(quiet) = self.when.quiet_hours {
            summary["quiet_hours"] = json!(quiet);
        }
        summary.to_string()
    }
}

/// A file that did not come in.
pub(crate) fn not_staged(error: StageError) -> ApiError {
    match error {
        StageError::TooLarge { limit } => too_large(limit),
        StageError::Disk(error) => ApiError::unavailable(format!("a file can't be written: {error}")),
    }
}

fn too_large(limit: u64) -> ApiError {
    let limit = if limit >= 1 << 20 { format!("{} MiB", limit >> 20) } else { format!("{limit} bytes") };
    ApiError::because(ErrorCode::MediaTooLarge, format!("The file is larger than the {limit} that are possible."))
}

/// A file that can't be sent.
pub(crate) fn not_kept(error: KeepError) -> ApiError {
    let of_type = |message: String| ApiError::because(ErrorCode::MediaTypeNotAllowed, message);
    let invalid = |message: String| ApiError::because(ErrorCode::MediaInvalid, message);
    match error {
        KeepError::Empty => invalid("The file is empty.".into()),
        KeepError::TooLarge { limit } => too_large(limit),
        KeepError::Unfit(Unfit::Type { found }) => of_type(format!("The file is {found}, which can't be sent as this `media_type`.")),
        KeepError::Unfit(Unfit::Lie { found, declared }) => {
            let declared = sanasend_model::media::file_name(&declared.replace('/', " ")).unwrap_or_default().replace(' ', "/");
            of_type(format!("The file is said to be {declared}, but it is {found}."))
        }
        KeepError::Spoilt(Spoilt::Broken) => invalid("The picture is broken or not whole.".into()),
        KeepError::Spoilt(Spoilt::TooManyPixels { width, height }) => {
            invalid(format!("The picture has {width} x {height} pixels, more than are possible."))
        }
        KeepError::NoOpus => of_type("A voice note must be Ogg Opus; this server has no ffmpeg to make it one, or could not.".into()),
        KeepError::Store(error) => error.into(),
        KeepError::Disk(error) => ApiError::unavailable(format!("a file can't be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Asked {
        Asked {
            recipient: Some("+12025550123".into()),
            media_type: Some("image".into()),
            media_url: Some("https://example.com/a.png".into()),
            ..Asked::default()
        }
    }

    #[test]
    fn every_refused_field_is_named() {
        let table: [(Asked, &[&str]); 7] = [
            (Asked { recipient: None, ..asked() }, &["recipient"]),
            (Asked { media_type: None, ..asked() }, &["media_type"]),
            (Asked { media_type: Some("gif".into()), ..asked() }, &["media_type"]),
            (Asked { media_url: None, ..asked() }, &["file"]),
            (Asked { media_base64: Some("AA==".into()), ..asked() }, &["file"]),
            (Asked { media_type: Some("sticker".into()), caption: Some("x".into()), ..asked() }, &["caption"]),
            (Asked { metadata: Some(json!(7)), recipient: Some("nobody".into()), ..asked() }, &["metadata", "recipient"]),
        ];
        for (asked, fields) in table {
            let refused = check_fields(&asked, FieldErrors::default()).err().expect("refused");
            assert_eq!(refused.errors.0.keys().collect::<Vec<_>>(), fields, "{asked:?}");
        }
        assert!(check_fields(&asked(), FieldErrors::default()).is_ok());
    }

    #[test]
    fn the_bytes_belong_to_what_makes_two_requests_the_same() {
        let of =
            |asked: &Asked| asked.summary(&check_fields(asked, FieldErrors::default()).unwrap_or_else(|refused| panic!("{refused:?}")));
        assert_eq!(of(&asked()), of(&asked()));
        let base64 = |text: &str| Asked { media_url: None, media_base64: Some(text.into()), ..asked() };
        assert_ne!(of(&base64("AA==")), of(&base64("AQ==")));
        assert_ne!(of(&asked()), of(&Asked { caption: Some("x".into()), ..asked() }));
    }
}
