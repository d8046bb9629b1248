//! `GET /messages/{id}/media/`: the file of a message, from here or fetched from WhatsApp now.
//!
//! A stranger may have made the file, so a browser must never take it for a page of this server: it always comes as an
//! attachment, with `nosniff`, and what a browser could run comes without its type.

use crate::app::App;
use crate::http::{ApiError, Caller, ErrorCode, Path, Query};
use crate::media::{FetchRefused, READS_AT_ONCE, look};
use crate::turns::Share;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use sanasend_model::{FileId, Media, MessageId, UserId};
use sanasend_store::StoreError;
use serde::Deserialize;
use std::fmt::Write as _;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use utoipa::IntoParams;

/// When to ask again for a file that could not be fetched.
const AGAIN: Duration = Duration::from_secs(5);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MediaQuery {
    /// `1` for a small JPEG instead of the file; 404 where there is none.
    #[param(minimum = 0, maximum = 1)]
    pub(crate) thumbnail: Option<u8>,
}

/// Get the file of a message
///
/// Streams the bytes, with support for `Range`. A file that came in is fetched from WhatsApp when it is asked for the first
/// time, checked by its hash, and kept.
#[utoipa::path(get, path = "/messages/{id}/media/", tag = "messages",
    params(("id" = String, Path, format = "uuid", description = "Id of the message."), MediaQuery,
        ("Range" = Option<String>, Header, description = "One range of bytes, like `bytes=0-1023`.")),
    responses((status = 200, description = "The bytes of the file.", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 206, description = "The bytes asked for.", body = Vec<u8>, content_type = "application/octet-stream")),
    extensions(("x-scope" = json!("messages:read")), ("x-time-limit" = json!("media.request_seconds")), ("x-error-codes" = json!([
        "MEDIA_GONE", "MEDIA_TOO_LARGE", "MEDIA_CORRUPT", "MEDIA_NOT_FETCHED", "RANGE_NOT_SATISFIABLE"]))))]
pub(crate) async fn get_message_media(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<MessageId>,
    Query(query): Query<MediaQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let message = app.store.message(Some(caller.id()), id).await?.ok_or_else(ApiError::not_found)?;
    let media = message.content.media().cloned().ok_or_else(ApiError::not_found)?;
    if query.thumbnail.is_some_and(|wanted| wanted > 0) {
        return thumbnail(&app, id).await;
    }
    let file = app.media.fetch(&app.sessions, &message, &media).await.map_err(refused)?;
    serve(&app, caller.id(), file, &media, &headers).await
}

async fn thumbnail(app: &App, id: MessageId) -> Result<Response, ApiError> {
    let picture = app.store.media_part(id).await?.and_then(|part| part.thumbnail);
    let picture = picture.ok_or_else(ApiError::not_found)?;
    let headers = [(header::CONTENT_TYPE, "image/jpeg"), (header::CONTENT_DISPOSITION, "attachment; filename=\"thumbnail.jpg\"")];
    Ok((headers, picture).into_response())
}

