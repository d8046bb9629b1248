//! Why an account stands as it does: a code for programs, a sentence for people.
//!
//! Apart, because the two must never come apart: whoever writes a sentence has to say what kind it is, and nobody has to read
//! one to find out.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What kind of reason it is: `reason_code` and `last_error_code` of a session.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ReasonCode { $($(#[$doc])* #[serde(rename = $text)] $name,)* }

        impl ReasonCode {
            /// Every code there is, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name in the API and the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }

        impl FromStr for ReasonCode {
            type Err = ();
            fn from_str(text: &str) -> Result<Self, ()> {
                match text { $($text => Ok(Self::$name),)* _ => Err(()) }
            }
        }
    };
}

codes! {
    /// WhatsApp banned the account for a time (402).
    Banned = "banned",
    /// WhatsApp limits messages to people who never wrote to the account (463), until a time or without an end.
    ReachoutLimited = "reachout_limited",
    /// The account was unlinked on the phone or by WhatsApp.
    Unlinked = "unlinked",
    /// Another program took over the link (409).
    Replaced = "replaced",
    /// The connection broke; it is made again.
    ConnectionLost = "connection_lost",
    /// WhatsApp could not be reached when linking began.
    Unreachable = "unreachable",
    /// Connected by name, but nothing answers.
    Silent = "silent",
    /// WhatsApp wants a newer client version (405); it is fetched.
    Outdated = "outdated",
    /// WhatsApp limits connections from this server (429).
    RateLimited = "rate_limited",
    /// WhatsApp's server is in trouble (500 and above).
    ServerTrouble = "server_trouble",
    /// WhatsApp refused the connection with a code that is not known.
    Refused = "refused",
    /// Linking is under way.
    Linking = "linking",
    /// Nobody used the code in time.
    CodeExpired = "code_expired",
    /// WhatsApp gave no pairing code.
    NoPairingCode = "no_pairing_code",
    /// Linking was refused.
    LinkingFailed = "linking_failed",
    /// Somebody asked for it by API, command or page: disconnected, logged out, linking given up.
    Requested = "requested",
    /// This server starts, or starts the account again.
    Restarting = "restarting",
    /// Another server runs the account.
    Elsewhere = "elsewhere",
    /// The account is of another network than this server.
    WrongNetwork = "wrong_network",
    /// The data was put back from a backup.
    Restored = "restored",
    /// Written down before there were codes; the sentence tells.
    Other = "other",
}

impl ReasonCode {
    /// Whether WhatsApp holds something against the account: what more is sent makes it worse.
    #[must_use]
    pub const fn is_warning(self) -> bool {
        matches!(self, Self::Banned | Self::ReachoutLimited)
    }
}

/// Why an account stands as it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// For programs.
    pub code: ReasonCode,
    /// For people, a whole sentence.
    pub text: String,
}

impl Reason {
    /// A reason in these words.
    #[must_use]
    pub fn new(code: ReasonCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// A ban until a time, where WhatsApp says one, with its reason.
    #[must_use]
    pub fn banned(until: Option<Timestamp>, why: &str) -> Self {
        let end = until.map_or_else(|| "an unknown time".to_owned(), |until| until.to_string());
        Self::new(ReasonCode::Banned, format!("WhatsApp banned the account until {end}: {why}."))
    }

    /// A limit of messages to people who never wrote to the account, until a time where one is known.
    #[must_use]
    pub fn reachout_limited(until: Option<Timestamp>) -> Self {
        let end = until.map_or_else(String::new, |until| format!(" until {until}"));
        let text = format!("WhatsApp limits messages to people who never wrote to this account{end} (463).");
        Self::new(ReasonCode::ReachoutLimited, text)
    }
}

/// The sentence.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_they_are_written() {
        for code in ReasonCode::ALL {
            assert_eq!(code.as_str().parse::<ReasonCode>(), Ok(*code));
        }
        assert_eq!("nonsense".parse::<ReasonCode>(), Err(()));
    }

    #[test]
    fn only_a_ban_and_a_limit_of_the_account_are_warnings() {
        let warnings: Vec<&str> = ReasonCode::ALL.iter().filter(|code| code.is_warning()).map(|code| code.as_str()).collect();
        assert_eq!(warnings, ["banned", "reachout_limited"], "`rate_limited` limits this server, not the account");
    }

    #[test]
    fn warnings_tell_their_end_where_one_is_known() {
        let until = Some(Timestamp(0));
        assert_eq!(Reason::banned(until, "spam").text, "WhatsApp banned the account until 1970-01-01T00:00:00.000Z: spam.");
        assert_eq!(Reason::banned(None, "spam").text, "WhatsApp banned the account until an unknown time: spam.");
        let limited = |until| Reason::reachout_limited(until).to_string();
        assert_eq!(
            limited(until),
            "WhatsApp limits messages to people who never wrote to this account until 1970-01-01T00:00:00.000Z (463)."
        );
        assert_eq!(limited(None), "WhatsApp limits messages to people who never wrote to this account (463).");
    }
}
