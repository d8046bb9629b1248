//! What a WhatsApp server does, in stanzas and jids.
//!
//! This room decides who is who, what is answered and who gets what. It knows no
//! sockets and no encryption of the transport (that is `wire`), and cannot read a
//! message (that is for the devices and `phones`).

mod accounts;
mod faults;
mod seam;

use crate::Error;
use crate::clock::Clock;
use crate::state::State;
use crate::transcript::Transcript;
use std::sync::Arc;
use wacore_binary::Jid;

pub use accounts::{AccountRecord, Addresses, DeviceRecord, Key, SignedPreKey};
pub use faults::{Fault, Faults};
pub use seam::{CodeFinish, CodeHello, CompanionKeys, CompanionRequest, NodePipe, Pending, Primary, PrimaryHello, SignedCompanion};

/// How much of everything there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Accounts, one for each phone.
    pub accounts: usize,
    /// Devices, phones among them.
    pub devices: usize,
    /// Open connections, attached phones among them.
    pub connections: usize,
    /// Stanzas that wait for a device or for its acknowledgement.
    pub queued: usize,
}

/// The pretend server. Cheap to clone.
#[derive(Clone)]
pub struct Network(Arc<Inner>);

struct Inner {
    state: State,
    clock: Clock,
    transcript: Arc<Transcript>,
    faults: Faults,
}

impl Network {
    /// Loads accounts, devices and queues from `state`.
    pub(crate) fn open(state: State, clock: Clock, transcript: Arc<Transcript>) -> Result<Network, Error> {
        Ok(Network(Arc::new(Inner { state, clock, transcript, faults: Faults::default() })))
    }

    /// Makes an account with its device 0 (the phone). `phone` is digits only.
    ///
    /// # Errors
    /// `Error::Refused` when the number has an account already.
    pub fn add_account(&self, phone: &str, push_name: &str, identity: [u8; 32]) -> Result<Addresses, Error> {
        let _ = (phone, push_name, identity);
        Err(Error::Refused("not built yet".into()))
    }

    /// Forgets an account with all its devices; their connections are closed.
    ///
    /// # Errors
    /// `Error::Unknown` when there is no such account.
    pub fn remove_account(&self, phone: &str) -> Result<(), Error> {
        Err(Error::Unknown(phone.to_owned()))
    }

    /// Says who signs for an account. To be called for each phone at every start.
    ///
    /// # Errors
    /// `Error::Unknown` when there is no such account.
    pub fn register_primary(&self, phone: &str, primary: Arc<dyn Primary>) -> Result<(), Error> {
        let _ = primary;
        Err(Error::Unknown(phone.to_owned()))
    }

    /// Connects device 0 of an account at stanza level. A connection that the same
    /// device had is closed.
    ///
    /// # Errors
    /// `Error::Unknown` when there is no such device.
    pub fn attach(&self, jid: &Jid) -> Result<NodePipe, Error> {
        Err(Error::Unknown(jid.to_string()))
    }

    /// A companion that waits behind a QR reference.
    #[must_use]
    pub fn pending(&self, reference: &str) -> Option<Pending> {
        let _ = reference;
        None
    }

    /// Links the companion behind `reference` to the account of `phone`; resolves with
    /// its new jid when it has answered `pair-success`.
    ///
    /// # Errors
    /// `Error::Unknown` for a reference that was never given out or has expired, or for
    /// a number without account; `Error::Refused` when the companion is gone, its keys
    /// are not those of the connection, or it turned the identity down.
    pub async fn scan(&self, reference: &str, keys: CompanionKeys, phone: &str) -> Result<Jid, Error> {
        let _ = (keys, phone);
        Err(Error::Unknown(reference.to_owned()))
    }

    /// The companion that waits for a code to be typed on this phone.
    #[must_use]
    pub fn code_hello(&self, phone: &str) -> Option<CodeHello> {
        let _ = phone;
        None
    }

    /// Tells the waiting companion what the phone made of the code; resolves with its
    /// answer. Then open the bundle and call [`Network::scan`].
    ///
    /// # Errors
    /// `Error::Unknown` when no companion waits; `Error::Refused` when it does not
    /// answer (a wrong code, for one).
    pub async fn code_answer(&self, phone: &str, hello: PrimaryHello) -> Result<CodeFinish, Error> {
        let _ = hello;
        Err(Error::Unknown(phone.to_owned()))
    }

    /// The account of a phone number (digits only).
    #[must_use]
    pub fn account(&self, phone: &str) -> Option<AccountRecord> {
        let _ = phone;
        None
    }

    /// The account that a jid belongs to, by number or LID.
    #[must_use]
    pub fn account_of(&self, jid: &Jid) -> Option<AccountRecord> {
        let _ = jid;
        None
    }

    /// All devices of an account, the phone first; empty when there is no account.
    #[must_use]
    pub fn devices(&self, phone: &str) -> Vec<DeviceRecord> {
        let _ = phone;
        Vec::new()
    }

    /// Removes a companion as its phone does from the list of linked devices.
    ///
    /// # Errors
    /// `Error::Unknown` when there is no such companion.
    pub fn unlink(&self, phone: &str, device: u16) -> Result<(), Error> {
        Err(Error::Unknown(format!("{phone}:{device}")))
    }

    /// Makes something go wrong for an account.
    pub fn plant_fault(&self, phone: &str, fault: Fault) {
        self.0.faults.plant(phone, fault);
    }

    /// Ends all faults; held acknowledgements go out.
    pub fn clear_faults(&self) {
        self.0.faults.clear();
    }

    /// How much of everything there is.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts::default()
    }

    /// The clock that stamps stanzas.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.0.clock
    }

    /// The store, for rooms that keep their own things in it.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.0.state
    }

    /// The record of all stanzas.
    #[must_use]
    pub fn transcript(&self) -> &Arc<Transcript> {
        &self.0.transcript
    }
}
