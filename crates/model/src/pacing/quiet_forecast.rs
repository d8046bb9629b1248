//! When a campaign would end whose recipients have quiet hours: a day is gone through by quarters of an hour.
//!
//! An estimate as the other one is. Who is asleep when is taken from the first day, so a change of the clocks on the way is
//! not seen; of several groups that are awake each gets its share.

use super::forecast::{Forecast, ForecastAccount, LISTED, mean_gap_ms};
use super::{Account, Policy};
use crate::Timestamp;
use crate::day::DAY_MS;
use crate::quiet::QuietHours;
use crate::schedule::Zone;
use std::time::Duration;

const SLOT_MS: i64 = 15 * 60 * 1000;
const SLOTS: usize = 96;
const SLOTS_OF_HOUR: usize = 4;
/// Days that are gone through at most; what is left then goes on as in the last week of them.
const MOST_DAYS: usize = 120;
const WEEK: usize = 7;

/// Recipients who live by the same clocks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Neighbours {
    /// The zones where they may live; none: it is never quiet there.
    pub zones: Vec<Zone>,
    /// How many of them wrote to an account before.
    pub warm: u64,
    /// How many never did.
    pub cold: u64,
}

impl Neighbours {
    const fn left(&self) -> u64 {
        self.warm + self.cold
    }
}

/// An account on its way through the days.
struct Walker<'a> {
    account: &'a Account,
    hour: u64,
    day: u64,
    cold: u64,
    /// Time that was not used for a message yet.
    credit_ms: u64,
}

impl<'a> Walker<'a> {
    fn new(account: &'a Account) -> Self {
        let (hour, day, cold) = (account.this_hour.into(), account.today.into(), account.cold_today.into());
        Self { account, hour, day, cold, credit_ms: 0 }
    }

    /// What it can send in the next `length_ms`, in all and to strangers.
    fn room(&mut self, policy: &Policy, day: i32, length_ms: u64) -> (u64, u64) {
        self.credit_ms += length_ms;
        let by_gap = self.credit_ms.checked_div(mean_gap_ms(policy)).unwrap_or(u64::MAX);
        let (cap, _) = policy.cap_of_day(self.account.linked_at, day);
        let all = by_gap.min(u64::from(policy.per_hour).saturating_sub(self.hour)).min(u64::from(cap).saturating_sub(self.day));
        (all, u64::from(policy.cold_per_day).saturating_sub(self.cold).min(all))
    }

    /// It sent so many; idle time is worth one message at most.
    fn sent(&mut self, policy: &Policy, all: u64, cold: u64) {
        let gap = mean_gap_ms(policy);
        self.credit_ms = self.credit_ms.saturating_sub(all.saturating_mul(gap)).min(gap);
        (self.hour, self.day, self.cold) = (self.hour + all, self.day + all, self.cold + cold);
    }
}

/// Takes `count` out of groups, from each by its share; they hold as many.
fn share(count: u64, of: &mut [&mut u64]) {
    let total: u64 = of.iter().map(|group| **group).sum();
    let mut left = count.min(total);
    for group in &mut *of {
        let part = u64::try_from(u128::from(count) * u128::from(**group) / u128::from(total.max(1))).unwrap_or(0).min(left);
        **group -= part;
        left -= part;
    }
    for group in of {
        let part = left.min(**group);
        **group -= part;
        left -= part;
    }
}

