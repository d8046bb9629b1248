//! The small parts that pages are made of: pictures, badges, times, figures.

use super::spark::Spark;
use askama::Template;
use askama::filters::HtmlSafe;
use chrono::DateTime;
use sanasend_model::{SessionStatus, Timestamp};
use std::fmt;

/// A picture, drawn with lines on 24 by 24; decoration only.
#[derive(Debug, Clone, Copy)]
pub struct Icon(pub &'static str);

impl HtmlSafe for Icon {}

impl fmt::Display for Icon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = match self.0 {
            "chart" => "M4 20V10M10 20V4M16 20v-7M21 20H3",
            "users" => "M9 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM2 21c0-4 3-6 7-6s7 2 7 6M16 3.5a4 4 0 0 1 0 7.5M18 15.5c2.5.7 4 2.5 4 5.5",
            "person" => "M12 12a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9ZM4 21c0-4.5 3.5-6 8-6s8 1.5 8 6",
            "phone" => "M8 2h8a2 2 0 0 1 2 2v16a2 2 0 0 1-2 2H8a2 2 0 0 1-2-2V4a2 2 0 0 1 2-2ZM11 18.5h2",
            "phones" => {
                "M3 4h7a1 1 0 0 1 1 1v14a1 1 0 0 1-1 1H3a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1ZM14 4h7a1 1 0 0 1 1 1v14a1 1 0 0 1-1 1h-7a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1ZM6 17h1M17 17h1"
            }
            "book" => {
                "M6 3h12a1 1 0 0 1 1 1v16a1 1 0 0 1-1 1H6a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1ZM3 8h3M3 12h3M3 16h3M12 12a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM9 16c0-1.7 1.3-2.5 3-2.5s3 .8 3 2.5"
            }
            "message" => "M4 4h16a1 1 0 0 1 1 1v11a1 1 0 0 1-1 1H9l-5 4V5",
            "talk" => "M3 4h12a1 1 0 0 1 1 1v7a1 1 0 0 1-1 1H8l-4 3V5M19 9h1a1 1 0 0 1 1 1v10l-4-3h-6a1 1 0 0 1-1-1",
            "horn" => "M3 10v4h4l8 5V5l-8 5H3ZM18.5 9a4 4 0 0 1 0 6M7 14v5h3v-3",
            "hook" => "M12 3a4 4 0 0 0-2 7.5L6.5 17M12 3a4 4 0 0 1 4 4M6 20a3 3 0 1 1 2-5M9 18h9a3 3 0 1 0-3-4l-3.5-6",
            "list" => "M8 6h13M8 12h13M8 18h13M3.5 6h.01M3.5 12h.01M3.5 18h.01",
            "shield" => "M12 3l8 3v6c0 5-3.5 8-8 9-4.5-1-8-4-8-9V6l8-3ZM8.5 12l2.5 2.5 4.5-5",
            "clock" => "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 7v5l3.5 2",
            "calendar" => "M5 5h14a1 1 0 0 1 1 1v14a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1ZM4 10h16M8 3v4M16 3v4",
            "page" => "M6 3h8l5 5v13H6V3ZM14 3v5h5M9 13h7M9 17h5",
            "gear" => {
                "M4 7h10M18 7h2M4 17h2M10 17h10M16 9.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM8 19.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Z"
            }
            "key" => "M8 16a5 5 0 1 1 4.6-7H22v4h-3v3h-4v-3h-2.4A5 5 0 0 1 8 16ZM8 11h.01",
            "menu" => "M4 7h16M4 12h16M4 17h16",
            "plus" => "M12 5v14M5 12h14",
            "search" => "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14ZM20.5 20.5 16 16",
            "out" => "M14 4h5v16h-5M10 8l-4 4 4 4M6 12h10",
            "sun" => {
                "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.5 1.5M17.5 17.5 19 19M5 19l1.5-1.5M17.5 6.5 19 5"
            }
            _ => "M12 3v18",
        };
        write!(f, "<svg class=\"icon\" viewBox=\"0 0 24 24\" aria-hidden=\"true\" focusable=\"false\"><path d=\"{path}\"/></svg>")
    }
}

