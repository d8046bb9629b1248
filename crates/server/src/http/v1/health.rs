//! Whether the server is alive and whether it can do its work: for load balancers, supervisors and people.

use crate::app::App;
use crate::http::{Answer, ApiError};
use axum::extract::State;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Longest wait for the database.
const PATIENCE: Duration = Duration::from_secs(2);

/// How the server is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Health {
    /// `ok` when every part answers.
    #[schema(example = "ok")]
    pub status: &'static str,
    /// Version of the program.
    #[schema(example = "0.1.0")]
    pub version: &'static str,
    /// Since how many seconds it serves.
    #[schema(example = 3600)]
    pub uptime_seconds: u64,
    /// Whether the database answers: `ok`.
    #[schema(example = "ok")]
    pub database: &'static str,
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
/// Answers as long as the process can answer at all. Restart it when this fails.
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
/// Asks the database. Send no requests here while this fails.
#[utoipa::path(get, path = "/health/ready/", tag = "health", security(()),
    responses((status = 200, description = "It can.", body = crate::http::Success<Health>)),
    extensions(("x-error-codes" = json!(["SERVICE_UNAVAILABLE"]))))]
async fn get_readiness(State(app): State<Arc<App>>) -> Result<Answer<Health>, ApiError> {
    health(&app).await.map(|health| Answer::ok("Ready.", health))
}

/// How is the server?
///
/// The same as `/health/ready/`, under the base path of the API.
#[utoipa::path(get, path = "/health/", tag = "health", security(()),
    responses((status = 200, description = "Every part answers.", body = crate::http::Success<Health>)),
    extensions(("x-error-codes" = json!(["SERVICE_UNAVAILABLE"]))))]
async fn get_health(State(app): State<Arc<App>>) -> Result<Answer<Health>, ApiError> {
    health(&app).await.map(|health| Answer::ok("Every part answers.", health))
}

async fn health(app: &App) -> Result<Health, ApiError> {
    if app.shutdown.is_cancelled() {
        return Err(ApiError::unavailable("the server is stopping"));
    }
    match tokio::time::timeout(PATIENCE, app.store.ping()).await {
        Ok(answer) => answer?,
        Err(_) => return Err(ApiError::unavailable("the database does not answer")),
    }
    let uptime_seconds = app.clock.now().since(app.started_at).as_secs();
    Ok(Health { status: "ok", version: env!("CARGO_PKG_VERSION"), uptime_seconds, database: "ok" })
}
