//! Version 1 of the API: its table of contents.

pub mod analytics;
pub mod api_keys;
pub mod audit;
pub mod auth;
pub mod campaigns;
pub mod chats;
pub mod contacts;
pub mod events;
pub mod groups;
pub mod health;
pub mod jobs;
pub mod messages;
pub mod opt_outs;
pub mod quiet_hours;
pub mod schedules;
pub mod sessions;
pub mod streams;
pub mod templates;
pub mod usage;
pub mod users;
pub mod webhooks;

use crate::app::App;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// Everything under `/api/v1`, and the health checks beside it.
#[must_use]
pub fn routes() -> OpenApiRouter<Arc<App>> {
    let v1 = OpenApiRouter::default()
        .merge(auth::routes())
        .merge(users::routes())
        .merge(api_keys::routes())
        .merge(sessions::routes())
        .merge(groups::routes())
        .merge(messages::routes())
        .merge(chats::routes())
        .merge(campaigns::routes())
        .merge(events::routes())
        .merge(jobs::routes())
        .merge(audit::routes())
        .merge(webhooks::routes())
        .merge(contacts::routes())
        .merge(opt_outs::routes())
        .merge(analytics::routes())
        .merge(usage::routes())
        .merge(templates::routes())
        .merge(schedules::routes())
        .merge(quiet_hours::routes())
        .merge(health::routes());
    OpenApiRouter::default().merge(health::probes()).nest("/api/v1", v1)
}
