//! When something is done again and again: a cron expression in a time zone, and what daylight saving does to it.
//!
//! The expression is matched against the clock on the wall of the zone, and each time on that wall is done once: one that
//! does not exist (the clock was put forward) at the first instant behind the gap, one that comes twice (it was put back)
//! the first time. So `30 2 * * *` runs once on every day of the year. Zones are compiled in; nothing of the machine is read.

use crate::{FieldErrors, Invalid, Timestamp};
use chrono::{DateTime, Duration, MappedLocalTime, NaiveDateTime, TimeZone, Timelike, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use std::fmt;
use std::str::FromStr;

/// Farther from UTC is no clock, in hours, with some to spare.
const FARTHEST: i64 = 27;
/// Times on the wall that are looked at for one that is still to come: more than an hour has, and the largest step back.
const MOST_PASSED: usize = 1_500;
/// Longest cron expression, in characters.
const LONGEST: usize = 200;

/// A time zone of the IANA database, like `Europe/Berlin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Zone(Tz);

impl Zone {
    /// UTC itself.
    pub const UTC: Self = Self(Tz::UTC);

    /// Reads a name of the IANA database.
    ///
    /// # Errors
    /// `Invalid` on `timezone`.
    pub fn parse(name: &str) -> Result<Self, Invalid> {
        let known = name.trim().parse::<Tz>().map(Self);
        known.map_err(|_| Invalid::new("timezone", "must be a name of the IANA time zone database, like Europe/Berlin or UTC"))
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// The names of all zones, in the order of the alphabet.
    pub fn names() -> impl Iterator<Item = &'static str> {
        TZ_VARIANTS.iter().map(|zone| zone.name())
    }

    /// What the clock on the wall shows.
    pub(crate) fn wall(self, at: Timestamp) -> NaiveDateTime {
        let utc = DateTime::<Utc>::from_timestamp_millis(at.0).unwrap_or_default();
        utc.with_timezone(&self.0).naive_local()
    }

    /// The first instant at which the clock on the wall shows `wall`, or has passed it where it never shows it.
    pub(crate) fn instant(self, wall: NaiveDateTime) -> Timestamp {
        let at = match self.0.from_local_datetime(&wall) {
            MappedLocalTime::Single(at) | MappedLocalTime::Ambiguous(at, _) => at.timestamp_millis(),
            MappedLocalTime::None => self.behind_gap(wall),
        };
        Timestamp(at)
    }

    /// The clock jumps over `wall` somewhere between these two; halved until the second of the jump is left.
    fn behind_gap(self, wall: NaiveDateTime) -> i64 {
        let middle = wall.and_utc().timestamp();
        let (mut before, mut behind) = (middle - FARTHEST * 3600, middle + FARTHEST * 3600);
        while behind - before > 1 {
            let half = before.midpoint(behind);
            if self.wall(Timestamp::from_secs(half)) < wall { before = half } else { behind = half }
        }
        behind * 1000
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Zone {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        text.parse().map(Self).map_err(|_| ())
    }
}

/// A cron expression in a time zone.
#[derive(Debug, Clone)]
pub struct Recurrence {
    text: String,
    cron: Cron,
    zone: Zone,
}

impl Recurrence {
    /// Reads a cron expression with five fields (minute, hour, day of month, month, day of week), and a zone.
    ///
    /// # Errors
    /// On `cron` and `timezone`, with what to write instead.
    pub fn parse(cron: &str, timezone: &str) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        let zone = errors.take(Zone::parse(timezone));
        let cron = errors.take(read(cron));
        match (cron, zone) {
            (Some((text, cron)), Some(zone)) => Ok(Self { text, cron, zone }),
            _ => Err(errors),
        }
    }

    /// The expression as it was written.
    #[must_use]
    pub fn cron(&self) -> &str {
        &self.text
    }

    /// The zone.
    #[must_use]
    pub const fn zone(&self) -> Zone {
        self.zone
    }

    /// The first run after `now`; `None` when there is none any more.
    #[must_use]
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        let mut wall = self.zone.wall(now).with_nanosecond(0)?;
        for _ in 0..MOST_PASSED {
            wall = self.cron.find_next_occurrence(&wall.and_utc(), false).ok()?.naive_utc();
            let at = self.zone.instant(wall);
            // What the wall shows a second time was done the first time.
            if at > now {
                return Some(at);
            }
        }
        None
    }

    /// The run after one that was due at `due` and is done at `now`. What was missed in between is not made up for: the clock
    /// of the machine may have jumped. When it jumped back, what was done is not done again.
    #[must_use]
    pub fn next_run(&self, due: Timestamp, now: Timestamp) -> Option<Timestamp> {
        self.next_after(due.max(now))
    }

    /// The next runs after `now`, at most `most`.
    #[must_use]
    pub fn upcoming(&self, now: Timestamp, most: usize) -> Vec<Timestamp> {
        std::iter::successors(self.next_after(now), |at| self.next_after(*at)).take(most).collect()
    }
}

