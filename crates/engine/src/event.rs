//! What a link tells its owner, in the order in which it happened.

use sanasend_model::session::LinkEnd;
use sanasend_model::{Jid, MessageStatus, PhoneNumber, Timestamp};
use sanasend_store::Peer;
use serde_json::Value;
use std::fmt;
use std::time::Duration;

/// The text of a QR code, for WhatsApp's "linked devices" screen.
#[derive(Clone, PartialEq, Eq)]
pub struct QrCode {
    /// What the picture has to hold, letter by letter.
    pub text: String,
    /// For how long it can be used; a next one follows by itself.
    pub expires_in: Duration,
}

/// The text of a code links an account: it is not for logs.
impl fmt::Debug for QrCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QrCode(for {:?})", self.expires_in)
    }
}

/// Something that happened to a link.
#[derive(Clone, PartialEq)]
pub enum LinkEvent {
    /// A QR code waits to be scanned; it replaces the one before.
    Code(QrCode),
    /// A pairing code waits to be typed in on the phone.
    PairCode {
        /// Eight characters, without a dash.
        code: String,
        /// For how long it can be used.
        expires_in: Duration,
    },
    /// WhatsApp wants a passkey of the person; answer with [`crate::Link::passkey_response`].
    PasskeyRequested {
        /// `PublicKeyCredentialRequestOptions`, verbatim from WhatsApp.
        options: Value,
    },
    /// The last step of a link by passkey; confirm with [`crate::Link::passkey_confirm`].
    PasskeyCode {
        /// The code that the phone shows as well.
        code: String,
        /// Whether people have to compare it.
        show: bool,
    },
    /// The account is linked, and its credentials are durable.
    Paired {
        /// The number of the account.
        phone: Option<PhoneNumber>,
        /// The account's id by number.
        jid: Jid,
        /// The account's id that hides the number.
        lid: Option<Jid>,
        /// The name that people see, where it is known already.
        push_name: Option<String>,
        /// Name of the business, for WhatsApp Business accounts.
        business: Option<String>,
    },
    /// Connected, logged in and answering.
    Connected,
    /// The name of the account, as people see it, became known.
    Named {
        /// The name.
        push_name: String,
    },
    /// WhatsApp's server answered a message that was sent.
    Ack {
        /// The message's WhatsApp id.
        wa_message_id: String,
        /// When, by WhatsApp's clock where it says so.
        at: Timestamp,
        /// `None` when it was taken; else the code of the refusal, like `463`.
        error: Option<String>,
    },
    /// A device of somebody else reports on messages of this account.
    Receipt {
        /// The messages' WhatsApp ids.
        wa_message_ids: Vec<String>,
        /// The chat they are in.
        chat: Jid,
        /// Who reports, where it is not the chat itself; with both ids where both are known.
        by: Option<Peer>,
        /// `Delivered`, `Read` or `Played`.
        status: MessageStatus,
        /// When.
        at: Timestamp,
    },
    /// A device of the recipient could not read a message; the client library sends it again by itself.
    RetryAsked {
        /// The messages' WhatsApp ids.
        wa_message_ids: Vec<String>,
        /// The chat they are in.
        chat: Jid,
    },
    /// A device of somebody else could not get the file of a message from WhatsApp's media host. Nothing follows by itself: in
    /// what we know of the protocol it is a phone that leaves a file again, on the wish of its own companions.
    FileMissed {
        /// The messages' WhatsApp ids.
        wa_message_ids: Vec<String>,
        /// The chat they are in.
        chat: Jid,
    },
    /// WhatsApp does not let this account write to people who never wrote to it.
    ReachoutLimited {
        /// Until when, where WhatsApp says so.
        until: Option<Timestamp>,
    },
    /// The connection is gone; it is being restored by itself.
    Offline {
        /// What happened, for people.
        reason: String,
    },
    /// This link is finished, nothing of it runs any more; a new one can be opened over the same rows.
    Ended(LinkEnd),
}

impl LinkEvent {
    /// Whether WhatsApp counts it as told and does not tell it again: whoever hears it has to keep it.
    #[must_use]
    pub const fn is_told_once(&self) -> bool {
        matches!(self, Self::Ack { .. } | Self::Receipt { .. })
    }
}

/// Codes and passkeys are not for logs.
impl fmt::Debug for LinkEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => code.fmt(f),
            Self::PairCode { .. } => f.write_str("PairCode"),
            Self::PasskeyRequested { .. } => f.write_str("PasskeyRequested"),
            Self::PasskeyCode { .. } => f.write_str("PasskeyCode"),
            Self::Paired { jid, .. } => write!(f, "Paired({jid})"),
            Self::Connected => f.write_str("Connected"),
            Self::Named { .. } => f.write_str("Named"),
            Self::Ack { wa_message_id, error, .. } => write!(f, "Ack({wa_message_id}, {error:?})"),
            Self::Receipt { wa_message_ids, status, .. } => write!(f, "Receipt({wa_message_ids:?}, {status})"),
            Self::RetryAsked { wa_message_ids, .. } => write!(f, "RetryAsked({wa_message_ids:?})"),
            Self::FileMissed { wa_message_ids, .. } => write!(f, "FileMissed({wa_message_ids:?})"),
            Self::ReachoutLimited { until } => write!(f, "ReachoutLimited({until:?})"),
            Self::Offline { reason } => write!(f, "Offline({reason})"),
            Self::Ended(end) => write!(f, "Ended({end:?})"),
        }
    }
}
