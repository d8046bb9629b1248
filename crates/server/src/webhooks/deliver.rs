//! One delivery: made, judged, written down.

use super::body::body;
use super::sign::sign;
use super::{Inner, Webhooks};
use crate::egress::{EgressError, Posted};
use crate::logs;
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, SET_COOKIE};
use sanasend_model::webhook::{DeliveryState, KEEPS_ORDER, Verdict, judge, next_wait};
use sanasend_model::{DeliveryId, Timestamp, WebhookId};
use sanasend_store::{AttemptOutcome, AttemptReport, Delivering, Event, JobOutcome, NewAttempt, StoreError, WebhookSecret};
use serde_json::{Map, Value};
use std::time::Duration;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

/// Bytes of an answer's body that are kept for its owner to see.
const KEPT_BODY: usize = 2048;
/// Bytes of an answer's headers that are kept.
const KEPT_HEADERS: usize = 4096;
/// How long a job waits when the store did not take what it had to say.
const STORE_REST: Duration = Duration::from_secs(5);

/// What came of a test.
#[derive(Debug, Clone)]
pub struct Tested {
    /// The delivery, in the log.
    pub delivery: DeliveryId,
    /// Whether the receiver took it.
    pub delivered: bool,
    /// The attempt.
    pub attempt: NewAttempt,
    /// Why it came to nothing.
    pub error: Option<String>,
}

/// One request and what came of it.
struct Tried {
    attempt: NewAttempt,
    verdict: Verdict,
    retry_after: Option<Duration>,
    error: Option<String>,
}

impl Webhooks {
    /// Makes the next attempt of a delivery, unless it is done, was replayed since, or can't be made any more.
    pub(super) async fn deliver(&self, id: DeliveryId, round: i32) -> JobOutcome {
        match self.inner.attempt_of(id, round).await {
            Ok(outcome) => outcome,
            // Not written down: it will be made again, and the receiver may be told twice.
            Err(error) => {
                tracing::warn!(delivery = %id, %error, "what became of a webhook delivery could not be read or written");
                let due_at = self.inner.clock.now().plus(STORE_REST);
                JobOutcome::Retry { due_at, reason: "The database was not available.".into(), keep_lane: true }
            }
        }
    }

    /// Posts a test to an endpoint, now and once; `None` when the endpoint is gone.
    ///
    /// # Errors
    /// When the store can't be read or written.
    pub async fn test(&self, id: WebhookId) -> Result<Option<Tested>, StoreError> {
        let inner = &self.inner;
        let Some(delivery) = inner.store.begin_webhook_test(id).await? else { return Ok(None) };
        let Some(Delivering { webhook, secrets, event: Some(event), .. }) = inner.store.delivering(delivery).await? else {
            return Ok(None);
        };
        let Tried { attempt, verdict, error, .. } = inner.post(&webhook.url, &secrets, &event).await;
        let delivered = verdict == Verdict::Delivered;
        let outcome = if delivered { AttemptOutcome::Succeeded } else { AttemptOutcome::Dead };
        let report = AttemptReport {
            delivery,
            round: 0,
            attempt: Some(attempt.clone()),
            outcome,
            error: error.clone(),
            gone: false,
            patience: None,
        };
        inner.store.settle_delivery(report).await?;
        Ok(Some(Tested { delivery, delivered, attempt, error }))
    }
}

impl Inner {
    async fn attempt_of(&self, id: DeliveryId, round: i32) -> Result<JobOutcome, StoreError> {
        let Some(delivering) = self.store.delivering(id).await? else { return Ok(JobOutcome::Done) };
        let Delivering { delivery, webhook, secrets, user_is_active, event } = delivering;
        if delivery.round != round || delivery.state != DeliveryState::Pending {
            return Ok(JobOutcome::Done);
        }
        let Some(event) = event else { return self.give_up(id, round, "The event is not kept any more.").await };
        if !webhook.is_active {
            return self.give_up(id, round, "The endpoint is switched off.").await;
        }
        if !user_is_active {
            return self.give_up(id, round, "The user is deactivated.").await;
        }
        let Tried { attempt, verdict, retry_after, error } = self.post(&webhook.url, &secrets, &event).await;
        let wait = match verdict {
            Verdict::Failed => next_wait(delivery.attempts.saturating_add(1), self.jitter(), retry_after),
            Verdict::Delivered | Verdict::Gone => None,
        };
        let due_at = wait.map(|wait| self.clock.now().plus(wait));
        let outcome = match due_at {
            Some(at) => AttemptOutcome::Retry(at),
            None if verdict == Verdict::Delivered => AttemptOutcome::Succeeded,
            None => AttemptOutcome::Dead,
        };
        tracing::debug!(delivery = %id, status = attempt.response_status, ?outcome, "webhook");
        let (gone, patience) = (verdict == Verdict::Gone, Some(self.options.patience));
        let reason = error.clone().unwrap_or_default();
        let report = AttemptReport { delivery: id, round, attempt: Some(attempt), outcome, error, gone, patience };
        self.store.settle_delivery(report).await?;
        // The dead letter is the delivery itself: the job is done either way.
        Ok(due_at.map_or(JobOutcome::Done, |due_at| JobOutcome::Retry {
            due_at,
            reason,
            keep_lane: wait.is_some_and(|wait| wait <= KEEPS_ORDER),
        }))
    }

