//! When a campaign would end: by arithmetic over days, not by going through its waits.
//!
//! An estimate for people: gaps count with their mean, and nobody else sends through the accounts meanwhile.

use super::{Account, Policy};
use crate::Timestamp;
use crate::day::DAY_MS;
use std::time::Duration;

const HOURS: u64 = 24;
const DAY_SECONDS: u64 = 86_400;

/// An account for a forecast.
pub type ForecastAccount = Account;

/// What will probably happen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forecast {
    /// When the last message is sent; `None` when it never is (no account).
    pub ends_at: Option<Timestamp>,
    /// How many messages on each of the first days: UTC day and count.
    pub days: Vec<(i32, u64)>,
}

/// Days that are listed one by one.
pub(super) const LISTED: usize = 31;

/// What accounts can send in the rest of a day: in all, and to cold contacts.
#[derive(Clone, Copy, Default)]
struct Room {
    all: u64,
    cold: u64,
}

pub(super) fn mean_gap_ms(policy: &Policy) -> u64 {
    (u64::from(policy.gap_min_seconds) + u64::from(policy.gap_max_seconds)) * 500
}

fn room(policy: &Policy, account: &Account, day: i32, now: Timestamp) -> Room {
    let is_today = day == now.day();
    let used = |today: u32| if is_today { u64::from(today) } else { 0 };
    let seconds = if is_today { now.until_midnight().as_secs() } else { DAY_SECONDS };
    let (cap, _) = policy.cap_of_day(account.linked_at, day);
    let by_cap = u64::from(cap).saturating_sub(used(account.today));
    let by_hours = u64::from(policy.per_hour).saturating_mul(seconds.div_ceil(DAY_SECONDS / HOURS));
    let by_gap = (seconds * 1000).checked_div(mean_gap_ms(policy)).map_or(u64::MAX, |count| count.max(1));
    let all = by_cap.min(by_hours).min(by_gap);
    let cold = u64::from(policy.cold_per_day).saturating_sub(used(account.cold_today)).min(all);
    Room { all, cold }
}

fn room_of_all(policy: &Policy, accounts: &[Account], day: i32, now: Timestamp) -> Room {
    accounts
        .iter()
        .map(|account| room(policy, account, day, now))
        .fold(Room::default(), |sum, one| Room { all: sum.all.saturating_add(one.all), cold: sum.cold.saturating_add(one.cold) })
}

/// How long accounts need for so many messages when nothing but gaps and the cap of the hour holds them.
fn time_for(policy: &Policy, accounts: usize, count: u64) -> Duration {
    let by_hour = 3_600_000 / u64::from(policy.per_hour.max(1));
    let each = mean_gap_ms(policy).max(if policy.per_hour == u32::MAX { 0 } else { by_hour });
    let accounts = u64::try_from(accounts.max(1)).unwrap_or(1);
    Duration::from_millis(count.div_ceil(accounts).saturating_mul(each))
}

/// Foretells a campaign of `warm` and `cold` recipients that starts now.
#[must_use]
pub fn forecast(policy: &Policy, accounts: &[ForecastAccount], warm: u64, cold: u64, now: Timestamp) -> Forecast {
    let mut told = Forecast::default();
    if accounts.is_empty() {
        return told;
    }
    if warm + cold == 0 {
        told.ends_at = Some(now);
        return told;
    }
    let (mut warm, mut cold, mut day) = (warm, cold, now.day());
    // Days differ while an account warms up; behind that each is like the next.
    let differing = i32::try_from(policy.warm_up.len().max(LISTED)).unwrap_or(i32::MAX);
    let last = day.saturating_add(differing);
    loop {
        let room = room_of_all(policy, accounts, day, now);
        let to_cold = cold.min(room.cold);
        let to_warm = warm.min(room.all.saturating_sub(to_cold));
        (cold, warm) = (cold - to_cold, warm - to_warm);
        if told.days.len() < LISTED && to_cold + to_warm > 0 {
            told.days.push((day, to_cold + to_warm));
        }
        if cold + warm == 0 {
            let begins = Timestamp(i64::from(day) * DAY_MS).max(now);
            let ends = begins.plus(time_for(policy, accounts.len(), to_cold + to_warm));
            told.ends_at = Some(ends.min(Timestamp::of_day(day.saturating_add(1))));
            return told;
        }
        day = day.saturating_add(1);
        if day > last {
            break;
        }
    }
    let room = room_of_all(policy, accounts, day, now);
    let days = cold.div_ceil(room.cold.max(1)).max((cold + warm).div_ceil(room.all.max(1)));
    told.ends_at = Some(Timestamp::of_day(day.saturating_add(i32::try_from(days).unwrap_or(i32::MAX / 2))));
    told
}
