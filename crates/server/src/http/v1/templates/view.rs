//! Templates as callers see and write them.

use crate::http::extract::{nullable, present};
use sanasend_model::template::{self, Format, Variable};
use sanasend_model::{FieldErrors, Invalid, Media, Template, TemplateId, Timestamp, UserId};
use sanasend_store::{SavedTemplate, TemplateVersion};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A variable of a template.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "TemplateVariable")]
pub(crate) struct VariableView {
    /// Its name.
    #[schema(example = "name")]
    pub(crate) name: String,
    /// Whether a send without it can be refused.
    #[schema(example = true)]
    pub(crate) required: bool,
    /// What is written without it.
    #[schema(example = "there")]
    pub(crate) default: Option<String>,
    /// How it is written: `number`, `money`, `date`, `time`, `datetime`, `upper`; null: as it is.
    #[schema(example = "money")]
    pub(crate) format: Option<&'static str>,
}

impl From<&Variable> for VariableView {
    fn from(variable: &Variable) -> Self {
        Self {
            name: variable.name.clone(),
            required: variable.required,
            default: variable.default.clone(),
            format: (variable.format != Format::Plain).then(|| variable.format.as_str()),
        }
    }
}

/// The variables of a source; none when it can't be read, which one that is stored always can.
pub(crate) fn variables(source: &str) -> Vec<VariableView> {
    Template::parse(source).map(|template| template.variables().iter().map(VariableView::from).collect()).unwrap_or_default()
}

/// The file of a template.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "TemplateMedia")]
pub(crate) struct TemplateMediaView {
    /// As what it is sent.
    #[schema(example = "image")]
    pub(crate) media_type: &'static str,
    /// MIME type.
    #[schema(example = "image/jpeg")]
    pub(crate) mime: String,
    /// Bytes.
    #[schema(example = 48_213)]
    pub(crate) size: u64,
    /// SHA-256 of the bytes, in hexadecimal.
    pub(crate) sha256: String,
    /// Name for saving it.
    #[schema(example = "menu.pdf")]
    pub(crate) filename: Option<String>,
}

impl From<&Media> for TemplateMediaView {
    fn from(media: &Media) -> Self {
        Self {
            media_type: media.kind.as_str(),
            mime: media.mime.clone(),
            size: media.size,
            sha256: media.sha256_hex(),
            filename: media.filename.clone(),
        }
    }
}

/// A version of a template.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "TemplateVersion")]
pub(crate) struct VersionView {
    /// Its number, from 1.
    #[schema(example = 2)]
    pub(crate) version: i32,
    /// The text with its places for values; beside a file: the caption.
    #[schema(example = "Hi {{name|there}}, order {{order}} is ready.")]
    pub(crate) content: String,
    /// Its file, where it has one.
    pub(crate) media: Option<TemplateMediaView>,
    /// What can be filled in.
    pub(crate) variables: Vec<VariableView>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) created_at: Timestamp,
}

impl From<TemplateVersion> for VersionView {
    fn from(version: TemplateVersion) -> Self {
        Self {
            version: version.version,
            variables: variables(&version.content),
            content: version.content,
            media: version.media.as_ref().map(|(media, _)| media.into()),
            created_at: version.created_at,
        }
    }
}

/// A template in one language.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Template")]
pub(crate) struct TemplateView {
    /// Id.
    #[schema(value_type = String, format = "uuid")]
    pub(crate) id: TemplateId,
    /// Id of its owner.
    #[schema(value_type = String, format = "uuid")]
    pub(crate) user: UserId,
    /// Its name; the same in every language.
    #[schema(example = "order_ready")]
    pub(crate) name: String,
    /// Its language; decides how numbers and dates are written.
    #[schema(example = "en")]
    pub(crate) language: String,
    /// Whether it is put away: it stays to be looked at, and nothing is sent with it.
    #[schema(example = false)]
    pub(crate) is_archived: bool,
    /// The present version.
    #[serde(flatten)]
    pub(crate) present: PresentView,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) created_at: Timestamp,
    /// When it was changed last.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) updated_at: Timestamp,
}

