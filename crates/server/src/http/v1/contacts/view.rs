//! Contacts as callers see them, and as they write them.

use crate::contacts::import::peer_of;
use crate::http::extract::{nullable, present};
use sanasend_model::{Consent, ContactId, ContactSource, FieldErrors, Invalid, Jid, PhoneNumber, Recipient, Timestamp, UserId, contact};
use sanasend_store::{Contact, ContactPatch, NewContact};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// A contact.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Contact")]
pub struct ContactView {
    /// Id.
    #[schema(value_type = String, format = "uuid")]
    pub id: ContactId,
    /// Whose it is.
    #[schema(value_type = String, format = "uuid")]
    pub user: UserId,
    /// Number; null for somebody who is only known by a hidden id.
    #[schema(value_type = Option<String>, example = "+12025550123")]
    pub phone: Option<PhoneNumber>,
    /// WhatsApp's id by number.
    #[schema(value_type = Option<String>, example = "12025550123@s.whatsapp.net")]
    pub jid: Option<Jid>,
    /// WhatsApp's id that hides the number.
    #[schema(value_type = Option<String>, example = "77000000000001@lid")]
    pub lid: Option<Jid>,
    /// Name; may be empty.
    #[schema(example = "Anna Smith")]
    pub name: String,
    /// Tags, in small letters.
    #[schema(example = json!(["vip"]))]
    pub tags: BTreeSet<String>,
    /// Groups, in small letters.
    #[schema(example = json!(["newsletter"]))]
    pub groups: BTreeSet<String>,
    /// Fields of your own; they can stand in templates.
    #[schema(value_type = Object, example = json!({"city": "Berlin"}))]
    pub fields: BTreeMap<String, String>,
    /// Notes; may be empty.
    #[schema(example = "Prefers mornings.")]
    pub notes: String,
    /// How it came to be: `api`, `dashboard`, `import` or `conversation`.
    #[schema(value_type = String, example = "api")]
    pub source: ContactSource,
    /// Whether the person agreed to get messages: `unknown`, `granted` or `withdrawn`.
    #[schema(value_type = String, example = "granted")]
    pub consent: Consent,
    /// Since when that is so.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub consent_at: Option<Timestamp>,
    /// How that is known.
    #[schema(example = "web form")]
    pub consent_source: Option<String>,
    /// A note beside it.
    #[schema(example = "Ticked the box on 2026-11-02.")]
    pub consent_note: Option<String>,
    /// Whether the person wants no messages: then none are sent. Only shown here: `POST /contacts/{id}/opt-out/` sets it, and
    /// `POST /opt-outs/{id}/end/` ends it, each with its proof.
    #[schema(example = false)]
    pub opted_out: bool,
    /// Since when.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub opted_out_at: Option<Timestamp>,
    /// Whether the person is on WhatsApp; null when it was not asked.
    #[schema(example = true)]
    pub on_whatsapp: Option<bool>,
    /// When WhatsApp was asked last.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub checked_at: Option<Timestamp>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When anything of it was changed last.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

impl From<Contact> for ContactView {
    fn from(contact: Contact) -> Self {
        Self {
            id: contact.id,
            user: contact.user_id,
            phone: contact.person.phone,
            jid: contact.person.jid,
            lid: contact.person.lid,
            name: contact.name,
            tags: contact.tags,
            groups: contact.groups,
            fields: contact.fields,
            notes: contact.notes,
            source: contact.source,
            consent: contact.consent,
            consent_at: contact.consent_at,
            consent_source: contact.consent_source,
            consent_note: contact.consent_note,
            opted_out: contact.opted_out_at.is_some(),
            opted_out_at: contact.opted_out_at,
            on_whatsapp: contact.on_whatsapp,
            checked_at: contact.checked_at,
            created_at: contact.created_at,
            updated_at: contact.updated_at,
        }
    }
}

/// A whole contact, as it is created or replaced. What is left out takes the default.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedContact {
    /// Who: a number with country code, or an id that ends in `@s.whatsapp.net` or `@lid`.
    #[schema(example = "+12025550123")]
    pub phone: String,
    /// Name, up to 200 characters.
    #[serde(default)]
    #[schema(example = "Anna Smith")]
    pub name: String,
    /// Tags, up to 50 of up to 50 characters; kept in small letters.
    #[serde(default)]
    #[schema(example = json!(["vip"]))]
    pub tags: Vec<String>,
    /// Groups, likewise.
    #[serde(default)]
    #[schema(example = json!(["newsletter"]))]
    pub groups: Vec<String>,
    /// Fields of your own: names of letters, digits and underscores, values up to 1000 characters.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({"city": "Berlin"}))]
    pub fields: BTreeMap<String, String>,
    /// Notes, up to 10,000 characters.
    #[serde(default)]
    #[schema(example = "Prefers mornings.")]
    pub notes: String,
    /// Whether the person agreed to get messages: `unknown` (the default), `granted` or `withdrawn`.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, nullable = false, example = "granted")]
    pub consent: Option<String>,
    /// A note beside the consent: where and how they agreed.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, nullable = false, example = "Ticked the box on 2026-11-02.")]
    pub consent_note: Option<String>,
}

