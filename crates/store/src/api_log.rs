//! The API log and what is counted of requests: written in batches, read newest first.
//!
//! A request costs no write of its own: the server hands in many at once, with the counts that must be exact (requests of
//! each user's day, requests of each hour by status and latency) beside rows of the log, of which some may be missing
//! after a flood. The counts and the rows are in one transaction.
//!
//! Lists stay fast at millions of rows: every filter that has an index leads with it and ends in the order of the list.
//! What has none (method, search) looks at the newest [`WINDOW`] rows that the other filters leave.

use crate::dialect::{Rows, fetch, pieces, query, query_as, query_scalar, refused};
use crate::page::{COUNTED, behind, count_up_to, found_in};
use crate::rows::api_log;
use crate::usage::Usage;
use crate::writer::Tx;
use crate::{Cursor, LongList, Page, Store, StoreError};
use sanasend_model::{ApiKeyId, Timestamp, UserId};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect, Select};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Rows that a list without an index for its filter looks at.
pub const WINDOW: u64 = 200_000;
/// Rows that one page for people looks at, which is to be there at once.
const GLANCE: u64 = 12_500;
/// Rows removed in one transaction, so that nobody waits long behind it.
const REMOVED_AT_ONCE: i64 = 2000;

/// A request that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRequest {
    /// Who asked; `None` for strangers.
    pub user_id: Option<UserId>,
    /// The API key it came with.
    pub api_key_id: Option<ApiKeyId>,
    /// HTTP method.
    pub method: String,
    /// Template of the route, like `/api/v1/users/{id}/`; empty where there is none.
    pub endpoint: String,
    /// Path without the query.
    pub path: String,
    /// HTTP status of the answer.
    pub status_code: u16,
    /// From the request's head to the answer's.
    pub latency: Duration,
    /// From where.
    pub ip: IpAddr,
    /// `X-Request-Id`.
    pub request_id: String,
    /// When it was answered.
    pub at: Timestamp,
}

/// Counts of requests, to be added to what was counted before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Requests by user and UTC day.
    pub users: HashMap<(UserId, i32), i64>,
    /// Requests by UTC hour, first digit of the status, and step of latency (`model::latency`).
    pub hours: HashMap<(i32, i32, i32), i64>,
}

impl RequestCounts {
    /// Whether there is nothing to add.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.hours.is_empty()
    }
}

/// Requests of one UTC hour with one kind of status and one step of latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHour {
    /// Hours since 1970-01-01T00:00Z.
    pub hour: i32,
    /// First digit of the status.
    pub status_class: i32,
    /// Step of latency.
    pub step: i32,
    /// How many.
    pub requests: i64,
}

/// Which requests to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct ApiLogFilter {
    /// Only this user's.
    pub user_id: Option<UserId>,
    /// Only with this key.
    pub api_key_id: Option<ApiKeyId>,
    /// Only statuses that begin with this digit.
    pub status_class: Option<u16>,
    /// Only this status.
    pub status_code: Option<u16>,
    /// Only this method, in capitals.
    pub method: Option<String>,
    /// Only this template of a route.
    pub endpoint: Option<String>,
    /// Only from this address.
    pub ip: Option<IpAddr>,
    /// Answered at or after.
    pub from: Option<Timestamp>,
    /// Answered before.
    pub to: Option<Timestamp>,
    /// Part of the path or of the request id, without case.
    pub search: Option<String>,
}

static INSERT: Rows = Rows::new(
    "INSERT INTO api_log (user_id, api_key_id, method, endpoint, path, status_code, latency_us, ip, request_id, at) VALUES ",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "",
);

static ADD_HOURS: Rows = Rows::new(
    "INSERT INTO api_hourly (hour, status_class, step, requests) VALUES ",
    "(?, ?, ?, ?)",
    " ON CONFLICT (hour, status_class, step) DO UPDATE SET requests = api_hourly.requests + excluded.requests",
);

static KNOWN_USERS: Rows = Rows::new("SELECT id FROM users WHERE id IN (", "?", ")");

async fn insert(tx: &mut Tx, rows: &[LoggedRequest]) -> Result<(), StoreError> {
    for piece in pieces(rows) {
        let mut insert = query(INSERT.sql(piece.len()));
        for row in piece {
            insert = insert.bind(row.user_id.map(|id| id.0)).bind(row.api_key_id.map(|id| id.0)).bind(&row.method).bind(&row.endpoint);
            insert =
                insert.bind(&row.path).bind(i32::from(row.status_code)).bind(i64::try_from(row.latency.as_micros()).unwrap_or(i64::MAX));
            insert = insert.bind(row.ip.to_string()).bind(&row.request_id).bind(row.at.0);
        }
        insert.execute(&mut tx.conn).await.map_err(refused)?;
    }
    Ok(())
}

