//! How fast an account may send for campaigns: gaps, caps, warm-up, cold contacts; and what is told about every wait.
//!
//! Pure: [`decide`] gets the account as it stands, the policy and the present moment, and answers *go* or *hold until*; who
//! asks draws the random numbers. Hours and days are UTC's, so that what counts where can be said in a sentence. Everything
//! that an account sends counts, whoever sent it: WhatsApp sees no difference. Only campaigns wait for these rules; what is sent
//! message by message has a quicker one, [`Rate`].

mod forecast;
mod health;
mod quiet_forecast;
mod rate;
#[cfg(test)]
mod tests;

pub use forecast::{Forecast, ForecastAccount, forecast};
pub use health::{Figures, Health, Level, alarm, health};
pub use quiet_forecast::{Neighbours, forecast_with_quiet_hours};
pub use rate::{Rate, RateOfDay, Spent};

use crate::day::{DAY_MS, HOUR_MS};
use crate::{Invalid, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Longest gap that can be asked for, in seconds.
pub const LONGEST_GAP: u32 = 86_400;
/// Most days of a warm-up.
pub const LONGEST_WARM_UP: usize = 90;
/// Largest cap that can be asked for.
pub const LARGEST_CAP: u32 = 1_000_000;
/// After how long an account that is not connected is looked at again.
const OFFLINE_WAIT: Duration = Duration::from_secs(30);
/// Messages of a campaign without pacing that may be on their way through one account.
const UNPACED_ON_THE_WAY: u32 = 32;

/// The rules of one campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Shortest gap between two messages of an account, in seconds.
    pub gap_min_seconds: u32,
    /// Longest gap.
    pub gap_max_seconds: u32,
    /// Most messages of an account in an hour.
    pub per_hour: u32,
    /// Most messages of an account in a day, once it is warm.
    pub per_day: u32,
    /// Most messages on the first, second, ... day after the account was linked.
    pub warm_up: Vec<u32>,
    /// Most messages in a day to people who never wrote to the account.
    pub cold_per_day: u32,
    /// Messages of campaigns that may be on their way through the account at once.
    pub on_the_way: u32,
}

impl Policy {
    /// No pacing at all, for accounts in the sandbox. Something still bounds what is on its way, so that an ordinary message
    /// never stands behind a whole campaign.
    #[must_use]
    pub fn none() -> Self {
        let (most, warm_up, on_the_way) = (u32::MAX, Vec::new(), UNPACED_ON_THE_WAY);
        Self { gap_min_seconds: 0, gap_max_seconds: 0, per_hour: most, per_day: most, warm_up, cold_per_day: most, on_the_way }
    }

    /// Whether it is [`Policy::none`].
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.gap_max_seconds == 0 && self.per_day == u32::MAX
    }

    /// The cap of a day, and which day of how many of its warm-up it is.
    #[must_use]
    pub fn cap_of_day(&self, linked_at: Timestamp, day: i32) -> (u32, Option<(usize, usize)>) {
        let number = usize::try_from(day.saturating_sub(linked_at.day())).unwrap_or(0);
        match self.warm_up.get(number) {
            Some(cap) => ((*cap).min(self.per_day), Some((number + 1, self.warm_up.len()))),
            None => (self.per_day, None),
        }
    }

    /// The gap before the next message; `random` is any number.
    #[must_use]
    pub fn gap(&self, random: u64) -> Duration {
        let (min, max) = (u64::from(self.gap_min_seconds) * 1000, u64::from(self.gap_max_seconds.max(self.gap_min_seconds)) * 1000);
        Duration::from_millis(min + random % (max - min + 1))
    }

    /// A moment later than `at` by up to the longest gap, so that accounts do not all begin on the hour.
    fn spread(&self, at: Timestamp, random: u64) -> Timestamp {
        at.plus(Duration::from_millis(random % (u64::from(self.gap_max_seconds) * 1000 + 1)))
    }

    /// After how long messages on their way are looked at again.
    fn look_again(&self) -> Duration {
        Duration::from_secs(u64::from(self.gap_min_seconds)).clamp(Duration::from_millis(50), Duration::from_secs(5))
    }
}

/// What a caller wants of the pacing of its campaign; what is left out is the server's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wish {
    /// See [`Policy`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_min_seconds: Option<u32>,
    /// See [`Policy`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_max_seconds: Option<u32>,
    /// See [`Policy`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_hour: Option<u32>,
    /// See [`Policy`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_day: Option<u32>,
    /// See [`Policy`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_up: Option<Vec<u32>>,
    /// See [`Policy`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cold_per_day: Option<u32>,
}

