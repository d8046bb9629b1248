//! What became of an attempt: the log, the delivery, the endpoint's failures, and the notice when it is switched off.

use super::endpoints::find;
use super::rows::{DeliveryRow, number};
use crate::dialect::{query, query_as, refused};
use crate::events::NewEvent;
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::webhook::{DeliveryState, Streak};
use sanasend_model::{DeliveryId, EventKind, Timestamp, WebhookId};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// An attempt for the log.
#[derive(Debug, Clone)]
pub struct NewAttempt {
    /// When it began.
    pub at: Timestamp,
    /// Headers that were sent; nothing secret.
    pub request_headers: Map<String, Value>,
    /// HTTP status of the answer.
    pub response_status: Option<u16>,
    /// Headers of the answer.
    pub response_headers: Option<Map<String, Value>>,
    /// The beginning of the answer's body.
    pub response_body: Option<String>,
    /// How long it took, in milliseconds.
    pub latency_ms: i32,
}

/// What it means for the delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The receiver has it.
    Succeeded,
    /// Tried again at this time.
    Retry(Timestamp),
    /// Given up.
    Dead,
}

/// An attempt and what it means.
#[derive(Debug, Clone)]
pub struct AttemptReport {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Its round when the attempt began; a report of another round only goes into the log.
    pub round: i32,
    /// The attempt; `None` when it was given up without one.
    pub attempt: Option<NewAttempt>,
    /// What it means for the delivery.
    pub outcome: AttemptOutcome,
    /// Why it came to nothing, for people.
    pub error: Option<String>,
    /// The receiver said that it is gone for good: the endpoint is switched off at once.
    pub gone: bool,
    /// For how long an endpoint may fail before it is switched off; `None` when this attempt says nothing about that.
    pub patience: Option<Duration>,
}

impl Store {
    /// Writes down what became of an attempt. A delivery that was removed meanwhile is no error.
    pub async fn settle_delivery(&self, report: AttemptReport) -> Result<(), StoreError> {
        self.write(move |tx| Box::pin(settle(tx, report))).await
    }
}

async fn settle(tx: &mut Tx, report: AttemptReport) -> Result<(), StoreError> {
    let sql = "SELECT * FROM webhook_deliveries WHERE id = ?";
    let row = query_as::<_, DeliveryRow>(sql).bind(report.delivery.0).fetch_optional(&mut tx.conn).await.map_err(refused)?;
    let Some(delivery) = row.map(DeliveryRow::read).transpose()? else { return Ok(()) };
    if let Some(attempt) = &report.attempt {
        log(tx, report.delivery, attempt, report.error.as_deref()).await?;
    }
    // The same attempt may be reported twice after a crash: what was taken stays taken.
    if delivery.round == report.round && delivery.state != DeliveryState::Succeeded {
        advance(tx, &report).await?;
    }
    match report.outcome {
        AttemptOutcome::Succeeded => recovered(tx, delivery.webhook_id).await,
        _ => failed(tx, delivery.webhook_id, &report).await,
    }
}

async fn log(tx: &mut Tx, delivery: DeliveryId, attempt: &NewAttempt, error: Option<&str>) -> Result<(), StoreError> {
    let sql = "INSERT INTO webhook_attempts (delivery_id, at, request_headers, response_status, response_headers, response_body, \
               latency_ms, error) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    let text = |headers: &Map<String, Value>| Value::Object(headers.clone()).to_string();
    let insert = query(sql).bind(delivery.0).bind(attempt.at.0).bind(text(&attempt.request_headers));
    let insert = insert.bind(attempt.response_status.map(i32::from)).bind(attempt.response_headers.as_ref().map(text));
    let insert = insert.bind(attempt.response_body.clone()).bind(attempt.latency_ms).bind(error.map(str::to_owned));
    insert.execute(&mut tx.conn).await.map(drop).map_err(refused)
}

async fn advance(tx: &mut Tx, report: &AttemptReport) -> Result<(), StoreError> {
    let now = tx.clock.now();
    let (state, next_at) = match report.outcome {
        AttemptOutcome::Succeeded => (DeliveryState::Succeeded, None),
        AttemptOutcome::Retry(at) => (DeliveryState::Pending, Some(at.0)),
        AttemptOutcome::Dead => (DeliveryState::Dead, None),
    };
    let ended_at = (state != DeliveryState::Pending).then_some(now.0);
    let attempt = report.attempt.as_ref();
    let sql = "UPDATE webhook_deliveries SET state = ?, attempts = attempts + ?, next_at = ?, ended_at = ?, last_status = ?, \
               last_latency_ms = ?, last_error = ? WHERE id = ?";
    let update = query(sql).bind(number(state)).bind(i32::from(attempt.is_some())).bind(next_at).bind(ended_at);
    let update = update.bind(attempt.and_then(|attempt| attempt.response_status).map(i32::from));
    let update = update.bind(attempt.map(|attempt| attempt.latency_ms)).bind(report.error.clone()).bind(report.delivery.0);
    update.execute(&mut tx.conn).await.map(drop).map_err(refused)
}

async fn recovered(tx: &mut Tx, id: WebhookId) -> Result<(), StoreError> {
    let sql = "UPDATE webhook_endpoints SET failing_since = NULL, last_failed_at = NULL WHERE id = ? AND failing_since IS NOT NULL";
    query(sql).bind(id.0).execute(&mut tx.conn).await.map(drop).map_err(refused)
}

/// Adds a failure to the endpoint, and switches it off when it is gone or has failed for too long.
async fn failed(tx: &mut Tx, id: WebhookId, report: &AttemptReport) -> Result<(), StoreError> {
    let Some(patience) = report.patience.filter(|_| report.attempt.is_some()) else { return Ok(()) };
    let Some(webhook) = find(tx, id).await? else { return Ok(()) };
    let now = tx.clock.now();
    let streak = Streak::failed(webhook.failing, now);
    let sql = "UPDATE webhook_endpoints SET failing_since = ?, last_failed_at = ? WHERE id = ?";
    query(sql).bind(streak.since.0).bind(streak.last.0).bind(id.0).execute(&mut tx.conn).await.map_err(refused)?;
    let reason = if report.gone {
        "The receiver answered 410 (gone).".to_owned()
    } else if streak.is_hopeless(patience) {
        format!("Every delivery has failed since {}.", streak.since)
    } else {
        return Ok(());
    };
    if !webhook.is_active {
        return Ok(());
    }
    let sql = "UPDATE webhook_endpoints SET is_active = ?, disabled_at = ?, disabled_reason = ? WHERE id = ?";
    query(sql).bind(false).bind(now.0).bind(reason.clone()).bind(id.0).execute(&mut tx.conn).await.map_err(refused)?;
    // Told to the user's other endpoints: this one is switched off already.
    let told =
        json!({"webhook": {"id": id, "description": webhook.description, "reason": reason, "failing_since": streak.since, "at": now}});
    let notice =
        NewEvent { user_id: webhook.user_id, session_id: None, kind: EventKind::WebhookDisabled, message_id: None, data: told, at: now };
    tx.record(vec![notice]).await.map(drop)
}
