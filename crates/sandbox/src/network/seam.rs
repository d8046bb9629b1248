//! The door between the network and the phones.
//!
//! A server cannot sign for an account: only its phone (device 0) holds the
//! account's identity key. This module says what the network asks of a phone, and
//! what it tells it, so that neither room needs to know the other's inside.

use crate::Error;
use tokio::sync::mpsc;
use wacore_binary::{Jid, Node};

/// Both ends of a phone's connection, in stanzas. Dropping it disconnects the phone.
///
/// The network numbers and records what passes, as with any connection. A phone
/// behaves like any other client: it acknowledges each `message`, `receipt` and
/// `notification` with `<ack class id to>` and asks for its backlog by the
/// `passive`/`active` iq.
#[derive(Debug)]
pub struct NodePipe {
    /// From the phone to the network.
    pub tx: mpsc::UnboundedSender<Node>,
    /// From the network to the phone; `None` when the network closed.
    pub rx: mpsc::UnboundedReceiver<Node>,
}

/// What a companion shows in its QR, without the reference.
#[derive(Clone)]
pub struct CompanionKeys {
    /// X25519 public key of the companion's Noise connection.
    pub noise: [u8; 32],
    /// Identity key, without type byte.
    pub identity: [u8; 32],
    /// Secret shared outside the network; keys the HMAC over the signed identity.
    pub adv_secret: [u8; 32],
}

impl std::fmt::Debug for CompanionKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompanionKeys").finish_non_exhaustive()
    }
}

/// What the phone signs when it takes on a companion.
#[derive(Clone, Debug)]
pub struct CompanionRequest {
    /// The companion's keys.
    pub keys: CompanionKeys,
    /// Index of this linking, never used before on this account; goes into
    /// `ADVDeviceIdentity.key_index` and the key-index list.
    pub key_index: u32,
    /// Every key index that is valid after this linking, `key_index` among them.
    pub valid_indexes: Vec<u32>,
    /// Seconds since 1970, for both signed structures.
    pub timestamp: i64,
}

/// The phone's signatures for a new companion.
#[derive(Clone, Debug)]
pub struct SignedCompanion {
    /// Encoded `ADVSignedDeviceIdentityHMAC`, put into `<pair-success>`.
    pub identity_hmac: Vec<u8>,
    /// Encoded `ADVSignedKeyIndexList`, handed out by usync.
    pub key_index_list: Vec<u8>,
}

/// The phone of an account, as the network needs it. Calls come without any of the
/// network's locks held and must return soon; longer work belongs in a task.
pub trait Primary: Send + Sync + 'static {
    /// Signs a new companion's identity and the list it brings about.
    ///
    /// # Errors
    /// When the phone refuses or cannot sign.
    fn sign_companion(&self, request: &CompanionRequest) -> Result<SignedCompanion, Error>;

    /// Signs the list of valid key indexes after a companion was removed. Answers an
    /// encoded `ADVSignedKeyIndexList`.
    ///
    /// # Errors
    /// When the phone cannot sign.
    fn sign_key_indexes(&self, valid_indexes: &[u32], timestamp: i64) -> Result<Vec<u8>, Error>;

    /// A companion has linked, logged in and uploaded its keys: it can be written to.
    /// Called once per linking; the phone then sends its app-state keys and history.
    fn companion_ready(&self, companion: &Jid);

    /// A companion is gone, by its own logout or by removal.
    fn companion_removed(&self, companion: &Jid);
}

/// A companion that waits to be linked.
#[derive(Clone, Debug)]
pub struct Pending {
    /// `pushName` of its registration payload, when it sent one.
    pub push_name: Option<String>,
    /// Platform it names itself, e.g. `Chrome`.
    pub platform: String,
}

/// First half of linking by code: what the companion left at the network.
#[derive(Clone)]
pub struct CodeHello {
    /// Reference that the companion's finish names again.
    pub reference: String,
    /// `link_code_pairing_wrapped_companion_ephemeral_pub`: salt, iv, encrypted key.
    pub wrapped_ephemeral: Vec<u8>,
    /// `companion_server_auth_key_pub`: the companion's Noise key.
    pub noise: [u8; 32],
}

/// What the phone answers after its owner typed the code.
#[derive(Clone)]
pub struct PrimaryHello {
    /// `link_code_pairing_wrapped_primary_ephemeral_pub`: salt, iv, encrypted key.
    pub wrapped_ephemeral: Vec<u8>,
    /// `primary_identity_pub`, without type byte.
    pub identity: [u8; 32],
}

/// Second half of linking by code: the companion's answer.
#[derive(Clone)]
pub struct CodeFinish {
    /// `link_code_pairing_wrapped_key_bundle`.
    pub wrapped_bundle: Vec<u8>,
    /// `companion_identity_public`, without type byte.
    pub identity: [u8; 32],
    /// The reference to give to [`super::Network::scan`].
    pub reference: String,
}
