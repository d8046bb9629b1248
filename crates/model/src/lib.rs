//! What exists in SanaSend and what may happen to it.
//!
//! Ids, addresses, content, the life of a message, the states of a linked account, retry, scopes and
//! event names. Pure by rule: no I/O, no async, no clock, no randomness; time and random bytes are
//! passed in. Every other crate may lean on this one, and this one leans on none of ours.
#![forbid(unsafe_code)]

pub mod address;
pub mod api_key;
pub mod campaign;
pub mod clock;
pub mod contact;
pub mod contact_file;
pub mod content;
pub mod day;
pub mod event;
pub mod guess;
pub mod id;
pub mod invalid;
pub mod job;
pub mod latency;
pub mod limit;
pub mod media;
pub mod message;
pub mod opt_out;
pub mod pacing;
pub mod quiet;
pub mod retry;
pub mod rich;
pub mod schedule;
pub mod scope;
pub mod session;
pub mod template;
pub mod time;
pub mod user;
mod vcard;
pub mod webhook;
pub mod words;

pub use address::{Jid, PhoneNumber, Recipient};
pub use campaign::{CampaignState, RecipientState};
pub use clock::Clock;
pub use contact::{Consent, ContactSource};
pub use content::Content;
pub use event::EventKind;
pub use id::{
    ApiKeyId, CampaignId, ContactId, DeliveryId, EventId, FileId, ImportId, JobId, LoginId, MessageId, OptOutId, ScheduleId, SessionId,
    TemplateId, UserId, WebhookId,
};
pub use invalid::{FieldErrors, Invalid};
pub use job::JobState;
pub use media::{Media, MediaKind, MediaState};
pub use message::{Direction, Failure, MessageStatus, Step};
pub use opt_out::OptOutSource;
pub use rich::{ContactCard, LinkPreview, Location, Poll, Rich, Target};
pub use scope::Scope;
pub use session::{Network, Reason, ReasonCode, SessionStatus};
pub use template::Template;
pub use time::Timestamp;
