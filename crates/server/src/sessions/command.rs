//! What the rest of the house asks of a driver.

use super::groups::GroupsQuestion;
use sanasend_engine::{EngineError, FetchError, Found, Typing};
use sanasend_model::retry::AttemptError;
use sanasend_model::{Jid, PhoneNumber};
use sanasend_store::{Message, StoreError};
use serde_json::Value;
use tokio::sync::oneshot;

/// Where somebody is answered who asked an account to leave: `true` when WhatsApp was told of the logout (always for going
/// offline), an error as long as it is not on disk.
pub(super) type LeaveAnswer = oneshot::Sender<Result<bool, StoreError>>;

/// A wish, with the place for its answer. A dropped answer means that the driver ended first.
#[derive(Debug)]
pub(super) enum Command {
    /// Go offline; with `logout` also unlink the account and erase its credentials.
    Leave {
        /// Whether to unlink.
        logout: bool,
        /// What came of it.
        done: LeaveAnswer,
    },
    /// If the driver waits before it tries again: try now.
    TryNow,
    /// Show a pairing code for this number instead of a QR code.
    PairByCode(PhoneNumber),
    /// The person's passkey.
    Passkey {
        /// `PublicKeyCredential` in its JSON form.
        credential: Value,
        /// Whether it was taken.
        done: oneshot::Sender<Result<(), EngineError>>,
    },
    /// The person saw the same code.
    PasskeyConfirmed {
        /// Whether anything waited for it.
        done: oneshot::Sender<Result<(), EngineError>>,
    },
    /// Tell a sender that its messages were read.
    MarkRead {
        /// The chat they are in.
        chat: Jid,
        /// Who sent them, in a group.
        sender: Option<Jid>,
        /// Their WhatsApp ids.
        wa_message_ids: Vec<String>,
        /// Whether it was written.
        done: oneshot::Sender<Result<(), AttemptError>>,
    },
    /// Show a chat what the account is doing.
    ShowTyping {
        /// The chat.
        chat: Jid,
        /// What.
        state: Typing,
        /// Whether it was written.
        done: oneshot::Sender<Result<(), AttemptError>>,
    },
    /// Ask WhatsApp who is behind some numbers.
    LookUp {
        /// The numbers.
        phones: Vec<PhoneNumber>,
        /// What it answers, in their order.
        done: oneshot::Sender<Result<Vec<Found>, AttemptError>>,
    },
    /// Ask WhatsApp about groups of the account.
    Groups(GroupsQuestion),
    /// Ask the sender's phone for a file that WhatsApp's media host does not have any more.
    AskForFile {
        /// The message that it came with.
        message: Box<Message>,
        /// The way to it that leads nowhere.
        remote: Vec<u8>,
        /// The new way.
        done: oneshot::Sender<Result<Vec<u8>, FetchError>>,
    },
    /// The server stops: close the link, keep everything.
    Stop,
    /// The account may belong to another node at any moment: close the link at once, write nothing.
    Yield,
}
