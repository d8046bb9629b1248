//! The first look at everything: today against yesterday, and by hour and day.
//!
//! Every figure comes from tables of counts, none from the log itself: the answer costs the same after years.

use crate::app::App;
use crate::http::{Answer, ApiError, Caller, Query, Success};
use axum::extract::State;
use sanasend_model::day::HOUR_MS;
use sanasend_model::{SessionStatus, Timestamp, latency};
use sanasend_store::{RequestHour, StoreError, Usage};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Hours in the chart by hour.
const HOURS: i32 = 24;
/// Days in the chart by day, when nobody says.
const DAYS: i32 = 30;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct GetOverview {
    /// Days in `days`.
    #[param(minimum = 1, maximum = 90, example = 30)]
    days: Option<i32>,
}

/// Users.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsersView {
    /// All.
    #[schema(example = 12)]
    pub total: u64,
    /// Those that are not deactivated.
    #[schema(example = 11)]
    pub active: u64,
}

/// Sessions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionsView {
    /// All.
    #[schema(example = 14)]
    pub total: u64,
    /// How many there are in each status.
    #[schema(example = json!({"connected": 12, "disconnected": 2}))]
    pub by_status: BTreeMap<&'static str, u64>,
}

/// Messages of a time.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct MessageFigures {
    /// Handed in.
    #[schema(example = 120)]
    pub accepted: i64,
    /// Taken by WhatsApp.
    #[schema(example = 118)]
    pub sent: i64,
    /// Come in.
    #[schema(example = 35)]
    pub received: i64,
    /// Failed.
    #[schema(example = 2)]
    pub failed: i64,
}

/// Messages today and yesterday.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessagesView {
    /// Today (UTC) until now.
    pub today: MessageFigures,
    /// All of yesterday.
    pub yesterday: MessageFigures,
    /// Sent today in percent of what was sent or failed; null without any.
    #[schema(example = 98.3)]
    pub success_rate: Option<f64>,
    /// Accepted today against yesterday at this time of the day, in percent; null when there were none then.
    #[schema(example = 12.5)]
    pub trend: Option<f64>,
}

/// How long requests took.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LatencyView {
    /// Half of them took at most this many milliseconds.
    #[schema(example = 1.5)]
    pub p50: Option<f64>,
    /// 95 of 100 took at most this many.
    #[schema(example = 8.2)]
    pub p95: Option<f64>,
}

/// Requests to the API today and yesterday.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RequestsView {
    /// Today (UTC) until now.
    #[schema(example = 5120)]
    pub today: i64,
    /// All of yesterday.
    #[schema(example = 9800)]
    pub yesterday: i64,
    /// Today's that were refused (4xx).
    #[schema(example = 40)]
    pub refused: i64,
    /// Today's that failed (5xx).
    #[schema(example = 1)]
    pub failed: i64,
    /// Today's that did not fail, in percent; null without any.
    #[schema(example = 99.9)]
    pub success_rate: Option<f64>,
    /// Today against yesterday at this time of the day, in percent; null when there were none then.
    #[schema(example = -4.2)]
    pub trend: Option<f64>,
    /// How long today's took, within a quarter.
    pub latency_ms: LatencyView,
    /// Requests that this node counted but did not log, since it started.
    #[schema(example = 0)]
    pub not_logged: u64,
}

/// A bar of a chart.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BarView {
    /// Its beginning.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Messages.
    pub messages: MessageFigures,
    /// Requests.
    #[schema(example = 210)]
    pub requests: i64,
    /// Requests that were refused (4xx).
    #[schema(example = 4)]
    pub requests_refused: i64,
    /// Requests that failed (5xx).
    #[schema(example = 0)]
    pub requests_failed: i64,
    /// How long requests took, within a quarter.
    pub latency_ms: LatencyView,
}

/// The overview.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OverviewView {
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Users.
    pub users: UsersView,
    /// Sessions.
    pub sessions: SessionsView,
    /// Messages.
    pub messages: MessagesView,
    /// Requests.
    pub requests: RequestsView,
    /// The last 24 hours, the present one last.
    pub hours: Vec<BarView>,
    /// The last days, today last.
    pub days: Vec<BarView>,
}

/// Get the overview
///
/// Users, sessions, messages and requests of today against yesterday, and charts by hour and day. Requests are some
/// moments late: they are written in batches.
#[utoipa::path(get, path = "/analytics/overview/", tag = "analytics", params(GetOverview),
    responses((status = 200, description = "The overview.", body = Success<OverviewView>)),
    extensions(("x-admin" = json!(true))))]
