//! An open link of one account: what can be asked of it.

use crate::EngineError;
use sanasend_model::retry::AttemptError;
use sanasend_model::{Jid, PhoneNumber};
use sanasend_store::Quoted;
use serde_json::Value;
use std::fmt;

/// A text on its way.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The id chosen when the message was accepted ([`crate::new_message_id`]); the same at every try.
    pub wa_message_id: String,
    /// A person by number or hidden id, or a group.
    pub to: Jid,
    /// The text.
    pub text: String,
    /// The message it answers.
    pub quoted: Option<Quoted>,
}

/// Texts of people are not for logs.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outgoing({} to {})", self.wa_message_id, self.to)
    }
}

/// What WhatsApp knows of a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The number that was asked for.
    pub phone: PhoneNumber,
    /// Its id by number; `None` when it is not on WhatsApp.
    pub jid: Option<Jid>,
    /// Its id that hides the number.
    pub lid: Option<Jid>,
}

/// One client of one account. Ends once; then a new one is opened. Dropping it ends it too, without waiting.
pub struct Link {}

impl Link {
    /// Encrypts a text and writes it to the socket. `Ok` means written: the answer of WhatsApp's server comes
    /// as [`crate::LinkEvent::Ack`]. The same `wa_message_id` may be sent again after a failure or a crash.
    ///
    /// # Errors
    /// `Offline` when nothing could be written, `Unanswered` when it is not known, others as they are named.
    pub async fn send_text(&self, message: Outgoing) -> Result<(), AttemptError> {
        let _ = message;
        Err(AttemptError::Offline)
    }

    /// Asks WhatsApp which of these numbers have an account, and their ids.
    ///
    /// # Errors
    /// `Offline`, `Limited` or `Transient`.
    pub async fn lookup(&self, phones: &[PhoneNumber]) -> Result<Vec<Found>, AttemptError> {
        let _ = phones;
        Err(AttemptError::Offline)
    }

    /// Asks for a code to type in on the phone, instead of a QR code. Returns the 8 characters; they are told
    /// as [`crate::LinkEvent::PairCode`] too.
    ///
    /// # Errors
    /// `Offline` when no connection comes in time, `Rejected` when WhatsApp refuses.
    pub async fn pair_with_code(&self, phone: &PhoneNumber) -> Result<String, EngineError> {
        let _ = phone;
        Err(EngineError::Offline)
    }

    /// Hands over the person's answer to [`crate::LinkEvent::PasskeyRequested`]: a WebAuthn
    /// `PublicKeyCredential` in its JSON form.
    ///
    /// # Errors
    /// `Rejected` when it has not that form or nothing was asked.
    pub async fn passkey_response(&self, credential: Value) -> Result<(), EngineError> {
        let _ = credential;
        Err(EngineError::Offline)
    }

    /// Says that the person saw the same code ([`crate::LinkEvent::PasskeyCode`]) on the phone.
    ///
    /// # Errors
    /// `Rejected` when nothing waits for it.
    pub async fn passkey_confirm(&self) -> Result<(), EngineError> {
        Err(EngineError::Offline)
    }

    /// Marks messages as read, so that their sender sees it.
    ///
    /// # Errors
    /// `Offline` or `Transient`.
    pub async fn mark_read(&self, chat: &Jid, sender: Option<&Jid>, wa_message_ids: Vec<String>) -> Result<(), AttemptError> {
        let _ = (chat, sender, wa_message_ids);
        Err(AttemptError::Offline)
    }

    /// Whether the link is connected and logged in at this moment.
    pub fn is_alive(&self) -> bool {
        false
    }

    /// Unlinks the account at WhatsApp and ends the link; no event follows. `Ok(true)` when WhatsApp was
    /// told, `Ok(false)` when it could not be reached: then the person has to remove the device by hand.
    /// The rows are still there.
    ///
    /// # Errors
    /// None so far; kept for refusals by WhatsApp.
    pub async fn log_out(&self) -> Result<bool, EngineError> {
        Ok(false)
    }

    /// Ends the link: what is in memory is flushed, the connection closed, every task stopped. No event is
    /// told afterwards.
    pub async fn close(&self) {}
}
