//! Quiet hours: when nobody wants to be written to, by the clock where the recipient lives.
//!
//! Where somebody lives is guessed by the country code of the number, in North America by the area code. There may be several
//! zones; then it is quiet as soon as it is quiet in any of them. People whose number is hidden, and groups, live nowhere: it is never quiet there.

mod area_codes;
mod places;

use crate::schedule::{Zone, later};
use crate::{FieldErrors, Invalid, Recipient, Timestamp};
use chrono::{NaiveTime, Timelike};
use std::fmt;
use std::str::FromStr;

/// Steps from one quiet zone of a country to the next: more than a country has zones.
const MOST_STEPS: usize = 40;

/// A time of day on the wall, in minutes since midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(u16);

impl WallTime {
    fn of(self) -> NaiveTime {
        let minutes = u32::from(self.0);
        NaiveTime::from_hms_opt(minutes / 60, minutes % 60, 0).unwrap_or_default()
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl FromStr for WallTime {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (hours, minutes) = text.split_once(':').ok_or(())?;
        let digits = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(hours) || !digits(minutes) {
            return Err(());
        }
        let (hours, minutes): (u16, u16) = (hours.parse().map_err(drop)?, minutes.parse().map_err(drop)?);
        if hours < 24 && minutes < 60 { Ok(Self(hours * 60 + minutes)) } else { Err(()) }
    }
}

/// The quiet hours of a user's recipients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    /// Whether ordinary sends are held; one that asks for it is held whatever this says.
    pub enabled: bool,
    /// When they begin.
    pub from: WallTime,
    /// When they end; on the next day when that is earlier.
    pub to: WallTime,
}

impl Default for QuietHours {
    /// Off; from 21:00 to 08:00 for sends that ask for it.
    fn default() -> Self {
        Self { enabled: false, from: WallTime(21 * 60), to: WallTime(8 * 60) }
    }
}

impl QuietHours {
    /// Reads what a caller wrote.
    ///
    /// # Errors
    /// On `from` and `to`.
    pub fn parse(enabled: bool, from: &str, to: &str) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        let read = |field: &str, text: &str| text.parse().map_err(|()| Invalid::new(field, "must be a time of day like 21:30"));
        let from: Option<WallTime> = errors.take(read("from", from));
        let to = errors.take(read("to", to));
        match (from, to) {
            (Some(from), Some(to)) if from != to => Ok(Self { enabled, from, to }),
            (Some(_), Some(_)) => {
                Err(Invalid::new("to", "must not be the same as `from`: set `enabled` to false to have no quiet hours").into())
            }
            _ => Err(errors),
        }
    }

    fn holds(self, wall: NaiveTime) -> bool {
        let (from, to) = (self.from.of(), self.to.of());
        if from < to { from <= wall && wall < to } else { wall >= from || wall < to }
    }

    /// The end of the quiet hours in this zone, when it is quiet there at `now`.
    #[must_use]
    pub fn end_in(self, zone: Zone, now: Timestamp) -> Option<Timestamp> {
        let wall = zone.wall(now);
        if !self.holds(wall.time()) {
            return None;
        }
        let tomorrow = self.from > self.to && wall.time() >= self.from.of();
        let end = later(wall.date().and_time(self.to.of()), i64::from(tomorrow));
        // The clock may be put back over the end: then it has been quiet for long enough at the first of the two.
        Some(zone.instant(end)).filter(|end| *end > now)
    }

    /// Until when it is quiet where this recipient lives, and the zone that holds it longest; `None` when it is not quiet.
    /// Whether quiet hours are switched on is not asked.
    #[must_use]
    pub fn until(self, recipient: &Recipient, now: Timestamp) -> Option<(Timestamp, Zone)> {
        self.until_in(&zones_of(recipient), now)
    }

    /// The same for somebody who may live in any of these zones, the one with most people first.
    #[must_use]
    pub fn until_in(self, zones: &[Zone], now: Timestamp) -> Option<(Timestamp, Zone)> {
        let first = zones.first().copied()?;
        let (mut at, mut held) = (now, None);
        for _ in 0..MOST_STEPS {
            let latest = zones.iter().filter_map(|zone| self.end_in(*zone, at).map(|end| (end, *zone))).max_by_key(|(end, _)| *end);
            let Some((end, zone)) = latest else { return held };
            (at, held) = (end, Some((end, zone)));
        }
        // It is never loud everywhere in a country that large: the zone where most people live decides.
        self.end_in(first, now).map(|end| (end, first))
    }
}

/// `on 21:00-08:00` or `off 21:00-08:00`, as it is stored.
impl fmt::Display for QuietHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}-{}", if self.enabled { "on" } else { "off" }, self.from, self.to)
    }
}

impl FromStr for QuietHours {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (switch, times) = text.split_once(' ').ok_or(())?;
        let (from, to) = times.split_once('-').ok_or(())?;
        Ok(Self { enabled: switch == "on", from: from.parse()?, to: to.parse()? })
    }
}

/// The zones where somebody with this number may live, the one with most people first; none when the number is not known.
#[must_use]
pub fn zones_of(recipient: &Recipient) -> Vec<Zone> {
    zones_named(zone_names(recipient))
}

