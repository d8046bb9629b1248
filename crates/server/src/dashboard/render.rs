//! Templates as answers: what every page of the dashboard carries.

use super::trouble::Trouble;
use crate::http::ApiError;
use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Scripts, styles and pictures of this server, as files only; no other host, no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What a handler of a page answers.
pub type Page = Result<Response, Trouble>;

/// A page.
///
/// # Errors
/// `INTERNAL_ERROR` when the template can't be filled.
pub fn page(template: &impl Template) -> Page {
    with_status(StatusCode::OK, template)
}

/// A page with another status: a form that was refused.
///
/// # Errors
/// `INTERNAL_ERROR` when the template can't be filled.
pub fn with_status(status: StatusCode, template: &impl Template) -> Page {
    let html = template.render().map_err(ApiError::internal)?;
    Ok(html_answer(status, html))
}

/// HTML with its headers.
pub fn html_answer(status: StatusCode, html: String) -> Response {
    let mut response = (status, html).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    // With `no-referrer` browsers would send forms with `Origin: null`.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    response
}
