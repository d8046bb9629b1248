//! The HTTP API: what callers see.
//!
//! `v1` is the table of contents; `envelope`, `error`, `extract`, `caller` and `page` are the words in which every
//! handler is written; `middleware` is what happens around each of them; `openapi` writes it all down.

pub mod address;
pub mod audit;
pub mod caller;
pub mod csv;
pub mod docs;
pub mod envelope;
pub mod error;
pub mod errors_page;
pub mod extract;
pub mod gate;
pub mod line;
pub mod long;
pub mod metrics;
pub mod middleware;
pub mod openapi;
pub mod pace;
pub mod page;
mod parts;
pub mod standing;
pub mod v1;

pub use caller::Caller;
pub use envelope::{Answer, Nothing, Refusal, Success};
pub use error::{ApiError, ErrorCode};
pub use extract::{Json, JsonBytes, OptionalJson, Path, Query};
pub use long::LongPage;
pub use middleware::{Exchange, Origin};
pub use openapi::document as openapi_document;
pub use page::{Paged, page, paged};

use crate::app::App;
use crate::metrics::requests::Requests;
use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, header};
use std::sync::Arc;
use std::time::Duration;
use tower_http::cors::{AllowOrigin, CorsLayer};

/// The whole API as a service. Serve it with `into_make_service_with_connect_info`, so that addresses are
/// known: [`line::Peer`], or a plain `SocketAddr` where the listener is not ours.
pub fn router(app: Arc<App>) -> Router {
    let origins = app.config.http.cors_origins.clone();
    let (routes, collected) = openapi::collect(v1::routes()).split_for_parts();
    let gate = gate::Gate::of(&collected.paths);
    let routes = routes
        .merge(openapi::routes())
        .merge(docs::routes())
        .merge(metrics::routes())
        .merge(crate::dashboard::routes(&app))
        .fallback(async || ApiError::not_found())
        .method_not_allowed_fallback(async || ApiError::new(ErrorCode::MethodNotAllowed))
        .with_state(app.clone());
    // The middleware mends the path, so it must run before the routes are looked at: a router around the router.
    let counted = Requests::new(collected.paths.paths.keys().map(String::as_str));
    let front = middleware::Front::new(app, gate, paces(&collected.paths), counted);
    let front = axum::middleware::from_fn_with_state(front, middleware::around);
    let mut outer = Router::new().fallback_service(routes).layer(front);
    if !origins.is_empty() {
        outer = outer.layer(cors(&origins));
    }
    outer
}

/// How long the operations of a document and the pages may take.
fn paces(documented: &utoipa::openapi::path::Paths) -> pace::Paces {
    let pages = crate::dashboard::table();
    pace::Paces::new(documented, pages.iter().map(|row| (row.method.clone(), row.path, row.pace)))
}

/// Headers of answers that pages of other origins may read.
const TOLD: [&str; 8] = [
    "x-request-id",
    "idempotency-replayed",
    "ratelimit",
    "ratelimit-policy",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "retry-after",
];

/// Answers to browsers on pages of the configured origins. Cookies are not among what they may send.
fn cors(origins: &[String]) -> CorsLayer {
    let origins = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    let own = ["x-api-key", "idempotency-key", "x-request-id"].map(HeaderName::from_static);
    let told = TOLD.map(HeaderName::from_static);
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(own.into_iter().chain([header::AUTHORIZATION, header::CONTENT_TYPE]).collect::<Vec<_>>())
        .expose_headers(told)
        .max_age(Duration::from_mins(10))
}
