//! The product: HTTP API, linked accounts, the way in and the way back of messages, command line, configuration.
//!
//! A library beside the binary `sanasend`, so that tests can start the whole product in their own process.
//! Floors from the top: `http` (what callers see), `sessions`, `outbox`, `inbox` (what has behaviour), and below
//! them the crates store, engine and sandbox. `app` holds the long-lived parts together.
#![forbid(unsafe_code)]

pub mod api_log;
pub mod app;
pub mod auth;
pub mod backup;
pub mod campaigns;
pub mod cli;
pub mod clock;
pub mod config;
pub mod contacts;
pub mod dashboard;
pub mod data_dir;
pub mod egress;
pub mod http;
pub mod inbox;
pub mod jobs;
pub mod loadtest;
pub mod logs;
pub mod media;
pub mod metrics;
pub mod node;
pub mod outbox;
pub mod removal;
pub mod rotation;
pub mod secrets;
pub mod sessions;
pub mod turns;
pub mod vitals;
pub mod webhooks;
