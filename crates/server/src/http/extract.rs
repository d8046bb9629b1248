//! Reading requests: body, query and path, each refusing in the API's envelope with the field named.
//!
//! Apart from the handlers so that none of axum's own refusals, which are plain text, can reach a caller.
//! Values that a caller sent are never repeated in a message: they may be secrets.

use super::Caller;
use super::error::{ApiError, ErrorCode};
use crate::app::App;
use crate::turns::Turn;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use futures::StreamExt;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use std::sync::Arc;

/// Most of a body that is too large that is read and dropped before it is refused.
const DRAINED: usize = 16 * 1024 * 1024;

/// A JSON body.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

/// A JSON body together with its bytes, for fingerprints of idempotent requests.
#[derive(Debug, Clone)]
pub struct JsonBytes<T> {
    /// What it says.
    pub value: T,
    /// As it was sent.
    pub bytes: Bytes,
}

/// A JSON body that may be left out altogether: then it is `T::default()`.
#[derive(Debug, Clone, Copy)]
pub struct OptionalJson<T>(pub T);

/// The query part of the URL. `T` refuses unknown parameters by `deny_unknown_fields`.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

/// The parts of the path in braces. What does not parse is answered as what does not exist.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let JsonBytes { value, .. } = JsonBytes::from_request(request, app).await?;
        Ok(Self(value))
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<App>> for JsonBytes<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        Self::within(request, limit(app)).await
    }
}

impl<T: DeserializeOwned> JsonBytes<T> {
    /// Reads a JSON body of at most `limit` bytes.
    ///
    /// # Errors
    /// As the extractor.
    pub async fn within(request: Request, limit: usize) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        expect_json(&parts.headers)?;
        let bytes = read_body(&parts.headers, body, limit).await?;
        let value = parse_json(&bytes)?;
        Ok(Self { value, bytes })
    }
}

impl<T: DeserializeOwned> JsonBytes<T> {
    /// Reads a JSON body that may have a file in it. Such bodies are in memory as a whole, so few of those that are larger than
    /// usual are read at once; the turn is to be kept for as long as what was read.
    ///
    /// # Errors
    /// As the extractor.
    pub(crate) async fn with_file(app: &App, caller: &Caller, request: Request) -> Result<(Self, Option<Turn>), ApiError> {
        let most = usize::try_from(app.media.settings().json_limit_mib << 20).unwrap_or(usize::MAX);
        let is_usual = announced(request.headers()).is_some_and(|length| length <= limit(app));
        let turn = if is_usual { None } else { Some(app.media.turn_of_large_body(caller.id()).await) };
        Ok((Self::within(request, most).await?, turn))
    }
}

impl<T: DeserializeOwned + Default> FromRequest<Arc<App>> for OptionalJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes = read_body(&parts.headers, body, limit(app)).await?;
        if matches!(bytes.trim_ascii(), b"" | b"null") {
            return Ok(Self(T::default()));
        }
        expect_json(&parts.headers)?;
        parse_json(&bytes).map(Self)
    }
}

impl<T: DeserializeOwned> FromRequestParts<Arc<App>> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _app: &Arc<App>) -> Result<Self, ApiError> {
        let text = parts.uri.query().unwrap_or_default();
        let deserializer = serde_urlencoded::Deserializer::new(form_pairs(text));
        serde_path_to_error::deserialize(deserializer).map(Self).map_err(|error| {
            let path = error.path().to_string();
            let mut refusal = refuse_field(&path, &error.into_inner().to_string());
            refusal.code = ErrorCode::ValidationError;
            ErrorCode::ValidationError.sentence().clone_into(&mut refusal.message);
            refusal
        })
    }
}

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<App>> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, app).await;
        path.map(|axum::extract::Path(value)| Self(value)).map_err(|_| ApiError::not_found())
    }
}

/// For fields of a PATCH: absent means unchanged, while `null` is refused as a value of the wrong type.
///
/// # Errors
/// What `T` refuses.
pub fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// For fields of a PATCH that may be emptied: absent is `None`, `null` is `Some(None)`.
///
/// # Errors
/// What `T` refuses.
pub fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

/// Reads JSON; what is wrong is told by field.
///
/// # Errors
/// `MALFORMED_JSON`, `UNKNOWN_FIELD` or `VALIDATION_ERROR`.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // Serde would read a list as the fields of a struct in their order.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        serde_json::from_slice::<IgnoredAny>(bytes).map_err(|error| malformed(&error))?;
        return Err(ApiError::field("body", "must be an object"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if inner.is_data() { refuse_field(&path, &inner.to_string()) } else { malformed(&inner) }
    })?;
    deserializer.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

fn malformed(error: &serde_json::Error) -> ApiError {
    let what = if error.is_eof() { "ends too early" } else { "is not valid JSON" };
    let place = format!("at line {}, column {}", error.line(), error.column());
    ApiError::because(ErrorCode::MalformedJson, format!("The body {what} ({place})."))
}

/// Says in the caller's words what serde says in its own.
fn refuse_field(path: &str, text: &str) -> ApiError {
    let text = text.split(" at line ").next().unwrap_or(text);
    let quoted = || text.split('`').nth(1).unwrap_or_default();
    let inside = |name: &str| {
        let parent = path.strip_suffix(name).unwrap_or(path).trim_end_matches('.');
        if parent.is_empty() || parent == "?" { name.to_owned() } else { format!("{parent}.{name}") }
    };
    if text.starts_with("unknown field") {
        return ApiError::new(ErrorCode::UnknownField).with_field(inside(quoted()), "is not a field of this request");
    }
    if text.starts_with("missing field") {
        return ApiError::field(inside(quoted()), "is required");
    }
    if text.starts_with("duplicate field") {
        return ApiError::field(inside(quoted()), "is given more than once");
    }
    let field = if path.is_empty() || path == "." { "body" } else { path };
    ApiError::field(field, in_plain_words(text))
}

