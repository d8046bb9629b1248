//! The WhatsApp groups of an account: what each is called, and the id that messages are sent to.

use super::form::Form;
use super::list::{Asked, Pager};
use super::parts::Empty;
use super::render::{Page, page};
use super::sessions::find;
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::http::Path;
use crate::http::v1::groups::look;
use crate::sessions::GroupsWish;
use askama::Template;
use axum::extract::State;
use sanasend_engine::Group;
use sanasend_model::SessionId;
use sanasend_store::Listed;
use std::sync::Arc;

#[derive(Template)]
#[template(path = "groups.html")]
struct GroupsPage {
    shell: Shell,
    id: String,
    name: String,
    filters: Form,
    /// Why there is nothing to show.
    trouble: Option<String>,
    lines: Vec<Line>,
    pager: Pager,
    empty: Empty,
}

struct Line {
    jid: String,
    subject: String,
    description: Option<String>,
    members: String,
    role: &'static str,
}

impl From<Group> for Line {
    fn from(group: Group) -> Self {
        Self {
            jid: group.jid.to_string(),
            subject: if group.subject.is_empty() { "(no name)".into() } else { group.subject },
            description: group.description,
            members: if group.member_count == 1 { "1 member".into() } else { format!("{} members", group.member_count) },
            role: match (group.is_admin, group.only_admins_send) {
                (true, _) => "admin",
                (false, true) => "member; only admins may write",
                (false, false) => "member",
            },
        }
    }
}

/// Shows the list, or why WhatsApp can't be asked for it.
pub async fn show(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<SessionId>, asked: Asked) -> Page {
    let (row, _) = find(&app, &visitor, id).await?;
    let wish = GroupsWish { search: asked.some("search"), page: asked.page() };
    let (listed, trouble) = match look(&app, &row, wish).await {
        Ok(listed) => (listed, None),
        Err(refusal) => (Listed { count: 0, results: Vec::new() }, Some(refusal.message)),
    };
    let pager = asked.pager(&listed);
    let empty = if asked.is_filtered() {
        Empty { title: "No group fits", text: "Ask for less.", href: format!("/admin/sessions/{id}/groups/"), action: "Show all" }
    } else {
        let text = "Groups are made, and people taken into them, on the phone.";
        Empty { title: "The account is in no group", text, href: String::new(), action: "" }
    };
    page(&GroupsPage {
        shell: visitor.shell(format!("Groups of {}", row.name), "sessions"),
        id: id.to_string(),
        name: row.name,
        filters: Form::of([("search", asked.text("search").to_owned())]),
        trouble,
        lines: listed.results.into_iter().map(Line::from).collect(),
        pager,
        empty,
    })
}
