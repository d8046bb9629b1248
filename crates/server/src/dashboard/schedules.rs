//! Recurring sends: the list, making and changing one with a preview of its next runs, pausing and deleting.

use super::confirm::Confirm;
use super::form::Form;
use super::list::{Asked, Pager};
use super::owner::{acting_for, asked_or_own, names};
use super::parts::{Badge, Empty, Told, When};
use super::render::{Page, html_answer, page, with_status};
use super::scheduled::read_entered;
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::http::v1::schedules::change::{create_schedule, delete_schedule, pause_schedule, replace_schedule, resume_schedule};
use crate::http::v1::schedules::view::{RecurringView, WantedSchedule, times};
use crate::http::{ApiError, Caller, ErrorCode, Json, Path};
use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use axum::http::StatusCode;
use sanasend_model::schedule::Zone;
use sanasend_model::{ScheduleId, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

struct Line {
    id: String,
    owner: Option<String>,
    name: String,
    when: String,
    recipient: String,
    state: Badge,
    next: Option<When>,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "schedules.html")]
struct ListPage {
    shell: Shell,
    is_admin: bool,
    lines: Vec<Line>,
    pager: Pager,
    empty: Empty,
}

#[derive(Template)]
#[template(path = "schedule_form.html")]
struct FormPage {
    shell: Shell,
    form: Form,
    times: Times,
    action: String,
    back: String,
    button: &'static str,
}

/// The names of all time zones, to choose from.
pub fn zones() -> impl Iterator<Item = &'static str> {
    Zone::names()
}

/// When a cron expression comes true next, or what is wrong with it.
#[derive(Template)]
#[template(path = "parts/times.html")]
struct Times {
    upcoming: Vec<String>,
    problems: Vec<String>,
}

impl HtmlSafe for Times {}

#[derive(Template)]
#[template(path = "schedule.html")]
struct OnePage {
    shell: Shell,
    owner: Option<(String, String)>,
    view: RecurringView,
    state: Badge,
    last: Option<When>,
    values: Vec<(String, String)>,
}

fn state(view: &RecurringView) -> Badge {
    if !view.is_active {
        Badge::plain("paused")
    } else if view.next_run_at.is_none() {
        Badge::plain("over")
    } else if view.last_error.is_some() {
        Badge::bad("failing")
    } else {
        Badge::good("on")
    }
}

/// Shows the list.
pub async fn list(State(app): State<Arc<App>>, visitor: Visitor, asked: Asked) -> Page {
    let listed = app.store.list_recurring(asked_or_own(&visitor, &asked)?, asked.page()).await?;
    let owners = names(&app, &visitor, listed.results.iter().map(|recurring| recurring.user_id)).await?;
    let pager = asked.pager(&listed);
    let lines = listed.results.into_iter().map(|recurring| {
        let owner = owners.get(&recurring.user_id).cloned();
        let view = RecurringView::from(recurring);
        Line {
            owner,
            state: state(&view),
            id: view.id.to_string(),
            when: format!("{} ({})", view.cron, view.timezone),
            next: view.next_run_at.map(When),
            error: view.last_error,
            name: view.name,
            recipient: view.recipient,
        }
    });
    let text = "The same message again and again: each morning, each Monday, on the last day of each month.";
    let empty = Empty { title: "No recurring send yet", text, href: "/admin/schedules/new/".into(), action: "Add a recurring send" };
    let shell = visitor.shell("Recurring sends", "scheduled");
    page(&ListPage { shell, is_admin: visitor.is_admin(), lines: lines.collect(), pager, empty })
}

fn times_of(app: &App, form: &Form) -> Times {
    match times(form.text("cron"), form.text("timezone"), app.clock.now()) {
        Ok(times) => Times { upcoming: times.upcoming.into_iter().map(short).collect(), problems: Vec::new() },
        Err(errors) => {
            let told = errors.0.into_iter().flat_map(|(field, all)| all.into_iter().map(move |why| format!("{field} {why}")));
            Times { upcoming: Vec::new(), problems: told.collect() }
        }
    }
}

/// A run as people read it, in UTC.
fn short(at: Timestamp) -> String {
    at.to_string().chars().take(16).collect::<String>().replace('T', " ")
}

/// The next runs of what is entered: a part of the page, asked for by the script.
pub async fn preview(State(app): State<Arc<App>>, _: Visitor, form: Form) -> Page {
    Ok(html_answer(StatusCode::OK, times_of(&app, &form).render().map_err(ApiError::internal)?))
}

