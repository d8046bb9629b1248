//! Making, changing, pausing and removing recurring sends.

use super::view::{RecurringView, WantedSchedule};
use crate::app::App;
use crate::http::v1::messages::asked::check_recipient;
use crate::http::v1::messages::choose;
use crate::http::v1::templates;
use crate::http::{Answer, ApiError, Caller, ErrorCode, Json, Nothing, Path, Success, audit};
use axum::extract::State;
use sanasend_model::schedule::Recurrence;
use sanasend_model::{Content, FieldErrors, Invalid, ScheduleId, Timestamp};
use sanasend_store::{Recurring, RecurringContent, RecurringCreated, RecurringPlan, StoreError};
use serde_json::json;
use std::sync::Arc;

/// Longest name, in characters.
const LONGEST_NAME: usize = 64;

/// Create a recurring send
///
/// At each run a message is accepted as if you had sent it then: it counts for your daily limit, and quiet hours hold it. What
/// was missed while the server was down is done once when it is back, unless the deadline of the message has passed. A run
/// that can't be done is told as `schedule.failed`, and the next one is done as ever.
#[utoipa::path(post, path = "/schedules/", tag = "schedules", request_body = WantedSchedule,
    responses((status = 201, description = "The new recurring send.", body = Success<RecurringView>)),
    extensions(("x-scope" = json!("messages:send")),
        ("x-error-codes" = json!(["CONFLICT", "NOT_FOUND", "RECIPIENT_INVALID", "SCHEDULE_LIMIT_REACHED"]))))]
pub(crate) async fn create_schedule(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(wanted): Json<WantedSchedule>,
) -> Result<Answer<RecurringView>, ApiError> {
    let (plan, next_at) = check(&app, &caller, wanted, 0).await?;
    match app.store.create_recurring(caller.id(), plan, next_at, super::MOST).await {
        Ok(RecurringCreated::Done(made)) => {
            note(&app, &caller, "schedule.created", &made).await;
            noted(&app, next_at);
            Ok(Answer::created("The recurring send was created.", (*made).into()))
        }
        Ok(RecurringCreated::LimitReached) => Err(ErrorCode::ScheduleLimitReached.into()),
        Err(error) => Err(refused(error)),
    }
}

/// Replace a recurring send
///
/// Fields that are left out take their defaults. Its runs stay counted, and its next run is found anew.
#[utoipa::path(put, path = "/schedules/{id}/", tag = "schedules", request_body = WantedSchedule,
    params(("id" = String, Path, format = "uuid", description = "Id of the recurring send.")),
    responses((status = 200, description = "The recurring send as it is now.", body = Success<RecurringView>)),
    extensions(("x-scope" = json!("messages:send")), ("x-error-codes" = json!(["CONFLICT", "RECIPIENT_INVALID"]))))]
pub(crate) async fn replace_schedule(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<ScheduleId>,
    Json(wanted): Json<WantedSchedule>,
) -> Result<Answer<RecurringView>, ApiError> {
    let old = super::find(&app, &caller, id).await?;
    let (plan, next_at) = check(&app, &caller, wanted, old.runs).await?;
    save(&app, &caller, id, plan, next_at, "schedule.changed", "The recurring send was changed.").await
}

/// Pause a recurring send
///
/// No run is done until it is resumed; what would have been due meanwhile is not made up for.
#[utoipa::path(post, path = "/schedules/{id}/pause/", tag = "schedules",
    params(("id" = String, Path, format = "uuid", description = "Id of the recurring send.")),
    responses((status = 200, description = "The recurring send as it is now.", body = Success<RecurringView>)),
    extensions(("x-scope" = json!("messages:send"))))]
pub(crate) async fn pause_schedule(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<ScheduleId>,
) -> Result<Answer<RecurringView>, ApiError> {
    let old = super::find(&app, &caller, id).await?;
    let plan = RecurringPlan { is_active: false, ..old.plan };
    save(&app, &caller, id, plan, old.next_at, "schedule.paused", "The recurring send is paused.").await
}

/// Resume a recurring send
///
/// Its next run is the next that is due from now on.
#[utoipa::path(post, path = "/schedules/{id}/resume/", tag = "schedules",
    params(("id" = String, Path, format = "uuid", description = "Id of the recurring send.")),
    responses((status = 200, description = "The recurring send as it is now.", body = Success<RecurringView>)),
    extensions(("x-scope" = json!("messages:send")), ("x-error-codes" = json!(["WRONG_STATE"]))))]
pub(crate) async fn resume_schedule(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<ScheduleId>,
) -> Result<Answer<RecurringView>, ApiError> {
    let old = super::find(&app, &caller, id).await?;
    let plan = RecurringPlan { is_active: true, ..old.plan };
    let next_at = first_run(&plan, app.clock.now(), old.runs)?;
    if next_at.is_none() {
        return Err(ApiError::because(ErrorCode::WrongState, "No run is left: change its cron expression, `ends_at` or `max_runs`."));
    }
    save(&app, &caller, id, plan, next_at, "schedule.resumed", "The recurring send goes on.").await
}

/// Delete a recurring send
///
/// Messages of earlier runs stay.
#[utoipa::path(delete, path = "/schedules/{id}/", tag = "schedules",
    params(("id" = String, Path, format = "uuid", description = "Id of the recurring send.")),
    responses((status = 200, description = "The recurring send is gone.", body = Success<Nothing>)),
    extensions(("x-scope" = json!("messages:send"))))]
