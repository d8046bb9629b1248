//! The truth about a linked account at this moment, as its driver sees it.
//!
//! Kept in a `watch` channel beside the database row: the row is what is remembered, this is what is. Codes and
//! passkey options live only here, so that nothing that links an account is ever written down.

use sanasend_model::{Jid, PhoneNumber, Reason, ReasonCode, SessionStatus, Timestamp};
use sanasend_store::Session;
use serde_json::Value;
use std::fmt;

/// What a session is right now.
#[derive(Debug, Clone, PartialEq)]
pub struct Live {
    /// The status people see.
    pub status: SessionStatus,
    /// Why it is so, where there is something to say.
    pub reason: Option<Reason>,
    /// Whether the account's credentials are whole.
    pub linked: bool,
    /// The QR code that can be scanned now.
    pub qr: Option<Code>,
    /// The pairing code that can be typed in now.
    pub pair_code: Option<Code>,
    /// What WhatsApp wants a passkey for: `PublicKeyCredentialRequestOptions`.
    pub passkey: Option<Value>,
    /// The code that the person compares at the end of a link by passkey; empty when there is nothing to compare.
    pub passkey_code: Option<String>,
    /// Until when WhatsApp limits the account.
    pub limited_until: Option<Timestamp>,
    /// Since when messages wait for the account's pacing, without a break.
    pub paced_since: Option<Timestamp>,
    /// The account's number.
    pub phone: Option<PhoneNumber>,
    /// The account's id by number.
    pub jid: Option<Jid>,
    /// The account's id that hides the number.
    pub lid: Option<Jid>,
    /// The account's name, as people see it.
    pub push_name: Option<String>,
    /// Since when it is connected.
    pub connected_at: Option<Timestamp>,
}

impl Live {
    /// What the row says while no driver runs: nothing can be connected then, whatever was written last.
    pub fn at_rest(row: &Session) -> Self {
        let (status, reason) = match row.status {
            SessionStatus::Disconnected | SessionStatus::LoggedOut | SessionStatus::Failed => (row.status, row.reason.clone()),
            _ => (SessionStatus::Disconnected, Some(Reason::new(ReasonCode::Restarting, "The server was restarted."))),
        };
        Self {
            status,
            reason,
            linked: row.linked,
            qr: None,
            pair_code: None,
            passkey: None,
            passkey_code: None,
            limited_until: row.limited_until,
            paced_since: None,
            phone: row.phone.clone(),
            jid: row.jid.clone(),
            lid: row.lid.clone(),
            push_name: row.push_name.clone(),
            connected_at: row.connected_at,
        }
    }

    /// What the row says of an account that another node runs: that node keeps the row true, but for codes.
    pub fn elsewhere(row: &Session) -> Self {
        Self { status: row.status, reason: row.reason.clone(), ..Self::at_rest(row) }
    }

    /// Forgets every code and passkey: none of them can be used any more.
    pub fn drop_codes(&mut self) {
        self.qr = None;
        self.pair_code = None;
        self.passkey = None;
        self.passkey_code = None;
    }

    /// Whether a person waiting for a way to link has something to look at: a code, a passkey, or the end.
    pub fn shows_the_way(&self) -> bool {
        let coded = self.qr.is_some() || self.pair_code.is_some() || self.passkey.is_some();
        coded
            || matches!(
                self.status,
                SessionStatus::Connected | SessionStatus::Failed | SessionStatus::LoggedOut | SessionStatus::Disconnected
            )
    }
}

/// A code that links an account, and until when.
#[derive(Clone, PartialEq, Eq)]
pub struct Code {
    /// What the picture holds, or the eight characters.
    pub text: String,
    /// From then on it is worthless.
    pub expires_at: Timestamp,
}

/// The text of a code links an account: it is not for logs.
impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code(until {})", self.expires_at)
    }
}
