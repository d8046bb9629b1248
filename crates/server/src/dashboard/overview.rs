//! The first page: for admins everything of today, for others what is their own.

use super::chart::Chart;
use super::figures::{self, By, Limit};
use super::list::Asked;
use super::live::{self, Make};
use super::parts::{Badge, Tile, When, grouped};
use super::render::{Page, page};
use super::sessions_of::{SessionRow, sessions_of};
use super::spark::Spark;
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::http::ApiError;
use crate::http::v1::{analytics::overview, usage};
use crate::vitals::{self, Condition, Part};
use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use sanasend_model::{SessionStatus, Timestamp};
use sanasend_store::Newcomers;
use std::sync::Arc;

/// Days in the charts by day.
const DAYS: i32 = 30;
/// Days in the lines on tiles.
const WEEK: i32 = 7;

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    shell: Shell,
    at: When,
    by_day: bool,
    tiles: Vec<Tile>,
    charts: [Chart; 3],
    health: Health,
}

#[derive(Template)]
#[template(path = "own_overview.html")]
struct OwnPage {
    shell: Shell,
    tiles: Vec<Tile>,
    chart: Chart,
    limits: Vec<Limit>,
    sessions: Vec<SessionRow>,
}

/// How the parts are; kept up to date on the page.
#[derive(Template)]
#[template(path = "parts/health.html")]
pub struct Health {
    badge: Badge,
    sentence: &'static str,
    parts: Vec<(Badge, Part)>,
}

impl HtmlSafe for Health {}

impl Health {
    async fn look(app: &App) -> Self {
        let seen = vitals::look(app).await;
        let status = seen.condition();
        let sentence = match status {
            Condition::Ok => "Every part is as it should be.",
            Condition::Degraded => "It works, but somebody should look.",
            Condition::Down => "It can't do its work.",
        };
        Self { badge: badge(status), sentence, parts: seen.parts.iter().map(|part| (badge(part.status), part.clone())).collect() }
    }
}

fn badge(condition: Condition) -> Badge {
    match condition {
        Condition::Ok => Badge::good("ok"),
        Condition::Degraded => Badge::warn("degraded"),
        Condition::Down => Badge::bad("down"),
    }
}

/// Shows the page.
pub async fn show(State(app): State<Arc<App>>, visitor: Visitor, asked: Asked) -> Page {
    if visitor.is_admin() { show_all(&app, &visitor, asked.has("by", "day")).await } else { show_own(&app, &visitor).await }
}

async fn show_all(app: &App, visitor: &Visitor, by_day: bool) -> Page {
    // The lines on tiles need a week, only the charts by day a month.
    let view = overview::read(app, if by_day { DAYS } else { WEEK }).await?;
    let (bars, by) = if by_day { (&view.days, By::Day) } else { (&view.hours, By::Hour) };
    let charts = [
        figures::messages("Messages", bars, by),
        figures::requests("API requests", bars, by),
        figures::latency("Latency of the API", bars, by),
    ];
    let health = Health::look(app).await;
    let tiles = tiles(&view, &growth(app, view.at).await?);
    page(&OverviewPage { shell: visitor.shell("Overview", "overview"), at: When(view.at), by_day, tiles, charts, health })
}

/// How many users and accounts there were at the end of each of the last days, of those that are here now.
struct Growth {
    users: Vec<i64>,
    sessions: Vec<i64>,
}

impl Growth {
    /// How many more there are than a week ago.
    fn more(totals: &[i64]) -> i64 {
        totals.last().unwrap_or(&0) - totals.first().unwrap_or(&0)
    }
}

async fn growth(app: &App, now: Timestamp) -> Result<Growth, ApiError> {
    let first = now.day() + 1 - WEEK;
    let came = app.store.newcomers(first).await?;
    let totals = |came: &Newcomers| {
        let mut total = came.before;
        let days = (first..=now.day()).map(|day| {
            total += came.days.get(&day).copied().unwrap_or(0);
            total
        });
        days.collect()
    };
    Ok(Growth { users: totals(&came.users), sessions: totals(&came.sessions) })
}

