//! From the client library's events to ours: a table, and the one handler that feeds it.
//!
//! The handler runs inside the client library and never waits: it translates and pushes into a queue without
//! bound, so that nothing is lost and nothing is held up. What needs more than a look at the event (flushing
//! the credentials, asking for a number) is done by the supervisor on the other side of the queue.

use crate::backend::Missed;
use crate::wish::Wishes;
use crate::{LinkEvent, QrCode};
use sanasend_model::session::LinkEnd;
use sanasend_model::{MessageStatus, Timestamp};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use whatsapp_rust::types::durability_hook::InboundMessage;
use whatsapp_rust::wacore::net::DisconnectReason;
use whatsapp_rust::wacore::types::events::{
    ConnectFailureReason, Event, EventHandler, EventInterest, EventKind, PairSuccess, Receipt, ServerAck,
};
use whatsapp_rust::wacore::types::presence::ReceiptType;
use whatsapp_rust::wacore_binary::Jid as WireJid;

/// What the supervisor of a link is told.
pub(crate) enum Signal {
    /// Pass it on.
    Tell(LinkEvent),
    /// The account is linked; its credentials are not on disk yet.
    Paired(PairSuccess),
    /// Logged in and ready.
    Connected,
    /// The name of the account.
    Named(String),
    /// A receipt whose chat may still go by a hidden id.
    Receipt { chat: WireJid, by: Option<WireJid>, wa_message_ids: Vec<String>, kind: ReceiptNews, at: Timestamp },
    /// What waited while the account was offline has been handed over.
    OfflineDelivered,
    /// Messages that came past the hook: recovered by the phone after they could not be read here.
    Recovered(Arc<[InboundMessage]>),
    /// A message that was read once and is not there.
    Missed(Missed),
    /// The connection is gone; the library makes a new one.
    Lost(String),
    /// No connection could be made; the library tries again.
    DialFailed(String),
    /// A connection was made, and the other side could not prove who it is, or said nothing.
    HandshakeFailed,
    /// No QR code is left, but a pairing code may still be typed in.
    OnlyPairCodeLeft,
    /// The link is over.
    End(LinkEnd),
}

impl Signal {
    /// Whether WhatsApp counts it as told and does not tell it again.
    pub(crate) const fn is_told_once(&self) -> bool {
        match self {
            Self::Tell(event) => event.is_told_once(),
            Self::Receipt { .. } | Self::Recovered(_) => true,
            _ => false,
        }
    }
}

/// Variants only: what they hold is private.
impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tell(event) => write!(f, "Tell({event:?})"),
            Self::End(end) => write!(f, "End({end:?})"),
            Self::Lost(reason) => write!(f, "Lost({reason})"),
            Self::DialFailed(reason) => write!(f, "DialFailed({reason})"),
            Self::Paired(_) => f.write_str("Paired"),
            Self::Connected => f.write_str("Connected"),
            Self::Named(_) => f.write_str("Named"),
            Self::Receipt { kind, .. } => write!(f, "Receipt({kind:?})"),
            Self::OfflineDelivered => f.write_str("OfflineDelivered"),
            Self::Recovered(_) => f.write_str("Recovered"),
            Self::Missed(missed) => write!(f, "Missed({})", missed.id),
            Self::HandshakeFailed => f.write_str("HandshakeFailed"),
            Self::OnlyPairCodeLeft => f.write_str("OnlyPairCodeLeft"),
        }
    }
}

/// What a receipt says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReceiptNews {
    /// The message got this far.
    Reached(MessageStatus),
    /// It could not be read there; the library sends it again.
    RetryAsked,
    /// Its file could not be had there.
    FileMissed,
}

