//! Names to addresses: the system's answer without what is refused.
//!
//! The HTTP client connects to what this resolver hands it and resolves nothing itself, so there is no second answer.

use super::address::Allowed;
use super::error::EgressRefusal;
use super::lookup::Lookups;
use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

type Lookup = dyn Fn(String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> + Send + Sync;

/// Where names are looked up.
#[derive(Clone)]
pub(super) struct Names(Arc<Lookup>);

impl Names {
    /// The machine's own resolver.
    pub(super) fn system() -> Self {
        let lookups = Lookups::system();
        Self::by(move |name| lookups.find(name))
    }

    /// A table of the caller's own.
    pub(super) fn by(lookup: impl Fn(String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(lookup))
    }
}

/// Lets only permitted addresses through.
pub(super) struct Guarded {
    names: Names,
    allowed: Arc<Allowed>,
}

impl Guarded {
    pub(super) fn new(names: Names, allowed: Arc<Allowed>) -> Self {
        Self { names, allowed }
    }
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (asked, allowed) = ((self.names.0)(name.as_str().to_owned()), self.allowed.clone());
        Box::pin(async move {
            let found = asked.await?;
            let permitted: Vec<SocketAddr> = found.into_iter().filter(|ip| allowed.permits(*ip)).map(|ip| SocketAddr::new(ip, 0)).collect();
            if permitted.is_empty() {
                return Err(EgressRefusal::NotPublic.into());
            }
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}
