//! Looking at templates and their versions.

use super::view::{TemplateView, VersionView};
use crate::app::App;
use crate::http::{Answer, ApiError, Caller, Origin, Paged, Path, Query, Success, page, paged};
use axum::extract::State;
use sanasend_model::{TemplateId, UserId};
use sanasend_store::TemplateFilter;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// Which templates to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListTemplates {
    /// Number of the page, from 1.
    #[param(minimum = 1, example = 1)]
    page: Option<u64>,
    /// Templates per page.
    #[param(minimum = 1, maximum = 100, example = 20)]
    page_size: Option<u64>,
    /// Only those that are put away (`true`), or only the others (`false`).
    is_archived: Option<bool>,
    /// Only in this language.
    #[param(example = "en")]
    language: Option<String>,
    /// Part of the name.
    search: Option<String>,
    /// Only those of this user (for admins; others see their own only).
    #[param(value_type = Option<String>, format = "uuid")]
    user: Option<UserId>,
}

/// Which versions to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListVersions {
    /// Number of the page, from 1.
    #[param(minimum = 1, example = 1)]
    page: Option<u64>,
    /// Versions per page.
    #[param(minimum = 1, maximum = 100, example = 20)]
    page_size: Option<u64>,
}

/// List templates
///
/// By name and language.
#[utoipa::path(get, path = "/templates/", tag = "templates", params(ListTemplates),
    responses((status = 200, description = "One page of templates.", body = Success<Paged<TemplateView>>)),
    extensions(("x-scope" = json!("templates:read"))))]
pub(crate) async fn list_templates(
    State(app): State<Arc<App>>,
    caller: Caller,
    origin: Origin,
    Query(asked): Query<ListTemplates>,
) -> Result<Answer<Paged<TemplateView>>, ApiError> {
    let page = page(asked.page, asked.page_size)?;
    let search = asked.search.filter(|text| !text.trim().is_empty());
    let filter =
        TemplateFilter { user_id: caller.whose_or_all(asked.user), is_archived: asked.is_archived, language: asked.language, search };
    let listed = app.store.list_templates(&filter, page).await?;
    Ok(Answer::ok("Templates.", paged(listed, &page, &origin, TemplateView::from)))
}

/// Get a template
///
/// With its present version and its variables.
#[utoipa::path(get, path = "/templates/{id}/", tag = "templates",
    params(("id" = String, Path, format = "uuid", description = "Id of the template.")),
    responses((status = 200, description = "The template.", body = Success<TemplateView>)),
    extensions(("x-scope" = json!("templates:read"))))]
pub(crate) async fn get_template(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<TemplateId>,
) -> Result<Answer<TemplateView>, ApiError> {
    Ok(Answer::ok("The template.", super::see(&app, &caller, id).await?.into()))
}

/// List the versions of a template
///
/// Newest first. A version never changes.
#[utoipa::path(get, path = "/templates/{id}/versions/", tag = "templates",
    params(ListVersions, ("id" = String, Path, format = "uuid", description = "Id of the template.")),
    responses((status = 200, description = "One page of versions.", body = Success<Paged<VersionView>>)),
    extensions(("x-scope" = json!("templates:read"))))]
pub(crate) async fn list_template_versions(
    State(app): State<Arc<App>>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<TemplateId>,
    Query(asked): Query<ListVersions>,
) -> Result<Answer<Paged<VersionView>>, ApiError> {
    let page = page(asked.page, asked.page_size)?;
    super::see(&app, &caller, id).await?;
    let listed = app.store.list_template_versions(id, page).await?;
    Ok(Answer::ok("Versions of the template.", paged(listed, &page, &origin, VersionView::from)))
}
