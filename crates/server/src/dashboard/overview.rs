//! The first page: for admins everything of today, for others what is their own.

use super::chart::Chart;
use super::figures::{self, By, Limit};
use super::list::Asked;
use super::live::{self, Make};
use super::parts::{Badge, Tile, When, grouped};
use super::render::{Page, page};
use super::sessions_of::{SessionRow, sessions_of};
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::http::v1::{analytics::overview, usage};
use crate::vitals::{self, Condition, Part};
use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use sanasend_model::SessionStatus;
use std::sync::Arc;

/// Days in the charts by day.
const DAYS: i32 = 30;

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
    let view = overview::read(app, DAYS).await?;
    let (bars, by) = if by_day { (&view.days, By::Day) } else { (&view.hours, By::Hour) };
    let charts = [
        figures::messages("Messages", bars, by),
        figures::requests("API requests", bars, by),
        figures::latency("Latency of the API", bars, by),
    ];
    let health = Health::look(app).await;
    page(&OverviewPage { shell: visitor.shell("Overview", "overview"), at: When(view.at), by_day, tiles: tiles(&view), charts, health })
}

fn tiles(view: &overview::OverviewView) -> Vec<Tile> {
    let count = |count: u64| grouped(i64::try_from(count).unwrap_or(i64::MAX));
    let connected = view.sessions.by_status.get(SessionStatus::Connected.as_str()).copied().unwrap_or(0);
    let percent = |rate: Option<f64>| rate.map_or_else(|| "–".to_owned(), |rate| format!("{rate:.1} %"));
    let users = Tile {
        label: "Users",
        value: count(view.users.total),
        note: format!("{} active", count(view.users.active)),
        trend: None,
        href: "/admin/users/",
    };
    let sessions = Tile {
        label: "Connected accounts",
        value: count(connected),
        note: format!("of {} linked or being linked", count(view.sessions.total)),
        trend: None,
        href: "",
    };
    let messages = Tile {
        label: "Messages today",
        value: grouped(view.messages.today.accepted),
        note: trend_note(view.messages.trend, view.messages.yesterday.accepted),
        trend: view.messages.trend,
        href: "",
    };
    let requests = Tile {
        label: "API requests today",
        value: grouped(view.requests.today),
        note: trend_note(view.requests.trend, view.requests.yesterday),
        trend: view.requests.trend,
        href: "",
    };
    let before = success(view.messages.yesterday.sent, view.messages.yesterday.failed);
    let success = Tile {
        label: "Success rate",
        value: percent(view.messages.success_rate),
        note: format!("of messages today; yesterday {}", percent(before)),
        trend: None,
        href: "",
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
    let tile = |label, value: i64, note: String| Tile { label, value: grouped(value), note, trend: None, href: "" };
    let today = &usage.today;
    vec![
        tile(
            "Messages today",
            today.figures.messages_accepted,
            format!("{} sent, {} failed", grouped(today.figures.messages_sent), grouped(today.figures.messages_failed)),
        ),
        tile("Received today", today.figures.messages_received, "messages that came in".into()),
        tile("API requests today", today.figures.api_requests, "the last moments are not in it yet".into()),
        tile("Messages in 30 days", usage.days.iter().map(|day| day.figures.messages_accepted).sum(), "handed in".into()),
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
