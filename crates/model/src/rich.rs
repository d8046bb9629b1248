//! Messages that are more than a text or a file: places, contact cards, polls, and what is done to another message.
//!
//! Only rules and shapes: how they look on the wire is known by `engine`.

use crate::{FieldErrors, Invalid, Jid, MessageId, PhoneNumber};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest name or address of a place, in characters.
pub const MAX_PLACE_CHARS: usize = 1_000;
/// Longest name, organization or e-mail address on a contact card, in characters.
pub const MAX_CARD_CHARS: usize = 200;
/// Most contact cards in one message.
pub const MAX_CARDS: usize = 20;
/// Longest question of a poll, in characters.
pub const MAX_QUESTION_CHARS: usize = 255;
/// Longest answer of a poll, in characters.
pub const MAX_OPTION_CHARS: usize = 100;
/// Fewest and most answers of a poll.
pub const POLL_OPTIONS: std::ops::RangeInclusive<usize> = 2..=12;
/// Longest emoji, in bytes: a family of four with skin tones has about 40.
const MAX_EMOJI_BYTES: usize = 64;
/// Longest address of a link preview, in bytes.
const MAX_URL_BYTES: usize = 2_048;

/// For how long WhatsApp's clients let people edit what they wrote, in minutes.
pub const EDIT_MINUTES: u64 = 15;
/// For how long WhatsApp's clients let people delete what they wrote for everyone, in hours: two days and twelve hours.
pub const DELETE_HOURS: u64 = 60;

/// What a message says that is more than a text or a file.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Rich {
    /// A place.
    Location(Location),
    /// Contact cards.
    Contact {
        /// At least one.
        contacts: Vec<ContactCard>,
    },
    /// A question with answers to choose from.
    Poll(Poll),
    /// An emoji on another message.
    Reaction {
        /// The message.
        target: Target,
        /// The emoji; empty takes an earlier one away.
        emoji: String,
    },
    /// Another text for a message.
    Edit {
        /// The message.
        target: Target,
        /// What it says from now on.
        text: String,
    },
    /// A message is taken back, for everyone.
    Revoke {
        /// The message.
        target: Target,
        /// WhatsApp's server vouches that an admin of the group took another one's message back.
        #[serde(default)]
        by_admin: bool,
    },
    /// Answers chosen in a poll.
    PollVote {
        /// The poll.
        target: Target,
        /// All that are chosen now; none takes an earlier choice back.
        options: Vec<String>,
    },
}

/// A message that another one is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// WhatsApp's id of it.
    pub wa_message_id: String,
    /// Written by the account itself.
    #[serde(default)]
    pub from_me: bool,
    /// Who wrote it, in a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participant: Option<Jid>,
    /// Its id here, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
}

/// A place on Earth.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Location {
    /// Degrees north, from -90 to 90.
    pub latitude: f64,
    /// Degrees east, from -180 to 180.
    pub longitude: f64,
    /// What the place is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// Somebody's card.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactCard {
    /// The name that is shown.
    pub name: String,
    /// Numbers: E.164 where they can be read, else as they came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phones: Vec<String>,
    /// E-mail addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emails: Vec<String>,
    /// Where the person works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
}

/// A question with answers to choose from.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poll {
    /// What is asked.
    pub question: String,
    /// What can be answered.
    pub options: Vec<String>,
    /// How many answers a person may choose; 0 of an incoming poll: any number.
    pub selectable_count: u32,
    /// What votes are encrypted with, 64 hexadecimal digits; empty when it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub secret: String,
}

/// What is shown of a page that a text links to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkPreview {
    /// The link as it stands in the text.
    pub url: String,
    /// The page's title.
    pub title: String,
    /// A few words about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// What people write is not for logs.
macro_rules! hidden {
    ($($type:ident),*) => { $(impl fmt::Debug for $type {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct(stringify!($type)).finish_non_exhaustive()
        }
    })* };
}
hidden!(Location, ContactCard, Poll, LinkPreview);

impl fmt::Debug for Rich {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rich({})", self.kind())
    }
}

