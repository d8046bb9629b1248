//! Templates: making and changing them, their versions, trying one out, and sending with one.

pub(crate) mod change;
pub(crate) mod preview;
pub(crate) mod read;
pub(crate) mod send;
pub(crate) mod view;

use crate::app::App;
use crate::http::{ApiError, Caller};
use axum::extract::DefaultBodyLimit;
use sanasend_model::{TemplateId, UserId, template};
use sanasend_store::SavedTemplate;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Most templates of a user, counted in each language.
pub(crate) const MOST: u64 = 1_000;

/// Everything under `/templates/`, and sending with one.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    // Their handlers count the bytes themselves: a file may be in the body.
    let with_files = OpenApiRouter::default()
        .routes(routes!(read::list_templates, change::create_template))
        .routes(routes!(read::get_template, change::replace_template, change::update_template, change::delete_template))
        .layer(DefaultBodyLimit::disable());
    OpenApiRouter::default()
        .merge(with_files)
        .routes(routes!(read::list_template_versions))
        .routes(routes!(preview::preview_template))
        .routes(routes!(preview::preview_source))
        .routes(routes!(send::send_template))
}

/// A template that the caller may look at.
///
/// # Errors
/// `NOT_FOUND`, also for another user's unless the caller is an admin by login.
async fn see(app: &App, caller: &Caller, id: TemplateId) -> Result<SavedTemplate, ApiError> {
    let template = app.store.template(id).await?;
    template.filter(|template| caller.may_see(template.user_id)).ok_or_else(ApiError::not_found)
}

/// A template that the caller owns.
async fn find(app: &App, caller: &Caller, id: TemplateId) -> Result<SavedTemplate, ApiError> {
    let template = app.store.template(id).await?;
    template.filter(|template| template.user_id == caller.id()).ok_or_else(ApiError::not_found)
}

/// The template that is meant by a name or an id; of several languages the one asked for.
///
/// # Errors
/// `NOT_FOUND` when there is none, `VALIDATION_ERROR` on `language` when it has to be said, or is not there.
pub(crate) async fn choose(app: &App, user: UserId, named: &str, language: Option<&str>) -> Result<SavedTemplate, ApiError> {
    let missing = || ApiError::not_found().with_field("template", "is no template of yours");
    let wanted = language.map(template::check_language).transpose()?;
    let mut all = match named.parse::<TemplateId>() {
        Ok(id) => app.store.template(id).await?.into_iter().filter(|template| template.user_id == user).collect(),
        Err(_) => app.store.templates_named(user, named).await?,
    };
    if all.is_empty() {
        return Err(missing());
    }
    let there = all.iter().map(|template| template.language.clone()).collect::<Vec<_>>().join(", ");
    match wanted {
        // The very language, else its plain form: `pt` for `pt-BR`.
        Some(tag) => {
            let plain = tag.split('-').next().unwrap_or_default();
            let place = all.iter().position(|template| template.language == tag);
            let place = place.or_else(|| all.iter().position(|template| template.language == plain));
            let refused = || ApiError::field("language", format!("has no template of this name; there is: {there}"));
            place.map(|place| all.swap_remove(place)).ok_or_else(refused)
        }
        None if all.len() == 1 => all.pop().ok_or_else(missing),
        None => Err(ApiError::field("language", format!("is required: the template is there in several languages: {there}"))),
    }
}
