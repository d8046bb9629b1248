//! Version 1 of the API: its table of contents.

pub mod health;

use crate::app::App;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// Everything under `/api/v1`, and the health checks beside it.
#[must_use]
pub fn routes() -> OpenApiRouter<Arc<App>> {
    let v1 = OpenApiRouter::default().merge(health::routes());
    OpenApiRouter::default().merge(health::probes()).nest("/api/v1", v1)
}
