//! The passphrase of a backup, and the key made of it: Argon2id, so that guessing costs.

use anyhow::{Context, anyhow, bail};
use argon2::{Algorithm, Argon2, Params, Version};
use sanasend_model::Clock;
use sanasend_store::SealKey;
use serde::{Deserialize, Serialize};

/// Shortest passphrase that is taken.
const SHORTEST: usize = 12;
/// Most memory that a recipe in a file may ask for, in KiB: the file may come from anywhere.
const MOST_MEMORY_KIB: u32 = 1_048_576;
const MOST_PASSES: u32 = 64;

/// How the key is made of the passphrase; stands in the clear in the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// Random, hexadecimal.
    pub salt: String,
    /// Memory of the hash.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Recipe {
    /// A new one. Dearer than a login's: it is used once, and guessed at offline.
    #[must_use]
    pub fn new(clock: &dyn Clock) -> Self {
        let mut salt = [0_u8; 16];
        clock.fill(&mut salt);
        Self { salt: hex::encode(salt), memory_kib: 65_536, passes: 3 }
    }

    /// The key of a passphrase.
    ///
    /// # Errors
    /// When the recipe asks for what can't be.
    pub fn key(&self, passphrase: &str) -> anyhow::Result<SealKey> {
        if self.memory_kib > MOST_MEMORY_KIB || self.passes > MOST_PASSES {
            bail!("the backup asks for more memory or time than is sound");
        }
        let salt = hex::decode(&self.salt).context("the salt is damaged")?;
        let params = Params::new(self.memory_kib, self.passes, 1, Some(32)).map_err(|error| anyhow!("{error}"))?;
        let mut key = [0_u8; 32];
        let hash = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        hash.hash_password_into(passphrase.as_bytes(), &salt, &mut key).map_err(|error| anyhow!("{error}"))?;
        Ok(SealKey::new(1, key))
    }
}

/// Refuses a passphrase that is soon guessed.
///
/// # Errors
/// A sentence.
pub fn check(passphrase: &str) -> anyhow::Result<()> {
    if passphrase.chars().count() < SHORTEST {
        bail!("the passphrase must have at least {SHORTEST} characters: whoever has it and the backup can write in your accounts' names");
    }
    Ok(())
}
