//! A customer of the server under test: what it asks the API and the virtual phones.

use super::child::Process;
use super::wire::{Answer, Connection};
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

/// How long linking may take.
const LINK_PATIENCE: Duration = Duration::from_secs(30);
/// How often a status is asked for while waiting.
const POLL: Duration = Duration::from_millis(2);
/// Accounts that are linked at the same time where many are.
const LINKS_AT_ONCE: usize = 4;

/// Addresses and credentials.
#[derive(Debug, Clone)]
pub struct Customer {
    api: SocketAddr,
    phones: SocketAddr,
    headers: String,
}

/// An account that was linked.
#[derive(Debug, Clone)]
pub struct Account {
    /// Name of the session.
    pub name: String,
    /// From the request to the answer with a code.
    pub qr_ms: f64,
    /// From the scan to the status `connected`.
    pub link_ms: f64,
}

impl Customer {
    /// The demo user of a server that was just started.
    ///
    /// # Errors
    /// When the server did not tell its addresses and a key.
    pub fn of(server: &Process) -> anyhow::Result<Self> {
        Self::with_key(server, &server.text("/demo/api_key")?)
    }

    /// The same on a later start, which does not tell the key again.
    ///
    /// # Errors
    /// When the server did not tell its addresses.
    pub fn with_key(server: &Process, key: &str) -> anyhow::Result<Self> {
        let address = |url: String| url.trim_start_matches("http://").parse().with_context(|| format!("{url} is no address"));
        Ok(Self {
            api: address(server.text("/api")?)?,
            phones: address(server.text("/sandbox/admin")?)?,
            headers: format!("X-API-Key: {key}\r\nContent-Type: application/json\r\n"),
        })
    }

    /// A connection to the API.
    ///
    /// # Errors
    /// When it can't be made.
    pub async fn api(&self) -> anyhow::Result<Connection> {
        Connection::open(self.api).await
    }

