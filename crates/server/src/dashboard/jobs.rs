//! Background work: the queues, the schedules, what was given up.

use super::confirm::Confirm;
use super::form::Form;
use super::list::{Asked, Pager};
use super::parts::{Badge, Empty, Told, When, grouped};
use super::render::{Page, page};
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::http::v1::jobs::change::{RetryJobs, drop_job, retry_job, retry_jobs, run_schedule};
use crate::http::v1::jobs::read::{get_job, summarize_jobs};
use crate::http::v1::jobs::view::{JobView, KindView, ScheduleView};
use crate::http::{Answer, ApiError, ErrorCode, Json, Path};
use askama::Template;
use axum::extract::State;
use sanasend_model::{JobId, JobState};
use sanasend_store::JobFilter;
use std::sync::Arc;

/// What the list can be narrowed to.
const STATES: &[(&str, &str)] = &[("", "Any state"), ("waiting", "Waiting"), ("running", "Running"), ("dead", "Given up")];
const HERE: &str = "/admin/jobs/";

struct Line {
    view: JobView,
    state: Badge,
    is_dead: bool,
}

/// Figures of one kind, written out.
struct Queue {
    kind: String,
    waiting: String,
    running: String,
    dead: String,
    oldest: Option<When>,
}

/// A schedule and how its last run ended.
struct Turn {
    view: ScheduleView,
    outcome: Badge,
}

#[derive(Template)]
#[template(path = "jobs.html")]
struct ListPage {
    shell: Shell,
    queues: Vec<Queue>,
    turns: Vec<Turn>,
    /// Jobs that were given up; empty for none.
    dead: String,
    filters: Form,
    lines: Vec<Line>,
    pager: Pager,
    empty: Empty,
}

#[derive(Template)]
#[template(path = "job.html")]
struct JobPage {
    shell: Shell,
    line: Line,
    payload: String,
}

fn line(view: JobView) -> Line {
    let state = match view.state {
        JobState::Waiting => Badge::plain("waiting"),
        JobState::Running => Badge::good("running"),
        JobState::Dead => Badge::bad("given up"),
    };
    Line { is_dead: view.state == JobState::Dead, view, state }
}

fn outcome(text: Option<&'static str>) -> Badge {
    match text {
        Some("ok") => Badge::good("ok"),
        Some(other) => Badge::bad(other),
        None => Badge::plain("not yet"),
    }
}

fn queue(kind: KindView) -> Queue {
    Queue {
        waiting: count(kind.waiting),
        running: count(kind.running),
        dead: count(kind.dead),
        oldest: kind.oldest_due.map(When),
        kind: kind.kind,
    }
}

fn count(number: u64) -> String {
    grouped(i64::try_from(number).unwrap_or(i64::MAX))
}

/// Shows everything.
pub async fn list(State(app): State<Arc<App>>, visitor: Visitor, asked: Asked) -> Page {
    asked.one_of("state", STATES)?;
    let state = STATES.iter().position(|(name, _)| !name.is_empty() && asked.has("state", name)).and_then(|at| JobState::ALL.get(at - 1));
    let filter = JobFilter { kind: asked.some("kind"), state: state.copied(), search: asked.some("search"), ..JobFilter::default() };
    let listed = app.store.list_jobs(&filter, asked.page()).await?;
    let pager = asked.pager(&listed);
    let lines = listed.results.into_iter().map(|job| line(JobView::from(job))).collect();
    let summary = summarize_jobs(State(app), visitor.caller.clone()).await?.into_data();
    let dead: u64 = summary.kinds.iter().map(|kind| kind.dead).sum();
    let empty = if asked.is_narrowed() {
        Empty { title: "No job fits", text: "Ask for less.", href: HERE.into(), action: "Show all" }
    } else {
        Empty { title: "Nothing to do", text: "Work that was done is gone from here.", href: String::new(), action: "" }
    };
    page(&ListPage {
        shell: visitor.shell("Jobs", "jobs"),
        dead: if dead == 0 { String::new() } else { count(dead) },
        queues: summary.kinds.into_iter().map(queue).collect(),
        turns: summary.schedules.into_iter().map(|view| Turn { outcome: outcome(view.outcome), view }).collect(),
        filters: asked.kept(["search", "state", "kind"]),
        lines,
        pager,
        empty,
    })
}

/// Shows one.
pub async fn show(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<JobId>) -> Page {
    let view = get_job(State(app), visitor.caller.clone(), Path(id)).await?.into_data();
    let payload = serde_json::to_string_pretty(&view.payload).unwrap_or_default();
    page(&JobPage { shell: visitor.shell("Job", "jobs"), line: line(view), payload })
}

fn told<T>(visitor: &Visitor, back: &str, done: Result<Answer<T>, ApiError>) -> Page {
    match done {
        Ok(answer) => Ok(visitor.done(back, &answer.body().message)),
        Err(refusal) if refusal.code == ErrorCode::NotFound => Err(refusal.into()),
        Err(refusal) => Ok(visitor.refused(back, &refusal.message)),
    }
}

/// Tries one again.
pub async fn retry(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<JobId>) -> Page {
    told(&visitor, HERE, retry_job(State(app), visitor.caller.clone(), Path(id)).await)
}

/// Tries all again that were given up.
pub async fn retry_all(State(app): State<Arc<App>>, visitor: Visitor) -> Page {
    let answer = retry_jobs(State(app), visitor.caller.clone(), Json(RetryJobs::default())).await?;
    Ok(visitor.done(HERE, &format!("Jobs that are tried again: {}.", answer.into_data().count)))
}

/// Asks before one is dropped.
pub async fn ask_drop(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<JobId>) -> Page {
    let view = get_job(State(app), visitor.caller.clone(), Path(id)).await?.into_data();
    Confirm {
        shell: visitor.shell("Drop the job?", "jobs"),
        text: vec![format!("What it was to do ({}) is not done.", view.kind)],
        action: format!("/admin/jobs/{id}/drop/"),
        button: "Drop the job",
        is_grave: true,
        back: format!("/admin/jobs/{id}/"),
        hidden: Vec::new(),
        fields: Vec::new(),
    }
    .show()
}

/// Drops one.
pub async fn drop(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<JobId>) -> Page {
    told(&visitor, HERE, drop_job(State(app), visitor.caller.clone(), Path(id)).await)
}

/// Runs a schedule now.
pub async fn run(State(app): State<Arc<App>>, visitor: Visitor, Path(name): Path<String>) -> Page {
    told(&visitor, HERE, run_schedule(State(app), visitor.caller.clone(), Path(name)).await)
}
