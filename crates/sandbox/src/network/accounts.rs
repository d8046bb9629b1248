//! Accounts and their devices: the records, and the registry that finds them.
//!
//! Apart because everything else here asks it the same two questions: whose jid is
//! this, and which devices does it reach.

use crate::state::hexed;
use serde::{Deserialize, Serialize};
use wacore_binary::Jid;

/// What is kept about an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccountRecord {
    /// Phone number: digits of E.164 without the plus.
    pub phone: String,
    /// Local part of its `@lid`, 15 digits.
    pub lid: String,
    /// Name others see (`notify` on messages).
    pub push_name: String,
    /// Identity key of the phone, without type byte.
    #[serde(with = "hexed")]
    pub identity: [u8; 32],
    /// Encoded `ADVSignedKeyIndexList`; empty while no companion was ever linked.
    #[serde(with = "hexed")]
    pub key_index_list: Vec<u8>,
    /// When that list was signed, seconds since 1970.
    pub key_index_at: i64,
    /// Number the next companion gets; the first is 33.
    pub next_device: u16,
    /// Key index the next companion gets; the first is 1.
    pub next_key_index: u32,
    /// "About" text.
    pub about: String,
}

/// What is kept about a device. The phone itself is device 0.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeviceRecord {
    /// Device number in jids.
    pub id: u16,
    /// Noise key it logs in with; `None` for the phone, which needs no handshake.
    pub noise: Option<Key>,
    /// Identity key, without type byte.
    #[serde(with = "hexed")]
    pub identity: [u8; 32],
    /// Signal registration id.
    pub registration_id: u32,
    /// Current signed prekey; `None` until the first upload.
    pub signed_prekey: Option<SignedPreKey>,
    /// Encoded `ADVSignedDeviceIdentity` with both signatures; empty for the phone.
    #[serde(with = "hexed")]
    pub device_identity: Vec<u8>,
    /// Key index of its linking; 0 for the phone.
    pub key_index: u32,
    /// Platform name for lists, e.g. `Chrome`.
    pub platform: String,
    /// Linked at, seconds since 1970.
    pub linked_at: i64,
    /// Seen last (connected or disconnected), seconds since 1970.
    pub seen_at: i64,
}

impl DeviceRecord {
    /// Whether others may know of it: a companion is hidden until its prekeys are
    /// there, since a sender could not encrypt for it before.
    #[must_use]
    pub fn is_published(&self) -> bool {
        self.signed_prekey.is_some()
    }
}

/// A 32-byte public key in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key(#[serde(with = "hexed")] pub [u8; 32]);

/// A signed prekey as uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedPreKey {
    /// Number, 3 bytes on the wire.
    pub id: u32,
    /// Public key, without type byte.
    #[serde(with = "hexed")]
    pub public: [u8; 32],
    /// XEdDSA signature by the identity key, 64 bytes.
    #[serde(with = "hexed")]
    pub signature: Vec<u8>,
}

/// An account's two addresses, without device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// `...@s.whatsapp.net`
    pub pn: Jid,
    /// `...@lid`
    pub lid: Jid,
}
