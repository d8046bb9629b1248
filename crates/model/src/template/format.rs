//! How values are written: numbers, money and dates, as a language writes them.

use crate::Timestamp;
use chrono::{DateTime, NaiveDate, NaiveDateTime, Timelike};
use std::fmt::Write as _;
use std::str::FromStr;

/// How the value of a variable is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// As it was given.
    #[default]
    Plain,
    /// A number like `1234.5`, with marks between thousands: `1,234.5`.
    Number,
    /// A number with two digits behind the mark: `1,234.50`. The currency is part of the text.
    Money,
    /// A day, from `2026-11-27` or a date and time: `27 Nov 2026`.
    Date,
    /// The time of day, from a date and time, in the offset it was given with: `14:05`.
    Time,
    /// Both: `27 Nov 2026, 14:05`.
    DateTime,
    /// In capitals.
    Upper,
}

impl Format {
    /// Those that can be named in a template.
    pub const NAMED: [Self; 6] = [Self::Number, Self::Money, Self::Date, Self::Time, Self::DateTime, Self::Upper];

    /// The name in a template; empty for `Plain`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Number => "number",
            Self::Money => "money",
            Self::Date => "date",
            Self::Time => "time",
            Self::DateTime => "datetime",
            Self::Upper => "upper",
        }
    }

    /// Writes a value.
    ///
    /// # Errors
    /// A sentence for the caller when the value is no number, or no date.
    pub fn write(self, value: &str, language: Language) -> Result<String, String> {
        match self {
            Self::Plain => Ok(value.to_owned()),
            Self::Upper => Ok(value.to_uppercase()),
            Self::Number => number(value, None, language).ok_or_else(|| "must be a number like 1234.5".to_owned()),
            Self::Money => {
                number(value, Some(2), language).ok_or_else(|| "must be an amount like 1234.50, without the currency".to_owned())
            }
            Self::Date => day(value).map(|day| language.day(day)).ok_or_else(|| "must be a date like 2026-11-27".to_owned()),
            Self::Time => moment(value).map(time).ok_or_else(wrong_moment),
            Self::DateTime => moment(value).map(|at| format!("{}, {}", language.day(at.date()), time(at))).ok_or_else(wrong_moment),
        }
    }
}

impl FromStr for Format {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::NAMED.into_iter().find(|format| format.as_str() == text).ok_or(())
    }
}

fn wrong_moment() -> String {
    "must be a date and time like 2026-11-27T14:05:00+01:00".to_owned()
}

/// How a language writes numbers and dates: by its first part (`de` of `de-AT`); as in English when it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Language(Marks);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Marks {
    /// `1,234.5` and `27 Nov 2026`.
    #[default]
    English,
    /// `1.234,5` and `27.11.2026`.
    Dots,
    /// `1.234,5` and `27/11/2026`.
    Slashes,
    /// `1 234,5` and `27.11.2026`.
    Spaces,
    /// `1 234,5` and `27/11/2026`.
    French,
    /// `1.234,5` and `27-11-2026`.
    Dutch,
    /// `1,234.5` and `2026-11-27`.
    YearFirst,
}

impl Language {
    /// By its tag, like `de` or `pt-BR`.
    #[must_use]
    pub fn of(tag: &str) -> Self {
        let first = tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
        Self(match first.as_str() {
            "de" | "tr" | "da" | "hr" | "sl" | "ro" | "sr" | "bs" | "mk" | "az" => Marks::Dots,
            "es" | "it" | "pt" | "id" | "el" | "vi" | "ca" | "gl" => Marks::Slashes,
            "ru" | "uk" | "pl" | "cs" | "sk" | "fi" | "nb" | "no" | "nn" | "bg" | "et" | "lv" | "kk" | "be" => Marks::Spaces,
            "fr" => Marks::French,
            "nl" => Marks::Dutch,
            "ja" | "zh" | "ko" | "hu" | "lt" | "sv" => Marks::YearFirst,
            _ => Marks::English,
        })
    }

    const fn marks(self) -> (&'static str, char) {
        match self.0 {
            Marks::English | Marks::YearFirst => (",", '.'),
            Marks::Dots | Marks::Slashes | Marks::Dutch => (".", ','),
            Marks::Spaces | Marks::French => ("\u{a0}", ','),
        }
    }

    fn day(self, day: NaiveDate) -> String {
        let pattern = match self.0 {
            Marks::English => "%-d %b %Y",
            Marks::Dots | Marks::Spaces => "%d.%m.%Y",
            Marks::Slashes | Marks::French => "%d/%m/%Y",
            Marks::Dutch => "%d-%m-%Y",
            Marks::YearFirst => "%Y-%m-%d",
        };
        day.format(pattern).to_string()
    }
}

fn time(at: NaiveDateTime) -> String {
    format!("{:02}:{:02}", at.hour(), at.minute())
}

fn day(value: &str) -> Option<NaiveDate> {
    let value = value.trim();
    NaiveDate::parse_from_str(value, "%Y-%m-%d").ok().or_else(|| moment(value).map(|at| at.date()))
}

fn moment(value: &str) -> Option<NaiveDateTime> {
    let value = value.trim();
    DateTime::parse_from_rfc3339(value)
        .ok()
        .filter(|_| Timestamp::parse(value).is_some())
        .map(|at| at.naive_local())
        .or_else(|| ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"].iter().find_map(|pattern| NaiveDateTime::parse_from_str(value, pattern).ok()))
}

/// Digits stay digits: the text is never made a binary fraction, so no amount changes by rounding but at the digits that
/// are cut off, where halves go away from zero as on a bill.
fn number(value: &str, places: Option<usize>, language: Language) -> Option<String> {
    let value = value.trim();
    let (sign, digits) = value.strip_prefix('-').map_or(("", value), |digits| ("-", digits));
    let (whole, part) = digits.split_once('.').map_or((digits, ""), |(whole, part)| (whole, part));
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 30 || part.len() > 30 || !all_digits(whole) || !all_digits(part) || digits.ends_with('.') {
        return None;
    }
    let (whole, part) = match places {
        None => (whole.to_owned(), part.to_owned()),
        Some(places) => rounded(whole, part, places),
    };
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    let (between, mark) = language.marks();
    let is_zero = whole == "0" && part.bytes().all(|b| b == b'0');
    let mut text = if is_zero { String::new() } else { sign.to_owned() };
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push_str(between);
        }
        text.push(digit);
    }
    if !part.is_empty() {
        let _ = write!(text, "{mark}{part}");
    }
    Some(text)
}

fn rounded(whole: &str, part: &str, places: usize) -> (String, String) {
    if part.len() <= places {
        return (whole.to_owned(), format!("{part:0<places$}"));
    }
    let mut digits: Vec<u8> = whole.bytes().chain(part.bytes().take(places)).collect();
    if part.as_bytes().get(places).is_some_and(|digit| *digit >= b'5') {
        let nines = digits.iter().rev().take_while(|digit| **digit == b'9').count();
        let from = digits.len() - nines;
        digits[from..].fill(b'0');
        match from.checked_sub(1) {
            Some(at) => digits[at] += 1,
            None => digits.insert(0, b'1'),
        }
    }
    let part = digits.split_off(digits.len() - places);
    let text = |digits: Vec<u8>| digits.into_iter().map(char::from).collect();
    (text(digits), text(part))
}
