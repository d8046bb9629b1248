//! Users: the tenants, managed by admins.

pub(crate) mod change;
mod read;
pub(crate) mod view;

pub use view::UserView;

use crate::app::App;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Everything under `/users/`.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(read::list_users, change::create_user))
        .routes(routes!(read::get_user, change::replace_user, change::update_user, change::delete_user))
        .routes(routes!(change::activate_user))
        .routes(routes!(change::deactivate_user))
        .routes(routes!(change::reset_user_password))
}
