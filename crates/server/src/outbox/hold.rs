//! Whether a message goes at once or waits: for the date that its sender set, or for the end of quiet hours.

use sanasend_model::quiet::{QuietHours, wall_text};
use sanasend_model::{Recipient, Timestamp};

/// When a sender wants a message sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct When {
    /// At this time, if not at once.
    pub scheduled_at: Option<Timestamp>,
    /// Whether quiet hours hold it; `None` for as the user's setting says.
    pub quiet_hours: Option<bool>,
    /// When it makes no sense any more; `None`: some time after it was due, as the operator has set it.
    pub expires_at: Option<Timestamp>,
}

/// For what a message waits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hold {
    /// Until when; `None`: it goes at once.
    pub due: Option<Timestamp>,
    /// Why, for its timeline.
    pub reason: Option<String>,
}

/// Decides for a message that is accepted at `now`. Its date counts first; then quiet hours at that moment, where the recipient
/// lives.
#[must_use]
pub fn hold(hours: Option<QuietHours>, recipient: &Recipient, when: When, now: Timestamp) -> Hold {
    let hours = hours.unwrap_or_default();
    let asked = when.scheduled_at.unwrap_or(now);
    let quiet = when.quiet_hours.unwrap_or(hours.enabled).then(|| hours.until(recipient, asked)).flatten();
    if let Some((until, zone)) = quiet {
        let reason = format!("Held until {until}, {}: quiet hours from {} to {}.", wall_text(zone, until), hours.from, hours.to);
        return Hold { due: Some(until), reason: Some(reason) };
    }
    Hold { due: when.scheduled_at, reason: when.scheduled_at.map(|due| format!("Scheduled for {due} by its sender.")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a time")
    }

    #[test]
    fn a_message_waits_for_its_date_and_for_the_morning() {
        let to = Recipient::parse("+4915112345678").expect("a recipient");
        let on = QuietHours { enabled: true, ..QuietHours::default() };
        let (noon, night, morning) = (at("2026-11-27T11:00:00Z"), at("2026-11-27T22:00:00Z"), at("2026-11-28T07:00:00Z"));
        let when = |scheduled_at, quiet_hours| When { scheduled_at, quiet_hours, expires_at: None };
        for (hours, when, now, due) in [
            (None, when(None, None), night, None),
            (Some(on), when(None, None), noon, None),
            (Some(on), when(None, None), night, Some(morning)),
            (Some(on), when(None, Some(false)), night, None),
            (None, when(None, Some(true)), night, Some(morning)),
            (Some(on), when(Some(night), None), noon, Some(morning)),
            (Some(on), when(Some(night), Some(false)), noon, Some(night)),
            (Some(on), when(Some(morning), None), night, Some(morning)),
        ] {
            let held = hold(hours, &to, when, now);
            assert_eq!(held.due, due, "{hours:?} {when:?} {now}");
            assert_eq!(held.reason.is_some(), due.is_some());
        }
        let reason = hold(Some(on), &to, When::default(), night).reason.expect("a reason");
        assert_eq!(reason, "Held until 2026-11-28T07:00:00.000Z, 08:00 in Europe/Berlin: quiet hours from 21:00 to 08:00.");
    }
}
