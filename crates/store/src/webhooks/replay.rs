//! Delivering again: one delivery, a range of time, or a test. And the removal of old deliveries.

use super::fan_out::{Wanted, job};
use super::rows::DeliveryRow;
use super::{Delivery, Webhook};
use crate::dialect::{AssertSqlSafe, Rows, pieces, query, query_as, refused};
use crate::events::{Event, NewEvent};
use crate::rows::event::Model;
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::{DeliveryId, EventKind, Timestamp, WebhookId};
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// Events that one transaction delivers again.
const PIECE: i64 = 500;
/// Events that one call delivers again.
const MOST: u64 = 100_000;

/// Which deliveries of a range to repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayOnly {
    /// Those that were given up.
    Failed,
    /// All events that the endpoint wants, delivered before or not.
    All,
}

/// A range to repeat.
#[derive(Debug, Clone, Copy)]
pub struct Replay {
    /// Events from this time on.
    pub since: Timestamp,
    /// Events before this time.
    pub until: Timestamp,
    /// Which of them.
    pub only: ReplayOnly,
}

/// What came of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// Deliveries that were put on their way.
    pub count: u64,
    /// Whether that is all of the range; else ask again.
    pub complete: bool,
}

static REPEAT: Rows = Rows::new(
    "INSERT INTO webhook_deliveries (id, endpoint_id, event_seq, event_id, kind, state, round, attempts, created_at, next_at) VALUES ",
    "(?, ?, ?, ?, ?, 0, 0, 0, ?, ?)",
    " ON CONFLICT (endpoint_id, event_seq) DO UPDATE SET state = 0, round = webhook_deliveries.round + 1, attempts = 0, \
     next_at = excluded.next_at, ended_at = NULL RETURNING id, event_seq, round",
);

const EVENTS: &str = "SELECT seq, id, user_id, session_id, kind, message_id, data, at FROM events";

/// Puts these events on their way to an endpoint, again or for the first time.
async fn repeat(tx: &mut Tx, webhook: &Webhook, events: &[Arc<Event>]) -> Result<(), StoreError> {
    let now = tx.clock.now();
    let mut rounds: HashMap<i64, (Uuid, i32)> = HashMap::with_capacity(events.len());
    for piece in pieces(events) {
        let mut insert = query_as::<_, (Uuid, i64, i32)>(REPEAT.sql(piece.len()));
        for event in piece {
            insert = insert.bind(DeliveryId::new(&*tx.clock).0).bind(webhook.id.0).bind(event.seq).bind(event.id.0);
            insert = insert.bind(event.kind.as_str()).bind(event.at.0).bind(now.0);
        }
        let rows = insert.fetch_all(&mut tx.conn).await.map_err(refused)?;
        rounds.extend(rows.into_iter().map(|(id, seq, round)| (seq, (id, round))));
    }
    let jobs: Vec<_> = events
        .iter()
        .filter_map(|event| {
            let (delivery, round) = rounds.get(&event.seq)?;
            let wanted = Wanted { delivery: DeliveryId(*delivery), endpoint: webhook.id, event: event.clone() };
            Some(job(&wanted, *round, now))
        })
        .collect();
    if jobs.is_empty() { Ok(()) } else { tx.enqueue(&jobs).await.map(drop) }
}

/// The next piece of a range behind the cursor `after`; the cursor of its last event, wanted or not.
async fn next_piece(tx: &mut Tx, webhook: &Webhook, replay: Replay, after: i64) -> Result<(Option<i64>, Vec<Arc<Event>>), StoreError> {
    let range = "events.user_id = ? AND events.seq > ? AND events.at >= ? AND events.at < ? ORDER BY events.seq LIMIT ?";
    let sql = match replay.only {
        ReplayOnly::All => format!("{EVENTS} WHERE {range}"),
        ReplayOnly::Failed => {
            format!("{EVENTS} WHERE seq IN (SELECT event_seq FROM webhook_deliveries WHERE endpoint_id = ? AND state = 2) AND {range}")
        }
    };
    let mut rows = query_as::<_, Model>(AssertSqlSafe(sql));
    if replay.only == ReplayOnly::Failed {
        rows = rows.bind(webhook.id.0);
    }
    let rows = rows.bind(webhook.user_id.0).bind(after).bind(replay.since.0).bind(replay.until.0).bind(PIECE);
    let rows = rows.fetch_all(&mut tx.conn).await.map_err(refused)?;
    let last = rows.last().map(|row| row.seq);
    let events = rows.into_iter().map(Model::read).collect::<Result<Vec<_>, _>>()?;
    let wants =
        |event: &Event| replay.only == ReplayOnly::Failed || (event.kind != EventKind::WebhookTested && webhook.events.wants(event.kind));
    Ok((last, events.into_iter().filter(wants).map(Arc::new).collect()))
}

