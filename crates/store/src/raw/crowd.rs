//! Many users with a month behind them, made by the database itself: to see whether pages about all of them stay fast.

use super::fill::{Numbers, PATIENCE};
use crate::dialect::{AssertSqlSafe, Source, query, refused};
use crate::{Database, StoreError};
use uuid::Uuid;

/// Days that every user was busy.
const DAYS: i64 = 30;
/// Deliveries of each webhook endpoint.
const DELIVERIES: i64 = 10_000;
/// Milliseconds between two users.
const STEP: i64 = -60_000;

/// Adds `users` with an account each that is not linked, their usage and the server's of a month up to `now` (unix
/// milliseconds), and deliveries for every endpoint, with no server on the database.
///
/// # Errors
/// `Unavailable` with what the database said.
pub async fn crowd(database: &Database, users: i64, now: i64) -> Result<(), StoreError> {
    let mut conn = Source::new(database, PATIENCE)?.connect_writer().await?;
    let Numbers { values, id, .. } = Numbers::of(&conn);
    let of_users = format!(
        "INSERT INTO users (id, username, email, password_hash, is_active, is_admin, max_messages_per_day, max_messages_per_minute, \
         max_sessions, created_at, updated_at) {values} SELECT {}, 'user' || i, 'user' || i || '@example.com', '-', i % 20 <> 0, FALSE, \
         1000, 60, 5, begun + i * step, begun + i * step FROM n, given",
        id("010")
    );
    let of_sessions = format!(
        "INSERT INTO sessions (id, user_id, name, network, status, linked, wanted, generation, created_at, updated_at) {values} \
         SELECT {}, {}, 'default', 'sandbox', 'disconnected', FALSE, FALSE, 0, begun + i * step, begun + i * step FROM n, given",
        id("011"),
        id("010")
    );
    let of_days = format!(
        "INSERT INTO usage_daily (user_id, day, accepted, sent, received, failed, media_sent, api_requests) {values} \
         SELECT users.id, begun / 86400000 - i, 100 + i, 90 + i, 20, i % 7, 5, 300 + i FROM users, n, given WHERE TRUE \
         ON CONFLICT (user_id, day) DO NOTHING"
    );
    let of_hours = format!(
        "INSERT INTO usage_hourly (hour, accepted, sent, received, failed) {values} \
         SELECT begun / 3600000 - i, 4000 + i, 3900 + i, 800, i % 50 FROM n, given WHERE TRUE ON CONFLICT (hour) DO NOTHING"
    );
    let of_requests = format!(
        "INSERT INTO api_hourly (hour, status_class, step, requests) {values} SELECT begun / 3600000 - i / 40, \
         CASE WHEN i % 40 < 20 THEN 2 WHEN i % 40 < 30 THEN 4 ELSE 5 END, i % 40, 100 + i % 9 FROM n, given WHERE TRUE \
         ON CONFLICT (hour, status_class, step) DO NOTHING"
    );
    let of_deliveries = format!(
        "INSERT INTO webhook_deliveries (id, endpoint_id, event_seq, event_id, kind, state, round, attempts, created_at, ended_at, \
         last_status, last_latency_ms) {values} SELECT {}, webhook_endpoints.id, i, {}, 'message.accepted', \
         CASE WHEN i % 50 = 0 THEN 2 ELSE 1 END, 1, 1, begun + i * step, begun + i * step, 200, 12 FROM n, given, webhook_endpoints",
        id("012"),
        id("001")
    );
    let (nobody, hours) = (Uuid::nil(), DAYS * 24);
    let pieces = [
        (of_users, 1, users),
        (of_sessions, 1, users),
        (of_days, 0, DAYS),
        (of_hours, 0, hours),
        (of_requests, 0, hours * 40),
        (of_deliveries, 1, DELIVERIES),
    ];
    conn.begin(false).await.map_err(refused)?;
    for (sql, from, to) in pieces {
        let insert = query(AssertSqlSafe(sql)).bind(from).bind(to).bind(nobody).bind(nobody).bind(now).bind(STEP);
        insert.execute(&mut conn).await.map_err(refused)?;
    }
    conn.commit(None, false).await.map_err(refused)?;
    conn.command("ANALYZE").await.map_err(refused)?;
    conn.close().await;
    Ok(())
}
