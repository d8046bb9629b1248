//! Secrets of endpoints as their owners see them: `whsec_` and the bytes in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sanasend_model::Clock;
use sanasend_store::WebhookSecret;

/// What every secret begins with.
const PREFIX: &str = "whsec_";
/// Bytes of a new one.
const BYTES: usize = 32;
/// Bytes that one may have.
const SOUND: std::ops::RangeInclusive<usize> = 24..=64;

/// A new secret that nobody can guess.
pub fn make(clock: &dyn Clock) -> WebhookSecret {
    let mut bytes = vec![0_u8; BYTES];
    clock.fill(&mut bytes);
    WebhookSecret::new(bytes)
}

/// As it is shown, once.
#[must_use]
pub fn show(secret: &WebhookSecret) -> String {
    format!("{PREFIX}{}", STANDARD.encode(secret.bytes()))
}

/// Reads one that a caller brings along; `None` when it is none, or too short or too long.
#[must_use]
pub fn read(text: &str) -> Option<WebhookSecret> {
    let bytes = STANDARD.decode(text.trim().strip_prefix(PREFIX)?).ok()?;
    SOUND.contains(&bytes.len()).then(|| WebhookSecret::new(bytes))
}
