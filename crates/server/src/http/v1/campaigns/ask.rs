//! What callers write to make a campaign, as JSON or as a form with a file, read into one shape.

use crate::app::App;
use crate::campaigns::plan::Listed;
use crate::http::v1::messages::accept::fingerprint;
use crate::http::v1::templates::view::WantedMedia;
use crate::http::{ApiError, ErrorCode, JsonBytes};
use crate::media::{StageError, Staged};
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{HeaderMap, StatusCode, header};
use sanasend_store::ContactFilter;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// Most bytes of a field that is no file.
const MAX_FIELD: usize = 256 * 1024;

/// A recipient with its values.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedRecipient {
    /// A phone number with country code, or an id ending in `@s.whatsapp.net`, `@c.us` or `@lid`.
    #[serde(alias = "recipient")]
    #[schema(example = "+12025550123")]
    pub(crate) phone: String,
    /// Values of variables.
    #[serde(default)]
    #[schema(value_type = Option<Object>, example = json!({"name": "Ann"}))]
    pub(crate) variables: Option<Value>,
}

/// Which contacts get a message; an empty object for all.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WantedContacts {
    /// Only with this tag.
    #[schema(example = "customers")]
    pub(crate) tag: Option<String>,
    /// Only of this group.
    pub(crate) group: Option<String>,
    /// Beginnings of words of the name, or of the number.
    pub(crate) search: Option<String>,
}

impl From<WantedContacts> for ContactFilter {
    fn from(wanted: WantedContacts) -> Self {
        let WantedContacts { tag, group, search } = wanted;
        let small = |text: Option<String>| text.map(|text| text.trim().to_lowercase()).filter(|text| !text.is_empty());
        Self { tag: small(tag), group: small(group), search: search.filter(|text| !text.trim().is_empty()), ..Self::default() }
    }
}

/// A campaign to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedCampaign {
    /// What to call it, up to 200 characters. Left out: the moment of its making.
    #[serde(default)]
    #[schema(example = "Opening hours")]
    pub(crate) name: Option<String>,
    /// The text. `{{name}}` is the value of a variable, `{{name|there}}` has a default.
    #[serde(default)]
    #[schema(example = "Hi {{name|there}}, we are open again.")]
    pub(crate) content: Option<String>,
    /// Instead of a text: name or id of a saved template, taken as it is now.
    #[serde(default)]
    #[schema(example = json!(null))]
    pub(crate) template: Option<String>,
    /// A file that everybody gets, fetched or decoded now; `content` is the caption then, and may be left out.
    #[serde(default)]
    #[schema(example = json!(null))]
    pub(crate) media: Option<WantedMedia>,
    /// How numbers and dates are written, like `de` or `pt-BR`; with a template, which of its languages.
    #[serde(default)]
    #[schema(example = "en")]
    pub(crate) language: Option<String>,
    /// Who gets it. One of `recipients` and `filter`.
    #[serde(default)]
    pub(crate) recipients: Option<Vec<WantedRecipient>>,
    /// Instead of a list: the contacts that get it. Their names and fields are values of variables.
    #[serde(default)]
    #[schema(example = json!(null))]
    pub(crate) filter: Option<WantedContacts>,
    /// Names or ids of the accounts that share the work. Left out: the only one, or the one named `default`.
    #[serde(default)]
    #[schema(example = json!(["default"]))]
    pub(crate) sessions: Option<Vec<String>>,
    /// `"default"`, an object with `gap_min_seconds`, `gap_max_seconds`, `per_hour`, `per_day`, `warm_up` and `cold_per_day` (what
    /// is left out is the server's), or, when all accounts are sandbox accounts, `"none"`.
    #[serde(default)]
    #[schema(value_type = Option<Object>, example = json!("default"))]
    pub(crate) pacing: Option<Value>,
    /// Whether it waits where it is night (`PUT /quiet-hours/` says when that is); left out: as you have set it.
    #[serde(default)]
    #[schema(example = true)]
    pub(crate) quiet_hours: Option<bool>,
    /// Whether to start it at once.
    #[serde(default)]
    #[schema(example = false)]
    pub(crate) start: bool,
}

