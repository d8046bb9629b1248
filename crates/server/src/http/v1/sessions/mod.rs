//! Linked WhatsApp accounts: link, look, follow live, leave.

pub(crate) mod follow;
pub(crate) mod health;
pub(crate) mod link;
pub(crate) mod manage;
pub(crate) mod typing;
pub(crate) mod view;

use crate::app::App;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Everything under `/sessions/`.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(link::init_session))
        .routes(routes!(link::answer_passkey))
        .routes(routes!(link::confirm_passkey))
        .routes(routes!(manage::list_sessions))
        .routes(routes!(manage::get_session_status))
        .routes(routes!(manage::get_session_picture))
        .routes(routes!(manage::disconnect_session))
        .routes(routes!(manage::reconnect_session))
        .routes(routes!(typing::show_typing))
        .routes(routes!(follow::follow_session))
        .routes(routes!(follow::follow_session_by_websocket))
        .routes(routes!(manage::get_session, manage::delete_session))
        .routes(routes!(health::get_session_health))
}
