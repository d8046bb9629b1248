//! Signing by the Standard Webhooks convention: HMAC-SHA-256 over `id.timestamp.body`, one signature per live secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sanasend_store::WebhookSecret;
use sha2::Sha256;

/// The value of `webhook-signature`: `v1,<base64>` for each secret, with spaces between.
pub(super) fn sign(secrets: &[WebhookSecret], id: &str, timestamp: i64, body: &[u8]) -> String {
    let signatures: Vec<String> = secrets.iter().filter_map(|secret| signature(secret, id, timestamp, body)).collect();
    signatures.join(" ")
}

/// HMAC takes keys of any length, so there is always one.
fn signature(secret: &WebhookSecret, id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.bytes()).ok()?;
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}