/// The one handler of a link.
pub(crate) struct Handler<Now> {
    pub(crate) signals: mpsc::UnboundedSender<Signal>,
    /// Called for each event, before it is passed on: the connection got somewhere.
    pub(crate) advanced: Box<dyn Fn() + Send + Sync>,
    /// Writes wishes for messages down.
    pub(crate) wishes: Wishes,
    /// Whether an id is the account's own.
    pub(crate) own: Box<dyn Fn(&WireJid) -> bool + Send + Sync>,
    pub(crate) now: Now,
}

impl<Now: Fn() -> Timestamp + Send + Sync> EventHandler for Handler<Now> {
    fn handle_event(&self, event: Arc<Event>) {
        (self.advanced)();
        if let Event::RawNode(stanza) = &*event {
            return self.wishes.hear(stanza.get());
        }
        if let Some(signal) = translate(&event, &self.own, (self.now)()) {
            // Nobody listens any more once the link is over.
            let _ = self.signals.send(signal);
        }
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(KINDS)
    }
}

/// The kinds of events that are looked at; for the others the library does not even build one.
const KINDS: &[EventKind] = &[
    EventKind::Connected,
    EventKind::Disconnected,
    EventKind::PairSuccess,
    EventKind::PairError,
    EventKind::LoggedOut,
    EventKind::PairingQrCode,
    EventKind::PairingCode,
    EventKind::PairingQrCodesExhausted,
    EventKind::PairPasskeyRequest,
    EventKind::PairPasskeyConfirmation,
    EventKind::PairPasskeyError,
    EventKind::ClientOutdated,
    EventKind::Messages,
    EventKind::Receipt,
    EventKind::ServerAck,
    EventKind::SelfPushNameUpdated,
    EventKind::OfflineSyncCompleted,
    EventKind::StreamReplaced,
    EventKind::TemporaryBan,
    EventKind::ConnectFailure,
    EventKind::RawNode,
];

/// The table. `own` tells the account's own ids, `now` stands in where WhatsApp gives no time.
pub(crate) fn translate(event: &Event, own: &dyn Fn(&WireJid) -> bool, now: Timestamp) -> Option<Signal> {
    let signal = match event {
        Event::Connected(_) => Signal::Connected,
        Event::Disconnected(lost) => Signal::Lost(why(&lost.reason)),
        Event::PairSuccess(paired) => Signal::Paired(paired.clone()),
        Event::PairError(error) => Signal::End(LinkEnd::PairingFailed { reason: pairing_failure(&error.error) }),
        Event::PairPasskeyError(error) => {
            Signal::End(LinkEnd::PairingFailed { reason: format!("the passkey was not accepted ({})", error.error) })
        }
        Event::PairingQrCode(code) => Signal::Tell(LinkEvent::Code(QrCode { text: code.code.clone(), expires_in: code.timeout })),
        Event::PairingCode(code) => Signal::Tell(LinkEvent::PairCode { code: code.code.clone(), expires_in: code.timeout }),
        Event::PairingQrCodesExhausted(left) if left.disconnected => Signal::End(LinkEnd::CodesExhausted),
        Event::PairingQrCodesExhausted(_) => Signal::OnlyPairCodeLeft,
        Event::PairPasskeyRequest(request) => {
            Signal::Tell(LinkEvent::PasskeyRequested { options: serde_json::from_str(&request.request_options_json).ok()? })
        }
        Event::PairPasskeyConfirmation(step) => {
            Signal::Tell(LinkEvent::PasskeyCode { code: step.code.clone(), show: !step.skip_handoff_ux })
        }
        Event::SelfPushNameUpdated(update) => Signal::Named(update.new_name.clone()),
        Event::OfflineSyncCompleted(_) => Signal::OfflineDelivered,
        Event::Messages(batch) if !batch.hook_committed => Signal::Recovered(Arc::clone(&batch.messages)),
        Event::ServerAck(ack) => return acknowledged(ack, now),
        Event::Receipt(receipt) => return received(receipt, own),
        Event::LoggedOut(out) => Signal::End(LinkEnd::LoggedOut { code: code(out.reason) }),
        Event::StreamReplaced(_) => Signal::End(LinkEnd::Replaced),
        Event::TemporaryBan(ban) => Signal::End(LinkEnd::Banned {
            until: Some(now.plus(Duration::from_secs(u64::try_from(ban.expire.num_seconds()).unwrap_or(0)))),
            reason: ban.code.to_string(),
        }),
        Event::ClientOutdated(_) => Signal::End(LinkEnd::Outdated),
        Event::ConnectFailure(failure) => refused(failure.reason),
        _ => return None,
    };
    Some(signal)
}

