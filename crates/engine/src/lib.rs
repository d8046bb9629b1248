//! The WhatsApp wire: a linked account's connection, what is written to it, and what comes back.
//!
//! The only crate that knows the client library; none of its types cross this wall. It remembers nothing by
//! itself: keys and ratchets live in the store's sealed signal rows, incoming messages go to an [`Inbox`]
//! before WhatsApp is told that they arrived.
//!
//! An [`Engine`] is made once per process. [`Engine::open`] makes a [`Link`] of an account: one client,
//! used once. When it ends ([`LinkEvent::Ended`]) a new one is opened over the same rows.
#![forbid(unsafe_code)]

mod account;
mod admission;
mod attempt;
mod backend;
mod build;
mod content;
mod dial;
mod engine;
mod error;
mod event;
mod events;
mod groups;
mod hook;
mod incoming;
mod jid;
mod keep;
mod link;
mod live;
mod media;
mod media_over_http;
mod message_id;
mod passkey;
mod rich;
mod runtime;
mod sandbox;
#[cfg(test)]
mod stories;
mod stream;
mod supervisor;
#[cfg(test)]
mod tests;
mod version;
mod wall;
mod wish;

pub use account::{Account, Inbox};
pub use dial::{BytePipe, Dial, MediaDoor, SandboxDoor};
pub use engine::{Engine, Options};
pub use error::EngineError;
pub use event::{LinkEvent, QrCode};
pub use groups::{Group, GroupAndMembers, GroupMember, GroupRole};
pub use link::{Found, Link, Outgoing, Typing};
pub use media::{FetchError, Held, OutgoingMedia, Uploaded};
pub use media_over_http::MediaOverHttp;
pub use message_id::new_message_id;
pub use rich::OutgoingRich;
pub use version::ClientVersion;
pub use wall::prove_wall;
