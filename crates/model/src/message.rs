//! The life of a message: its statuses, which only move forward, the steps of its timeline, and the reasons
//! for which it can fail.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the linked account to somebody.
    Outbound,
    /// From somebody to the linked account.
    Inbound,
}

impl Direction {
    /// The name in the API and the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
        }
    }
}

impl FromStr for Direction {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "outbound" => Ok(Self::Outbound),
            "inbound" => Ok(Self::Inbound),
            _ => Err(()),
        }
    }
}

/// Status of a message. Outbound: `scheduled -> pending -> sent -> delivered -> read | played`, or `failed`,
/// `canceled`. Inbound messages are `received`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageStatus {
    /// Waits for its date.
    Scheduled,
    /// Accepted and on disk, on its way to WhatsApp.
    Pending,
    /// WhatsApp's server acknowledged it.
    Sent,
    /// It reached a device of the recipient.
    Delivered,
    /// The recipient read it.
    Read,
    /// The recipient played it.
    Played,
    /// It will not be sent; the error code says why.
    Failed,
    /// It was taken back before it left.
    Canceled,
    /// It came in.
    Received,
}

impl MessageStatus {
    /// Every status.
    pub const ALL: &'static [Self] = &[
        Self::Scheduled,
        Self::Pending,
        Self::Sent,
        Self::Delivered,
        Self::Read,
        Self::Played,
        Self::Failed,
        Self::Canceled,
        Self::Received,
    ];

    /// The name in the API and the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Played => "played",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Received => "received",
        }
    }

    /// How far along the way a status is; it never gets smaller by news from the network.
    const fn rank(self) -> u8 {
        match self {
            Self::Scheduled => 0,
            Self::Pending => 1,
            Self::Sent => 2,
            Self::Delivered => 3,
            Self::Read => 4,
            Self::Played => 5,
            Self::Failed | Self::Canceled | Self::Received => u8::MAX,
        }
    }

    /// The status after news `to` arrived: `Some(to)` when that is a step forward, `None` when the news is old,
    /// repeated, or impossible.
    ///
    /// A message that failed with an unknown outcome may still turn out to have arrived: an acknowledgement or
    /// a receipt lifts `failed` (and only that) to what it proves. `canceled` is final, since a message is
    /// canceled only while nothing was written.
    #[must_use]
    pub const fn advance(self, to: Self) -> Option<Self> {
        let forward = match (self, to) {
            (_, Self::Scheduled | Self::Received) | (Self::Canceled | Self::Received, _) => false,
            (Self::Failed, Self::Sent | Self::Delivered | Self::Read | Self::Played) => true,
            (Self::Failed, _) => false,
            (_, Self::Failed) => self.rank() <= Self::Pending.rank(),
            (_, Self::Canceled) => self.rank() <= Self::Pending.rank(),
            _ => to.rank() > self.rank(),
        };
        if forward { Some(to) } else { None }
    }

    /// Whether nothing more has to happen for the message to have an outcome.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        !matches!(self, Self::Scheduled | Self::Pending)
    }
}

impl fmt::Display for MessageStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for MessageStatus {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|status| status.as_str() == text).ok_or(())
    }
}