impl Wish {
    /// Checks the wish against the server's policy. On the real network a campaign may be gentler than that, never harsher:
    /// `free` lifts this for the sandbox.
    ///
    /// # Errors
    /// The first field that is out of bounds, under `pacing`.
    pub fn check(&self, server: &Policy, free: bool) -> Result<(), Invalid> {
        let cap = |name: &str, value: Option<u32>, most: u32| match value {
            None => Ok(()),
            Some(0) => Err(Invalid::new(format!("pacing.{name}"), "must be at least 1")),
            Some(value) if value > LARGEST_CAP => Err(Invalid::new(format!("pacing.{name}"), format!("must be at most {LARGEST_CAP}"))),
            Some(value) if value > most && !free => Err(harsher(name, "more", most)),
            Some(_) => Ok(()),
        };
        cap("per_hour", self.per_hour, server.per_hour)?;
        cap("per_day", self.per_day, server.per_day)?;
        cap("cold_per_day", self.cold_per_day, server.cold_per_day)?;
        let policy = self.over(server);
        if policy.gap_min_seconds > policy.gap_max_seconds {
            return Err(Invalid::new("pacing.gap_max_seconds", "must not be less than the shortest gap"));
        }
        if policy.gap_max_seconds > LONGEST_GAP {
            return Err(Invalid::new("pacing.gap_max_seconds", format!("must be at most {LONGEST_GAP}")));
        }
        for (name, value, least) in [
            ("gap_min_seconds", policy.gap_min_seconds, server.gap_min_seconds),
            ("gap_max_seconds", policy.gap_max_seconds, server.gap_max_seconds),
        ] {
            if value < least && !free {
                return Err(harsher(name, "less", least));
            }
        }
        self.check_warm_up(server, free)
    }

    fn check_warm_up(&self, server: &Policy, free: bool) -> Result<(), Invalid> {
        let Some(days) = &self.warm_up else { return Ok(()) };
        let refuse = |text: String| Err(Invalid::new("pacing.warm_up", text));
        if days.len() > LONGEST_WARM_UP || days.iter().any(|cap| !(1..=LARGEST_CAP).contains(cap)) {
            return refuse(format!("must be at most {LONGEST_WARM_UP} numbers from 1 to {LARGEST_CAP}"));
        }
        let harsher = |(day, least): (usize, &u32)| days.get(day).is_none_or(|cap| cap > least);
        if !free && server.warm_up.iter().enumerate().any(harsher) {
            return refuse(format!("may not warm accounts up faster than this server does: {:?}", server.warm_up));
        }
        Ok(())
    }

    /// The policy that follows from it.
    #[must_use]
    pub fn over(&self, server: &Policy) -> Policy {
        let least = self.gap_min_seconds.unwrap_or(server.gap_min_seconds);
        Policy {
            gap_min_seconds: least,
            gap_max_seconds: self.gap_max_seconds.unwrap_or(server.gap_max_seconds.max(least)),
            per_hour: self.per_hour.unwrap_or(server.per_hour),
            per_day: self.per_day.unwrap_or(server.per_day),
            warm_up: self.warm_up.clone().unwrap_or_else(|| server.warm_up.clone()),
            cold_per_day: self.cold_per_day.unwrap_or(server.cold_per_day),
            on_the_way: server.on_the_way,
        }
    }
}

fn harsher(name: &str, what: &str, limit: u32) -> Invalid {
    Invalid::new(format!("pacing.{name}"), format!("may not be {what} than {limit}, the setting of this server"))
}

/// An account as pacing needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// When it was linked; its warm-up begins on that day.
    pub linked_at: Timestamp,
    /// Whether it is connected.
    pub connected: bool,
    /// Messages of this UTC hour that have an outcome, and all that are on their way.
    pub this_hour: u32,
    /// The same of this UTC day.
    pub today: u32,
    /// Messages of campaigns today to people who never wrote to it.
    pub cold_today: u32,
    /// Messages of campaigns that are on their way.
    pub on_the_way: u32,
    /// Not before this moment: the end of the gap after the last message.
    pub next_at: Option<Timestamp>,
}

impl Account {
    /// Counts a message that was just accepted; the gap after it ends at `next_at`.
    pub const fn took(&mut self, cold: bool, next_at: Timestamp) {
        self.this_hour = self.this_hour.saturating_add(1);
        self.today = self.today.saturating_add(1);
        self.on_the_way = self.on_the_way.saturating_add(1);
        self.cold_today = self.cold_today.saturating_add(cold as u32);
        self.next_at = Some(next_at);
    }
}

/// Why an account waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The gap between two messages.
    Gap,
    /// The cap of the hour.
    Hour {
        /// Sent.
        sent: u32,
        /// The cap.
        cap: u32,
    },
    /// The cap of the day.
    Day {
        /// Sent.
        sent: u32,
        /// The cap.
        cap: u32,
    },
    /// The cap of a day of the warm-up.
    WarmUp {
        /// Which day, from 1.
        day: usize,
        /// Of how many.
        of: usize,
        /// Sent.
        sent: u32,
        /// The cap.
        cap: u32,
    },
    /// The budget of cold contacts.
    Cold {
        /// Sent.
        sent: u32,
        /// The budget.
        cap: u32,
    },
    /// Messages before it have no outcome yet.
    OnTheWay {
        /// How many.
        count: u32,
    },
    /// The account is not connected.
    Offline,
    /// The user's own limit of messages per day.
    UserDay {
        /// The limit.
        cap: u32,
    },
}

