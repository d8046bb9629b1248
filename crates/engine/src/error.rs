//! What can go wrong with a link as a whole. Single messages fail with [`sanasend_model::retry::AttemptError`].

use sanasend_model::retry::AttemptError;
use std::time::Duration;

/// Why the engine could not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// WhatsApp, or our own storage, asks for patience.
    #[error("try again in {0:?}")]
    RetryAfter(Duration),
    /// It can't be done; the sentence says why.
    #[error("{0}")]
    Rejected(String),
    /// The link is not connected.
    #[error("the account is not connected")]
    Offline,
    /// The account is not linked any more.
    #[error("the account is not linked")]
    LoggedOut,
}

impl From<EngineError> for AttemptError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::RetryAfter(wait) => Self::Limited { wait: Some(wait) },
            EngineError::Rejected(reason) => Self::Transient { reason },
            EngineError::Offline | EngineError::LoggedOut => Self::Offline,
        }
    }
}
