//! Charts of messages, requests and latency, from what the API tells of them.

use super::chart::{Chart, Place, Series};
use super::parts::grouped;
use crate::http::v1::analytics::overview::BarView;
use crate::http::v1::usage::{LimitView, UsageView};
use chrono::DateTime;
use sanasend_model::Timestamp;

const MESSAGES: [Series; 3] =
    [Series { name: "Sent", tone: "good" }, Series { name: "Failed", tone: "bad" }, Series { name: "Received", tone: "info" }];
const REQUESTS: [Series; 3] = [
    Series { name: "Answered", tone: "calm" },
    Series { name: "Refused (4xx)", tone: "warn" },
    Series { name: "Failed (5xx)", tone: "bad" },
];
const LATENCY: [Series; 2] = [Series { name: "Half took at most", tone: "good" }, Series { name: "95 % took at most", tone: "info" }];

/// How places on the axis are named.
#[derive(Debug, Clone, Copy)]
pub enum By {
    /// `14:00`.
    Hour,
    /// `21 Nov`.
    Day,
}

impl By {
    fn label(self, at: Timestamp) -> String {
        let at = DateTime::from_timestamp_millis(at.0).unwrap_or_default();
        match self {
            Self::Hour => at.format("%H:%M").to_string(),
            Self::Day => at.format("%-d %b").to_string(),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn float(count: i64) -> f64 {
    count as f64
}

/// Counts, each of which is known.
fn counts<const N: usize>(counts: [i64; N]) -> Vec<Option<f64>> {
    counts.into_iter().map(|count| Some(float(count))).collect()
}

fn places(bars: &[BarView], by: By, values: impl Fn(&BarView) -> Vec<Option<f64>>) -> Vec<Place> {
    bars.iter().map(|bar| Place { label: by.label(bar.at), values: values(bar) }).collect()
}

/// Messages by what became of them.
pub fn messages(title: &str, bars: &[BarView], by: By) -> Chart {
    let values = |bar: &BarView| counts([bar.messages.sent, bar.messages.failed, bar.messages.received]);
    Chart::bars(title, &MESSAGES, places(bars, by, values))
}

/// Requests by how they were answered.
pub fn requests(title: &str, bars: &[BarView], by: By) -> Chart {
    let values =
        |bar: &BarView| counts([bar.requests - bar.requests_refused - bar.requests_failed, bar.requests_refused, bar.requests_failed]);
    Chart::bars(title, &REQUESTS, places(bars, by, values))
}

/// How long requests took.
pub fn latency(title: &str, bars: &[BarView], by: By) -> Chart {
    let values = |bar: &BarView| vec![bar.latency_ms.p50, bar.latency_ms.p95];
    Chart::lines(title, "ms", &LATENCY, places(bars, by, values))
}

/// One user's messages by day.
pub fn own_messages(usage: &UsageView) -> Chart {
    let place = |day: &crate::http::v1::usage::UsedView| Place {
        label: day.date.clone(),
        values: counts([day.figures.messages_sent, day.figures.messages_failed, day.figures.messages_received]),
    };
    Chart::bars("Messages by day", &MESSAGES, usage.days.iter().map(place).collect())
}

/// A limit as people read it.
#[derive(Debug, Clone)]
pub struct Limit {
    /// What is limited.
    pub label: &'static str,
    /// `120 of 1 000`.
    pub text: String,
    /// How much of it is used, of `limit`.
    pub used: i64,
    /// The limit.
    pub most: i64,
}

/// The limits in force.
pub fn limits(usage: &UsageView) -> Vec<Limit> {
    let limit = |limit: &LimitView| Limit {
        label: match limit.name {
            "messages_per_day" => "Messages today",
            "messages_per_minute" => "Messages this minute",
            "requests_per_minute" => "API requests this minute",
            "requests_per_minute_of_key" => "API requests of the key this minute",
            _ => "Linked accounts",
        },
        text: format!("{} of {}", grouped(limit.used), grouped(limit.limit)),
        used: limit.used,
        most: limit.limit,
    };
    usage.limits.iter().map(limit).collect()
}
