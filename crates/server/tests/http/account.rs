//! A user of the product with an account in the sandbox, and a friend with a phone.

use crate::world::{As, PATIENCE, Reply, World, becomes, eventually};
use futures::{FutureExt as _, SinkExt as _, StreamExt as _};
use reqwest::Method;
use sanasend::config::Config;
use sanasend_sandbox::{Control, ShownMessage};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// A user with a key, and its account.
pub struct Account {
    pub world: World,
    pub key: String,
    /// The number of the account, once linked.
    pub number: String,
}

impl Account {
    /// A user with a key on a server with the sandbox; nothing is linked.
    pub async fn new() -> Self {
        Self::with(|_| ()).await
    }

    /// The same with settings of the test's own.
    pub async fn with(set: impl FnOnce(&mut Config)) -> Self {
        let world = World::with(|config| {
            set(config);
            config.sandbox.enabled = true;
            config.sandbox.listen = ([127, 0, 0, 1], 0).into();
            config.sandbox.tls_listen = ([127, 0, 0, 1], 0).into();
        })
        .await;
        let admin = world.admin().await;
        let (_, token) = world.user(&admin, "anna").await;
        let (_, key) = world.key(&token, Value::Null).await;
        Self { world, key, number: String::new() }
    }

    /// The same with an account linked by QR code.
    pub async fn linked() -> Self {
        let mut account = Box::pin(Self::new()).await;
        account.link().await;
        account
    }

    pub async fn link(&mut self) {
        let reply = self.post("/sessions/init/", json!({})).await;
        let code = reply.body["data"]["qr_code"]["text"].as_str().unwrap_or_else(|| panic!("{}", reply.text)).to_owned();
        self.number = self.control().scan(&code, None).await.expect("the phone scans").phone;
        self.session_becomes("connected").await;
    }

    pub fn control(&self) -> Control {
        self.world.node.app.sandbox.as_ref().expect("a sandbox").control()
    }

    /// A phone of somebody else: its number.
    pub async fn friend(&self) -> String {
        self.control().add_phone(None, Some("Friend")).await.expect("a phone").phone
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.world.get(path, As::Key(&self.key)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.world.post(path, As::Key(&self.key), body).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.world.call(Method::DELETE, path, As::Key(&self.key), Value::Null).await
    }

    /// Sends a text; the message as accepted.
    pub async fn send(&self, to: &str, text: &str) -> Value {
        let reply = self.post("/messages/send-text/", json!({"recipient": to, "content": text})).await;
        reply.is(202, "");
        reply.body["data"].clone()
    }

    pub async fn session(&self) -> Value {
        let reply = self.get("/sessions/status/").await;
        reply.is(200, "");
        reply.body["data"].clone()
    }

    pub async fn session_becomes(&self, status: &str) -> Value {
        becomes(status, || self.session(), |now| now["status"] == status).await
    }

    pub async fn message(&self, id: &Value) -> Value {
        let reply = self.get(&format!("/messages/{}/", id.as_str().expect("an id"))).await;
        reply.is(200, "");
        reply.body["data"].clone()
    }

    pub async fn message_becomes(&self, id: &Value, status: &str) -> Value {
        becomes(status, || self.message(id), |now| now["status"] == status).await
    }

    /// Waits until the friend's phone shows a text.
    pub async fn shown(&self, friend: &str, text: &str) -> ShownMessage {
        let there = |shown: &[ShownMessage]| shown.iter().any(|message| message.text == text);
        let shown = self.control().wait_until(friend, PATIENCE, there).await.expect("the phone");
        shown.into_iter().find(|message| message.text == text).unwrap_or_else(|| panic!("{friend} never saw {text:?}"))
    }

    /// Waits for an incoming message that is as wanted.
    pub async fn incoming(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let look = async || {
            let listed = self.get("/messages/list/?direction=inbound").await;
            listed.body["data"]["results"].as_array().expect("results").iter().find(|message| wanted(message)).cloned()
        };
        eventually(what, look).await
    }
}

/// Server-sent events of an open answer, one by one.
pub struct Stream {
    response: reqwest::Response,
    text: String,
}

impl Stream {
    pub async fn open(account: &Account, path: &str, headers: &[(&str, &str)]) -> Self {
        Self::open_as(&account.world, As::Key(&account.key), path, headers).await
    }

    pub async fn open_as(world: &World, who: As<'_>, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut request = who.sign(world.request(Method::GET, &format!("/api/v1{path}")));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert!(response.headers()["content-type"].to_str().expect("text").starts_with("text/event-stream"));
        Self { response, text: String::new() }
    }

    /// Name, id and data of the next event; `None` when the stream has ended.
    pub async fn next(&mut self) -> Option<(String, String, Value)> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(|text| text.trim().to_owned());
                let event = field("data:").map(|data| (field("event:").unwrap_or_default(), field("id:").unwrap_or_default(), data));
                let rest = rest.to_owned();
                self.text = rest;
                if let Some((name, id, data)) = event {
                    return Some((name, id, serde_json::from_str(&data).expect("JSON")));
                }
            }
            let more = tokio::time::timeout(PATIENCE, self.response.chunk()).await.expect("an event in time").expect("a stream");
            self.text.push_str(std::str::from_utf8(&more?).expect("text"));
        }
    }

    /// The next event for which `wanted` holds.
    pub async fn until(&mut self, wanted: impl Fn(&str, &Value) -> bool) -> Value {
        loop {
            let (name, _, data) = self.next().await.expect("the stream goes on");
            if wanted(&name, &data) {
                return data;
            }
        }
    }
}

/// A WebSocket of the product.
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub async fn open(world: &World, who: As<'_>, path: &str) -> Self {
        let signed = who.sign(world.request(Method::GET, &format!("/api/v1{path}"))).build().expect("a request");
        let url = signed.url().as_str().replacen("http", "ws", 1);
        let mut request = url.into_client_request().expect("a request");
        request.headers_mut().extend(signed.headers().clone());
        let (socket, _) = tokio_tungstenite::connect_async(request).await.expect("a WebSocket");
        Self(socket)
    }

    /// The next text; `None` when the server has said goodbye. Anything else is no clean end.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            let heard = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("a message in time");
            match heard.expect("a goodbye first").expect("a frame") {
                Frame::Text(text) => return Some(serde_json::from_str(&text).expect("JSON")),
                Frame::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// Talks without a pause until a text comes for which `wanted` holds.
    pub async fn talk_until(&mut self, wanted: impl Fn(&Value) -> bool) {
        let talk = async {
            loop {
                self.0.send(Frame::Text("and?".into())).await.expect("it listens");
                while let Some(heard) = self.0.next().now_or_never() {
                    if let Frame::Text(text) = heard.expect("open").expect("a frame")
                        && wanted(&serde_json::from_str(&text).expect("JSON"))
                    {
                        return;
                    }
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, talk).await.expect("told in time");
    }
}
