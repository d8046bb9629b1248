//! A customer who listens: a webhook receiver that answers as it is told to and keeps what it heard. It knows nothing of our
//! code; signatures are checked by the convention's own crate.

use crate::world::PATIENCE;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// How a customer answers.
#[derive(Debug, Clone)]
pub enum Manner {
    /// With this status.
    Status(u16),
    /// With a status and one header.
    Header(u16, &'static str, String),
    /// Not at all, while the connection stays open.
    Hang,
}

/// One request that came in.
#[derive(Debug, Clone)]
pub struct Heard {
    /// `webhook-id`.
    pub id: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The very bytes.
    pub bytes: Bytes,
    /// What they say.
    pub body: Value,
}

impl Heard {
    /// What happened, like `message.delivered`.
    pub fn kind(&self) -> &str {
        self.body["type"].as_str().unwrap_or_default()
    }

    /// Whether one of its signatures is the one that the convention's crate makes with `secret`. Not by the crate's `verify`,
    /// which asks the machine's clock: time is made up here.
    pub fn is_signed_by(&self, secret: &str) -> bool {
        let text = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let at = text("webhook-timestamp").parse().expect("seconds");
        let own = standardwebhooks::Webhook::new(secret).expect("a secret").sign(&self.id, at, &self.bytes).expect("a signature");
        text("webhook-signature").split(' ').any(|signature| signature == own)
    }
}

type Answering = Box<dyn FnMut(&Heard) -> Manner + Send>;

struct Inner {
    heard: Mutex<Vec<Heard>>,
    bell: Notify,
    manner: Mutex<Answering>,
}

/// A listening customer.
#[derive(Clone)]
pub struct Customer {
    /// Where it listens.
    pub url: String,
    inner: Arc<Inner>,
}

impl Customer {
    /// Listens on a free port of this machine, and takes everything.
    pub async fn listens() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let manner: Answering = Box::new(|_| Manner::Status(204));
        let inner = Arc::new(Inner { heard: Mutex::default(), bell: Notify::new(), manner: Mutex::new(manner) });
        let router = Router::new().fallback(hear).with_state(inner.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, inner }
    }

    /// Answers in another way from now on.
    pub fn answers(&self, manner: impl FnMut(&Heard) -> Manner + Send + 'static) {
        *self.inner.manner.lock().expect("not poisoned") = Box::new(manner);
    }

    /// Everything heard so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.inner.heard.lock().expect("not poisoned").clone()
    }

    /// Waits until `enough` of everything heard is there; answers all.
    pub async fn hears_until(&self, what: &str, enough: impl Fn(&[Heard]) -> bool) -> Vec<Heard> {
        let wait = async {
            loop {
                let rung = self.inner.bell.notified();
                let heard = self.heard();
                if enough(&heard) {
                    return heard;
                }
                rung.await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        waited.unwrap_or_else(|_| panic!("never heard: {what}; but {:?}", self.heard().iter().map(Heard::kind).collect::<Vec<_>>()))
    }

    /// Waits for so many requests in all.
    pub async fn hears(&self, count: usize) -> Vec<Heard> {
        self.hears_until(&format!("{count} requests"), |heard| heard.len() >= count).await
    }
}

async fn hear(State(inner): State<Arc<Inner>>, headers: HeaderMap, bytes: Bytes) -> Response {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let heard = Heard { id: text("webhook-id"), body: serde_json::from_slice(&bytes).unwrap_or_default(), headers, bytes };
    let manner = (inner.manner.lock().expect("not poisoned"))(&heard);
    inner.heard.lock().expect("not poisoned").push(heard);
    inner.bell.notify_waiters();
    let status = |number: u16| StatusCode::from_u16(number).expect("a status");
    match manner {
        Manner::Status(number) => (status(number), "noted").into_response(),
        Manner::Header(number, name, value) => (status(number), [(name, value)], Body::empty()).into_response(),
        Manner::Hang => std::future::pending().await,
    }
}
