//! A pretend WhatsApp: the server side of the protocol, with virtual phones.
//!
//! It speaks bytes and stanzas and knows nothing of the product that is tried against
//! it, so that it cannot cheat in its favour. Clients reach it in the same process
//! ([`Sandbox::dial`]), or over WebSocket ports; tests steer it by the control API.
#![forbid(unsafe_code)]

pub mod clock;
mod error;
pub mod network;
pub mod state;
pub mod transcript;

pub use error::Error;

/// The number an in-process companion logs in as when it wants to be paired. A pinned
/// login (Noise IK) always names an account; this one belongs to nobody.
pub const RESERVED_NUMBER: &str = "999999";
