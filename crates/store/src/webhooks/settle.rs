//! What became of an attempt: the log, the delivery, the endpoint's failures, and the notice when it is switched off.

use super::Delivery;
use super::endpoints::find;
use super::rows::{DeliveryRow, number};
use crate::dialect::{Rows, pieces, query, query_as, refused};
use crate::events::NewEvent;
use crate::together::{AnswerTo, Asked, Together};
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::webhook::{DeliveryState, Streak};
use sanasend_model::{DeliveryId, EventKind, Timestamp, WebhookId};
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap};
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
        self.inner.writer.together(report).await
    }
}

static DELIVERIES: Rows = Rows::new("SELECT * FROM webhook_deliveries WHERE id IN (", "?", ")");
static LOG: Rows = Rows::new(
    "INSERT INTO webhook_attempts (delivery_id, at, request_headers, response_status, response_headers, response_body, latency_ms, \
     error) VALUES ",
    "(?, ?, ?, ?, ?, ?, ?, ?)",
    "",
);
static ADVANCE: Rows = Rows::new(
    "UPDATE webhook_deliveries SET state = fresh.column2, attempts = attempts + fresh.column3, next_at = fresh.column4, \
     ended_at = fresh.column5, last_status = fresh.column6, last_latency_ms = fresh.column7, last_error = fresh.column8 FROM (VALUES ",
    "(?, ?, ?, ?, ?, ?, ?, ?)",
    ") AS fresh WHERE webhook_deliveries.id = fresh.column1",
);
static RECOVERED: Rows = Rows::new(
    "UPDATE webhook_endpoints SET failing_since = NULL, last_failed_at = NULL WHERE failing_since IS NOT NULL AND id IN (",
    "?",
    ")",
);

impl Together for AttemptReport {
    type Answer = ();

    async fn run(tx: &mut Tx, asked: &[Self]) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let ids: BTreeSet<DeliveryId> = asked.iter().map(|report| report.delivery).collect();
        if ids.len() < asked.len() {
            return Err(StoreError::Unavailable("a delivery is reported twice at once".into()));
        }
        let deliveries = deliveries(tx, asked).await?;
        let known = |report: &&Self| deliveries.contains_key(&report.delivery);
        let reports: Vec<&Self> = asked.iter().filter(known).collect();
        log(tx, &reports).await?;
        // The same attempt may be reported twice after a crash: what was taken stays taken.
        let is_news = |report: &&&Self| {
            let delivery = deliveries.get(&report.delivery);
            delivery.is_some_and(|delivery| delivery.round == report.round && delivery.state != DeliveryState::Succeeded)
        };
        advance(tx, &reports.iter().filter(is_news).copied().collect::<Vec<_>>()).await?;
        let mut good = BTreeSet::new();
        for report in reports {
            let Some(delivery) = deliveries.get(&report.delivery) else { continue };
            if report.outcome == AttemptOutcome::Succeeded {
                good.insert(delivery.webhook_id);
                continue;
            }
            if good.remove(&delivery.webhook_id) {
                recovered(tx, &[delivery.webhook_id]).await?;
            }
            failed(tx, delivery.webhook_id, report).await?;
        }
        recovered(tx, &good.into_iter().collect::<Vec<_>>()).await?;
        Ok(asked.iter().map(|_| Ok(())).collect())
    }

    fn with(self, answer: AnswerTo<Self>) -> Asked {
        Asked::Settle(Box::new(self), answer)
    }
}

async fn deliveries(tx: &mut Tx, asked: &[AttemptReport]) -> Result<HashMap<DeliveryId, Delivery>, StoreError> {
    let mut found = HashMap::with_capacity(asked.len());
    for piece in pieces(asked) {
        let mut select = query_as::<_, DeliveryRow>(DELIVERIES.sql(piece.len()));
        for report in piece {
            select = select.bind(report.delivery.0);
        }
        for row in select.fetch_all(&mut tx.conn).await.map_err(refused)? {
            let delivery = row.read()?;
            found.insert(delivery.id, delivery);
        }
    }
    Ok(found)
}

async fn log(tx: &mut Tx, reports: &[&AttemptReport]) -> Result<(), StoreError> {
    let text = |headers: &Map<String, Value>| Value::Object(headers.clone()).to_string();
    let attempts: Vec<_> = reports.iter().filter_map(|report| Some((report.delivery, report.attempt.as_ref()?, &report.error))).collect();
    for piece in pieces(&attempts) {
        let mut insert = query(LOG.sql(piece.len()));
        for (delivery, attempt, error) in piece {
            insert = insert.bind(delivery.0).bind(attempt.at.0).bind(text(&attempt.request_headers));
            insert = insert.bind(attempt.response_status.map(i32::from)).bind(attempt.response_headers.as_ref().map(text));
            insert = insert.bind(attempt.response_body.clone()).bind(attempt.latency_ms).bind((*error).clone());
        }
        insert.execute(&mut tx.conn).await.map_err(refused)?;
    }
    Ok(())
}

async fn advance(tx: &mut Tx, reports: &[&AttemptReport]) -> Result<(), StoreError> {
    let now = tx.clock.now();
    for piece in pieces(reports) {
        let mut update = query(ADVANCE.sql(piece.len()));
        for report in piece {
            let (state, next_at) = match report.outcome {
                AttemptOutcome::Succeeded => (DeliveryState::Succeeded, None),
                AttemptOutcome::Retry(at) => (DeliveryState::Pending, Some(at.0)),
                AttemptOutcome::Dead => (DeliveryState::Dead, None),
            };
            let ended_at = (state != DeliveryState::Pending).then_some(now.0);
            let attempt = report.attempt.as_ref();
            update = update.bind(report.delivery.0).bind(number(state)).bind(i32::from(attempt.is_some())).bind(next_at).bind(ended_at);
            update = update.bind(attempt.and_then(|attempt| attempt.response_status).map(i32::from));
            update = update.bind(attempt.map(|attempt| attempt.latency_ms)).bind(report.error.clone());
        }
        update.execute(&mut tx.conn).await.map_err(refused)?;
    }
    Ok(())
}

async fn recovered(tx: &mut Tx, endpoints: &[WebhookId]) -> Result<(), StoreError> {
    for piece in pieces(endpoints) {
        let mut update = query(RECOVERED.sql(piece.len()));
        for id in piece {
            update = update.bind(id.0);
        }
        update.execute(&mut tx.conn).await.map_err(refused)?;
    }
    Ok(())
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
