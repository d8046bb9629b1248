//! A shop: a customer of the API with one linked account. The words of the stories are here, and nowhere else the
//! shapes of the answers.

use super::{Api, Friend, becomes, eventually};
use sanasend_sandbox::Control;
use serde_json::{Value, json};

/// A customer with one linked account.
#[derive(Clone)]
pub struct Shop {
    /// Its way to the API.
    pub api: Api,
    control: Control,
    /// The number of its account, once linked.
    pub number: String,
}

impl Shop {
    /// A customer that has not linked anything yet.
    pub fn new(api: Api, control: Control) -> Self {
        Self { api, control, number: String::new() }
    }

    /// Asks for a QR code, lets a new phone scan it, and waits until the account is connected.
    pub async fn link(&mut self) {
        let answer = self.api.post("/sessions/init/", &json!({})).await;
        assert!(answer.status == 200 || answer.status == 201, "{}", answer.body);
        let code = qr_text(&answer.body["data"]);
        self.number = self.control.scan(&code, None).await.expect("the phone scans").phone;
        self.status_becomes("connected").await;
    }

    /// The session as the API tells it now.
    pub async fn session(&self) -> Value {
        self.api.get("/sessions/status/").await.expect(200).clone()
    }

    /// Waits until the session has this status; answers it.
    pub async fn status_becomes(&self, status: &str) -> Value {
        becomes(status, || self.session(), |session| session["status"] == status).await
    }

    /// Sends a text; answers the message as accepted.
    pub async fn send_text(&self, friend: &Friend, text: &str) -> Value {
        self.send_to(&friend.number, text).await
    }

    /// Sends a text to a number.
    pub async fn send_to(&self, number: &str, text: &str) -> Value {
        self.api.post("/messages/send-text/", &json!({"recipient": number, "content": text})).await.expect(202).clone()
    }

    /// The message as the API tells it now.
    pub async fn message(&self, id: &Value) -> Value {
        self.api.get(&format!("/messages/{}/", id.as_str().expect("an id"))).await.expect(200).clone()
    }

    /// Waits until a message has this status; answers it.
    pub async fn message_becomes(&self, message: &Value, status: &str) -> Value {
        becomes(status, || self.message(&message["id"]), |now| now["status"] == status).await
    }

    /// Waits until a message is in none of these statuses; answers it.
    pub async fn message_leaves(&self, message: &Value, statuses: &[&str]) -> Value {
        let left = |now: &Value| !statuses.iter().any(|status| now["status"] == *status);
        becomes(&format!("other than {statuses:?}"), || self.message(&message["id"]), left).await
    }

    /// All messages that came in, oldest first.
    pub async fn incoming(&self) -> Vec<Value> {
        self.listed("direction=inbound&ordering=created_at").await
    }

    /// All messages of a filter, page after page.
    pub async fn listed(&self, filter: &str) -> Vec<Value> {
        let mut all = Vec::new();
        for page in 1.. {
            let answer = self.api.get(&format!("/messages/list/?{filter}&page_size=100&page={page}")).await;
            let data = answer.expect(200);
            all.extend(data["results"].as_array().expect("results").iter().cloned());
            if data["next"].is_null() {
                break;
            }
        }
        all
    }

    /// Waits for an incoming text; answers the message.
    pub async fn receives(&self, text: &str) -> Value {
        eventually(&format!("incoming {text:?}"), || async { self.incoming().await.into_iter().find(|message| text_of(message) == text) })
            .await
    }

    /// The whole event log.
    pub async fn events(&self) -> Vec<Value> {
        let (mut all, mut cursor) = (Vec::new(), json!(0));
        loop {
            let cursor_text = cursor.as_str().map_or_else(|| cursor.to_string(), str::to_owned);
            let answer = self.api.get(&format!("/events/?after={cursor_text}")).await;
            let data = answer.expect(200).clone();
            let page = data["results"].as_array().expect("results").clone();
            if page.is_empty() {
                return all;
            }
            cursor = page.last().map_or(Value::Null, |event| event["cursor"].clone());
            all.extend(page);
        }
    }

    /// How often the event log tells this of a message.
    pub async fn is_told(&self, kind: &str, message: &Value) -> usize {
        let of = |event: &&Value| event["type"] == kind && event["data"]["message"]["id"] == message["id"];
        self.events().await.iter().filter(of).count()
    }
}

/// The text of a message.
pub fn text_of(message: &Value) -> &str {
    message["content"].as_str().or_else(|| message["content"]["text"].as_str()).unwrap_or_default()
}

/// The text of the QR code that an answer holds.
pub fn qr_text(session: &Value) -> String {
    let code = &session["qr_code"];
    code.as_str().or_else(|| code["text"].as_str()).unwrap_or_else(|| panic!("no QR code: {session}")).to_owned()
}
