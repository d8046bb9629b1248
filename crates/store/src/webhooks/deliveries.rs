//! Looking at deliveries: lists, one with its attempts, and what an attempt needs to know.

use super::rows::{AttemptRow, DeliveryRow, EndpointRow, number};
use super::{Webhook, WebhookSecret};
use crate::dialect::{AssertSqlSafe, DbRow, FromRow, query_as, query_scalar, refused};
use crate::events::Event;
use crate::rows::event;
use crate::{Listed, Page, Store, StoreError};
use sanasend_model::webhook::DeliveryState;
use sanasend_model::{DeliveryId, EventId, EventKind, Timestamp, WebhookId};
use serde_json::{Map, Value};

/// The delivery of one event to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Id.
    pub id: DeliveryId,
    /// The endpoint.
    pub webhook_id: WebhookId,
    /// The event's cursor.
    pub event_seq: i64,
    /// The event's id, which is the `webhook-id` of every attempt.
    pub event_id: EventId,
    /// What the event tells.
    pub kind: EventKind,
    /// How it stands.
    pub state: DeliveryState,
    /// How often it was replayed.
    pub round: i32,
    /// Attempts of this round.
    pub attempts: u32,
    /// When the event happened.
    pub created_at: Timestamp,
    /// When it is tried next.
    pub next_at: Option<Timestamp>,
    /// When it was taken or given up.
    pub ended_at: Option<Timestamp>,
    /// HTTP status of the last answer.
    pub last_status: Option<u16>,
    /// How long the last attempt took, in milliseconds.
    pub last_latency_ms: Option<i32>,
    /// Why the last attempt came to nothing.
    pub last_error: Option<String>,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// When it began.
    pub at: Timestamp,
    /// Headers that were sent.
    pub request_headers: Map<String, Value>,
    /// HTTP status of the answer.
    pub response_status: Option<u16>,
    /// Headers of the answer.
    pub response_headers: Option<Map<String, Value>>,
    /// The beginning of the answer's body.
    pub response_body: Option<String>,
    /// How long it took, in milliseconds.
    pub latency_ms: i32,
    /// Why it came to nothing.
    pub error: Option<String>,
}

/// Which deliveries to list.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// Only those in this state.
    pub state: Option<DeliveryState>,
    /// Only those of this kind of event.
    pub kind: Option<EventKind>,
    /// Only events from this time on.
    pub since: Option<Timestamp>,
    /// Only events before this time.
    pub until: Option<Timestamp>,
}

/// What an attempt needs to know.
#[derive(Debug, Clone)]
pub struct Delivering {
    /// The delivery.
    pub delivery: Delivery,
    /// The endpoint.
    pub webhook: Webhook,
    /// What it is signed with, the present secret first.
    pub secrets: Vec<WebhookSecret>,
    /// Whether the endpoint's user is active.
    pub user_is_active: bool,
    /// The event; `None` when the log does not keep it any more.
    pub event: Option<Event>,
}

const WHERE: &str = "endpoint_id = ? AND (? IS NULL OR state = ?) AND (? IS NULL OR kind = ?) \
                     AND (? IS NULL OR created_at >= ?) AND (? IS NULL OR created_at < ?)";

macro_rules! filtered {
    ($query:expr, $webhook:expr, $filter:expr) => {{
        let state = $filter.state.map(number);
        let kind = $filter.kind.map(EventKind::as_str);
        let (since, until) = ($filter.since.map(|at| at.0), $filter.until.map(|at| at.0));
        let query = $query.bind($webhook.0).bind(state).bind(state).bind(kind).bind(kind);
        query.bind(since).bind(since).bind(until).bind(until)
    }};
}

impl Store {
    /// A page of an endpoint's deliveries, the newest event first.
    pub async fn list_deliveries(&self, webhook: WebhookId, filter: &DeliveryFilter, page: Page) -> Result<Listed<Delivery>, StoreError> {
        let count = AssertSqlSafe(format!("SELECT COUNT(*) FROM webhook_deliveries WHERE {WHERE}"));
        let count = filtered!(query_scalar::<_, i64>(count), webhook, filter).fetch_one(&self.inner.readers).await.map_err(refused)?;
        let sql = format!("SELECT * FROM webhook_deliveries WHERE {WHERE} ORDER BY event_seq DESC LIMIT ? OFFSET ?");
        let rows = filtered!(query_as::<_, DeliveryRow>(AssertSqlSafe(sql)), webhook, filter);
        let rows = rows.bind(i64::try_from(page.page_size).unwrap_or(i64::MAX)).bind(i64::try_from(page.offset()).unwrap_or(i64::MAX));
        let rows = rows.fetch_all(&self.inner.readers).await.map_err(refused)?;
        let results = rows.into_iter().map(DeliveryRow::read).collect::<Result<_, _>>()?;
        Ok(Listed { count: u64::try_from(count).unwrap_or(0), results })
    }

