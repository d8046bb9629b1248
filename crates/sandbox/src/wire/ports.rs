//! The two ports, plain and TLS, and what they serve: the WebSocket, media, and beside
//! them whatever router the caller brings.

use super::connection::{Drain, Source, serve};
use crate::keys::Keys;
use crate::network::Network;
use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::{any, get};
use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// Everything a port needs to serve.
#[derive(Clone)]
pub(crate) struct Port {
    /// Who is served.
    pub network: Network,
    /// How they are greeted.
    pub keys: Arc<Keys>,
    /// What ends it: a change, or the sender's end.
    pub stop: watch::Receiver<bool>,
}

impl Port {
    /// Serves the WebSocket and `beside` on a listener, with TLS if `tls`, until told to stop.
    pub(crate) fn open(&self, listener: TcpListener, tls: bool, beside: Router) {
        let acceptor = tls.then(|| TlsAcceptor::from(self.keys.tls.clone()));
        let stop = self.stop.clone();
        let router = router(self.clone()).merge(beside);
        tokio::spawn(async move {
            let mut ended = stop.clone();
            tokio::select! {
                () = accept(&listener, acceptor.as_ref(), &router, &stop) => {}
                _ = ended.changed() => {}
            }
        });
    }
}

async fn accept(listener: &TcpListener, acceptor: Option<&TlsAcceptor>, router: &Router, stop: &watch::Receiver<bool>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: give others the time to end.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        // Stanzas are small and answered one by one: waiting to fill a packet would cost
        // 40 ms each time.
        if stream.set_nodelay(true).is_err() {
            continue;
        }
        let (acceptor, router) = (acceptor.cloned(), router.clone());
        let mut ended = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = greet_http(stream, acceptor, router) => {}
                _ = ended.changed() => {}
            }
        });
    }
}

async fn greet_http(stream: TcpStream, acceptor: Option<TlsAcceptor>, router: Router) {
    let service = TowerToHyperService::new(router);
    let builder = auto::Builder::new(TokioExecutor::new());
    let served = if let Some(acceptor) = acceptor {
        match acceptor.accept(stream).await {
            Ok(stream) => {
                let io = TokioIo::new(stream);
                builder.serve_connection_with_upgrades(io, service).await
            }
            Err(error) => {
                tracing::debug!(%error, "no TLS");
                return;
            }
        }
    } else {
        let io = TokioIo::new(stream);
        builder.serve_connection_with_upgrades(io, service).await
    };
    if let Err(error) = served {
        tracing::debug!(%error, "an HTTP connection ended badly");
    }
}

fn router(port: Port) -> Router {
    let media = super::media::router(port.network.media().clone());
    Router::new().route("/ws/chat", any(upgrade)).route("/", get(|| async { "sandbox network\n" })).with_state(port).merge(media)
}

async fn upgrade(State(port): State<Port>, request: WebSocketUpgrade) -> Response {
    request.on_upgrade(move |socket| async move {
        let (sink, stream) = socket.split();
        let mut stop = port.stop.clone();
        tokio::select! {
            () = serve(&port.network, &port.keys, stream, sink) => {}
            _ = stop.changed() => {}
        }
    })
}

impl Source for SplitStream<WebSocket> {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            match StreamExt::next(self).await? {
                Ok(Message::Binary(bytes)) => return Some(bytes),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Text(_)) => {}
                Ok(Message::Close(_)) | Err(_) => return None,
            }
        }
    }
}

impl Drain for SplitSink<WebSocket, Message> {
    async fn write(&mut self, bytes: Bytes) -> bool {
        self.feed(Message::Binary(bytes)).await.is_ok()
    }

    async fn flush(&mut self) -> bool {
        SinkExt::flush(self).await.is_ok()
    }
}
