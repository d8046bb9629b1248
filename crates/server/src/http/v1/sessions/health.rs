//! How an account fares: what it sent, what WhatsApp limits, and what pacing does with it and why.

use crate::app::App;
use crate::http::v1::messages::own;
use crate::http::{Answer, ApiError, Caller, Path, Success};
use axum::extract::State;
use sanasend_model::pacing::{Level, health};
use sanasend_model::{SessionId, SessionStatus, Timestamp, day};
use sanasend_store::{AccountCounts, Session};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// Days that are told one by one.
const DAYS: i32 = 14;
/// Days over which answers are counted.
const ANSWER_DAYS: u64 = 7;
const HOURS: i32 = 24;

/// How far something is used up.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct CapView {
    /// Used.
    #[schema(example = 40)]
    pub(crate) used: u32,
    /// Most.
    #[schema(example = 40)]
    pub(crate) cap: u32,
}

/// The warm-up of a new account.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct WarmUpView {
    /// Which day it is, from 1.
    #[schema(example = 2)]
    pub(crate) day: usize,
    /// Of how many.
    #[schema(example = 7)]
    pub(crate) of: usize,
}

/// What campaigns wait for.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct HoldView {
    /// Until when.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) until: Timestamp,
    /// Why.
    #[schema(example = "warm-up, day 2 of 7, 40 of 40 sent")]
    pub(crate) why: String,
}

/// Whether people answer.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct AnswersView {
    /// People and groups that were written to in the last 7 days (by the last 1,000 messages).
    #[schema(example = 120)]
    pub(crate) written_to: u64,
    /// Those of them that wrote afterwards.
    #[schema(example = 31)]
    pub(crate) answered: u64,
    /// Their share, from 0 to 1; null when nobody was written to.
    #[schema(example = 0.26)]
    pub(crate) ratio: Option<f64>,
}

/// One day of an account.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct AccountDayView {
    /// The UTC day.
    #[schema(example = "2026-11-21")]
    pub(crate) day: String,
    /// Messages that WhatsApp took.
    #[schema(example = 40)]
    pub(crate) sent: i64,
    /// Messages that failed.
    #[schema(example = 1)]
    pub(crate) failed: i64,
    /// Messages that came in.
    #[schema(example = 12)]
    pub(crate) received: i64,
    /// Messages of campaigns to people who never wrote to the account.
    #[schema(example = 31)]
    pub(crate) cold: i64,
}

/// How an account fares.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "AccountHealth")]
pub(crate) struct HealthView {
    /// Id of the account.
    #[schema(value_type = String, format = "uuid")]
    pub(crate) session: SessionId,
    /// `good`, `warming_up`, `resting`, `offline`, `failing`, `limited` or `unlinked`.
    #[schema(value_type = String, example = "warming_up")]
    pub(crate) level: Level,
    /// The same in a sentence.
    #[schema(example = "The account is new: day 2 of 7 of its warm-up, 12 of 40 sent today.")]
    pub(crate) sentence: String,
    /// When it was linked.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) linked_at: Timestamp,
    /// Until when WhatsApp limits it.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) limited_until: Option<Timestamp>,
    /// Messages of this UTC day, all of them, those on their way included; campaigns wait at the cap.
    pub(crate) today: CapView,
    /// The same of this UTC hour.
    pub(crate) this_hour: CapView,
    /// Messages of campaigns today to people who never wrote to it.
    pub(crate) cold_today: CapView,
    /// Its warm-up, while it lasts.
    pub(crate) warm_up: Option<WarmUpView>,
    /// What campaigns wait for now, by the server's own pacing; null when the next message may go.
    pub(crate) hold: Option<HoldView>,
    /// Whether people answer.
    pub(crate) answers: AnswersView,
    /// The last 14 days, oldest first; days without anything are left out.
    pub(crate) days: Vec<AccountDayView>,
}

/// Get the health of an account
///
/// What it sent and what failed, whether people answer, WhatsApp's limits with their ends, and what pacing does now and why.
/// `session.health_changed` tells when the level changes.
#[utoipa::path(get, path = "/sessions/{id}/health/", tag = "sessions",
    params(("id" = String, Path, format = "uuid", description = "Id of the session.")),
    responses((status = 200, description = "How it fares.", body = Success<HealthView>)),
    extensions(("x-scope" = json!("sessions:read"))))]
pub(crate) async fn get_session_health(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<SessionId>,
) -> Result<Answer<HealthView>, ApiError> {
    let row = own(&app, caller.id(), id).await?;
    Ok(Answer::ok("The health of the account.", look(&app, &row).await?))
}

/// How an account fares.
///
/// # Errors
/// `NOT_FOUND` when it was deleted in this moment.
pub(crate) async fn look(app: &App, row: &Session) -> Result<HealthView, ApiError> {
    let (id, user) = (row.id, row.user_id);
    let now = app.clock.now();
    let policy = &app.campaigns.settings().policy;
    let mut paced = app.store.paced_account(id).await?.ok_or_else(ApiError::not_found)?;
    // The link of this moment is the truth, and not what was written last.
    app.sessions.look(row).await;
    let live = app.sessions.live(row);
    paced.account.connected = live.status == SessionStatus::Connected;
    paced.figures.limited_until = live.limited_until;
    let health = health(policy, &paced.account, &paced.figures, now);
    let answers = app.store.account_answers(user, id, now.minus(Duration::from_hours(24 * ANSWER_DAYS))).await?;
    let hours = app.store.account_hours(id, now.day().saturating_sub(DAYS - 1).saturating_mul(HOURS)).await?;
    let used = |used, cap| CapView { used, cap };
    let share = |part: u64, whole: u64| f64::from(u32::try_from(part).unwrap_or(u32::MAX)) / f64::from(u32::try_from(whole).unwrap_or(1));
    Ok(HealthView {
        session: id,
        level: health.level,
        sentence: health.sentence,
        linked_at: paced.account.linked_at,
        limited_until: paced.figures.limited_until.filter(|until| *until > now),
        today: used(paced.account.today, health.cap_today),
        this_hour: used(paced.account.this_hour, policy.per_hour),
        cold_today: used(paced.account.cold_today, policy.cold_per_day),
        warm_up: health.warm_up.map(|(day, of)| WarmUpView { day, of }),
        hold: health.hold.map(|hold| HoldView { until: hold.until, why: hold.why.to_string() }),
        answers: AnswersView {
            written_to: answers.written_to,
            answered: answers.answered,
            ratio: (answers.written_to > 0).then(|| share(answers.answered, answers.written_to)),
        },
        days: by_day(hours),
    })
}

fn by_day(hours: Vec<(i32, AccountCounts)>) -> Vec<AccountDayView> {
    let mut days: BTreeMap<i32, AccountCounts> = BTreeMap::new();
    for (hour, counts) in hours {
        days.entry(hour.div_euclid(HOURS)).or_default().add(counts);
    }
    let view = |(number, counts): (i32, AccountCounts)| {
        let AccountCounts { sent, failed, received, cold } = counts;
        AccountDayView { day: day::day_text(number), sent, failed, received, cold }
    };
    days.into_iter().map(view).collect()
}
