//! Analytics, for admins: what users used, which requests came, and the first look at everything.

mod api_logs;
pub(crate) mod overview;
mod usage_stats;

use crate::app::App;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Everything under `/analytics/`.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(usage_stats::list_usage_stats))
        .routes(routes!(api_logs::list_api_logs))
        .routes(routes!(overview::get_overview))
}
