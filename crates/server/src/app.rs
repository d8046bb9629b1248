//! The long-lived parts of a running server, in one place.
//!
//! Made once by `cli::serve` (and by tests), shared as `Arc<App>`: it is the state of the HTTP router.

use crate::config::Config;
use crate::secrets::Secrets;
use sanasend_model::{Clock, Timestamp};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The parts. Fields are public: there is nothing to guard between them.
pub struct App {
    /// The settings in force.
    pub config: Config,
    /// Time and randomness.
    pub clock: Arc<dyn Clock>,
    /// The secrets of the data folder.
    pub secrets: Secrets,
    /// When the process began to serve.
    pub started_at: Timestamp,
    /// Canceled when the server begins to stop: long answers and streams end then.
    pub shutdown: CancellationToken,
}
