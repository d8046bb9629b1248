//! The states of a linked WhatsApp account, and what follows from each thing that can happen to its link.
//!
//! [`step`] is the whole table: an ending of the link goes in, the status shown to people, a sentence, and the
//! next thing to do come out. The engine reports endings, the server's driver carries the next step out.

mod reason;

pub use reason::{Reason, ReasonCode};

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The network that an account lives in, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// The real WhatsApp.
    Live,
    /// The simulated network in the binary.
    Sandbox,
}

impl Network {
    /// The name in the API and the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Sandbox => "sandbox",
        }
    }
}

impl FromStr for Network {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "live" => Ok(Self::Live),
            "sandbox" => Ok(Self::Sandbox),
            _ => Err(()),
        }
    }
}

/// Status of a linked account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionStatus {
    /// Not connected, and nothing is being tried.
    Disconnected,
    /// A QR or pairing code waits to be used.
    QrPending,
    /// WhatsApp asks the person for a passkey.
    PasskeyRequired,
    /// A connection is being made or restored.
    Connecting,
    /// Connected and answering.
    Connected,
    /// Connected by name, but nothing answers, or WhatsApp limits the account for a time.
    Degraded,
    /// Unlinked: by the person on the phone, by WhatsApp, or by this API. A new link is needed.
    LoggedOut,
    /// Linking or connecting failed for good; the last error says why.
    Failed,
}

impl SessionStatus {
    /// Every status.
    pub const ALL: &'static [Self] = &[
        Self::Disconnected,
        Self::QrPending,
        Self::PasskeyRequired,
        Self::Connecting,
        Self::Connected,
        Self::Degraded,
        Self::LoggedOut,
        Self::Failed,
    ];

    /// The name in the API and the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::QrPending => "qr_pending",
            Self::PasskeyRequired => "passkey_required",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Degraded => "degraded",
            Self::LoggedOut => "logged_out",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for SessionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SessionStatus {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|status| status.as_str() == text).ok_or(())
    }
}

/// How a link can end or be troubled. WhatsApp's own codes are named where it has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEnd {
    /// The connection broke or could not be made; the library or we try again.
    Lost {
        /// What happened, for people.
        reason: String,
    },
    /// Another client took over the link (conflict `replaced`, 409).
    Replaced,
    /// WhatsApp unlinked the account (401, 403, 406, 516, or a remote unlink).
    LoggedOut {
        /// WhatsApp's code, where it gave one.
        code: Option<u16>,
    },
    /// A temporary ban (402).
    Banned {
        /// When it ends, where WhatsApp says so.
        until: Option<Timestamp>,
        /// WhatsApp's reason.
        reason: String,
    },
    /// The client version is too old for WhatsApp (405).
    Outdated,
    /// Too many connections (429).
    RateLimited,
    /// WhatsApp's server is in trouble (500, 503, other 5xx).
    ServerTrouble {
        /// The code.
        code: u16,
    },
    /// Refused with a code that is not known.
    Refused {
        /// The code.
        code: u16,
    },
    /// Nobody used any of the codes in time.
    CodesExhausted,
    /// Pairing was refused.
    PairingFailed {
        /// Why, for people.
        reason: String,
    },
}

/// What the driver does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing: the client library reconnects by itself.
    Wait,
    /// Build a new client over the same state after this time (jitter is added by the driver).
    Rebuild {
        /// Time to wait first.
        after: Duration,
    },
    /// Fetch WhatsApp's current version, then build a new client.
    RefreshVersion {
        /// Time to wait first.
        after: Duration,
    },
    /// Stop; keep the credentials, so that `reconnect` can be asked for.
    Stop,
    /// Stop, and erase the credentials: only a new link helps.
    Erase,
}

/// What follows from the end of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The status people see.
    pub status: SessionStatus,
    /// Why, as a code and a sentence.
    pub reason: Reason,
    /// The next step.
    pub next: Next,
}

