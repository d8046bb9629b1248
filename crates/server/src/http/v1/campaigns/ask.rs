//! What callers write to make a campaign, as JSON or as a form with a file, read into one shape.

use super::form::{Fields, asked_by, read_fields};
use crate::app::App;
use crate::campaigns::plan::Listed;
use crate::http::v1::messages::accept::fingerprint;
use crate::http::v1::messages::send_media::Uploaded;
use crate::http::v1::templates::change::{check_kind, check_media, keep, keep_uploaded};
use crate::http::v1::templates::view::WantedMedia;
use crate::http::{ApiError, Caller, JsonBytes};
use crate::media::Staged;
use crate::turns::Turn;
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use sanasend_model::{FieldErrors, Media, MediaKind};
use sanasend_store::{ContactFilter, NewMedia};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

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
    /// A file that everybody gets: an object as in the JSON body, at most 256 KiB of JSON. Larger ones as `media_file`.
    pub(crate) media: Option<String>,
    /// Instead: the file itself. Its own name is what recipients save it under.
    #[schema(value_type = Option<String>, format = Binary)]
    pub(crate) media_file: Option<Vec<u8>>,
    /// As what `media_file` is sent: `image`, `video`, `audio`, `voice_note`, `document`, `sticker` or `video_note`. Left out: as
    /// its content type says.
    #[schema(example = "image")]
    pub(crate) media_type: Option<String>,
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

/// A file that everybody gets, wherever it comes from.
pub(crate) enum AskedMedia {
    /// The request says where it is, or holds it as base64.
    Wanted(WantedMedia),
    /// It came with the form, to be sent as this type; `None`: as its content type says.
    Uploaded(Uploaded, Option<String>),
}

impl AskedMedia {
    /// As what it is sent; what can be said against it without looking at it is said.
    pub(crate) fn kind(&self, errors: &mut FieldErrors) -> Option<MediaKind> {
        match self {
            Self::Wanted(media) => check_media(media, errors),
            Self::Uploaded(_, Some(text)) => check_kind("media_type", text, errors),
            Self::Uploaded(file, None) => Some(MediaKind::of_mime(file.declared.as_deref().unwrap_or_default())),
        }
    }

    /// Fetches or decodes it where it is not here, and keeps it.
    ///
    /// # Errors
    /// Why it can't be sent as this kind.
    pub(crate) async fn keep(self, app: &App, caller: &Caller, kind: MediaKind) -> Result<(Media, NewMedia), ApiError> {
        match self {
            Self::Wanted(media) => keep(app, caller, media, kind).await,
            Self::Uploaded(file, _) => keep_uploaded(app, caller, file, None, kind).await,
        }
    }
}

/// What was asked, however it came.
pub(crate) struct Asked {
    pub(crate) name: Option<String>,
    pub(crate) content: Option<String>,
    pub(crate) template: Option<String>,
    pub(crate) media: Option<AskedMedia>,
    pub(crate) language: Option<String>,
    pub(crate) sessions: Vec<String>,
    pub(crate) pacing: Option<Value>,
    pub(crate) quiet_hours: Option<bool>,
    pub(crate) start: bool,
    pub(crate) source: Source,
    /// What makes two requests the same.
    pub(crate) fingerprint: [u8; 32],
    /// Kept for as long as a file or a list may be in memory.
    pub(crate) _turn: Option<Turn>,
}

/// Reads a request of either kind.
///
/// # Errors
/// When it is no such request.
pub(crate) async fn read(app: &App, caller: &Caller, path: &str, request: Request) -> Result<Asked, ApiError> {
    if is_form(request.headers()) {
        let mut fields = Fields::default();
        read_fields(app, request, &mut fields).await?;
        return asked_by(path, fields);
    }
    let has_key = request.headers().contains_key("idempotency-key");
    let (JsonBytes { value, bytes }, turn) = JsonBytes::<WantedCampaign>::with_file(app, caller, request).await?;
    // Without a key nobody asks for it, and it takes as much memory as reading a long list once more.
    let fingerprint = if has_key { fingerprint(path, &bytes, None) } else { [0; 32] };
    drop(bytes);
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
        media: value.media.map(AskedMedia::Wanted),
        language: value.language,
        sessions: value.sessions.unwrap_or_default(),
        pacing: value.pacing,
        quiet_hours: value.quiet_hours,
        start: value.start,
        source,
        fingerprint,
        _turn: turn,
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
