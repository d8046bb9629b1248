//! The proof, made at every start, that a forged server certificate is refused.
//!
//! The client library has a cargo feature that compiles the check away. It is never switched on here, and this
//! is how we know: chains that are sound in form but not signed by WhatsApp are shown to the very function that
//! every first handshake calls.

use rand::SeedableRng;
use rand::rngs::StdRng;
use whatsapp_rust::wacore::handshake::{HandshakeError, HandshakeUtils};
use whatsapp_rust::wacore::libsignal::protocol::{KeyPair, PrivateKey};
use whatsapp_rust::waproto::buffa::{Message as _, MessageField};
use whatsapp_rust::waproto::whatsapp::CertChain;
use whatsapp_rust::waproto::whatsapp::cert_chain::NoiseCertificate;
use whatsapp_rust::waproto::whatsapp::cert_chain::noise_certificate::Details;

/// Shows the client library forged certificate chains and makes sure that it refuses them for their signatures.
///
/// # Errors
/// A sentence when one was accepted: then verification was compiled out and nothing may be started.
pub fn prove_wall() -> Result<(), String> {
    let forger = key(7)?;
    let server = key(9)?;
    let signatures = [("empty", Forgery::Zeroes), ("a stranger's", Forgery::Signed)];
    for (name, forgery) in signatures {
        let chain = forge(&forger, &server, forgery)?;
        let static_key: [u8; 32] = server.public_key.public_key_bytes().try_into().map_err(|_| "a key of the wrong length")?;
        match HandshakeUtils::verify_server_cert(&chain, &static_key) {
            Err(HandshakeError::CertVerification(reason)) if reason.contains("signature") => {}
            Err(other) => return Err(format!("a server certificate with {name} signatures was refused for another reason: {other}")),
            Ok(_) => return Err(format!("a server certificate with {name} signatures was accepted: verification is compiled out")),
        }
    }
    Ok(())
}

/// How a forged chain is signed.
#[derive(Clone, Copy)]
enum Forgery {
    /// Not at all.
    Zeroes,
    /// Properly, by a root of the forger's own.
    Signed,
}

/// Any private key will do; nothing is protected by it.
fn key(seed: u8) -> Result<KeyPair, String> {
    let private = PrivateKey::deserialize(&[seed; 32]).map_err(|error| error.to_string())?;
    let public = private.public_key().map_err(|error| error.to_string())?;
    Ok(KeyPair::new(public, private))
}

/// A chain that fits together in every way but its root: intermediate by `forger`, leaf for `server`'s key.
fn forge(forger: &KeyPair, server: &KeyPair, forgery: Forgery) -> Result<Vec<u8>, String> {
    let certificate = |key: &KeyPair, serial, issuer_serial| -> Result<NoiseCertificate, String> {
        let details = Details {
            serial: Some(serial),
            issuer_serial: Some(issuer_serial),
            key: Some(key.public_key.public_key_bytes().to_vec()),
            not_before: Some(0),
            not_after: Some(u64::MAX),
        };
        let details = details.encode_to_vec();
        let signature = match forgery {
            Forgery::Zeroes => vec![0; 64],
            Forgery::Signed => sign(&forger.private_key, &details)?,
        };
        Ok(NoiseCertificate { details: Some(details), signature: Some(signature) })
    };
    // Serial 0 is the root's, as in WhatsApp's own chains.
    let chain =
        CertChain { intermediate: MessageField::some(certificate(forger, 1, 0)?), leaf: MessageField::some(certificate(server, 2, 1)?) };
    Ok(chain.encode_to_vec())
}

fn sign(key: &PrivateKey, details: &[u8]) -> Result<Vec<u8>, String> {
    // Nothing hangs on the secrecy of these keys, so the proof may be the same every time.
    let mut random = StdRng::seed_from_u64(0);
    key.calculate_signature(details, &mut random).map(|signature| signature.to_vec()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forged_certificates_are_refused() {
        assert_eq!(prove_wall(), Ok(()));
    }
}
