//! The REST API as a customer's program calls it.

use reqwest::header::HeaderMap;
use reqwest::{Client, Method};
use serde_json::Value;
use std::sync::Once;
use std::time::Duration;

/// One caller.
#[derive(Clone)]
pub struct Api {
    client: Client,
    base: String,
    credentials: Option<(&'static str, String)>,
}

/// One answer.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// HTTP headers.
    pub headers: HeaderMap,
    /// The envelope; `Null` when the body is no JSON.
    pub body: Value,
}

impl Answer {
    /// `data` of the envelope, after checking the status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> &Value {
        assert_eq!(self.status, status, "{}", self.body);
        &self.body["data"]
    }

    /// The stable code of a refusal.
    pub fn code(&self) -> &str {
        self.body["error_code"].as_str().unwrap_or_default()
    }
}

impl Api {
    /// The API of the server at `base`, without credentials.
    pub fn new(base: &str) -> Self {
        static RING: Once = Once::new();
        RING.call_once(|| {
            // Refused only when somebody was faster, and there is but one provider.
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(90)).build().expect("a client");
        Self { client, base: base.to_owned(), credentials: None }
    }

    /// The same with an API key.
    pub fn with_key(&self, key: &str) -> Self {
        Self { credentials: Some(("x-api-key", key.to_owned())), ..self.clone() }
    }

    /// The same with an access token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { credentials: Some(("authorization", format!("Bearer {token}"))), ..self.clone() }
    }

    /// Posts a form.
    pub async fn upload(&self, path: &str, form: reqwest::multipart::Form) -> Answer {
        let mut request = self.client.post(format!("{}/api/v1{path}", self.base)).multipart(form);
        if let Some((name, value)) = &self.credentials {
            request = request.header(*name, value);
        }
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("a body");
        Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::Null) }
    }

    /// The bytes behind a path.
    pub async fn bytes(&self, path: &str) -> Vec<u8> {
        let mut request = self.client.get(format!("{}/api/v1{path}", self.base));
        if let Some((name, value)) = &self.credentials {
            request = request.header(*name, value);
        }
        let response = request.send().await.expect("an answer");
        let status = response.status();
        let bytes = response.bytes().await.expect("a body").to_vec();
        assert!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&bytes));
        bytes
    }

    /// Sends a request; `None` when the server is not there or went away.
    pub async fn try_call(&self, method: Method, path: &str, body: Option<&Value>, headers: &[(&str, &str)]) -> Option<Answer> {
        let mut request = self.client.request(method, format!("{}/api/v1{path}", self.base));
        if let Some((name, value)) = &self.credentials {
            request = request.header(*name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.ok()?;
        Some(Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::Null) })
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        self.try_call(Method::GET, path, None, &[]).await.expect("an answer")
    }

    /// `POST` with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.try_call(Method::POST, path, Some(body), &[]).await.expect("an answer")
    }

    /// `POST` with a JSON body and headers.
    pub async fn post_with(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        self.try_call(Method::POST, path, Some(body), headers).await.expect("an answer")
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Answer {
        self.try_call(Method::DELETE, path, None, &[]).await.expect("an answer")
    }

    /// `POST` with a body that is what it is, under a content type.
    pub async fn post_raw(&self, path: &str, body: &str, content_type: &str) -> Answer {
        let mut request = self.client.post(format!("{}/api/v1{path}", self.base)).header("content-type", content_type);
        if let Some((name, value)) = &self.credentials {
            request = request.header(*name, value);
        }
        let response = request.body(body.to_owned()).send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("a body");
        Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::Null) }
    }
}
