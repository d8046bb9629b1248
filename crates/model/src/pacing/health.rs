//! How an account fares, in one word and one sentence.

use super::{Account, Hold, Pace, Policy, decide, moment};
use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Share of failures from which on an account is said to fail, in percent.
const FAILING: u64 = 30;
/// Outcomes before failures are judged.
const JUDGED_FROM: u64 = 20;

/// How an account fares, from worst to best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// No account is linked.
    Unlinked,
    /// WhatsApp limits or bans it for a time.
    Limited,
    /// Many of its messages fail.
    Failing,
    /// It is not connected.
    Offline,
    /// What it may send today for campaigns is sent.
    Resting,
    /// It is new and sends little.
    WarmingUp,
    /// Nothing is wrong.
    Good,
}

impl Level {
    /// Every level, from worst to best.
    pub const ALL: [Self; 7] = [Self::Unlinked, Self::Limited, Self::Failing, Self::Offline, Self::Resting, Self::WarmingUp, Self::Good];

    /// The name in the API and the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unlinked => "unlinked",
            Self::Limited => "limited",
            Self::Failing => "failing",
            Self::Offline => "offline",
            Self::Resting => "resting",
            Self::WarmingUp => "warming_up",
            Self::Good => "good",
        }
    }
}

impl FromStr for Level {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|level| level.as_str() == text).ok_or(())
    }
}

/// What is known of an account beside its pacing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Whether it is linked.
    pub linked: bool,
    /// Messages that WhatsApp took today.
    pub sent: u64,
    /// Messages that failed today.
    pub failed: u64,
    /// Until when WhatsApp limits it.
    pub limited_until: Option<Timestamp>,
    /// What WhatsApp said of it without an end: that it is limited, or banned.
    pub warning: Option<String>,
    /// When WhatsApp last refused a message to somebody who never wrote to it (463).
    pub refused_at: Option<Timestamp>,
}

/// The verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// In one word.
    pub level: Level,
    /// In one sentence.
    pub sentence: String,
    /// What holds it now.
    pub hold: Option<Hold>,
    /// Which day of how many of its warm-up, and the cap of today.
    pub warm_up: Option<(usize, usize)>,
    /// Most messages of today.
    pub cap_today: u32,
}

/// What is the matter with an account whatever its pacing: it is not linked, or WhatsApp limits it. Told at once.
#[must_use]
pub fn alarm(figures: &Figures, now: Timestamp) -> Option<(Level, String)> {
    if !figures.linked {
        return Some((Level::Unlinked, "No WhatsApp account is linked.".to_owned()));
    }
    if let Some(until) = figures.limited_until.filter(|until| *until > now) {
        return Some((Level::Limited, format!("WhatsApp limits the account until {}; campaigns do not use it.", moment(until, now))));
    }
    if let Some(warning) = &figures.warning {
        return Some((Level::Limited, warning.clone()));
    }
    // Nobody knows for how long: it is told on that day.
    let refused = figures.refused_at.filter(|at| at.day() == now.day())?;
    let told = format!("WhatsApp refused a message to somebody who never wrote to the account (463) at {}.", moment(refused, now));
    Some((Level::Limited, told))
}

/// Judges an account.
#[must_use]
pub fn health(policy: &Policy, account: &Account, figures: &Figures, now: Timestamp) -> Health {
    let (cap_today, warm_up) = policy.cap_of_day(account.linked_at, now.day());
    let hold = match decide(policy, account, false, now, 0) {
        Pace::Go => None,
        Pace::Hold(hold) => Some(hold),
    };
    let outcomes = figures.sent + figures.failed;
    let (level, sentence) = if let Some(alarm) = alarm(figures, now) {
        alarm
    } else if outcomes >= JUDGED_FROM && figures.failed * 100 >= outcomes * FAILING {
        (Level::Failing, format!("{} of {outcomes} messages failed today.", figures.failed))
    } else if !account.connected {
        (Level::Offline, "The account is not connected; campaigns wait for it.".to_owned())
    } else if account.today >= cap_today {
        let day = warm_up.map_or_else(String::new, |(day, of)| format!(" (day {day} of {of} of its warm-up)"));
        (Level::Resting, format!("{} of {cap_today} messages of today are sent{day}; campaigns go on tomorrow.", account.today))
    } else if let Some((day, of)) = warm_up {
        (Level::WarmingUp, format!("The account is new: day {day} of {of} of its warm-up, {} of {cap_today} sent today.", account.today))
    } else {
        (Level::Good, format!("{} of {cap_today} messages of today are sent.", account.today))
    };
    Health { level, sentence, hold, warm_up, cap_today }
}
