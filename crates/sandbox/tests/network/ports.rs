//! The same network over the plain port and over TLS.

use crate::client::{Client, Wire, attr, login_payload, new_key};
use crate::world::Companion;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use sanasend_sandbox::{Config, Fault, MediaTrouble, MediaWay, RESERVED_NUMBER, Sandbox};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use wacore_binary::builder::NodeBuilder;

const PHONE: &str = "12025550100";

async fn sandbox_with_ports(folder: &std::path::Path) -> Sandbox {
    let any = Some("127.0.0.1:0".parse().unwrap());
    Sandbox::start(Config { data_dir: folder.to_owned(), listen: any, tls_listen: any }).await.unwrap()
}

/// Opens a WebSocket over any stream and turns it into the channels of a [`Wire`]. Just what the test needs of
/// RFC 6455: binary messages in one frame, masked on the way out.
async fn upgrade<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(host: &str, mut stream: S) -> Wire {
    let request = format!(
        "GET /ws/chat HTTP/1.1\r\nhost: {host}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));

    let (mut reader, mut writer) = tokio::io::split(stream);
    let (out, mut to_send) = mpsc::channel::<Bytes>(64);
    let (received, inn) = mpsc::channel(64);
    tokio::spawn(async move {
        while let Some(bytes) = to_send.recv().await {
            let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
            // A mask of zeros leaves the bytes as they are.
            let head = [&[0x82, 0xfe][..], &length, &[0; 4]].concat();
            let sent = writer.write_all(&[&head[..], &bytes].concat()).await.is_ok() && writer.flush().await.is_ok();
            if !sent {
                return;
            }
        }
    });
    tokio::spawn(async move {
        while let Ok(kind) = reader.read_u8().await {
            let length = match reader.read_u8().await.unwrap() {
                126 => usize::from(reader.read_u16().await.unwrap()),
                127 => usize::try_from(reader.read_u64().await.unwrap()).unwrap(),
                short => usize::from(short),
            };
            let mut bytes = vec![0; length];
            reader.read_exact(&mut bytes).await.unwrap();
            if kind != 0x82 || received.send(Bytes::from(bytes)).await.is_err() {
                return;
            }
        }
    });
    Wire::new(out, inn)
}

async fn tls(sandbox: &Sandbox, address: &str) -> tokio_rustls::client::TlsStream<TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&sandbox.addresses().ca_file).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

fn host(url: &str) -> &str {
    url.split("://").nth(1).unwrap().split('/').next().unwrap()
}

#[tokio::test]
async fn a_client_is_greeted_over_both_ports() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_with_ports(folder.path()).await;
    let (ws, wss) = (sandbox.addresses().ws.clone().unwrap(), sandbox.addresses().wss.clone().unwrap());
    let plain = upgrade(host(&ws), TcpStream::connect(host(&ws)).await.unwrap()).await;
    let secure = upgrade(host(&wss), tls(&sandbox, host(&wss)).await).await;
    for wire in [plain, secure] {
        let payload = login_payload(RESERVED_NUMBER, 0);
        let (mut client, _, _) = Client::introduce(wire, &new_key(), &payload).await;
        let offer = client.expect("iq").await;
        assert!(offer.get_optional_child("pair-device").is_some());
        assert_eq!(attr(&client.ask("w:p", "get", vec![]).await, "type"), "result");
    }
    sandbox.stop().await;
    assert!(TcpStream::connect(host(&ws)).await.is_err(), "the ports are closed");
}

/// One request, over TLS as all clients make it; status and body.
async fn ask(sandbox: &Sandbox, request: &str, body: &[u8]) -> (u16, String) {
    let mut stream = tls(sandbox, &sandbox.addresses().media_host.clone()).await;
    let head = format!("{request}\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = String::new();
    // The peer may close without the TLS goodbye.
    let _ = stream.read_to_string(&mut answer).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0), body.to_owned())
}

#[tokio::test]
async fn media_goes_over_the_port_that_a_client_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_with_ports(folder.path()).await;
    sandbox.control().add_phone(Some(PHONE), None).await.unwrap();
    let (_companion, mut client) = Companion::ready(&sandbox, PHONE, 1).await;
    let answer = client.ask("w:m", "set", vec![NodeBuilder::new("media_conn").build()]).await;
    let conn = answer.get_optional_child("media_conn").unwrap();
    assert_eq!(attr(conn.get_optional_child("host").unwrap(), "hostname"), sandbox.addresses().media_host);

    let sealed = vec![b'x'; 300_000];
    let token = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&sealed));
    let (status, refusal) = ask(&sandbox, &format!("POST /mms/video/{token}?token={token} HTTP/1.1"), &sealed).await;
    assert_eq!(status, 401, "{refusal}");
    let upload = format!("POST /mms/video/{token}?auth={}&token={token} HTTP/1.1", attr(conn, "auth"));
    let (status, answer) = ask(&sandbox, &upload, &sealed).await;
    assert_eq!(status, 200, "{answer}");
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let path = answer["direct_path"].as_str().unwrap();
    assert_eq!(answer["url"], format!("https://{}{path}", sandbox.addresses().media_host));
    assert_eq!(ask(&sandbox, &format!("GET {path} HTTP/1.1"), b"").await, (200, String::from_utf8(sealed).unwrap()));
    let (status, part) = ask(&sandbox, &format!("GET {path} HTTP/1.1\r\nrange: bytes=0-2"), b"").await;
    assert_eq!((status, part.as_str()), (206, "xxx"));
    assert_eq!(ask(&sandbox, "GET /v/video/00.enc HTTP/1.1", b"").await.0, 404);

    let fault = Fault::Media { way: MediaWay::Download, trouble: MediaTrouble::Truncated, count: 1 };
    sandbox.control().fault(PHONE, fault).unwrap();
    let (_, half) = ask(&sandbox, &format!("GET {path} HTTP/1.1"), b"").await;
    assert!(half.len() < 300_000, "the line broke");
    sandbox.control().fault(PHONE, Fault::MediaGone(410)).unwrap();
    assert_eq!(ask(&sandbox, &format!("GET {path} HTTP/1.1"), b"").await.0, 410);
}

#[cfg(unix)]
#[tokio::test]
async fn keys_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_with_ports(&folder.path().join("deep/down")).await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let keys = sandbox.addresses().ca_file.parent().unwrap().to_owned();
    assert_eq!(mode(&keys), 0o700);
    for file in std::fs::read_dir(&keys).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}