pub(crate) async fn delete_schedule(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<ScheduleId>,
) -> Result<Answer<Nothing>, ApiError> {
    let recurring = super::find(&app, &caller, id).await?;
    if !app.store.delete_recurring(id).await? {
        return Err(ApiError::not_found());
    }
    note(&app, &caller, "schedule.deleted", &recurring).await;
    Ok(Answer::ok("The recurring send was deleted.", Nothing {}))
}

async fn save(
    app: &App,
    caller: &Caller,
    id: ScheduleId,
    plan: RecurringPlan,
    next_at: Option<Timestamp>,
    action: &'static str,
    said: &'static str,
) -> Result<Answer<RecurringView>, ApiError> {
    let saved = app.store.replace_recurring(id, plan, next_at).await.map_err(refused)?.ok_or_else(ApiError::not_found)?;
    note(app, caller, action, &saved).await;
    noted(app, next_at);
    Ok(Answer::ok(said, saved.into()))
}

fn noted(app: &App, next_at: Option<Timestamp>) {
    if let Some(due) = next_at {
        app.outbox.note_date(due);
    }
}

fn refused(error: StoreError) -> ApiError {
    match error {
        StoreError::Conflict { what: "name" } => {
            ApiError::new(ErrorCode::Conflict).with_field("name", "is taken by another recurring send")
        }
        // The user or the account went away in this very moment.
        StoreError::Conflict { .. } => ApiError::not_found(),
        error => error.into(),
    }
}

/// The first run after `now`, if one is left after so many.
fn first_run(plan: &RecurringPlan, now: Timestamp, runs: i32) -> Result<Option<Timestamp>, FieldErrors> {
    let next = Recurrence::parse(&plan.cron, &plan.timezone)?.next_after(now);
    let next = next.filter(|next| plan.ends_at.is_none_or(|end| *next <= end));
    Ok(next.filter(|_| plan.most_runs.is_none_or(|most| runs < most)))
}

/// Checks every field; answers the plan and its first run. One that would never run is refused.
async fn check(app: &App, caller: &Caller, wanted: WantedSchedule, runs: i32) -> Result<(RecurringPlan, Option<Timestamp>), ApiError> {
    let now = app.clock.now();
    let mut errors = FieldErrors::default();
    let recurrence = Recurrence::parse(&wanted.cron, &wanted.timezone).map_err(|refused| errors.0.extend(refused.0)).ok();
    let name = errors.take(check_name(&wanted.name));
    if wanted.max_runs.is_some_and(|most| most < 1) {
        errors.push(Invalid::new("max_runs", "must be 1 or more"));
    }
    let values = templates::view::values(wanted.variables).map_err(|refused| errors.0.extend(refused.0)).unwrap_or_default();
    match (&wanted.content, &wanted.template) {
        (Some(text), None) => drop(errors.take(Content::text(text))),
        (None, Some(_)) => {}
        (None, None) => errors.push(Invalid::new("content", "is required, unless there is a `template`")),
        (Some(_), Some(_)) => errors.push(Invalid::new("content", "is not possible beside a `template`")),
    }
    check_recipient(&wanted.recipient, errors)?;
    let (Some(recurrence), Some(name)) = (recurrence, name) else { return Err(ErrorCode::ValidationError.into()) };
    let content = match (wanted.content, wanted.template) {
        (Some(text), _) => RecurringContent::Text(text),
        (None, named) => {
            let template = templates::choose(app, caller.id(), &named.unwrap_or_default(), wanted.language.as_deref()).await?;
            let id = template.id;
            // It must be good now; an edit may ask for more later, and the run then says so.
            templates::send::filled(app, template, None, &values).await?;
            RecurringContent::Template { id, variables: values }
        }
    };
    let session = choose(app, caller.id(), wanted.session.as_deref()).await?;
    let plan = RecurringPlan {
        name,
        session_id: session.id,
        cron: recurrence.cron().to_owned(),
        timezone: recurrence.zone().name().to_owned(),
        recipient: wanted.recipient.trim().to_owned(),
        content,
        quiet_hours: wanted.quiet_hours,
        ends_at: wanted.ends_at,
        most_runs: wanted.max_runs,
        is_active: wanted.is_active,
    };
    let next_at = first_run(&plan, now, runs)?;
    if next_at.is_none() && plan.is_active {
        let field = if recurrence.next_after(now).is_none() {
            "cron"
        } else if plan.ends_at.is_some() {
            "ends_at"
        } else {
            "max_runs"
        };
        return Err(ApiError::field(field, "leaves no run: it would never be sent"));
    }
    Ok((plan, next_at))
}

fn check_name(text: &str) -> Result<String, Invalid> {
    let text = text.trim();
    let sound = (1..=LONGEST_NAME).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    let refuse = || Invalid::new("name", "must have 1 to 64 characters, none of them a control character");
    sound.then(|| text.to_owned()).ok_or_else(refuse)
}

async fn note(app: &App, caller: &Caller, action: &'static str, recurring: &Recurring) {
    let plan = &recurring.plan;
    let detail = json!({"name": plan.name, "cron": plan.cron, "timezone": plan.timezone, "is_active": plan.is_active});
    audit::note(app, caller, action, format!("schedule {}", recurring.id), detail).await;
}
