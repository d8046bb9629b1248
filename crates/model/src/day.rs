//! UTC days and hours as whole numbers since 1970-01-01: what usage is counted by.

use crate::Timestamp;
use chrono::{DateTime, Datelike, NaiveDate};
use std::time::Duration;

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;
/// Milliseconds of an hour.
pub const HOUR_MS: i64 = 3_600_000;

impl Timestamp {
    /// Its UTC day.
    #[must_use]
    pub fn day(self) -> i32 {
        i32::try_from(self.0.div_euclid(DAY_MS)).unwrap_or(i32::MAX)
    }

    /// Its UTC hour.
    #[must_use]
    pub fn hour(self) -> i32 {
        i32::try_from(self.0.div_euclid(HOUR_MS)).unwrap_or(i32::MAX)
    }

    /// The beginning of a UTC day.
    #[must_use]
    pub fn of_day(day: i32) -> Self {
        Self(i64::from(day) * DAY_MS)
    }

    /// The beginning of a UTC hour.
    #[must_use]
    pub fn of_hour(hour: i32) -> Self {
        Self(i64::from(hour) * HOUR_MS)
    }

    /// How long until the next UTC day begins.
    #[must_use]
    pub fn until_midnight(self) -> Duration {
        Self::of_day(self.day().saturating_add(1)).since(self)
    }
}

fn date(day: i32) -> NaiveDate {
    DateTime::from_timestamp_millis(Timestamp::of_day(day).0).unwrap_or_default().date_naive()
}

fn number(date: NaiveDate) -> i32 {
    date.and_hms_opt(0, 0, 0).map_or(0, |at| Timestamp(at.and_utc().timestamp_millis()).day())
}

/// `2026-11-21`.
#[must_use]
pub fn day_text(day: i32) -> String {
    date(day).format("%Y-%m-%d").to_string()
}

/// `2026-11`.
#[must_use]
pub fn month_text(day: i32) -> String {
    date(day).format("%Y-%m").to_string()
}

/// Reads `2026-11-21`, or a date-time, whose UTC day it is.
#[must_use]
pub fn parse_day(text: &str) -> Option<i32> {
    let plain = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|date| (1970..10_000).contains(&date.year())).map(number);
    plain().or_else(|| Timestamp::parse(text).map(Timestamp::day))
}

/// The first day of the month that a day is in, moved by so many months.
#[must_use]
pub fn month_of(day: i32, months: i32) -> i32 {
    let date = date(day);
    let month = date.year() * 12 + i32::try_from(date.month0()).unwrap_or(0) + months;
    let first = NaiveDate::from_ymd_opt(month.div_euclid(12), u32::try_from(month.rem_euclid(12)).unwrap_or(0) + 1, 1);
    first.map_or(day, number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_months_are_written_and_read() {
        assert_eq!((day_text(0), day_text(20_778), month_text(20_778)), ("1970-01-01".into(), "2026-11-21".into(), "2026-11".into()));
        for (text, day) in [
            ("2026-11-21", Some(20_778)),
            ("2026-11-21T23:59:59Z", Some(20_778)),
            ("2026-11-21T23:59:59-01:00", Some(20_779)),
            ("2026-02-29", None),
            ("21.11.2026", None),
            ("", None),
            ("99999-01-01", None),
        ] {
            assert_eq!(parse_day(text), day, "{text}");
        }
        let first = parse_day("2026-11-01").expect("a day");
        assert_eq!(
            (month_of(20_778, 0), day_text(month_of(20_778, 2)), day_text(month_of(20_778, -11))),
            (first, "2027-01-01".into(), "2025-12-01".into())
        );
    }

    #[test]
    fn a_day_ends_at_midnight() {
        assert_eq!(Timestamp::of_day(5).until_midnight(), Duration::from_hours(24));
        assert_eq!(Timestamp(DAY_MS * 6 - 1).until_midnight(), Duration::from_millis(1));
        assert_eq!((Timestamp(DAY_MS * 6 - 1).day(), Timestamp(HOUR_MS).hour(), Timestamp(-1).day()), (5, 1, -1));
    }
}