fn read(text: &str) -> Result<(String, Cron), Invalid> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let refuse = |message: &str| Err(Invalid::new("cron", message));
    if text.len() > LONGEST || text.split(' ').count() != 5 {
        return refuse("must be a cron expression with five fields: minute, hour, day of month, month, day of week, like 30 9 * * MON-FRI");
    }
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    match parser.parse(&text) {
        Ok(cron) => Ok((text, cron)),
        Err(error) => refuse(&format!("is no cron expression: {error}")),
    }
}

/// So many minutes later on the wall.
pub(crate) fn later(wall: NaiveDateTime, days: i64) -> NaiveDateTime {
    wall.checked_add_signed(Duration::days(days)).unwrap_or(wall)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    fn runs(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let recurrence = Recurrence::parse(cron, zone).expect("read");
        recurrence.upcoming(at(from), count).iter().map(|run| run.to_string()[..16].to_owned()).collect()
    }

    #[rstest]
    // The clock goes from 02:00 to 03:00: what is at 02:30 runs at 03:00, which is 01:00 in UTC, and once.
    #[case("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", &["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"])]
    #[case("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:20:00Z", &["2026-03-29T00:30", "2026-03-29T01:00", "2026-03-29T01:30"])]
    // It goes back from 03:00 to 02:00: 02:30 comes twice and runs the first time.
    #[case("30 2 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z", &["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"])]
    #[case("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:20:00Z", &["2026-10-25T00:30", "2026-10-25T02:00", "2026-10-25T02:30"])]
    #[case("30 2 * * *", "Europe/Berlin", "2026-10-25T01:00:00Z", &["2026-10-26T01:30"])]
    #[case("30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", &["2026-03-08T07:00", "2026-03-09T06:30"])]
    #[case("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", &["2026-11-01T05:30", "2026-11-02T06:30"])]
    // Half an hour only: from 02:00 to 02:30 in October, and back in April.
    #[case("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", &["2026-10-03T15:30", "2026-10-04T15:15"])]
    #[case("45 1 * * *", "Australia/Lord_Howe", "2026-04-03T20:00:00Z", &["2026-04-04T14:45", "2026-04-05T15:15"])]
    #[case("*/15 * * * *", "Australia/Lord_Howe", "2026-04-04T14:40:00Z", &["2026-04-04T14:45", "2026-04-04T15:30", "2026-04-04T15:45"])]
    // A day that was left out: Samoa went over the date line.
    #[case("0 12 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", &["2011-12-29T22:00", "2011-12-30T10:00", "2011-12-30T22:00"])]
    #[case("0 9 29 2 *", "UTC", "2025-01-01T00:00:00Z", &["2028-02-29T09:00", "2032-02-29T09:00"])]
    #[case("0 9 29 2 *", "Europe/Berlin", "2096-03-01T00:00:00Z", &["2104-02-29T08:00"])]
    #[case("0 18 L * *", "UTC", "2027-12-31T18:00:00Z", &["2028-01-31T18:00", "2028-02-29T18:00", "2028-03-31T18:00", "2028-04-30T18:00"])]
    #[case("0 8 * * MON-FRI", "Asia/Kolkata", "2026-11-27T02:30:00Z", &["2026-11-30T02:30", "2026-12-01T02:30"])]
    fn runs_are_told_by_the_clock_on_the_wall(#[case] cron: &str, #[case] zone: &str, #[case] from: &str, #[case] expected: &[&str]) {
        assert_eq!(runs(cron, zone, from, expected.len()), expected);
    }

    #[test]
    fn a_clock_that_jumps_makes_neither_many_runs_nor_one_twice() {
        let hourly = Recurrence::parse("0 * * * *", "UTC").expect("read");
        let due = at("2026-11-27T10:00:00Z");
        // Forward by a day: one run for all that was missed.
        assert_eq!(hourly.next_run(due, at("2026-11-28T10:20:00Z")), Some(at("2026-11-28T11:00:00Z")));
        // Back by three hours, right after the run: nothing until it is later than the run again.
        assert_eq!(hourly.next_run(due, at("2026-11-27T07:00:00Z")), Some(at("2026-11-27T11:00:00Z")));
    }

    #[test]
    fn what_can_not_be_is_refused_and_what_never_comes_has_no_next() {
        for cron in ["", "* * * *", "* * * * * *", "61 * * * *", "@daily", "every day", "* * * * FOO", "0 0 32 * *"] {
            let refused = Recurrence::parse(cron, "UTC").err().unwrap_or_else(|| panic!("{cron}"));
            assert_eq!(refused.0.keys().collect::<Vec<_>>(), ["cron"], "{cron}");
        }
        let both = Recurrence::parse("x", "Mars/Olympus").expect_err("refused");
        assert_eq!(both.0.keys().collect::<Vec<_>>(), ["cron", "timezone"]);
        assert_eq!(Recurrence::parse("0 0 30 2 *", "UTC").expect("read").next_after(Timestamp(0)), None);
    }

    #[test]
    fn every_zone_is_compiled_in() {
        assert!(Zone::names().count() > 400);
        for name in Zone::names() {
            assert_eq!(Zone::parse(name).map(Zone::name), Ok(name));
        }
    }

    fn any_zone() -> impl Strategy<Value = Zone> {
        proptest::sample::select(TZ_VARIANTS.to_vec()).prop_map(Zone)
    }

    proptest! {
        #[test]
        fn a_wall_time_has_an_instant_at_which_the_wall_shows_it_or_has_passed_it(zone in any_zone(), secs in 0_i64..4_000_000_000) {
            let wall = DateTime::from_timestamp(secs, 0).expect("a time").naive_utc();
            let at = zone.instant(wall);
            prop_assert!(zone.wall(at) >= wall);
            prop_assert!(zone.wall(at.minus(std::time::Duration::from_secs(1))) < wall);
        }

        #[test]
        fn a_daily_run_comes_once_on_every_day(zone in any_zone(), minute in 0_u32..1440, secs in 1_300_000_000_i64..2_100_000_000) {
            let cron = format!("{} {} * * *", minute % 60, minute / 60);
            let recurrence = Recurrence::parse(&cron, zone.name()).expect("read");
            let runs = recurrence.upcoming(Timestamp::from_secs(secs), 400);
            prop_assert_eq!(runs.len(), 400);
            for pair in runs.windows(2) {
                let days = (zone.wall(pair[1]).date() - zone.wall(pair[0]).date()).num_days();
                prop_assert!(pair[1] > pair[0]);
                prop_assert!((0..=2).contains(&days), "{} days between {} and {} in {zone}", days, pair[0], pair[1]);
            }
        }
    }
}
