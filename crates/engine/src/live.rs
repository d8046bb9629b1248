//! The way to the real WhatsApp: TLS WebSocket and HTTPS, to WhatsApp's own hosts and nowhere else.

use crate::ClientVersion;
use crate::admission::Turn;
use crate::stream;
use async_channel::Receiver;
use async_trait::async_trait;
use bytes::Bytes;
use std::io::Read;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use whatsapp_rust::http::{HttpClient, HttpRequest, HttpResponse};
use whatsapp_rust::transport::{TokioWebSocketTransportFactory, Transport, TransportEvent, TransportFactory, default_tls_connector};
use whatsapp_rust::version::fetch_latest_app_version;
use whatsapp_rust::wacore::net::{StreamingHttpResponse, UploadBody};

/// Longest time for TCP, TLS and the WebSocket upgrade together. The client library allows 20 s, with the wait
/// for a place among them; without Internet nobody should have to wait that long for a sentence.
const DIAL_LIMIT: Duration = Duration::from_secs(10);
/// Longest time for the page that names WhatsApp's client version.
const VERSION_LIMIT: Duration = Duration::from_secs(10);
/// Longest time for any other exchange.
const HTTP_LIMIT: Duration = Duration::from_mins(2);
/// Largest answer that is read: more than WhatsApp takes as one file.
const MAX_ANSWER: usize = 128 << 20;

/// What all live links share. Its fields can't be pointed elsewhere from outside this module.
pub(crate) struct Live {
    dialler: TokioWebSocketTransportFactory,
    http: Arc<LiveHttp>,
}

impl Live {
    pub(crate) fn new() -> Self {
        // Makes ring the process's TLS provider too, unless there is one already.
        let dialler = TokioWebSocketTransportFactory::new().with_connector(default_tls_connector());
        Self { dialler, http: Arc::new(LiveHttp { only: &["whatsapp.com", "whatsapp.net"] }) }
    }

    /// As [`Live::new`], but everything goes to a port on this machine.
    #[cfg(test)]
    pub(crate) fn towards(port: u16) -> Self {
        let dialler = TokioWebSocketTransportFactory::new().with_url(format!("ws://127.0.0.1:{port}/ws/chat"));
        Self { dialler, http: Arc::new(LiveHttp { only: &[] }) }
    }

    pub(crate) fn http(&self) -> Arc<dyn HttpClient> {
        self.http.clone()
    }

    /// Asks WhatsApp for its current client version.
    pub(crate) async fn version(&self) -> Result<ClientVersion, String> {
        let http = self.http();
        match tokio::time::timeout(VERSION_LIMIT, fetch_latest_app_version(&http)).await {
            Ok(Ok((primary, secondary, tertiary))) => Ok(ClientVersion(primary, secondary, tertiary)),
            Ok(Err(error)) => Err(format!("{error:#}")),
            Err(_) => Err(format!("no answer within {} s", VERSION_LIMIT.as_secs())),
        }
    }
}

/// Makes the connections of one live link.
pub(crate) struct LiveTransport {
    pub(crate) live: Arc<Live>,
    pub(crate) turn: Arc<Turn>,
}

#[async_trait]
impl TransportFactory for LiveTransport {
    async fn create_transport(&self) -> anyhow::Result<(Arc<dyn Transport>, Receiver<TransportEvent>)> {
        // After a failed handshake the library knows a slower one, so it may go on.
        if !self.turn.begin().await {
            self.turn.handshake_failed();
        }
        let dialled = match tokio::time::timeout(DIAL_LIMIT, self.live.dialler.create_transport()).await {
            Ok(dialled) => dialled,
            Err(_) => Err(anyhow::anyhow!("no connection within {} s", DIAL_LIMIT.as_secs())),
        };
        match dialled {
            Ok((inner, events)) => Ok((Arc::new(Noted { inner, turn: Arc::clone(&self.turn) }), events)),
            Err(error) => {
                self.turn.dial_failed(format!("WhatsApp can't be reached: {error:#}"));
                Err(error)
            }
        }
    }
}

/// A connection whose writes are noted.
struct Noted {
    inner: Arc<dyn Transport>,
    turn: Arc<Turn>,
}

#[async_trait]
impl Transport for Noted {
    async fn send(&self, data: Bytes) -> anyhow::Result<()> {
        self.turn.wrote();
        self.inner.send(data).await
    }

    async fn disconnect(&self) {
        self.inner.disconnect().await;
    }
}

