//! Webhooks: the endpoints of users, the deliveries of events to them, and what became of each attempt.
//!
//! A delivery is made in the transaction of its event (`fan_out`), together with the job that makes it happen; so an event
//! on disk is delivered at least once, whatever happens to the process. There is one delivery per event and endpoint: a
//! replay begins another *round* of it, and a job of an earlier round does nothing. The body is made from the event, so it
//! is the same in every attempt and every round.

mod deliveries;
mod endpoints;
mod fan_out;
mod replay;
mod rows;
mod settle;

pub use deliveries::{Attempt, Delivering, Delivery, DeliveryFilter};
pub use endpoints::{NewWebhook, Webhook, WebhookCreated, WebhookPatch};
pub(crate) use fan_out::fan_out;
pub use replay::{Replay, ReplayOnly, Replayed};
pub use settle::{AttemptOutcome, AttemptReport, NewAttempt};

use crate::seal::address;
use sanasend_model::WebhookId;
use zeroize::Zeroizing;

/// Kind of the jobs that deliver; the payload is `{"delivery": id, "round": number}`.
pub const WEBHOOK_JOB: &str = "webhook.deliver";

/// A secret that deliveries are signed with: 24 to 64 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(Zeroizing<Vec<u8>>);

impl WebhookSecret {
    /// A secret of these bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}

/// Where the present secret is sealed for.
pub(crate) fn present_secret(id: WebhookId) -> Vec<u8> {
    address("webhook_endpoints", &[id.0.as_bytes(), b"secret"])
}

/// Where the one before it is sealed for.
pub(crate) fn previous_secret(id: WebhookId) -> Vec<u8> {
    address("webhook_endpoints", &[id.0.as_bytes(), b"previous_secret"])
}
