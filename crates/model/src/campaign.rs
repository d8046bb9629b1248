//! The life of a campaign and of each of its recipients, and when a campaign stops by itself.
//!
//! A campaign accepts the message of a recipient only when its turn has come; from then on the message has a life of its own
//! and the recipient only points at it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Longest name of a campaign, in characters.
pub const LONGEST_NAME: usize = 200;
/// Outcomes of messages that are looked at for failures, the last ones.
pub const WINDOW: usize = 50;
/// Fewest outcomes that are judged.
pub const LEAST_OUTCOMES: usize = 20;

macro_rules! names {
    ($(#[$outer:meta])* $type:ident { $($(#[$doc:meta])* $name:ident = $text:literal,)* }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $type { $($(#[$doc])* #[serde(rename = $text)] $name,)* }

        impl $type {
            /// Every one there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name in the API and the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $type {
            type Err = ();
            fn from_str(text: &str) -> Result<Self, ()> {
                match text { $($text => Ok(Self::$name),)* _ => Err(()) }
            }
        }
    };
}

names! {
    /// How a campaign stands.
    CampaignState {
        /// Its recipients are being written down.
        Planning = "planning",
        /// It is complete and waits to be started.
        Draft = "draft",
        /// Messages are accepted as pacing allows.
        Running = "running",
        /// Its owner holds it.
        Paused = "paused",
        /// Every recipient has an outcome.
        Finished = "finished",
        /// Its owner ended it.
        Canceled = "canceled",
        /// It ended itself; the reason says why. It can be resumed.
        Stopped = "stopped",
    }
}

/// What an owner wants of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CampaignWish {
    /// Begin.
    Start,
    /// Hold it.
    Pause,
    /// Go on.
    Resume,
    /// End it for ever; messages that were accepted go on.
    Cancel,
}

impl CampaignState {
    /// The state after a wish; `None` when it is not possible now.
    #[must_use]
    pub const fn after(self, wish: CampaignWish) -> Option<Self> {
        use CampaignWish::{Cancel, Pause, Resume, Start};
        match (self, wish) {
            (Self::Draft, Start) | (Self::Paused | Self::Stopped, Resume) => Some(Self::Running),
            (Self::Running, Pause) => Some(Self::Paused),
            (Self::Draft | Self::Running | Self::Paused | Self::Stopped, Cancel) => Some(Self::Canceled),
            _ => None,
        }
    }

    /// Whether it is over for ever.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Canceled)
    }
}

/// How a recipient stands; what became of its message is the message's affair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecipientState {
    /// Its turn has not come.
    Planned,
    /// Its message was accepted.
    Accepted,
    /// It gets no message; the reason says why.
    Skipped,
}

impl RecipientState {
    /// Every state; its place is its number in the database.
    pub const ALL: [Self; 3] = [Self::Planned, Self::Accepted, Self::Skipped];

    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Accepted => "accepted",
            Self::Skipped => "skipped",
        }
    }

    /// The number in the database.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Planned => 0,
            Self::Accepted => 1,
            Self::Skipped => 2,
        }
    }

    /// The state of a number.
    #[must_use]
    pub fn of(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }
}

impl FromStr for RecipientState {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(())
    }
}

names! {
    /// Why a recipient gets no message.
    Skip {
        /// It can't be a WhatsApp user.
        Invalid = "RECIPIENT_INVALID",
        /// It stands in the list before.
        Duplicate = "DUPLICATE",
        /// It wants no messages.
        OptedOut = "RECIPIENT_OPTED_OUT",
        /// Its user writes only to people who agreed or wrote first, and it is neither.
        ConsentRequired = "CONSENT_REQUIRED",
        /// The person was erased.
        Erased = "ERASED",
        /// A variable of the text has no value.
        VariablesMissing = "VARIABLES_MISSING",
        /// The text with its values can't be sent.
        ContentInvalid = "CONTENT_INVALID",
    }
}