async fn add_hours(tx: &mut Tx, hours: &HashMap<(i32, i32, i32), i64>) -> Result<(), StoreError> {
    let hours: Vec<_> = hours.iter().collect();
    for piece in pieces(&hours) {
        let mut add = query(ADD_HOURS.sql(piece.len()));
        for ((hour, status_class, step), requests) in piece {
            add = add.bind(*hour).bind(*status_class).bind(*step).bind(**requests);
        }
        add.execute(&mut tx.conn).await.map_err(refused)?;
    }
    Ok(())
}

/// Adds to the users' days. A user who was removed since has none any more.
async fn add_users(tx: &mut Tx, users: &HashMap<(UserId, i32), i64>) -> Result<(), StoreError> {
    let asked: HashSet<Uuid> = users.keys().map(|(user, _)| user.0).collect();
    let asked: Vec<Uuid> = asked.into_iter().collect();
    let mut known = HashSet::with_capacity(asked.len());
    for piece in pieces(&asked) {
        let mut select = query_scalar::<_, Uuid>(KNOWN_USERS.sql(piece.len()));
        for user in piece {
            select = select.bind(*user);
        }
        known.extend(select.fetch_all(&mut tx.conn).await.map_err(refused)?);
    }
    let usage = |requests: &i64| Usage { api_requests: *requests, ..Usage::default() };
    let there = users.iter().filter(|((user, _), _)| known.contains(&user.0));
    let more: Vec<_> = there.map(|((user, day), requests)| (*user, *day, usage(requests))).collect();
    tx.add_usage(&more).await.map(drop)
}

/// Where a list ends that looks at the newest rows only: its last row, and that others follow.
type End = Option<Cursor>;

/// The rows that the indexes find, in no order yet. Bounds of statuses are written out, because a partial index is
/// chosen by its text.
fn narrow(filter: &ApiLogFilter) -> Select<api_log::Entity> {
    use api_log::Column;
    let mut all = Condition::all()
        .add_option(filter.user_id.map(|id| Column::UserId.eq(id.0)))
        .add_option(filter.api_key_id.map(|id| Column::ApiKeyId.eq(id.0)))
        .add_option(filter.status_code.map(|code| Column::StatusCode.eq(i32::from(code))))
        .add_option(filter.endpoint.as_deref().map(|endpoint| Column::Endpoint.eq(endpoint)))
        .add_option(filter.ip.map(|ip| Column::Ip.eq(ip.to_string())))
        .add_option(filter.from.map(|from| Column::At.gte(from.0)))
        .add_option(filter.to.map(|to| Column::At.lt(to.0)));
    match filter.status_class.or(filter.status_code.map(|code| code / 100)) {
        Some(1) => all = all.add(Expr::cust("status_code < 200")),
        Some(2) => all = all.add(Expr::cust("status_code >= 200 AND status_code < 300")),
        Some(3) => all = all.add(Expr::cust("status_code >= 300 AND status_code < 400")),
        Some(4) => all = all.add(Expr::cust("status_code >= 400 AND status_code < 500")),
        Some(5) => all = all.add(Expr::cust("status_code >= 500")),
        _ => {}
    }
    api_log::Entity::find().filter(all)
}

fn sorted(rows: Select<api_log::Entity>) -> Select<api_log::Entity> {
    rows.order_by(api_log::Column::At, Order::Desc).order_by(api_log::Column::Seq, Order::Desc)
}

fn after(rows: Select<api_log::Entity>, cursor: Option<Cursor>) -> Select<api_log::Entity> {
    match cursor {
        Some(cursor) => rows.filter(behind(api_log::Column::At, api_log::Column::Seq, cursor, true)),
        None => rows,
    }
}

fn cursor_of(row: &api_log::Model) -> Cursor {
    Cursor { created_at: row.at, seq: row.seq }
}

