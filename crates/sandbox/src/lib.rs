//! A pretend WhatsApp: the server side of the protocol, with virtual phones.
//!
//! It speaks bytes and stanzas and knows nothing of the product that is tried against
//! it, so that it cannot cheat in its favour. Clients reach it in the same process
//! ([`Sandbox::dial`]), or over WebSocket ports; tests steer it by the control API.
#![forbid(unsafe_code)]

pub mod clock;
pub mod control;
mod error;
mod keys;
pub mod media;
pub mod network;
pub mod phones;
mod sandbox;
pub mod state;
pub mod transcript;
mod wire;

pub use control::{Control, DeviceView, Linked};
pub use error::Error;
pub use media::{MediaAnswer, MediaHost, MediaTrouble, MediaWay};
pub use network::{Counts, Fault, GroupChange};
pub use phones::{
    Auto, MediaFlaw, MediaState, MessageKind, NewMedia, OpenFile, PhoneView, ShownCard, ShownLocation, ShownMedia, ShownMessage, ShownPoll,
    ShownPreview, ShownReaction, ShownStatus, ShownVote,
};
pub use sandbox::{Addresses, Config, Sandbox};
pub use transcript::{Direction, StanzaFilter, StanzaRecord};
pub use wire::Pipe;

/// The number an in-process companion logs in as when it wants to be paired. A pinned
/// login (Noise IK) always names an account; this one belongs to nobody.
pub const RESERVED_NUMBER: &str = "999999";
