//! An open link of one account: what can be asked of it.

use crate::supervisor::{Shared, Supervisor};
use crate::{EngineError, attempt, jid, passkey};
use sanasend_model::retry::AttemptError;
use sanasend_model::{Jid, LinkPreview, PhoneNumber};
use sanasend_store::Quoted;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use whatsapp_rust::features::{ChatStateType, IsOnWhatsAppResult};
use whatsapp_rust::pair_code::PairCodeOptions;
use whatsapp_rust::wacore::iq::devices::RemoveCompanionDeviceSpec;
use whatsapp_rust::wacore::proto_helpers::MessageBuilderExt;
use whatsapp_rust::wacore_binary::Jid as WireJid;
use whatsapp_rust::waproto::buffa::MessageField;
use whatsapp_rust::waproto::whatsapp::message::ExtendedTextMessage;
use whatsapp_rust::waproto::whatsapp::{ContextInfo, Message};
use whatsapp_rust::{Client, SendOptions};

/// How long a pairing code waits for the connection that carries it.
const CODE_READY: Duration = Duration::from_secs(20);
/// How long WhatsApp may take to take note of a log-out.
const LOG_OUT: Duration = Duration::from_secs(10);

/// A text on its way.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The id chosen when the message was accepted ([`crate::new_message_id`]); the same at every try.
    pub wa_message_id: String,
    /// A person by number or hidden id, or a group.
    pub to: Jid,
    /// The text.
    pub text: String,
    /// What is shown of the page that it links to.
    pub preview: Option<LinkPreview>,
    /// The message it answers.
    pub quoted: Option<Quoted>,
}

/// Texts of people are not for logs.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outgoing({} to {})", self.wa_message_id, self.to)
    }
}

/// What an account is seen doing in a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typing {
    /// A text is being written.
    Composing,
    /// A voice note is being recorded.
    Recording,
    /// Neither any more.
    Paused,
}

/// What WhatsApp knows of a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The number that was asked for.
    pub phone: PhoneNumber,
    /// Its id by number; `None` when it is not on WhatsApp. It can be another number than the one asked for:
    /// some countries' numbers have two spellings.
    pub jid: Option<Jid>,
    /// Its id that hides the number.
    pub lid: Option<Jid>,
}

/// One client of one account. Ends once; then a new one is opened. Dropping it ends it too, without waiting.
pub struct Link {
    shared: Arc<Shared>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("alive", &self.is_alive()).finish_non_exhaustive()
    }
}

impl Link {
    /// Starts `supervisor` on a task of its own and holds on to it.
    pub(crate) fn over(supervisor: Supervisor) -> Self {
        let shared = Arc::clone(&supervisor.shared);
        tokio::spawn(supervisor.run());
        Self { shared }
    }

    /// Encrypts a text and writes it to the socket. `Ok` means written: the answer of WhatsApp's server comes
    /// as [`crate::LinkEvent::Ack`]. The same `wa_message_id` may be sent again after a failure or a crash.
    ///
    /// # Errors
    /// `Offline` when nothing could be written, `Unanswered` when it is not known, others as they are named.
    pub async fn send_text(&self, message: Outgoing) -> Result<(), AttemptError> {
        let (to, wa_message_id) = (message.to.clone(), message.wa_message_id.clone());
        self.send(&to, &wa_message_id, compose(message)).await
    }

    /// Encrypts a composed message and writes it to the socket.
    pub(crate) async fn send(&self, to: &Jid, wa_message_id: &str, message: Message) -> Result<(), AttemptError> {
        let client = self.alive().ok_or(AttemptError::Offline)?;
        let to = jid::to_wire(to).ok_or_else(|| AttemptError::Impossible { reason: "The recipient is not an id of WhatsApp.".into() })?;
        let options = SendOptions::default().with_message_id(wa_message_id);
        let sent = client.send_message_with_options(to, message, options).await;
        sent.map(|_| ()).map_err(|error| attempt::sending(&error))
    }