/// Makes an enum whose members have a name in the API and the database.
macro_rules! names {
    ($(#[$outer:meta])* $type:ident { $($(#[$doc:meta])* $name:ident = $text:literal,)* }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
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

        impl std::str::FromStr for $type {
            type Err = ();
            fn from_str(text: &str) -> Result<Self, ()> {
                match text { $($text => Ok(Self::$name),)* _ => Err(()) }
            }
        }
    };
}

pub(crate) use names;

names! {
    /// A step in the timeline of a message.
    Step {
        /// The message is on disk.
        Accepted = "accepted",
        /// The owner of the account took it up.
        Claimed = "claimed",
        /// It was encrypted and written to the socket.
        Written = "written",
        /// WhatsApp's server acknowledged it.
        Acknowledged = "acknowledged",
        /// A device of the recipient has it.
        Delivered = "delivered",
        /// The recipient read it.
        Read = "read",
        /// The recipient played it.
        Played = "played",
        /// An attempt came to nothing and another will be made; the detail says why and when.
        Retrying = "retrying",
        /// It is given up; the detail says why.
        Failed = "failed",
        /// It was taken back.
        Canceled = "canceled",
        /// A caller put it back on its way.
        Requeued = "requeued",
        /// It waits for a date; the detail says for which and why.
        Scheduled = "scheduled",
        /// Its date or its content was changed.
        Rescheduled = "rescheduled",
        /// Its date has come.
        Released = "released",
        /// It came in.
        Received = "received",
        /// Its campaign kept it back before it was accepted, or the pacing of its account before an attempt; the detail says why
        /// and how long.
        Held = "held",
    }
}

names! {
    /// Why a message failed: `error_code` of a message.
    Failure {
        /// The number has no WhatsApp account.
        NotOnWhatsApp = "NOT_ON_WHATSAPP",
        /// Nothing was written before the deadline passed: the account was not connected.
        Expired = "EXPIRED",
        /// It was written, and no acknowledgement came before the deadline: it may have arrived.
        OutcomeUnknown = "OUTCOME_UNKNOWN",
        /// WhatsApp limits messages to new contacts for this account (463).
        ReachoutLimited = "REACHOUT_LIMITED",
        /// WhatsApp's server refused the message; the error message holds its code.
        Rejected = "REJECTED_BY_WHATSAPP",
        /// The account was unlinked before the message left.
        AccountUnlinked = "ACCOUNT_UNLINKED",
        /// The account was banned by WhatsApp for a time.
        AccountBanned = "ACCOUNT_BANNED",
        /// The message could not be encrypted or built.
        NotSendable = "NOT_SENDABLE",
        /// The file can't be handed to WhatsApp: it is not here any more, or WhatsApp's media host refused it.
        MediaNotSendable = "MEDIA_NOT_SENDABLE",
        /// The user was deactivated before the message left.
        UserInactive = "USER_INACTIVE",
        /// The recipient opted out after the message was accepted and before it left.
        RecipientOptedOut = "RECIPIENT_OPTED_OUT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_status() -> impl Strategy<Value = MessageStatus> {
        proptest::sample::select(MessageStatus::ALL)
    }

    proptest! {
        #[test]
        fn no_sequence_of_news_takes_a_message_back(news in proptest::collection::vec(any_status(), 0..40)) {
            let mut now = MessageStatus::Pending;
            let mut best = 0;
            for to in news {
                if let Some(next) = now.advance(to) { now = next; }
                let rank = if now.rank() == u8::MAX { best } else { now.rank() };
                prop_assert!(rank >= best || now == MessageStatus::Failed, "{now} after rank {best}");
                best = best.max(rank);
            }
        }

        #[test]
        fn the_same_news_twice_changes_nothing(from in any_status(), to in any_status()) {
            if let Some(next) = from.advance(to) {
                prop_assert_eq!(next.advance(to), None);
            }
        }
    }

    #[test]
    fn what_was_acknowledged_can_not_fail() {
        for status in [MessageStatus::Sent, MessageStatus::Delivered, MessageStatus::Read, MessageStatus::Played] {
            assert_eq!(status.advance(MessageStatus::Failed), None);
        }
    }

    #[test]
    fn what_was_sent_can_not_be_canceled() {
        assert_eq!(MessageStatus::Sent.advance(MessageStatus::Canceled), None);
        assert_eq!(MessageStatus::Pending.advance(MessageStatus::Canceled), Some(MessageStatus::Canceled));
    }

    #[test]
    fn a_receipt_before_the_acknowledgement_counts_and_the_late_acknowledgement_does_not() {
        assert_eq!(MessageStatus::Pending.advance(MessageStatus::Delivered), Some(MessageStatus::Delivered));
        assert_eq!(MessageStatus::Delivered.advance(MessageStatus::Sent), None);
    }

    #[test]
    fn names_are_read_back() {
        for status in MessageStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(*status));
        }
        for failure in Failure::ALL {
            assert_eq!(failure.as_str().parse(), Ok(*failure));
        }
    }
}
