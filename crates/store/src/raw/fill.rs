//! A database of millions of rows, made by the database itself: to see whether lists stay fast in one.
//!
//! Rows are of the real tables with what people filter by spread as in life: most messages are read, a few failed, ten in
//! all are canceled; most requests succeed, a thousandth fails.

use crate::dialect::{AssertSqlSafe, Conn, Source, query, query_as, query_scalar, refused};
use crate::{Cursor, Database, StoreError};
use std::time::Duration;
use uuid::Uuid;

/// How long the database may take for one piece.
pub(super) const PATIENCE: Duration = Duration::from_mins(5);
/// Rows of one transaction.
const PIECE: i64 = 100_000;
/// Milliseconds between two rows.
const STEP: i64 = 500;

/// What was written, to ask for it.
#[derive(Debug, Clone, Copy)]
pub struct Filled {
    /// The place in the middle of the messages, and of the API log.
    pub middle: Cursor,
    /// The event in the middle.
    pub event: i64,
    /// Time of the row in the middle, unix milliseconds.
    pub middle_at: i64,
}

/// Puts `rows` messages, events and lines of the API log into a database with one linked account and nothing else, with no
/// server on it; the newest of them is dated `now` (unix milliseconds). `progress` hears how many rows there are of each.
///
/// # Errors
/// `Unavailable` with what the database said, or when the database holds messages or no account.
pub async fn fill(database: &Database, rows: i64, now: i64, progress: impl Fn(i64) + Send) -> Result<Filled, StoreError> {
    let mut conn = Source::new(database, PATIENCE)?.connect_writer().await?;
    let account = query_as::<_, (Uuid, Uuid)>("SELECT id, user_id FROM sessions").fetch_optional(&mut conn).await.map_err(refused)?;
    let there: i64 = query_scalar("SELECT COUNT(*) FROM messages").fetch_one(&mut conn).await.map_err(refused)?;
    let (Some((session, user)), 0) = (account, there) else {
        return Err(StoreError::Unavailable("only a new database with one account is filled".into()));
    };
    let begin = now - rows * STEP;
    // What a start and the linking wrote is in the way of numbers that follow one another.
    for sql in ["DELETE FROM events", "DELETE FROM api_log"] {
        conn.command(sql).await.map_err(refused)?;
    }
    let first: i64 = query_scalar(last_number(&conn, "messages")).fetch_one(&mut conn).await.map_err(refused)?;
    let first_event: i64 = query_scalar(last_number(&conn, "events")).fetch_one(&mut conn).await.map_err(refused)?;
    let statements = statements(&conn);
    let mut from = 1;
    while from <= rows {
        let to = (from + PIECE - 1).min(rows);
        conn.begin(false).await.map_err(refused)?;
        for sql in &statements {
            let insert = query(AssertSqlSafe(sql.clone())).bind(from).bind(to).bind(user).bind(session).bind(begin).bind(STEP);
            insert.execute(&mut conn).await.map_err(refused)?;
        }
        conn.commit(None, false).await.map_err(refused)?;
        progress(to);
        from = to + 1;
    }
    if matches!(conn, Conn::Postgres(_)) {
        conn.command("ANALYZE").await.map_err(refused)?;
    }
    conn.close().await;
    let middle = rows / 2;
    let middle_at = begin + middle * STEP;
    Ok(Filled { middle: Cursor { created_at: middle_at, seq: first + middle }, event: first_event + middle, middle_at })
}

/// The number that was given last in a table.
fn last_number(conn: &Conn, table: &'static str) -> AssertSqlSafe<String> {
    AssertSqlSafe(match conn {
        Conn::Sqlite(_) => format!("SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = '{table}'), 0)"),
        Conn::Postgres(_) => {
            format!("SELECT COALESCE((SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {table}_seq_seq), 0)")
        }
    })
}

/// How a database counts from a first to a last number `i` and makes an id of one. Statements that begin with `values` are
/// given the first and the last number, a user, an account, a time and the milliseconds between two rows.
pub(super) struct Numbers {
    /// The beginning of a statement.
    pub(super) values: &'static str,
    /// An id of a kind, of number `i`.
    pub(super) id: fn(&str) -> String,
    random: &'static str,
}

