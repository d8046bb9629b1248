//! The sandbox as a whole: what its owner starts, dials and stops.

use crate::clock::Clock;
use crate::control::{self, Control};
use crate::keys::{Keys, public_bytes};
use crate::media::MediaHost;
use crate::network::Network;
use crate::phones::Phones;
use crate::state::State;
use crate::transcript::Transcript;
use crate::wire::{Pipe, Port, pipe, serve};
use crate::{Error, keys};
use axum::Router;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How long [`Sandbox::stop`] waits for connections to end.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Where the sandbox lives and listens.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its own folder: keys and state. Made when absent, with mode 700.
    pub data_dir: PathBuf,
    /// Plain port: WebSocket, media and control API. Port 0 takes a free one.
    pub listen: Option<SocketAddr>,
    /// TLS port: WebSocket and media.
    pub tls_listen: Option<SocketAddr>,
}

/// Where the sandbox is to be found.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Addresses {
    /// `ws://127.0.0.1:PORT/ws/chat`; `None` without a plain port.
    pub ws: Option<String>,
    /// `wss://127.0.0.1:PORT/ws/chat`; `None` without a TLS port.
    pub wss: Option<String>,
    /// `http://127.0.0.1:PORT`, the control API; `None` without a plain port.
    pub admin: Option<String>,
    /// Certificate (PEM) of the authority that signed the TLS port's certificate.
    pub ca_file: PathBuf,
    /// `host:port` that clients are told to take media to, always by https.
    pub media_host: String,
}

/// A running pretend WhatsApp. Clones share it; it ends with the last of them, or by
/// [`Sandbox::stop`].
#[derive(Clone, Debug)]
pub struct Sandbox(Arc<Running>);

#[derive(Debug)]
struct Running {
    network: Network,
    control: Control,
    keys: Arc<Keys>,
    addresses: Addresses,
    stop: watch::Sender<bool>,
}

impl Sandbox {
    /// Loads or makes keys and state, brings back the phones, and opens the ports.
    ///
    /// # Errors
    /// When the folder cannot be used, is held by another process, or an address cannot
    /// be listened on.
    pub async fn start(config: Config) -> Result<Sandbox, Error> {
        // Ports first: what is taken by somebody else should be known before anything runs.
        let plain = bind(config.listen).await?;
        let secure = bind(config.tls_listen).await?;
        let clock = Clock;
        keys::make_private_folder(&config.data_dir)?;
        let keys = Arc::new(Keys::load_or_create(&config.data_dir.join("keys"), clock)?);
        let state = State::open(&config.data_dir.join("state"))?;
        let media = MediaHost::open(state.clone(), &config.data_dir.join("media"), clock)?;
        let network = Network::open(state, clock, Arc::new(Transcript::default()), media)?;
        let phones = Phones::open(network.clone(), &config.data_dir.join("gallery"))?;
        let control = Control::new(network.clone(), phones, keys.root);
        let (stop, stopped) = watch::channel(false);
        let port = Port { network: network.clone(), keys: keys.clone(), stop: stopped };
        let plain = plain.map(|(listener, at)| {
            port.open(listener, false, control::router(control.clone()));
            at
        });
        let secure = secure.map(|(listener, at)| {
            port.open(listener, true, Router::new());
            at
        });
        let media_at = secure.or(plain).map(reachable);
        let addresses = Addresses {
            ws: plain.map(|at| format!("ws://{}/ws/chat", reachable(at))),
            wss: secure.map(|at| format!("wss://{}/ws/chat", reachable(at))),
            admin: plain.map(|at| format!("http://{}", reachable(at))),
            ca_file: keys.ca_file.clone(),
            media_host: media_at.map_or_else(|| "localhost".to_owned(), |at| at.to_string()),
        };
        network.media().set_address(addresses.media_host.clone());
        Ok(Sandbox(Arc::new(Running { network, control, keys, addresses, stop })))
    }

    /// X25519 public key that in-process clients pin (Noise IK).
    #[must_use]
    pub fn static_key(&self) -> [u8; 32] {
        public_bytes(&self.0.keys.noise)
    }

    /// Public root of the Noise certificate chain, for clients that verify it.
    #[must_use]
    pub fn root_key(&self) -> [u8; 32] {
        self.0.keys.root
    }

    /// A new connection in this process: the bytes are those of binary WebSocket messages.
    #[must_use]
    pub fn dial(&self) -> Pipe {
        let (pipe, source, drain) = pipe();
        let (network, keys) = (self.0.network.clone(), self.0.keys.clone());
        let mut stop = self.0.stop.subscribe();
        tokio::spawn(async move {
            tokio::select! {
                () = serve(&network, &keys, source, drain) => {}
                _ = stop.changed() => {}
            }
        });
        pipe
    }

    /// Where the ports are.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.0.addresses
    }

    /// What tests and tools steer it by.
    #[must_use]
    pub fn control(&self) -> Control {
        self.0.control.clone()
    }

    /// The media hosts, without HTTP: for accounts in this process. Its calls block.
    #[must_use]
    pub fn media(&self) -> MediaHost {
        self.0.network.media().clone()
    }

    /// Closes ports and connections, and makes the state safe on disk.
    pub async fn stop(&self) {
        // Nobody listening means that everything has ended already.
        let _ = self.0.stop.send(true);
        self.0.control.stop();
        self.0.network.close_all();
        let waited = tokio::time::timeout(STOP_WITHIN, self.0.network.all_closed()).await;
        if waited.is_err() {
            tracing::warn!("some connections did not end in time");
        }
        if let Err(error) = self.0.network.state().flush() {
            tracing::error!(%error, "the sandbox's state was not flushed");
        }
        self.0.network.state().close();
    }
}

impl Drop for Running {
    /// Without this the phones would keep the network, and the network its files.
    fn drop(&mut self) {
        self.control.stop();
        self.network.close_all();
    }
}

/// Takes an address, if there is one to take.
async fn bind(address: Option<SocketAddr>) -> Result<Option<(TcpListener, SocketAddr)>, Error> {
    let Some(address) = address else {
        return Ok(None);
    };
    let fail = |source| Error::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    let bound = listener.local_addr().map_err(fail)?;
    Ok(Some((listener, bound)))
}

/// An address that can be dialled: "everywhere" becomes this machine.
fn reachable(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, bound.port())
}