impl Rich {
    /// Every kind, as `message_type` names it.
    pub const KINDS: &'static [&'static str] = &["location", "contact", "poll", "reaction", "edit", "revoke", "poll_vote"];

    /// The value of `message_type` in the API.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Location(_) => "location",
            Self::Contact { .. } => "contact",
            Self::Poll(_) => "poll",
            Self::Reaction { .. } => "reaction",
            Self::Edit { .. } => "edit",
            Self::Revoke { .. } => "revoke",
            Self::PollVote { .. } => "poll_vote",
        }
    }

    /// The words in it, for searching and quoting.
    #[must_use]
    pub fn body(&self) -> Option<&str> {
        match self {
            Self::Location(place) => place.name.as_deref().or(place.address.as_deref()),
            Self::Contact { contacts } => contacts.first().map(|card| card.name.as_str()),
            Self::Poll(poll) => Some(&poll.question),
            Self::Reaction { emoji, .. } => Some(emoji.as_str()).filter(|emoji| !emoji.is_empty()),
            Self::Edit { text, .. } => Some(text),
            Self::Revoke { .. } | Self::PollVote { .. } => None,
        }
    }

    /// The message that it is about, when it is about one.
    #[must_use]
    pub const fn target(&self) -> Option<&Target> {
        match self {
            Self::Reaction { target, .. } | Self::Edit { target, .. } | Self::Revoke { target, .. } | Self::PollVote { target, .. } => {
                Some(target)
            }
            Self::Location(_) | Self::Contact { .. } | Self::Poll(_) => None,
        }
    }

    /// The same, to be filled in.
    pub const fn target_mut(&mut self) -> Option<&mut Target> {
        match self {
            Self::Reaction { target, .. } | Self::Edit { target, .. } | Self::Revoke { target, .. } | Self::PollVote { target, .. } => {
                Some(target)
            }
            Self::Location(_) | Self::Contact { .. } | Self::Poll(_) => None,
        }
    }
}

/// A text of bounded length; an empty one is none.
fn words(field: &str, text: Option<String>, most: usize) -> Result<Option<String>, Invalid> {
    let Some(text) = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()) else { return Ok(None) };
    let chars = text.chars().count();
    if chars > most {
        return Err(Invalid::new(field, format!("has {chars} characters; at most {most} are possible")));
    }
    if text.chars().any(char::is_control) {
        return Err(Invalid::new(field, "must be one line without control characters"));
    }
    Ok(Some(text))
}

fn required(field: &str, text: String, most: usize) -> Result<String, Invalid> {
    words(field, Some(text), most)?.ok_or_else(|| Invalid::new(field, "must not be empty"))
}

impl Location {
    /// A place to send.
    ///
    /// # Errors
    /// On `latitude`, `longitude`, `name`, `address`.
    pub fn new(latitude: f64, longitude: f64, name: Option<String>, address: Option<String>) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        for (field, value, most) in [("latitude", latitude, 90.0), ("longitude", longitude, 180.0)] {
            if !value.is_finite() || value.abs() > most {
                errors.push(Invalid::new(field, format!("must be from -{most} to {most}")));
            }
        }
        let name = errors.take(words("name", name, MAX_PLACE_CHARS)).flatten();
        let address = errors.take(words("address", address, MAX_PLACE_CHARS)).flatten();
        errors.into_result()?;
        Ok(Self { latitude, longitude, name, address })
    }
}

impl ContactCard {
    /// A card to send; `at` is its place in the list, for refusals.
    ///
    /// # Errors
    /// On `contacts[at].name` and so on.
    pub fn new(at: usize, name: String, phone: &str, organization: Option<String>, email: Option<String>) -> Result<Self, FieldErrors> {
        let field = |name: &str| format!("contacts[{at}].{name}");
        let mut errors = FieldErrors::default();
        let name = errors.take(required(&field("name"), name, MAX_CARD_CHARS));
        let phone = errors.take(PhoneNumber::parse(phone).map_err(|refused| Invalid::new(field("phone"), refused)));
        let organization = errors.take(words(&field("organization"), organization, MAX_CARD_CHARS)).flatten();
        let email = errors.take(words(&field("email"), email, MAX_CARD_CHARS)).flatten();
        if email.as_ref().is_some_and(|email| !email.contains('@') || email.contains(char::is_whitespace)) {
            errors.push(Invalid::new(field("email"), "must be an e-mail address"));
        }
        errors.into_result()?;
        let phones = phone.map(|phone| phone.to_string()).into_iter().collect();
        Ok(Self { name: name.unwrap_or_default(), phones, emails: email.into_iter().collect(), organization })
    }
}