/// Sends what is possible in a slot; how many that were.
fn slot(policy: &Policy, walkers: &mut [Walker<'_>], awake: &mut [&mut Neighbours], day: i32, length_ms: u64) -> u64 {
    let mut sent = 0;
    for walker in walkers {
        let (all, cold) = walker.room(policy, day, length_ms);
        let to_cold = cold.min(awake.iter().map(|group| group.cold).sum());
        let to_warm = (all - to_cold).min(awake.iter().map(|group| group.warm).sum());
        share(to_cold, &mut awake.iter_mut().map(|group| &mut group.cold).collect::<Vec<_>>());
        share(to_warm, &mut awake.iter_mut().map(|group| &mut group.warm).collect::<Vec<_>>());
        walker.sent(policy, to_cold + to_warm, to_cold);
        sent += to_cold + to_warm;
    }
    sent
}

/// Foretells a campaign that starts now and writes to nobody in these hours. Whether they are switched on is not asked.
#[must_use]
pub fn forecast_with_quiet_hours(
    policy: &Policy,
    accounts: &[ForecastAccount],
    mut groups: Vec<Neighbours>,
    hours: QuietHours,
    now: Timestamp,
) -> Forecast {
    let mut told = Forecast::default();
    groups.retain(|group| group.left() > 0);
    if groups.is_empty() || accounts.is_empty() {
        told.ends_at = Some(now).filter(|_| groups.is_empty() && !accounts.is_empty());
        return told;
    }
    let midnight = Timestamp::of_day(now.day());
    let begin = |slot: usize| Timestamp(midnight.0 + SLOT_MS * i64::try_from(slot).unwrap_or(0));
    let awake_at = |group: &Neighbours, slot: usize| hours.until_in(&group.zones, begin(slot)).is_none();
    let awake: Vec<Vec<bool>> = groups.iter().map(|group| (0..SLOTS).map(|slot| awake_at(group, slot)).collect()).collect();
    let mut walkers: Vec<Walker<'_>> = accounts.iter().map(Walker::new).collect();
    let mut by_day: Vec<u64> = Vec::new();
    for number in 0..MOST_DAYS {
        let day = now.day().saturating_add(i32::try_from(number).unwrap_or(i32::MAX));
        if number > 0 {
            for walker in &mut walkers {
                (walker.day, walker.cold) = (0, 0);
            }
        }
        let mut count = 0;
        for place in 0..SLOTS {
            let from = Timestamp(Timestamp::of_day(day).0 + SLOT_MS * i64::try_from(place).unwrap_or(0));
            let until = Timestamp(from.0 + SLOT_MS);
            if until <= now {
                continue;
            }
            if place % SLOTS_OF_HOUR == 0 {
                for walker in &mut walkers {
                    walker.hour = 0;
                }
            }
            let from = from.max(now);
            let length = u64::try_from(until.since(from).as_millis()).unwrap_or(0);
            let is_awake = |index: usize| awake.get(index).and_then(|slots| slots.get(place)).is_some_and(|awake| *awake);
            let mut up: Vec<&mut Neighbours> =
                groups.iter_mut().enumerate().filter(|(index, _)| is_awake(*index)).map(|(_, group)| group).collect();
            let sent = slot(policy, &mut walkers, &mut up, day, length);
            count += sent;
            if groups.iter().all(|group| group.left() == 0) {
                let each = sent.div_ceil(accounts.len() as u64).saturating_mul(mean_gap_ms(policy));
                by_day.push(count);
                told.days = listed(now, &by_day);
                told.ends_at = Some(from.plus(Duration::from_millis(each.min(length))));
                return told;
            }
        }
        by_day.push(count);
    }
    told.days = listed(now, &by_day);
    let week: u64 = by_day.iter().rev().take(WEEK).sum();
    let left: u64 = groups.iter().map(Neighbours::left).sum();
    let days = left.saturating_mul(WEEK as u64).checked_div(week).and_then(|days| i64::try_from(days).ok());
    let walked = i64::try_from(MOST_DAYS).unwrap_or(0);
    told.ends_at = days.map(|days| Timestamp(midnight.0.saturating_add(DAY_MS.saturating_mul(days.saturating_add(walked + 1)))));
    told
}

fn listed(now: Timestamp, by_day: &[u64]) -> Vec<(i32, u64)> {
    (now.day()..).zip(by_day.iter().copied()).filter(|(_, count)| *count > 0).take(LISTED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a time")
    }

    fn night() -> QuietHours {
        QuietHours::parse(true, "21:00", "08:00").expect("hours")
    }

    fn policy() -> Policy {
        Policy { gap_min_seconds: 60, gap_max_seconds: 60, per_hour: 60, per_day: 500, cold_per_day: 50, ..Policy::none() }
    }

    fn account() -> Account {
        Account { linked_at: Timestamp(0), connected: true, this_hour: 0, today: 0, cold_today: 0, on_the_way: 0, next_at: None }
    }

    fn people(zone: &str, warm: u64, cold: u64) -> Neighbours {
        Neighbours { zones: vec![zone.parse().expect("a zone")], warm, cold }
    }

    #[test]
    fn a_campaign_of_the_evening_ends_in_the_morning_where_its_recipients_live() {
        for (groups, now, end) in [
            // By day as without quiet hours: an hour for sixty.
            (vec![people("Europe/Berlin", 60, 0)], "2026-11-27T12:00:00Z", "2026-11-27T13:00:00Z"),
            (vec![people("Europe/Berlin", 60, 0)], "2026-11-27T22:00:00Z", "2026-11-28T08:00:00Z"),
            // Half of them before the night, half after it.
            (vec![people("Europe/Berlin", 60, 0)], "2026-11-27T19:30:00Z", "2026-11-28T07:30:00Z"),
            // In Berlin it is night, in New York not yet.
            (vec![people("Europe/Berlin", 30, 0), people("America/New_York", 30, 0)], "2026-11-27T22:00:00Z", "2026-11-28T07:30:00Z"),
            (vec![Neighbours { zones: vec![], warm: 60, cold: 0 }], "2026-11-27T22:00:00Z", "2026-11-27T23:00:00Z"),
        ] {
            let told = forecast_with_quiet_hours(&policy(), &[account()], groups.clone(), night(), at(now));
            // A pause is worth one message.
            let early = told.ends_at.map(|told| at(end).since(told).as_secs());
            assert!(told.ends_at <= Some(at(end)) && early.is_some_and(|early| early <= 60), "{groups:?} {now}: {told:?}");
        }
        let cold =
            forecast_with_quiet_hours(&policy(), &[account()], vec![people("Europe/Berlin", 0, 120)], night(), at("2026-11-27T22:00:00Z"));
        assert_eq!(cold.days.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [50, 50, 20], "the budget of strangers holds too");
        assert_eq!(forecast_with_quiet_hours(&policy(), &[], vec![people("UTC", 1, 0)], night(), at("2026-11-27T22:00:00Z")).ends_at, None);
        let years = forecast_with_quiet_hours(&policy(), &[account()], vec![people("UTC", 0, 50_000)], night(), at("2026-11-27T00:00:00Z"));
        let days = years.ends_at.expect("an end").since(at("2026-11-27T00:00:00Z")).as_secs() / 86_400;
        assert!((995..=1005).contains(&days), "{days}: fifty a day");
    }

    proptest! {
        #[test]
        fn no_day_is_above_its_caps_and_everybody_is_counted_once(
            warm in 0_u64..3_000, cold in 0_u64..500, others in 0_u64..3_000, accounts in 1_usize..4, minute in 0_u64..1440,
        ) {
            let accounts = vec![account(); accounts];
            let groups = vec![people("Europe/Berlin", warm, cold), people("America/New_York", others, 0)];
            let now = at("2026-11-27T00:00:00Z").plus(Duration::from_mins(minute));
            let told = forecast_with_quiet_hours(&policy(), &accounts, groups, night(), now);
            prop_assert!(told.ends_at.is_some_and(|end| end >= now));
            let all: u64 = told.days.iter().map(|(_, count)| count).sum();
            prop_assert!(told.days.len() >= LISTED || all == warm + cold + others, "{told:?}");
            prop_assert!(told.days.iter().all(|(_, count)| *count <= 500 * accounts.len() as u64));
        }
    }
}
