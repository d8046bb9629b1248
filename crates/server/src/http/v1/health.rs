//! Whether the server is alive and whether it can do its work: for load balancers, supervisors and people.

use crate::app::App;
use crate::http::{Answer, ApiError, Caller, ErrorCode};
use crate::vitals::{self, Condition, Part};
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How the server is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Health {
    /// `ok` when every part is as it should be, `degraded` when somebody should look, `down` when it can't work.
    pub status: Condition,
    /// Version of the program.
    #[schema(example = "0.1.0")]
    pub version: &'static str,
    /// Since how many seconds it serves.
    #[schema(example = 3600)]
    pub uptime_seconds: u64,
    /// The parts, each with a sentence.
    pub parts: Vec<Part>,
}

/// That it can.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Readiness {
    /// `ok`, or `degraded` when somebody should look although it works.
    pub status: Condition,
}

/// The probes at the top: `/health/live/` and `/health/ready/`.
pub fn probes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default().routes(routes!(get_liveness)).routes(routes!(get_readiness))
}

/// The same for people, under `/api/v1`.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default().routes(routes!(get_health))
}

/// Is the process alive?
///
/// Answers as long as the process can answer at all, and looks at nothing. Restart it when this fails.
#[utoipa::path(get, path = "/health/live/", tag = "health", security(()),
    responses((status = 200, description = "It is.", body = crate::http::Success<Liveness>)))]
async fn get_liveness() -> Answer<Liveness> {
    Answer::ok("Alive.", Liveness { status: "ok" })
}

/// That the process is alive.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Liveness {
    /// `ok`.
    #[schema(example = "ok")]
    pub status: &'static str,
}

/// Can it do its work?
///
/// Looks at what nothing works without: the database (reading and writing), the disk, and whether the server is stopping.
/// What was seen is believed for a second. Send no requests here while this fails.
#[utoipa::path(get, path = "/health/ready/", tag = "health", security(()),
    responses((status = 200, description = "It can.", body = crate::http::Success<Readiness>)),
    extensions(("x-error-codes" = json!(["SERVICE_UNAVAILABLE"]))))]
async fn get_readiness(State(app): State<Arc<App>>) -> Result<Answer<Readiness>, ApiError> {
    let seen = vitals::look(&app).await;
    match seen.why_down() {
        Some(why) => Err(ApiError { message: why.clone(), ..ApiError::unavailable(why) }),
        None => Ok(Answer::ok("Ready.", Readiness { status: seen.condition() })),
    }
}

/// How is the server?
///
/// Each part with a sentence; admins (by login) are told figures as well. Always answered 200: for machines there is
/// `/health/ready/`.
#[utoipa::path(get, path = "/health/", tag = "health", security((), ("bearer" = [])),
    responses((status = 200, description = "How the parts are.", body = crate::http::Success<Health>)))]
async fn get_health(State(app): State<Arc<App>>, Admin(admin): Admin) -> Answer<Health> {
    let seen = vitals::look(&app).await;
    let mut parts = seen.parts.clone();
    if !admin {
        for part in &mut parts {
            part.details = None;
        }
    }
    let status = seen.condition();
    let uptime_seconds = app.clock.now().since(app.started_at).as_secs();
    let sentence = match status {
        Condition::Ok => "Every part is as it should be.",
        Condition::Degraded => "It works, but somebody should look.",
        Condition::Down => "It can't do its work.",
    };
    Answer::ok(sentence, Health { status, version: env!("CARGO_PKG_VERSION"), uptime_seconds, parts })
}

/// Whether an admin asks. Nobody has to say who they are here; who says it wrongly is refused as everywhere.
struct Admin(bool);

impl FromRequestParts<Arc<App>> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        if !crate::http::caller::carries_credentials(&parts.headers) {
            return Ok(Self(false));
        }
        match Caller::from_request_parts(parts, app).await {
            Ok(caller) => Ok(Self(caller.acts_as_admin())),
            // The database is down: that is what they want to know.
            Err(refusal) if refusal.code == ErrorCode::ServiceUnavailable => Ok(Self(false)),
            Err(refusal) => Err(refusal),
        }
    }
}
