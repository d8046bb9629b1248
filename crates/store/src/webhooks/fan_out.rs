//! From events to deliveries: in the transaction of the event, one row and one job for each endpoint that wants it.

use super::WEBHOOK_JOB;
use crate::StoreError;
use crate::dialect::{Rows, pieces, query, query_as, query_scalar, refused};
use crate::events::Event;
use crate::jobs::NewJob;
use crate::rows::from_row;
use crate::writer::Tx;
use sanasend_model::webhook::EventFilter;
use sanasend_model::{DeliveryId, EventKind, Timestamp, UserId, WebhookId};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;

struct Listening {
    id: Uuid,
    user_id: Uuid,
    events: String,
}

from_row!("webhook_endpoints": Listening { id, user_id, events });

static LISTENING: Rows = Rows::new("SELECT id, user_id, events FROM webhook_endpoints WHERE is_active AND user_id IN (", "?", ")");
static INSERT: Rows = Rows::new(
    "INSERT INTO webhook_deliveries (id, endpoint_id, event_seq, event_id, kind, state, round, attempts, created_at, next_at) VALUES ",
    "(?, ?, ?, ?, ?, 0, 0, 0, ?, ?)",
    "",
);

/// One delivery to make or to repeat.
pub(super) struct Wanted {
    pub(super) delivery: DeliveryId,
    pub(super) endpoint: WebhookId,
    pub(super) event: Arc<Event>,
}

/// Makes the deliveries of the events that this transaction wrote from number `first` on.
pub(crate) async fn fan_out(tx: &mut Tx, first: usize) -> Result<(), StoreError> {
    if tx.hookless || tx.events.len() == first {
        return Ok(());
    }
    let events: Vec<Arc<Event>> = tx.events.get(first..).unwrap_or_default().to_vec();
    let listening = listening(tx, &events).await?;
    if listening.is_empty() {
        return look_for_any(tx).await;
    }
    let mut wanted = Vec::new();
    for event in &events {
        for (endpoint, _, filter) in listening.iter().filter(|(_, user, _)| *user == event.user_id) {
            if event.kind != EventKind::WebhookTested && filter.wants(event.kind) {
                wanted.push(Wanted { delivery: DeliveryId::new(&*tx.clock), endpoint: *endpoint, event: event.clone() });
            }
        }
    }
    let now = tx.clock.now();
    for piece in pieces(&wanted) {
        let mut insert = query(INSERT.sql(piece.len()));
        for Wanted { delivery, endpoint, event } in piece {
            insert = insert.bind(delivery.0).bind(endpoint.0).bind(event.seq).bind(event.id.0).bind(event.kind.as_str());
            insert = insert.bind(event.at.0).bind(now.0);
        }
        insert.execute(&mut tx.conn).await.map_err(refused)?;
    }
    let jobs: Vec<NewJob> = wanted.iter().map(|wanted| job(wanted, 0, now)).collect();
    if jobs.is_empty() { Ok(()) } else { tx.enqueue(&jobs).await.map(drop) }
}

/// Endpoints of the users that events are about.
async fn listening(tx: &mut Tx, events: &[Arc<Event>]) -> Result<Vec<(WebhookId, UserId, EventFilter)>, StoreError> {
    let users: BTreeSet<UserId> = events.iter().map(|event| event.user_id).collect();
    let users: Vec<UserId> = users.into_iter().collect();
    let mut found = Vec::new();
    for piece in pieces(&users) {
        let mut select = query_as::<_, Listening>(LISTENING.sql(piece.len()));
        for user in piece {
            select = select.bind(user.0);
        }
        let rows = select.fetch_all(&mut tx.conn).await.map_err(refused)?;
        found.extend(rows.into_iter().map(|row| (WebhookId(row.id), UserId(row.user_id), EventFilter::split(&row.events))));
    }
    Ok(found)
}

/// Notes when nobody listens at all, so that the next event costs no question. Holds until an endpoint is made or changed; on
/// a database that other processes write to, every transaction asks that anew as it begins.
async fn look_for_any(tx: &mut Tx) -> Result<(), StoreError> {
    if tx.is_shared() {
        return Ok(());
    }
    let sql = "SELECT COUNT(*) FROM (SELECT 1 AS one FROM webhook_endpoints WHERE is_active LIMIT 1) AS any_active";
    let any = query_scalar::<_, i64>(sql).fetch_one(&mut tx.conn).await.map_err(refused)?;
    tx.hookless = any == 0;
    Ok(())
}

/// The job of a delivery. Its bundle belongs to the user. Its lane keeps the events of one chat (or of one account) in their order.
pub(super) fn job(wanted: &Wanted, round: i32, due_at: Timestamp) -> NewJob {
    let event = &wanted.event;
    let chat = event.data.get("message").and_then(|message| message.get("chat")).and_then(serde_json::Value::as_str);
    let about = chat.map(str::to_owned).or_else(|| event.session_id.map(|session| session.to_string()));
    let session = event.session_id.map(|session| session.to_string()).unwrap_or_default();
    NewJob {
        kind: WEBHOOK_JOB,
        lane: about.map(|about| format!("webhook {} {session} {about}", wanted.endpoint)),
        bundle: Some(format!("{}/{}", event.user_id, wanted.endpoint)),
        user_id: Some(event.user_id),
        payload: json!({"delivery": wanted.delivery, "round": round}),
        due_at,
    }
}
