//! Who a message is for or from: phone numbers, WhatsApp ids, and what a caller may write as a recipient.

use crate::Invalid;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::HashSet;
use std::fmt;
use std::sync::{LazyLock, PoisonError, RwLock};

/// Server part of a person's WhatsApp id by phone number.
pub const PN_SERVER: &str = "s.whatsapp.net";
/// Server part of a person's WhatsApp id that hides the number.
pub const LID_SERVER: &str = "lid";
/// Server part of a group.
pub const GROUP_SERVER: &str = "g.us";

/// A phone number in E.164: `+`, country code, national number; checked by the numbering plan.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PhoneNumber(String);

impl PhoneNumber {
    /// Reads a number as people write it: with or without `+`, with spaces, dashes, dots and brackets.
    ///
    /// # Errors
    /// A sentence for the caller when the numbering plan knows no such number.
    pub fn parse(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let allowed = |c: char| c.is_ascii_digit() || matches!(c, '+' | ' ' | '-' | '.' | '(' | ')' | '\u{a0}');
        if trimmed.is_empty() || !trimmed.chars().all(allowed) || trimmed.rfind('+').is_some_and(|at| at > 0) {
            return Err("must be a phone number with country code, like +14155550100".into());
        }
        let digits: String = trimmed.chars().filter(char::is_ascii_digit).collect();
        if !(7..=15).contains(&digits.len()) {
            return Err("must have 7 to 15 digits, country code included, like +14155550100".into());
        }
        let e164 = format!("+{digits}");
        if is_known(&digits) {
            return Ok(Self(e164));
        }
        match phonenumber::parse(None, &e164) {
            Ok(number) if number.is_valid() => {
                remember(&digits);
                Ok(Self(e164))
            }
            _ => Err(format!("{e164} is not a number that any country's numbering plan gives out; check the country code")),
        }
    }

    /// From the user part of a `...@s.whatsapp.net` id, which WhatsApp itself vouches for.
    #[must_use]
    pub fn from_wa_user(user: &str) -> Option<Self> {
        (!user.is_empty() && user.len() <= 20 && user.bytes().all(|b| b.is_ascii_digit())).then(|| Self(format!("+{user}")))
    }

    /// With the leading `+`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without the leading `+`: the user part of the WhatsApp id.
    #[must_use]
    pub fn digits(&self) -> &str {
        self.0.trim_start_matches('+')
    }

    /// The WhatsApp id that this number has if it has one.
    #[must_use]
    pub fn jid(&self) -> Jid {
        Jid(format!("{}@{PN_SERVER}", self.digits()))
    }
}

/// Numbers that the numbering plan was asked about and knows. Asking it runs dozens of regular expressions, for a number with `+1`
/// those of 25 countries: it was the dearest single step of accepting a message, and most messages go to somebody again.
static KNOWN: LazyLock<RwLock<HashSet<u64>>> = LazyLock::new(RwLock::default);
/// Most numbers that are remembered; then all are forgotten, which only costs time.
const KNOWN_LIMIT: usize = 16_384;

/// The number that stands for digits. No country code begins with a zero, so no two texts share one.
fn as_number(digits: &str) -> Option<u64> {
    digits.parse().ok().filter(|_| !digits.starts_with('0'))
}

fn is_known(digits: &str) -> bool {
    as_number(digits).is_some_and(|number| KNOWN.read().unwrap_or_else(PoisonError::into_inner).contains(&number))
}

