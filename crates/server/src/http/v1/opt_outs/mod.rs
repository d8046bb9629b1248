//! Who wants no messages: the list of a user, by hand and from files.

pub(crate) mod change;
pub(crate) mod read;

use crate::app::App;
use axum::extract::DefaultBodyLimit;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Everything under `/opt-outs/`.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(read::list_opt_outs, change::create_opt_out))
        .routes(routes!(read::get_opt_out))
        .routes(routes!(change::end_opt_out))
        .merge(OpenApiRouter::default().routes(routes!(change::import_opt_outs)).layer(DefaultBodyLimit::disable()))
}
