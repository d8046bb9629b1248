//! Messages: send, look, take back, try again, mark as read.

mod act;
mod choose;
mod list;
mod send;
mod view;

pub(super) use choose::{DEFAULT, choose, own};

use crate::app::App;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Everything under `/messages/`.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(send::send_text))
        .routes(routes!(list::list_messages))
        .routes(routes!(list::get_message))
        .routes(routes!(act::cancel_message))
        .routes(routes!(act::retry_message))
        .routes(routes!(act::read_message))
}