/// How a campaign got on, counted from its recipients and their messages. `total` is the sum of `planned`, `skipped` and
/// `accepted`; `accepted` that of all fields from `pending` to `removed`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Funnel {
    /// All recipients.
    pub total: u64,
    /// Their turn has not come, or never will when the campaign was canceled.
    pub planned: u64,
    /// No message, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// A message was accepted.
    pub accepted: u64,
    /// Messages on their way.
    pub pending: u64,
    /// Taken by WhatsApp, no more known.
    pub sent: u64,
    /// On the recipient's device, not read.
    pub delivered: u64,
    /// Read or played.
    pub read: u64,
    /// Failed, by error code.
    pub failed: BTreeMap<String, u64>,
    /// Taken back.
    pub canceled: u64,
    /// The message is not kept any more.
    pub removed: u64,
    /// Recipients who wrote after the message.
    pub replied: u64,
}

impl Funnel {
    /// All that were skipped.
    #[must_use]
    pub fn all_skipped(&self) -> u64 {
        self.skipped.values().sum()
    }

    /// All that failed.
    #[must_use]
    pub fn all_failed(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Whether every recipient stands in exactly one place.
    #[must_use]
    pub fn sums_up(&self) -> bool {
        let accepted = self.pending + self.sent + self.delivered + self.read + self.all_failed() + self.canceled + self.removed;
        self.total == self.planned + self.all_skipped() + self.accepted && self.accepted == accepted
    }
}

/// A failure rate that ends a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureRate {
    /// Messages that failed.
    pub failed: usize,
    /// Messages looked at.
    pub of: usize,
}

/// Whether too many of the last messages failed: `outcomes` from the newest on, true for a failure. Too few are not judged.
#[must_use]
pub fn too_many_failures(outcomes: &[bool], percent: u32) -> Option<FailureRate> {
    let last: Vec<bool> = outcomes.iter().copied().take(WINDOW).collect();
    let failed = last.iter().filter(|failed| **failed).count();
    let limit = usize::try_from(percent).unwrap_or(100) * last.len();
    (last.len() >= LEAST_OUTCOMES && failed * 100 > limit).then_some(FailureRate { failed, of: last.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use CampaignWish::{Cancel, Pause, Resume, Start};
    use rstest::rstest;

    #[rstest]
    #[case(CampaignState::Planning, [None, None, None, None])]
    #[case(CampaignState::Draft, [Some(CampaignState::Running), None, None, Some(CampaignState::Canceled)])]
    #[case(CampaignState::Running, [None, Some(CampaignState::Paused), None, Some(CampaignState::Canceled)])]
    #[case(CampaignState::Paused, [None, None, Some(CampaignState::Running), Some(CampaignState::Canceled)])]
    #[case(CampaignState::Stopped, [None, None, Some(CampaignState::Running), Some(CampaignState::Canceled)])]
    #[case(CampaignState::Finished, [None, None, None, None])]
    #[case(CampaignState::Canceled, [None, None, None, None])]
    fn every_state_says_what_may_follow(#[case] state: CampaignState, #[case] after: [Option<CampaignState>; 4]) {
        assert_eq!([Start, Pause, Resume, Cancel].map(|wish| state.after(wish)), after);
    }

    #[test]
    fn names_are_read_back() {
        for state in CampaignState::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
        }
        for skip in Skip::ALL {
            assert_eq!(skip.as_str().parse(), Ok(*skip));
        }
        for state in RecipientState::ALL {
            assert_eq!((state.as_str().parse(), RecipientState::of(state.number())), (Ok(state), Some(state)));
        }
    }

    #[test]
    fn failures_are_judged_over_the_last_outcomes_and_not_too_early() {
        let outcomes = |failed: usize, good: usize| [vec![true; failed], vec![false; good]].concat();
        for (failed, good, stops) in
            [(19, 0, false), (20, 0, true), (6, 14, false), (7, 13, true), (15, 35, false), (16, 34, true), (15, 500, false)]
        {
            assert_eq!(too_many_failures(&outcomes(failed, good), 30).is_some(), stops, "{failed} of {}", failed + good);
        }
        let old = [vec![false; WINDOW], vec![true; 500]].concat();
        assert_eq!(too_many_failures(&old, 30), None, "what lies behind the window does not count");
    }
}
