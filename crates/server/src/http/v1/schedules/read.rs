//! Looking at recurring sends, and at when a cron expression comes true.

use super::view::{RecurringView, TimesView, WantedTimes, times};
use crate::app::App;
use crate::http::{Answer, ApiError, Caller, Json, Origin, Paged, Path, Query, Success, page, paged};
use axum::extract::State;
use sanasend_model::{ScheduleId, UserId};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// Which recurring sends to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListSchedules {
    /// Number of the page, from 1.
    #[param(minimum = 1, example = 1)]
    page: Option<u64>,
    /// Recurring sends per page.
    #[param(minimum = 1, maximum = 100, example = 20)]
    page_size: Option<u64>,
    /// Only those of this user (for admins; others see their own only).
    #[param(value_type = Option<String>, format = "uuid")]
    user: Option<UserId>,
}

/// List recurring sends
///
/// By name.
#[utoipa::path(get, path = "/schedules/", tag = "schedules", params(ListSchedules),
    responses((status = 200, description = "One page of recurring sends.", body = Success<Paged<RecurringView>>)),
    extensions(("x-scope" = json!("messages:read"))))]
pub(crate) async fn list_schedules(
    State(app): State<Arc<App>>,
    caller: Caller,
    origin: Origin,
    Query(asked): Query<ListSchedules>,
) -> Result<Answer<Paged<RecurringView>>, ApiError> {
    let page = page(asked.page, asked.page_size)?;
    let listed = app.store.list_recurring(caller.whose_or_all(asked.user), page).await?;
    Ok(Answer::ok("Recurring sends.", paged(listed, &page, &origin, RecurringView::from)))
}

/// Get a recurring send
///
/// With its next runs and what became of the last one.
#[utoipa::path(get, path = "/schedules/{id}/", tag = "schedules",
    params(("id" = String, Path, format = "uuid", description = "Id of the recurring send.")),
    responses((status = 200, description = "The recurring send.", body = Success<RecurringView>)),
    extensions(("x-scope" = json!("messages:read"))))]
pub(crate) async fn get_schedule(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<ScheduleId>,
) -> Result<Answer<RecurringView>, ApiError> {
    Ok(Answer::ok("The recurring send.", super::see(&app, &caller, id).await?.into()))
}

/// Preview a cron expression
///
/// When it comes true next, by the clock of a time zone. A time that does not exist because the clock is put forward comes
/// true right behind the gap; one that comes twice because it is put back, the first time.
#[utoipa::path(post, path = "/schedules/preview/", tag = "schedules", request_body = WantedTimes,
    responses((status = 200, description = "The next times.", body = Success<TimesView>)),
    extensions(("x-scope" = json!("messages:send"))))]
pub(crate) async fn preview_schedule(
    State(app): State<Arc<App>>,
    _: Caller,
    Json(wanted): Json<WantedTimes>,
) -> Result<Answer<TimesView>, ApiError> {
    Ok(Answer::ok("The next times.", times(&wanted.cron, &wanted.timezone, app.clock.now())?))
}
