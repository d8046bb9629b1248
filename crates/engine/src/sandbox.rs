//! The way to the sandbox: a pipe of bytes within the process, and the key that the other side must prove.
//!
//! A sandbox account is held to three things: its connections are made by the [`Dial`] and by nothing else, its
//! HTTP goes nowhere but to the door's media host, and its handshake is the pinned one (Noise IK), which authenticates the sandbox by its
//! static key. WhatsApp's own certificate check is not touched for it: should a link ever fall back to the
//! handshake that reads certificates, it fails there, since the sandbox can't show one by WhatsApp.

use crate::admission::Turn;
use crate::{MediaDoor, SandboxDoor, stream};
use async_channel::{Receiver, Sender};
use async_trait::async_trait;
use bytes::Bytes;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, watch};
use whatsapp_rust::http::{HttpClient, HttpRequest, HttpResponse};
use whatsapp_rust::store::persistence_manager::PersistenceManager;
use whatsapp_rust::transport::{DisconnectReason, Transport, TransportEvent, TransportFactory};
use whatsapp_rust::wacore::net::{StreamingHttpResponse, UploadBody};
use whatsapp_rust::wacore::store::DeviceCommand;
use whatsapp_rust::wacore::store::device::{CachedNoiseCert, CachedServerCertChain};
use whatsapp_rust::wacore_binary::Jid as WireJid;

/// The number that a pinned handshake logs in as before the account is linked: it names an account always, and
/// this one belongs to nobody.
const RESERVED_NUMBER: &str = "999999";
/// Events of a connection that may wait for the client.
const WAITING_EVENTS: usize = 64;

/// Prepares an account's device for the pinned handshake. Done at every opening: the sandbox may have a new
/// key, and a link that ended may have dropped the old one.
pub(crate) async fn pin(device: &PersistenceManager, door: &SandboxDoor) {
    if device.get_device_snapshot().account.is_none() {
        device.process_command(DeviceCommand::SetId(Some(WireJid::pn(RESERVED_NUMBER)))).await;
        device.process_command(DeviceCommand::SetLid(None)).await;
    }
    device.process_command(DeviceCommand::SetServerCertChain(pinned(door))).await;
}

/// The pin in the form in which the client library remembers a server it knows; it is never too old.
fn pinned(door: &SandboxDoor) -> CachedServerCertChain {
    let key = CachedNoiseCert { key: door.pinned_key, not_before: 0, not_after: i64::MAX };
    CachedServerCertChain { intermediate: key.clone(), leaf: key }
}

/// Makes the connections of one sandbox link.
pub(crate) struct SandboxTransport {
    pub(crate) door: SandboxDoor,
    pub(crate) turn: Arc<Turn>,
    pub(crate) device: Arc<PersistenceManager>,
}

#[async_trait]
impl TransportFactory for SandboxTransport {
    async fn create_transport(&self) -> anyhow::Result<(Arc<dyn Transport>, Receiver<TransportEvent>)> {
        // A client that failed the pinned handshake once stays with the other one: only a new client helps.
        let sound = self.turn.begin().await;
        let is_pinned = self.device.get_device_snapshot().server_cert_chain == Some(pinned(&self.door));
        if !(sound && is_pinned) {
            self.turn.withdraw();
            self.turn.handshake_failed();
            anyhow::bail!("the sandbox did not prove its key");
        }
        Ok(connect(&self.door, Arc::clone(&self.turn)))
    }
}

fn connect(door: &SandboxDoor, turn: Arc<Turn>) -> (Arc<dyn Transport>, Receiver<TransportEvent>) {
    let pipe = door.dial.dial();
    let (events, heard) = async_channel::bounded(WAITING_EVENTS);
    let hang_up = watch::Sender::new(false);
    // The channel is new and has room.
    let _ = events.try_send(TransportEvent::Connected);
    tokio::spawn(pump(pipe.incoming, events, hang_up.subscribe()));
    (Arc::new(Pipe { outgoing: Mutex::new(Some(pipe.outgoing)), hang_up, turn }), heard)
}

/// Carries what the network says to the client, until either hangs up.
async fn pump(mut incoming: mpsc::Receiver<Bytes>, events: Sender<TransportEvent>, mut hang_up: watch::Receiver<bool>) {
    let carry = async {
        while let Some(bytes) = incoming.recv().await {
            if events.send(TransportEvent::DataReceived(bytes)).await.is_err() {
                return DisconnectReason::Unknown;
            }
        }
        DisconnectReason::StreamEnded
    };
    let reason = tokio::select! {
        biased;
        // An error means that the connection was dropped.
        _ = hang_up.wait_for(|hang_up| *hang_up) => DisconnectReason::Unknown,
        reason = carry => reason,
    };
    // A client that is gone, or does not read any more, needs no farewell.
    let _ = events.try_send(TransportEvent::Disconnected(reason));
}

