//! What each user used on each UTC day: the exact base of daily limits and of statistics.

use crate::{Store, StoreError};
use sanasend_model::UserId;

/// Figures of one user and day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Messages accepted; the daily limit counts these.
    pub accepted: i64,
    /// Messages that WhatsApp took.
    pub sent: i64,
    /// Messages that came in.
    pub received: i64,
    /// Messages that failed.
    pub failed: i64,
}

impl Store {
    /// A user's figures of a UTC day (days since 1970-01-01).
    pub async fn usage(&self, user: UserId, day: i32) -> Result<Usage, StoreError> {
        let _ = (user, day);
        Err(crate::not_yet())
    }
}
