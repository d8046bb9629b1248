//! Who wants no messages: the list, adding somebody by hand, and ending an opt-out.

use crate::app::App;
use crate::dashboard::confirm::Confirm;
use crate::dashboard::form::Form;
use crate::dashboard::list::{Asked, PAGE_SIZE, Pager, with_next};
use crate::dashboard::owner::{acting_for, address_of, one_asked_or_own};
use crate::dashboard::parts::{Badge, Empty, When};
use crate::dashboard::render::{Page, with_status};
use crate::dashboard::trouble::{Trouble, words};
use crate::dashboard::visitor::{Shell, Visitor};
use crate::http::v1::contacts::wish::cause;
use crate::http::v1::opt_outs::change;
use crate::http::{ApiError, Path};
use askama::Template;
use axum::extract::State;
use futures::TryFutureExt;
use sanasend_model::{OptOutId, OptOutSource, PhoneNumber, UserId};
use sanasend_store::{OptOut, OptOutFilter};
use std::sync::Arc;

/// Where the list is.
const HERE: &str = "/admin/opt-outs/";
/// What `in_force` may be.
pub const STANDINGS: &[(&str, &str)] = &[("", "All"), ("true", "In force"), ("false", "Ended")];

struct Line {
    /// The address of the question whether it is to end.
    end: String,
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
    /// Id and name of the user whose they are, where they are another's.
    owner: Option<(String, String)>,
    /// The address of the list.
    here: String,
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

fn line(visitor: &Visitor, owner: UserId, opt_out: OptOut) -> Line {
    let person = &opt_out.person;
    let ids = [
        person.phone.as_ref().map(ToString::to_string),
        person.jid.as_ref().map(ToString::to_string),
        person.lid.as_ref().map(ToString::to_string),
    ];
    Line {
        end: address_of(visitor, &format!("{HERE}{}/end/", opt_out.id), owner),
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
    let user = one_asked_or_own(visitor, asked)?;
    let is_own = user == visitor.caller.id();
    let owner =
        if is_own { None } else { app.store.usernames([user].into_iter()).await?.remove(&user).map(|name| (user.to_string(), name)) };
    let mut filters = Form::of(["phone", "in_force"].map(|name| (name, asked.text(name).to_owned())));
    let phone = asked.some("phone").map(|text| PhoneNumber::parse(&text)).transpose();
    if let Err(refused) = &phone {
        filters.refuse("phone", refused);
    }
    let filter = OptOutFilter { user_id: Some(user), in_force: asked.read("in_force")?, phone: phone.ok().flatten() };
    let paged = |page| app.store.list_opt_outs(&filter, page).map_ok(with_next);
    let following = |after| app.store.list_opt_outs_after(&filter, after, PAGE_SIZE);
    let (found, pager) = if filters.is_sound() { asked.long_list(true, paged, following).await? } else { (Vec::new(), asked.no_pages()) };
    let text = "Whoever writes STOP to one of your accounts is listed here, and gets no more messages.";
    Ok(ListPage {
        shell: visitor.shell("Who wants no messages", "contacts"),
        owner,
        here: address_of(visitor, HERE, user),
        filters,
        form,
        lines: found.into_iter().map(|opt_out| line(visitor, user, opt_out)).collect(),
        pager,
        empty: Empty { title: "Nobody here", text, href: String::new(), action: "" },
    })
}

/// Shows the list.
pub async fn show(State(app): State<Arc<App>>, visitor: Visitor, asked: Asked) -> Page {
    let shown = page_of(&app, &visitor, &asked, Form::default()).await?;
    with_status(shown.filters.status(), &shown)
}

/// Opts somebody out by hand, of the user whose list it is.
pub async fn create(State(app): State<Arc<App>>, visitor: Visitor, asked: Asked, form: Form) -> Page {
    let owner = one_asked_or_own(&visitor, &asked)?;
    let caller = acting_for(&app, &visitor, owner).await?;
    match change::create(&app, &caller, form.text("phone"), form.text("note"), OptOutSource::Dashboard).await {
        Ok(_) => Ok(visitor.done(&address_of(&visitor, HERE, owner), "Nothing is sent to this person any more.")),
        Err(refusal) => {
            let form = form.refused(refusal)?;
            with_status(form.status(), &page_of(&app, &visitor, &asked, form).await?)
        }
    }
}

/// Asks before an opt-out is ended.
pub async fn ask_end(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<OptOutId>, asked: Asked) -> Page {
    let owner = one_asked_or_own(&visitor, &asked)?;
    let opt_out = app.store.find_opt_out(owner, id).await?.ok_or_else(ApiError::not_found)?;
    let line = line(&visitor, owner, opt_out);
    Confirm {
        shell: visitor.shell("Write to this person again?", "contacts"),
        text: vec![format!("{} wanted no messages. Go on only if they told you that they want them again.", line.person)],
        action: line.end,
        button: "They want messages again",
        is_grave: false,
        back: address_of(&visitor, HERE, owner),
        hidden: Vec::new(),
        fields: vec![Form::default().line("note", "How do you know?")],
    }
    .show()
}

/// Ends one.
pub async fn end(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<OptOutId>, asked: Asked, form: Form) -> Page {
    let owner = one_asked_or_own(&visitor, &asked)?;
    let (caller, here) = (acting_for(&app, &visitor, owner).await?, address_of(&visitor, HERE, owner));
    let cause = match cause(form.text("note"), OptOutSource::Dashboard) {
        Ok(cause) => cause,
        Err(refused) => return Ok(visitor.refused(&here, &words(&refused.into()))),
    };
    match change::end(&app, &caller, id, cause).await {
        Ok(_) => Ok(visitor.done(&here, "This person may be written to again.")),
        Err(refusal) if refusal.code.status().as_u16() == 409 => Ok(visitor.refused(&here, &refusal.message)),
        Err(refusal) => Err(refusal.into()),
    }
}