    /// An endpoint's deliveries of events before the cursor `before` (none for the newest), the newest first, without a count.
    pub async fn deliveries_before(
        &self,
        webhook: WebhookId,
        filter: &DeliveryFilter,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<Delivery>, StoreError> {
        let sql = format!("SELECT * FROM webhook_deliveries WHERE {WHERE} AND event_seq < ? ORDER BY event_seq DESC LIMIT ?");
        let rows = filtered!(query_as::<_, DeliveryRow>(AssertSqlSafe(sql)), webhook, filter);
        let rows = rows.bind(before.unwrap_or(i64::MAX)).bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let rows = rows.fetch_all(&self.inner.readers).await.map_err(refused)?;
        rows.into_iter().map(DeliveryRow::read).collect()
    }

    /// One delivery of an endpoint.
    pub async fn delivery(&self, webhook: WebhookId, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        let sql = "SELECT * FROM webhook_deliveries WHERE id = ? AND endpoint_id = ?";
        let row = query_as::<_, DeliveryRow>(sql).bind(id.0).bind(webhook.0).fetch_optional(&self.inner.readers);
        row.await.map_err(refused)?.map(DeliveryRow::read).transpose()
    }

    /// The attempts of a delivery in all rounds, oldest first.
    pub async fn attempts(&self, id: DeliveryId) -> Result<Vec<Attempt>, StoreError> {
        let sql = "SELECT * FROM webhook_attempts WHERE delivery_id = ? ORDER BY seq";
        let rows = query_as::<_, AttemptRow>(sql).bind(id.0).fetch_all(&self.inner.readers).await.map_err(refused)?;
        rows.into_iter().map(AttemptRow::read).collect()
    }

    /// One event by its cursor; `None` when the log does not keep it any more.
    pub async fn event(&self, seq: i64) -> Result<Option<Event>, StoreError> {
        let sql = "SELECT seq, id, user_id, session_id, kind, message_id, data, at FROM events WHERE seq = ?";
        let row = query_as::<_, event::Model>(sql).bind(seq).fetch_optional(&self.inner.readers);
        row.await.map_err(refused)?.map(event::Model::read).transpose()
    }

    /// Everything that an attempt needs; `None` when the delivery is gone.
    pub async fn delivering(&self, id: DeliveryId) -> Result<Option<Delivering>, StoreError> {
        let told = query_as::<_, Told>(TOLD).bind(id.0).fetch_optional(&self.inner.readers);
        let to = query_as::<_, To>(TO).bind(id.0).fetch_optional(&self.inner.readers);
        let (told, to) = futures::future::try_join(told, to).await.map_err(refused)?;
        let (Some(Told { delivery, event }), Some(To { endpoint, user_is_active })) = (told, to) else { return Ok(None) };
        let (delivery, event) = (delivery.read()?, event.map(event::Model::read).transpose()?);
        let (webhook, secrets) = (endpoint.read(), endpoint.secrets(&self.inner.sealer, self.inner.clock.now())?);
        Ok(Some(Delivering { delivery, webhook, secrets, user_is_active, event }))
    }
}

// What the event and the delivery share is read once.
const TOLD: &str = "SELECT webhook_deliveries.*, events.user_id, events.session_id, events.message_id, events.data, events.at \
                    FROM webhook_deliveries LEFT JOIN events ON events.seq = webhook_deliveries.event_seq \
                    WHERE webhook_deliveries.id = ?";
const TO: &str = "SELECT webhook_endpoints.*, users.is_active AS user_is_active FROM webhook_deliveries \
                  JOIN webhook_endpoints ON webhook_endpoints.id = webhook_deliveries.endpoint_id \
                  JOIN users ON users.id = webhook_endpoints.user_id WHERE webhook_deliveries.id = ?";

/// A delivery and its event.
struct Told {
    delivery: DeliveryRow,
    event: Option<event::Model>,
}

impl FromRow for Told {
    const FIELDS: &'static [&'static str] = DeliveryRow::FIELDS;

    fn from_row(row: DbRow<'_>) -> Result<Self, sqlx::Error> {
        let kept = row.named::<Option<String>>("data")?;
        let event = kept.map(|data| {
            Ok::<_, sqlx::Error>(event::Model {
                seq: row.named("event_seq")?,
                id: row.named("event_id")?,
                user_id: row.named("user_id")?,
                session_id: row.named("session_id")?,
                kind: row.named("kind")?,
                message_id: row.named("message_id")?,
                data,
                at: row.named("at")?,
            })
        });
        Ok(Self { delivery: DeliveryRow::from_row(row)?, event: event.transpose()? })
    }
}

/// An endpoint, and whether its user is active.
struct To {
    endpoint: EndpointRow,
    user_is_active: bool,
}

impl FromRow for To {
    const FIELDS: &'static [&'static str] = EndpointRow::FIELDS;

    fn from_row(row: DbRow<'_>) -> Result<Self, sqlx::Error> {
        Ok(Self { endpoint: EndpointRow::from_row(row)?, user_is_active: row.named("user_is_active")? })
    }
}
