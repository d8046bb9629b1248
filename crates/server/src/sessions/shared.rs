//! What all drivers of a process have in common.

use crate::media::Files;
use sanasend_engine::Engine;
use sanasend_model::pacing::Rate;
use sanasend_model::{Clock, Network};
use sanasend_store::Store;
use std::sync::Arc;
use std::time::Duration;

/// Settings of the linked accounts.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Messages of one account in the air at most, one per chat.
    pub in_flight: usize,
    /// How long WhatsApp's acknowledgement may take.
    pub ack_timeout: Duration,
    /// How long a call that starts linking waits for the first code.
    pub first_code: Duration,
    /// Linked accounts on this server, all users together.
    pub server_limit: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { in_flight: 64, ack_timeout: sanasend_model::retry::ACK_TIMEOUT, first_code: Duration::from_secs(20), server_limit: 10_000 }
    }
}

/// The parts that every driver uses.
pub(super) struct Shared {
    pub store: Store,
    pub engine: Engine,
    pub clock: Arc<dyn Clock>,
    /// The only network whose accounts this process opens.
    pub network: Network,
    /// Files of messages.
    pub media: Files,
    pub options: Options,
    /// How fast an account sends; `None`: as fast as it can.
    pub rate: Option<Rate>,
}
