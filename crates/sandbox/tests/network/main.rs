//! The network as a client meets it, at the level of stanzas: greeting, linking, keys,
//! messages, queues, and what happens after a restart.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod blocks;
mod client;
mod greeting;
mod groups;
mod keys;
mod linking;
mod media;
mod messages;
mod order;
mod ports;
mod tokens;
mod world;
