//! When a message is tried again, and when it is given up.
//!
//! Errors that can pass are tried again with growing, jittered waits until the message's deadline; errors
//! that can't pass fail at once. A re-send always carries the WhatsApp message id of the first try.

use crate::{Failure, Timestamp};
use std::time::Duration;

/// First wait after a failed attempt.
pub const RETRY_MIN: Duration = Duration::from_secs(2);
/// Longest wait between two attempts.
pub const RETRY_MAX: Duration = Duration::from_mins(10);
/// How long the acknowledgement of WhatsApp's server may take before the message counts as unanswered.
pub const ACK_TIMEOUT: Duration = Duration::from_secs(20);
/// How long after its acceptance (or date) a message is given up when no other deadline was set.
pub const DEFAULT_DEADLINE: Duration = Duration::from_hours(24);

/// Why an attempt came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptError {
    /// The account is not connected; nothing was written.
    Offline,
    /// Written, and no acknowledgement came in time or before the connection broke.
    Unanswered,
    /// WhatsApp asks for patience (429 and its like).
    Limited {
        /// How long, where WhatsApp says so.
        wait: Option<Duration>,
    },
    /// WhatsApp's server refused it with a code of its `<ack error>`.
    Nack {
        /// The code as written there, like `463`.
        code: String,
    },
    /// It could not be built or encrypted now, for a cause that can pass (storage, keys not fetched).
    Transient {
        /// For people.
        reason: String,
    },
    /// The number has no WhatsApp account.
    NotOnWhatsApp,
    /// The recipient wants no messages of the user.
    OptedOut,
    /// Its file can never be handed over.
    Media {
        /// For people.
        reason: String,
    },
    /// It can never be sent.
    Impossible {
        /// For people.
        reason: String,
    },
}

/// What to do with the message now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Try again at this time.
    RetryAt(Timestamp),
    /// Wait until the account is connected again, then try at once.
    WhenConnected,
    /// Give up.
    Fail(Failure, String),
}

/// The wait before attempt `attempts + 1`, with up to 25 % jitter; `jitter` is a random number in `0..=255`.
#[must_use]
pub fn backoff(attempts: u32, jitter: u8) -> Duration {
    let base = RETRY_MIN.saturating_mul(1_u32 << attempts.saturating_sub(1).min(12)).min(RETRY_MAX);
    base + base.mul_f64(f64::from(jitter) / 255.0 / 4.0)
}

/// Decides after attempt number `attempts` failed with `error`.
///
/// `written_before` is whether any attempt was ever written to the socket: then giving up means
/// [`Failure::OutcomeUnknown`], never a claim that nothing left.
#[must_use]
pub fn judge(error: &AttemptError, attempts: u32, written_before: bool, deadline: Timestamp, now: Timestamp, jitter: u8) -> Verdict {
    let permanent = match error {
        AttemptError::NotOnWhatsApp => Some((Failure::NotOnWhatsApp, "The number is not on WhatsApp.".to_owned())),
        AttemptError::OptedOut => Some(opted_out(written_before)),
        AttemptError::Media { reason } => Some((Failure::MediaNotSendable, reason.clone())),
        AttemptError::Impossible { reason } => Some((Failure::NotSendable, reason.clone())),
        AttemptError::Nack { code } => nack_failure(code),
        _ => None,
    };
    if let Some((failure, message)) = permanent {
        return Verdict::Fail(failure, message);
    }
    if now >= deadline {
        let (failure, message) = expired(written_before);
        return Verdict::Fail(failure, message);
    }
    match error {
        AttemptError::Offline => Verdict::WhenConnected,
        AttemptError::Limited { wait: Some(wait) } => Verdict::RetryAt(now.plus(*wait).min(deadline)),
        _ => Verdict::RetryAt(now.plus(backoff(attempts, jitter)).min(deadline)),
    }
}

/// The failure of a message whose deadline passed.
#[must_use]
pub fn expired(written_before: bool) -> (Failure, String) {
    if written_before {
        (Failure::OutcomeUnknown, "It was handed to WhatsApp and no acknowledgement came before the deadline; it may have arrived.".into())
    } else {
        (Failure::Expired, "It could not be handed to WhatsApp before its deadline; nothing was sent.".into())
    }
}

