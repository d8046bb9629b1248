//! The product in this process, on a folder and a clock of its own, and the words to talk to it.

mod clock;
#[path = "../../waiting/mod.rs"]
mod waiting;

pub use clock::MovableClock;
pub use waiting::{PATIENCE, becomes, eventually};

use reqwest::{Method, Response};
use sanasend::config::{self, Cidr, Config, Hidden, Profile};
use sanasend::node::Node;
use sanasend_model::Clock as _;
use sanasend_store::NewJob;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

pub const ADMIN: &str = "admin";
pub const PASSWORD: &str = "correct horse battery";

/// A running server. It ends with the value.
pub struct World {
    pub base: String,
    pub clock: Arc<MovableClock>,
    pub node: Node,
    http: reqwest::Client,
    config: Config,
    folder: tempfile::TempDir,
}

/// Whose credentials a request carries.
#[derive(Clone, Copy)]
pub enum As<'a> {
    Nobody,
    /// An access token.
    Token(&'a str),
    /// An API key in `X-API-Key`.
    Key(&'a str),
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
    pub body: Value,
}

impl World {
    pub async fn start() -> Self {
        Self::with(|_| ()).await
    }

    /// With settings of the test's own. The test is a trusted proxy, so that it can speak from any address.
    pub async fn with(set: impl FnOnce(&mut Config)) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = config::defaults(Profile::Development).config;
        config.general.data_dir = folder.path().join("data");
        config.general.listen = ([127, 0, 0, 1], 0).into();
        config.general.trusted_proxies = vec![Cidr("127.0.0.1/32".parse().expect("network"))];
        config.first_admin.password = Some(Hidden(PASSWORD.into()));
        // The real cost is for real passwords.
        config.auth.password_memory_kib = 64;
        config.auth.password_passes = 1;
        set(&mut config);
        let clock = Arc::new(MovableClock::default());
        let node = Node::start(config.clone(), clock.clone()).await.expect("the product starts");
        let base = format!("http://{}", node.api);
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        Self { base, clock, node, http, config, folder }
    }

    /// Stops the product in order and starts it again on the same folder.
    pub async fn restart(self) -> Self {
        let Self { clock, node, http, config, folder, .. } = self;
        node.stop().await;
        let node = Box::pin(Node::start(config.clone(), clock.clone())).await.expect("the product starts again");
        Self { base: format!("http://{}", node.api), clock, node, http, config, folder }
    }

    /// Runs a statement on the database as another process would.
    pub async fn tamper(&self, sql: &'static str) {
        use sqlx::ConnectOptions;
        let path = sanasend::data_dir::database(&self.folder.path().join("data"));
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(10));
        let mut connection = options.connect().await.expect("a second connection");
        sqlx::query(sql).execute(&mut connection).await.expect("done");
    }

    /// Lets time pass, and wakes who waits for it.
    pub async fn pass(&self, time: Duration) {
        self.clock.pass(time);
        let due_at = self.clock.now();
        let wake = NewJob { kind: "test.wake", lane: None, bundle: None, user_id: None, payload: json!({}), due_at };
        self.node.app.store.enqueue_jobs(vec![wake]).await.expect("written");
    }

    /// A request that nothing was added to.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// A request under `/api/v1`, with a JSON body unless it is `null`.
    pub async fn call(&self, method: Method, path: &str, who: As<'_>, body: Value) -> Reply {
        let mut request = who.sign(self.request(method, &format!("/api/v1{path}")));
        if !body.is_null() {
            request = request.json(&body);
        }
        Reply::read(request.send().await.expect("an answer")).await
    }

    pub async fn get(&self, path: &str, who: As<'_>) -> Reply {
        self.call(Method::GET, path, who, Value::Null).await
    }

    pub async fn post(&self, path: &str, who: As<'_>, body: Value) -> Reply {
        self.call(Method::POST, path, who, body).await
    }

    /// Logs in; the answer's `data`.
    pub async fn login(&self, username: &str, password: &str) -> Value {
        let reply = self.post("/auth/login/", As::Nobody, json!({"username": username, "password": password})).await;
        reply.is(200, "");
        reply.body["data"].clone()
    }

    /// An admin's access token.
    pub async fn admin(&self) -> String {
        text(&self.login(ADMIN, PASSWORD).await["access"])
    }

    /// Makes a user with [`PASSWORD`]; answers its id and an access token.
    pub async fn user(&self, admin: &str, username: &str) -> (String, String) {
        let new = json!({"username": username, "email": format!("{username}@example.com"), "password": PASSWORD});
        let reply = self.post("/users/", As::Token(admin), new).await;
        reply.is(201, "");
        let access = text(&self.login(username, PASSWORD).await["access"]);
        (text(&reply.body["data"]["id"]), access)
    }

    /// Makes a key for the owner of a token; answers its id and the key.
    pub async fn key(&self, token: &str, more: Value) -> (String, String) {
        let mut wanted = json!({"name": "test"});
        for (field, value) in more.as_object().into_iter().flatten() {
            wanted[field] = value.clone();
        }
        let reply = self.post("/api-keys/", As::Token(token), wanted).await;
        reply.is(201, "");
        (text(&reply.body["data"]["id"]), text(&reply.body["data"]["key"]))
    }

    /// A request of `GET /auth/me/` with an address that a trusted proxy names.
    pub async fn me_from(&self, address: &str, who: As<'_>) -> Reply {
        let request = who.sign(self.request(Method::GET, "/api/v1/auth/me/")).header("x-forwarded-for", address);
        Reply::read(request.send().await.expect("an answer")).await
    }

    /// A login from an address that a trusted proxy names.
    pub async fn login_from(&self, address: &str, username: &str, password: &str) -> Reply {
        let request = self.request(Method::POST, "/api/v1/auth/login/").header("x-forwarded-for", address);
        let request = request.json(&json!({"username": username, "password": password}));
        Reply::read(request.send().await.expect("an answer")).await
    }
}

impl As<'_> {
    pub fn sign(self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match self {
            Self::Nobody => request,
            Self::Token(token) => request.bearer_auth(token),
            Self::Key(key) => request.header("x-api-key", key),
        }
    }
}

impl Reply {
    pub async fn read(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("a body");
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { status, headers, text, body }
    }

    /// Checks status, envelope, and the error code, which is empty for a success.
    #[track_caller]
    pub fn is(&self, status: u16, code: &str) -> &Self {
        assert_eq!((self.status, self.body["error_code"].as_str().unwrap_or("")), (status, code), "{}", self.text);
        assert_eq!(self.body["success"], json!(code.is_empty()), "{}", self.text);
        assert!(self.body["message"].is_string(), "{}", self.text);
        if code.is_empty() {
            assert!(self.body["data"].is_object(), "{}", self.text);
        } else {
            assert!(self.body["errors"].is_object(), "{}", self.text);
        }
        self
    }

    /// Checks that exactly these fields were refused.
    #[track_caller]
    pub fn names(&self, fields: &[&str]) -> &Self {
        let named: Vec<&String> = self.body["errors"].as_object().expect("errors").keys().collect();
        assert_eq!(named, fields, "{}", self.text);
        self
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// The wait that a 429 or 503 asks for.
    #[track_caller]
    pub fn retry_after(&self) -> u64 {
        self.header("retry-after").parse().expect("seconds in Retry-After")
    }
}

/// The text in a JSON string.
#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}
