//! The dashboard at `/admin/`: pages for people, made on the server.
//!
//! [`table`] is its table of contents: every route with who may use it. The guard asks that before a handler runs, and
//! the matrix test walks the same table. A page is a file here and a template of the same name; it reads from the store
//! and acts by calling the very handlers of `http/v1`, so that no rule exists twice. Everything works without scripts,
//! except that live parts stand still.

mod account;
mod account_health;
mod assets;
mod audit;
mod campaigns;
mod chart;
mod chats;
mod confirm;
mod contacts;
mod cookie;
mod deliveries;
mod figures;
mod form;
mod groups;
mod guard;
mod jobs;
mod keys;
mod list;
mod live;
mod login;
mod messages;
mod nav;
mod once;
mod overview;
mod owner;
mod parts;
mod phones;
mod receipts;
mod render;
mod requests;
mod rooms;
mod scheduled;
mod schedules;
mod send;
mod send_template;
mod sessions;
mod sessions_of;
mod settings;
mod spark;
mod templates;
pub(crate) mod trouble;
mod users;
mod visitor;
mod webhooks;

pub use guard::Who;

use crate::app::App;
use crate::http::pace::Pace;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{self, MethodRouter};
use std::sync::Arc;

/// One route of the dashboard.
pub struct Row {
    /// `GET` for pages, `POST` for forms.
    pub method: Method,
    /// The path, with `{id}` where an id goes.
    pub path: &'static str,
    /// Who may use it.
    pub who: Who,
    /// How long it may take.
    pub pace: Pace,
    handler: MethodRouter<Arc<App>>,
}

/// A page, or a part of one.
fn page<H: Handler<T, Arc<App>>, T: 'static>(path: &'static str, who: Who, handler: H) -> Row {
    Row { method: Method::GET, path, who, pace: Pace::Usual, handler: routing::get(handler) }
}

/// What a form is sent to. The guard refuses what other sites send.
fn form<H: Handler<T, Arc<App>>, T: 'static>(path: &'static str, who: Who, handler: H) -> Row {
    Row { method: Method::POST, path, who, pace: Pace::Usual, handler: routing::post(handler) }
}

/// Every route.
#[must_use]
pub fn table() -> Vec<Row> {
    use Who::{Admin, Anyone, User};
    let mut rows = vec![
        page("/admin/login/", Anyone, login::show),
        form("/admin/login/", Anyone, login::enter),
        form("/admin/logout/", Anyone, login::leave),
        form("/admin/theme/", Anyone, login::choose_theme),
        page("/admin/assets/{file}", Anyone, assets::serve),
        page("/admin/", User, overview::show),
        page("/admin/health/live/", Admin, overview::follow_health),
        page("/admin/users/", Admin, users::list::show),
        form("/admin/users/bulk/", Admin, users::bulk::act),
        page("/admin/users/new/", Admin, users::edit::show_new),
        form("/admin/users/new/", Admin, users::edit::create),
        page("/admin/users/{id}/", Admin, users::one::show),
        page("/admin/users/{id}/edit/", Admin, users::edit::show),
        form("/admin/users/{id}/edit/", Admin, users::edit::change),
        page("/admin/users/{id}/password/", Admin, users::password::show),
        form("/admin/users/{id}/password/", Admin, users::password::reset),
        page("/admin/users/{id}/suspend/", Admin, users::standing::ask_suspend),
        form("/admin/users/{id}/suspend/", Admin, users::standing::suspend),
        form("/admin/users/{id}/activate/", Admin, users::standing::activate),
        page("/admin/users/{id}/delete/", Admin, users::standing::ask_delete),
        form("/admin/users/{id}/delete/", Admin, users::standing::delete),
        page("/admin/keys/new/", User, keys::show_new),
        form("/admin/keys/new/", User, keys::create),
        page("/admin/keys/{id}/rotate/", User, keys::ask_rotate),
        form("/admin/keys/{id}/rotate/", User, keys::rotate),
        page("/admin/keys/{id}/revoke/", User, keys::ask_revoke),
        form("/admin/keys/{id}/revoke/", User, keys::revoke),
        page("/admin/account/", User, account::show),
        page("/admin/account/password/", User, account::show_password),
        form("/admin/account/password/", User, account::change_password),
    ];
    rows.extend(rooms::rows());
    rows
}

/// The dashboard as part of the router.
pub fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    let limit = usize::try_from(app.config.http.body_limit_kib).unwrap_or(usize::MAX).saturating_mul(1024);
    let add = |router: Router<Arc<App>>, row: Row| {
        let guard = from_fn_with_state((app.clone(), row.who), guard::check);
        router.route(row.path, row.handler.route_layer(guard))
    };
    table().into_iter().fold(Router::new(), add).layer(DefaultBodyLimit::max(limit))
}

/// Whether a path belongs to the dashboard. Its files have names with a dot, which get no slash at the end.
#[must_use]
pub fn is_page(path: &str) -> bool {
    let is_ours = path == "/admin" || path.starts_with("/admin/");
    is_ours && !path.rsplit('/').next().unwrap_or_default().contains('.')
}
