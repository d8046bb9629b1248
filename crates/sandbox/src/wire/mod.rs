//! Bytes in, stanzas up; stanzas down, bytes out: the transport of the pretend network.
//!
//! Everything about sockets, frames and the Noise layer is here, and nothing about what
//! a stanza means (that is `network`). A peer that breaks the transport's rules is cut
//! off without a word.

mod connection;
mod media;
mod noise;
mod ports;

pub use connection::Pipe;
pub(crate) use connection::{pipe, serve};
pub(crate) use media::BodyReader;
pub(crate) use ports::Port;