    /// Asks WhatsApp which of these numbers have an account, and their ids. Answers in the same order.
    ///
    /// # Errors
    /// `Offline`, `Limited` or `Transient`.
    pub async fn lookup(&self, phones: &[PhoneNumber]) -> Result<Vec<Found>, AttemptError> {
        let client = self.alive().ok_or(AttemptError::Offline)?;
        let answers = ask(client, phones).await?;
        let mut found = Vec::with_capacity(phones.len());
        for phone in phones {
            let of_phone = |answer: &&IsOnWhatsAppResult| number(answer).is_some_and(|jid| jid.user.as_str() == phone.digits());
            match answers.iter().find(of_phone) {
                Some(answer) => found.push(read(phone, Some(answer))),
                // WhatsApp spelt it in another way: alone, its answer can't be mistaken.
                None => found.push(read(phone, ask(client, std::slice::from_ref(phone)).await?.first())),
            }
        }
        Ok(found)
    }

    /// Asks for a code to type in on the phone, instead of a QR code. Returns the 8 characters; they are told
    /// as [`crate::LinkEvent::PairCode`] too. Waits for the connection if it is still being made.
    ///
    /// # Errors
    /// `Offline` when no connection comes in time, `RetryAfter` or `Rejected` when WhatsApp refuses.
    pub async fn pair_with_code(&self, phone: &PhoneNumber) -> Result<String, EngineError> {
        let mut pairing = self.shared.pairing.subscribe();
        let mut over = self.shared.over.subscribe();
        let ready = tokio::select! {
            ready = tokio::time::timeout(CODE_READY, pairing.wait_for(|pairing| *pairing)) => ready.is_ok(),
            _ = over.wait_for(|over| *over) => false,
        };
        let client = self.shared.client.get().filter(|_| ready).ok_or(EngineError::Offline)?;
        let options = PairCodeOptions { phone_number: phone.digits().to_owned(), ..Default::default() };
        client.pair_with_code(options).await.map_err(|error| attempt::pairing(&error))
    }

    /// Hands over the person's answer to [`crate::LinkEvent::PasskeyRequested`]: a WebAuthn
    /// `PublicKeyCredential` in its JSON form.
    ///
    /// # Errors
    /// `Rejected` when it has not that form or nothing was asked.
    pub async fn passkey_response(&self, credential: Value) -> Result<(), EngineError> {
        let assertion = passkey::assertion(&credential)?;
        let client = self.shared.client.get().ok_or(EngineError::Offline)?;
        client.send_passkey_response(assertion).await.map_err(|error| EngineError::Rejected(error.to_string()))
    }

    /// Says that the person saw the same code ([`crate::LinkEvent::PasskeyCode`]) on the phone.
    ///
    /// # Errors
    /// `Rejected` when nothing waits for it.
    pub async fn passkey_confirm(&self) -> Result<(), EngineError> {
        let client = self.shared.client.get().ok_or(EngineError::Offline)?;
        client.send_passkey_confirmation().await.map_err(|error| EngineError::Rejected(error.to_string()))
    }

    /// Marks messages as read, so that their sender sees it. `sender` is needed in groups only.
    ///
    /// # Errors
    /// `Offline` or `Transient`.
    pub async fn mark_read(&self, chat: &Jid, sender: Option<&Jid>, wa_message_ids: Vec<String>) -> Result<(), AttemptError> {
        let client = self.alive().ok_or(AttemptError::Offline)?;
        let impossible = || AttemptError::Impossible { reason: "The chat is not an id of WhatsApp.".into() };
        let chat = jid::to_wire(chat).ok_or_else(impossible)?;
        let sender = sender.and_then(jid::to_wire);
        let ids: Vec<&str> = wa_message_ids.iter().map(String::as_str).collect();
        let marked = client.mark_as_read(&chat, sender.as_ref(), &ids).await;
        marked.map_err(|error| AttemptError::Transient { reason: error.to_string() })
    }

    /// Shows a chat what the account is doing, for as long as WhatsApp's clients believe it (about 25 s).
    ///
    /// # Errors
    /// `Offline` or `Transient`.
    pub async fn show_typing(&self, chat: &Jid, state: Typing) -> Result<(), AttemptError> {
        let client = self.alive().ok_or(AttemptError::Offline)?;
        let chat = jid::to_wire(chat).ok_or_else(|| AttemptError::Impossible { reason: "The chat is not an id of WhatsApp.".into() })?;
        let state = match state {
            Typing::Composing => ChatStateType::Composing,
            Typing::Recording => ChatStateType::Recording,
            Typing::Paused => ChatStateType::Paused,
        };
        client.chatstate().send(&chat, state).await.map_err(|error| AttemptError::Transient { reason: error.to_string() })
    }

    /// Whether the link is connected and logged in at this moment.
    pub fn is_alive(&self) -> bool {
        self.alive().is_some()
    }