/// First wait before a new client is built, doubled with every failure in a row up to [`REBUILD_MAX`].
pub const REBUILD_MIN: Duration = Duration::from_secs(1);
/// Longest wait between two tries; WhatsApp's own client stays below 15 minutes too.
pub const REBUILD_MAX: Duration = Duration::from_mins(15);

/// The wait before try number `failures` (1 is the first after a failure).
#[must_use]
pub fn rebuild_after(failures: u32) -> Duration {
    REBUILD_MIN.saturating_mul(1_u32 << failures.saturating_sub(1).min(10)).min(REBUILD_MAX)
}

/// The table: what follows from `end`. `linked` is whether the account was ever linked (its credentials are
/// whole), `failures` counts the ends in a row without a connection between them, this one included.
#[must_use]
pub fn step(end: &LinkEnd, linked: bool, failures: u32, now: Timestamp) -> Outcome {
    use ReasonCode as Code;
    use SessionStatus::{Connecting, Degraded, Disconnected, Failed, LoggedOut};
    let after = rebuild_after(failures);
    let outcome = |status, code, text: String, next| Outcome { status, reason: Reason::new(code, text), next };
    match end {
        LinkEnd::Lost { reason } if linked => {
            let text = format!("Connection lost ({reason}); reconnecting.");
            outcome(Connecting, Code::ConnectionLost, text, Next::Rebuild { after })
        }
        LinkEnd::Lost { reason } => outcome(
            Failed,
            Code::Unreachable,
            format!("WhatsApp could not be reached ({reason}). Check this server's Internet connection, then start linking again."),
            Next::Stop,
        ),
        LinkEnd::Replaced => {
            let text = "Another program took over this link. Stop it, then ask for a reconnect.";
            outcome(Disconnected, Code::Replaced, text.into(), Next::Stop)
        }
        LinkEnd::LoggedOut { code } => {
            let code = code.map_or_else(String::new, |code| format!(" (WhatsApp's code {code})"));
            outcome(LoggedOut, Code::Unlinked, format!("The account was unlinked{code}. Link it again with a new QR code."), Next::Erase)
        }
        LinkEnd::Banned { until, reason } => {
            let after = until.map_or(REBUILD_MAX, |until| until.since(now).max(REBUILD_MIN));
            Outcome { status: Degraded, reason: Reason::banned(*until, reason), next: Next::Rebuild { after } }
        }
        LinkEnd::Outdated => {
            let text = "WhatsApp wants a newer client version; fetching it.";
            outcome(Connecting, Code::Outdated, text.into(), Next::RefreshVersion { after })
        }
        LinkEnd::RateLimited => outcome(
            Connecting,
            Code::RateLimited,
            "WhatsApp limits connections from here; waiting.".into(),
            Next::Rebuild { after: after.max(Duration::from_secs(30)) },
        ),
        LinkEnd::ServerTrouble { code } => {
            let text = format!("WhatsApp's server is in trouble (code {code}); waiting.");
            outcome(Connecting, Code::ServerTrouble, text, Next::Rebuild { after })
        }
        LinkEnd::Refused { code } if linked && failures < 10 => outcome(
            Degraded,
            Code::Refused,
            format!("WhatsApp refused the connection with code {code}; trying again."),
            Next::Rebuild { after: after.max(Duration::from_secs(10)) },
        ),
        LinkEnd::Refused { code } => {
            outcome(Failed, Code::Refused, format!("WhatsApp refused the connection with code {code}."), Next::Stop)
        }
        LinkEnd::CodesExhausted => {
            let text = "Nobody used the code in time. Start linking again for a new one.";
            outcome(Disconnected, Code::CodeExpired, text.into(), Next::Erase)
        }
        LinkEnd::PairingFailed { reason } => outcome(Failed, Code::LinkingFailed, format!("Linking failed: {reason}."), Next::Erase),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const NOW: Timestamp = Timestamp(1_000_000);

    #[rstest]
    #[case(LinkEnd::Lost { reason: "eof".into() }, true, SessionStatus::Connecting, Next::Rebuild { after: Duration::from_secs(1) })]
    #[case(LinkEnd::Lost { reason: "no route".into() }, false, SessionStatus::Failed, Next::Stop)]
    #[case(LinkEnd::Replaced, true, SessionStatus::Disconnected, Next::Stop)]
    #[case(LinkEnd::LoggedOut { code: Some(401) }, true, SessionStatus::LoggedOut, Next::Erase)]
    #[case(LinkEnd::Banned { until: Some(Timestamp(1_060_000)), reason: "spam".into() }, true, SessionStatus::Degraded, Next::Rebuild { after: Duration::from_mins(1) })]
    #[case(LinkEnd::Outdated, true, SessionStatus::Connecting, Next::RefreshVersion { after: Duration::from_secs(1) })]
    #[case(LinkEnd::RateLimited, true, SessionStatus::Connecting, Next::Rebuild { after: Duration::from_secs(30) })]
    #[case(LinkEnd::ServerTrouble { code: 503 }, true, SessionStatus::Connecting, Next::Rebuild { after: Duration::from_secs(1) })]
    #[case(LinkEnd::Refused { code: 418 }, true, SessionStatus::Degraded, Next::Rebuild { after: Duration::from_secs(10) })]
    #[case(LinkEnd::Refused { code: 418 }, false, SessionStatus::Failed, Next::Stop)]
    #[case(LinkEnd::CodesExhausted, false, SessionStatus::Disconnected, Next::Erase)]
    #[case(LinkEnd::PairingFailed { reason: "x".into() }, false, SessionStatus::Failed, Next::Erase)]
    fn every_end_has_a_state_and_a_next_step(
        #[case] end: LinkEnd,
        #[case] linked: bool,
        #[case] status: SessionStatus,
        #[case] next: Next,
    ) {
        let outcome = step(&end, linked, 1, NOW);
        assert_eq!((outcome.status, outcome.next), (status, next), "{}", outcome.reason);
        assert!(outcome.reason.text.ends_with('.'), "a sentence: {}", outcome.reason);
    }

    #[rstest]
    #[case(LinkEnd::Lost { reason: "eof".into() }, ReasonCode::ConnectionLost)]
    #[case(LinkEnd::Replaced, ReasonCode::Replaced)]
    #[case(LinkEnd::LoggedOut { code: Some(401) }, ReasonCode::Unlinked)]
    #[case(LinkEnd::Banned { until: Some(Timestamp(1_060_000)), reason: "spam".into() }, ReasonCode::Banned)]
    #[case(LinkEnd::Banned { until: None, reason: "spam".into() }, ReasonCode::Banned)]
    #[case(LinkEnd::Outdated, ReasonCode::Outdated)]
    #[case(LinkEnd::RateLimited, ReasonCode::RateLimited)]
    #[case(LinkEnd::ServerTrouble { code: 503 }, ReasonCode::ServerTrouble)]
    #[case(LinkEnd::Refused { code: 418 }, ReasonCode::Refused)]
    #[case(LinkEnd::CodesExhausted, ReasonCode::CodeExpired)]
    #[case(LinkEnd::PairingFailed { reason: "x".into() }, ReasonCode::LinkingFailed)]
    fn every_end_is_told_with_its_code(#[case] end: LinkEnd, #[case] code: ReasonCode) {
        assert_eq!(step(&end, true, 1, NOW).reason.code, code);
    }

    #[test]
    fn waits_double_and_stay_below_fifteen_minutes() {
        let waits: Vec<u64> = (1..=12).map(|n| rebuild_after(n).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
    }

    #[test]
    fn an_ended_link_of_a_linked_account_never_loses_its_credentials_by_a_lost_connection() {
        for failures in [1, 5, 50, u32::MAX] {
            let outcome = step(&LinkEnd::Lost { reason: "x".into() }, true, failures, NOW);
            assert!(matches!(outcome.next, Next::Rebuild { .. }));
        }
    }
}
