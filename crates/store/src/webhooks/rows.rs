//! The tables `webhook_endpoints`, `webhook_deliveries` and `webhook_attempts`, as rows.

use super::{Attempt, Delivery, Webhook};
use crate::StoreError;
use crate::rows::{Place, from_row};
use sanasend_model::webhook::{DeliveryState, EventFilter, Streak};
use sanasend_model::{DeliveryId, EventId, Timestamp, UserId, WebhookId};
use uuid::Uuid;

pub(super) struct EndpointRow {
    pub(super) id: Uuid,
    user_id: Uuid,
    url: String,
    description: String,
    events: String,
    is_active: bool,
    pub(super) secret: Vec<u8>,
    pub(super) previous_secret: Option<Vec<u8>>,
    pub(super) previous_until: Option<i64>,
    failing_since: Option<i64>,
    last_failed_at: Option<i64>,
    disabled_at: Option<i64>,
    disabled_reason: Option<String>,
    created_at: i64,
    updated_at: i64,
}

from_row!("webhook_endpoints": EndpointRow {
    id, user_id, url, description, events, is_active, secret, previous_secret, previous_until, failing_since, last_failed_at,
    disabled_at, disabled_reason, created_at, updated_at
});

impl EndpointRow {
    pub(super) fn read(&self) -> Webhook {
        let streak = |since, last| Streak { since: Timestamp(since), last: Timestamp(last) };
        Webhook {
            id: WebhookId(self.id),
            user_id: UserId(self.user_id),
            url: self.url.clone(),
            description: self.description.clone(),
            events: EventFilter::split(&self.events),
            is_active: self.is_active,
            previous_secret_until: self.previous_until.map(Timestamp),
            failing: self.failing_since.zip(self.last_failed_at).map(|(since, last)| streak(since, last)),
            disabled_at: self.disabled_at.map(Timestamp),
            disabled_reason: self.disabled_reason.clone(),
            created_at: Timestamp(self.created_at),
            updated_at: Timestamp(self.updated_at),
        }
    }
}

pub(super) struct DeliveryRow {
    id: Uuid,
    endpoint_id: Uuid,
    event_seq: i64,
    event_id: Uuid,
    kind: String,
    state: i16,
    round: i32,
    attempts: i32,
    created_at: i64,
    next_at: Option<i64>,
    ended_at: Option<i64>,
    last_status: Option<i32>,
    last_latency_ms: Option<i32>,
    last_error: Option<String>,
}

from_row!("webhook_deliveries": DeliveryRow {
    id, endpoint_id, event_seq, event_id, kind, state, round, attempts, created_at, next_at, ended_at, last_status,
    last_latency_ms, last_error
});

impl DeliveryRow {
    pub(super) fn read(self) -> Result<Delivery, StoreError> {
        let place = Place { table: "webhook_deliveries", row: &self.id };
        Ok(Delivery {
            id: DeliveryId(self.id),
            webhook_id: WebhookId(self.endpoint_id),
            event_seq: self.event_seq,
            event_id: EventId(self.event_id),
            kind: place.name("kind", &self.kind)?,
            state: state(self.state).ok_or_else(|| place.corrupt("state"))?,
            round: self.round,
            attempts: u32::try_from(self.attempts).map_err(|_| place.corrupt("attempts"))?,
            created_at: Timestamp(self.created_at),
            next_at: self.next_at.map(Timestamp),
            ended_at: self.ended_at.map(Timestamp),
            last_status: self.last_status.and_then(|status| u16::try_from(status).ok()),
            last_latency_ms: self.last_latency_ms,
            last_error: self.last_error,
        })
    }
}

pub(super) struct AttemptRow {
    seq: i64,
    at: i64,
    request_headers: String,
    response_status: Option<i32>,
    response_headers: Option<String>,
    response_body: Option<String>,
    latency_ms: i32,
    error: Option<String>,
}

from_row!("webhook_attempts": AttemptRow {
    seq, at, request_headers, response_status, response_headers, response_body, latency_ms, error
});

impl AttemptRow {
    pub(super) fn read(self) -> Result<Attempt, StoreError> {
        let place = Place { table: "webhook_attempts", row: &self.seq };
        Ok(Attempt {
            at: Timestamp(self.at),
            request_headers: place.json("request_headers", Some(&self.request_headers))?.unwrap_or_default(),
            response_status: self.response_status.and_then(|status| u16::try_from(status).ok()),
            response_headers: place.json("response_headers", self.response_headers.as_deref())?,
            response_body: self.response_body,
            latency_ms: self.latency_ms,
            error: self.error,
        })
    }
}

/// How a state is written.
pub(super) const fn number(state: DeliveryState) -> i16 {
    match state {
        DeliveryState::Pending => 0,
        DeliveryState::Succeeded => 1,
        DeliveryState::Dead => 2,
    }
}

pub(super) fn state(number_: i16) -> Option<DeliveryState> {
    DeliveryState::ALL.into_iter().find(|state| number(*state) == number_)
}
