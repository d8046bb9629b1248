//! Background work, for admins: the queue of jobs and the schedules.

pub(crate) mod change;
pub(crate) mod read;
pub(crate) mod view;

use crate::app::App;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Everything under `/jobs/`.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(read::list_jobs))
        .routes(routes!(read::summarize_jobs))
        .routes(routes!(read::get_job, change::drop_job))
        .routes(routes!(change::retry_jobs))
        .routes(routes!(change::retry_job))
        .routes(routes!(change::run_schedule))
}