pub(super) async fn get_overview(
    State(app): State<Arc<App>>,
    _: Caller,
    Query(asked): Query<GetOverview>,
) -> Result<Answer<OverviewView>, ApiError> {
    let days = asked.days.unwrap_or(DAYS);
    if !(1..=90).contains(&days) {
        return Err(ApiError::field("days", "must be from 1 to 90"));
    }
    Ok(Answer::ok("The overview.", read(&app, days).await?))
}

/// The overview, with so many days in its chart by day.
///
/// # Errors
/// The store's.
pub(crate) async fn read(app: &App, days: i32) -> Result<OverviewView, StoreError> {
    let now = app.clock.now();
    let counted = Counted::read(app, now).await?;
    let users = app.store.user_counts().await?;
    Ok(OverviewView {
        at: now,
        users: UsersView { total: users.total, active: users.active },
        sessions: sessions(app).await?,
        messages: counted.messages(),
        requests: counted.requests(app.api_log.left_out()),
        hours: counted.hours(),
        days: by_day(app, now.day() + 1 - days, now.day() + 1).await?,
    })
}

async fn sessions(app: &App) -> Result<SessionsView, StoreError> {
    let mut by_status: BTreeMap<&'static str, u64> = SessionStatus::ALL.iter().map(|status| (status.as_str(), 0)).collect();
    by_status.extend(app.store.session_counts().await?.into_iter().map(|(status, count)| (status.as_str(), count)));
    Ok(SessionsView { total: by_status.values().sum(), by_status })
}

/// The hours since the beginning of yesterday.
struct Counted {
    now: Timestamp,
    messages: BTreeMap<i32, Usage>,
    requests: Vec<RequestHour>,
}

impl Counted {
    async fn read(app: &App, now: Timestamp) -> Result<Self, StoreError> {
        let (from, to) = ((now.day() - 1) * 24, now.hour() + 1);
        let messages = app.store.usage_hours(from, to).await?.into_iter().map(|hour| (hour.hour, hour.usage)).collect();
        Ok(Self { now, messages, requests: app.store.request_hours(from, to).await? })
    }

    /// The first hour of today.
    fn midnight(&self) -> i32 {
        self.now.day() * 24
    }

    fn messages_of(&self, hours: std::ops::Range<i32>) -> Usage {
        let mut all = Usage::default();
        self.messages.range(hours).for_each(|(_, usage)| all.add(*usage));
        all
    }

    fn requests_of(&self, hours: std::ops::Range<i32>, of_class: impl Fn(i32) -> bool) -> i64 {
        let those = self.requests.iter().filter(|row| hours.contains(&row.hour) && of_class(row.status_class));
        those.map(|row| row.requests).sum()
    }

    /// A figure of yesterday until this time of the day: its whole hours, and as much of the last as has passed today.
    fn yesterday_by_now(&self, figure: impl Fn(std::ops::Range<i32>) -> i64) -> f64 {
        let hour = self.now.hour() - 24;
        let part = float(self.now.0.rem_euclid(HOUR_MS)) / float(HOUR_MS);
        float(figure(self.midnight() - 24..hour)) + part * float(figure(hour..hour + 1))
    }

    fn messages(&self) -> MessagesView {
        let midnight = self.midnight();
        let today = self.messages_of(midnight..midnight + 24);
        let before = self.yesterday_by_now(|hours| self.messages_of(hours).accepted);
        MessagesView {
            success_rate: percent(today.sent, today.sent + today.failed),
            trend: trend(today.accepted, before),
            today: figures(today),
            yesterday: figures(self.messages_of(midnight - 24..midnight)),
        }
    }

    fn requests(&self, not_logged: u64) -> RequestsView {
        let midnight = self.midnight();
        let today = |of_class: fn(i32) -> bool| self.requests_of(midnight..midnight + 24, of_class);
        let (all, refused, failed) = (today(|_| true), today(|class| class == 4), today(|class| class == 5));
        RequestsView {
            today: all,
            yesterday: self.requests_of(midnight - 24..midnight, |_| true),
            refused,
            failed,
            success_rate: percent(all - failed, all),
            trend: trend(all, self.yesterday_by_now(|hours| self.requests_of(hours, |_| true))),
            latency_ms: self.latency(midnight..midnight + 24),
            not_logged,
        }
    }

    fn latency(&self, hours: std::ops::Range<i32>) -> LatencyView {
        latency(self.requests.iter().filter(|row| hours.contains(&row.hour)).map(|row| (row.step, row.requests)))
    }

    fn hours(&self) -> Vec<BarView> {
        let last = self.now.hour();
        let bar = |hour: i32| BarView {
            at: Timestamp::of_hour(hour),
            messages: figures(self.messages_of(hour..hour + 1)),
            requests: self.requests_of(hour..hour + 1, |_| true),
            requests_refused: self.requests_of(hour..hour + 1, |class| class == 4),
            requests_failed: self.requests_of(hour..hour + 1, |class| class == 5),
            latency_ms: self.latency(hour..hour + 1),
        };
        (last + 1 - HOURS..=last).map(bar).collect()
    }
}

