//! Making, changing and removing templates.

use super::view::{PartOfTemplate, TemplateView, WantedMedia, WantedTemplate};
use crate::app::App;
use crate::http::v1::messages::send_media::{Asked, REFUSED_FILES, Uploaded, not_kept, source};
use crate::http::{Answer, ApiError, Caller, ErrorCode, JsonBytes, Nothing, Path, Query, Success, audit};
use crate::media::Wish;
use axum::extract::{Request, State};
use sanasend_model::media::file_name;
use sanasend_model::{FieldErrors, Invalid, Media, MediaKind, Template, TemplateId, template};
use sanasend_store::{NewMedia, NewTemplate, SavedTemplate, StoreError, TemplateCreated, TemplateDeleted, TemplatePatch, TemplateUses};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use utoipa::IntoParams;

const CREATE_CODES: [&[&str]; 2] = [&["CONFLICT", "TEMPLATE_LIMIT_REACHED"], REFUSED_FILES];
const CHANGE_CODES: [&[&str]; 2] = [&["CONFLICT"], REFUSED_FILES];

/// Create a template
///
/// A text, or a file with or without a caption. `{{name}}` is a value, `{{name|there}}` one with a default,
/// `{{amount:money}}` one in a format (`number`, `money`, `date`, `time`, `datetime`, `upper`);
/// `{{#name}}..{{/name}}` is there only when the value is, `{{^name}}..{{/name}}` only when it is not; `\{{` is `{{` itself.
/// A mistake is told with its line and column.
#[utoipa::path(post, path = "/templates/", tag = "templates", request_body = WantedTemplate,
    responses((status = 201, description = "The new template.", body = Success<TemplateView>)),
    extensions(("x-scope" = json!("templates:write")), ("x-time-limit" = json!("media.request_seconds")),
        ("x-error-codes" = json!(CREATE_CODES.concat()))))]
pub(crate) async fn create_template(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Answer<TemplateView>, ApiError> {
    let (JsonBytes { value: wanted, .. }, _turn) = JsonBytes::<WantedTemplate>::with_file(&app, &caller, request).await?;
    create(&app, &caller, wanted).await
}

/// Makes a template.
///
/// # Errors
/// As `create_template`.
pub(crate) async fn create(app: &App, caller: &Caller, wanted: WantedTemplate) -> Result<Answer<TemplateView>, ApiError> {
    let mut errors = FieldErrors::default();
    let name = errors.take(template::check_name(&wanted.name));
    let language = errors.take(template::check_language(&wanted.language));
    let kind = wanted.media.as_ref().map(|media| check_media(media, &mut errors));
    check_content(&wanted.content, kind.flatten(), wanted.media.is_some(), &mut errors);
    errors.into_result()?;
    let (Some(name), Some(language)) = (name, language) else { return Err(ErrorCode::ValidationError.into()) };
    let media = match (wanted.media, kind.flatten()) {
        (Some(media), Some(kind)) => Some(keep(app, caller, media, kind).await?),
        _ => None,
    };
    let new = NewTemplate { user_id: caller.id(), name, language, content: wanted.content, media };
    match app.store.create_template(new, super::MOST).await {
        Ok(TemplateCreated::Done(template)) => {
            note(app, caller, "template.created", &template).await;
            Ok(Answer::created("The template was created.", (*template).into()))
        }
        Ok(TemplateCreated::LimitReached) => Err(ErrorCode::TemplateLimitReached.into()),
        Err(error) => Err(refused(error)),
    }
}

/// Replace a template
///
/// Fields that are left out take their defaults: without `media` it has no file any more. It is taken out of the archive.
#[utoipa::path(put, path = "/templates/{id}/", tag = "templates", request_body = WantedTemplate,
    params(("id" = String, Path, format = "uuid", description = "Id of the template.")),
    responses((status = 200, description = "The template as it is now.", body = Success<TemplateView>)),
    extensions(("x-scope" = json!("templates:write")), ("x-time-limit" = json!("media.request_seconds")),
        ("x-error-codes" = json!(CHANGE_CODES.concat()))))]
