//! Which requests came.

use crate::app::App;
use crate::http::{Answer, ApiError, Caller, LongPage, Origin, Query, Success, csv, long};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use sanasend_model::{ApiKeyId, FieldErrors, Invalid, Timestamp, UserId};
use sanasend_store::{ApiLogFilter, Cursor, LoggedRequest, Store, StoreError};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Rows read at once for a file.
const READ_AT_ONCE: u64 = 1000;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListApiLogs {
    /// Number of the page, from 1; pages reach as far as `count` does. Use `cursor` to go further.
    #[param(minimum = 1, example = 1)]
    page: Option<u64>,
    /// Entries per page.
    #[param(minimum = 1, maximum = 100, example = 20)]
    page_size: Option<u64>,
    /// Instead of a page: the place behind which to go on, from `next_cursor`; empty for the start.
    cursor: Option<String>,
    /// Only this user's.
    #[param(value_type = Option<String>, format = "uuid")]
    user: Option<UserId>,
    /// Only with this API key (its id).
    #[param(value_type = Option<String>, format = "uuid")]
    key: Option<ApiKeyId>,
    /// Only this status (`404`) or kind of status (`4xx`).
    #[param(example = "5xx")]
    status: Option<String>,
    /// Only this method.
    #[param(example = "POST")]
    method: Option<String>,
    /// Only this endpoint, as the API's documentation writes it.
    #[param(example = "/api/v1/messages/send-text/")]
    endpoint: Option<String>,
    /// Only from this address.
    #[param(value_type = Option<String>, example = "203.0.113.9")]
    ip: Option<String>,
    /// Only from this moment on (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<String>,
    /// Only before this moment (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<String>,
    /// Part of the path or of the request id. `search` and `method` look at the newest 200,000 entries that the other
    /// filters leave; `next_cursor` goes on behind them.
    search: Option<String>,
    /// `json` (the default) or `csv`, which holds all pages; `Accept: text/csv` does the same.
    #[param(example = "json")]
    format: Option<String>,
}

/// A request that was answered.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct ApiLogView {
    /// When it was answered.
    #[schema(value_type = String, format = DateTime)]
    timestamp: Timestamp,
    /// Who asked; null for strangers.
    #[schema(value_type = Option<String>, format = "uuid")]
    user: Option<String>,
    /// The user name, while there is such a user.
    #[schema(example = "bakery")]
    username: Option<String>,
    /// The API key that it came with.
    #[schema(value_type = Option<String>, format = "uuid")]
    key: Option<String>,
    /// HTTP method.
    #[schema(example = "POST")]
    method: String,
    /// The endpoint, as this documentation writes it; empty where there is none.
    #[schema(example = "/api/v1/messages/send-text/")]
    endpoint: String,
    /// The path that was asked for, without the query.
    #[schema(example = "/api/v1/messages/send-text/")]
    path: String,
    /// HTTP status of the answer.
    #[schema(example = 202)]
    status_code: u16,
    /// How long it took, in milliseconds.
    #[schema(example = 1.8)]
    latency_ms: f64,
    /// From where.
    #[schema(value_type = String, example = "203.0.113.9")]
    ip_address: IpAddr,
    /// `X-Request-Id`.
    request_id: String,
}

/// List requests
///
/// The API log, newest first. Health checks are not in it; in a flood beyond `api_log.rows_per_second` some requests are
/// counted and not logged.
#[utoipa::path(get, path = "/analytics/api-logs/", tag = "analytics", params(ListApiLogs),
    responses((status = 200, description = "One page, or all as CSV.",
        content((Success<LongPage<ApiLogView>> = "application/json"), (String = "text/csv")))),
    extensions(("x-admin" = json!(true))))]
pub(super) async fn list_api_logs(
    State(app): State<Arc<App>>,
    _: Caller,
    origin: Origin,
    headers: HeaderMap,
    Query(asked): Query<ListApiLogs>,
) -> Result<Response, ApiError> {
    let filter = filter(&asked)?;
    if csv::is_wanted(asked.format.as_deref(), &headers)? {
        return Ok(csv::answer("api-log", rows(app.store.clone(), filter)));
    }
    let page = long::page(asked.page, asked.page_size)?;
    let listed = if let Some(text) = asked.cursor.as_deref() {
        let (found, next) = app.store.list_requests_after(&filter, long::cursor(text)?, page.page_size).await?;
        let found = view_all(&app.store, found).await?;
        LongPage::behind_cursor(found, next, &origin)
    } else {
        let listed = app.store.list_requests(&filter, page).await?;
        let (count, next) = ((listed.count, listed.is_exact), listed.next);
        LongPage::of(view_all(&app.store, listed.results).await?, count, next, &page, &origin)
    };
    Ok(Answer::ok("Requests.", listed).into_response())
}

