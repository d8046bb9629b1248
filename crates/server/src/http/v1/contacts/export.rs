//! All contacts as CSV, streamed: what an import takes in again.

use super::read::ListContacts;
use crate::app::App;
use crate::http::{ApiError, Caller, Query, csv};
use axum::extract::State;
use axum::response::Response;
use futures::StreamExt;
use sanasend_model::UserId;
use sanasend_store::{Contact, ContactCursor, ContactFilter, Store, StoreError};
use std::sync::Arc;

/// Contacts that are read at once.
const READ_AT_ONCE: u64 = 500;

/// The columns before those of the user's own fields.
const COLUMNS: [&str; 17] = [
    "phone",
    "name",
    "tags",
    "groups",
    "consent",
    "consent_at",
    "consent_source",
    "opted_out",
    "opted_out_at",
    "on_whatsapp",
    "checked_at",
    "notes",
    "jid",
    "lid",
    "source",
    "created_at",
    "id",
];

/// Export contacts
///
/// As CSV, all that the filter leaves. The file can be imported again: its columns are known by their names.
#[utoipa::path(get, path = "/contacts/export/", tag = "contacts", params(ListContacts),
    responses((status = 200, description = "All of them.", content((String = "text/csv")))),
    extensions(("x-scope" = json!("contacts:read"))))]
pub(crate) async fn export_contacts(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(asked): Query<ListContacts>,
) -> Result<Response, ApiError> {
    let filter = asked.filter()?;
    let user = caller.whose(asked.user);
    let names = app.store.contact_field_names(user).await?;
    Ok(csv::answer("contacts", rows(app.store.clone(), user, filter, names)))
}

/// The file, some at a time, so that no connection to the database waits for a slow reader.
fn rows(
    store: Store,
    user: UserId,
    filter: ContactFilter,
    names: Vec<String>,
) -> impl futures::Stream<Item = Result<bytes::Bytes, StoreError>> + Send {
    let head: Vec<String> = COLUMNS.iter().map(|name| (*name).to_owned()).chain(names.iter().map(|name| format!("field:{name}"))).collect();
    let head = futures::stream::once(async move { Ok(csv::table([head])) });
    let begin: Option<Option<ContactCursor>> = Some(None);
    head.chain(futures::stream::try_unfold((store, filter, names, begin), move |(store, filter, names, place)| async move {
        let Some(cursor) = place else { return Ok(None) };
        let (found, next) = store.list_contacts_after(user, &filter, cursor.as_ref(), READ_AT_ONCE).await?;
        let text = csv::table(found.iter().map(|contact| cells(contact, &names)));
        Ok(Some((text, (store, filter, names, next.map(Some)))))
    }))
}

fn cells(contact: &Contact, names: &[String]) -> Vec<String> {
    fn text<T: ToString>(value: Option<T>) -> String {
        value.map(|value| value.to_string()).unwrap_or_default()
    }
    let list = |names: &std::collections::BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(";");
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let person = &contact.person;
    // Whoever has no number is found again by the id that hides it.
    let phone = person.phone.as_ref().map(ToString::to_string).or_else(|| person.lid.as_ref().map(ToString::to_string));
    let mut cells = vec![
        phone.unwrap_or_default(),
        contact.name.clone(),
        list(&contact.tags),
        list(&contact.groups),
        contact.consent.as_str().to_owned(),
        text(contact.consent_at),
        text(contact.consent_source.as_ref()),
        yes(contact.opted_out_at.is_some()),
        text(contact.opted_out_at),
        contact.on_whatsapp.map(yes).unwrap_or_default(),
        text(contact.checked_at),
        contact.notes.clone(),
        text(person.jid.as_ref()),
        text(person.lid.as_ref()),
        contact.source.as_str().to_owned(),
        text(Some(contact.created_at)),
        text(Some(contact.id)),
    ];
    cells.extend(names.iter().map(|name| contact.fields.get(name).cloned().unwrap_or_default()));
    cells
}