impl Poll {
    /// A poll to send. `secret` is chosen by the caller: 32 random bytes.
    ///
    /// # Errors
    /// On `question`, `options`, `selectable_count`.
    pub fn new(question: String, options: Vec<String>, selectable_count: u32, secret: [u8; 32]) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        let question = errors.take(required("question", question, MAX_QUESTION_CHARS)).unwrap_or_default();
        if !POLL_OPTIONS.contains(&options.len()) {
            let (least, most) = (POLL_OPTIONS.start(), POLL_OPTIONS.end());
            errors.push(Invalid::new("options", format!("must be from {least} to {most}; there are {}", options.len())));
        }
        let options: Vec<String> =
            options.into_iter().filter_map(|option| errors.take(required("options", option, MAX_OPTION_CHARS))).collect();
        let twice = options.iter().enumerate().any(|(at, option)| options.iter().take(at).any(|before| before == option));
        if twice {
            errors.push(Invalid::new("options", "must all be different"));
        }
        if selectable_count == 0 || usize::try_from(selectable_count).is_ok_and(|count| count > options.len()) {
            errors.push(Invalid::new("selectable_count", "must be from 1 to the number of options"));
        }
        errors.into_result()?;
        Ok(Self { question, options, selectable_count, secret: hex(&secret) })
    }

    /// What votes are encrypted with.
    #[must_use]
    pub fn secret_bytes(&self) -> Option<[u8; 32]> {
        let mut bytes = [0; 32];
        if self.secret.len() != 64 {
            return None;
        }
        for (byte, digits) in bytes.iter_mut().zip(self.secret.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(bytes)
    }
}

/// Bytes as hexadecimal digits, as [`Poll::secret`] has them.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl LinkPreview {
    /// A preview to send with `text`.
    ///
    /// # Errors
    /// On `link_preview.url`, `link_preview.title`, `link_preview.description`.
    pub fn new(text: &str, url: String, title: String, description: Option<String>) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        let is_link = ["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) && !url.contains(char::is_whitespace);
        if !is_link || url.len() > MAX_URL_BYTES {
            errors.push(Invalid::new("link_preview.url", format!("must be an http or https address of at most {MAX_URL_BYTES} bytes")));
        } else if !text.contains(&url) {
            errors.push(Invalid::new("link_preview.url", "must stand in content: clients show a preview only of a link that is there"));
        }
        let title = errors.take(required("link_preview.title", title, MAX_PLACE_CHARS)).unwrap_or_default();
        let description = errors.take(words("link_preview.description", description, MAX_PLACE_CHARS)).flatten();
        errors.into_result()?;
        Ok(Self { url, title, description })
    }

    /// The first link of a text, as it stands there.
    #[must_use]
    pub fn first_link(text: &str) -> Option<&str> {
        let begins = |word: &&str| word.starts_with("https://") || word.starts_with("http://");
        let word = text.split_whitespace().map(|word| word.trim_start_matches(['(', '<', '"'])).find(begins)?;
        // What ends a sentence is no part of the link.
        let link = word.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', '>', '"', '\'']);
        Some(link).filter(|link| link.len() <= MAX_URL_BYTES && link.len() > "https://".len())
    }
}

