//! Who wants no more messages of a user: when, how it is known, and when they changed their mind.
//!
//! `opt_outs` has one row for each time somebody opted out, which stays as the proof when they opt in again. `opted_out` says
//! who may not be sent anything *now*, by every id that WhatsApp has for the person: it is what [`accept`](Store::accept)
//! and [`claim`](Store::claim) ask (see `guard`). So whatever sends can't forget to ask, and an opt-out holds from the
//! moment it is on disk for everything that was not taken up before.

mod change;
mod guard;
mod heard;
mod list;
mod person;

pub(crate) use change::{opt_out_all, relink};
pub(crate) use guard::Guards;
pub(crate) use heard::heard;
pub use list::OptOutFilter;
pub(crate) use list::limit;
pub(crate) use person::{known_to_anybody, whole};

use crate::messages::Peer;
use crate::rows::{Place, from_row};
use crate::{Store, StoreError};
use sanasend_model::opt_out::Words;
use sanasend_model::{Jid, MessageId, OptOutId, OptOutSource, Timestamp, UserId, contact};
use std::sync::Arc;
use uuid::Uuid;

/// Kind of the jobs that answer somebody who opted out or in; the payload is
/// `{"session": id, "message": id, "recipient": id of WhatsApp, "wish": "stop" or "start"}`.
pub const ANSWER_JOB: &str = "contact.answer";

/// One time that somebody opted out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptOut {
    /// Id.
    pub id: OptOutId,
    /// Of whose messages.
    pub user_id: UserId,
    /// Who.
    pub person: Peer,
    /// How it is known.
    pub source: OptOutSource,
    /// The message that said so.
    pub message_id: Option<MessageId>,
    /// A note of the user.
    pub note: Option<String>,
    /// When.
    pub created_at: Timestamp,
    /// How it ended, if it did.
    pub ended: Option<OptIn>,
}

/// How somebody opted in again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptIn {
    /// When.
    pub at: Timestamp,
    /// How it is known.
    pub source: OptOutSource,
    /// The message that said so.
    pub message_id: Option<MessageId>,
    /// A note of the user.
    pub note: Option<String>,
}

/// Why somebody is opted out or in.
#[derive(Debug, Clone)]
pub struct OptOutCause {
    /// How it is known.
    pub source: OptOutSource,
    /// The message that said so.
    pub message_id: Option<MessageId>,
    /// A note of the user.
    pub note: Option<String>,
}

/// Somebody to opt out.
#[derive(Debug, Clone)]
pub struct NewOptOut {
    /// Who.
    pub person: Peer,
    /// Why.
    pub cause: OptOutCause,
}

impl Peer {
    /// Every id that WhatsApp has for this person, as far as is said here; none for a group.
    #[must_use]
    pub fn handles(&self) -> Vec<Jid> {
        contact::handles(self.phone.as_ref(), self.jid.as_ref(), self.lid.as_ref())
    }

    /// The person behind ids: the first number and the first hidden id among them.
    pub(crate) fn of_handles<'a>(handles: impl IntoIterator<Item = &'a Jid> + Clone) -> Self {
        let jid = handles.clone().into_iter().find(|handle| !handle.is_lid()).cloned();
        let lid = handles.into_iter().find(|handle| handle.is_lid()).cloned();
        Self { phone: jid.as_ref().and_then(Jid::phone), jid, lid }
    }
}

pub(super) struct Row {
    pub(super) seq: i64,
    id: Uuid,
    user_id: Uuid,
    phone: Option<String>,
    jid: Option<String>,
    lid: Option<String>,
    source: String,
    message_id: Option<Uuid>,
    note: Option<String>,
    pub(super) created_at: i64,
    ended_at: Option<i64>,
    ended_source: Option<String>,
    ended_message_id: Option<Uuid>,
    ended_note: Option<String>,
}

from_row!("opt_outs": Row {
    seq,
    id,
    user_id,
    phone,
    jid,
    lid,
    source,
    message_id,
    note,
    created_at,
    ended_at,
    ended_source,
    ended_message_id,
    ended_note
});

impl Row {
    pub(super) fn read(self) -> Result<OptOut, StoreError> {
        let place = Place { table: "opt_outs", row: &self.id };
        let ended = match self.ended_at {
            Some(at) => Some(OptIn {
                at: Timestamp(at),
                source: place.name("ended_source", self.ended_source.as_deref().unwrap_or_default())?,
                message_id: self.ended_message_id.map(MessageId),
                note: self.ended_note,
            }),
            None => None,
        };
        Ok(OptOut {
            id: OptOutId(self.id),
            user_id: UserId(self.user_id),
            person: Peer {
                phone: place.phone("phone", self.phone.as_deref())?,
                jid: place.jid("jid", self.jid.as_deref())?,
                lid: place.jid("lid", self.lid.as_deref())?,
            },
            source: place.name("source", &self.source)?,
            message_id: self.message_id.map(MessageId),
            note: self.note,
            created_at: Timestamp(self.created_at),
            ended,
        })
    }
}

impl Store {
    /// Sets the words by which people opt out and in, once; without it those of every language count.
    pub fn set_words(&self, words: Words) {
        let _ = self.inner.words.set(Arc::new(words));
    }

    pub(crate) fn words(&self) -> Arc<Words> {
        self.inner.words.get_or_init(Arc::default).clone()
    }
}
