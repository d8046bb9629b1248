//! Who wants no messages: the list, adding somebody by hand, and ending an opt-out.

use crate::app::App;
use crate::dashboard::confirm::Confirm;
use crate::dashboard::form::Form;
use crate::dashboard::list::{Asked, PAGE_SIZE, Pager, with_next};
use crate::dashboard::owner::asked_or_own;
use crate::dashboard::parts::{Badge, Empty, When};
use crate::dashboard::render::{Page, page, with_status};
use crate::dashboard::trouble::Trouble;
use crate::dashboard::visitor::{Shell, Visitor};
use crate::http::v1::contacts::wish::cause;
use crate::http::v1::opt_outs::change;
use crate::http::{ApiError, Path};
use askama::Template;
use axum::extract::State;
use futures::TryFutureExt;
use sanasend_model::{OptOutId, OptOutSource, PhoneNumber};
use sanasend_store::{OptOut, OptOutFilter};
use std::sync::Arc;

/// What `in_force` may be.
pub const STANDINGS: &[(&str, &str)] = &[("", "All"), ("true", "In force"), ("false", "Ended")];

struct Line {
    id: String,
    person: String,
    state: Badge,
    source: &'static str,
    message: Option<String>,
    note: String,
    since: When,
    until: Option<When>,
}

#[derive(Template)]
#[template(path = "opt_outs.html")]
struct ListPage {
    shell: Shell,
    filters: Form,
    form: Form,
    lines: Vec<Line>,
    pager: Pager,
    empty: Empty,
}

/// How an opt-out is known, for people.
const fn told(source: OptOutSource) -> &'static str {
    match source {
        OptOutSource::Word => "they wrote it",
        OptOutSource::Api => "a program said so",
        OptOutSource::Dashboard => "said here",
        OptOutSource::Import => "a list",
    }
}

fn line(opt_out: OptOut) -> Line {
    let person = &opt_out.person;
    let ids = [
        person.phone.as_ref().map(ToString::to_string),
        person.jid.as_ref().map(ToString::to_string),
        person.lid.as_ref().map(ToString::to_string),
    ];
    Line {
        id: opt_out.id.to_string(),
        person: ids.into_iter().flatten().next().unwrap_or_default(),
        state: if opt_out.ended.is_none() { Badge::bad("in force") } else { Badge::plain("ended") },
        source: told(opt_out.source),
        message: opt_out.message_id.map(|id| id.to_string()),
        note: opt_out.note.unwrap_or_default(),
        since: When(opt_out.created_at),
        until: opt_out.ended.map(|ended| When(ended.at)),
    }
}

async fn page_of(app: &App, visitor: &Visitor, asked: &Asked, form: Form) -> Result<ListPage, Trouble> {
    let phone = asked.some("phone").and_then(|text| PhoneNumber::parse(&text).ok());
    let filter = OptOutFilter {
        user_id: Some(asked_or_own(visitor, asked).unwrap_or_else(|| visitor.caller.id())),
        in_force: asked.read("in_force"),
        phone,
    };
    let paged = |page| app.store.list_opt_outs(&filter, page).map_ok(with_next);
    let following = |after| app.store.list_opt_outs_after(&filter, after, PAGE_SIZE);
    let (found, pager) = asked.long_list(true, paged, following).await?;
    let text = "Whoever writes STOP to one of your accounts is listed here, and gets no more messages.";
    Ok(ListPage {
        shell: visitor.shell("Who wants no messages", "contacts"),
        filters: Form::of(["phone", "in_force"].map(|name| (name, asked.text(name).to_owned()))),
        form,
        lines: found.into_iter().map(line).collect(),
        pager,
        empty: Empty { title: "Nobody here", text, href: String::new(), action: "" },
    })
}

/// Shows the list.
pub async fn show(State(app): State<Arc<App>>, visitor: Visitor, asked: Asked) -> Page {
    page(&page_of(&app, &visitor, &asked, Form::default()).await?)
}

/// Opts somebody out by hand.
pub async fn create(State(app): State<Arc<App>>, visitor: Visitor, asked: Asked, form: Form) -> Page {
    match change::create(&app, &visitor.caller, form.text("phone"), form.text("note"), OptOutSource::Dashboard).await {
        Ok(_) => Ok(visitor.done("/admin/opt-outs/", "Nothing is sent to this person any more.")),
        Err(refusal) => {
            let form = form.refused(refusal)?;
            with_status(form.status(), &page_of(&app, &visitor, &asked, form).await?)
        }
    }
}

/// Asks before an opt-out is ended.
pub async fn ask_end(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<OptOutId>) -> Page {
    let opt_out = app.store.find_opt_out(visitor.caller.id(), id).await?.ok_or_else(ApiError::not_found)?;
    Confirm {
        shell: visitor.shell("Write to this person again?", "contacts"),
        text: vec![format!("{} wanted no messages. Go on only if they told you that they want them again.", line(opt_out).person)],
        action: format!("/admin/opt-outs/{id}/end/"),
        button: "They want messages again",
        is_grave: false,
        back: "/admin/opt-outs/".into(),
        hidden: Vec::new(),
        fields: vec![Form::default().line("note", "How do you know?")],
    }
    .show()
}

/// Ends one.
pub async fn end(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<OptOutId>, form: Form) -> Page {
    let cause = cause(form.text("note"), OptOutSource::Dashboard).map_err(ApiError::from)?;
    match change::end(&app, &visitor.caller, id, cause).await {
        Ok(_) => Ok(visitor.done("/admin/opt-outs/", "This person may be written to again.")),
        Err(refusal) if refusal.code.status().as_u16() == 409 => Ok(visitor.refused("/admin/opt-outs/", &refusal.message)),
        Err(refusal) => Err(refusal.into()),
    }
}
