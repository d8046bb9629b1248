//! The list of users: found, filtered, sorted, and changed several at once.

use super::standing_badge;
use crate::app::App;
use crate::dashboard::list::{Asked, Heading, Pager};
use crate::dashboard::parts::{Badge, When, grouped};
use crate::dashboard::render::{Page, page};
use crate::dashboard::visitor::{Shell, Visitor};
use askama::Template;
use axum::extract::State;
use sanasend_model::{SessionStatus, UserId};
use sanasend_store::{User, UserFigures, UserFilter};
use std::sync::Arc;

#[derive(Template)]
#[template(path = "users.html")]
struct UsersPage {
    shell: Shell,
    asked: Asked,
    /// Where the form for several is sent.
    bulk: String,
    headings: [Heading; 2],
    rows: Vec<Row>,
    pager: Pager,
}

/// A row of the list.
struct Row {
    user: User,
    standing: Badge,
    sessions: Vec<Badge>,
    today: String,
    total: String,
    keys: u64,
    made: When,
}

/// Shows the list.
pub async fn show(State(app): State<Arc<App>>, visitor: Visitor, asked: Asked) -> Page {
    let filter = UserFilter {
        search: asked.some("search"),
        is_active: match asked.one_of("status", &[("active", ""), ("suspended", "")])? {
            "active" => Some(true),
            "suspended" => Some(false),
            _ => None,
        },
        is_admin: match asked.one_of("role", &[("admin", ""), ("user", "")])? {
            "admin" => Some(true),
            "user" => Some(false),
            _ => None,
        },
        ordering: asked.ordering(),
    };
    let listed = app.store.list_users(&filter, asked.page()).await?;
    let ids: Vec<UserId> = listed.results.iter().map(|user| user.id).collect();
    let mut figures = app.store.user_figures(&ids, app.clock.now().day()).await?;
    let pager = asked.pager(&listed);
    let rows = listed.results.into_iter().map(|user| {
        let figures = figures.remove(&user.id).unwrap_or_default();
        row(user, &figures)
    });
    let page_of = UsersPage {
        shell: visitor.shell("Users", "users"),
        headings: [asked.heading("User", "username"), asked.heading("Made", "created_at")],
        rows: rows.collect(),
        pager,
        bulk: asked.at(super::bulk::HERE),
        asked,
    };
    page(&page_of)
}

fn row(user: User, figures: &UserFigures) -> Row {
    let badge = |(status, count): &(SessionStatus, u64)| Badge::session(*status).times(*count);
    Row {
        standing: standing_badge(&user),
        sessions: figures.sessions.iter().map(badge).collect(),
        today: grouped(figures.messages_today),
        total: grouped(figures.messages_total),
        keys: figures.keys,
        made: When(user.created_at),
        user,
    }
}