fn form_page(app: &App, visitor: &Visitor, form: Form, id: Option<ScheduleId>) -> FormPage {
    let times = times_of(app, &form);
    let (title, action, back, button) = match id {
        None => ("Add a recurring send", "/admin/schedules/new/".into(), "/admin/schedules/".into(), "Add it"),
        Some(id) => ("Change the recurring send", format!("/admin/schedules/{id}/edit/"), format!("/admin/schedules/{id}/"), "Save"),
    };
    FormPage { shell: visitor.shell(title, "scheduled"), form, times, action, back, button }
}

/// Shows the form of a new one.
pub async fn ask_new(State(app): State<Arc<App>>, visitor: Visitor) -> Page {
    let form = Form::of([("cron", "30 9 * * MON-FRI".into()), ("timezone", "UTC".into()), ("is_active", "on".into())]);
    page(&form_page(&app, &visitor, form, None))
}

/// Values for the template: one per line, like `name: Ada`. A line that is none is refused; left out it would be missed only
/// when a message goes without it.
fn values(form: &mut Form) -> BTreeMap<String, Value> {
    let text = form.text("variables").to_owned();
    let (pairs, others): (Vec<&str>, Vec<&str>) =
        text.lines().filter(|line| !line.trim().is_empty()).partition(|line| line.contains([':', '=']));
    if !others.is_empty() {
        form.refuse("variables", "must have a name and a value on each line, like name: Ada");
    }
    let pairs = pairs.into_iter().filter_map(|line| line.split_once([':', '=']));
    pairs.map(|(name, value)| (name.trim().to_owned(), Value::from(value.trim()))).collect()
}

/// What is entered, as the API takes it; refused fields are noted in the form.
fn wanted(form: &mut Form) -> WantedSchedule {
    let variables = values(form);
    let ends_at = form.some("ends_at").and_then(|text| {
        let read = read_entered(&text);
        if read.is_none() {
            form.refuse("ends_at", "must be a date and time like 2026-12-01T09:00");
        }
        read
    });
    let max_runs = form.some("max_runs").map(|_| form.number("max_runs")).map(|number| i32::try_from(number).unwrap_or(i32::MAX));
    WantedSchedule {
        name: form.text("name").to_owned(),
        cron: form.text("cron").to_owned(),
        timezone: form.text("timezone").to_owned(),
        recipient: form.text("recipient").to_owned(),
        content: form.some("content").map(|text| text.replace("\r\n", "\n")),
        template: form.some("template"),
        language: form.some("language"),
        variables,
        session: form.some("session"),
        quiet_hours: None,
        ends_at,
        max_runs,
        is_active: form.is_on("is_active"),
    }
}

/// Makes one.
pub async fn create(State(app): State<Arc<App>>, visitor: Visitor, mut form: Form) -> Page {
    let wanted = wanted(&mut form);
    if !form.is_sound() {
        return with_status(form.status(), &form_page(&app, &visitor, form, None));
    }
    match create_schedule(State(app.clone()), visitor.caller.clone(), Json(wanted)).await {
        Ok(answer) => {
            let said = answer.body().message.clone();
            Ok(visitor.done(&format!("/admin/schedules/{}/", answer.into_data().id), &said))
        }
        Err(refusal) => {
            let form = form.refused(told(refusal))?;
            with_status(form.status(), &form_page(&app, &visitor, form, None))
        }
    }
}

/// A name that is entered here and is not found is a wrong entry, not a missing page. All values have one field.
fn told(mut refusal: ApiError) -> ApiError {
    if refusal.code != ErrorCode::NotFound {
        let all = std::mem::take(&mut refusal.errors.0);
        let (values, others): (BTreeMap<_, _>, BTreeMap<_, _>) = all.into_iter().partition(|(field, _)| field.starts_with("variables."));
        refusal.errors.0 = others;
        for (field, messages) in values {
            let name = field.trim_start_matches("variables.");
            let told = messages.into_iter().map(|why| format!("({name}) {why}"));
            refusal.errors.0.entry("variables".to_owned()).or_default().extend(told);
        }
        return refusal;
    }
    let field = if refusal.errors.0.contains_key("template") { "template" } else { "session" };
    ApiError::field(field, "is not there")
}