/// The same as a form, with a file of recipients.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it only documents the form, which is read as it streams in")]
pub(crate) struct CampaignForm {
    /// What to call it.
    #[schema(example = "Opening hours")]
    pub(crate) name: Option<String>,
    /// The text, with its variables.
    #[schema(example = "Hi {{name|there}}, we are open again.")]
    pub(crate) content: Option<String>,
    /// Instead of a text: name or id of a saved template.
    pub(crate) template: Option<String>,
    /// A file that everybody gets: an object as in the JSON body, at most 256 KiB of JSON; with `media_url` it may be larger.
    pub(crate) media: Option<String>,
    /// How numbers and dates are written; with a template, which of its languages.
    pub(crate) language: Option<String>,
    /// A CSV file in UTF-8. Its first line names the columns: `recipient` or `phone`, and one for each variable.
    #[schema(value_type = String, format = Binary)]
    pub(crate) file: Vec<u8>,
    /// The column of the recipients, when it has another name.
    pub(crate) column: Option<String>,
    /// Accounts, with commas between.
    #[schema(example = "default")]
    pub(crate) sessions: Option<String>,
    /// As in the JSON body; an object as JSON.
    pub(crate) pacing: Option<String>,
    /// `true` or `false`: whether it waits where it is night.
    pub(crate) quiet_hours: Option<String>,
    /// `true` to start it at once.
    pub(crate) start: Option<String>,
}

/// Where recipients come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// They stand in the request.
    List(Vec<Listed>),
    /// They are contacts.
    Contacts(Box<ContactFilter>),
    /// They stand in a file.
    File {
        /// The file.
        staged: Staged,
        /// The column of the recipients.
        column: Option<String>,
    },
}

/// What was asked, however it came.
pub(crate) struct Asked {
    pub(crate) name: Option<String>,
    pub(crate) content: Option<String>,
    pub(crate) template: Option<String>,
    pub(crate) media: Option<WantedMedia>,
    pub(crate) language: Option<String>,
    pub(crate) sessions: Vec<String>,
    pub(crate) pacing: Option<Value>,
    pub(crate) quiet_hours: Option<bool>,
    pub(crate) start: bool,
    pub(crate) source: Source,
    /// What makes two requests the same.
    pub(crate) fingerprint: [u8; 32],
}

/// Reads a request of either kind.
///
/// # Errors
/// When it is no such request.
pub(crate) async fn read(app: &App, path: &str, request: Request) -> Result<Asked, ApiError> {
    if is_form(request.headers()) {
        return form(app, path, request).await;
    }
    let limit = usize::try_from(app.config.media.json_limit_mib << 20).unwrap_or(usize::MAX);
    let JsonBytes { value, bytes } = JsonBytes::<WantedCampaign>::within(request, limit).await?;
    let fingerprint = fingerprint(path, &bytes, None);
    let source = match (value.recipients, value.filter) {
        (Some(recipients), None) => Source::List(checked(recipients)?),
        (None, Some(filter)) => Source::Contacts(Box::new(filter.into())),
        (None, None) => return Err(ApiError::field("recipients", "is required: a list of people, or a `filter` of contacts")),
        (Some(_), Some(_)) => return Err(ApiError::field("filter", "can't be used together with `recipients`")),
    };
    Ok(Asked {
        name: value.name,
        content: value.content,
        template: value.template,
        media: value.media,
        language: value.language,
        sessions: value.sessions.unwrap_or_default(),
        pacing: value.pacing,
        quiet_hours: value.quiet_hours,
        start: value.start,
        source,
        fingerprint,
    })
}

fn checked(recipients: Vec<WantedRecipient>) -> Result<Vec<Listed>, ApiError> {
    let is_wrong = |one: &WantedRecipient| one.variables.as_ref().is_some_and(|values| !values.is_object() && !values.is_null());
    if let Some(at) = recipients.iter().position(is_wrong) {
        return Err(ApiError::field(format!("recipients[{at}].variables"), "must be an object"));
    }
    Ok(recipients.into_iter().map(|one| Listed { recipient: one.phone, variables: one.variables }).collect())
}

fn is_form(headers: &HeaderMap) -> bool {
    let essence = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    essence.trim_start().to_ascii_lowercase().starts_with("multipart/form-data")
}