pub(crate) async fn replace_template(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<TemplateId>,
    request: Request,
) -> Result<Answer<TemplateView>, ApiError> {
    let (JsonBytes { value: wanted, .. }, _turn) = JsonBytes::<WantedTemplate>::with_file(&app, &caller, request).await?;
    let WantedTemplate { name, language, content, media } = wanted;
    let (name, language, content) = (Some(name), Some(language), Some(content));
    change(&app, &caller, id, PartOfTemplate { name, language, content, media: Some(media), is_archived: Some(false) }).await
}

/// Change a template
///
/// Only the fields that are sent. Another content or file makes a new version; what was sent or scheduled before stays as it is.
#[utoipa::path(patch, path = "/templates/{id}/", tag = "templates", request_body = PartOfTemplate,
    params(("id" = String, Path, format = "uuid", description = "Id of the template.")),
    responses((status = 200, description = "The template as it is now.", body = Success<TemplateView>)),
    extensions(("x-scope" = json!("templates:write")), ("x-time-limit" = json!("media.request_seconds")),
        ("x-error-codes" = json!(CHANGE_CODES.concat()))))]
pub(crate) async fn update_template(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<TemplateId>,
    request: Request,
) -> Result<Answer<TemplateView>, ApiError> {
    let (JsonBytes { value: part, .. }, _turn) = JsonBytes::<PartOfTemplate>::with_file(&app, &caller, request).await?;
    change(&app, &caller, id, part).await
}

/// Changes a template.
///
/// # Errors
/// As `update_template`.
pub(crate) async fn change(app: &App, caller: &Caller, id: TemplateId, part: PartOfTemplate) -> Result<Answer<TemplateView>, ApiError> {
    let old = super::find(app, caller, id).await?;
    let mut errors = FieldErrors::default();
    let name = part.name.as_deref().and_then(|name| errors.take(template::check_name(name)));
    let language = part.language.as_deref().and_then(|tag| errors.take(template::check_language(tag)));
    let (kind, has_media) = match &part.media {
        Some(Some(media)) => (check_media(media, &mut errors), true),
        Some(None) => (None, false),
        None => (old.present.media.as_ref().map(|(media, _)| media.kind), old.present.media.is_some()),
    };
    let content = part.content.as_ref().unwrap_or(&old.present.content);
    check_content(content, kind, has_media, &mut errors);
    errors.into_result()?;
    let media = match (part.media, kind) {
        (Some(Some(media)), Some(kind)) => Some(Some(keep(app, caller, media, kind).await?)),
        (Some(None), _) => Some(None),
        _ => None,
    };
    let patch = TemplatePatch { name, language, is_archived: part.is_archived, content: part.content, media };
    let template = app.store.update_template(id, patch).await.map_err(refused)?.ok_or_else(ApiError::not_found)?;
    note(app, caller, "template.changed", &template).await;
    Ok(Answer::ok("The template was changed.", template.into()))
}

/// How to delete a template.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeleteTemplate {
    /// Also when something needs it, which fails then until it is changed.
    pub(crate) force: Option<bool>,
}

/// What needs a template, in words.
pub(crate) fn uses_in_words(uses: &TemplateUses) -> Vec<String> {
    uses.iter().map(|(id, name)| format!("the recurring send {name:?} ({id})")).collect()
}

/// Delete a template
///
/// With its versions. What was sent with it stays. When recurring sends need it, they are named and nothing is deleted, unless you `force` it: then they fail until they are changed. To keep it for looking at,
/// archive it.
#[utoipa::path(delete, path = "/templates/{id}/", tag = "templates",
    params(DeleteTemplate, ("id" = String, Path, format = "uuid", description = "Id of the template.")),
    responses((status = 200, description = "The template is gone.", body = Success<Nothing>)),
    extensions(("x-scope" = json!("templates:write")), ("x-error-codes" = json!(["TEMPLATE_IN_USE"]))))]