impl Store {
    /// Delivers one again, from its first attempt; `None` when it or its event is gone.
    pub async fn replay_delivery(&self, webhook: WebhookId, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let Some(webhook) = super::endpoints::find(tx, webhook).await? else { return Ok(None) };
                let sql = "SELECT seq, id, user_id, session_id, kind, message_id, data, at FROM events WHERE seq = \
                           (SELECT event_seq FROM webhook_deliveries WHERE id = ? AND endpoint_id = ?)";
                let row = query_as::<_, Model>(sql).bind(id.0).bind(webhook.id.0).fetch_optional(&mut tx.conn);
                let Some(event) = row.await.map_err(refused)?.map(Model::read).transpose()? else { return Ok(None) };
                repeat(tx, &webhook, &[Arc::new(event)]).await?;
                let sql = "SELECT * FROM webhook_deliveries WHERE id = ?";
                let row = query_as::<_, DeliveryRow>(sql).bind(id.0).fetch_optional(&mut tx.conn).await.map_err(refused)?;
                row.map(DeliveryRow::read).transpose()
            })
        })
        .await
    }

    /// Delivers a range again, in pieces, oldest first.
    pub async fn replay_deliveries(&self, webhook: &Webhook, replay: Replay) -> Result<Replayed, StoreError> {
        let (mut count, mut after) = (0, 0);
        while count < MOST {
            let webhook = webhook.clone();
            let piece = self.write(move |tx| {
                Box::pin(async move {
                    let (last, events) = next_piece(tx, &webhook, replay, after).await?;
                    repeat(tx, &webhook, &events).await?;
                    Ok((last, events.len() as u64))
                })
            });
            let (last, repeated) = piece.await?;
            count += repeated;
            let Some(last) = last else { return Ok(Replayed { count, complete: true }) };
            after = last;
        }
        Ok(Replayed { count, complete: false })
    }

    /// Writes the event of a test and its delivery, which nobody but the caller attempts: until it reports, it counts as cut off.
    pub async fn begin_webhook_test(&self, id: WebhookId) -> Result<Option<DeliveryId>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let Some(webhook) = super::endpoints::find(tx, id).await? else { return Ok(None) };
                let now = tx.clock.now();
                let data = json!({"webhook": {"id": id, "description": webhook.description, "at": now}});
                let kind = EventKind::WebhookTested;
                tx.record(vec![NewEvent { user_id: webhook.user_id, session_id: None, kind, message_id: None, data, at: now }]).await?;
                let Some(event) = tx.events.last().cloned() else { return Ok(None) };
                let delivery = DeliveryId::new(&*tx.clock);
                let sql = "INSERT INTO webhook_deliveries (id, endpoint_id, event_seq, event_id, kind, state, round, attempts, \
                           created_at, ended_at, last_error) VALUES (?, ?, ?, ?, ?, 2, 0, 0, ?, ?, ?)";
                let insert = query(sql).bind(delivery.0).bind(id.0).bind(event.seq).bind(event.id.0).bind(kind.as_str());
                let insert = insert.bind(now.0).bind(now.0).bind("The test was cut off.");
                insert.execute(&mut tx.conn).await.map_err(refused)?;
                Ok(Some(delivery))
            })
        })
        .await
    }

    /// Removes deliveries with their attempts that have ended and whose event happened before `before`; answers how many.
    pub async fn sweep_deliveries(&self, before: Timestamp) -> Result<u64, StoreError> {
        let (mut gone, mut after) = (0, 0_i64);
        loop {
            // The order of writing is about that of age: the walk ends at the first piece in which nothing is old.
            let look = "SELECT MAX(seq), MIN(created_at) FROM \
                        (SELECT seq, created_at FROM webhook_deliveries WHERE seq > ? ORDER BY seq LIMIT ?) AS piece";
            let row = query_as::<_, (Option<i64>, Option<i64>)>(look).bind(after).bind(PIECE).fetch_one(&self.inner.readers);
            let (Some(last), Some(oldest)) = row.await.map_err(refused)? else { return Ok(gone) };
            if oldest >= before.0 {
                return Ok(gone);
            }
            let piece = self.write(move |tx| {
                Box::pin(async move {
                    let sql = "DELETE FROM webhook_deliveries WHERE seq > ? AND seq <= ? AND created_at < ? AND state <> 0";
                    let delete = query(sql).bind(after).bind(last).bind(before.0).execute(&mut tx.conn).await;
                    delete.map(|done| done.rows_affected()).map_err(refused)
                })
            });
            gone += piece.await?;
            after = last;
        }
    }
}