/// What to change of a contact; what is left out stays as it is.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PartOfContact {
    /// Name, up to 200 characters.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, nullable = false, example = "Anna Smith")]
    pub name: Option<String>,
    /// All its tags from now on.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<Vec<String>>, nullable = false, example = json!(["vip"]))]
    pub tags: Option<Vec<String>>,
    /// All its groups from now on.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<Vec<String>>, nullable = false, example = json!(["newsletter"]))]
    pub groups: Option<Vec<String>>,
    /// All its fields from now on.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<Object>, nullable = false, example = json!({"city": "Berlin"}))]
    pub fields: Option<BTreeMap<String, String>>,
    /// Notes, up to 10,000 characters.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, nullable = false, example = "Prefers mornings.")]
    pub notes: Option<String>,
    /// Whether the person agreed: `unknown`, `granted` or `withdrawn`.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, nullable = false, example = "granted")]
    pub consent: Option<String>,
    /// How that is known, up to 50 characters; left out: `api`. Only together with `consent`.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, nullable = false, example = "web form")]
    pub consent_source: Option<String>,
    /// A note beside the consent; null for none. Only together with `consent`.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, example = "Ticked the box on 2026-11-02.")]
    #[expect(clippy::option_option, reason = "left out, null and a text are three things")]
    pub consent_note: Option<Option<String>>,
}

/// Reads a consent.
pub fn read_consent(text: &str) -> Result<Consent, Invalid> {
    text.trim().parse().map_err(|()| Invalid::new("consent", "must be unknown, granted or withdrawn"))
}

impl WantedContact {
    /// Checks every field.
    ///
    /// # Errors
    /// All that are wrong.
    pub fn check(self) -> Result<NewContact, FieldErrors> {
        let mut errors = FieldErrors::default();
        let person = errors.take(contact::person("phone", &self.phone));
        let name = errors.take(contact::name(&self.name));
        let tags = errors.take(contact::labels("tags", &self.tags));
        let groups = errors.take(contact::labels("groups", &self.groups));
        let fields = errors.take(contact::fields("fields", &self.fields));
        let notes = errors.take(contact::notes(&self.notes));
        let consent = self.consent.and_then(|text| errors.take(read_consent(&text)));
        let note = self.consent_note.and_then(|text| errors.take(contact::note("consent_note", &text)));
        errors.into_result()?;
        Ok(NewContact {
            person: person.as_ref().map(peer_of).unwrap_or_default(),
            name: name.unwrap_or_default(),
            tags: tags.unwrap_or_default(),
            groups: groups.unwrap_or_default(),
            fields: fields.unwrap_or_default(),
            notes: notes.unwrap_or_default(),
            consent,
            consent_note: note.filter(|note| !note.is_empty()),
        })
    }
}

impl PartOfContact {
    /// Checks every field that was sent; `source` is how a consent is known where it is not said.
    ///
    /// # Errors
    /// All that are wrong.
    pub fn check(self, source: &str) -> Result<ContactPatch, FieldErrors> {
        let mut errors = FieldErrors::default();
        let mut patch = ContactPatch {
            name: self.name.and_then(|name| errors.take(contact::name(&name))),
            tags: self.tags.and_then(|tags| errors.take(contact::labels("tags", &tags))),
            groups: self.groups.and_then(|groups| errors.take(contact::labels("groups", &groups))),
            fields: self.fields.and_then(|fields| errors.take(contact::fields("fields", &fields))),
            notes: self.notes.and_then(|notes| errors.take(contact::notes(&notes))),
            consent: None,
        };
        let said =
            self.consent_source.and_then(|text| errors.take(contact::label("consent_source", &text).map(|_| text.trim().to_owned())));
        let note = self.consent_note.flatten().and_then(|text| errors.take(contact::note("consent_note", &text)));
        match self.consent {
            Some(text) => {
                if let Some(consent) = errors.take(read_consent(&text)) {
                    patch.consent = Some((consent, said.unwrap_or_else(|| source.to_owned()), note.filter(|note| !note.is_empty())));
                }
            }
            None if said.is_some() || note.is_some() => errors.push(Invalid::new("consent", "is required beside what is said of it")),
            None => {}
        }
        errors.into_result()?;
        Ok(patch)
    }
}

/// The person that a number or an id names.
///
/// # Errors
/// `Invalid` on `phone`.
pub fn read_person(text: &str) -> Result<Recipient, Invalid> {
    contact::person("phone", text)
}
