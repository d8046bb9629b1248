//! Contacts: the people that a user writes to, by number and by whatever else WhatsApp calls them.
//!
//! A person is one contact of a user, however it came to be known: `contact_handles` holds every id, and is unique. Lists
//! go by ranges of indexes and by cursors, so that a million contacts cost as much as a hundred; words to search by are
//! bytes in a table of their own. Whether somebody may be written to is not decided here but by `opt_outs`.

mod change;
mod check;
mod erase;
mod imports;
mod labels;
mod list;
mod put;
mod row;
mod settings;
mod traces;
mod unite;

pub use check::{CheckResult, ToCheck};
pub use erase::{ERASE_JOB, Erased};
pub use imports::{
    IMPORT_JOB, Import, ImportFault, ImportKind, ImportPlace, ImportProgress, ImportState, ImportStep, MOST_FAULTS, MOST_IMPORTS,
};
pub use labels::{LabelCount, LabelKind};
pub use list::{ContactCursor, ContactFilter, ContactOrder};
pub use put::Put;
pub use settings::ContactSettings;

pub(crate) use check::learn;
pub(crate) use put::from_conversation;
pub(crate) use settings::settings_of;

use crate::messages::Peer;
use sanasend_model::{Consent, ContactId, ContactSource, Timestamp, UserId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Kind of the jobs that ask WhatsApp who of a user's contacts is there; the payload is `{"user": id}`.
pub const CHECK_JOB: &str = "contact.check";

/// A contact.
#[derive(Clone, PartialEq, Eq)]
pub struct Contact {
    /// Id.
    pub id: ContactId,
    /// Whose it is.
    pub user_id: UserId,
    /// Who it is.
    pub person: Peer,
    /// Name; may be empty.
    pub name: String,
    /// Tags, in small letters.
    pub tags: BTreeSet<String>,
    /// Groups, in small letters.
    pub groups: BTreeSet<String>,
    /// Fields of the user's own.
    pub fields: BTreeMap<String, String>,
    /// Notes; may be empty.
    pub notes: String,
    /// How it came to be.
    pub source: ContactSource,
    /// Whether the person agreed to get messages.
    pub consent: Consent,
    /// Since when that is so.
    pub consent_at: Option<Timestamp>,
    /// How that is known: a word of the user's, or how the contact was changed.
    pub consent_source: Option<String>,
    /// A note beside it.
    pub consent_note: Option<String>,
    /// Whether WhatsApp knows the person; `None` when it was not asked.
    pub on_whatsapp: Option<bool>,
    /// When WhatsApp was asked last.
    pub checked_at: Option<Timestamp>,
    /// Whether WhatsApp is going to be asked.
    pub check_due: bool,
    /// Since when the person wants no messages; `None` while they do.
    pub opted_out_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When anything of it was changed last.
    pub updated_at: Timestamp,
}

/// What people are called and what is noted about them is not for logs.
impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contact").field("id", &self.id).field("user_id", &self.user_id).finish_non_exhaustive()
    }
}

/// A contact to make, or to add to one that is there. The caller has checked every field with the model's rules.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct NewContact {
    /// Who it is: at least one id.
    pub person: Peer,
    /// Name; empty for none.
    pub name: String,
    /// Tags.
    pub tags: BTreeSet<String>,
    /// Groups.
    pub groups: BTreeSet<String>,
    /// Fields of the user's own.
    pub fields: BTreeMap<String, String>,
    /// Notes; empty for none.
    pub notes: String,
    /// Whether the person agreed, where that is known.
    pub consent: Option<Consent>,
    /// A note beside it.
    pub consent_note: Option<String>,
}

impl fmt::Debug for NewContact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewContact").finish_non_exhaustive()
    }
}

/// What to change of a contact; what is `None` stays.
#[derive(Clone, Default)]
pub struct ContactPatch {
    /// Name.
    pub name: Option<String>,
    /// All tags.
    pub tags: Option<BTreeSet<String>>,
    /// All groups.
    pub groups: Option<BTreeSet<String>>,
    /// All fields.
    pub fields: Option<BTreeMap<String, String>>,
    /// Notes.
    pub notes: Option<String>,
    /// Whether the person agreed, how that is known, and a note beside it.
    pub consent: Option<(Consent, String, Option<String>)>,
}

impl fmt::Debug for ContactPatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContactPatch").finish_non_exhaustive()
    }
}
