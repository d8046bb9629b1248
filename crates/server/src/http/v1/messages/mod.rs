//! Messages: send, with files and without, look, take back, try again, mark as read, react, edit, delete.

pub(crate) mod accept;
pub(crate) mod act;
pub(crate) mod asked;
pub(crate) mod choose;
pub(crate) mod list;
pub(crate) mod marks;
pub(crate) mod media;
pub(crate) mod preview;
pub(crate) mod receipts;
pub(crate) mod scheduled;
pub(crate) mod send;
pub(crate) mod send_media;
pub(crate) mod send_rich;
pub(crate) mod timeline;
pub(crate) mod view;
pub(crate) mod view_rich;

pub(in crate::http::v1) use choose::{DEFAULT, choose, own};

use crate::app::App;
use axum::extract::DefaultBodyLimit;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Everything under `/messages/`.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(send::send_text))
        // Its handler counts the bytes itself, as they come.
        .merge(OpenApiRouter::default().routes(routes!(send_media::send_media)).layer(DefaultBodyLimit::disable()))
        .routes(routes!(send_rich::send_location))
        .routes(routes!(send_rich::send_contact))
        .routes(routes!(send_rich::send_poll))
        .routes(routes!(media::get_message_media))
        .routes(routes!(list::list_messages))
        .routes(routes!(scheduled::list_scheduled_messages))
        .routes(routes!(list::get_message, scheduled::update_message))
        .routes(routes!(receipts::list_message_receipts))
        .routes(routes!(act::cancel_message))
        .routes(routes!(act::retry_message))
        .routes(routes!(act::read_message))
        .routes(routes!(marks::react_to_message))
        .routes(routes!(marks::edit_message))
        .routes(routes!(marks::delete_message))
}