/// Checks the emoji of a reaction; empty takes an earlier one away.
///
/// # Errors
/// On `emoji`, when it is anything but one emoji.
pub fn emoji(text: String) -> Result<String, Invalid> {
    // Letters of the alphabets are none; those of U+1F100 on are: the boxed A of a blood group.
    let plain = |c: char| c.is_whitespace() || c.is_control() || c.is_ascii_punctuation() && !matches!(c, '#' | '*');
    let letter = |c: char| c.is_alphabetic() && !('\u{1F100}'..='\u{1FFFF}').contains(&c);
    let wrong = text.len() > MAX_EMOJI_BYTES || text.chars().any(|c| plain(c) || letter(c)) || (!text.is_empty() && text.is_ascii());
    if wrong { Err(Invalid::new("emoji", "must be one emoji, or empty to take yours away")) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn refused<T>(result: Result<T, FieldErrors>) -> Vec<String> {
        result.err().map(|errors| errors.0.into_keys().collect()).unwrap_or_default()
    }

    #[rstest]
    #[case(52.5, 13.4, &[])]
    #[case(-90.0, 180.0, &[])]
    #[case(90.1, 0.0, &["latitude"])]
    #[case(0.0, -180.5, &["longitude"])]
    #[case(f64::NAN, f64::INFINITY, &["latitude", "longitude"])]
    fn places_are_on_earth(#[case] latitude: f64, #[case] longitude: f64, #[case] fields: &[&str]) {
        assert_eq!(refused(Location::new(latitude, longitude, Some(" ".into()), None)), fields);
    }

    #[rstest]
    #[case(&["a", "b"], 1, &[])]
    #[case(&["a"], 1, &["options"])]
    #[case(&["a", "a"], 1, &["options"])]
    #[case(&["a", " "], 1, &["options"])]
    #[case(&["a", "b"], 0, &["selectable_count"])]
    #[case(&["a", "b"], 3, &["selectable_count"])]
    #[case(&["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"], 12, &[])]
    #[case(&["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13"], 1, &["options"])]
    fn polls_have_two_to_twelve_different_answers(#[case] options: &[&str], #[case] count: u32, #[case] fields: &[&str]) {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let fields_refused = refused(Poll::new("Lunch?".into(), options, count, [0xab; 32]));
        assert!(fields.iter().all(|field| fields_refused.iter().any(|refused| refused == field)), "{fields_refused:?}");
        assert_eq!(fields.is_empty(), fields_refused.is_empty());
    }

    #[test]
    fn the_secret_of_a_poll_is_read_back() {
        let poll = Poll::new("Lunch?".into(), vec!["yes".into(), "no".into()], 1, [0xab; 32]).expect("a poll");
        assert_eq!(poll.secret_bytes(), Some([0xab; 32]));
        assert_eq!(Poll { secret: String::new(), ..poll }.secret_bytes(), None);
    }

    #[rstest]
    #[case("👍", true)]
    #[case("", true)]
    #[case("❤️", true)]
    #[case("1️⃣", true)]
    #[case("🇩🇪", true)]
    #[case("🅰️", true)]
    #[case("👨‍👩‍👧‍👦", true)]
    #[case("ok", false)]
    #[case("ä", false)]
    #[case("7", false)]
    #[case("👍 👍", false)]
    #[case("\u{0}", false)]
    fn a_reaction_is_an_emoji(#[case] text: &str, #[case] good: bool) {
        assert_eq!(emoji(text.into()).is_ok(), good);
    }

    #[rstest]
    #[case("Anna", "+12025550123", None, &[])]
    #[case("", "+12025550123", None, &["contacts[2].name"])]
    #[case("Anna", "12", None, &["contacts[2].phone"])]
    #[case("Anna", "+12025550123", Some("nobody"), &["contacts[2].email"])]
    #[case("An\nna", "x", Some("a b@c"), &["contacts[2].email", "contacts[2].name", "contacts[2].phone"])]
    fn cards_say_which_of_them_is_wrong(#[case] name: &str, #[case] phone: &str, #[case] email: Option<&str>, #[case] fields: &[&str]) {
        assert_eq!(refused(ContactCard::new(2, name.into(), phone, None, email.map(str::to_owned))), fields);
    }

    #[rstest]
    #[case("See https://example.com/a?b=c.", Some("https://example.com/a?b=c"))]
    #[case("(http://example.com)", Some("http://example.com"))]
    #[case("no link", None)]
    #[case("https://", None)]
    fn the_first_link_of_a_text(#[case] text: &str, #[case] link: Option<&str>) {
        assert_eq!(LinkPreview::first_link(text), link);
    }

    #[test]
    fn a_preview_is_of_a_link_in_the_text() {
        let new = |url: &str| LinkPreview::new("see https://example.com/x", url.into(), "X".into(), None);
        assert!(new("https://example.com/x").is_ok());
        assert_eq!(refused(new("https://example.org/")), ["link_preview.url"]);
        assert_eq!(refused(new("ftp://example.com/x")), ["link_preview.url"]);
    }

    #[test]
    fn nothing_that_people_wrote_is_shown_in_logs() {
        let target = Target { wa_message_id: "3EB0".into(), from_me: true, participant: None, message_id: None };
        let shown = format!("{:?}", Rich::Edit { target, text: "secret".into() });
        assert_eq!(shown, "Rich(edit)");
    }
}
