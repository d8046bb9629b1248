//! The list of contacts, its file, and asking WhatsApp about all of them.

use super::{known_as, presence, standing};
use crate::app::App;
use crate::dashboard::form::Form;
use crate::dashboard::list::{Asked, Heading, PAGE_SIZE, Pager};
use crate::dashboard::owner::{acting_for, address_of, one_asked_or_own};
use crate::dashboard::parts::{Badge, Empty, When};
use crate::dashboard::render::{Page, page};
use crate::dashboard::visitor::{Shell, Visitor};
use crate::http::v1::contacts::check;
use crate::http::v1::contacts::export::export_contacts;
use crate::http::v1::contacts::read::ListContacts;
use crate::http::v1::contacts::view::ContactView;
use crate::http::{ApiError, Query};
use askama::Template;
use axum::extract::State;
use sanasend_model::contact;
use sanasend_store::{ContactCursor, ContactFilter, LabelKind, Page as Paging};
use std::sync::Arc;

/// Tags and groups that are offered to choose from.
const MOST_LABELS: u64 = 100;
/// What `consent` may be.
pub const CONSENTS: &[(&str, &str)] = &[("", "Any consent"), ("granted", "Agreed"), ("withdrawn", "Withdrawn"), ("unknown", "Unknown")];
/// What `opted_out` may be.
pub const WISHES: &[(&str, &str)] = &[("", "All"), ("false", "Who may be written to"), ("true", "Who opted out")];
/// What `on_whatsapp` may be.
pub const PRESENCES: &[(&str, &str)] = &[("", "Anywhere"), ("yes", "On WhatsApp"), ("no", "Not on WhatsApp"), ("unknown", "Not asked yet")];

struct Line {
    id: String,
    name: String,
    known_as: String,
    labels: String,
    standing: Badge,
    presence: Badge,
    since: When,
}

#[derive(Template)]
#[template(path = "contacts.html")]
struct ListPage {
    shell: Shell,
    /// Id and name of the user whose they are, where they are another's.
    owner: Option<(String, String)>,
    filters: Form,
    tags: Vec<String>,
    groups: Vec<String>,
    by_name: Heading,
    by_time: Heading,
    lines: Vec<Line>,
    pager: Pager,
    empty: Empty,
    export: String,
    /// Where WhatsApp is asked about them.
    check: String,
    left: u64,
}

/// What the address asks for.
fn filter(asked: &Asked) -> Result<ContactFilter, ApiError> {
    Ok(ContactFilter {
        tag: asked.some("tag").map(|tag| contact::label("tag", &tag)).transpose()?,
        group: asked.some("group").map(|group| contact::label("group", &group)).transpose()?,
        consent: asked.read("consent")?,
        opted_out: asked.read("opted_out")?,
        on_whatsapp: match asked.one_of("on_whatsapp", PRESENCES)? {
            "yes" => Some(Some(true)),
            "no" => Some(Some(false)),
            "unknown" => Some(None),
            _ => None,
        },
        search: asked.some("search"),
        ordering: asked.ordering(),
    })
}

/// Shows the list.
pub async fn show(State(app): State<Arc<App>>, visitor: Visitor, asked: Asked) -> Page {
    // Each user's lie apart: an admin sees their own, or those of the user in the address.
    let user = one_asked_or_own(&visitor, &asked)?;
    let is_own = user == visitor.caller.id();
    let owner =
        if is_own { None } else { app.store.usernames([user].into_iter()).await?.remove(&user).map(|name| (user.to_string(), name)) };
    let chosen = filter(&asked)?;
    let (store, chosen) = (&app.store, &chosen);
    let following = async move |after: Option<ContactCursor>| store.list_contacts_after(user, chosen, after.as_ref(), PAGE_SIZE).await;
    let (found, pager) = asked.long_list(true, |page| store.list_contacts(user, chosen, page), following).await?;
    let labels = async |kind| {
        let listed = app.store.list_labels(user, kind, Paging { page: 1, page_size: MOST_LABELS }).await?;
        Ok::<Vec<String>, sanasend_store::StoreError>(listed.results.into_iter().map(|label| label.name).collect())
    };
    let (tags, groups) = (labels(LabelKind::Tag).await?, labels(LabelKind::Group).await?);
    let lines = found.into_iter().map(|contact| {
        let view = ContactView::from(contact);
        Line {
            id: view.id.to_string(),
            known_as: known_as(&view),
            labels: view.tags.iter().chain(&view.groups).cloned().collect::<Vec<_>>().join(", "),
            standing: standing(&view),
            presence: presence(&view),
            since: When(view.created_at),
            name: view.name,
        }
    });
    let empty = if asked.is_filtered() {
        Empty { title: "No contact fits", text: "Ask for less.", href: "/admin/contacts/".into(), action: "Show all" }
    } else {
        let text = "Add people one by one, import a file, or let whoever writes to you become a contact (see Settings).";
        Empty { title: "No contacts yet", text, href: "/admin/contacts/import/".into(), action: "Import a file" }
    };
    let names = ["search", "tag", "group", "consent", "opted_out", "on_whatsapp"];
    page(&ListPage {
        shell: visitor.shell("Contacts", "contacts"),
        owner,
        filters: Form::of(names.map(|name| (name, asked.text(name).to_owned()))),
        tags,
        groups,
        by_name: asked.heading("Name", "name"),
        by_time: asked.heading("Added", "created_at"),
        lines: lines.collect(),
        pager,
        empty,
        export: format!("/admin/contacts/export/?{}", asked.query()),
        check: address_of(&visitor, "/admin/contacts/check/", user),
        left: app.store.checks_left(user).await?,
    })
}

/// All that the address asks for, as a file.
pub async fn export(State(app): State<Arc<App>>, visitor: Visitor, asked: Asked) -> Page {
    let wanted = ListContacts {
        search: asked.some("search"),
        tag: asked.some("tag"),
        group: asked.some("group"),
        consent: asked.some("consent"),
        opted_out: asked.read("opted_out")?,
        on_whatsapp: asked.some("on_whatsapp"),
        ordering: asked.some("ordering"),
        user: asked.read("user")?,
        ..ListContacts::default()
    };
    Ok(export_contacts(State(app), visitor.caller.clone(), Query(wanted)).await?)
}

/// Has WhatsApp asked about everybody.
pub async fn check(State(app): State<Arc<App>>, visitor: Visitor, asked: Asked) -> Page {
    let owner = one_asked_or_own(&visitor, &asked)?;
    let added = check::begin(&app, &acting_for(&app, &visitor, owner).await?, None).await?;
    let text = match added {
        0 => "Everybody was asked about not long ago.".to_owned(),
        added => format!("WhatsApp is being asked about {added} contacts, {} a minute.", app.config.contacts.checks_per_minute),
    };
    Ok(visitor.done(&address_of(&visitor, "/admin/contacts/", owner), &text))
}