/// The failure of a message that may have left before the end of its account, for which what was not sent fails with `failure`
/// and `text`.
#[must_use]
pub fn left_behind(failure: Failure, text: &str) -> (Failure, String) {
    if failure == Failure::OutcomeUnknown {
        return (failure, text.into());
    }
    let text = "It was handed to WhatsApp and no acknowledgement came before the account was closed; it may have arrived.";
    (Failure::OutcomeUnknown, text.into())
}

/// The failure of a message whose recipient opted out after it was accepted.
#[must_use]
pub fn opted_out(written_before: bool) -> (Failure, String) {
    let text = if written_before {
        "The recipient opted out. An attempt before that may have arrived; it is not sent again."
    } else {
        "The recipient opted out before it was sent; nothing was sent."
    };
    (Failure::RecipientOptedOut, text.into())
}

/// Which nack codes can't pass. 463 is never retried blindly: doing so gets accounts locked.
fn nack_failure(code: &str) -> Option<(Failure, String)> {
    match code {
        "463" => Some((
            Failure::ReachoutLimited,
            "WhatsApp limits messages to people who never wrote to this account (463); it was not retried.".into(),
        )),
        "400" | "401" | "403" | "404" | "405" | "406" | "440" | "475" | "479" | "487" | "488" | "491" | "495" => {
            Some((Failure::Rejected, format!("WhatsApp refused the message with code {code}.")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const NOW: Timestamp = Timestamp(0);
    const LATER: Timestamp = Timestamp(86_400_000);

    #[rstest]
    #[case(AttemptError::Offline, Verdict::WhenConnected)]
    #[case(AttemptError::Unanswered, Verdict::RetryAt(Timestamp(2_000)))]
    #[case(AttemptError::Nack { code: "500".into() }, Verdict::RetryAt(Timestamp(2_000)))]
    #[case(AttemptError::Limited { wait: Some(Duration::from_secs(9)) }, Verdict::RetryAt(Timestamp(9_000)))]
    fn what_can_pass_is_tried_again(#[case] error: AttemptError, #[case] verdict: Verdict) {
        assert_eq!(judge(&error, 1, false, LATER, NOW, 0), verdict);
    }

    #[rstest]
    #[case(AttemptError::NotOnWhatsApp, Failure::NotOnWhatsApp)]
    #[case(AttemptError::Nack { code: "463".into() }, Failure::ReachoutLimited)]
    #[case(AttemptError::Nack { code: "479".into() }, Failure::Rejected)]
    #[case(AttemptError::Media { reason: "x".into() }, Failure::MediaNotSendable)]
    #[case(AttemptError::Impossible { reason: "x".into() }, Failure::NotSendable)]
    fn what_can_not_pass_fails_at_once(#[case] error: AttemptError, #[case] failure: Failure) {
        assert!(matches!(judge(&error, 1, false, LATER, NOW, 0), Verdict::Fail(f, _) if f == failure));
    }

    #[test]
    fn past_the_deadline_nothing_is_tried_and_what_may_have_left_is_called_unknown() {
        for (written, failure) in [(false, Failure::Expired), (true, Failure::OutcomeUnknown)] {
            assert!(matches!(judge(&AttemptError::Unanswered, 3, written, NOW, NOW, 0), Verdict::Fail(f, _) if f == failure));
        }
    }

    #[test]
    fn waits_grow_to_ten_minutes_and_jitter_adds_at_most_a_quarter() {
        assert_eq!(backoff(1, 0), Duration::from_secs(2));
        assert_eq!(backoff(30, 0), RETRY_MAX);
        assert_eq!(backoff(1, 255), Duration::from_millis(2_500));
    }

    #[test]
    fn no_retry_lies_beyond_the_deadline() {
        let deadline = Timestamp(500);
        assert_eq!(judge(&AttemptError::Unanswered, 9, true, deadline, NOW, 255), Verdict::RetryAt(deadline));
    }
}
