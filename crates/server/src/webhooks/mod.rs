//! Webhooks: events posted to the endpoints of users, signed, until they are taken or given up.
//!
//! A delivery is a row and a job that the store wrote with the event (`sanasend_store`, its room of the same name). Here is
//! what happens when the job runs: `body` makes the request from the event, `sign` signs it, the guarded way out posts it,
//! and what became of it is written down. A job may run twice, so a receiver may be told twice; it knows by the
//! `webhook-id`, which is the event's id in every attempt and every replay.

mod body;
mod deliver;
pub mod secret;
mod sign;
#[cfg(test)]
mod tests;
mod worker;

pub use body::body;
pub use deliver::Tested;
pub use worker::Deliver;

use crate::egress::Egress;
use sanasend_model::Clock;
use sanasend_store::Store;
use std::sync::Arc;
use std::time::Duration;

/// How deliveries are made.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How long a receiver may take to answer.
    pub timeout: Duration,
    /// For how long an endpoint may fail before it is switched off.
    pub patience: Duration,
    /// Deliveries under way at once on this node.
    pub at_once: usize,
    /// Of those, to one endpoint.
    pub at_once_per_endpoint: usize,
}

/// Makes deliveries. Cheap to clone.
#[derive(Clone)]
pub struct Webhooks {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    egress: Egress,
    clock: Arc<dyn Clock>,
    options: Options,
}

impl Webhooks {
    /// Deliveries from this store by this way out.
    #[must_use]
    pub fn new(store: Store, egress: Egress, clock: Arc<dyn Clock>, options: Options) -> Self {
        Self { inner: Arc::new(Inner { store, egress, clock, options }) }
    }
}
