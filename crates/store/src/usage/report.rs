//! Usage for people: by user and day or month, and of all users by day and by hour.

use super::Usage;
use crate::dialect::{AssertSqlSafe, query_as, query_scalar, refused};
use crate::{Listed, Page, Store, StoreError};
use sanasend_model::{UserId, day};
use uuid::Uuid;

/// What a row of a report covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UsagePeriod {
    /// One UTC day.
    #[default]
    Day,
    /// One calendar month in UTC.
    Month,
}

/// Which usage to report.
#[derive(Debug, Clone, Copy)]
pub struct UsageReport {
    /// Only this user's.
    pub user_id: Option<UserId>,
    /// From this UTC day on.
    pub from: i32,
    /// Before this UTC day.
    pub to: i32,
    /// What one row covers.
    pub by: UsagePeriod,
}

/// Usage of one user in one period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRow {
    /// Whose.
    pub user_id: UserId,
    /// Its user name.
    pub username: String,
    /// The first day of the period.
    pub first_day: i32,
    /// The figures.
    pub usage: Usage,
}

/// Messages of all users in one UTC hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hour {
    /// Hours since 1970-01-01T00:00Z.
    pub hour: i32,
    /// The figures; files and requests are not counted by hour here.
    pub usage: Usage,
}

type Row = (Uuid, String, i32, i64, i64, i64, i64, i64, i64);

impl UsageReport {
    /// The first days of the periods, newest first.
    pub fn periods(&self) -> Vec<i32> {
        if self.to <= self.from {
            return Vec::new();
        }
        match self.by {
            UsagePeriod::Day => (self.from..self.to).rev().collect(),
            UsagePeriod::Month => {
                let first = day::month_of(self.from, 0);
                let months = (0..).map(|months| day::month_of(self.to.saturating_sub(1), -months));
                months.take_while(|month| *month >= first).collect()
            }
        }
    }

    /// The report narrowed to one period.
    #[must_use]
    pub fn only(&self, period: i32) -> Self {
        let end = match self.by {
            UsagePeriod::Day => period.saturating_add(1),
            UsagePeriod::Month => day::month_of(period, 1),
        };
        Self { from: self.from.max(period), to: self.to.min(end), ..*self }
    }

    /// Rows of the report by user and period. All that is put into the text are numbers of days.
    fn grouped(&self) -> String {
        let figures = "CAST(SUM(d.accepted) AS BIGINT), CAST(SUM(d.sent) AS BIGINT), CAST(SUM(d.media_sent) AS BIGINT), \
                       CAST(SUM(d.received) AS BIGINT), CAST(SUM(d.failed) AS BIGINT), CAST(SUM(d.api_requests) AS BIGINT)";
        let user = if self.user_id.is_some() { "AND d.user_id = ?" } else { "" };
        let (with, join, period) = match self.by {
            UsagePeriod::Day => (String::new(), "", "d.day"),
            UsagePeriod::Month => {
                let months = self.periods().into_iter().map(|first| format!("({first}, {})", day::month_of(first, 1)));
                let months = months.collect::<Vec<_>>().join(", ");
                let with = format!("WITH months (first_day, next_day) AS (VALUES {months}) ");
                (with, "JOIN months m ON d.day >= m.first_day AND d.day < m.next_day", "m.first_day")
            }
        };
        let (from, to) = (self.from, self.to);
        format!(
            "{with}SELECT d.user_id, u.username, {period} AS period, {figures} FROM usage_daily d JOIN users u ON u.id = d.user_id {join} \
             WHERE d.day >= {from} AND d.day < {to} {user} GROUP BY d.user_id, u.username, {period}"
        )
    }
}

fn read(row: Row) -> UsageRow {
    let (user, username, first_day, accepted, sent, media_sent, received, failed, api_requests) = row;
    let usage = Usage { accepted, sent, media_sent, received, failed, api_requests };
    UsageRow { user_id: UserId(user), username, first_day, usage }
}

impl Store {
    /// A page of the report: the newest period first, users by name.
    pub async fn list_usage(&self, report: &UsageReport, page: Page) -> Result<Listed<UsageRow>, StoreError> {
        if report.to <= report.from {
            return Ok(Listed { count: 0, results: Vec::new() });
        }
        let grouped = report.grouped();
        let counted = AssertSqlSafe(format!("SELECT COUNT(*) FROM ({grouped}) AS counted"));
        let mut count = query_scalar::<_, i64>(counted);
        let mut rows = query_as::<_, Row>(AssertSqlSafe(format!("{grouped} ORDER BY period DESC, u.username LIMIT ? OFFSET ?")));
        if let Some(user) = report.user_id {
            count = count.bind(user.0);
            rows = rows.bind(user.0);
        }
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let rows = rows.bind(number(page.page_size)).bind(number(page.offset())).fetch_all(&self.inner.readers);
        let results = rows.await.map_err(refused)?.into_iter().map(read).collect();
        let count = count.fetch_one(&self.inner.readers).await.map_err(refused)?;
        Ok(Listed { count: u64::try_from(count).unwrap_or(0), results })
    }

    /// Messages of all users by UTC hour, from `from` on and before `to`; hours without any are left out.
    pub async fn usage_hours(&self, from: i32, to: i32) -> Result<Vec<Hour>, StoreError> {
        let sql = "SELECT hour, accepted, sent, received, failed FROM usage_hourly WHERE hour >= ? AND hour < ? ORDER BY hour";
        let rows = query_as::<_, (i32, i64, i64, i64, i64)>(sql).bind(from).bind(to).fetch_all(&self.inner.readers);
        let rows = rows.await.map_err(refused)?.into_iter();
        let usage = |accepted, sent, received, failed| Usage { accepted, sent, received, failed, ..Usage::default() };
        Ok(rows.map(|(hour, accepted, sent, received, failed)| Hour { hour, usage: usage(accepted, sent, received, failed) }).collect())
    }
}
