//! How a caller stands against its limits, as every answer tells it: `RateLimit`, `RateLimit-Policy` (the IETF's draft,
//! one entry per limit) and `X-RateLimit-*` (what most clients know: the limit of requests that is nearest).
//!
//! Apart from the middleware, which decides nothing about the form.

use axum::http::{HeaderMap, HeaderValue};
use sanasend_model::limit::Standing;
use std::sync::OnceLock;
use std::time::Duration;

/// The limits that one request was counted against; each is known once it was asked.
#[derive(Debug, Default)]
pub struct Standings {
    requests: OnceLock<Standing>,
    key: OnceLock<Standing>,
    messages: OnceLock<Standing>,
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

    /// Whether requests were counted at all.
    pub fn are_known(&self) -> bool {
        self.requests.get().is_some()
    }

    /// Writes the headers. What is not limited is not told.
    pub fn write(&self, headers: &mut HeaderMap) {
        let known = [("requests", &self.requests), ("key", &self.key), ("messages", &self.messages)];
        let limited = known.into_iter().filter_map(|(name, standing)| Some((name, *standing.get()?))).filter(|(_, how)| how.limit > 0);
        let limited: Vec<(&str, Standing)> = limited.collect();
        let list = |entry: &dyn Fn(&(&str, Standing)) -> String| limited.iter().map(entry).collect::<Vec<_>>().join(", ");
        if limited.is_empty() {
            return;
        }
        put(headers, "ratelimit-policy", &list(&|(name, how)| format!("\"{name}\";q={};w=60", how.limit)));
        put(headers, "ratelimit", &list(&|(name, how)| format!("\"{name}\";r={};t={}", how.remaining, seconds(how.reset))));
        let nearest = limited.iter().filter(|(name, _)| *name != "messages").min_by_key(|(_, how)| how.remaining);
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
    fn what_is_not_limited_is_not_told() {
        let (standings, mut headers) = (Standings::default(), HeaderMap::new());
        standings.note_requests(&[Standing::FREE]);
        standings.write(&mut headers);
        assert!(standings.are_known() && headers.is_empty());
    }
}
