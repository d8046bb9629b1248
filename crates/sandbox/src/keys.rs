//! The network's own keys: Noise root, intermediate and static key with their
//! certificate chain, and the TLS authority with its leaf.
//!
//! Apart because they outlive everything else: a client that resumes a connection
//! holds on to the static key, so a new one would cut off every linked device.

use crate::Error;
use crate::clock::Clock;
use crate::state::hexed;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wacore_libsignal::protocol::{KeyPair, PrivateKey};
use waproto::buffa::{Message, MessageField};
use waproto::whatsapp::CertChain;
use waproto::whatsapp::cert_chain::{NoiseCertificate, noise_certificate};

const NOISE_FILE: &str = "noise.json";
const CA_CERT_FILE: &str = "ca.pem";
const CA_KEY_FILE: &str = "ca.key";
const LEAF_CERT_FILE: &str = "tls.pem";
const LEAF_KEY_FILE: &str = "tls.key";

/// Certificates are good for ten years from the day they are made, in seconds.
const VALIDITY: i64 = 10 * 365 * 24 * 3600;
/// They begin a day early, for clients whose clock is slow.
const BACKDATED: i64 = 24 * 3600;

/// Everything a connection needs to be greeted.
pub struct Keys {
    /// X25519 key that handshakes prove possession of.
    pub noise: KeyPair,
    /// Encoded `CertChain`: leaf (the static key) signed by the intermediate, that by
    /// the root.
    pub chain: Vec<u8>,
    /// Public half of the root key.
    pub root: [u8; 32],
    /// TLS with the leaf certificate.
    pub tls: Arc<ServerConfig>,
    /// The authority's certificate (PEM), for clients to trust.
    pub ca_file: PathBuf,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

/// The Noise keys as kept on disk.
#[derive(Serialize, Deserialize)]
struct NoiseFile {
    #[serde(with = "hexed")]
    root: [u8; 32],
    #[serde(with = "hexed")]
    intermediate: [u8; 32],
    #[serde(rename = "static", with = "hexed")]
    fixed: [u8; 32],
    not_before: i64,
}

impl Keys {
    /// Reads the keys in `folder`, making those that are not there yet. The folder gets
    /// mode 700, each file 600.
    ///
    /// # Errors
    /// `Error::File` for the disk, `Error::Keys` for what cannot be read or made.
    pub fn load_or_create(folder: &Path, clock: Clock) -> Result<Keys, Error> {
        make_private_folder(folder)?;
        let (noise, chain, root) = noise_keys(folder, clock)?;
        let tls = tls_config(folder, clock)?;
        Ok(Keys { noise, chain, root, tls, ca_file: folder.join(CA_CERT_FILE) })
    }
}

fn noise_keys(folder: &Path, clock: Clock) -> Result<(KeyPair, Vec<u8>, [u8; 32]), Error> {
    let path = folder.join(NOISE_FILE);
    let file: NoiseFile = if path.exists() {
        let text = fs::read(&path).map_err(|source| file_error(&path, source))?;
        serde_json::from_slice(&text).map_err(|e| Error::Keys(format!("{NOISE_FILE}: {e}")))?
    } else {
        let made = NoiseFile {
            root: *KeyPair::generate(&mut clock.random()).private_key.serialize(),
            intermediate: *KeyPair::generate(&mut clock.random()).private_key.serialize(),
            fixed: *KeyPair::generate(&mut clock.random()).private_key.serialize(),
            not_before: clock.unix_seconds() - BACKDATED,
        };
        write_private(&path, &serde_json::to_vec_pretty(&made)?)?;
        made
    };
    let root = key_pair(&file.root)?;
    let intermediate = key_pair(&file.intermediate)?;
    let fixed = key_pair(&file.fixed)?;
    let from = file.not_before.unsigned_abs();
    let until = from + VALIDITY.unsigned_abs();
    let chain = CertChain {
        intermediate: certificate(&root, &intermediate, (1, 0), (from, until), clock)?,
        leaf: certificate(&intermediate, &fixed, (2, 1), (from, until), clock)?,
    };
    Ok((fixed, chain.encode_to_vec(), public_bytes(&root)))
}

/// One step of the chain; `serials` are its own and its issuer's.
fn certificate(
    issuer: &KeyPair,
    subject: &KeyPair,
    serials: (u32, u32),
    validity: (u64, u64),
    clock: Clock,
) -> Result<MessageField<NoiseCertificate>, Error> {
    let details = noise_certificate::Details {
        serial: Some(serials.0),
        issuer_serial: Some(serials.1),
        key: Some(public_bytes(subject).to_vec()),
        not_before: Some(validity.0),
        not_after: Some(validity.1),
    }
    .encode_to_vec();
    let signature = issuer.calculate_signature(&details, &mut clock.random()).map_err(|e| Error::Keys(e.to_string()))?;
    Ok(MessageField::some(NoiseCertificate { details: Some(details), signature: Some(signature.to_vec()) }))
}

fn key_pair(private: &[u8; 32]) -> Result<KeyPair, Error> {
    PrivateKey::deserialize(private).and_then(KeyPair::try_from).map_err(|e| Error::Keys(e.to_string()))
}

/// The 32 bytes of a public key, without type byte.
pub(crate) fn public_bytes(pair: &KeyPair) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(pair.public_key.public_key_bytes());
    out
}

