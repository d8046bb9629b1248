//! Quiet hours: when nobody is written to, by the clock where the recipient lives.

use crate::app::App;
use crate::http::{Answer, ApiError, Caller, Json, Success, audit};
use axum::extract::State;
use sanasend_model::quiet::QuietHours;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// `/quiet-hours/`.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default().routes(routes!(get_quiet_hours, replace_quiet_hours))
}

/// When nobody is written to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(title = "QuietHours")]
pub(crate) struct QuietHoursView {
    /// Whether every send is held; one that says `"quiet_hours": true` is held also where this is false.
    #[schema(example = true)]
    pub(crate) enabled: bool,
    /// When they begin, by the clock where the recipient lives.
    #[schema(example = "21:00", pattern = "^[0-2][0-9]:[0-5][0-9]$")]
    pub(crate) from: String,
    /// When they end; on the next day when that is earlier.
    #[schema(example = "08:00", pattern = "^[0-2][0-9]:[0-5][0-9]$")]
    pub(crate) to: String,
}

impl From<QuietHours> for QuietHoursView {
    fn from(hours: QuietHours) -> Self {
        Self { enabled: hours.enabled, from: hours.from.to_string(), to: hours.to.to_string() }
    }
}

/// Get your quiet hours
///
/// Off, and from 21:00 to 08:00, until you set them.
#[utoipa::path(get, path = "/quiet-hours/", tag = "schedules",
    responses((status = 200, description = "When nobody is written to.", body = Success<QuietHoursView>)),
    extensions(("x-scope" = json!("messages:read"))))]
pub(crate) async fn get_quiet_hours(caller: Caller) -> Result<Answer<QuietHoursView>, ApiError> {
    Ok(Answer::ok("Your quiet hours.", caller.user.quiet_hours.unwrap_or_default().into()))
}

/// Set your quiet hours
///
/// A message that is accepted in them waits for their end, by the clock where the recipient lives: that is guessed by the
/// country code of the number. In a country with several zones it is quiet as soon as it is quiet in one of them. Groups, and
/// people whose number is hidden, are always written to. Messages that wait already keep their date.
#[utoipa::path(put, path = "/quiet-hours/", tag = "schedules", request_body = QuietHoursView,
    responses((status = 200, description = "As they are now.", body = Success<QuietHoursView>)),
    extensions(("x-scope" = json!("messages:send"))))]
pub(crate) async fn replace_quiet_hours(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(wanted): Json<QuietHoursView>,
) -> Result<Answer<QuietHoursView>, ApiError> {
    let hours = QuietHours::parse(wanted.enabled, &wanted.from, &wanted.to)?;
    app.store.set_quiet_hours(caller.id(), hours).await?.ok_or_else(ApiError::not_found)?;
    // They count from the moment of this answer, also for keys that were checked before.
    app.auth.keys.forget();
    let detail = json!({"enabled": hours.enabled, "from": wanted.from, "to": wanted.to});
    audit::note(&app, &caller, "quiet_hours.changed", format!("user {}", caller.id()), detail).await;
    Ok(Answer::ok("Your quiet hours are set.", hours.into()))
}
