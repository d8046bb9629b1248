//! The file of a request, wherever it comes from: the form, a URL that is fetched now, or base64.

use super::{Asked, Uploaded, not_staged, too_large};
use crate::app::App;
use crate::egress::{EgressError, FetchLimits};
use crate::http::{ApiError, Caller, ErrorCode};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use futures::StreamExt as _;
use reqwest::header;
use sanasend_model::MediaKind;
use std::time::Duration;

/// Redirects that are followed to a file.
const REDIRECTS: usize = 3;
/// Longest time to fetch a file.
const PATIENCE: Duration = Duration::from_mins(2);
/// Characters of base64 that are decoded at once; a multiple of 4.
const PIECE: usize = 64 * 1024;

static BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// The file on this machine's disk.
///
/// # Errors
/// When it can't be had, or is too large.
pub(crate) async fn file(app: &App, caller: &Caller, asked: Asked, kind: MediaKind) -> Result<Uploaded, ApiError> {
    if let Some(file) = asked.file {
        return Ok(file);
    }
    if let Some(text) = asked.media_base64 {
        return decode(app, text, kind).await;
    }
    fetch(app, caller, asked.media_url.as_deref().unwrap_or_default(), kind).await
}

async fn decode(app: &App, text: String, kind: MediaKind) -> Result<Uploaded, ApiError> {
    let wrong = || ApiError::field("media_base64", "must be base64, or a data: URL with base64 in it");
    let (declared, digits) = match text.strip_prefix("data:") {
        None => (None, text.as_str()),
        Some(rest) => {
            let (head, digits) = rest.split_once(',').ok_or_else(wrong)?;
            (Some(head.strip_suffix(";base64").ok_or_else(wrong)?.to_owned()), digits)
        }
    };
    let mut staging = app.media.stage(app.media.limit(kind)).await.map_err(not_staged)?;
    for piece in digits.trim().as_bytes().chunks(PIECE) {
        let bytes = BASE64.decode(piece).map_err(|_| wrong())?;
        staging.write(&Bytes::from(bytes)).await.map_err(not_staged)?;
    }
    Ok(Uploaded { staged: staging.finish().await.map_err(not_staged)?, name: None, declared })
}

async fn fetch(app: &App, caller: &Caller, text: &str, kind: MediaKind) -> Result<Uploaded, ApiError> {
    let limit = app.media.limit(kind);
    let url = app.egress.check(text).map_err(|refusal| url_refused(&refusal.to_string()))?;
    let limits = FetchLimits { max_bytes: limit, timeout: PATIENCE, redirects: REDIRECTS };
    let fetched = app.egress.of(caller.id()).get(url, limits).await.map_err(|error| failed(&error))?;
    if !fetched.status.is_success() {
        let message = format!("The server of `media_url` answered with status {}.", fetched.status.as_u16());
        return Err(ApiError::because(ErrorCode::MediaUrlFailed, message));
    }
    let declared = fetched.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let name = fetched.url.path_segments().and_then(|mut parts| parts.next_back().map(decoded)).filter(|name| !name.is_empty());
    let mut staging = app.media.stage(limit).await.map_err(not_staged)?;
    let mut body = fetched.body;
    while let Some(chunk) = body.next().await {
        staging.write(&chunk.map_err(|error| failed(&error))?).await.map_err(not_staged)?;
    }
    Ok(Uploaded { staged: staging.finish().await.map_err(not_staged)?, name, declared })
}

/// A part of a path as people read it.
fn decoded(part: &str) -> String {
    let plus = part.replace('+', "%2B");
    form_urlencoded::parse(format!("n={plus}").as_bytes()).next().map(|(_, name)| name.into_owned()).unwrap_or_default()
}

fn url_refused(why: &str) -> ApiError {
    ApiError::new(ErrorCode::MediaUrlRefused).with_field("media_url", why)
}

fn failed(error: &EgressError) -> ApiError {
    match error {
        EgressError::Refused(refusal) => url_refused(&refusal.to_string()),
        EgressError::TooLarge(limit) => too_large(*limit),
        other => ApiError::because(ErrorCode::MediaUrlFailed, format!("The file at `media_url` could not be fetched: {other}.")),
    }
}