/// The names of these zones. There are few such lists, whatever the numbers: people can be counted by them.
#[must_use]
pub fn zone_names(recipient: &Recipient) -> &'static [&'static str] {
    let phone = match recipient {
        Recipient::Phone(phone) => phone.clone(),
        Recipient::Lid(jid) | Recipient::Group(jid) => match jid.phone() {
            Some(phone) => phone,
            None => return &[],
        },
    };
    places::of(phone.digits())
}

/// Zones by their names; what is no zone is left out.
#[must_use]
pub fn zones_named(names: &[&str]) -> Vec<Zone> {
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

/// The hour on the wall of a zone, for people.
#[must_use]
pub fn wall_text(zone: Zone, at: Timestamp) -> String {
    let wall = zone.wall(at);
    format!("{:02}:{:02} in {zone}", wall.hour(), wall.minute())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    fn night() -> QuietHours {
        QuietHours::parse(true, "21:00", "08:00").expect("hours")
    }

    fn to(number: &str) -> Recipient {
        Recipient::parse(number).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_night_ends_in_the_morning_where_the_recipient_lives() {
        for (number, now, end) in [
            ("+4915112345678", "2026-11-27T19:59:59Z", None),
            ("+4915112345678", "2026-11-27T20:00:00Z", Some("2026-11-28T07:00:00Z")),
            ("+4915112345678", "2026-11-28T06:59:00Z", Some("2026-11-28T07:00:00Z")),
            ("+4915112345678", "2026-11-28T07:00:00Z", None),
            // The night in which the clock is put forward is an hour shorter, the one in which it is put back an hour longer.
            ("+4915112345678", "2026-03-28T20:00:00Z", Some("2026-03-29T06:00:00Z")),
            ("+4915112345678", "2026-10-24T19:00:00Z", Some("2026-10-25T07:00:00Z")),
            ("+919876543210", "2026-11-27T15:30:00Z", Some("2026-11-28T02:30:00Z")),
            // Washington has one clock, the Florida Panhandle two, Alaska one and its islands another.
            ("+12025550123", "2026-11-28T01:59:00Z", None),
            ("+12025550123", "2026-11-28T02:00:00Z", Some("2026-11-28T13:00:00Z")),
            ("+18505550123", "2026-11-28T02:00:00Z", Some("2026-11-28T14:00:00Z")),
            ("+19075550123", "2026-11-28T06:00:00Z", Some("2026-11-28T18:00:00Z")),
            // A number of no place: from the first evening in Newfoundland to the last morning on Hawaii.
            ("+18002345678", "2026-11-28T00:29:00Z", None),
            ("+18002345678", "2026-11-28T00:30:00Z", Some("2026-11-28T18:00:00Z")),
            ("+18002345678", "2026-11-28T15:00:00Z", Some("2026-11-28T18:00:00Z")),
            ("120363000000000000@g.us", "2026-11-28T03:00:00Z", None),
            ("777@lid", "2026-11-28T03:00:00Z", None),
        ] {
            let until = night().until(&to(number), at(now)).map(|(until, _)| until);
            assert_eq!(until, end.map(at), "{number} {now}");
        }
    }

    #[test]
    fn hours_within_a_day_and_hours_that_never_end_everywhere() {
        let noon = QuietHours::parse(true, "12:00", "14:00").expect("hours");
        assert_eq!(noon.until(&to("+4915112345678"), at("2026-11-27T11:30:00Z")).map(|(until, _)| until), Some(at("2026-11-27T13:00:00Z")));
        // Russia has eleven zones: with twenty quiet hours it is always quiet somewhere, so Moscow decides.
        let long = QuietHours::parse(true, "12:00", "08:00").expect("hours");
        let (until, zone) = long.until(&to("+79161234567"), at("2026-11-27T10:00:00Z")).expect("quiet");
        assert_eq!((until, zone.name()), (at("2026-11-28T05:00:00Z"), "Europe/Moscow"));
    }

    #[test]
    fn times_of_day_are_read_strictly() {
        for text in ["24:00", "7:00", "07:60", "0700", "", "07:00:00", "+7:00"] {
            assert!(text.parse::<WallTime>().is_err(), "{text}");
        }
        let refused = QuietHours::parse(true, "x", "25:00").expect_err("refused");
        assert_eq!(refused.0.keys().collect::<Vec<_>>(), ["from", "to"]);
        assert_eq!(QuietHours::parse(true, "08:00", "08:00").expect_err("refused").0.keys().collect::<Vec<_>>(), ["to"]);
        assert_eq!(night().to_string().parse(), Ok(night()));
    }

    proptest! {
        #[test]
        fn when_they_end_it_is_not_quiet_and_just_before_it_is(secs in 1_600_000_000_i64..2_200_000_000, from in 0_u16..1440, length in 1_u16..720) {
            let hours = QuietHours { enabled: true, from: WallTime(from), to: WallTime((from + length) % 1440) };
            let now = Timestamp::from_secs(secs);
            for number in ["+4915112345678", "+12025550123", "+61412345678"] {
                if let Some((until, _)) = hours.until(&to(number), now) {
                    prop_assert!(until > now);
                    prop_assert_eq!(hours.until(&to(number), until), None);
                }
            }
        }
    }
}
