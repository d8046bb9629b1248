//! One contact: made, seen, changed, opted out and in, removed, erased.

use super::{known_as, presence, several, standing};
use crate::app::App;
use crate::dashboard::confirm::Confirm;
use crate::dashboard::form::Form;
use crate::dashboard::owner::acting_for;
use crate::dashboard::parts::{Badge, Told};
use crate::dashboard::render::{Page, page, with_status};
use crate::dashboard::trouble::words;
use crate::dashboard::visitor::{Shell, Visitor};
use crate::http::v1::contacts::view::{ContactView, PartOfContact, WantedContact};
use crate::http::v1::contacts::{change, check, find, wish};
use crate::http::{ApiError, Caller, Path};
use askama::Template;
use axum::extract::State;
use sanasend_model::{ContactId, ContactSource, OptOutSource};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What `consent` of one may be.
pub const CONSENT: &[(&str, &str)] = &[("unknown", "Unknown"), ("granted", "Agreed to get messages"), ("withdrawn", "Took it back")];

#[derive(Template)]
#[template(path = "contact_form.html")]
struct FormPage {
    shell: Shell,
    form: Form,
    is_new: bool,
    action: String,
    back: String,
    button: &'static str,
}

#[derive(Template)]
#[template(path = "contact.html")]
struct ContactPage {
    shell: Shell,
    owner: Option<(String, String)>,
    list: String,
    view: ContactView,
    known_as: String,
    standing: Badge,
    presence: Badge,
}

/// Fields of one's own as people write them: one on a line, `name = value`.
fn read_fields(form: &mut Form) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let lines: Vec<String> = form.text("fields").lines().map(str::to_owned).collect();
    for line in lines.iter().filter(|line| !line.trim().is_empty()) {
        match line.split_once('=') {
            Some((name, value)) => drop(fields.insert(name.trim().to_owned(), value.trim().to_owned())),
            None => form.refuse("fields", "must have a name and a value on each line, like city = Berlin"),
        }
    }
    fields
}

fn new_page(visitor: &Visitor, form: Form) -> FormPage {
    let shell = visitor.shell("Add a contact", "contacts");
    let (action, back) = ("/admin/contacts/new/".to_owned(), "/admin/contacts/".to_owned());
    FormPage { shell, form, is_new: true, action, back, button: "Add the contact" }
}

/// Shows the form of a new one.
pub async fn ask_new(visitor: Visitor) -> Page {
    page(&new_page(&visitor, Form::of([("consent", "unknown".into())])))
}

/// Makes one.
pub async fn create(State(app): State<Arc<App>>, visitor: Visitor, mut form: Form) -> Page {
    let fields = read_fields(&mut form);
    if !form.is_sound() {
        return with_status(form.status(), &new_page(&visitor, form));
    }
    let wanted = WantedContact {
        phone: form.text("phone").trim().to_owned(),
        name: form.text("name").to_owned(),
        tags: several(form.text("tags")),
        groups: several(form.text("groups")),
        fields,
        notes: form.text("notes").replace("\r\n", "\n"),
        consent: form.some("consent"),
        consent_note: form.some("consent_note"),
    };
    match change::create(&app, &visitor.caller, wanted, ContactSource::Dashboard).await {
        Ok(contact) => Ok(visitor.done(&format!("/admin/contacts/{}/", contact.id), "The contact was added.")),
        Err(refusal) => {
            let form = form.refused(refusal)?;
            with_status(form.status(), &new_page(&visitor, form))
        }
    }
}

/// The caller that the handlers of a contact are given.
async fn acting(app: &App, visitor: &Visitor, id: ContactId) -> Result<Caller, ApiError> {
    let owner = app.store.contact_owner(id).await?.ok_or_else(ApiError::not_found)?;
    acting_for(app, visitor, owner).await
}

async fn view(app: &App, visitor: &Visitor, id: ContactId) -> Result<ContactView, ApiError> {
    let caller = acting(app, visitor, id).await?;
    Ok(find(app, &caller, id).await?.into())
}

/// Where the list is in which the contact stands.
fn list_of(visitor: &Visitor, caller: &Caller) -> String {
    if caller.id() == visitor.caller.id() { "/admin/contacts/".into() } else { format!("/admin/contacts/?user={}", caller.id()) }
}

/// Shows one.
pub async fn show(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<ContactId>) -> Page {
    let caller = acting(&app, &visitor, id).await?;
    let view = ContactView::from(find(&app, &caller, id).await?);
    let known_as = known_as(&view);
    let title = if view.name.is_empty() { known_as.clone() } else { view.name.clone() };
    page(&ContactPage {
        shell: visitor.shell(title, "contacts"),
        owner: visitor.is_admin().then(|| (caller.user.id.to_string(), caller.user.username.clone())),
        list: list_of(&visitor, &caller),
        known_as,
        standing: standing(&view),
        presence: presence(&view),
        view,
    })
}

fn edit_page(visitor: &Visitor, id: ContactId, form: Form) -> FormPage {
    let here = format!("/admin/contacts/{id}/");
    let shell = visitor.shell("Change the contact", "contacts");
    FormPage { shell, form, is_new: false, action: format!("{here}edit/"), back: here, button: "Save" }
}

/// Shows the form of one.
pub async fn ask_edit(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<ContactId>) -> Page {
    let view = view(&app, &visitor, id).await?;
    let join = |names: std::collections::BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(", ");
    let fields: Vec<String> = view.fields.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    let form = Form::of([
        ("name", view.name),
        ("tags", join(view.tags)),
        ("groups", join(view.groups)),
        ("fields", fields.join("\n")),
        ("notes", view.notes),
        ("consent", view.consent.as_str().to_owned()),
        ("consent_note", view.consent_note.unwrap_or_default()),
    ]);
    page(&edit_page(&visitor, id, form))
}

