//! The way out to hosts that a caller named: webhook receivers and `media_url`s.
//!
//! Apart because a server that opens any address for its callers opens its own network to them. Everything here
//! follows one rule: what is connected to is an address that was judged, and only public ones are let through
//! (`address`), unless the operator listed them in `egress.allow`. Names are resolved by a resolver of ours that drops
//! what is refused, and the connection goes to what is left of that very answer, so a name that changes between check
//! and use (DNS rebinding) gains nothing. Redirects are followed by hand, each hop judged anew, or not at all. No
//! proxy is taken from the environment: it would connect on our behalf, without these checks.

mod address;
mod error;
mod exchange;
mod lookup;
mod resolve;
#[cfg(test)]
mod tests;
mod url;

pub use error::{EgressError, EgressRefusal};
pub use exchange::{FetchLimits, Fetched, Posted};

use address::Allowed;
use anyhow::{Context, anyhow};
use ipnet::IpNet;
use resolve::{Guarded, Names};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sanasend_model::UserId;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a connection may take to be there, TLS included.
const CONNECT: Duration = Duration::from_secs(10);
/// Connections to one host that are kept open for the next request.
const KEPT_PER_HOST: usize = 64;
/// How long an idle connection is kept.
const KEPT_FOR: Duration = Duration::from_mins(1);

/// The guarded way out. Cheap to clone; all clones share their connections.
#[derive(Clone)]
pub struct Egress {
    client: reqwest::Client,
    allowed: Arc<Allowed>,
    owner: Option<UserId>,
}

impl Egress {
    /// A way out to public addresses and to `allow`, the operator's exceptions.
    ///
    /// # Errors
    /// When TLS can't be set up.
    pub fn new(allow: Vec<IpNet>) -> anyhow::Result<Self> {
        Self::with_authorities(allow, None)
    }

    /// The same, trusting also the certificate authorities of a PEM file.
    ///
    /// # Errors
    /// When the file holds no certificate, or TLS can't be set up.
    pub fn with_authorities(allow: Vec<IpNet>, more: Option<&Path>) -> anyhow::Result<Self> {
        Self::resolving(allow, more, Names::system())
    }

    fn resolving(allow: Vec<IpNet>, more: Option<&Path>, names: Names) -> anyhow::Result<Self> {
        let allowed = Arc::new(Allowed::new(allow));
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(more)?)
            .dns_resolver(Arc::new(Guarded::new(names, allowed.clone())))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .http1_only()
            .connect_timeout(CONNECT)
            .pool_idle_timeout(KEPT_FOR)
            .pool_max_idle_per_host(KEPT_PER_HOST)
            .user_agent(concat!("SanaSend/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| anyhow!("the way out can't be set up: {error}"))?;
        Ok(Self { client, allowed, owner: None })
    }

    /// The same way out for what one user asked for: names are looked up in that user's turns, so that those of a slow name
    /// server keep nobody else waiting.
    #[must_use]
    pub fn of(&self, user: UserId) -> Self {
        Self { owner: Some(user), ..self.clone() }
    }

    /// Reads and judges a URL as a caller wrote it, without asking the network: what its name resolves to is judged
    /// when it is used.
    ///
    /// # Errors
    /// What is wrong with it, in words for the caller.
    pub fn check(&self, text: &str) -> Result<reqwest::Url, EgressRefusal> {
        url::check(text, &self.allowed)
    }
}

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Egress").finish_non_exhaustive()
    }
}

/// Trusts the certificate authorities of Mozilla's list, whether or not the machine has any, and those of `more`.
/// A client for hosts that the operator names in a setting: nothing is judged. Like the guarded one it follows no redirects
/// and takes no proxy from the environment.
///
/// # Errors
/// When TLS can't be set up.
pub fn operators_client(patience: Duration) -> anyhow::Result<reqwest::Client> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls(None)?)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .http1_only()
        .timeout(patience)
        .user_agent(concat!("SanaSend/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| anyhow!("a client can't be set up: {error}"))
}

fn tls(more: Option<&Path>) -> anyhow::Result<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(path) = more {
        let unreadable = || format!("{} can't be read as certificates (PEM)", path.display());
        let certificates = CertificateDer::pem_file_iter(path).with_context(unreadable)?;
        let certificates = certificates.collect::<Result<Vec<_>, _>>().with_context(unreadable)?;
        if certificates.is_empty() {
            anyhow::bail!("{} holds no certificate (PEM)", path.display());
        }
        for certificate in certificates {
            roots.add(certificate).with_context(unreadable)?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
