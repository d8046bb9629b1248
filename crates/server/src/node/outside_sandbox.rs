//! The way to a sandbox that runs in another process, for tests that kill this one while the network lives on.
//!
//! Only loopback addresses and only with the other's key in a file: a session of the sandbox can't reach the
//! Internet through here, and a live one never comes this way.

use crate::config::check::loopback_url;
use crate::config::settings::SandboxSettings;
use anyhow::{Context, bail};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use sanasend_engine::{BytePipe, Dial, MediaOverHttp, SandboxDoor};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

/// Frames that wait on their way in one direction; more make the sender wait.
const QUEUE: usize = 64;

/// The door to the sandbox that the settings name, or `None` when they name none.
///
/// # Errors
/// When the address is no loopback address, or the key can't be read.
pub fn door(settings: &SandboxSettings) -> anyhow::Result<Option<SandboxDoor>> {
    let Some(url) = &settings.connect else { return Ok(None) };
    let Some((address, path)) = loopback_url(url) else {
        bail!("{url} is no address of a sandbox on this machine; it must be like ws://127.0.0.1:8090/ws/chat");
    };
    let file = settings.connect_key.as_ref().context("the key of the other sandbox is not set")?;
    let text = std::fs::read_to_string(file).with_context(|| format!("can't read the key file {}", file.display()))?;
    let mut pinned_key = [0_u8; 32];
    hex::decode_to_slice(text.trim(), &mut pinned_key).with_context(|| format!("{} must hold 64 hexadecimal digits", file.display()))?;
    let media = Arc::new(MediaOverHttp::new(address).context("no HTTP client for the other sandbox")?);
    Ok(Some(SandboxDoor { dial: Arc::new(OtherProcess { address, path }), pinned_key, media }))
}

struct OtherProcess {
    address: SocketAddr,
    path: String,
}

impl Dial for OtherProcess {
    fn dial(&self) -> BytePipe {
        let (outgoing, from_client) = mpsc::channel(QUEUE);
        let (to_client, incoming) = mpsc::channel(QUEUE);
        let (address, path) = (self.address, self.path.clone());
        tokio::spawn(async move {
            if let Err(error) = carry(address, &path, from_client, to_client).await {
                tracing::debug!(%error, "the connection to the sandbox ended");
            }
        });
        BytePipe { outgoing, incoming }
    }
}

/// Carries frames both ways until one side closes.
async fn carry(
    address: SocketAddr,
    path: &str,
    mut from_client: mpsc::Receiver<Bytes>,
    to_client: mpsc::Sender<Bytes>,
) -> anyhow::Result<()> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let (socket, _) = tokio_tungstenite::client_async(format!("ws://{address}{path}"), socket).await?;
    let (mut write, mut read) = socket.split();
    loop {
        tokio::select! {
            frame = from_client.recv() => match frame {
                Some(frame) => write.send(Message::Binary(frame)).await?,
                None => break,
            },
            message = read.next() => match message {
                Some(Ok(Message::Binary(frame))) => if to_client.send(frame).await.is_err() { break },
                Some(Ok(Message::Close(_))) | None => break,
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
            },
        }
    }
    // The other side may be gone already; then there is nobody to say goodbye to.
    let _ = write.close().await;
    Ok(())
}