fn filter(asked: &ListApiLogs) -> Result<ApiLogFilter, ApiError> {
    let mut errors = FieldErrors::default();
    let mut refuse = |field: &str, what: &str| errors.push(Invalid::new(field, what));
    let mut filter = ApiLogFilter { user_id: asked.user, api_key_id: asked.key, ..ApiLogFilter::default() };
    if let Some(text) = &asked.status {
        match text.strip_suffix("xx").map_or((text.parse().ok(), None), |class| (None, class.parse().ok())) {
            (Some(code @ 100..=599), _) => filter.status_code = Some(code),
            (_, Some(class @ 1..=5)) => filter.status_class = Some(class),
            _ => refuse("status", "must be a status like 404, or a kind of them like 4xx"),
        }
    }
    for (field, text, moment) in [("from", &asked.from, &mut filter.from), ("to", &asked.to, &mut filter.to)] {
        *moment = text.as_deref().and_then(Timestamp::parse);
        if text.is_some() && moment.is_none() {
            refuse(field, "must be a date and time like 2026-11-21T08:30:00Z");
        }
    }
    filter.ip = asked.ip.as_deref().and_then(|text| text.parse().ok());
    if asked.ip.is_some() && filter.ip.is_none() {
        refuse("ip", "must be an address like 203.0.113.9");
    }
    filter.method = asked.method.as_ref().map(|method| method.to_uppercase());
    filter.endpoint.clone_from(&asked.endpoint);
    filter.search = asked.search.clone().filter(|text| !text.trim().is_empty());
    errors.into_result()?;
    Ok(filter)
}

async fn view_all(store: &Store, rows: Vec<LoggedRequest>) -> Result<Vec<ApiLogView>, StoreError> {
    let names = store.usernames(rows.iter().filter_map(|row| row.user_id)).await?;
    Ok(rows.into_iter().map(|row| view(row, &names)).collect())
}

fn view(row: LoggedRequest, names: &HashMap<UserId, String>) -> ApiLogView {
    ApiLogView {
        timestamp: row.at,
        user: row.user_id.map(|id| id.to_string()),
        username: row.user_id.and_then(|id| names.get(&id).cloned()),
        key: row.api_key_id.map(|id| id.to_string()),
        method: row.method,
        endpoint: row.endpoint,
        path: row.path,
        status_code: row.status_code,
        latency_ms: row.latency.as_secs_f64() * 1000.0,
        ip_address: row.ip,
        request_id: row.request_id,
    }
}

const COLUMNS: [&str; 11] =
    ["timestamp", "user", "username", "key", "method", "endpoint", "path", "status_code", "latency_ms", "ip_address", "request_id"];

/// All that the filter leaves as CSV, some at a time, so that no connection to the database waits for a slow reader.
fn rows(store: Store, filter: ApiLogFilter) -> impl futures::Stream<Item = Result<bytes::Bytes, StoreError>> + Send {
    let head = futures::stream::once(async { Ok(csv::lines([COLUMNS.map(Cow::Borrowed)])) });
    let begin: Option<Option<Cursor>> = Some(None);
    head.chain(futures::stream::try_unfold((store, filter, begin), async |(store, filter, place)| {
        let Some(cursor) = place else { return Ok(None) };
        let (found, next) = store.list_requests_after(&filter, cursor, READ_AT_ONCE).await?;
        let views = view_all(&store, found).await?;
        Ok(Some((csv::lines(views.into_iter().map(cells)), (store, filter, next.map(Some)))))
    }))
}

fn cells(row: ApiLogView) -> [Cow<'static, str>; 11] {
    let cell = |text: Option<String>| Cow::Owned(text.unwrap_or_default());
    [
        Cow::Owned(row.timestamp.to_string()),
        cell(row.user),
        cell(row.username),
        cell(row.key),
        Cow::Owned(row.method),
        Cow::Owned(row.endpoint),
        Cow::Owned(row.path),
        Cow::Owned(row.status_code.to_string()),
        Cow::Owned(format!("{:.3}", row.latency_ms)),
        Cow::Owned(row.ip_address.to_string()),
        Cow::Owned(row.request_id),
    ]
}
