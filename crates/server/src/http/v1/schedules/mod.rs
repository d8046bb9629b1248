//! Recurring sends: the same message again and again, by a cron expression in a time zone.

pub(crate) mod change;
pub(crate) mod read;
pub(crate) mod view;

use crate::app::App;
use crate::http::{ApiError, Caller};
use sanasend_model::ScheduleId;
use sanasend_store::Recurring;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Most recurring sends of a user.
pub(crate) const MOST: u64 = 200;

/// Everything under `/schedules/`.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(read::list_schedules, change::create_schedule))
        .routes(routes!(read::get_schedule, change::replace_schedule, change::delete_schedule))
        .routes(routes!(change::pause_schedule))
        .routes(routes!(change::resume_schedule))
        .routes(routes!(read::preview_schedule))
}

/// A recurring send that the caller may look at.
async fn see(app: &App, caller: &Caller, id: ScheduleId) -> Result<Recurring, ApiError> {
    let recurring = app.store.recurring(id).await?;
    recurring.filter(|recurring| caller.may_see(recurring.user_id)).ok_or_else(ApiError::not_found)
}

/// A recurring send that the caller owns.
async fn find(app: &App, caller: &Caller, id: ScheduleId) -> Result<Recurring, ApiError> {
    let recurring = app.store.recurring(id).await?;
    recurring.filter(|recurring| recurring.user_id == caller.id()).ok_or_else(ApiError::not_found)
}
