//! Names of the entries of the event log: `<noun>.<past participle>`, the same word in code, log, webhook
//! and docs.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What an entry of the event log tells.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum EventKind { $($(#[$doc])* #[serde(rename = $text)] $name,)* }

        impl EventKind {
            /// Every kind there is, in the order of the documentation.
            pub const ALL: &'static [EventKind] = &[$(EventKind::$name,)*];

            /// The name told outside.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }

        impl FromStr for EventKind {
            type Err = ();
            fn from_str(text: &str) -> Result<Self, ()> {
                match text { $($text => Ok(Self::$name),)* _ => Err(()) }
            }
        }
    };
}

events! {
    /// A message was accepted and is on disk.
    MessageAccepted = "message.accepted",
    /// WhatsApp's server acknowledged a message.
    MessageSent = "message.sent",
    /// A message reached a device of the recipient.
    MessageDelivered = "message.delivered",
    /// The recipient read a message.
    MessageRead = "message.read",
    /// The recipient played a voice note or video.
    MessagePlayed = "message.played",
    /// A message will not be sent any more; the reason is in it.
    MessageFailed = "message.failed",
    /// A message was taken back before it left.
    MessageCanceled = "message.canceled",
    /// A failed message was put back on its way.
    MessageRetried = "message.retried",
    /// A message was accepted and is on disk, and waits for its date; told instead of `message.accepted`.
    MessageScheduled = "message.scheduled",
    /// The date or the content of a message that waits for its date was changed.
    MessageRescheduled = "message.rescheduled",
    /// The date of a message has come: it is on its way.
    MessageReleased = "message.released",
    /// A message came in.
    MessageReceived = "message.received",
    /// Somebody put an emoji on a message, changed it or took it away.
    MessageReacted = "message.reacted",
    /// The author of a message changed its text.
    MessageEdited = "message.edited",
    /// A message was deleted for everyone.
    MessageDeleted = "message.deleted",
    /// Somebody chose answers in a poll, changed them or took them back.
    MessageVoted = "message.voted",
    /// A linked account changed its status.
    SessionChanged = "session.changed",
    /// A new QR or pairing code is there to be used.
    SessionCodeIssued = "session.code_issued",
    /// A webhook endpoint was switched off because it kept failing, or because its receiver is gone.
    WebhookDisabled = "webhook.disabled",
    /// A test was sent to a webhook endpoint; only that endpoint is told.
    WebhookTested = "webhook.tested",
    /// A campaign began, or goes on after it had stopped.
    CampaignStarted = "campaign.started",
    /// A campaign has accepted or skipped recipients; told at most once a second.
    CampaignProgressed = "campaign.progressed",
    /// A campaign was held by its owner.
    CampaignPaused = "campaign.paused",
    /// A campaign that was held goes on.
    CampaignResumed = "campaign.resumed",
    /// Every recipient of a campaign has an outcome.
    CampaignFinished = "campaign.finished",
    /// A campaign ended itself; the reason is in it.
    CampaignStopped = "campaign.stopped",
    /// A campaign was ended by its owner.
    CampaignCanceled = "campaign.canceled",
    /// A linked account fares better or worse than before.
    SessionHealthChanged = "session.health_changed",
    /// A recurring send was due, and no message was accepted for it; the reason is in it.
    ScheduleFailed = "schedule.failed",
    /// Somebody wants no more messages of the user.
    ContactOptedOut = "contact.opted_out",
    /// Somebody who had opted out wants messages again.
    ContactOptedIn = "contact.opted_in",
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