/// Changes one.
pub async fn edit(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<ContactId>, mut form: Form) -> Page {
    let caller = acting(&app, &visitor, id).await?;
    let before = find(&app, &caller, id).await?;
    let fields = read_fields(&mut form);
    if !form.is_sound() {
        return with_status(form.status(), &edit_page(&visitor, id, form));
    }
    // A consent that was not touched keeps its date and its source.
    let note = form.some("consent_note");
    let said = form.some("consent").filter(|consent| *consent != before.consent.as_str() || note != before.consent_note);
    let part = PartOfContact {
        name: Some(form.text("name").to_owned()),
        tags: Some(several(form.text("tags"))),
        groups: Some(several(form.text("groups"))),
        fields: Some(fields),
        notes: Some(form.text("notes").replace("\r\n", "\n")),
        consent_note: said.is_some().then_some(note),
        consent: said,
        consent_source: None,
    };
    match change::update(&app, &caller, id, part, "dashboard").await {
        Ok(_) => Ok(visitor.done(&format!("/admin/contacts/{id}/"), "The contact was changed.")),
        Err(refusal) => {
            let form = form.refused(refusal)?;
            with_status(form.status(), &edit_page(&visitor, id, form))
        }
    }
}

/// Asks WhatsApp about one.
pub async fn check(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<ContactId>) -> Page {
    let caller = acting(&app, &visitor, id).await?;
    let added = check::begin(&app, &caller, Some(vec![id])).await?;
    let back = format!("/admin/contacts/{id}/");
    Ok(match added {
        0 => visitor.refused(&back, "A contact without a number can't be asked about."),
        _ => visitor.done(&back, "WhatsApp is being asked."),
    })
}

/// Opts one out or in, by the note of the form.
async fn wished(app: &App, visitor: &Visitor, id: ContactId, form: &Form, out: bool) -> Page {
    let back = format!("/admin/contacts/{id}/");
    let caller = acting(app, visitor, id).await?;
    let cause = match wish::cause(form.text("note"), OptOutSource::Dashboard) {
        Ok(cause) => cause,
        Err(refused) => return Ok(visitor.refused(&back, &words(&refused.into()))),
    };
    let done = if out { wish::opt_out(app, &caller, id, cause).await } else { wish::opt_in(app, &caller, id, cause).await };
    match done {
        Ok(_) if out => Ok(visitor.done(&back, "Nothing is sent to this person any more.")),
        Ok(_) => Ok(visitor.done(&back, "This person may be written to again.")),
        Err(refusal) if refusal.code.status().as_u16() == 409 => Ok(visitor.refused(&back, &refusal.message)),
        Err(refusal) => Err(refusal.into()),
    }
}

/// Opts one out.
pub async fn opt_out(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<ContactId>, form: Form) -> Page {
    wished(&app, &visitor, id, &form, true).await
}

/// Asks before one is opted in again.
pub async fn ask_opt_in(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<ContactId>) -> Page {
    let view = view(&app, &visitor, id).await?;
    Confirm {
        shell: visitor.shell("Write to this person again?", "contacts"),
        text: vec![format!("{} wanted no messages. Go on only if they told you that they want them again.", known_as(&view))],
        action: format!("/admin/contacts/{id}/opt-in/"),
        button: "They want messages again",
        is_grave: false,
        back: format!("/admin/contacts/{id}/"),
        hidden: Vec::new(),
        fields: vec![Form::default().line("note", "How do you know?")],
    }
    .show()
}

/// Opts one in again.
pub async fn opt_in(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<ContactId>, form: Form) -> Page {
    wished(&app, &visitor, id, &form, false).await
}

/// Asks before one is removed.
pub async fn ask_delete(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<ContactId>) -> Page {
    let view = view(&app, &visitor, id).await?;
    Confirm {
        shell: visitor.shell("Delete the contact?", "contacts"),
        text: vec![format!("{} is removed from your contacts. Messages stay, and whoever opted out stays so.", known_as(&view))],
        action: format!("/admin/contacts/{id}/delete/"),
        button: "Delete the contact",
        is_grave: true,
        back: format!("/admin/contacts/{id}/"),
        hidden: Vec::new(),
        fields: Vec::new(),
    }
    .show()
}

/// Removes one.
pub async fn delete(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<ContactId>) -> Page {
    let caller = acting(&app, &visitor, id).await?;
    let answer = change::delete_contact(State(app), caller.clone(), Path(id)).await?;
    Ok(visitor.done(&list_of(&visitor, &caller), &answer.body().message))
}

/// Asks before a person is erased.
pub async fn ask_erase(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<ContactId>) -> Page {
    let view = view(&app, &visitor, id).await?;
    Confirm {
        shell: visitor.shell("Erase this person?", "contacts"),
        text: vec![
            format!(
                "Everything of {} is removed: the contact, every message with them and its files, and what events told.",
                known_as(&view)
            ),
            "If they opted out, their bare number is kept, so that nothing is ever sent to it.".into(),
        ],
        action: format!("/admin/contacts/{id}/erase/"),
        button: "Erase this person",
        is_grave: true,
        back: format!("/admin/contacts/{id}/"),
        hidden: Vec::new(),
        fields: Vec::new(),
    }
    .show()
}

/// Erases a person.
pub async fn erase(State(app): State<Arc<App>>, visitor: Visitor, Path(id): Path<ContactId>) -> Page {
    let caller = acting(&app, &visitor, id).await?;
    let answer = change::erase_contact(State(app), caller.clone(), Path(id)).await?;
    Ok(visitor.done(&list_of(&visitor, &caller), &answer.body().message))
}