/// A recurring send, and the caller that its handlers are given.
async fn find(app: &App, visitor: &Visitor, id: ScheduleId) -> Result<(RecurringView, Caller), ApiError> {
    let recurring = app.store.recurring(id).await?.ok_or_else(ApiError::not_found)?;
    let caller = acting_for(app, visitor, recurring.user_id).await?;
    Ok((recurring.into(), caller))
}

/// Shows one.
pub async fn show(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<ScheduleId>) -> Page {
    let (view, caller) = find(&app, &visitor, id).await?;
    page(&OnePage {
        shell: visitor.shell(view.name.clone(), "scheduled"),
        owner: visitor.is_admin().then(|| (caller.user.id.to_string(), caller.user.username.clone())),
        state: state(&view),
        last: view.last_run_at.map(When),
        values: view.variables.clone().into_iter().collect(),
        view,
    })
}

/// Shows the form of one.
pub async fn ask_edit(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<ScheduleId>) -> Page {
    let (view, _) = find(&app, &visitor, id).await?;
    let variables: Vec<String> = view.variables.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let entered = |at: Option<Timestamp>| at.map(|at| at.to_string().chars().take(16).collect()).unwrap_or_default();
    let form = Form::of([
        ("name", view.name),
        ("cron", view.cron),
        ("timezone", view.timezone),
        ("recipient", view.recipient),
        ("content", view.content.unwrap_or_default()),
        ("template", view.template.map(|id| id.to_string()).unwrap_or_default()),
        ("variables", variables.join("\n")),
        ("session", view.session.to_string()),
        ("ends_at", entered(view.ends_at)),
        ("max_runs", view.max_runs.map(|most| most.to_string()).unwrap_or_default()),
        ("is_active", if view.is_active { "on" } else { "" }.to_owned()),
    ]);
    page(&form_page(&app, &visitor, form, Some(id)))
}

/// Changes one.
pub async fn edit(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<ScheduleId>, mut form: Form) -> Page {
    let (view, caller) = find(&app, &visitor, id).await?;
    let wanted = WantedSchedule { quiet_hours: view.quiet_hours, ..wanted(&mut form) };
    if !form.is_sound() {
        return with_status(form.status(), &form_page(&app, &visitor, form, Some(id)));
    }
    match replace_schedule(State(app.clone()), caller, Path(id), Json(wanted)).await {
        Ok(answer) => Ok(visitor.done(&format!("/admin/schedules/{id}/"), &answer.body().message)),
        Err(refusal) => {
            let form = form.refused(told(refusal))?;
            with_status(form.status(), &form_page(&app, &visitor, form, Some(id)))
        }
    }
}

/// Pauses one.
pub async fn pause(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<ScheduleId>) -> Page {
    let (_, caller) = find(&app, &visitor, id).await?;
    let answer = pause_schedule(State(app), caller, Path(id)).await?;
    Ok(visitor.done(&format!("/admin/schedules/{id}/"), &answer.body().message))
}

/// Lets one go on.
pub async fn resume(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<ScheduleId>) -> Page {
    let here = format!("/admin/schedules/{id}/");
    let (_, caller) = find(&app, &visitor, id).await?;
    match resume_schedule(State(app), caller, Path(id)).await {
        Ok(answer) => Ok(visitor.done(&here, &answer.body().message)),
        Err(refusal) if refusal.code == ErrorCode::WrongState => Ok(visitor.refused(&here, &refusal.message)),
        Err(refusal) => Err(refusal.into()),
    }
}

/// Asks before one is deleted.
pub async fn ask_delete(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<ScheduleId>) -> Page {
    let (view, _) = find(&app, &visitor, id).await?;
    Confirm {
        shell: visitor.shell("Delete the recurring send?", "scheduled"),
        text: vec![format!("{} runs no more. Messages of earlier runs stay.", view.name)],
        action: format!("/admin/schedules/{id}/delete/"),
        button: "Delete the recurring send",
        is_grave: true,
        back: format!("/admin/schedules/{id}/"),
        hidden: Vec::new(),
        fields: Vec::new(),
    }
    .show()
}

/// Deletes one.
pub async fn delete(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<ScheduleId>) -> Page {
    let (_, caller) = find(&app, &visitor, id).await?;
    let answer = delete_schedule(State(app), caller, Path(id)).await?;
    Ok(visitor.done("/admin/schedules/", &answer.body().message))
}
