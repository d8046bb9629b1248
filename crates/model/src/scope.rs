//! What an API key may do.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

macro_rules! scopes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A permission of an API key. A key made without a list gets every scope of this list.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Scope { $($(#[$doc])* #[serde(rename = $text)] $name,)* }

        impl Scope {
            /// Every scope there is.
            pub const ALL: &'static [Scope] = &[$(Scope::$name,)*];

            /// The name in requests and answers.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }

        impl FromStr for Scope {
            type Err = ();
            fn from_str(text: &str) -> Result<Self, ()> {
                match text { $($text => Ok(Self::$name),)* _ => Err(()) }
            }
        }
    };
}

scopes! {
    /// Send, cancel and retry messages.
    MessagesSend = "messages:send",
    /// Read messages and their timelines.
    MessagesRead = "messages:read",
    /// Link, disconnect and reconnect WhatsApp accounts.
    SessionsManage = "sessions:manage",
    /// Read the status of WhatsApp accounts.
    SessionsRead = "sessions:read",
    /// Read the event log and the live streams.
    EventsRead = "events:read",
    /// Manage webhook endpoints, look at their deliveries, replay them.
    WebhooksManage = "webhooks:manage",
    /// Read the own usage and limits.
    UsageRead = "usage:read",
    /// Read campaigns, their recipients and reports.
    CampaignsRead = "campaigns:read",
    /// Make, start, hold and end campaigns.
    CampaignsManage = "campaigns:manage",
    /// Read templates and their versions.
    TemplatesRead = "templates:read",
    /// Make, change, try out and delete templates.
    TemplatesWrite = "templates:write",
    /// Read contacts, their tags and groups, and who opted out.
    ContactsRead = "contacts:read",
    /// Change, import and erase contacts, and opt people out and in.
    ContactsWrite = "contacts:write",
}

impl Scope {
    /// Whether a key with this scope may do what asks for `wanted`: whoever may change accounts or contacts may look at
    /// them too.
    #[must_use]
    pub fn covers(self, wanted: Self) -> bool {
        let pair = (self, wanted);
        self == wanted
            || matches!(pair, (Self::SessionsManage, Self::SessionsRead) | (Self::TemplatesWrite, Self::TemplatesRead))
            || matches!(pair, (Self::ContactsWrite, Self::ContactsRead) | (Self::CampaignsManage, Self::CampaignsRead))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