impl Numbers {
    pub(super) fn of(conn: &Conn) -> Self {
        match conn {
            // The numbers first, so that values come in the same order in both.
            Conn::Sqlite(_) => Self {
                values: "WITH RECURSIVE given(low, high, whose, account, begun, step) AS (SELECT ?, ?, ?, ?, ?, ?), \
                         n(i) AS (SELECT low FROM given UNION ALL SELECT i + 1 FROM n, given WHERE i < high)",
                id: |tag| format!("unhex(printf('%012x', begun + i * step) || '7{tag}8000' || printf('%012x', i))"),
                random: "printf('%08x', i * 2654435761 % 4294967296)",
            },
            Conn::Postgres(_) => Self {
                values: "WITH given(low, high, whose, account, begun, step) AS \
                         (SELECT ?::bigint, ?::bigint, ?::uuid, ?::uuid, ?::bigint, ?::bigint), \
                         n(i) AS (SELECT generate_series(low, high) FROM given)",
                id: |tag| format!("(lpad(to_hex(begun + i * step), 12, '0') || '7{tag}8000' || lpad(to_hex(i), 12, '0'))::uuid"),
                random: "lpad(to_hex(i * 2654435761 % 4294967296), 8, '0')",
            },
        }
    }
}

/// One statement a table, over the numbers `i` from a first to a last one.
fn statements(conn: &Conn) -> [String; 3] {
    let Numbers { values, id, random } = Numbers::of(conn);
    let phone = "('1303' || (5000000 + i * 7919 % 100000))";
    let status = "CASE WHEN i % 500000 = 0 THEN 'canceled' WHEN i % 5 = 1 THEN 'received' WHEN i % 100 = 7 THEN 'failed' \
                  WHEN i % 10 = 3 THEN 'delivered' ELSE 'read' END";
    let code = "CASE WHEN i % 1000 = 7 THEN 503 WHEN i % 100 = 9 THEN 404 WHEN i % 2 = 0 THEN 202 ELSE 200 END";
    let endpoint = "CASE WHEN i % 5000 = 3 THEN '/api/v1/contacts/' WHEN i % 2 = 0 THEN '/api/v1/messages/send-text/' \
                    ELSE '/api/v1/messages/list/' END";
    [
        format!(
            "INSERT INTO messages (id, user_id, session_id, direction, chat, sender, peer_phone, peer_jid, message_type, body, status, \
             attempts, written, created_at, sent_at, wa_message_id) {values} SELECT {}, whose, account, \
             CASE WHEN i % 5 = 1 THEN 'inbound' ELSE 'outbound' END, {phone} || '@s.whatsapp.net', '', '+' || {phone}, \
             {phone} || '@s.whatsapp.net', CASE WHEN i % 50 = 0 THEN 'other' ELSE 'text' END, \
             'Your order number ' || i || ' is on its way. Thank you!', {status}, 1, TRUE, begun + i * step, begun + i * step, \
             '3EB0' || {random} FROM n, given",
            id("000")
        ),
        format!(
            "INSERT INTO events (id, user_id, session_id, kind, message_id, data, at) {values} SELECT {}, whose, account, \
             'message.accepted', {}, '{{\"message\":{{\"status\":\"pending\",\"wa_message_id\":\"3EB0' || {random} || '\"}}}}', \
             begun + i * step FROM n, given",
            id("001"),
            id("000")
        ),
        format!(
            "INSERT INTO api_log (user_id, method, endpoint, path, status_code, latency_us, ip, request_id, at) {values} \
             SELECT CASE WHEN i % 3 = 0 THEN whose ELSE {} END, 'GET', {endpoint}, {endpoint}, {code}, i % 9000, \
             '10.0.' || (i % 7) || '.' || (i * 31 % 250), {random}, begun + i * step FROM n, given",
            id("002")
        ),
    ]
}