fn tls_config(folder: &Path, clock: Clock) -> Result<Arc<ServerConfig>, Error> {
    let leaf = folder.join(LEAF_CERT_FILE);
    let key = folder.join(LEAF_KEY_FILE);
    if !leaf.exists() || !key.exists() {
        make_tls(folder, clock)?;
    }
    let certificate = CertificateDer::from_pem_file(&leaf).map_err(|e| Error::Keys(format!("{LEAF_CERT_FILE}: {e}")))?;
    let key = PrivateKeyDer::from_pem_file(&key).map_err(|e| Error::Keys(format!("{LEAF_KEY_FILE}: {e}")))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate], key))
        .map_err(|e| Error::Keys(e.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn make_tls(folder: &Path, clock: Clock) -> Result<(), Error> {
    let fail = |e: rcgen::Error| Error::Keys(e.to_string());
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).map_err(fail)?;
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "Sandbox network authority");
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::DigitalSignature];
    valid(&mut params, clock);
    let authority_key = rcgen::KeyPair::generate().map_err(fail)?;
    let authority = rcgen::CertifiedIssuer::self_signed(params, authority_key).map_err(fail)?;

    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut params = rcgen::CertificateParams::new(names).map_err(fail)?;
    params.distinguished_name.push(rcgen::DnType::CommonName, "Sandbox network");
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    valid(&mut params, clock);
    let leaf_key = rcgen::KeyPair::generate().map_err(fail)?;
    let leaf = params.signed_by(&leaf_key, &authority).map_err(fail)?;

    write_private(&folder.join(CA_CERT_FILE), authority.pem().as_bytes())?;
    write_private(&folder.join(CA_KEY_FILE), authority.key().serialize_pem().as_bytes())?;
    write_private(&folder.join(LEAF_KEY_FILE), leaf_key.serialize_pem().as_bytes())?;
    // Last, because its presence says that the others are complete.
    write_private(&folder.join(LEAF_CERT_FILE), leaf.pem().as_bytes())
}

/// Node.js refuses certificates without an end that is near enough, so both ends are set.
fn valid(params: &mut rcgen::CertificateParams, clock: Clock) {
    let year = 1970 + i32::try_from(clock.unix_seconds() / 31_556_952).unwrap_or(55);
    params.not_before = rcgen::date_time_ymd(year - 1, 1, 1);
    params.not_after = rcgen::date_time_ymd(year + 10, 1, 1);
}

/// Makes `folder` with all its parents, readable by its owner alone.
pub(crate) fn make_private_folder(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(|source| file_error(folder, source))?;
    set_mode(folder, 0o700)
}

/// Writes a file that only its owner may read: whole or not at all, on disk on return.
fn write_private(path: &Path, content: &[u8]) -> Result<(), Error> {
    let fail = |source| file_error(path, source);
    let draft = path.with_extension("new");
    let mut file = fs::File::create(&draft).map_err(fail)?;
    set_mode(&draft, 0o600)?;
    file.write_all(content).map_err(fail)?;
    file.sync_all().map_err(fail)?;
    fs::rename(&draft, path).map_err(fail)
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(|source| file_error(path, source))
}

#[cfg(not(unix))]
fn set_mode(_path: &Path, _mode: u32) -> Result<(), Error> {
    Ok(())
}

fn file_error(path: &Path, source: std::io::Error) -> Error {
    Error::File { path: path.display().to_string(), source }
}
