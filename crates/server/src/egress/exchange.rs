//! Requests and their answers, with caps on everything that the other side decides.

use super::error::EgressError;
use super::lookup::counted_for;
use super::{Egress, url};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Response, StatusCode, Url};
use std::time::Duration;
use tokio::time::Instant;

/// What is read behind the part of an answer that is kept, so that its connection can be used again.
const READ_ON: usize = 64 * 1024;

/// How far to go for a file.
#[derive(Debug, Clone, Copy)]
pub struct FetchLimits {
    /// Largest body, in bytes; a larger one ends the stream with [`EgressError::TooLarge`].
    pub max_bytes: u64,
    /// Longest time for everything, body and redirects included.
    pub timeout: Duration,
    /// How often to follow the answer to another place.
    pub redirects: usize,
}

/// What a fetch brought.
pub struct Fetched {
    /// HTTP status.
    pub status: StatusCode,
    /// HTTP headers.
    pub headers: HeaderMap,
    /// Where it came from in the end.
    pub url: Url,
    /// The body as it comes in.
    pub body: BoxStream<'static, Result<Bytes, EgressError>>,
}

/// The answer to a POST.
#[derive(Debug, Clone)]
pub struct Posted {
    /// HTTP status.
    pub status: StatusCode,
    /// HTTP headers.
    pub headers: HeaderMap,
    /// The beginning of the body.
    pub body: Vec<u8>,
}

impl Egress {
    /// Fetches a file; every redirect is judged like the first URL.
    ///
    /// # Errors
    /// Everything that [`EgressError`] names; a status that is no success is no error.
    pub async fn get(&self, url: Url, limits: FetchLimits) -> Result<Fetched, EgressError> {
        let until = Instant::now() + limits.timeout;
        let mut url = url::judge(url, &self.allowed)?;
        for _ in 0..=limits.redirects {
            let request = self.client.get(url.clone()).timeout(until.saturating_duration_since(Instant::now()));
            let answer = counted_for(self.owner, request.send()).await.map_err(|error| EgressError::of(&error))?;
            if !is_redirect(answer.status()) {
                return fetched(answer, url, limits.max_bytes);
            }
            let target = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok()).ok_or(EgressError::Redirects)?;
            let target = url.join(target).map_err(|_| EgressError::Redirects)?;
            url = url::judge(target, &self.allowed)?;
        }
        Err(EgressError::Redirects)
    }

    /// Posts a body; the answer is what this host said, a redirect too. At most `max_answer` bytes of its body are kept.
    ///
    /// # Errors
    /// Everything that [`EgressError`] names but `Redirects` and `TooLarge`. Once the status is there, a body that breaks
    /// off is kept as far as it came.
    pub async fn post(
        &self,
        url: Url,
        headers: HeaderMap,
        body: Bytes,
        timeout: Duration,
        max_answer: usize,
    ) -> Result<Posted, EgressError> {
        let url = url::judge(url, &self.allowed)?;
        let request = self.client.post(url).headers(headers).body(body).timeout(timeout);
        let mut answer = counted_for(self.owner, request.send()).await.map_err(|error| EgressError::of(&error))?;
        let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
        let mut kept = Vec::new();
        let mut read = 0;
        while let Ok(Some(chunk)) = answer.chunk().await {
            let missing = max_answer.saturating_sub(kept.len()).min(chunk.len());
            kept.extend_from_slice(chunk.get(..missing).unwrap_or_default());
            read += chunk.len();
            if read > max_answer.saturating_add(READ_ON) {
                break;
            }
        }
        Ok(Posted { status, headers, body: kept })
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn fetched(mut answer: Response, url: Url, max_bytes: u64) -> Result<Fetched, EgressError> {
    if answer.content_length().is_some_and(|length| length > max_bytes) {
        return Err(EgressError::TooLarge(max_bytes));
    }
    let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
    let mut read = 0_u64;
    let counted = answer.bytes_stream().map_err(|error| EgressError::of(&error)).map(move |chunk| {
        let chunk = chunk?;
        read = read.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        if read > max_bytes { Err(EgressError::TooLarge(max_bytes)) } else { Ok(chunk) }
    });
    Ok(Fetched { status, headers, url, body: counted.boxed() })
}
