//! What users used, by day or month.

use crate::app::App;
use crate::http::v1::usage::UsedFigures;
use crate::http::{Answer, ApiError, Caller, Origin, Paged, Query, Success, csv, page, paged};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use sanasend_model::{FieldErrors, Invalid, UserId, day};
use sanasend_store::{Page, Store, UsagePeriod, UsageReport, UsageRow};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Days that a report by day covers when nobody says, and at most.
const DAYS: (i32, i32) = (30, 400);
/// The same for a report by month.
const MONTHS: (i32, i32) = (12, 120);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListUsageStats {
    /// Number of the page, from 1.
    #[param(minimum = 1, example = 1)]
    page: Option<u64>,
    /// Rows per page.
    #[param(minimum = 1, maximum = 100, example = 20)]
    page_size: Option<u64>,
    /// Only this user's.
    #[param(value_type = Option<String>, format = "uuid")]
    user: Option<UserId>,
    /// First UTC day (`2026-11-01`). Left out: 30 days ago, or 12 months.
    #[param(value_type = Option<String>, example = "2026-11-01")]
    from: Option<String>,
    /// Last UTC day (`2026-11-30`). Left out: today.
    #[param(value_type = Option<String>, example = "2026-11-30")]
    to: Option<String>,
    /// `day` (the default) or `month`.
    #[param(example = "day")]
    group: Option<String>,
    /// `json` (the default) or `csv`, which holds all pages; `Accept: text/csv` does the same.
    #[param(example = "json")]
    format: Option<String>,
}

/// What a user used in a day or month.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct UsageStatsView {
    /// The user.
    #[schema(value_type = String, format = "uuid")]
    user: String,
    /// Its user name.
    #[schema(example = "bakery")]
    username: String,
    /// The UTC day (`2026-11-21`) or month (`2026-11`).
    #[schema(example = "2026-11-21")]
    date: String,
    #[serde(flatten)]
    figures: UsedFigures,
}

/// List usage
///
/// What each user used in each day or month, newest first; a day without anything has no row.
#[utoipa::path(get, path = "/analytics/usage-stats/", tag = "analytics", params(ListUsageStats),
    responses((status = 200, description = "One page, or the whole report as CSV.",
        content((Success<Paged<UsageStatsView>> = "application/json"), (String = "text/csv")))),
    extensions(("x-admin" = json!(true))))]
pub(super) async fn list_usage_stats(
    State(app): State<Arc<App>>,
    _: Caller,
    origin: Origin,
    headers: HeaderMap,
    Query(asked): Query<ListUsageStats>,
) -> Result<Response, ApiError> {
    let page: Page = page(asked.page, asked.page_size)?;
    let report = report(&asked, app.clock.now().day())?;
    if csv::is_wanted(asked.format.as_deref(), &headers)? {
        return Ok(csv::answer("usage", rows(app.store.clone(), report)));
    }
    let listed = app.store.list_usage(&report, page).await?;
    Ok(Answer::ok("Usage.", paged(listed, &page, &origin, |row| view(row, report.by))).into_response())
}

fn report(asked: &ListUsageStats, today: i32) -> Result<UsageReport, ApiError> {
    let mut errors = FieldErrors::default();
    let mut read = |field: &str, text: Option<&str>| {
        let day = text.map(day::parse_day)?;
        if day.is_none() {
            errors.push(Invalid::new(field, "must be a day like 2026-11-21"));
        }
        day
    };
    let (from, to) = (read("from", asked.from.as_deref()), read("to", asked.to.as_deref()));
    let by = match asked.group.as_deref() {
        None | Some("day") => UsagePeriod::Day,
        Some("month") => UsagePeriod::Month,
        Some(_) => {
            errors.push(Invalid::new("group", "must be day or month"));
            UsagePeriod::Day
        }
    };
    let to = to.unwrap_or(today).saturating_add(1);
    let default = match by {
        UsagePeriod::Day => to - DAYS.0,
        UsagePeriod::Month => day::month_of(to - 1, 1 - MONTHS.0),
    };
    let from = from.unwrap_or(default);
    let (longest, words) = match by {
        UsagePeriod::Day => (DAYS.1, format!("{} days", DAYS.1)),
        UsagePeriod::Month => (MONTHS.1 * 31, format!("{} months", MONTHS.1)),
    };
    if from >= to {
        errors.push(Invalid::new("from", "must not be after `to`"));
    } else if to - from > longest {
        errors.push(Invalid::new("from", format!("a report covers at most {words}")));
    }
    errors.into_result()?;
    Ok(UsageReport { user_id: asked.user, from, to, by })
}

fn view(row: UsageRow, by: UsagePeriod) -> UsageStatsView {
    let date = match by {
        UsagePeriod::Day => day::day_text(row.first_day),
        UsagePeriod::Month => day::month_text(row.first_day),
    };
    UsageStatsView { user: row.user_id.to_string(), username: row.username, date, figures: row.usage.into() }
}

const COLUMNS: [&str; 9] = [
    "date",
    "user",
    "username",
    "messages_accepted",
    "messages_sent",
    "media_sent",
    "messages_received",
    "messages_failed",
    "api_requests",
];

/// The report as CSV, one period after the other: each has at most as many rows as there are users.
fn rows(store: Store, report: UsageReport) -> impl futures::Stream<Item = Result<bytes::Bytes, sanasend_store::StoreError>> + Send {
    let head = futures::stream::once(async { Ok(csv::lines([COLUMNS.map(Cow::Borrowed)])) });
    let periods = futures::stream::iter(report.periods());
    head.chain(periods.then(move |period| {
        let store = store.clone();
        async move {
            let all = Page { page: 1, page_size: u64::MAX };
            let listed = store.list_usage(&report.only(period), all).await?;
            Ok(csv::lines(listed.results.into_iter().map(|row| cells(view(row, report.by)))))
        }
    }))
}

fn cells(row: UsageStatsView) -> [Cow<'static, str>; 9] {
    let of = row.figures;
    let numbers = [of.messages_accepted, of.messages_sent, of.media_sent, of.messages_received, of.messages_failed, of.api_requests];
    let mut cells = [const { Cow::Borrowed("") }; 9];
    let texts = [row.date, row.user, row.username].into_iter().chain(numbers.iter().map(|number| number.max(&0).to_string()));
    cells.iter_mut().zip(texts).for_each(|(cell, text)| *cell = Cow::Owned(text));
    cells
}