fn in_plain_words(text: &str) -> String {
    if let Some((_, expected)) = text.split_once(", expected ") {
        let expected = match expected {
            "i64" | "u64" | "i32" | "u32" | "u16" | "u8" | "usize" => "a whole number within bounds",
            "f64" | "f32" => "a number",
            "a boolean" => "true or false",
            "a sequence" => "a list",
            "a map" => "an object",
            other if other.starts_with("struct ") => "an object",
            other => other,
        };
        return format!("must be {expected}");
    }
    if text.contains("UUID") {
        return "must be an id (UUID)".into();
    }
    if text.contains("invalid digit") || text.contains("number too") || text.contains("parse integer") {
        return "must be a whole number within bounds".into();
    }
    if text.contains("provided string was not `true` or `false`") {
        return "must be true or false".into();
    }
    // What is left are sentences of our own types, which never repeat the value.
    text.to_owned()
}

fn form_pairs(query: &str) -> form_urlencoded::Parse<'_> {
    form_urlencoded::parse(query.as_bytes())
}

fn limit(app: &App) -> usize {
    usize::try_from(app.config.http.body_limit_kib).unwrap_or(usize::MAX).saturating_mul(1024)
}

fn expect_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let essence = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = essence.and_then(|value| value.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    if is_json { Ok(()) } else { Err(ErrorCode::UnsupportedMediaType.into()) }
}

/// How long the body is, where its sender says so.
fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn read_body(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let too_large = || ApiError::because(ErrorCode::PayloadTooLarge, format!("The body is larger than {} KiB.", limit / 1024));
    let announced = announced(headers);
    let mut chunks = body.into_data_stream();
    if announced.is_some_and(|length| length > limit) {
        drain(chunks).await;
        return Err(too_large());
    }
    let mut read = Vec::with_capacity(announced.unwrap_or_default());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| ApiError::because(ErrorCode::BadRequest, "The body broke off."))?;
        if read.len().saturating_add(chunk.len()) > limit {
            drain(chunks).await;
            return Err(too_large());
        }
        read.extend_from_slice(&chunk);
    }
    Ok(read.into())
}

/// Lets the caller finish what it is writing, within reason: one whose connection is closed while it writes never reads the
/// answer. The time limit of the request holds here too.
async fn drain(mut chunks: BodyDataStream) {
    let mut left = DRAINED;
    while let Some(Ok(chunk)) = chunks.next().await {
        match left.checked_sub(chunk.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only what is refused matters")]
    struct Order {
        name: String,
        count: Option<i64>,
        #[serde(default)]
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only what is refused matters")]
    struct Inner {
        id: uuid::Uuid,
    }

    #[test]
    fn every_refusal_names_the_field_and_repeats_no_value() {
        let table = [
            ("{", ErrorCode::MalformedJson, ""),
            ("", ErrorCode::MalformedJson, ""),
            ("{\"name\":\"\u{1}\"}", ErrorCode::MalformedJson, ""),
            ("{\"name\":\"x\"} {}", ErrorCode::MalformedJson, ""),
            ("[]", ErrorCode::ValidationError, "body"),
            ("[\"x\", 1, []]", ErrorCode::ValidationError, "body"),
            ("[", ErrorCode::MalformedJson, ""),
            ("\"secret\"", ErrorCode::ValidationError, "body"),
            ("{}", ErrorCode::ValidationError, "name"),
            ("{\"name\":7}", ErrorCode::ValidationError, "name"),
            ("{\"name\":\"x\",\"count\":\"secret\"}", ErrorCode::ValidationError, "count"),
            ("{\"name\":\"x\",\"count\":1e99}", ErrorCode::ValidationError, "count"),
            ("{\"name\":\"x\",\"name\":\"y\"}", ErrorCode::ValidationError, "name"),
            ("{\"name\":\"x\",\"nmae\":\"y\"}", ErrorCode::UnknownField, "nmae"),
            ("{\"name\":\"x\",\"inner\":[{\"id\":\"secret\"}]}", ErrorCode::ValidationError, "inner[0].id"),
            ("{\"name\":\"x\",\"inner\":[{\"idd\":1}]}", ErrorCode::UnknownField, "inner[0].idd"),
            ("{\"name\":\"x\",\"inner\":[{}]}", ErrorCode::ValidationError, "inner[0].id"),
        ];
        for (text, code, field) in table {
            let refused = parse_json::<Order>(text.as_bytes()).expect_err(text);
            assert_eq!(refused.code, code, "{text}: {refused:?}");
            let named: Vec<&str> = refused.errors.0.keys().map(String::as_str).collect();
            assert_eq!(named.join(","), field, "{text}: {refused:?}");
            assert!(!format!("{refused:?}").contains("secret"), "{refused:?}");
        }
        let bad_utf8 = parse_json::<Order>(b"{\"name\":\"\xff\"}").expect_err("bad UTF-8");
        assert_eq!(bad_utf8.code, ErrorCode::MalformedJson);
    }
}
