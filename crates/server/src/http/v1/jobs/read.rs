//! Looking at background work.

use super::view::{JobSummary, JobView, KindView, ScheduleView};
use crate::app::App;
use crate::http::{Answer, ApiError, Caller, Origin, Paged, Path, Query, Success, page, paged};
use axum::extract::State;
use sanasend_model::{JobId, JobState, UserId};
use sanasend_store::{JobFilter, JobOrder};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// Which jobs to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListJobs {
    /// Number of the page, from 1.
    #[param(minimum = 1, example = 1)]
    pub(crate) page: Option<u64>,
    /// Jobs per page.
    #[param(minimum = 1, maximum = 100, example = 20)]
    pub(crate) page_size: Option<u64>,
    /// Only those of this kind.
    #[param(example = "webhook.deliver")]
    pub(crate) kind: Option<String>,
    /// Only those in this state: `waiting`, `running` or `dead`.
    #[param(example = "dead", pattern = "^(waiting|running|dead)$")]
    pub(crate) state: Option<String>,
    /// Only those for this user.
    #[param(value_type = Option<String>, format = "uuid")]
    pub(crate) user: Option<UserId>,
    /// Part of the kind, bundle, lane or last error.
    pub(crate) search: Option<String>,
    /// `created_at`, `due_at` or `attempts`; with `-` in front for the reverse.
    #[param(example = "-created_at", pattern = "^-?(created_at|due_at|attempts)$")]
    pub(crate) ordering: Option<String>,
}

/// List jobs
///
/// The queue of background work. Newest first, unless `ordering` says otherwise. Jobs that were done are gone.
#[utoipa::path(get, path = "/jobs/", tag = "jobs", params(ListJobs),
    responses((status = 200, description = "One page of jobs.", body = Success<Paged<JobView>>)),
    extensions(("x-admin" = json!(true))))]
pub async fn list_jobs(
    State(app): State<Arc<App>>,
    _: Caller,
    origin: Origin,
    Query(asked): Query<ListJobs>,
) -> Result<Answer<Paged<JobView>>, ApiError> {
    let page = page(asked.page, asked.page_size)?;
    let ordering = crate::http::page::ordering(asked.ordering.as_deref(), JobOrder::NAMES)?;
    let state = asked.state.as_deref().map(str::parse::<JobState>).transpose();
    let state = state.map_err(|()| ApiError::field("state", "must be waiting, running or dead"))?;
    let filter = JobFilter { kind: asked.kind, state, user_id: asked.user, search: asked.search, ordering };
    let listed = app.store.list_jobs(&filter, page).await?;
    Ok(Answer::ok("Jobs.", paged(listed, &page, &origin, JobView::from)))
}

/// Get a job
///
/// One that was done is gone, and answers as one that never was.
#[utoipa::path(get, path = "/jobs/{id}/", tag = "jobs",
    params(("id" = String, Path, format = "uuid", description = "Id of the job.")),
    responses((status = 200, description = "The job.", body = Success<JobView>)),
    extensions(("x-admin" = json!(true))))]
pub async fn get_job(State(app): State<Arc<App>>, _: Caller, Path(id): Path<JobId>) -> Result<Answer<JobView>, ApiError> {
    let job = app.store.job(id).await?.ok_or_else(ApiError::not_found)?;
    Ok(Answer::ok("The job.", JobView::from(job)))
}

/// Summarize background work
///
/// How many jobs of each kind wait, run and were given up, how late the queue is, and how each schedule stands. Kinds
/// that have no jobs now are listed with zeros.
#[utoipa::path(get, path = "/jobs/summary/", tag = "jobs",
    responses((status = 200, description = "The figures.", body = Success<JobSummary>)),
    extensions(("x-admin" = json!(true))))]
pub async fn summarize_jobs(State(app): State<Arc<App>>, _: Caller) -> Result<Answer<JobSummary>, ApiError> {
    let now = app.clock.now();
    let mut kinds: Vec<KindView> = app.store.count_jobs().await?.into_iter().map(KindView::from).collect();
    for kind in app.jobs.kinds() {
        if !kinds.iter().any(|known| known.kind == kind) {
            kinds.push(KindView { kind: kind.to_owned(), waiting: 0, running: 0, dead: 0, oldest_due: None });
        }
    }
    kinds.sort_by(|one, other| one.kind.cmp(&other.kind));
    let schedules = app.jobs.schedules().await?.into_iter().map(|state| ScheduleView::at(state, now)).collect();
    Ok(Answer::ok("Background work.", JobSummary { kinds, schedules }))
}
