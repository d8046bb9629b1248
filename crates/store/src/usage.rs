//! What each user used on each UTC day: the exact base of daily limits and of statistics.
//!
//! Figures are written in the transaction of what they count. Beside each user's day stands the hour of all users, for
//! charts. Requests are the exception: they are counted in memory and written by the second (see `api_log`).

mod report;

pub use report::{Hour, UsagePeriod, UsageReport, UsageRow};

use crate::dialect::{Rows, pieces, query, query_as, refused};
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::UserId;
use uuid::Uuid;

/// Figures of one user and day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Messages accepted; the daily limit counts these.
    pub accepted: i64,
    /// Messages that WhatsApp took.
    pub sent: i64,
    /// Those of them that carry a file.
    pub media_sent: i64,
    /// Messages that came in.
    pub received: i64,
    /// Messages that failed.
    pub failed: i64,
    /// Requests to the API.
    pub api_requests: i64,
}

impl Usage {
    /// Adds figures to figures.
    pub fn add(&mut self, more: Self) {
        self.accepted += more.accepted;
        self.sent += more.sent;
        self.media_sent += more.media_sent;
        self.received += more.received;
        self.failed += more.failed;
        self.api_requests += more.api_requests;
    }
}

static ADD: Rows = Rows::new(
    "INSERT INTO usage_daily (user_id, day, accepted, sent, media_sent, received, failed, api_requests) VALUES ",
    "(?, ?, ?, ?, ?, ?, ?, ?)",
    " ON CONFLICT (user_id, day) DO UPDATE SET accepted = usage_daily.accepted + excluded.accepted, \
     sent = usage_daily.sent + excluded.sent, media_sent = usage_daily.media_sent + excluded.media_sent, \
     received = usage_daily.received + excluded.received, failed = usage_daily.failed + excluded.failed, \
     api_requests = usage_daily.api_requests + excluded.api_requests RETURNING user_id, day, accepted",
);

/// A day and its figures.
type DayRow = (i32, i64, i64, i64, i64, i64, i64);

fn of_day((day, accepted, sent, media_sent, received, failed, api_requests): DayRow) -> (i32, Usage) {
    (day, Usage { accepted, sent, media_sent, received, failed, api_requests })
}

impl Tx {
    /// Adds to the figures of users and days; answers how many each has accepted now.
    pub(crate) async fn add_usage(&mut self, more: &[(UserId, i32, Usage)]) -> Result<Vec<(UserId, i32, i64)>, StoreError> {
        let mut totals = Vec::with_capacity(more.len());
        let more: Vec<_> = more.iter().filter(|(_, _, usage)| *usage != Usage::default()).collect();
        for piece in pieces(&more) {
            let mut add = query_as::<_, (Uuid, i32, i64)>(ADD.sql(piece.len()));
            for (user, day, usage) in piece {
                add = add.bind(user.0).bind(day).bind(usage.accepted).bind(usage.sent).bind(usage.media_sent);
                add = add.bind(usage.received).bind(usage.failed).bind(usage.api_requests);
            }
            let rows = add.fetch_all(&mut self.conn).await.map_err(refused)?;
            totals.extend(rows.into_iter().map(|(user, day, accepted)| (UserId(user), day, accepted)));
        }
        let mut all = Usage::default();
        for (_, _, usage) in more {
            all.add(*usage);
        }
        self.add_hour(all).await?;
        Ok(totals)
    }

    /// Adds messages to the present hour of all users.
    async fn add_hour(&mut self, all: Usage) -> Result<(), StoreError> {
        let Usage { accepted, sent, received, failed, .. } = all;
        if (accepted, sent, received, failed) == (0, 0, 0, 0) {
            return Ok(());
        }
        let sql = "INSERT INTO usage_hourly (hour, accepted, sent, received, failed) VALUES (?, ?, ?, ?, ?) ON CONFLICT (hour) DO UPDATE \
                   SET accepted = usage_hourly.accepted + excluded.accepted, sent = usage_hourly.sent + excluded.sent, \
                   received = usage_hourly.received + excluded.received, failed = usage_hourly.failed + excluded.failed";
        let add = query(sql).bind(self.clock.now().hour()).bind(accepted).bind(sent).bind(received).bind(failed);
        add.execute(&mut self.conn).await.map(drop).map_err(refused)
    }
}

impl Store {
    /// A user's figures of a UTC day (days since 1970-01-01).
    pub async fn usage(&self, user: UserId, day: i32) -> Result<Usage, StoreError> {
        Ok(self.usage_days(user, day, day.saturating_add(1)).await?.first().map(|(_, usage)| *usage).unwrap_or_default())
    }

    /// A user's figures of the UTC days from `from` on and before `to`, by day; days without any are left out.
    pub async fn usage_days(&self, user: UserId, from: i32, to: i32) -> Result<Vec<(i32, Usage)>, StoreError> {
        let sql = "SELECT day, accepted, sent, media_sent, received, failed, api_requests FROM usage_daily \
                   WHERE user_id = ? AND day >= ? AND day < ? ORDER BY day";
        let rows = query_as::<_, DayRow>(sql).bind(user.0).bind(from).bind(to);
        let rows = rows.fetch_all(&self.inner.readers).await.map_err(refused)?;
        Ok(rows.into_iter().map(of_day).collect())
    }
}
