//! Retrying and dropping what was given up, and running a schedule now.

use super::view::{JobView, Retried, ScheduleView};
use crate::app::App;
use crate::http::{Answer, ApiError, Caller, ErrorCode, Json, Path, Success, audit};
use axum::extract::State;
use sanasend_model::{JobId, JobState};
use sanasend_store::{Job, JobChanged};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;

/// Which jobs to retry.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryJobs {
    /// Only those of this kind; left out: all.
    #[schema(example = "webhook.deliver")]
    pub(crate) kind: Option<String>,
}

/// Retry a job
///
/// Puts a job that was given up back on its way, with its attempts forgotten. 409 when it was not given up.
#[utoipa::path(post, path = "/jobs/{id}/retry/", tag = "jobs",
    params(("id" = String, Path, format = "uuid", description = "Id of the job.")),
    responses((status = 200, description = "The job as it is now.", body = Success<JobView>)),
    extensions(("x-admin" = json!(true)), ("x-error-codes" = json!(["WRONG_STATE"]))))]
pub async fn retry_job(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<JobId>) -> Result<Answer<JobView>, ApiError> {
    let job = done(app.store.retry_job(id).await?)?;
    audit::note(&app, &caller, "job.retried", format!("job {id}"), json!({"kind": job.kind})).await;
    Ok(Answer::ok("The job is tried again.", JobView::from(job)))
}

/// Retry all jobs that were given up
///
/// Or all of one kind.
#[utoipa::path(post, path = "/jobs/retry/", tag = "jobs", request_body = RetryJobs,
    responses((status = 200, description = "How many are tried again.", body = Success<Retried>)),
    extensions(("x-admin" = json!(true))))]
pub async fn retry_jobs(State(app): State<Arc<App>>, caller: Caller, Json(asked): Json<RetryJobs>) -> Result<Answer<Retried>, ApiError> {
    let count = app.store.retry_dead_jobs(asked.kind.clone()).await?;
    audit::note(&app, &caller, "jobs.retried", "jobs".to_owned(), json!({"kind": asked.kind, "count": count})).await;
    Ok(Answer::ok("The jobs are tried again.", Retried { count }))
}

/// Drop a job
///
/// Removes a job that was given up; what it was to do is not done. 409 when it was not given up.
#[utoipa::path(delete, path = "/jobs/{id}/", tag = "jobs",
    params(("id" = String, Path, format = "uuid", description = "Id of the job.")),
    responses((status = 200, description = "The job as it was.", body = Success<JobView>)),
    extensions(("x-admin" = json!(true)), ("x-error-codes" = json!(["WRONG_STATE"]))))]
pub async fn drop_job(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<JobId>) -> Result<Answer<JobView>, ApiError> {
    let job = done(app.store.drop_job(id).await?)?;
    audit::note(&app, &caller, "job.dropped", format!("job {id}"), json!({"kind": job.kind})).await;
    Ok(Answer::ok("The job was dropped.", JobView::from(job)))
}

/// Run a schedule now
///
/// It begins within moments, on one node; its outcome is in the summary. 409 while it is running.
#[utoipa::path(post, path = "/jobs/schedules/{name}/run/", tag = "jobs",
    params(("name" = String, Path, description = "Name of the schedule.", example = "events.sweep")),
    responses((status = 202, description = "It is about to run.", body = Success<ScheduleView>)),
    extensions(("x-admin" = json!(true)), ("x-error-codes" = json!(["WRONG_STATE"]))))]
pub async fn run_schedule(State(app): State<Arc<App>>, caller: Caller, Path(name): Path<String>) -> Result<Answer<ScheduleView>, ApiError> {
    if !app.jobs.hasten(&name).await?.ok_or_else(ApiError::not_found)? {
        return Err(ApiError::because(ErrorCode::WrongState, "The schedule is running now."));
    }
    audit::note(&app, &caller, "schedule.hastened", format!("schedule {name}"), json!({})).await;
    let states = app.jobs.schedules().await?;
    let state = states.into_iter().find(|state| state.row.name == name).ok_or_else(ApiError::not_found)?;
    Ok(Answer::accepted("The schedule is about to run.", ScheduleView::at(state, app.clock.now())))
}

fn done(changed: JobChanged) -> Result<Job, ApiError> {
    let sentence = match changed {
        JobChanged::Done(job) => return Ok(*job),
        JobChanged::Missing => return Err(ApiError::not_found()),
        JobChanged::WrongState(JobState::Running) => "The job is running.",
        JobChanged::WrongState(_) => "The job was not given up; it runs when it is due.",
    };
    Err(ApiError::because(ErrorCode::WrongState, sentence))
}