pub(crate) async fn delete_template(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<TemplateId>,
    Query(asked): Query<DeleteTemplate>,
) -> Result<Answer<Nothing>, ApiError> {
    let template = super::find(&app, &caller, id).await?;
    match app.store.delete_template(id, asked.force.unwrap_or(false)).await? {
        TemplateDeleted::Done => {}
        TemplateDeleted::Missing => return Err(ApiError::not_found()),
        TemplateDeleted::InUse(uses) => {
            let told = |refusal: ApiError, text: String| refusal.with_field("template", format!("is needed by {text}"));
            return Err(uses_in_words(&uses).into_iter().fold(ApiError::new(ErrorCode::TemplateInUse), told));
        }
    }
    note(&app, &caller, "template.deleted", &template).await;
    Ok(Answer::ok("The template was deleted.", Nothing {}))
}

fn refused(error: StoreError) -> ApiError {
    match error {
        StoreError::Conflict { what: "name" } => {
            ApiError::new(ErrorCode::Conflict).with_field("name", "is taken by another template in this language")
        }
        // The user went away in this very moment.
        StoreError::Conflict { .. } => ApiError::not_found(),
        error => error.into(),
    }
}

/// What is wrong with a file without looking at it.
pub(crate) fn check_media(media: &WantedMedia, errors: &mut FieldErrors) -> Option<MediaKind> {
    if media.media_url.is_some() == media.media_base64.is_some() {
        errors.push(Invalid::new("media", "needs one of `media_url` and `media_base64`"));
    }
    check_kind("media.media_type", &media.media_type, errors)
}

/// As what a file is sent, as it was written in `field`.
pub(crate) fn check_kind(field: &str, text: &str, errors: &mut FieldErrors) -> Option<MediaKind> {
    let kind = text.parse::<MediaKind>();
    if kind.is_err() {
        let all: Vec<&str> = MediaKind::ALL.iter().map(|kind| kind.as_str()).collect();
        errors.push(Invalid::new(field, format!("must be one of: {}", all.join(", "))));
    }
    kind.ok()
}

/// A text is needed unless there is a file; a file of this kind may take no caption.
pub(crate) fn check_content(content: &str, kind: Option<MediaKind>, has_media: bool, errors: &mut FieldErrors) {
    errors.take(Template::parse(content));
    if content.trim().is_empty() && !has_media {
        errors.push(Invalid::new("content", "must not be empty"));
    }
    if let Some(kind) = kind.filter(|kind| !kind.takes_caption() && !content.trim().is_empty()) {
        errors.push(Invalid::new("content", format!("is not possible: there is no text beside media of the type {kind}")));
    }
}

/// Fetches or decodes the file and keeps it; it stays until what it belongs to is stored, which holds it from then on.
pub(crate) async fn keep(app: &App, caller: &Caller, media: WantedMedia, kind: MediaKind) -> Result<(Media, NewMedia), ApiError> {
    let wished = media.filename.as_deref().and_then(file_name);
    let asked = Asked { media_url: media.media_url, media_base64: media.media_base64, ..Asked::default() };
    keep_uploaded(app, caller, source::file(app, caller, asked, kind).await?, wished, kind).await
}

/// The same for a file that lies here already; `wished` is the name for saving it, where another than its own is wanted.
pub(crate) async fn keep_uploaded(
    app: &App,
    caller: &Caller,
    file: Uploaded,
    wished: Option<String>,
    kind: MediaKind,
) -> Result<(Media, NewMedia), ApiError> {
    let Uploaded { staged, name, declared } = file;
    let filename = wished.or_else(|| name.as_deref().and_then(file_name));
    let wish = Wish { user: caller.id(), kind, caption: None, filename, declared };
    let kept = app.media.keep(staged, wish).await.map_err(not_kept)?;
    Ok((kept.media, kept.file))
}

async fn note(app: &App, caller: &Caller, action: &'static str, template: &SavedTemplate) {
    let detail = json!({
        "name": template.name, "language": template.language, "version": template.present.version, "is_archived": template.is_archived,
    });
    audit::note(app, caller, action, format!("template {}", template.id), detail).await;
}
