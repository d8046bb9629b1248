//! The phone's half of linking by a typed code.
//!
//! The code shown by the companion never crosses the network: both sides stretch it
//! into a key that hides their ephemeral public keys. Whoever typed another code
//! ends up with other shared secrets, and the bundle cannot be opened. Apart because
//! it is pure, and slow on purpose: 2^17 rounds each way, so run it off the reactor.

use crate::Error;
use crate::clock::Clock;
use crate::network::{CodeFinish, CodeHello, CompanionKeys, PrimaryHello};
use wacore::crypto::hkdf_sha256_into;
use wacore::pair_code::PairCodeUtils;
use wacore_libsignal::crypto::aes_256_gcm_decrypt;
use wacore_libsignal::protocol::{IdentityKeyPair, KeyPair, PublicKey};

const SALT: usize = 32;
const IV: usize = 12;
const BUNDLE_INFO: &[u8] = b"link_code_pairing_key_bundle_encryption_key";

/// A code as people write it (`abcd-1234`), or `None` when it cannot be one.
pub(super) fn parse(text: &str) -> Option<String> {
    let code: String = text.chars().filter(|c| !matches!(c, '-' | ' ')).map(|c| c.to_ascii_uppercase()).collect();
    PairCodeUtils::validate_code(&code).then_some(code)
}

/// What the phone keeps between its hello and the companion's finish.
pub(super) struct TypedCode {
    ephemeral: KeyPair,
    companion_ephemeral: PublicKey,
    noise: [u8; 32],
}

/// Answers the companion's hello for a typed code. Takes about 100 ms of CPU.
pub(super) fn answer(hello: &CodeHello, code: &str, identity: &IdentityKeyPair, clock: Clock) -> Result<(PrimaryHello, TypedCode), Error> {
    let companion = PairCodeUtils::decrypt_primary_ephemeral_pub(&hello.wrapped_ephemeral, code)
        .map_err(|e| Error::Protocol(format!("companion_hello: {e}")))?;
    let companion_ephemeral = PublicKey::from_djb_public_key_bytes(&companion).map_err(key)?;
    let ephemeral = KeyPair::generate(&mut clock.random());
    let public = raw(&ephemeral.public_key)?;
    let primary = PrimaryHello {
        wrapped_ephemeral: PairCodeUtils::encrypt_ephemeral_pub(&public, code).to_vec(),
        identity: raw(identity.public_key())?,
    };
    let typed = TypedCode { ephemeral, companion_ephemeral, noise: hello.noise };
    Ok((primary, typed))
}

impl TypedCode {
    /// Opens the companion's bundle: its keys and the secret both now share.
    ///
    /// # Errors
    /// `Error::Refused` when the code typed was not the one shown.
    pub fn open(&self, finish: &CodeFinish, identity: &IdentityKeyPair) -> Result<CompanionKeys, Error> {
        let wrong = || Error::Refused("the code is not the one that the companion shows".into());
        let shared = self.ephemeral.calculate_agreement(&self.companion_ephemeral).map_err(key)?;
        let bundle = open_bundle(&shared, &finish.wrapped_bundle).ok_or_else(wrong)?;
        let (companion, rest) = bundle.split_at_checked(32).ok_or_else(wrong)?;
        let (primary, random) = rest.split_at_checked(32).ok_or_else(wrong)?;
        if companion != finish.identity || primary != identity.public_key().public_key_bytes() {
            return Err(wrong());
        }
        let companion_identity = PublicKey::from_djb_public_key_bytes(&finish.identity).map_err(key)?;
        let identity_shared = identity.private_key().calculate_agreement(&companion_identity).map_err(key)?;
        let material = [&shared[..], &identity_shared[..], random].concat();
        let mut adv_secret = [0; 32];
        hkdf_sha256_into(&material, None, b"adv_secret", &mut adv_secret).map_err(key)?;
        Ok(CompanionKeys { noise: self.noise, identity: finish.identity, adv_secret })
    }
}

fn open_bundle(shared: &[u8; 32], wrapped: &[u8]) -> Option<Vec<u8>> {
    let (salt, rest) = wrapped.split_at_checked(SALT)?;
    let (iv, sealed) = rest.split_at_checked(IV)?;
    let mut bundle_key = [0; 32];
    hkdf_sha256_into(shared, Some(salt), BUNDLE_INFO, &mut bundle_key).ok()?;
    let mut bundle = Vec::with_capacity(96);
    aes_256_gcm_decrypt(&bundle_key, iv.try_into().ok()?, b"", sealed, &mut bundle).ok()?;
    Some(bundle)
}

fn raw(key: &PublicKey) -> Result<[u8; 32], Error> {
    key.public_key_bytes().try_into().map_err(|_| Error::Keys("a public key of another length".into()))
}

fn key(error: impl std::fmt::Display) -> Error {
    Error::Keys(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The companion's side, done by the client library's own functions.
    fn link(shown: &str, typed: &str) -> Result<([u8; 32], CompanionKeys), Error> {
        let mut random = Clock.random();
        let phone = IdentityKeyPair::generate(&mut random);
        let companion = KeyPair::generate(&mut random);
        let ephemeral = KeyPair::generate(&mut random);
        let wrapped = PairCodeUtils::encrypt_ephemeral_pub(&raw(&ephemeral.public_key)?, shown);
        let hello = CodeHello { reference: "ref".to_owned(), wrapped_ephemeral: wrapped.to_vec(), noise: [9; 32] };
        let (primary, held) = answer(&hello, typed, &phone, Clock)?;
        let seen = PairCodeUtils::decrypt_primary_ephemeral_pub(&primary.wrapped_ephemeral, shown).unwrap();
        let (bundle, secret) = PairCodeUtils::prepare_key_bundle(&ephemeral, &seen, &primary.identity, &companion).unwrap();
        let finish = CodeFinish { wrapped_bundle: bundle, identity: raw(&companion.public_key)?, reference: "ref".to_owned() };
        Ok((secret, held.open(&finish, &phone)?))
    }

    #[test]
    fn both_sides_arrive_at_the_same_secret() {
        let (secret, keys) = link("ABCD1234", "ABCD1234").unwrap();
        assert_eq!(keys.adv_secret, secret);
        assert_eq!(keys.noise, [9; 32]);
    }

    #[test]
    fn another_code_is_refused() {
        let refused = link("ABCD1234", "ABCD1235").map(|_| ()).unwrap_err();
        assert!(matches!(refused, Error::Refused(_)), "{refused}");
    }

    #[test]
    fn codes_are_read_as_people_write_them() {
        assert_eq!(parse("abcd-1234").as_deref(), Some("ABCD1234"));
        for bad in ["ABCD123", "ABCD12345", "ABCD123O", ""] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
