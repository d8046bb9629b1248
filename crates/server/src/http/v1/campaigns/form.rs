//! A campaign as a form: short fields into memory, files to disk, each as it comes, in any order.
//!
//! Apart from `ask` so that the dashboard, which sends the same form, can show again what came before something was refused.

use super::ask::{Asked, AskedMedia, Source};
use crate::app::App;
use crate::http::parts::{Form, broken, once, text_within, unknown};
use crate::http::v1::messages::accept::fingerprint;
use crate::http::v1::messages::send_media::{Uploaded, not_staged as not_taken};
use crate::http::{ApiError, ErrorCode};
use crate::media::{StageError, Staged, Staging};
use axum::extract::Request;
use axum::extract::multipart::Field;
use sanasend_model::MediaKind;
use serde_json::{Value, json};

/// Most bytes of a field that is no file.
const MAX_FIELD: usize = 256 * 1024;

/// The fields as they came.
#[derive(Default)]
pub(crate) struct Fields {
    pub(crate) name: Option<String>,
    pub(crate) content: Option<String>,
    pub(crate) template: Option<String>,
    pub(crate) media: Option<String>,
    pub(crate) language: Option<String>,
    pub(crate) column: Option<String>,
    pub(crate) sessions: Option<String>,
    pub(crate) pacing: Option<String>,
    pub(crate) quiet_hours: Option<String>,
    pub(crate) start: Option<String>,
    pub(crate) file: Option<Staged>,
    pub(crate) media_type: Option<String>,
    pub(crate) media_file: Option<Uploaded>,
}

impl Fields {
    fn place(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "name" => &mut self.name,
            "content" => &mut self.content,
            "template" => &mut self.template,
            "media" => &mut self.media,
            "media_type" => &mut self.media_type,
            "language" => &mut self.language,
            "column" => &mut self.column,
            "sessions" => &mut self.sessions,
            "pacing" => &mut self.pacing,
            "quiet_hours" => &mut self.quiet_hours,
            "start" => &mut self.start,
            _ => return None,
        })
    }

    /// Everything that makes two requests the same, the bytes of the files among it.
    fn fingerprint(&self, path: &str) -> [u8; 32] {
        let mut summary = json!([
            self.name,
            self.content,
            self.template,
            self.media,
            self.language,
            self.column,
            self.sessions,
            self.pacing,
            self.quiet_hours,
            self.start,
            self.file.as_ref().map(|file| hex::encode(file.sha256)),
        ]);
        // Only where it is given: a request without it is the same as ever.
        if let (Some(file), Some(summary)) = (&self.media_file, summary.as_array_mut()) {
            summary.push(json!([hex::encode(file.staged.sha256), file.name, file.declared, self.media_type]));
        }
        fingerprint(path, summary.to_string().as_bytes(), None)
    }
}

/// Reads every field into `fields`; what came before something is refused stays there.
///
/// # Errors
/// When it is no form, a field is unknown, too long or comes twice, or a file is too large.
pub(crate) async fn read_fields(app: &App, request: Request, fields: &mut Fields) -> Result<(), ApiError> {
    let mut form = Form::of(request).await?;
    while let Some(field) = form.next_field().await? {
        let name = field.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "file" => once(&name, &mut fields.file, upload(app, field).await?)?,
            "media_file" => {
                let kind = fields.media_type.as_deref().and_then(|text| text.trim().parse::<MediaKind>().ok());
                once(&name, &mut fields.media_file, upload_media(app, kind, field).await?)?;
            }
            _ => {
                let place = fields.place(&name).ok_or_else(|| unknown(&name))?;
                once(&name, place, text_within(&name, field, MAX_FIELD).await?)?;
            }
        }
    }
    Ok(())
}

/// What the fields ask for.
///
/// # Errors
/// When a field can't be read, or does not go with another.
pub(crate) fn asked_by(path: &str, fields: Fields) -> Result<Asked, ApiError> {
    let fingerprint = fields.fingerprint(path);
    let Fields { name, content, template, media, language, column, sessions, pacing, quiet_hours, start, file, media_type, media_file } =
        fields;
    let staged = file.ok_or_else(|| ApiError::field("file", "is required: a CSV file with the recipients"))?;
    let start = switch("start", start.as_deref())?.unwrap_or(false);
    let quiet_hours = switch("quiet_hours", quiet_hours.as_deref())?;
    let pacing = pacing.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text.trim().to_owned())));
    let sessions = sessions.unwrap_or_default();
    let sessions = sessions.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
    let (template, language) = (filled(template), filled(language));
    let media = media_of(filled(media), media_file, filled(media_type))?;
    let source = Source::File { staged, column };
    Ok(Asked { name, content, template, media, language, sessions, pacing, quiet_hours, start, source, fingerprint, _turn: None })
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}

/// The file that everybody gets, from whichever field.
fn media_of(json: Option<String>, file: Option<Uploaded>, media_type: Option<String>) -> Result<Option<AskedMedia>, ApiError> {
    let json = json.map(|text| serde_json::from_str(&text)).transpose();
    let json = json.map_err(|_| {
        ApiError::field("media", "must be JSON: an object with `media_type`, `media_url` or `media_base64`, and `filename`")
    })?;
    match (json, file) {
        (Some(_), Some(_)) => Err(ApiError::field("media_file", "can't be used together with `media`")),
        (None, Some(file)) => Ok(Some(AskedMedia::Uploaded(file, media_type.map(|text| text.trim().to_owned())))),
        (_, None) if media_type.is_some() => Err(ApiError::field("media_type", "needs a file beside it, in `media_file`")),
        (json, None) => Ok(json.map(AskedMedia::Wanted)),
    }
}

/// A switch of a form; `None` when it is left out.
fn switch(field: &str, text: Option<&str>) -> Result<Option<bool>, ApiError> {
    match text.map(str::trim) {
        None | Some("") => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(ApiError::field(field, "must be true or false")),
    }
}

/// Streams the list of recipients to disk.
async fn upload(app: &App, field: Field<'_>) -> Result<Staged, ApiError> {
    let not_staged = |error: StageError| match error {
        StageError::TooLarge { limit } => {
            ApiError::because(ErrorCode::PayloadTooLarge, format!("The file is larger than {} MiB.", limit >> 20))
        }
        StageError::Disk(error) => ApiError::unavailable(error),
    };
    let staging = app.media.stage(app.campaigns.settings().largest_file).await.map_err(not_staged)?;
    stream(staging, field, not_staged).await
}

/// Streams the file for everybody to disk. Where the form said before what it is, it is cut off at what is possible for that.
async fn upload_media(app: &App, kind: Option<MediaKind>, field: Field<'_>) -> Result<Uploaded, ApiError> {
    let (name, declared) = (field.file_name().map(str::to_owned), field.content_type().map(str::to_owned));
    let limit = kind.map_or_else(|| app.media.largest(), |kind| app.media.limit(kind));
    let staging = app.media.stage(limit).await.map_err(not_taken)?;
    Ok(Uploaded { staged: stream(staging, field, not_taken).await?, name, declared })
}

async fn stream(mut staging: Staging, mut field: Field<'_>, not_staged: impl Fn(StageError) -> ApiError) -> Result<Staged, ApiError> {
    while let Some(chunk) = field.chunk().await.map_err(|error| broken(&error))? {
        staging.write(&chunk).await.map_err(&not_staged)?;
    }
    staging.finish().await.map_err(&not_staged)
}
