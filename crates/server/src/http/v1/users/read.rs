//! Looking at users.

use super::UserView;
use crate::app::App;
use crate::http::{Answer, ApiError, Caller, Origin, Paged, Path, Query, Success, page, paged};
use axum::extract::State;
use sanasend_model::UserId;
use sanasend_store::{UserFilter, UserOrder};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// Which users to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListUsers {
    /// Number of the page, from 1.
    #[param(minimum = 1, example = 1)]
    page: Option<u64>,
    /// Users per page.
    #[param(minimum = 1, maximum = 100, example = 20)]
    page_size: Option<u64>,
    /// Part of the username or e-mail address.
    search: Option<String>,
    /// Only active or only inactive ones.
    is_active: Option<bool>,
    /// Only admins or only others.
    is_admin: Option<bool>,
    /// `created_at`, `username` or `email`; with `-` in front for the reverse.
    #[param(example = "-created_at", pattern = "^-?(created_at|username|email)$")]
    ordering: Option<String>,
}

/// List users
///
/// Newest first, unless `ordering` says otherwise.
#[utoipa::path(get, path = "/users/", tag = "users", params(ListUsers),
    responses((status = 200, description = "One page of users.", body = Success<Paged<UserView>>)),
    extensions(("x-admin" = json!(true))))]
pub async fn list_users(
    State(app): State<Arc<App>>,
    _: Caller,
    origin: Origin,
    Query(asked): Query<ListUsers>,
) -> Result<Answer<Paged<UserView>>, ApiError> {
    let page = page(asked.page, asked.page_size)?;
    let ordering = crate::http::page::ordering(asked.ordering.as_deref(), UserOrder::NAMES)?;
    let filter = UserFilter { search: asked.search, is_active: asked.is_active, is_admin: asked.is_admin, ordering };
    let listed = app.store.list_users(&filter, page).await?;
    Ok(Answer::ok("Users.", paged(listed, &page, &origin, |user| UserView::from(&user))))
}

/// Get a user
///
/// With its limits; never with its password.
#[utoipa::path(get, path = "/users/{id}/", tag = "users",
    params(("id" = String, Path, format = "uuid", description = "Id of the user.")),
    responses((status = 200, description = "The user.", body = Success<UserView>)),
    extensions(("x-admin" = json!(true))))]
pub async fn get_user(State(app): State<Arc<App>>, _: Caller, Path(id): Path<UserId>) -> Result<Answer<UserView>, ApiError> {
    let user = app.store.user(id).await?.ok_or_else(ApiError::not_found)?;
    Ok(Answer::ok("The user.", UserView::from(&user)))
}
