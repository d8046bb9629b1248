//! What is done about contacts behind the API: importing files, asking WhatsApp who is there, answering who opted out,
//! erasing people.
//!
//! Apart from the handlers because jobs and pages do it as well. Whether somebody may be written to is decided in the store,
//! by whatever accepts and sends messages.

mod answer;
mod check;
mod erase;
pub mod file;
pub mod import;

use crate::config::Config;
use crate::jobs::Worker;
use crate::outbox::Outbox;
use crate::sessions::Sessions;
use sanasend_model::Clock;
use sanasend_store::Store;
use std::sync::Arc;

/// The workers of all jobs about contacts.
#[must_use]
pub fn workers(config: &Config, store: &Store, outbox: &Outbox, sessions: &Sessions, clock: &Arc<dyn Clock>) -> Vec<Arc<dyn Worker>> {
    let per_minute = config.contacts.checks_per_minute;
    vec![
        Arc::new(answer::Answer { store: store.clone(), outbox: outbox.clone(), clock: clock.clone() }),
        Arc::new(check::Check { store: store.clone(), sessions: sessions.clone(), clock: clock.clone(), per_minute }),
        Arc::new(import::Work { store: store.clone(), clock: clock.clone() }),
        Arc::new(erase::Erase { store: store.clone(), clock: clock.clone() }),
    ]
}
