//! What each user used on each UTC day: the exact base of daily limits and of statistics.

use crate::dialect::{Rows, pieces, query_as, refused};
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::{Timestamp, UserId};
use uuid::Uuid;

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

impl Usage {
    /// Adds figures to figures.
    pub(crate) fn add(&mut self, more: Self) {
        self.accepted += more.accepted;
        self.sent += more.sent;
        self.received += more.received;
        self.failed += more.failed;
    }
}

/// The UTC day of a point in time, as days since 1970-01-01.
pub(crate) fn day_of(at: Timestamp) -> i32 {
    i32::try_from(at.0.div_euclid(86_400_000)).unwrap_or(i32::MAX)
}

static ADD: Rows = Rows::new(
    "INSERT INTO usage_daily (user_id, day, accepted, sent, received, failed) VALUES ",
    "(?, ?, ?, ?, ?, ?)",
    " ON CONFLICT (user_id, day) DO UPDATE SET accepted = usage_daily.accepted + excluded.accepted, \
     sent = usage_daily.sent + excluded.sent, received = usage_daily.received + excluded.received, \
     failed = usage_daily.failed + excluded.failed RETURNING user_id, day, accepted",
);

impl Tx {
    /// Adds to the figures of users and days; answers how many each has accepted now.
    pub(crate) async fn add_usage(&mut self, more: &[(UserId, i32, Usage)]) -> Result<Vec<(UserId, i32, i64)>, StoreError> {
        let mut totals = Vec::with_capacity(more.len());
        let more: Vec<_> = more.iter().filter(|(_, _, usage)| *usage != Usage::default()).collect();
        for piece in pieces(&more) {
            let mut add = query_as::<_, (Uuid, i32, i64)>(ADD.sql(piece.len()));
            for (user, day, usage) in piece {
                add = add.bind(user.0).bind(day).bind(usage.accepted).bind(usage.sent).bind(usage.received).bind(usage.failed);
            }
            let rows = add.fetch_all(&mut self.conn).await.map_err(refused)?;
            totals.extend(rows.into_iter().map(|(user, day, accepted)| (UserId(user), day, accepted)));
        }
        Ok(totals)
    }
}

impl Store {
    /// A user's figures of a UTC day (days since 1970-01-01).
    pub async fn usage(&self, user: UserId, day: i32) -> Result<Usage, StoreError> {
        let sql = "SELECT accepted, sent, received, failed FROM usage_daily WHERE user_id = ? AND day = ?";
        let row = query_as::<_, (i64, i64, i64, i64)>(sql).bind(user.0).bind(day).fetch_optional(&self.inner.readers);
        let (accepted, sent, received, failed) = row.await.map_err(refused)?.unwrap_or_default();
        Ok(Usage { accepted, sent, received, failed })
    }
}