/// One connection.
struct Pipe {
    outgoing: Mutex<Option<mpsc::Sender<Bytes>>>,
    hang_up: watch::Sender<bool>,
    turn: Arc<Turn>,
}

#[async_trait]
impl Transport for Pipe {
    async fn send(&self, data: Bytes) -> anyhow::Result<()> {
        let outgoing = self.outgoing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let outgoing = outgoing.ok_or_else(|| anyhow::anyhow!("the connection is closed"))?;
        self.turn.wrote();
        outgoing.send(data).await.map_err(|_| anyhow::anyhow!("the sandbox closed the connection"))
    }

    async fn disconnect(&self) {
        self.hang_up.send_replace(true);
        drop(self.outgoing.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// HTTP of a sandbox account: files go to the door, whatever host they name, and there is nothing else it could need.
pub(crate) struct SandboxHttp(pub(crate) Arc<dyn MediaDoor>);

#[async_trait]
impl HttpClient for SandboxHttp {
    async fn execute(&self, request: HttpRequest) -> anyhow::Result<HttpResponse> {
        let door = Self(Arc::clone(&self.0));
        let work = move || {
            let body = request.body.clone().unwrap_or_default();
            let (status_code, answer) = door.exchange(&request, &mut body.as_ref())?;
            Ok(HttpResponse { status_code, body: stream::short(answer)? })
        };
        tokio::task::spawn_blocking(work).await?
    }

    fn supports_streaming(&self) -> bool {
        true
    }

    fn execute_streaming(&self, request: HttpRequest) -> anyhow::Result<StreamingHttpResponse> {
        let (status_code, body) = self.exchange(&request, &mut std::io::empty())?;
        Ok(StreamingHttpResponse { status_code, body })
    }

    fn supports_upload_streaming(&self) -> bool {
        true
    }

    fn execute_upload(&self, request: HttpRequest, body: UploadBody, content_length: u64) -> anyhow::Result<HttpResponse> {
        let (status_code, answer) = self.exchange(&request, &mut body.take(content_length))?;
        Ok(HttpResponse { status_code, body: stream::short(answer)? })
    }
}

impl SandboxHttp {
    fn exchange(&self, request: &HttpRequest, body: &mut dyn Read) -> anyhow::Result<(u16, Box<dyn Read + Send>)> {
        let path = path_of(&request.url)?;
        let headers: Vec<(String, String)> = request.headers.clone().into_iter().collect();
        Ok(self.0.exchange(&request.method, &path, &headers, body)?)
    }
}

/// Path and query of an address of files; all others are refused.
fn path_of(url: &str) -> anyhow::Result<String> {
    let url: reqwest::Url = url.parse()?;
    let is_file = url.scheme() == "https" && (url.path().starts_with("/mms/") || url.path().starts_with("/v/"));
    anyhow::ensure!(is_file, "a sandbox account must not reach {}", url.host_str().unwrap_or_default());
    Ok(url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers with the path that it was asked for.
    struct Echo;
    impl MediaDoor for Echo {
        fn exchange(&self, _: &str, path: &str, _: &[(String, String)], _: &mut dyn Read) -> std::io::Result<(u16, Box<dyn Read + Send>)> {
            Ok((200, Box::new(std::io::Cursor::new(path.to_owned().into_bytes()))))
        }
    }

    #[tokio::test]
    async fn files_of_a_sandbox_account_go_to_the_door_and_nothing_else_goes_anywhere() {
        let http = SandboxHttp(Arc::new(Echo));
        for url in ["https://127.0.0.1:8443/mms/image/token?auth=x", "https://mmg.whatsapp.net/v/t62/1?token=y"] {
            let answer = http.execute(HttpRequest::get(url)).await.expect("answered");
            let path = url.split_once("//").and_then(|(_, rest)| rest.find('/').map(|at| rest.split_at(at).1));
            assert_eq!(answer.body_string().ok().as_deref(), path);
        }
        for url in [
            "https://web.whatsapp.com/sw.js",
            "https://mmg.whatsapp.net/x",
            "https://mmg.whatsapp.net/v/../sw.js",
            "http://127.0.0.1:1/v/x",
            "file:///v/etc/passwd",
        ] {
            assert!(http.execute(HttpRequest::get(url)).await.is_err(), "{url}");
        }
    }
}