    /// Ends a delivery without an attempt.
    async fn give_up(&self, delivery: DeliveryId, round: i32, why: &str) -> Result<JobOutcome, StoreError> {
        let (outcome, error) = (AttemptOutcome::Dead, Some(why.to_owned()));
        let report = AttemptReport { delivery, round, attempt: None, outcome, error, gone: false, patience: None };
        self.store.settle_delivery(report).await.map(|()| JobOutcome::Done)
    }

    /// Posts an event. The URL is judged again: the operator's exceptions may be others by now.
    async fn post(&self, url: &str, secrets: &[WebhookSecret], event: &Event) -> Tried {
        let body = Bytes::from(body(event).to_string());
        let (at, id) = (self.clock.now(), event.id.to_string());
        let mut headers = headers(&id, at, &sign(secrets, &id, at.as_secs(), &body));
        let url = self.egress.check(url);
        let span = match &url {
            Ok(_) => tracing::debug_span!("post_webhook", otel.kind = "client", event = %event.id),
            Err(_) => Span::none(),
        };
        if let Some(parent) = logs::trace_parent(&span) {
            headers.insert(logs::TRACE_PARENT, parent);
        }
        let request_headers = shown(&headers);
        let began = Instant::now();
        let answer = match url {
            Ok(url) => self.egress.of(event.user_id).post(url, headers, body, self.options.timeout, KEPT_BODY).instrument(span).await,
            Err(refusal) => Err(EgressError::Refused(refusal)),
        };
        let took = began.elapsed();
        let latency_ms = i32::try_from(took.as_millis()).unwrap_or(i32::MAX);
        let attempt = NewAttempt { at, request_headers, response_status: None, response_headers: None, response_body: None, latency_ms };
        let tried = match answer {
            Ok(Posted { status, headers, body }) => {
                let verdict = judge(status.as_u16());
                Tried {
                    attempt: NewAttempt {
                        response_status: Some(status.as_u16()),
                        response_headers: Some(shown(&headers)),
                        response_body: Some(text(&body)),
                        ..attempt
                    },
                    verdict,
                    retry_after: retry_after(&headers, self.clock.now()),
                    error: (verdict != Verdict::Delivered).then(|| refused_with(status.as_u16())),
                }
            }
            Err(error) => Tried { attempt, verdict: Verdict::Failed, retry_after: None, error: Some(error.to_string()) },
        };
        crate::metrics::webhook_tried(tried.verdict, tried.attempt.response_status.is_some(), took);
        tried
    }

    fn jitter(&self) -> u8 {
        let mut random = [0_u8; 1];
        self.clock.fill(&mut random);
        random[0]
    }
}

fn refused_with(status: u16) -> String {
    match status {
        300..=399 => format!("the receiver answered {status}: redirects are not followed"),
        410 => "the receiver answered 410: it is gone".to_owned(),
        _ => format!("the receiver answered {status}"),
    }
}

fn headers(id: &str, at: Timestamp, signature: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let values = [("webhook-id", id), ("webhook-timestamp", &at.as_secs().to_string()), ("webhook-signature", signature)];
    for (name, value) in values {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers
}

/// Headers for people, without cookies, as many as fit.
fn shown(headers: &HeaderMap) -> Map<String, Value> {
    let mut left = KEPT_HEADERS;
    let mut shown = Map::new();
    for (name, value) in headers.iter().filter(|(name, _)| **name != SET_COOKIE) {
        let value = text(value.as_bytes());
        let Some(less) = left.checked_sub(name.as_str().len() + value.len()) else { break };
        left = less;
        shown.insert(name.as_str().to_owned(), Value::String(value));
    }
    shown
}

/// Bytes of a stranger as text that every database takes.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}")
}

/// `Retry-After`: seconds, or a date.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = chrono::DateTime::parse_from_rfc2822(value).ok()?;
    Some(Timestamp(date.timestamp_millis()).since(now))
}
