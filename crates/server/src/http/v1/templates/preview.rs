//! Trying a template out: a stored one, or one that is still being written.

use super::view::{VariableView, values};
use crate::app::App;
use crate::http::{Answer, ApiError, Caller, Json, OptionalJson, Path, Success};
use axum::extract::State;
use sanasend_model::template::{Language, check_language};
use sanasend_model::{FieldErrors, Template, TemplateId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;

/// Sample values for a stored template.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WantedPreview {
    /// Values by the names of variables.
    #[schema(value_type = Object, example = json!({"name": "Ada", "order": 17}))]
    pub(crate) variables: BTreeMap<String, Value>,
    /// Which version; left out: the present one.
    #[schema(minimum = 1, example = 1)]
    pub(crate) version: Option<i32>,
}

/// A source that is not stored, and sample values.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedSourcePreview {
    /// The source.
    #[schema(example = "Hi {{name|there}}, order {{order}} is ready.")]
    pub(crate) content: String,
    /// Its language; left out: `en`.
    #[serde(default)]
    #[schema(example = "en")]
    pub(crate) language: Option<String>,
    /// Values by the names of variables.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({"name": "Ada", "order": 17}))]
    pub(crate) variables: BTreeMap<String, Value>,
}

/// What a template looks like with some values.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "TemplatePreview")]
pub(crate) struct PreviewView {
    /// The text. What is missing stands in square brackets.
    #[schema(example = "Hi Ada, order 17 is ready.")]
    pub(crate) text: String,
    /// Whether it could be sent with these values.
    #[schema(example = true)]
    pub(crate) is_complete: bool,
    /// What is wrong with the values, by variable.
    #[schema(value_type = Object, example = json!({}))]
    pub(crate) problems: BTreeMap<String, Vec<String>>,
    /// What can be filled in.
    pub(crate) variables: Vec<VariableView>,
}

/// Shows a source with values.
///
/// # Errors
/// On `content` with line and column, on `language` and `variables`.
pub(crate) fn show(content: &str, language: &str, given: BTreeMap<String, Value>) -> Result<PreviewView, FieldErrors> {
    let mut errors = FieldErrors::default();
    let template = errors.take(Template::parse(content));
    let language = errors.take(check_language(language));
    let values = values(given).map_err(|refused| errors.0.extend(refused.0)).ok();
    let (Some(template), Some(language), Some(values)) = (template, language, values) else { return Err(errors) };
    let language = Language::of(&language);
    let problems = template.fill(&values, language).err().map(|unfilled| unfilled.refusals().0).unwrap_or_default();
    Ok(PreviewView {
        text: template.sample(&values, language),
        is_complete: problems.is_empty(),
        problems,
        variables: template.variables().iter().map(VariableView::from).collect(),
    })
}

/// Preview a template
///
/// With sample values; nothing is sent. What is missing stands in square brackets and is named in `problems`.
#[utoipa::path(post, path = "/templates/{id}/preview/", tag = "templates", request_body = Option<WantedPreview>,
    params(("id" = String, Path, format = "uuid", description = "Id of the template.")),
    responses((status = 200, description = "What it looks like.", body = Success<PreviewView>)),
    extensions(("x-scope" = json!("templates:write"))))]
pub(crate) async fn preview_template(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<TemplateId>,
    OptionalJson(wanted): OptionalJson<WantedPreview>,
) -> Result<Answer<PreviewView>, ApiError> {
    let template = super::find(&app, &caller, id).await?;
    let content = match wanted.version {
        None => template.present.content,
        Some(version) => {
            let missing = || ApiError::field("version", "is no version of this template");
            app.store.template_version(id, version).await?.ok_or_else(missing)?.content
        }
    };
    Ok(Answer::ok("The preview.", show(&content, &template.language, wanted.variables)?))
}

/// Preview a source
///
/// Of a template that is still being written; nothing is stored.
#[utoipa::path(post, path = "/templates/preview/", tag = "templates", request_body = WantedSourcePreview,
    responses((status = 200, description = "What it looks like.", body = Success<PreviewView>)),
    extensions(("x-scope" = json!("templates:write"))))]
pub(crate) async fn preview_source(_: Caller, Json(wanted): Json<WantedSourcePreview>) -> Result<Answer<PreviewView>, ApiError> {
    let language = wanted.language.as_deref().unwrap_or("en");
    Ok(Answer::ok("The preview.", show(&wanted.content, language, wanted.variables)?))
}
