//! What callers see, asked over real HTTP from the real product: one file per file of `http/v1`, and `contract` for
//! what holds for all of them.
//!
//! One binary for all of them: linking the product takes longer than running them.
#![expect(clippy::expect_used, clippy::panic, reason = "a test stops at the first thing that is not as it should be")]

mod account;
mod admins;
mod analytics;
mod api_keys;
mod audit;
mod auth;
mod campaign_files;
mod campaign_manners;
mod campaigns;
mod chats;
mod contacts;
mod contract;
mod daily_limit;
mod dashboard;
mod docs;
mod events;
mod gate;
mod groups;
mod guard;
mod imports;
mod isolation;
mod jobs;
mod media;
mod messages;
mod operations;
mod receipts;
#[path = "../../../store/tests/memory/redis_server.rs"]
mod redis_server;
mod rich;
mod scheduled;
mod schedules;
mod sessions;
mod templates;
mod throttle;
mod users;
mod webhooks;
mod world;
