//! Identifiers: a type per concept, so that a message's id can't be passed for a session's.

use crate::Clock;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id (UUIDv7) of the clock's present moment.
            pub fn new(clock: &dyn Clock) -> Self {
                Self(clock.uuid())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id!(
    /// A user: a tenant that owns everything of its own.
    UserId
);
id!(
    /// An API key of a user.
    ApiKeyId
);
id!(
    /// A linked WhatsApp account (never a login, never a Signal session).
    SessionId
);
id!(
    /// A message as the API knows it; WhatsApp's own id is a string beside it.
    MessageId
);
id!(
    /// A person's login: a family of refresh tokens.
    LoginId
);
id!(
    /// A stored file, which any number of messages of one user may carry.
    FileId
);

id!(
    /// An entry of the event log, as webhooks and streams name it.
    EventId
);
id!(
    /// A piece of work in the queue of jobs.
    JobId
);
id!(
    /// A webhook endpoint of a user.
    WebhookId
);
id!(
    /// The delivery of one event to one endpoint.
    DeliveryId
);
id!(
    /// A campaign of a user.
    CampaignId
);
id!(
    /// A template of a user, in one language.
    TemplateId
);
id!(
    /// A recurring send of a user.
    ScheduleId
);
id!(
    /// A contact of a user.
    ContactId
);
id!(
    /// One time that somebody opted out.
    OptOutId
);
id!(
    /// An import of contacts or of opt-outs.
    ImportId
);
