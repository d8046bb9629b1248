//! The audit log: who did what, and whether the log is whole.

use super::form::Form;
use super::list::{Asked, Pager};
use super::messages::{day, day_after};
use super::owner::asked_or_own;
use super::parts::{Badge, Empty, When, grouped};
use super::render::{Page, page};
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::http::v1::audit::verify_audit_log;
use crate::jobs::schedules::AUDIT_CHECK;
use askama::Template;
use axum::extract::State;
use sanasend_store::{AuditFilter, StoreError};
use std::sync::Arc;

struct Line {
    seq: i64,
    at: When,
    actor: Option<String>,
    action: String,
    target: String,
    ip: Option<String>,
    detail: String,
}

/// Whether the log is as it was written, by its check of every night.
struct Mark {
    badge: Badge,
    at: Option<When>,
    found: String,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct ListPage {
    shell: Shell,
    filters: Form,
    is_admin: bool,
    /// For admins.
    mark: Option<Mark>,
    lines: Vec<Line>,
    pager: Pager,
    empty: Empty,
}

/// Shows the list: to admins all, to others what they did themselves.
pub async fn list(State(app): State<Arc<App>>, visitor: Visitor, asked: Asked) -> Page {
    let filter = AuditFilter {
        actor: asked_or_own(&visitor, &asked)?,
        action: asked.some("action"),
        target: asked.some("target"),
        from: asked.read_by("from", day)?,
        to: asked.read_by("to", day_after)?,
    };
    let listed = app.store.list_audit(&filter, asked.page()).await?;
    let names = app.store.usernames(listed.results.iter().filter_map(|record| record.actor)).await?;
    let pager = asked.pager(&listed);
    let lines = listed.results.into_iter().map(|record| Line {
        seq: record.seq,
        at: When(record.at),
        actor: record.actor.map(|id| names.get(&id).cloned().unwrap_or_else(|| id.to_string())),
        action: record.action,
        target: record.target,
        ip: record.ip.map(|ip| ip.to_string()),
        detail: if record.detail.as_object().is_some_and(serde_json::Map::is_empty) { String::new() } else { record.detail.to_string() },
    });
    let text = "Logins, keys, users, sessions: what touches security is noted here and never removed.";
    let empty = Empty { title: "Nothing fits", text, href: "/admin/audit/".into(), action: "Show all" };
    page(&ListPage {
        shell: visitor.shell("Audit log", "audit"),
        filters: asked.kept(["action", "target", "from", "to", "user"]),
        is_admin: visitor.is_admin(),
        mark: if visitor.is_admin() { Some(mark(&app).await?) } else { None },
        lines: lines.collect(),
        pager,
        empty,
    })
}

async fn mark(app: &App) -> Result<Mark, StoreError> {
    let check = app.jobs.schedules().await?.into_iter().map(|state| state.row).find(|row| row.name == AUDIT_CHECK);
    let (at, succeeded, found) = check.map(|row| (row.last_run, row.succeeded, row.detail)).unwrap_or_default();
    let badge = match succeeded {
        Some(true) => Badge::good("verified"),
        Some(false) => Badge::bad("not as it was written"),
        None => Badge::plain("not verified yet"),
    };
    Ok(Mark { badge, at: at.map(When), found: found.unwrap_or_default() })
}

/// Checks every entry, and says what was found.
pub async fn verify(State(app): State<Arc<App>>, visitor: Visitor) -> Page {
    let answer = verify_audit_log(State(app), visitor.caller.clone()).await?;
    let message = answer.body().message.clone();
    let found = answer.into_data();
    let entries = grouped(i64::try_from(found.entries).unwrap_or(i64::MAX));
    Ok(match (found.intact, found.head) {
        (true, Some(head)) => visitor.done("/admin/audit/", &format!("Verified: {message} {entries} entries. Its end is {head}")),
        (true, None) => visitor.done("/admin/audit/", &format!("Verified: {message} {entries} entries.")),
        (false, _) => {
            let place = found.first_broken.unwrap_or_default();
            let why = found.why.unwrap_or_default();
            visitor.refused("/admin/audit/", &format!("{message} Entry {place} {why}; {entries} entries before it are sound."))
        }
    })
}
