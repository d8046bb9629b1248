//! Asks a running server over its API, for the commands that need the process which holds the links.

use anyhow::{Context, bail};
use clap::Args;
use reqwest::multipart::Form;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use std::time::Duration;

/// An answer that takes longer is given up; waiting calls (`?wait=`) end well before.
const PATIENCE: Duration = Duration::from_secs(90);

/// The same for a request that brings a file.
const UPLOAD: Duration = Duration::from_mins(35);

/// Which server, and with which key.
#[derive(Debug, Clone, Args)]
pub struct ServerArgs {
    /// The server's address.
    #[arg(long, env = "SANASEND_URL", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    pub url: String,
    /// An API key. Better in the environment than on the command line, which other people on this machine can see.
    #[arg(long, env = "SANASEND_API_KEY", hide_env_values = true, value_name = "KEY")]
    pub api_key: Option<ApiKey>,
}

/// A key as it was given; hidden from logs.
#[derive(Clone)]
pub struct ApiKey(String);

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}

impl std::str::FromStr for ApiKey {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

/// A server to ask.
pub struct Client {
    http: reqwest::Client,
    base: String,
    key: ApiKey,
    idempotency_key: Option<String>,
}

impl Client {
    /// A client of the server that the flags name.
    ///
    /// # Errors
    /// When no key was given.
    pub fn new(args: ServerArgs) -> anyhow::Result<Self> {
        let key = args.api_key.context("no API key: set SANASEND_API_KEY or give --api-key")?;
        let http = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).no_proxy().build()?;
        Ok(Self { http, base: args.url.trim_end_matches('/').to_owned(), key, idempotency_key: None })
    }

    /// Sends this `Idempotency-Key` with every request.
    #[must_use]
    pub fn with_idempotency_key(self, idempotency_key: Option<String>) -> Self {
        Self { idempotency_key, ..self }
    }

    /// Asks and gives back `data` of the answer.
    ///
    /// # Errors
    /// The server's own message when it refuses.
    pub async fn ask(&self, method: Method, path: &str, query: &[(&str, &str)], body: Option<&Value>) -> anyhow::Result<Value> {
        let mut request = self.request(method, path, query)?;
        if let Some(body) = body {
            request = request.json(body);
        }
        self.data(request).await
    }

    /// Posts a form, with time for its file.
    ///
    /// # Errors
    /// The server's own message when it refuses.
    pub async fn upload(&self, path: &str, query: &[(&str, &str)], form: Form) -> anyhow::Result<Value> {
        self.data(self.request(Method::POST, path, query)?.multipart(form).timeout(UPLOAD)).await
    }

    /// Asks for a file; its bytes are read from the answer.
    ///
    /// # Errors
    /// The server's own message when it refuses.
    pub async fn download(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<reqwest::Response> {
        let request = self.request(Method::GET, path, query)?.timeout(UPLOAD);
        let answer = request.send().await.with_context(|| format!("{} does not answer; is the server running?", self.base))?;
        let status = answer.status();
        if !status.is_success() {
            let body: Value = answer.json().await.with_context(|| format!("{} answered {status} and no JSON", self.base))?;
            bail!("{}", refusal(&body, status.as_u16()));
        }
        Ok(answer)
    }

    fn request(&self, method: Method, path: &str, query: &[(&str, &str)]) -> anyhow::Result<RequestBuilder> {
        let mut url = reqwest::Url::parse(&format!("{}/api/v1{path}", self.base)).with_context(|| format!("{} is no URL", self.base))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http.request(method, url).header("X-API-Key", &self.key.0);
        Ok(match &self.idempotency_key {
            Some(key) => request.header("Idempotency-Key", key),
            None => request,
        })
    }

    async fn data(&self, request: RequestBuilder) -> anyhow::Result<Value> {
        let answer = request.send().await.with_context(|| format!("{} does not answer; is the server running?", self.base))?;
        let status = answer.status();
        let mut body: Value = answer.json().await.with_context(|| format!("{} answered {status} and no JSON", self.base))?;
        if !status.is_success() {
            bail!("{}", refusal(&body, status.as_u16()));
        }
        Ok(body.get_mut("data").map(Value::take).unwrap_or_default())
    }
}

/// The sentence of an error answer, with its fields.
fn refusal(body: &Value, status: u16) -> String {
    use std::fmt::Write as _;
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut sentence = String::new();
    let _ = write!(sentence, "{} ({}, {status})", text("message"), text("error_code"));
    for (field, messages) in body.get("errors").and_then(Value::as_object).into_iter().flatten() {
        let all: Vec<&str> = messages.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let _ = write!(sentence, "\n  {field}: {}", all.join("; "));
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refusal_is_told_with_its_fields() {
        let body = json!({"success": false, "message": "Some fields are not valid.", "error_code": "VALIDATION_ERROR", "errors": {"content": ["must not be empty"]}});
        assert_eq!(refusal(&body, 400), "Some fields are not valid. (VALIDATION_ERROR, 400)\n  content: must not be empty");
    }

    #[test]
    fn a_key_is_not_shown() {
        assert_eq!(format!("{:?}", ApiKey("sk_secret".into())), "[hidden]");
    }
}
