//! Passwords: Argon2id with OWASP's parameters, off the async threads, a bounded number at once.
//!
//! An unknown user costs as much as a known one: a dummy hash is checked for them, so that the time of an answer
//! does not tell which names exist.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use sanasend_model::Clock;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Longest wait for a turn to hash; after it the caller is asked to come back.
const LONGEST_QUEUE: Duration = Duration::from_secs(10);

/// What one hash costs. OWASP's advice for Argon2id: 19 MiB and 2 passes, one lane.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Default for Cost {
    fn default() -> Self {
        Self { memory_kib: 19_456, passes: 2 }
    }
}

/// Why no hash could be made or checked.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too many others wait; the caller should come back.
    #[error("too many passwords are being checked")]
    Busy,
    /// A stored hash is damaged, or memory ran out.
    #[error("password hashing failed: {0}")]
    Failed(String),
}

/// Hashes and checks passwords.
#[derive(Debug)]
pub struct Passwords {
    cost: Cost,
    turns: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
    /// A hash of nobody's password, made when first needed.
    dummy: Arc<OnceLock<String>>,
}

impl Passwords {
    /// At most `at_once` hashes run at the same time: each takes `cost.memory_kib`.
    #[must_use]
    pub fn new(cost: Cost, at_once: usize, clock: Arc<dyn Clock>) -> Self {
        Self { cost, turns: Arc::new(Semaphore::new(at_once.max(1))), clock, dummy: Arc::default() }
    }

    /// The hash of a new password, in PHC form.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub async fn hash(&self, password: String) -> Result<String, PasswordError> {
        let (cost, clock) = (self.cost, self.clock.clone());
        self.in_turn(move || hash_blocking(&password, cost, &*clock)).await
    }

    /// A hash that no password is behind, for a user who never logs in. It looks like any other and takes as long to be
    /// checked, but costs nothing to make.
    #[must_use]
    pub fn of_nobody(&self) -> String {
        let random = || {
            let mut bytes = [0_u8; 32];
            self.clock.fill(&mut bytes);
            bytes
        };
        let base64 = base64::engine::general_purpose::STANDARD_NO_PAD;
        let Cost { memory_kib, passes } = self.cost;
        format!("$argon2id$v=19$m={memory_kib},t={passes},p=1${}${}", base64.encode(&random()[..16]), base64.encode(random()))
    }

    /// Whether `password` is the one behind `hash`; without a hash (no such user) it takes as long and says no.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, PasswordError> {
        let (cost, clock, dummy) = (self.cost, self.clock.clone(), self.dummy.clone());
        self.in_turn(move || {
            if let Some(hash) = hash {
                return verify_blocking(&password, &hash);
            }
            let stand_in = match dummy.get() {
                Some(hash) => hash.clone(),
                None => dummy.get_or_init(|| hash_blocking("nobody's password", cost, &*clock).unwrap_or_default()).clone(),
            };
            let _ = verify_blocking(&password, &stand_in);
            Ok(false)
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let turn = tokio::time::timeout(LONGEST_QUEUE, self.turns.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| PasswordError::Busy)?.map_err(|_| PasswordError::Busy)?;
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(turn);
            result
        });
        done.await.map_err(|error| PasswordError::Failed(error.to_string()))?
    }
}

/// The hash of a password on the present thread, for the command line. Takes tens of milliseconds.
///
/// # Errors
/// [`PasswordError::Failed`] when the cost is out of Argon2's bounds.
pub fn hash_blocking(password: &str, cost: Cost, clock: &dyn Clock) -> Result<String, PasswordError> {
    let mut salt = [0_u8; 16];
    clock.fill(&mut salt);
    let failed = |error: &dyn std::fmt::Display| PasswordError::Failed(error.to_string());
    let params = Params::new(cost.memory_kib, cost.passes, 1, None).map_err(|error| failed(&error))?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon.hash_password_with_salt(password.as_bytes(), &salt).map_err(|error| failed(&error))?;
    Ok(hash.to_string())
}

fn verify_blocking(password: &str, hash: &str) -> Result<bool, PasswordError> {
    let hash = PasswordHash::new(hash).map_err(|error| PasswordError::Failed(error.to_string()))?;
    // The parameters are those of the stored hash, so that the configured cost may change.
    match Argon2::default().verify_password(password.as_bytes(), &hash) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(PasswordError::Failed(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    async fn hash_len(passwords: &Passwords) -> usize {
        passwords.hash("any".into()).await.expect("hash").len()
    }

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_alone() {
        let passwords = Passwords::new(Cost { memory_kib: 64, passes: 1 }, 1, Arc::new(SystemClock));
        let hash = passwords.hash("correct horse".into()).await.expect("hash");
        assert!(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{hash}");
        assert_ne!(hash, passwords.hash("correct horse".into()).await.expect("another salt"));
        assert!(passwords.verify("correct horse".into(), Some(hash.clone())).await.expect("verify"));
        assert!(!passwords.verify("correct horsf".into(), Some(hash)).await.expect("verify"));
        assert!(!passwords.verify("nobody's password".into(), None).await.expect("nobody"));
        assert!(passwords.verify("x".into(), Some("damaged".into())).await.is_err());
        let nobody = passwords.of_nobody();
        assert!(nobody.starts_with("$argon2id$v=19$m=64,t=1,p=1$") && nobody.len() == hash_len(&passwords).await, "{nobody}");
        assert!(!passwords.verify("correct horse".into(), Some(nobody)).await.expect("it is a sound hash"));
    }
}
