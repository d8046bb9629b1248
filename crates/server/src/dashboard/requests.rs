//! The API log: which requests came.

use super::form::Form;
use super::list::{Asked, PAGE_SIZE, Pager, with_next};
use super::messages::{day, day_after};
use super::owner::{asked_or_own, names};
use super::parts::{Badge, Empty, When};
use super::render::{Page, with_status};
use super::visitor::{Shell, Visitor};
use crate::app::App;
use askama::Template;
use axum::extract::State;
use futures::TryFutureExt;
use sanasend_store::{ApiLogFilter, LoggedRequest};
use std::sync::Arc;

/// What the list can be narrowed to.
const STATUSES: &[(&str, &str)] =
    &[("", "Any answer"), ("2", "2xx, done"), ("3", "3xx, elsewhere"), ("4", "4xx, refused"), ("5", "5xx, failed")];
const METHODS: &[(&str, &str)] =
    &[("", "Any method"), ("GET", "GET"), ("POST", "POST"), ("PUT", "PUT"), ("PATCH", "PATCH"), ("DELETE", "DELETE")];

struct Line {
    row: LoggedRequest,
    owner: Option<String>,
    status: Badge,
    took: String,
    at: When,
}

#[derive(Template)]
#[template(path = "requests.html")]
struct ListPage {
    shell: Shell,
    filters: Form,
    is_admin: bool,
    lines: Vec<Line>,
    pager: Pager,
    empty: Empty,
}

fn badge(status: u16) -> Badge {
    let text = status.to_string();
    match status {
        500.. => Badge::bad(text),
        400..=499 => Badge::warn(text),
        _ => Badge::good(text),
    }
}

/// Shows the list.
pub async fn list(State(app): State<Arc<App>>, visitor: Visitor, asked: Asked) -> Page {
    let mut filters = asked.kept(["search", "status", "method", "ip", "from", "to", "user"]);
    let ip = asked.read("ip");
    if ip.is_err() {
        filters.refuse("ip", "must be an IP address, like 203.0.113.7");
    }
    let filter = ApiLogFilter {
        user_id: asked_or_own(&visitor, &asked)?,
        status_class: asked.read("status")?,
        method: asked.some("method"),
        ip: ip.ok().flatten(),
        from: asked.read_by("from", day)?,
        to: asked.read_by("to", day_after)?,
        search: asked.some("search"),
        ..ApiLogFilter::default()
    };
    let paged = |page| app.store.list_requests(&filter, page).map_ok(with_next);
    let following = |after| app.store.glance_at_requests(&filter, after, PAGE_SIZE);
    let (found, pager) = if filters.is_sound() {
        asked.long_list(filter.search.is_none() && filter.method.is_none(), paged, following).await?
    } else {
        (Vec::new(), asked.no_pages())
    };
    let owners = names(&app, &visitor, found.iter().filter_map(|row| row.user_id)).await?;
    let lines = found.into_iter().map(|row| Line {
        owner: row.user_id.and_then(|id| owners.get(&id).cloned()),
        status: badge(row.status_code),
        took: format!("{:.1} ms", row.latency.as_secs_f64() * 1000.0),
        at: When(row.at),
        row,
    });
    let empty = if asked.is_narrowed() {
        Empty { title: "No request fits", text: "Ask for less.", href: "/admin/requests/".into(), action: "Show all" }
    } else {
        let text = "Requests to the API are listed here a moment after they were answered.";
        Empty { title: "No requests yet", text, href: "/api/docs/".into(), action: "To the API's documentation" }
    };
    let shown = ListPage {
        shell: visitor.shell("API log", "requests"),
        filters,
        is_admin: visitor.is_admin(),
        lines: lines.collect(),
        pager,
        empty,
    };
    with_status(shown.filters.status(), &shown)
}