/// The answer of WhatsApp's server to a message; those to other stanzas are the library's own business.
fn acknowledged(ack: &ServerAck, now: Timestamp) -> Option<Signal> {
    if ack.class.as_deref() != Some("message") {
        return None;
    }
    let at = ack.timestamp.map_or(now, |at| Timestamp(at.timestamp_millis()));
    Some(Signal::Tell(LinkEvent::Ack { wa_message_id: ack.id.clone(), at, error: ack.error.clone() }))
}

/// What other people's devices report. The account's own devices report too; that a message reached the
/// sender's own phone is no news.
fn received(receipt: &Receipt, own: &dyn Fn(&WireJid) -> bool) -> Option<Signal> {
    let kind = match &receipt.r#type {
        // `inactive` is a delivery to a device that nobody looks at right now.
        ReceiptType::Delivered | ReceiptType::Inactive => ReceiptNews::Reached(MessageStatus::Delivered),
        ReceiptType::Read => ReceiptNews::Reached(MessageStatus::Read),
        ReceiptType::Played => ReceiptNews::Reached(MessageStatus::Played),
        ReceiptType::Retry => ReceiptNews::RetryAsked,
        ReceiptType::ServerError => ReceiptNews::FileMissed,
        _ => return None,
    };
    let source = &receipt.source;
    if own(&source.sender) {
        return None;
    }
    // Members of a group that hides numbers are told with their number where this account may know it: by it a member is the
    // same one in every receipt.
    let member = source.sender_alt.as_ref().filter(|number| number.is_pn()).unwrap_or(&source.sender);
    Some(Signal::Receipt {
        chat: source.chat.clone(),
        by: (!source.sender.is_same_chat_as(&source.chat)).then(|| member.clone()),
        wa_message_ids: receipt.message_ids.clone(),
        kind,
        at: Timestamp(receipt.timestamp.timestamp_millis()),
    })
}

/// What follows from a `<failure>` at login that has no event of its own.
fn refused(reason: ConnectFailureReason) -> Signal {
    let number = code(reason).unwrap_or(0);
    let end = match number {
        402 => LinkEnd::Banned { until: None, reason: "WhatsApp gave no reason".into() },
        405 => LinkEnd::Outdated,
        429 => LinkEnd::RateLimited,
        // The library stays and tries again by itself.
        _ if reason.should_reconnect() => return Signal::Lost(format!("WhatsApp's server is in trouble (code {number})")),
        500..=599 => LinkEnd::ServerTrouble { code: number },
        _ => LinkEnd::Refused { code: number },
    };
    Signal::End(end)
}

fn code(reason: ConnectFailureReason) -> Option<u16> {
    u16::try_from(reason.code()).ok()
}

fn why(reason: &DisconnectReason) -> String {
    match reason {
        DisconnectReason::ServerClose { .. } | DisconnectReason::StreamEnded => "WhatsApp closed the connection".into(),
        DisconnectReason::ReadError(error) => format!("the connection broke: {error}"),
        DisconnectReason::Unknown => "the connection broke".into(),
    }
}

/// Some business accounts can't be linked by this version of the client library; people should not look for
/// the fault on their side.
fn pairing_failure(error: &str) -> String {
    if error.contains("signature-mismatch") {
        return "the phone's answer could not be verified (a known fault with some WhatsApp Business accounts, to be mended by an update)"
            .into();
    }
    format!("the phone's answer could not be verified ({error})")
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