/// HTTPS to WhatsApp's hosts. The addresses come out of messages and answers, so they are not to be trusted.
struct LiveHttp {
    only: &'static [&'static str],
}

/// Built at the first use: live links may never be opened. Knows the same certificate authorities as the
/// WebSocket, whether or not the machine has any; follows no redirects, since they could lead elsewhere.
static CLIENT: LazyLock<Result<reqwest::Client, String>> = LazyLock::new(|| {
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(HTTP_LIMIT)
        .connect_timeout(DIAL_LIMIT)
        .build()
        .map_err(|error| error.to_string())
});

#[async_trait]
impl HttpClient for LiveHttp {
    async fn execute(&self, request: HttpRequest) -> anyhow::Result<HttpResponse> {
        let url = allowed(&request.url, self.only)?;
        let client = CLIENT.as_ref().map_err(|error| anyhow::anyhow!("TLS can't be set up: {error}"))?;
        let mut call = client.request(request.method.parse()?, url);
        for (name, value) in request.headers {
            call = call.header(name, value);
        }
        if let Some(body) = request.body {
            call = call.body(body);
        }
        let mut answer = call.send().await?;
        let status_code = answer.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            anyhow::ensure!(body.len() + chunk.len() <= MAX_ANSWER, "the answer is larger than {MAX_ANSWER} bytes");
            body.extend_from_slice(&chunk);
        }
        Ok(HttpResponse { status_code, body })
    }

    fn supports_streaming(&self) -> bool {
        true
    }

    fn execute_streaming(&self, request: HttpRequest) -> anyhow::Result<StreamingHttpResponse> {
        let (status_code, body) = self.exchange(&request, None)?;
        Ok(StreamingHttpResponse { status_code, body })
    }

    fn supports_upload_streaming(&self) -> bool {
        true
    }

    fn execute_upload(&self, request: HttpRequest, mut body: UploadBody, content_length: u64) -> anyhow::Result<HttpResponse> {
        let (status_code, answer) = self.exchange(&request, Some((body.as_mut(), Some(content_length))))?;
        Ok(HttpResponse { status_code, body: stream::short(answer)? })
    }
}

impl LiveHttp {
    fn exchange(&self, request: &HttpRequest, body: Option<(&mut dyn Read, Option<u64>)>) -> anyhow::Result<(u16, Box<dyn Read + Send>)> {
        let url = allowed(&request.url, self.only)?;
        let client = CLIENT.as_ref().map_err(|error| anyhow::anyhow!("TLS can't be set up: {error}"))?;
        let headers: Vec<(String, String)> = request.headers.clone().into_iter().collect();
        Ok(stream::exchange(client, stream::Head { method: request.method.parse()?, url, headers: &headers }, body)?)
    }
}

/// The address, when it is HTTPS at one of `domains` or below.
fn allowed(url: &str, domains: &[&str]) -> anyhow::Result<reqwest::Url> {
    let url: reqwest::Url = url.parse()?;
    let host = url.host_str().unwrap_or_default();
    let within = |domain: &&str| host == *domain || host.strip_suffix(*domain).is_some_and(|rest| rest.ends_with('.'));
    let ours = url.scheme() == "https" && url.port().is_none() && url.username().is_empty() && domains.iter().any(within);
    anyhow::ensure!(ours, "{host} is not one of WhatsApp's hosts");
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bound_of_the_client_cuts_a_long_upload_off() {
        let client = format!("{:?}", CLIENT.as_ref().expect("a client"));
        assert!(!client.contains("read_timeout"), "it runs while a body goes up, too: {client}");
    }

    #[test]
    fn only_whatsapps_hosts_are_reached() {
        let domains = &["whatsapp.com", "whatsapp.net"];
        for url in ["https://web.whatsapp.com/sw.js", "https://mmg.whatsapp.net/v/t62?x=1", "https://media-fra3-1.cdn.whatsapp.net/a"] {
            assert!(allowed(url, domains).is_ok(), "{url}");
        }
        for url in [
            "http://web.whatsapp.com/sw.js",
            "https://web.whatsapp.com:8443/",
            "https://whatsapp.net.example.com/",
            "https://evilwhatsapp.net/",
            "https://web.whatsapp.com@example.com/",
            "https://user@web.whatsapp.com/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://169.254.169.254/latest",
            "file:///etc/passwd",
        ] {
            assert!(allowed(url, domains).is_err(), "{url}");
        }
    }
}
