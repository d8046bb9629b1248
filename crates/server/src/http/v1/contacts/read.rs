//! Looking at contacts.

use super::view::{ContactView, read_consent};
use crate::app::App;
use crate::http::{Answer, ApiError, Caller, LongPage, Origin, Path, Query, Success, long};
use axum::extract::State;
use sanasend_model::{ContactId, FieldErrors, Invalid, UserId, contact};
use sanasend_store::{ContactCursor, ContactFilter, ContactOrder};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// Which contacts are meant.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListContacts {
    /// Number of the page, from 1; pages reach as far as `count` does.
    #[param(minimum = 1)]
    pub(crate) page: Option<u64>,
    /// Contacts per page, at most 100.
    #[param(minimum = 1, maximum = 100)]
    pub(crate) page_size: Option<u64>,
    /// Instead of a page: the place behind which to go on, from `next_cursor`; empty for the start. Stays fast however many
    /// contacts there are; `count` is null then.
    #[param(pattern = "^$|^[0-9a-f]*-[0-9a-f]{1,15}$")]
    pub(crate) cursor: Option<String>,
    /// Beginnings of words of the name, or of the number with country code. What is found is sorted by the word.
    #[param(example = "ann")]
    pub(crate) search: Option<String>,
    /// Only with this tag.
    #[param(example = "vip")]
    pub(crate) tag: Option<String>,
    /// Only of this group.
    #[param(example = "newsletter")]
    pub(crate) group: Option<String>,
    /// Only with this consent.
    #[param(example = "granted", pattern = "^(unknown|granted|withdrawn)$")]
    pub(crate) consent: Option<String>,
    /// Only those who opted out, or only others.
    pub(crate) opted_out: Option<bool>,
    /// Only those who are on WhatsApp (`yes`), are not (`no`), or were never asked about (`unknown`).
    #[param(example = "yes", pattern = "^(yes|no|unknown)$")]
    pub(crate) on_whatsapp: Option<String>,
    /// `-created_at` (newest first, the default), `created_at`, `name` or `-name`.
    #[param(example = "-created_at", pattern = "^-?(created_at|name)$")]
    pub(crate) ordering: Option<String>,
    /// Those of this user instead of your own (for admins).
    #[param(value_type = Option<String>, format = "uuid")]
    pub(crate) user: Option<UserId>,
}

impl ListContacts {
    /// Checks what narrows the list.
    pub(crate) fn filter(&self) -> Result<ContactFilter, ApiError> {
        let mut errors = FieldErrors::default();
        let mut filter = ContactFilter {
            tag: self.tag.as_deref().and_then(|tag| errors.take(contact::label("tag", tag))),
            group: self.group.as_deref().and_then(|group| errors.take(contact::label("group", group))),
            consent: self.consent.as_deref().and_then(|consent| errors.take(read_consent(consent))),
            opted_out: self.opted_out,
            search: self.search.clone().filter(|text| !text.trim().is_empty()),
            ..ContactFilter::default()
        };
        filter.on_whatsapp = match self.on_whatsapp.as_deref() {
            None => None,
            Some("yes") => Some(Some(true)),
            Some("no") => Some(Some(false)),
            Some("unknown") => Some(None),
            Some(_) => {
                errors.push(Invalid::new("on_whatsapp", "must be yes, no or unknown"));
                None
            }
        };
        match self.ordering.as_deref().map(str::parse) {
            None => {}
            Some(Ok(ordering)) => filter.ordering = ordering,
            Some(Err(())) => errors.push(Invalid::new("ordering", format!("must be like: {}", ContactOrder::NAMES.join(", ")))),
        }
        errors.into_result()?;
        Ok(filter)
    }
}

/// List contacts
///
/// Your own, newest first. Use pages for people, `cursor` for programs that read everything.
#[utoipa::path(get, path = "/contacts/", tag = "contacts", params(ListContacts),
    responses((status = 200, description = "One page.", body = Success<LongPage<ContactView>>)),
    extensions(("x-scope" = json!("contacts:read"))))]
pub(crate) async fn list_contacts(
    State(app): State<Arc<App>>,
    caller: Caller,
    origin: Origin,
    Query(asked): Query<ListContacts>,
) -> Result<Answer<LongPage<ContactView>>, ApiError> {
    let page = long::page(asked.page, asked.page_size)?;
    let filter = asked.filter()?;
    let found = if let Some(text) = asked.cursor.as_deref() {
        let cursor: Option<ContactCursor> = long::cursor_of(text)?;
        let (contacts, next) = app.store.list_contacts_after(caller.whose(asked.user), &filter, cursor.as_ref(), page.page_size).await?;
        LongPage::behind_cursor(contacts.into_iter().map(ContactView::from).collect(), next, &origin)
    } else {
        let (listed, next) = app.store.list_contacts(caller.whose(asked.user), &filter, page).await?;
        let contacts = listed.results.into_iter().map(ContactView::from).collect();
        LongPage::of(contacts, (listed.count, listed.is_exact), next, &page, &origin)
    };
    Ok(Answer::ok("Contacts.", found))
}

/// Get a contact
///
/// With everything that is noted of the person, and whether they may be written to.
#[utoipa::path(get, path = "/contacts/{id}/", tag = "contacts",
    params(("id" = String, Path, format = "uuid", description = "Id of the contact.")),
    responses((status = 200, description = "The contact.", body = Success<ContactView>)),
    extensions(("x-scope" = json!("contacts:read"))))]
pub(crate) async fn get_contact(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<ContactId>,
) -> Result<Answer<ContactView>, ApiError> {
    Ok(Answer::ok("The contact.", super::see(&app, &caller, id).await?.into()))
}
