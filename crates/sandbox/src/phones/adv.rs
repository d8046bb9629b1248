//! What the phone signs for its companions.
//!
//! Clients trust a companion because the account's identity key says so. The two
//! structures are signed over prefixed bytes, so that one can never be passed off as
//! the other. Apart because it is pure: keys and a request in, bytes out.

use crate::Error;
use crate::network::{CompanionRequest, SignedCompanion};
use hmac::{Hmac, KeyInit, Mac};
use rand::{CryptoRng, Rng};
use sha2::Sha256;
use wacore_libsignal::protocol::{IdentityKeyPair, PrivateKey};
use waproto::buffa::Message as _;
use waproto::whatsapp as wa;

/// Before the account's signature over a companion's identity.
const ACCOUNT_SIGNATURE: [u8; 2] = [6, 0];
/// Before the account's signature over the list of key indexes.
const KEY_INDEX_LIST: [u8; 2] = [6, 2];

/// Signs a companion's identity, wrapped for `pair-success`, and the list of valid
/// key indexes that its linking brings about.
pub(super) fn sign_companion<R: CryptoRng + Rng>(
    identity: &IdentityKeyPair,
    raw_id: u32,
    request: &CompanionRequest,
    random: &mut R,
) -> Result<SignedCompanion, Error> {
    let details = wa::ADVDeviceIdentity {
        raw_id: Some(raw_id),
        timestamp: Some(unsigned(request.timestamp)),
        key_index: Some(request.key_index),
        account_type: Some(wa::ADVEncryptionType::E2EE),
        device_type: Some(wa::ADVEncryptionType::E2EE),
    }
    .encode_to_vec();
    let message = [&ACCOUNT_SIGNATURE[..], &details, &request.keys.identity[..]].concat();
    let signed = wa::ADVSignedDeviceIdentity {
        account_signature: Some(sign(identity.private_key(), &message, random)?),
        account_signature_key: Some(identity.public_key().public_key_bytes().to_vec()),
        details: Some(details),
        ..Default::default()
    }
    .encode_to_vec();
    let mut mac = Hmac::<Sha256>::new_from_slice(&request.keys.adv_secret).map_err(|e| Error::Keys(e.to_string()))?;
    mac.update(&signed);
    let identity_hmac = wa::ADVSignedDeviceIdentityHMAC {
        hmac: Some(mac.finalize().into_bytes().to_vec()),
        details: Some(signed),
        account_type: Some(wa::ADVEncryptionType::E2EE),
    }
    .encode_to_vec();
    Ok(SignedCompanion {
        identity_hmac,
        key_index_list: sign_key_indexes(identity, raw_id, &request.valid_indexes, request.timestamp, random)?,
    })
}

/// Signs the list of valid key indexes. The phone itself has index 0.
pub(super) fn sign_key_indexes<R: CryptoRng + Rng>(
    identity: &IdentityKeyPair,
    raw_id: u32,
    valid_indexes: &[u32],
    timestamp: i64,
    random: &mut R,
) -> Result<Vec<u8>, Error> {
    let mut valid = valid_indexes.to_vec();
    valid.push(0);
    valid.sort_unstable();
    valid.dedup();
    let details = wa::ADVKeyIndexList {
        raw_id: Some(raw_id),
        timestamp: Some(unsigned(timestamp)),
        current_index: valid.last().copied(),
        valid_indexes: valid,
        account_type: Some(wa::ADVEncryptionType::E2EE),
    }
    .encode_to_vec();
    let message = [&KEY_INDEX_LIST[..], &details].concat();
    Ok(wa::ADVSignedKeyIndexList {
        account_signature: Some(sign(identity.private_key(), &message, random)?),
        details: Some(details),
        ..Default::default()
    }
    .encode_to_vec())
}

fn sign<R: CryptoRng + Rng>(key: &PrivateKey, message: &[u8], random: &mut R) -> Result<Vec<u8>, Error> {
    let signature = key.calculate_signature(message, random).map_err(|e| Error::Keys(e.to_string()))?;
    Ok(signature.to_vec())
}

fn unsigned(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::network::CompanionKeys;
    use wacore::adv::{AdvValidation, decode_key_index_list, validate_adv_with_identity_key};
    use wacore::pair::{DeviceState, PairUtils};
    use wacore_libsignal::protocol::KeyPair;

    /// A companion as the client library keeps it, and what it asks the phone for.
    fn companion() -> (DeviceState, CompanionRequest) {
        let mut random = Clock.random();
        let device = DeviceState {
            identity_key: KeyPair::generate(&mut random),
            noise_key: KeyPair::generate(&mut random),
            adv_secret_key: Clock.bytes(),
        };
        let request = CompanionRequest {
            keys: CompanionKeys {
                noise: *device.noise_key.public_key.public_key_bytes().as_array().unwrap(),
                identity: *device.identity_key.public_key.public_key_bytes().as_array().unwrap(),
                adv_secret: device.adv_secret_key,
            },
            key_index: 3,
            valid_indexes: vec![1, 3],
            timestamp: 1_700_000_000,
        };
        (device, request)
    }

    #[test]
    fn a_client_accepts_the_identity_and_completes_the_chain() {
        let account = IdentityKeyPair::generate(&mut Clock.random());
        let (device, request) = companion();
        let signed = sign_companion(&account, 7, &request, &mut Clock.random()).unwrap();

        let (own, key_index) = PairUtils::do_pair_crypto(&device, &signed.identity_hmac).unwrap();
        assert_eq!(key_index, 3);
        assert_eq!(validate_adv_with_identity_key(&own, &request.keys.identity, None), AdvValidation::Valid);
        let stranger = *KeyPair::generate(&mut Clock.random()).public_key.public_key_bytes().as_array().unwrap();
        assert_eq!(validate_adv_with_identity_key(&own, &stranger, None), AdvValidation::Invalid);
    }

    #[test]
    fn a_client_refuses_another_secret() {
        let account = IdentityKeyPair::generate(&mut Clock.random());
        let (device, mut request) = companion();
        request.keys.adv_secret = [1; 32];
        let signed = sign_companion(&account, 7, &request, &mut Clock.random()).unwrap();
        assert!(PairUtils::do_pair_crypto(&device, &signed.identity_hmac).is_err());
    }

    #[test]
    fn the_list_holds_every_valid_index_and_is_signed() {
        let account = IdentityKeyPair::generate(&mut Clock.random());
        let bytes = sign_key_indexes(&account, 7, &[5, 2], 1_700_000_000, &mut Clock.random()).unwrap();
        let list = decode_key_index_list(&bytes).unwrap();
        assert_eq!((list.raw_id, list.timestamp), (7, 1_700_000_000));
        assert_eq!((list.current_index, list.valid_indexes), (5, vec![0, 2, 5]));

        let signed = wa::ADVSignedKeyIndexList::decode_from_slice(&bytes).unwrap();
        let message = [&KEY_INDEX_LIST[..], &signed.details.unwrap()].concat();
        assert!(account.public_key().verify_signature(&message, &signed.account_signature.unwrap()));
    }
}
