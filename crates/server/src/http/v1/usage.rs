//! What the caller used, and the limits in force.

use crate::app::App;
use crate::http::{Answer, ApiError, Caller, Success};
use axum::extract::State;
use sanasend_model::limit::Standing;
use sanasend_model::{ApiKeyId, Timestamp, day};
use sanasend_store::limits::{Ask, Counted};
use sanasend_store::{Page, SessionFilter, StoreError, Usage, User};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Days that are told.
const DAYS: i32 = 30;

/// `/usage/`.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default().routes(routes!(get_usage))
}

/// What was used in some time, as every report tells it.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(crate) struct UsedFigures {
    /// Messages handed in; the daily limit counts these.
    #[schema(example = 120)]
    pub(crate) messages_accepted: i64,
    /// Messages that WhatsApp took.
    #[schema(example = 118)]
    pub(crate) messages_sent: i64,
    /// Those of them that carry a file.
    #[schema(example = 7)]
    pub(crate) media_sent: i64,
    /// Messages that came in.
    #[schema(example = 35)]
    pub(crate) messages_received: i64,
    /// Messages that failed.
    #[schema(example = 2)]
    pub(crate) messages_failed: i64,
    /// Requests to the API; the last moments are not in it yet.
    #[schema(example = 164)]
    pub(crate) api_requests: i64,
}

impl From<Usage> for UsedFigures {
    fn from(usage: Usage) -> Self {
        Self {
            messages_accepted: usage.accepted,
            messages_sent: usage.sent,
            media_sent: usage.media_sent,
            messages_received: usage.received,
            messages_failed: usage.failed,
            api_requests: usage.api_requests,
        }
    }
}

/// What was used on a day.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct UsedView {
    /// The UTC day.
    #[schema(example = "2026-11-21")]
    pub date: String,
    /// The figures.
    #[serde(flatten)]
    pub figures: UsedFigures,
}

/// A limit and how you stand against it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct LimitView {
    /// `messages_per_day`, `messages_per_minute`, `requests_per_minute`, `requests_per_minute_of_key`, `sessions`.
    #[schema(example = "messages_per_day")]
    pub name: &'static str,
    /// How many are allowed.
    #[schema(example = 1000)]
    pub limit: i64,
    /// How many were used.
    #[schema(example = 120)]
    pub used: i64,
    /// How many are left now.
    #[schema(example = 880)]
    pub remaining: i64,
    /// When all of it is free again; null for what is freed by you.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub resets_at: Option<Timestamp>,
}

/// Own usage.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct UsageView {
    /// Today (UTC).
    pub today: UsedView,
    /// The limits in force; what is not limited is not told.
    pub limits: Vec<LimitView>,
    /// The last 30 days, today last.
    pub days: Vec<UsedView>,
}

/// Get your usage
///
/// Today, the limits in force and how you stand against them, and the last 30 days.
#[utoipa::path(get, path = "/usage/", tag = "usage",
    responses((status = 200, description = "Your usage.", body = Success<UsageView>)),
    extensions(("x-scope" = json!("usage:read"))))]
async fn get_usage(State(app): State<Arc<App>>, caller: Caller) -> Result<Answer<UsageView>, ApiError> {
    let key = caller.key.as_ref().map(|key| key.id);
    Ok(Answer::ok("Your usage.", report(&app, &caller.user, key).await?))
}

/// The usage of a user, and how it (and a key of it) stands against the limits in force.
///
/// # Errors
/// The store's.
pub(crate) async fn report(app: &App, user: &User, key: Option<ApiKeyId>) -> Result<UsageView, StoreError> {
    let now = app.clock.now();
    let today = now.day();
    let used: BTreeMap<i32, Usage> = app.store.usage_days(user.id, today + 1 - DAYS, today + 1).await?.into_iter().collect();
    let on = |day: i32| used.get(&day).copied().unwrap_or_default();
    let filter = SessionFilter { user_id: Some(user.id), ..SessionFilter::default() };
    let sessions = app.store.list_sessions(&filter, Page { page: 1, page_size: 1 }).await?.count;
    let mut limits = vec![plain("messages_per_day", user.max_messages_per_day, on(today).accepted, Some(Timestamp::of_day(today + 1)))];
    limits.extend(per_minute(app, user, key, now));
    limits.push(plain("sessions", user.max_sessions, i64::try_from(sessions).unwrap_or(i64::MAX), None));
    let days = (today + 1 - DAYS..=today).map(|day| view(day, on(day))).collect();
    Ok(UsageView { today: view(today, on(today)), limits, days })
}

fn plain(name: &'static str, limit: i64, used: i64, resets_at: Option<Timestamp>) -> LimitView {
    LimitView { name, limit, used, remaining: (limit - used).max(0), resets_at }
}

/// The limits per minute, as far as this node knows. Looking costs nothing of them.
fn per_minute(app: &App, user: &User, key: Option<ApiKeyId>, now: Timestamp) -> Vec<LimitView> {
    let requests = &app.config.limits;
    let messages = u32::try_from(user.max_messages_per_minute).unwrap_or(u32::MAX);
    let mut asks = vec![
        ("messages_per_minute", Ask { what: Counted::Messages(user.id), per_minute: messages }),
        ("requests_per_minute", Ask { what: Counted::Requests(user.id), per_minute: requests.requests_per_minute }),
    ];
    if let Some(key) = key {
        let ask = Ask { what: Counted::Key(user.id, key), per_minute: requests.requests_per_minute_per_key };
        asks.push(("requests_per_minute_of_key", ask));
    }
    let limited = asks.into_iter().filter(|(_, ask)| ask.per_minute > 0);
    limited.map(|(name, ask)| standing(name, app.limits.look(ask), now)).collect()
}

fn standing(name: &'static str, how: Standing, now: Timestamp) -> LimitView {
    let (limit, used, remaining) = (how.limit.into(), how.used().into(), how.remaining.into());
    LimitView { name, limit, used, remaining, resets_at: Some(now.plus(how.reset)) }
}

fn view(day: i32, usage: Usage) -> UsedView {
    UsedView { date: day::day_text(day), figures: usage.into() }
}