/// Quantiles of requests, given as steps of latency and how many took each.
fn latency(counted: impl Iterator<Item = (i32, i64)>) -> LatencyView {
    let mut steps: BTreeMap<i32, i64> = BTreeMap::new();
    for (step, requests) in counted {
        *steps.entry(step).or_default() += requests;
    }
    let steps: Vec<(i32, i64)> = steps.into_iter().collect();
    let ms = |quantile| {
        latency::quantile(&steps, quantile).map(|micros| round(float(i64::try_from(micros).unwrap_or(i64::MAX)) / 1000.0, 1000.0))
    };
    LatencyView { p50: ms(0.5), p95: ms(0.95) }
}

async fn by_day(app: &App, from: i32, to: i32) -> Result<Vec<BarView>, StoreError> {
    // Counts by hour are the server's: adding them up costs less than adding up all users.
    let mut messages: BTreeMap<i32, Usage> = BTreeMap::new();
    for hour in app.store.usage_hours(from * 24, to * 24).await? {
        messages.entry(hour.hour.div_euclid(24)).or_default().add(hour.usage);
    }
    let mut requests: BTreeMap<i32, [i64; 3]> = BTreeMap::new();
    let mut steps: BTreeMap<i32, Vec<(i32, i64)>> = BTreeMap::new();
    for (day, class, step, count) in app.store.request_days(from, to).await? {
        let [all, refused, failed] = requests.entry(day).or_default();
        *all += count;
        *refused += if class == 4 { count } else { 0 };
        *failed += if class == 5 { count } else { 0 };
        steps.entry(day).or_default().push((step, count));
    }
    let bar = |day: i32| {
        let [all, requests_refused, requests_failed] = requests.get(&day).copied().unwrap_or_default();
        let messages = figures(messages.get(&day).copied().unwrap_or_default());
        let latency_ms = latency(steps.remove(&day).unwrap_or_default().into_iter());
        BarView { at: Timestamp::of_day(day), messages, requests: all, requests_refused, requests_failed, latency_ms }
    };
    Ok((from..to).map(bar).collect())
}

fn figures(usage: Usage) -> MessageFigures {
    MessageFigures { accepted: usage.accepted, sent: usage.sent, received: usage.received, failed: usage.failed }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn float(count: i64) -> f64 {
    count as f64
}

fn round(number: f64, steps: f64) -> f64 {
    (number * steps).round() / steps
}

/// A part in percent, to one decimal.
fn percent(part: i64, all: i64) -> Option<f64> {
    (all > 0).then(|| round(100.0 * float(part) / float(all), 10.0))
}

/// How much more `now` is than `before`, in percent.
fn trend(now: i64, before: f64) -> Option<f64> {
    (before > 0.0).then(|| round(100.0 * (float(now) - before) / before, 10.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn today_is_compared_with_yesterday_at_the_same_time() {
        let midnight = 20_778 * 24;
        let usage = |accepted| Usage { accepted, sent: accepted, ..Usage::default() };
        let messages = [(midnight - 24, 10), (midnight - 23, 20), (midnight - 1, 100), (midnight, 12), (midnight + 1, 18)];
        let row = |hour, status_class, requests| RequestHour { hour, status_class, step: 40, requests };
        let counted = Counted {
            now: Timestamp(Timestamp::of_hour(midnight + 1).0 + HOUR_MS / 2),
            messages: messages.into_iter().map(|(hour, count)| (hour, usage(count))).collect(),
            requests: vec![row(midnight - 24, 2, 50), row(midnight, 2, 97), row(midnight, 4, 2), row(midnight + 1, 5, 1)],
        };
        let messages = counted.messages();
        assert_eq!((messages.today.accepted, messages.yesterday.accepted, messages.trend), (30, 130, Some(50.0)));
        let requests = counted.requests(0);
        assert_eq!((requests.today, requests.refused, requests.failed, requests.success_rate), (100, 2, 1, Some(99.0)));
        assert_eq!((requests.yesterday, requests.trend), (50, Some(100.0)));
        assert_eq!(counted.hours().last().map(|bar| (bar.requests, bar.requests_failed)), Some((1, 1)));
        assert!(requests.latency_ms.p50.is_some_and(|ms| ms > 1.0 && ms < 1.5), "{:?}", requests.latency_ms);
    }

    #[test]
    fn without_anything_nothing_is_divided() {
        let counted = Counted { now: Timestamp::of_day(20_778), messages: BTreeMap::new(), requests: Vec::new() };
        assert_eq!((counted.messages().trend, counted.messages().success_rate, counted.requests(0).latency_ms.p95), (None, None, None));
        assert_eq!(counted.hours().len(), 24);
    }
}
