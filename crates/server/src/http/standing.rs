//! How a caller stands against its limits, as every answer tells it: `RateLimit`, `RateLimit-Policy` (the IETF's draft,
//! one entry per limit) and `X-RateLimit-*` (what most clients know: the limit that refuses, else the limit of requests that is
//! nearest).
//!
//! Apart from the middleware, which decides nothing about the form.

use axum::http::{HeaderMap, HeaderValue};
use sanasend_model::limit::Standing;
use std::sync::OnceLock;
use std::time::Duration;

/// Name of the limit of messages per UTC day.
const DAY: &str = "messages-per-day";

/// The limits that one request was counted against; each is known once it was asked.
#[derive(Debug, Default)]
pub struct Standings {
    requests: OnceLock<Standing>,
    key: OnceLock<Standing>,
    messages: OnceLock<Standing>,
    day: OnceLock<Standing>,
}

impl Standings {
    /// Requests: of the user (or of the stranger's address) first, then of the key where it has a limit of its own.
    pub fn note_requests(&self, counted: &[Standing]) {
        for (place, standing) in [&self.requests, &self.key].into_iter().zip(counted) {
            let _ = place.set(*standing);
        }
    }

    /// Messages of the user.
    pub fn note_messages(&self, standing: Standing) {
        let _ = self.messages.set(standing);
    }

    /// Messages per day of the user; told only by the answer that refuses one, since nobody counts them before that.
    pub fn note_day(&self, standing: Standing) {
        let _ = self.day.set(standing);
    }

    /// Whether requests were counted at all.
    pub fn are_known(&self) -> bool {
        self.requests.get().is_some()
    }

    /// Writes the headers. What is not limited is not told.
    pub fn write(&self, headers: &mut HeaderMap) {
        let known = [("requests", &self.requests), ("key", &self.key), ("messages", &self.messages), (DAY, &self.day)];
        let limited = known.into_iter().filter_map(|(name, standing)| Some((name, *standing.get()?))).filter(|(_, how)| how.limit > 0);
        let limited: Vec<(&str, Standing)> = limited.collect();
        let list = |entry: &dyn Fn(&(&str, Standing)) -> String| limited.iter().map(entry).collect::<Vec<_>>().join(", ");
        if limited.is_empty() {
            return;
        }
        let window = |name: &str| if name == DAY { 86_400 } else { 60 };
        put(headers, "ratelimit-policy", &list(&|(name, how)| format!("\"{name}\";q={};w={}", how.limit, window(name))));
        put(headers, "ratelimit", &list(&|(name, how)| format!("\"{name}\";r={};t={}", how.remaining, seconds(how.reset))));
        // The limit that refuses is what a caller must know of, whichever it is.
        let refusing = limited.iter().filter(|(_, how)| how.wait.is_some()).max_by_key(|(_, how)| how.wait);
        let of_requests = |(name, _): &&(&str, Standing)| matches!(*name, "requests" | "key");
        let nearest = refusing.or_else(|| limited.iter().filter(of_requests).min_by_key(|(_, how)| how.remaining));
        if let Some((_, how)) = nearest {
            put(headers, "x-ratelimit-limit", &how.limit.to_string());
            put(headers, "x-ratelimit-remaining", &how.remaining.to_string());
            put(headers, "x-ratelimit-reset", &seconds(how.reset).to_string());
        }
    }
}

fn put(headers: &mut HeaderMap, name: &'static str, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

/// Whole seconds, rounded up: who waits so long is not too early.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_told_and_the_nearest_of_requests_where_only_one_can_be() {
        let standing = |limit, remaining| Standing { limit, remaining, reset: Duration::from_millis(1500), wait: None };
        let (standings, mut headers) = (Standings::default(), HeaderMap::new());
        standings.note_requests(&[standing(100, 50), standing(10, 7)]);
        standings.note_messages(standing(5, 1));
        standings.write(&mut headers);
        let told = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        assert_eq!(told("ratelimit-policy"), "\"requests\";q=100;w=60, \"key\";q=10;w=60, \"messages\";q=5;w=60");
        assert_eq!(told("ratelimit"), "\"requests\";r=50;t=2, \"key\";r=7;t=2, \"messages\";r=1;t=2");
        assert_eq!(
            (told("x-ratelimit-limit"), told("x-ratelimit-remaining"), told("x-ratelimit-reset")),
            ("10".into(), "7".into(), "2".into())
        );
    }

    #[test]
    fn the_limit_that_refuses_is_the_one_that_is_told() {
        let (standings, mut headers) = (Standings::default(), HeaderMap::new());
        standings.note_requests(&[Standing { limit: 100, remaining: 50, reset: Duration::from_secs(2), wait: None }]);
        standings.note_messages(Standing { limit: 5, remaining: 4, reset: Duration::from_secs(2), wait: None });
        let hour = Duration::from_hours(1);
        standings.note_day(Standing { limit: 1000, remaining: 0, reset: hour, wait: Some(hour) });
        standings.write(&mut headers);
        let told = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        assert!(told("ratelimit-policy").ends_with("\"messages-per-day\";q=1000;w=86400"), "{headers:?}");
        assert!(told("ratelimit").ends_with("\"messages-per-day\";r=0;t=3600"), "{headers:?}");
        let told = (told("x-ratelimit-limit"), told("x-ratelimit-remaining"), told("x-ratelimit-reset"));
        assert_eq!(told, ("1000".into(), "0".into(), "3600".into()));
    }

    #[test]
    fn what_is_not_limited_is_not_told() {
        let (standings, mut headers) = (Standings::default(), HeaderMap::new());
        standings.note_requests(&[Standing::FREE]);
        standings.write(&mut headers);
        assert!(standings.are_known() && headers.is_empty());
    }
}
