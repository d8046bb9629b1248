//! The pages for people: what runs here (`/`), the API to try out (`/api/docs/`) and to read (`/api/redoc/`).
//!
//! Everything that they need comes from this program, so that they work without any other host and under a policy that
//! allows no other. Swagger UI is carried by `utoipa-swagger-ui`; ReDoc's bundle is cut out of the page that `aide` makes
//! (`redoc`). Styles may be inline, since both tools make them at run time; scripts may not.

mod redoc;

use super::error::ApiError;
use crate::app::App;
use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use std::sync::Arc;

/// For the pages that show the document: scripts and styles of ours, pictures that are written into them, and the search of
/// ReDoc, which runs in a worker that it makes itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; \
                      connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// For the page at the root.
const PLAIN_POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// The files change with the program only.
const KEPT: &str = "public, max-age=3600";

const ROOT_PAGE: &str = include_str!("pages/root.html");
const SWAGGER_PAGE: &str = include_str!("pages/swagger.html");
const SWAGGER_START: &str = include_str!("pages/swagger.js");
const REDOC_PAGE: &str = include_str!("pages/redoc.html");
const REDOC_START: &str = include_str!("pages/redoc.js");
const STYLE: &str = include_str!("pages/pages.css");

/// The pages and what they are made of.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(async || page(&ROOT_PAGE.replace("{version}", env!("CARGO_PKG_VERSION")), PLAIN_POLICY)))
        .route("/api/docs/", get(async || page(SWAGGER_PAGE, POLICY)))
        .route("/api/docs/{file}/", get(docs_file))
        .route("/api/redoc/", get(async || page(REDOC_PAGE, POLICY)))
        .route("/api/redoc/{file}/", get(redoc_file))
}

async fn docs_file(Path(name): Path<String>) -> Response {
    match name.as_str() {
        "pages.css" => file("text/css; charset=utf-8", Bytes::from_static(STYLE.as_bytes())),
        "start.js" => file("text/javascript; charset=utf-8", Bytes::from_static(SWAGGER_START.as_bytes())),
        "swagger-ui.css" | "swagger-ui-bundle.js" => swagger_file(&name),
        _ => ApiError::not_found().into_response(),
    }
}

async fn redoc_file(Path(name): Path<String>) -> Response {
    match (name.as_str(), redoc::bundle()) {
        ("redoc.js", Some(bundle)) => file("text/javascript; charset=utf-8", bundle),
        ("start.js", _) => file("text/javascript; charset=utf-8", Bytes::from_static(REDOC_START.as_bytes())),
        _ => ApiError::not_found().into_response(),
    }
}

fn swagger_file(name: &str) -> Response {
    let config = Arc::new(utoipa_swagger_ui::Config::new(["/api/schema/"]));
    match utoipa_swagger_ui::serve(name, config) {
        Ok(Some(found)) => file(&format!("{}; charset=utf-8", found.content_type), found.bytes.into_owned().into()),
        _ => ApiError::not_found().into_response(),
    }
}

fn page(html: &str, policy: &'static str) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, policy)];
    (headers, html.to_owned()).into_response()
}

fn file(content_type: &str, bytes: Bytes) -> Response {
    let same_origin = HeaderName::from_static("cross-origin-resource-policy");
    let headers = [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, KEPT), (same_origin, "same-origin")];
    (headers, bytes).into_response()
}