impl Why {
    /// Whether it holds for whatever the account would send.
    #[must_use]
    pub const fn is_of_account(self) -> bool {
        !matches!(self, Self::Cold { .. })
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap => f.write_str("account pacing"),
            Self::Hour { sent, cap } => write!(f, "hourly cap, {sent} of {cap} sent"),
            Self::Day { sent, cap } => write!(f, "daily cap, {sent} of {cap} sent"),
            Self::WarmUp { day, of, sent, cap } => write!(f, "warm-up, day {day} of {of}, {sent} of {cap} sent"),
            Self::Cold { sent, cap } => write!(f, "people who never wrote to the account, {sent} of {cap} sent today"),
            Self::OnTheWay { count } => write!(f, "{count} messages before it are on their way"),
            Self::Offline => f.write_str("the account is not connected"),
            Self::UserDay { cap } => write!(f, "the user's limit of {cap} messages a day is reached"),
        }
    }
}

/// A wait: its end and its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// When to ask again; later than the moment of asking.
    pub until: Timestamp,
    /// Why.
    pub why: Why,
}

/// What an account may do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Send one message.
    Go,
    /// Wait.
    Hold(Hold),
}

/// Whether an account may send one message now. Of several reasons to wait the one that lasts longest is told. `cold`: the
/// recipient never wrote to the account. `random`: any number.
#[must_use]
pub fn decide(policy: &Policy, account: &Account, cold: bool, now: Timestamp, random: u64) -> Pace {
    let hour = || policy.spread(Timestamp((now.0.div_euclid(HOUR_MS) + 1) * HOUR_MS), random);
    let midnight = || policy.spread(Timestamp((now.0.div_euclid(DAY_MS) + 1) * DAY_MS), random);
    let (cap, warm_up) = policy.cap_of_day(account.linked_at, now.day());
    let sent = account.today;
    let day = match warm_up {
        Some((day, of)) if cap < policy.per_day => Why::WarmUp { day, of, sent, cap },
        _ => Why::Day { sent, cap },
    };
    let mut longest: Option<Hold> = None;
    let mut hold = |held: bool, until: &dyn Fn() -> Timestamp, why: Why| {
        if held {
            let until = until();
            longest = longest.filter(|other| other.until >= until).or(Some(Hold { until, why }));
        }
    };
    hold(account.next_at.is_some_and(|at| at > now), &|| account.next_at.unwrap_or(now), Why::Gap);
    hold(!account.connected, &|| now.plus(OFFLINE_WAIT), Why::Offline);
    hold(account.on_the_way >= policy.on_the_way, &|| now.plus(policy.look_again()), Why::OnTheWay { count: account.on_the_way });
    hold(account.this_hour >= policy.per_hour, &hour, Why::Hour { sent: account.this_hour, cap: policy.per_hour });
    hold(cold && account.cold_today >= policy.cold_per_day, &midnight, Why::Cold { sent: account.cold_today, cap: policy.cold_per_day });
    hold(sent >= cap, &midnight, day);
    longest.map_or(Pace::Go, Pace::Hold)
}

impl Hold {
    /// For a message that still waits: `held until 14:02 UTC: warm-up, day 2 of 7, 40 of 40 sent`.
    #[must_use]
    pub fn sentence(&self, now: Timestamp) -> String {
        format!("held until {}: {}", moment(self.until, now), self.why)
    }
}

/// A moment for people: the time alone on the same day.
#[must_use]
pub fn moment(at: Timestamp, now: Timestamp) -> String {
    let shown = chrono::DateTime::from_timestamp_millis(at.0).unwrap_or_default();
    let format = if at.day() == now.day() { "%H:%M UTC" } else { "%Y-%m-%d %H:%M UTC" };
    shown.format(format).to_string()
}

/// What the timeline of a message says of its wait, once it is over. A short one is told by its length.
#[must_use]
pub fn waited(since: Timestamp, until: Timestamp, why: &str, now: Timestamp) -> String {
    let length = now.since(since);
    if length < Duration::from_mins(10) {
        format!("held {} s: {why}", length.as_millis().div_ceil(1000))
    } else {
        format!("held until {}: {why}", moment(until, since))
    }
}

/// Why a recipient waits whose night it is.
#[must_use]
pub fn quiet_why(zone: crate::schedule::Zone) -> String {
    format!("quiet hours in {zone}")
}
