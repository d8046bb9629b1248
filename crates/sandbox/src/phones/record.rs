//! What a phone remembers about itself.
//!
//! Apart from the phone's behaviour so that the shape on disk can be read in one
//! place. Signal sessions and messages are not in here: they change with every
//! message and have rows of their own.

use crate::Error;
use crate::clock::Clock;
use crate::network::scenario;
use crate::state::hexed;
use serde::{Deserialize, Serialize};
use wacore_libsignal::protocol::{IdentityKeyPair, KeyPair, PrivateKey};

/// What a phone does by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auto {
    /// Reads every message at once.
    #[serde(default)]
    pub read: bool,
    /// Answers every incoming text with this; `{text}` stands for the text received.
    #[serde(default)]
    pub reply: Option<String>,
}

/// The row of a phone. Private keys are in it; it is never shown.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct PhoneRecord {
    /// Digits of E.164.
    pub number: String,
    /// Its name, with the scenario in front if there is one.
    pub push_name: String,
    /// Private half of the account's identity key.
    #[serde(with = "hexed")]
    pub identity: [u8; 32],
    /// Signal registration id.
    pub registration_id: u32,
    /// Number of the signed prekey.
    pub signed_prekey_id: u32,
    /// Private half of the signed prekey.
    #[serde(with = "hexed")]
    pub signed_prekey: [u8; 32],
    /// Signature of the identity key over the signed prekey, 64 bytes.
    #[serde(with = "hexed")]
    pub signed_prekey_signature: Vec<u8>,
    /// Number of the next one-time prekey.
    pub next_prekey_id: u32,
    /// How many one-time prekeys it uploads at a time.
    #[serde(default = "usual_prekeys")]
    pub prekeys: u32,
    /// `rawId` of everything this account signs.
    pub raw_id: u32,
    /// Id of the app-state key, 6 bytes.
    #[serde(with = "hexed")]
    pub app_state_key_id: [u8; 6],
    /// The app-state key.
    #[serde(with = "hexed")]
    pub app_state_key: [u8; 32],
    /// The name has been written into the account's app state.
    pub name_published: bool,
    /// What it does by itself.
    pub auto: Auto,
    /// Whether it should be connected.
    pub online: bool,
    /// Made at, milliseconds since 1970.
    pub created_at: i64,
}

impl std::fmt::Debug for PhoneRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PhoneRecord").finish_non_exhaustive()
    }
}

impl PhoneRecord {
    /// A new phone with fresh keys.
    pub fn create(number: &str, push_name: &str, clock: Clock) -> Result<Self, Error> {
        let mut random = clock.random();
        let identity = IdentityKeyPair::generate(&mut random);
        let signed = KeyPair::generate(&mut random);
        let signature = identity
            .private_key()
            .calculate_signature(&signed.public_key.serialize(), &mut random)
            .map_err(|e| Error::Keys(e.to_string()))?;
        Ok(Self {
            number: number.to_owned(),
            push_name: push_name.to_owned(),
            identity: *identity.private_key().serialize(),
            registration_id: 1 + clock.below(16_380),
            signed_prekey_id: 1,
            signed_prekey: *signed.private_key.serialize(),
            signed_prekey_signature: signature.to_vec(),
            next_prekey_id: 1,
            prekeys: usual_prekeys(),
            raw_id: clock.below(i32::MAX as u32),
            app_state_key_id: clock.bytes(),
            app_state_key: clock.bytes(),
            name_published: false,
            auto: Auto::default(),
            online: true,
            created_at: clock.unix_millis(),
        })
    }

    /// The name others see.
    pub fn shown_name(&self) -> &str {
        scenario(&self.push_name).1
    }

    /// The account's identity key.
    pub fn identity(&self) -> Result<IdentityKeyPair, Error> {
        let private = PrivateKey::deserialize(&self.identity).map_err(broken)?;
        IdentityKeyPair::try_from(private).map_err(broken)
    }

    /// The signed prekey.
    pub fn signed_prekey(&self) -> Result<KeyPair, Error> {
        let private = PrivateKey::deserialize(&self.signed_prekey).map_err(broken)?;
        KeyPair::try_from(private).map_err(broken)
    }
}

/// Fewer than a real phone's 812: they are made again when the network says that they run out.
const fn usual_prekeys() -> u32 {
    60
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::Keys(format!("a phone's key cannot be read: {error}"))
}