impl Store {
    /// Writes rows of the log and adds the counts, all or nothing.
    pub async fn log_requests(&self, batch: Arc<(Vec<LoggedRequest>, RequestCounts)>) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let (rows, counts) = &*batch;
                insert(tx, rows).await?;
                add_hours(tx, &counts.hours).await?;
                add_users(tx, &counts.users).await
            })
        })
        .await
    }

    /// A page of the log, newest first.
    pub async fn list_requests(&self, filter: &ApiLogFilter, page: Page) -> Result<LongList<LoggedRequest>, StoreError> {
        let (rows, end) = self.chosen_requests(filter, None, WINDOW).await?;
        let found = fetch(sorted(rows.clone()).limit(page.page_size).offset(page.offset()), &self.inner.readers).await?;
        let next = found.last().map(cursor_of);
        let results = found.into_iter().map(api_log::Model::read).collect::<Result<Vec<_>, _>>()?;
        let known = page.known_count(results.len());
        let count = match known {
            Some(count) => count,
            None => count_up_to(COUNTED + 1, rows, &self.inner.readers).await?,
        };
        let is_exact = count <= COUNTED && end.is_none();
        Ok(LongList { count: count.min(COUNTED), is_exact, results, next: next.filter(|_| known.is_none()).or(end) })
    }

    /// The next `limit` requests behind `cursor` (from the newest without one), and the cursor to go on with while there may
    /// be more. With a search there can be fewer than `limit`, even none, and still be more.
    pub async fn list_requests_after(
        &self,
        filter: &ApiLogFilter,
        cursor: Option<Cursor>,
        limit: u64,
    ) -> Result<(Vec<LoggedRequest>, Option<Cursor>), StoreError> {
        self.requests_behind(filter, cursor, limit, WINDOW).await
    }

    /// The same for pages that people wait for: they look at fewer rows at once, and are gone on from sooner.
    pub async fn glance_at_requests(
        &self,
        filter: &ApiLogFilter,
        cursor: Option<Cursor>,
        limit: u64,
    ) -> Result<(Vec<LoggedRequest>, Option<Cursor>), StoreError> {
        self.requests_behind(filter, cursor, limit, GLANCE).await
    }

    async fn requests_behind(
        &self,
        filter: &ApiLogFilter,
        cursor: Option<Cursor>,
        limit: u64,
        window: u64,
    ) -> Result<(Vec<LoggedRequest>, Option<Cursor>), StoreError> {
        let (rows, end) = self.chosen_requests(filter, cursor, window).await?;
        let mut found = fetch(sorted(rows).limit(limit.saturating_add(1)), &self.inner.readers).await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().filter(|_| more).map(cursor_of);
        Ok((found.into_iter().map(api_log::Model::read).collect::<Result<_, _>>()?, last.or(end)))
    }

    /// The rows behind `cursor` that the filter leaves, and where the search was broken off.
    async fn chosen_requests(
        &self,
        filter: &ApiLogFilter,
        cursor: Option<Cursor>,
        window: u64,
    ) -> Result<(Select<api_log::Entity>, End), StoreError> {
        use api_log::Column;
        let rows = after(narrow(filter), cursor);
        if filter.method.is_none() && filter.search.is_none() {
            return Ok((rows, None));
        }
        let last = fetch(sorted(rows.clone()).offset(window - 1).limit(1), &self.inner.readers).await?;
        let end = last.first().map(cursor_of);
        let within = end.map(|end| {
            let same = Condition::all().add(Column::At.eq(end.created_at)).add(Column::Seq.gte(end.seq));
            Condition::any().add(Column::At.gt(end.created_at)).add(same)
        });
        let all = Condition::all()
            .add_option(within)
            .add_option(filter.method.as_deref().map(|method| Column::Method.eq(method)))
            .add_option(filter.search.as_deref().map(|text| found_in(&[Column::Path, Column::RequestId], text)));
        Ok((rows.filter(all), end))
    }

    /// Requests by hour, kind of status and latency, from `from` on and before `to` (UTC hours).
    pub async fn request_hours(&self, from: i32, to: i32) -> Result<Vec<RequestHour>, StoreError> {
        let sql =
            "SELECT hour, status_class, step, requests FROM api_hourly WHERE hour >= ? AND hour < ? ORDER BY hour, status_class, step";
        let rows = query_as::<_, (i32, i32, i32, i64)>(sql).bind(from).bind(to).fetch_all(&self.inner.readers);
        let rows = rows.await.map_err(refused)?.into_iter();
        Ok(rows.map(|(hour, status_class, step, requests)| RequestHour { hour, status_class, step, requests }).collect())
    }

    /// Requests by UTC day, kind of status and step of latency, from `from` on and before `to`.
    pub async fn request_days(&self, from: i32, to: i32) -> Result<Vec<(i32, i32, i32, i64)>, StoreError> {
        let sql = "SELECT hour / 24 AS day, status_class, step, CAST(SUM(requests) AS BIGINT) FROM api_hourly \
                   WHERE hour >= ? AND hour < ? GROUP BY hour / 24, status_class, step ORDER BY day, status_class, step";
        let rows = query_as::<_, (i32, i32, i32, i64)>(sql).bind(from.saturating_mul(24)).bind(to.saturating_mul(24));
        rows.fetch_all(&self.inner.readers).await.map_err(refused)
    }

    /// Removes rows of the log from before a moment, in small transactions; answers how many.
    pub async fn sweep_requests(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut removed = 0;
        loop {
            let now = self.write(move |tx| {
                Box::pin(async move {
                    let sql = "DELETE FROM api_log WHERE seq IN (SELECT seq FROM api_log WHERE at < ? ORDER BY at, seq LIMIT ?)";
                    let delete = query(sql).bind(before.0).bind(REMOVED_AT_ONCE).execute(&mut tx.conn).await.map_err(refused)?;
                    Ok(delete.rows_affected())
                })
            });
            let now = now.await?;
            removed += now;
            if now == 0 {
                return Ok(removed);
            }
        }
    }

    /// Removes counts by hour from before a moment; answers how many rows.
    pub async fn sweep_hours(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let mut gone = 0;
                for sql in ["DELETE FROM api_hourly WHERE hour < ?", "DELETE FROM usage_hourly WHERE hour < ?"] {
                    gone += query(sql).bind(before.hour()).execute(&mut tx.conn).await.map_err(refused)?.rows_affected();
                }
                Ok(gone)
            })
        })
        .await
    }
}
