//! The linked accounts that this node runs, one driver task each.
//!
//! [`Sessions`] is the registry: who runs, what each shows, and the bell of each outbox. `driver` is the task that
//! holds a link; `supervise` starts it again when it breaks down; `start` brings the accounts back after a restart.
//! Between them and the HTTP API stands a `Seat` per session, which outlives drivers, so that watchers and the
//! truth survive a rebuild, and so does what WhatsApp told and the store has not taken yet (`untold`).

mod book;
pub mod bridge;
mod command;
mod driver;
mod elsewhere;
mod flights;
mod groups;
mod health;
mod lease;
mod leave;
mod live;
pub mod qr;
mod registry;
mod seat;
mod shared;
mod start;
mod supervise;
mod typing;
mod untold;

pub use groups::{GroupsWish, role_word};
pub use lease::LEASE;
pub use leave::Left;
pub use live::{Code, Live};
pub use registry::{Begin, Known, Parts, Sessions};
pub use seat::Seat;
pub use shared::Options;
pub use typing::{read_typing, typing_word};