fn tiles(view: &overview::OverviewView, growth: &Growth) -> Vec<Tile> {
    let count = |count: u64| grouped(i64::try_from(count).unwrap_or(i64::MAX));
    let connected = view.sessions.by_status.get(SessionStatus::Connected.as_str()).copied().unwrap_or(0);
    let percent = |rate: Option<f64>| rate.map_or_else(|| "–".to_owned(), |rate| format!("{rate:.1} %"));
    let week = || view.days.iter().skip(view.days.len().saturating_sub(usize::try_from(WEEK).unwrap_or(7)));
    let users = Tile {
        label: "Users",
        value: count(view.users.total),
        note: format!("{} active, {} new in a week", count(view.users.active), grouped(Growth::more(&growth.users))),
        trend: None,
        spark: Spark::counts(growth.users.iter().copied()),
        href: "/admin/users/",
    };
    let sessions = Tile {
        label: "Connected accounts",
        value: count(connected),
        note: format!("of {}, {} linked in a week", count(view.sessions.total), grouped(Growth::more(&growth.sessions))),
        trend: None,
        spark: Spark::counts(growth.sessions.iter().copied()),
        href: "/admin/sessions/",
    };
    let messages = Tile {
        label: "Messages today",
        value: grouped(view.messages.today.accepted),
        note: trend_note(view.messages.trend, view.messages.yesterday.accepted),
        trend: view.messages.trend,
        spark: Spark::counts(week().map(|day| day.messages.accepted)),
        href: "/admin/messages/",
    };
    let requests = Tile {
        label: "API requests today",
        value: grouped(view.requests.today),
        note: trend_note(view.requests.trend, view.requests.yesterday),
        trend: view.requests.trend,
        spark: Spark::counts(week().map(|day| day.requests)),
        href: "/admin/requests/",
    };
    let before = success(view.messages.yesterday.sent, view.messages.yesterday.failed);
    let success = Tile {
        label: "Success rate",
        value: percent(view.messages.success_rate),
        note: format!("of messages today; yesterday {}", percent(before)),
        trend: None,
        spark: Spark::percents(week().map(|day| success(day.messages.sent, day.messages.failed))),
        href: "/admin/messages/?status=failed",
    };
    vec![users, sessions, messages, requests, success]
}

fn trend_note(trend: Option<f64>, yesterday: i64) -> String {
    if trend.is_some() { "against yesterday at this time".to_owned() } else { format!("yesterday {}", grouped(yesterday)) }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn success(sent: i64, failed: i64) -> Option<f64> {
    (sent + failed > 0).then(|| 100.0 * sent as f64 / (sent + failed) as f64)
}

async fn show_own(app: &App, visitor: &Visitor) -> Page {
    let usage = usage::report(app, &visitor.caller.user, None).await?;
    let page_of = OwnPage {
        shell: visitor.shell("Overview", "overview"),
        tiles: own_tiles(&usage),
        chart: figures::own_messages(&usage),
        limits: figures::limits(&usage),
        sessions: sessions_of(app, visitor.caller.id()).await?,
    };
    page(&page_of)
}

/// Figures of one user's day.
pub fn own_tiles(usage: &usage::UsageView) -> Vec<Tile> {
    let last = |days: i32| usage.days.iter().skip(usage.days.len().saturating_sub(usize::try_from(days).unwrap_or(7)));
    let tile = |label, value: i64, note: String, spark| Tile { label, value: grouped(value), note, trend: None, spark, href: "" };
    let today = &usage.today.figures;
    let handed = format!("{} sent, {} failed", grouped(today.messages_sent), grouped(today.messages_failed));
    let of = |days, figure: fn(&usage::UsedFigures) -> i64| Spark::counts(last(days).map(|day| figure(&day.figures)));
    vec![
        tile("Messages today", today.messages_accepted, handed, of(WEEK, |day| day.messages_accepted)),
        tile("Received today", today.messages_received, "messages that came in".into(), of(WEEK, |day| day.messages_received)),
        tile("API requests today", today.api_requests, "the last moments are not in it yet".into(), of(WEEK, |day| day.api_requests)),
        tile(
            "Messages in 30 days",
            usage.days.iter().map(|day| day.figures.messages_accepted).sum(),
            "handed in".into(),
            of(DAYS, |day| day.messages_accepted),
        ),
    ]
}

/// Health, live.
pub async fn follow_health(State(app): State<Arc<App>>, visitor: Visitor) -> Page {
    let seen = app.clone();
    let make: Make = Box::new(move || {
        let app = seen.clone();
        Box::pin(async move { Health::look(&app).await.render().ok() })
    });
    Ok(live::follow(app, visitor, make)?)
}