    /// Where the API is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.api
    }

    /// The header lines of every request.
    #[must_use]
    pub fn headers(&self) -> &str {
        &self.headers
    }

    /// Asks the API, and insists on success.
    ///
    /// # Errors
    /// With the answer's message when it is no success.
    pub async fn ask(&self, on: &mut Connection, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = on.ask(method, path, &self.headers, body.as_bytes()).await?;
        succeeded(&answer, path)
    }

    /// Links a new session by its QR code, scanned by a new virtual phone.
    ///
    /// # Errors
    /// When it does not become connected in time.
    pub async fn link(&self, name: &str) -> anyhow::Result<Account> {
        let mut api = self.api().await?;
        let mut phones = Connection::open(self.phones).await?;
        let phone: String = json_text(&succeeded(&phones.ask("POST", "/admin/phones", JSON, b"{}").await?, "/admin/phones")?, "/phone")?;
        let begun = Instant::now();
        let answer = self.ask(&mut api, "POST", "/api/v1/sessions/init/", &json!({"session": name})).await?;
        let qr_ms = millis(begun);
        let code = json_text(&answer, "/data/qr_code/text")?;
        let scan = format!("/admin/mock-phone/scan-qr?phone={}", phone.replace('+', "%2B"));
        let scanned = Instant::now();
        succeeded(&phones.ask("POST", &scan, "", code.as_bytes()).await?, &scan)?;
        self.wait_for(&mut api, name, "connected").await?;
        Ok(Account { name: name.to_owned(), qr_ms, link_ms: millis(scanned) })
    }

    /// Links `count` sessions, some at a time.
    ///
    /// # Errors
    /// When one of them can't be linked.
    pub async fn link_many(&self, prefix: &str, count: usize) -> anyhow::Result<Vec<Account>> {
        use futures::{StreamExt, TryStreamExt};
        let names: Vec<String> = (0..count).map(|number| format!("{prefix}-{number}")).collect();
        let links = futures::stream::iter(names.into_iter().map(|name| async move { self.link(&name).await }));
        links.buffer_unordered(LINKS_AT_ONCE).try_collect().await
    }

    /// Takes a session offline without unlinking it: what is accepted for it only queues.
    ///
    /// # Errors
    /// When it does not go offline in time.
    pub async fn go_offline(&self, account: &Account) -> anyhow::Result<()> {
        let mut api = self.api().await?;
        let path = format!("/api/v1/sessions/disconnect/?session={}", account.name);
        self.ask(&mut api, "POST", &path, &json!({"logout": false})).await?;
        self.wait_for(&mut api, &account.name, "disconnected").await
    }

    /// Makes virtual phones to write to; their numbers.
    ///
    /// # Errors
    /// When the sandbox refuses.
    pub async fn friends(&self, count: usize) -> anyhow::Result<Vec<String>> {
        self.phones_with(count, b"{}").await
    }

    /// The same, made quickly: for thousands that only one writes to.
    ///
    /// # Errors
    /// When the sandbox refuses.
    pub async fn modest_friends(&self, count: usize) -> anyhow::Result<Vec<String>> {
        self.phones_with(count, br#"{"modest": true}"#).await
    }

    async fn phones_with(&self, count: usize, body: &[u8]) -> anyhow::Result<Vec<String>> {
        let mut phones = Connection::open(self.phones).await?;
        let mut numbers = Vec::with_capacity(count);
        for _ in 0..count {
            let made = succeeded(&phones.ask("POST", "/admin/phones", JSON, body).await?, "/admin/phones")?;
            numbers.push(json_text(&made, "/phone")?);
        }
        Ok(numbers)
    }

    /// A connection to the virtual phones.
    ///
    /// # Errors
    /// When it can't be made.
    pub async fn phones(&self) -> anyhow::Result<Connection> {
        Connection::open(self.phones).await
    }

    /// Writes a text from a virtual phone.
    ///
    /// # Errors
    /// When the sandbox refuses.
    pub async fn write(&self, on: &mut Connection, from: &str, to: &str, text: &str) -> anyhow::Result<()> {
        let path = format!("/admin/phones/{from}/send");
        let body = json!({"to": to, "text": text}).to_string();
        succeeded(&on.ask("POST", &path, JSON, body.as_bytes()).await?, &path).map(drop)
    }

    /// The number of a linked session.
    ///
    /// # Errors
    /// When it has none.
    pub async fn phone_of(&self, account: &Account) -> anyhow::Result<String> {
        let path = format!("/api/v1/sessions/status/?session={}", account.name);
        json_text(&self.ask(&mut self.api().await?, "GET", &path, &Value::Null).await?, "/data/phone_number")
    }

    /// Has events of one kind posted to a URL.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn listen(&self, url: &str, event: &str) -> anyhow::Result<()> {
        let endpoint = json!({"url": url, "events": [event]});
        self.ask(&mut self.api().await?, "POST", "/api/v1/webhooks/", &endpoint).await.map(drop)
    }

    /// The same addresses as somebody who logs in.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn logged_in(&self, on: &mut Connection, login: &Value) -> anyhow::Result<Self> {
        let answer = self.ask(on, "POST", "/api/v1/auth/login/", login).await?;
        let token = json_text(&answer, "/data/access")?;
        Ok(Self { headers: format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"), ..self.clone() })
    }

    async fn wait_for(&self, api: &mut Connection, name: &str, status: &str) -> anyhow::Result<()> {
        let path = format!("/api/v1/sessions/status/?session={name}");
        let deadline = Instant::now() + LINK_PATIENCE;
        loop {
            let answer = self.ask(api, "GET", &path, &Value::Null).await?;
            let now = json_text(&answer, "/data/status")?;
            if now == status {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("session {name} is {now} and not {status}");
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Header line of a JSON body for the virtual phones, which ask for no credentials.
const JSON: &str = "Content-Type: application/json\r\n";

/// Milliseconds since `begun`.
#[must_use]
pub fn millis(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}

fn succeeded(answer: &Answer, path: &str) -> anyhow::Result<Value> {
    let body = answer.json()?;
    if !(200..300).contains(&answer.status) {
        let why = body.get("message").or_else(|| body.get("error")).and_then(Value::as_str).unwrap_or("no message");
        bail!("{path} answered {}: {why}", answer.status);
    }
    Ok(body)
}

fn json_text(body: &Value, pointer: &str) -> anyhow::Result<String> {
    let found = body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    found.with_context(|| format!("the answer holds no {pointer}"))
}