/// The present version of a template.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct PresentView {
    /// Number of the present version; each edit makes the next one.
    #[schema(example = 2)]
    pub(crate) version: i32,
    /// The text with its places for values; beside a file: the caption.
    #[schema(example = "Hi {{name|there}}, order {{order}} is ready.")]
    pub(crate) content: String,
    /// Its file, where it has one.
    pub(crate) media: Option<TemplateMediaView>,
    /// What can be filled in.
    pub(crate) variables: Vec<VariableView>,
}

impl From<SavedTemplate> for TemplateView {
    fn from(template: SavedTemplate) -> Self {
        let VersionView { version, content, media, variables, .. } = VersionView::from(template.present);
        Self {
            id: template.id,
            user: template.user_id,
            name: template.name,
            language: template.language,
            is_archived: template.is_archived,
            present: PresentView { version, content, media, variables },
            created_at: template.created_at,
            updated_at: template.updated_at,
        }
    }
}

/// A template to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedTemplate {
    /// What to call it: lower-case letters, digits, `_`, `-`, `.`.
    #[schema(example = "order_ready")]
    pub(crate) name: String,
    /// Its language, like `en`, `de` or `pt-BR`; left out: `en`.
    #[serde(default = "english")]
    #[schema(default = "en", example = "en")]
    pub(crate) language: String,
    /// The text, or the caption where there is a file.
    #[serde(default)]
    #[schema(example = "Hi {{name|there}}, order {{order}} is ready.")]
    pub(crate) content: String,
    /// Its file.
    #[serde(default)]
    #[schema(example = json!(null))]
    pub(crate) media: Option<WantedMedia>,
}

fn english() -> String {
    "en".into()
}

/// What to change of a template; what is left out stays as it is.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PartOfTemplate {
    /// What to call it.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, nullable = false, example = "order_ready")]
    pub(crate) name: Option<String>,
    /// Its language.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, nullable = false, example = "en")]
    pub(crate) language: Option<String>,
    /// The text or caption. Another one makes a new version.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, nullable = false, example = "Hello {{name|there}}, order {{order}} is ready.")]
    pub(crate) content: Option<String>,
    /// Another file; null: none from now on.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<WantedMedia>, example = json!(null))]
    #[expect(clippy::option_option, reason = "left out, null and a file are three different wishes")]
    pub(crate) media: Option<Option<WantedMedia>>,
    /// Whether to put it away.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<bool>, nullable = false, example = false)]
    pub(crate) is_archived: Option<bool>,
}

/// The file of a template, fetched or decoded now.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedMedia {
    /// As what it is sent: `image`, `video`, `audio`, `voice_note`, `document`, `sticker` or `video_note`.
    #[schema(example = "image")]
    pub(crate) media_type: String,
    /// Where it is: an http or https address on the public Internet. One of `media_url` and `media_base64`.
    #[serde(default)]
    #[schema(example = "https://example.com/menu.jpg")]
    pub(crate) media_url: Option<String>,
    /// The file itself, as base64 or as a `data:` URL.
    #[serde(default)]
    pub(crate) media_base64: Option<String>,
    /// Name under which the recipient saves it.
    #[serde(default)]
    #[schema(example = "menu.jpg")]
    pub(crate) filename: Option<String>,
}

/// Values of variables as a caller writes them: texts, numbers, true and false; null is none.
///
/// # Errors
/// On `variables.<name>`.
pub(crate) fn values(given: BTreeMap<String, Value>) -> Result<BTreeMap<String, String>, FieldErrors> {
    let mut errors = FieldErrors::default();
    let mut values = BTreeMap::new();
    if given.len() > 10 * template::MOST_VARIABLES {
        return Err(Invalid::new("variables", "are too many").into());
    }
    for (name, value) in given {
        match value {
            Value::Null => {}
            Value::String(text) => drop(values.insert(name, text)),
            Value::Number(number) => drop(values.insert(name, number.to_string())),
            Value::Bool(bool) => drop(values.insert(name, bool.to_string())),
            Value::Array(_) | Value::Object(_) => {
                errors.push(Invalid::new(format!("variables.{name}"), "must be a text, a number, true, false or null"));
            }
        }
    }
    errors.into_result()?;
    Ok(values)
}