#[derive(Default)]
struct Fields {
    name: Option<String>,
    content: Option<String>,
    template: Option<String>,
    media: Option<String>,
    language: Option<String>,
    column: Option<String>,
    sessions: Option<String>,
    pacing: Option<String>,
    quiet_hours: Option<String>,
    start: Option<String>,
    file: Option<Staged>,
}

impl Fields {
    fn place(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "name" => &mut self.name,
            "content" => &mut self.content,
            "template" => &mut self.template,
            "media" => &mut self.media,
            "language" => &mut self.language,
            "column" => &mut self.column,
            "sessions" => &mut self.sessions,
            "pacing" => &mut self.pacing,
            "quiet_hours" => &mut self.quiet_hours,
            "start" => &mut self.start,
            _ => return None,
        })
    }
}

async fn form(app: &App, path: &str, request: Request) -> Result<Asked, ApiError> {
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|_| ApiError::because(ErrorCode::BadRequest, "The form has no boundary."))?;
    let mut fields = Fields::default();
    while let Some(field) = form.next_field().await.map_err(|error| broken(&error))? {
        let name = field.name().unwrap_or_default().to_owned();
        if name == "file" {
            once(&name, &mut fields.file, upload(app, field).await?)?;
            continue;
        }
        let Some(place) = fields.place(&name) else {
            let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
            return Err(ApiError::new(ErrorCode::UnknownField).with_field(shown, "is not a field of this request"));
        };
        once(&name, place, text(&name, field).await?)?;
    }
    asked(path, fields)
}

fn asked(path: &str, fields: Fields) -> Result<Asked, ApiError> {
    let Fields { name, content, template, media, language, column, sessions, pacing, quiet_hours, start, file } = fields;
    let staged = file.ok_or_else(|| ApiError::field("file", "is required: a CSV file with the recipients"))?;
    let summary = json!([
        &name,
        &content,
        &template,
        &media,
        &language,
        &column,
        &sessions,
        &pacing,
        &quiet_hours,
        &start,
        hex::encode(staged.sha256)
    ]);
    let start = switch("start", start.as_deref())?.unwrap_or(false);
    let quiet_hours = switch("quiet_hours", quiet_hours.as_deref())?;
    let pacing = pacing.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text.trim().to_owned())));
    let sessions = sessions.unwrap_or_default();
    let sessions = sessions.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
    let fingerprint = fingerprint(path, summary.to_string().as_bytes(), None);
    let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let (template, language) = (filled(template), filled(language));
    let media = filled(media).map(|text| serde_json::from_str(&text)).transpose();
    let media = media.map_err(|_| {
        ApiError::field("media", "must be JSON: an object with `media_type`, `media_url` or `media_base64`, and `filename`")
    })?;
    let source = Source::File { staged, column };
    Ok(Asked { name, content, template, media, language, sessions, pacing, quiet_hours, start, source, fingerprint })
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

fn once<T>(name: &str, place: &mut Option<T>, value: T) -> Result<(), ApiError> {
    if place.is_some() {
        return Err(ApiError::field(name, "is given more than once"));
    }
    *place = Some(value);
    Ok(())
}

/// Streams the file to disk.
async fn upload(app: &App, mut field: Field<'_>) -> Result<Staged, ApiError> {
    let limit = app.campaigns.settings().largest_file;
    let not_staged = |error: StageError| match error {
        StageError::TooLarge { limit } => {
            ApiError::because(ErrorCode::PayloadTooLarge, format!("The file is larger than {} MiB.", limit >> 20))
        }
        StageError::Disk(error) => ApiError::unavailable(error),
    };
    let mut staging = app.media.stage(limit).await.map_err(not_staged)?;
    while let Some(chunk) = field.chunk().await.map_err(|error| broken(&error))? {
        staging.write(&chunk).await.map_err(not_staged)?;
    }
    staging.finish().await.map_err(not_staged)
}

async fn text(name: &str, mut field: Field<'_>) -> Result<String, ApiError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|error| broken(&error))? {
        if bytes.len() + chunk.len() > MAX_FIELD {
            return Err(ApiError::field(name, format!("must have at most {MAX_FIELD} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| ApiError::field(name, "must be UTF-8"))
}

fn broken(error: &MultipartError) -> ApiError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return ErrorCode::PayloadTooLarge.into();
    }
    ApiError::because(ErrorCode::BadRequest, "The form is broken, or broke off.")
}