    /// Unlinks the account at WhatsApp and ends the link, as [`Link::close`] does. `Ok(true)` when WhatsApp was
    /// told, `Ok(false)` when it could not be reached: then the person has to remove the device by hand.
    /// The rows are still there.
    ///
    /// # Errors
    /// None so far; kept for refusals by WhatsApp.
    pub async fn log_out(&self) -> Result<bool, EngineError> {
        // WhatsApp's own "you are logged out" is no news to who asked for it.
        self.shared.hushed.store(true, Ordering::Release);
        let told = match self.alive().and_then(|client| Some((client, client.pn()?))) {
            Some((client, own)) => {
                let told = tokio::time::timeout(LOG_OUT, client.execute(RemoveCompanionDeviceSpec::new(&own))).await;
                matches!(told, Ok(Ok(())))
            }
            None => false,
        };
        self.close().await;
        // WhatsApp ends the connection in the same breath, and its answer may be lost in that; what the link heard
        // last then says it.
        Ok(told || self.shared.unlinked.load(Ordering::Acquire))
    }

    /// Ends the link: what is in memory is flushed, the connection closed, every task stopped. No event is told afterwards;
    /// of what came meanwhile, acknowledgements and receipts were told before this returns, since they are not told again.
    pub async fn close(&self) {
        self.hush_and_stop();
        // The sender lives as long as the link, so this only ends when the link is over.
        let _ = self.shared.over.subscribe().wait_for(|over| *over).await;
    }

    pub(crate) fn alive(&self) -> Option<&Arc<Client>> {
        self.shared.client.get().filter(|client| client.is_connected() && client.is_logged_in())
    }

    fn hush_and_stop(&self) {
        self.shared.hushed.store(true, Ordering::Release);
        self.shared.stop.send_replace(true);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.hush_and_stop();
    }
}

/// A text as WhatsApp's web client writes it: bare, or with a context when it answers something, or with a preview.
fn compose(message: Outgoing) -> Message {
    let Outgoing { to, text, preview, quoted, .. } = message;
    let context_info = quoted.map(|quoted| context(quoted, &to));
    let Some(LinkPreview { url, title, description }) = preview else {
        return match context_info {
            None => Message::text(text),
            Some(context) => Message::text_with_context(text, context),
        };
    };
    let extended = ExtendedTextMessage {
        text: Some(text),
        matched_text: Some(url),
        title: Some(title),
        description,
        context_info: context_info.map(MessageField::some).unwrap_or_default(),
        ..Default::default()
    };
    Message { extended_text_message: MessageField::some(extended), ..Default::default() }
}

/// What a message to `to` carries when it answers another.
pub(crate) fn context(quoted: Quoted, to: &Jid) -> ContextInfo {
    ContextInfo {
        stanza_id: Some(quoted.wa_message_id),
        participant: Some(quoted.participant.as_ref().unwrap_or(to).to_string()),
        quoted_message: MessageField::some(Message::text(quoted.text.unwrap_or_default())),
        ..Default::default()
    }
}

async fn ask(client: &Client, phones: &[PhoneNumber]) -> Result<Vec<IsOnWhatsAppResult>, AttemptError> {
    let jids: Vec<WireJid> = phones.iter().map(|phone| WireJid::pn(phone.digits())).collect();
    let answers = client.contacts().is_on_whatsapp(&jids).await.map_err(|error| attempt::asking(&error))?;
    match answers.iter().find_map(|answer| answer.contact_error.as_ref()) {
        Some(error) => Err(AttemptError::Transient { reason: format!("WhatsApp did not look the number up: {error:?}") }),
        None => Ok(answers),
    }
}

fn number(answer: &IsOnWhatsAppResult) -> Option<&WireJid> {
    if answer.jid.is_pn() { Some(&answer.jid) } else { answer.pn_jid.as_ref() }
}

fn read(phone: &PhoneNumber, answer: Option<&IsOnWhatsAppResult>) -> Found {
    let answer = answer.filter(|answer| answer.is_registered);
    let lid = answer.and_then(|answer| if answer.jid.is_lid() { Some(&answer.jid) } else { answer.lid.as_ref() });
    let jid = answer.map(|answer| number(answer).and_then(jid::from_wire).unwrap_or_else(|| phone.jid()));
    Found { phone: phone.clone(), jid, lid: lid.and_then(jid::from_wire) }
}
