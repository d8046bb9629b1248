//! Refusals as pages: the same catalogue as the API's, in words for people, with a way back.

use super::assets;
use super::render::html_answer;
use super::visitor::Theme;
use crate::http::{ApiError, ErrorCode};
use askama::Template;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// A refusal on its way to a person.
#[derive(Debug)]
pub struct Trouble(pub ApiError);

impl<E: Into<ApiError>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

#[derive(Template)]
#[template(path = "trouble.html")]
struct TroublePage<'a> {
    status: u16,
    title: &'static str,
    text: &'a str,
    theme: Theme,
    css: &'static str,
    icon: &'static str,
}

/// What a page of trouble says, so that it can be said again in the colours of whoever sees it.
#[derive(Debug, Clone)]
struct Said(String);

/// What a refusal says, for a place that has no fields: what is wrong with each, by its name.
pub fn words(refusal: &ApiError) -> String {
    if refusal.errors.0.is_empty() {
        return refusal.message.clone();
    }
    let fields = refusal.errors.0.iter().map(|(field, refusals)| format!("{field} {}.", refusals.join("; ")));
    fields.collect::<Vec<_>>().join(" ")
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let mut response = show(error.code.status(), &words(&error));
        if let Some(wait) = error.retry_after {
            let seconds = wait.as_millis().div_ceil(1000).max(1);
            if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
        }
        response
    }
}

fn show(status: StatusCode, text: &str) -> Response {
    let mut response = html_answer(status, html(status, text, Theme::Auto));
    response.extensions_mut().insert(Said(text.to_owned()));
    response
}

/// Whether an answer is a page of trouble that was just made.
pub fn is_trouble(response: &Response) -> bool {
    response.extensions().get::<Said>().is_some()
}

/// The same answer in the colours that somebody chose, if it is a page of trouble: what makes it does not know who sees it.
pub fn in_colours(mut response: Response, theme: Theme) -> Response {
    let Some(Said(text)) = response.extensions_mut().remove::<Said>().filter(|_| theme != Theme::Auto) else { return response };
    let (parts, _) = response.into_parts();
    let page = html(parts.status, &text, theme);
    Response::from_parts(parts, Body::from(page))
}

fn html(status: StatusCode, text: &str, theme: Theme) -> String {
    let title = match status.as_u16() {
        401 => "Please log in",
        403 => "You may not do this",
        404 => "There is nothing here",
        405 => "This address takes no such request",
        409 => "This is not possible now",
        413 => "That was too much",
        429 => "Please wait a moment",
        400..=499 => "This can't be understood",
        503 => "A part of the server is down",
        _ => "Something went wrong",
    };
    let page = TroublePage { status: status.as_u16(), title, text, theme, css: assets::css(), icon: assets::icon() };
    page.render().unwrap_or_else(|_| title.to_owned())
}

/// Turns what the framework or the middleware refused under `/admin/` into a page.
pub fn as_page(response: Response) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if kind.is_some_and(|kind| kind.starts_with(b"text/html")) {
        return response;
    }
    let (status, headers) = (response.status(), response.headers());
    let text = match status {
        StatusCode::NOT_FOUND => ErrorCode::NotFound.sentence(),
        StatusCode::METHOD_NOT_ALLOWED => "Follow the links of the dashboard instead.",
        StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::PayloadTooLarge.sentence(),
        StatusCode::UNAUTHORIZED => "Your login has ended.",
        StatusCode::FORBIDDEN => ErrorCode::HttpsRequired.sentence(),
        StatusCode::TOO_MANY_REQUESTS => "There were too many requests from your address.",
        StatusCode::SERVICE_UNAVAILABLE => "It will be back soon; try again in a moment.",
        status if status.is_client_error() => "The form was not sent as this server sends it; go back and try again.",
        _ => "The server's log has the cause.",
    };
    let mut page = show(status, text);
    for name in [header::RETRY_AFTER, header::ALLOW] {
        if let Some(value) = headers.get(&name) {
            page.headers_mut().insert(name, value.clone());
        }
    }
    page
}