/// A word with a colour.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(source = "<span class=\"badge {{ tone }}\">{{ text }}</span>", ext = "html")]
pub struct Badge {
    tone: &'static str,
    text: String,
}

impl HtmlSafe for Badge {}

impl Badge {
    /// As it should be.
    pub fn good(text: impl Into<String>) -> Self {
        Self { tone: "good", text: text.into() }
    }

    /// On its way, or in need of a look.
    pub fn warn(text: impl Into<String>) -> Self {
        Self { tone: "warn", text: text.into() }
    }

    /// Something is wrong.
    pub fn bad(text: impl Into<String>) -> Self {
        Self { tone: "bad", text: text.into() }
    }

    /// Neither good nor bad.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { tone: "plain", text: text.into() }
    }

    /// The same for several: `3 × connected`.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        if count > 1 { Self { text: format!("{count} × {}", self.text), ..self } } else { self }
    }

    /// The status of a session.
    pub fn session(status: SessionStatus) -> Self {
        let text = status.as_str().replace('_', " ");
        match status {
            SessionStatus::Connected => Self::good(text),
            SessionStatus::Connecting | SessionStatus::QrPending | SessionStatus::PasskeyRequired | SessionStatus::Degraded => {
                Self::warn(text)
            }
            SessionStatus::Failed | SessionStatus::LoggedOut => Self::bad(text),
            SessionStatus::Disconnected => Self::plain(text),
        }
    }
}

/// A point in time, as people read it, in UTC.
#[derive(Debug, Clone, Copy)]
pub struct When(pub Timestamp);

impl HtmlSafe for When {}

/// Points in time as templates write them: `{{ at.when() }}`.
pub trait Told {
    /// As people read it.
    fn when(&self) -> When;
}

impl Told for Timestamp {
    fn when(&self) -> When {
        When(*self)
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = DateTime::from_timestamp_millis(self.0.0).unwrap_or_default();
        write!(
            f,
            "<time datetime=\"{}\" title=\"{} UTC\">{}</time>",
            self.0,
            at.format("%A, %-d %B %Y, %H:%M:%S"),
            at.format("%-d %b %Y, %H:%M")
        )
    }
}

/// A number with thin gaps between thousands.
#[must_use]
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A figure on a tile: a number, what it is, and how it moves.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/tile.html")]
pub struct Tile {
    /// What it is.
    pub label: &'static str,
    /// The number, written out.
    pub value: String,
    /// A sentence below it.
    pub note: String,
    /// How much more than before, in percent.
    pub trend: Option<f64>,
    /// How it went over the last days.
    pub spark: Option<Spark>,
    /// Where it leads; empty for nowhere.
    pub href: &'static str,
}

impl HtmlSafe for Tile {}

impl Tile {
    fn trend_text(&self) -> String {
        self.trend.map(|trend| format!("{trend:+.1} %")).unwrap_or_default()
    }

    fn trend_tone(&self) -> &'static str {
        match self.trend {
            Some(trend) if trend > 0.05 => "up",
            Some(trend) if trend < -0.05 => "down",
            _ => "even",
        }
    }
}

/// What a list shows while there is nothing in it.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/empty.html")]
pub struct Empty {
    /// What there is not.
    pub title: &'static str,
    /// What to do.
    pub text: &'static str,
    /// Where to do it; empty for nowhere.
    pub href: String,
    /// What the link says.
    pub action: &'static str,
}

impl HtmlSafe for Empty {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_and_times_are_written_for_people() {
        assert_eq!((grouped(0), grouped(999), grouped(-1_234_567)), ("0".into(), "999".into(), "-1\u{202f}234\u{202f}567".into()));
        let when = When(Timestamp::parse("2026-11-21T08:05:00Z").expect("a time")).to_string();
        assert!(when.contains("datetime=\"2026-11-21T08:05:00.000Z\"") && when.contains(">21 Nov 2026, 08:05<"), "{when}");
    }

    #[test]
    fn a_badge_escapes_what_it_says() {
        assert_eq!(Badge::bad("<i>").to_string(), "<span class=\"badge bad\">&#60;i&#62;</span>");
    }
}