fn remember(digits: &str) {
    let Some(number) = as_number(digits) else { return };
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    if known.len() >= KNOWN_LIMIT {
        known.clear();
    }
    known.insert(number);
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for PhoneNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A WhatsApp id without device part: `user@server`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Jid(String);

impl Jid {
    /// Reads `user@server`; `@c.us` is the old spelling of `@s.whatsapp.net`; a device or agent part is cut off.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (user, server) = text.trim().split_once('@')?;
        let user = user.split([':', '.', '_']).next().unwrap_or_default();
        let server = if server == "c.us" { PN_SERVER } else { server };
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if user.is_empty() || user.len() > 64 || !user.chars().all(valid) {
            return None;
        }
        if !matches!(server, PN_SERVER | LID_SERVER | GROUP_SERVER | "newsletter" | "broadcast" | "hosted" | "hosted.lid" | "bot") {
            return None;
        }
        Some(Self(format!("{user}@{server}")))
    }

    /// The whole id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the `@`.
    #[must_use]
    pub fn user(&self) -> &str {
        self.0.split_once('@').map_or(self.0.as_str(), |(user, _)| user)
    }

    /// The part behind the `@`.
    #[must_use]
    pub fn server(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, server)| server)
    }

    /// Whether this is a person's id that hides the number.
    #[must_use]
    pub fn is_lid(&self) -> bool {
        self.server() == LID_SERVER
    }

    /// Whether this is a group.
    #[must_use]
    pub fn is_group(&self) -> bool {
        self.server() == GROUP_SERVER
    }

    /// The number in a `...@s.whatsapp.net` id.
    #[must_use]
    pub fn phone(&self) -> Option<PhoneNumber> {
        if self.server() == PN_SERVER { PhoneNumber::from_wa_user(self.user()) } else { None }
    }
}

impl fmt::Display for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Jid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Jid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("must be an id of WhatsApp"))
    }
}

/// What a caller may write in `recipient`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipient {
    /// A phone number; WhatsApp is asked for its id before the first message.
    Phone(PhoneNumber),
    /// A person by hidden id.
    Lid(Jid),
    /// A group.
    Group(Jid),
}

impl Recipient {
    /// Reads a phone number or one of `...@s.whatsapp.net`, `...@c.us`, `...@lid`, `...@g.us`.
    ///
    /// # Errors
    /// `Invalid` on `recipient` with a sentence for the caller.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let refuse = |message: String| Invalid::new("recipient", message);
        if !text.contains('@') {
            return PhoneNumber::parse(text).map(Self::Phone).map_err(refuse);
        }
        let forms = "must be a phone number like +14155550100 or an id ending in @s.whatsapp.net, @c.us, @lid or @g.us";
        let jid = Jid::parse(text).ok_or_else(|| refuse(forms.into()))?;
        match jid.server() {
            PN_SERVER => PhoneNumber::parse(jid.user()).map(Self::Phone).map_err(refuse),
            LID_SERVER if jid.user().bytes().all(|b| b.is_ascii_digit()) => Ok(Self::Lid(jid)),
            GROUP_SERVER => Ok(Self::Group(jid)),
            _ => Err(refuse(forms.into())),
        }
    }

    /// The WhatsApp id to address, before WhatsApp was asked.
    #[must_use]
    pub fn jid(&self) -> Jid {
        match self {
            Self::Phone(number) => number.jid(),
            Self::Lid(jid) | Self::Group(jid) => jid.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("+1 (415) 555-0100", "14155550100@s.whatsapp.net")]
    #[case("5511987654321", "5511987654321@s.whatsapp.net")]
    #[case("+55 11 98765-4321", "5511987654321@s.whatsapp.net")]
    #[case("5511987654321@c.us", "5511987654321@s.whatsapp.net")]
    #[case("5511987654321@s.whatsapp.net", "5511987654321@s.whatsapp.net")]
    #[case("123456789012345@lid", "123456789012345@lid")]
    #[case("120363021033254949@g.us", "120363021033254949@g.us")]
    fn recipients_as_people_write_them(#[case] text: &str, #[case] jid: &str) {
        assert_eq!(Recipient::parse(text).map(|r| r.jid().to_string()).as_deref(), Ok(jid));
    }

    #[rstest]
    #[case("")]
    #[case("hello")]
    #[case("+1")]
    #[case("+999 123 456 789")]
    #[case("+14155550100+")]
    #[case("1234567890123456789")]
    #[case("+0000000000")]
    #[case("a@b.c")]
    #[case("status@broadcast")]
    #[case("x@lid")]
    #[case("@g.us")]
    fn impossible_recipients_are_refused(#[case] text: &str) {
        let refused = Recipient::parse(text).expect_err("refused");
        assert_eq!(refused.field, "recipient");
    }

    #[test]
    fn a_device_part_is_cut_off() {
        assert_eq!(Jid::parse("5511987654321:33@s.whatsapp.net").expect("jid").as_str(), "5511987654321@s.whatsapp.net");
    }
}