async fn serve(app: &App, reader: UserId, file: FileId, media: &Media, asked: &HeaderMap) -> Result<Response, ApiError> {
    let range = match asked.get(header::RANGE) {
        None => None,
        Some(value) => {
            // What the message says of the size is the sender's claim.
            let size = app.media.size(file).await?.ok_or(ErrorCode::MediaGone)?;
            match range_of(value, size) {
                Asked::Beyond => return Ok(beyond(size)),
                Asked::Part(range) => Some(range),
                Asked::Nothing => None,
            }
        }
    };
    let share = app.media.share_of_reads(reader).ok_or_else(|| {
        let text = format!("You are reading {READS_AT_ONCE} files already; wait for one of them.");
        ApiError::because(ErrorCode::RateLimited, text).retry_after(AGAIN)
    })?;
    let opened = app.media.open(file, range.clone()).await?.ok_or(ErrorCode::MediaGone)?;
    let length = range.as_ref().map_or(opened.size, |range| range.end - range.start);
    let body = Body::from_stream(Reading { bytes: opened.bytes, _share: share });
    let mut response = body.into_response();
    let headers = response.headers_mut();
    let mut put = |name: HeaderName, text: String| {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    };
    put(header::CONTENT_TYPE, if look::is_active(&media.mime) { "application/octet-stream".into() } else { media.mime.clone() });
    put(header::CONTENT_LENGTH, length.to_string());
    put(header::CONTENT_DISPOSITION, attachment(&media.save_as()));
    put(header::ACCEPT_RANGES, "bytes".into());
    put(header::ETAG, format!("\"{}\"", media.sha256_hex()));
    if let Some(range) = range {
        put(header::CONTENT_RANGE, format!("bytes {}-{}/{}", range.start, range.end - 1, opened.size));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// A file on its way to who asked for it. It is open for as long as they take, which may be long, so each has a share of such files.
struct Reading {
    bytes: BoxStream<'static, Result<Bytes, StoreError>>,
    _share: Share<UserId>,
}

impl Stream for Reading {
    type Item = Result<Bytes, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.bytes.poll_next_unpin(context)
    }
}

fn refused(refused: FetchRefused) -> ApiError {
    match refused {
        FetchRefused::Gone => ErrorCode::MediaGone.into(),
        FetchRefused::Corrupt => ErrorCode::MediaCorrupt.into(),
        FetchRefused::TooLarge => ErrorCode::MediaTooLarge.into(),
        FetchRefused::Later(cause) => {
            tracing::warn!(%cause, "a file could not be fetched");
            ApiError::new(ErrorCode::MediaNotFetched).retry_after(AGAIN)
        }
    }
}

/// The refusal of bytes that the file does not have; it says to programs, too, how many there are.
fn beyond(size: u64) -> Response {
    let mut refusal = ApiError::because(ErrorCode::RangeNotSatisfiable, format!("The file has {size} bytes.")).into_response();
    if let Ok(range) = HeaderValue::from_str(&format!("bytes */{size}")) {
        refusal.headers_mut().insert(header::CONTENT_RANGE, range);
    }
    refusal
}

/// What a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// Nothing that is understood: the whole file.
    Nothing,
    /// These bytes.
    Part(Range<u64>),
    /// Bytes that the file does not have.
    Beyond,
}

/// Reads one range of a file of `size` bytes. Several at once are answered with the whole file, as the standard allows.
fn range_of(value: &HeaderValue, size: u64) -> Asked {
    let Some(text) = value.to_str().ok().and_then(|text| text.trim().strip_prefix("bytes=")) else { return Asked::Nothing };
    let Some((first, last)) = text.split_once('-') else { return Asked::Nothing };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let range = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(size),
        (Some(first), None) if last.trim().is_empty() => first..size,
        (None, Some(count)) if first.trim().is_empty() => size.saturating_sub(count)..size,
        _ => return Asked::Nothing,
    };
    if range.start < range.end { Asked::Part(range) } else { Asked::Beyond }
}

/// A name for saving the file that no header can be broken with: plain ASCII, and the whole of it percent-encoded beside.
fn attachment(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ') { c } else { '_' }).collect();
    let mut header = format!("attachment; filename=\"{plain}\"");
    if plain != name {
        header.push_str("; filename*=UTF-8''");
        for byte in name.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_') {
                header.push(char::from(byte));
            } else {
                let _ = write!(header, "%{byte:02X}");
            }
        }
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let table = [
            ("bytes=0-0", Asked::Part(0..1)),
            ("bytes=2-4", Asked::Part(2..5)),
            ("bytes=2-", Asked::Part(2..10)),
            ("bytes=-3", Asked::Part(7..10)),
            ("bytes=-99", Asked::Part(0..10)),
            ("bytes=8-99", Asked::Part(8..10)),
            ("bytes=10-", Asked::Beyond),
            ("bytes=-0", Asked::Beyond),
            ("bytes=4-2", Asked::Nothing),
            ("bytes=0-1,3-4", Asked::Nothing),
            ("items=0-1", Asked::Nothing),
            ("bytes=x-y", Asked::Nothing),
        ];
        for (text, expected) in table {
            assert_eq!(range_of(&HeaderValue::from_static(text), 10), expected, "{text}");
        }
        assert_eq!(range_of(&HeaderValue::from_static("bytes=0-"), 0), Asked::Beyond);
    }

    #[test]
    fn no_name_breaks_the_header() {
        assert_eq!(attachment("invoice 7.pdf"), "attachment; filename=\"invoice 7.pdf\"");
        assert_eq!(attachment("a\"b.pdf"), "attachment; filename=\"a_b.pdf\"; filename*=UTF-8''a%22b.pdf");
        assert_eq!(attachment("ü\r\n.pdf"), "attachment; filename=\"___.pdf\"; filename*=UTF-8''%C3%BC%0D%0A.pdf");
    }
}
