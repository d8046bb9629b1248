//! Whole stories: the real server, the simulated network, virtual phones, and what a customer sees over HTTP.
//!
//! Apart from the tests of single rooms because nothing is replaced here. Most stories run the server in this
//! process; those that kill it run the binary, with the network living on in this process.
#![expect(clippy::expect_used, clippy::panic, reason = "a story stops at the first thing that is not as it should be")]

mod backup;
mod bad_input;
mod blocked;
mod bucket;
mod campaigns;
mod canaries;
mod cli;
mod codes;
mod database_down;
mod disk_full;
mod ffmpeg;
mod first_message;
mod idempotency;
mod imports;
mod killed_dates;
mod kills;
mod long_campaign;
mod media;
mod nodes;
mod offline;
mod order;
mod pacing;
mod receipts;
mod redis_away;
#[path = "../../../store/tests/memory/redis_server.rs"]
mod redis_server;
mod restart;
mod rich;
mod stopping;
mod walls;
mod watchers;
mod webhooks;
mod world;
