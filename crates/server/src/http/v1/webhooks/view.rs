//! Endpoints, deliveries and attempts as callers see them, and endpoints as they write them.

use crate::app::App;
use crate::http::extract::present;
use crate::webhooks::secret;
use sanasend_model::webhook::{DeliveryState, EventFilter};
use sanasend_model::{DeliveryId, EventId, FieldErrors, Invalid, Timestamp, UserId, WebhookId};
use sanasend_store::{Attempt, Delivery, Webhook, WebhookPatch, WebhookSecret};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Longest description.
const LONGEST_DESCRIPTION: usize = 200;

/// A webhook endpoint, without its secret.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Webhook")]
pub struct WebhookView {
    /// Id.
    #[schema(value_type = String, format = "uuid")]
    pub id: WebhookId,
    /// Id of the user whose events are posted.
    #[schema(value_type = String, format = "uuid")]
    pub user: UserId,
    /// Where events are posted.
    #[schema(example = "https://shop.example.com/hooks/whatsapp")]
    pub url: String,
    /// What its owner calls it.
    #[schema(example = "shop backend")]
    pub description: String,
    /// Which events are posted; empty for all.
    #[schema(example = json!(["message.received", "session.*"]))]
    pub events: Vec<String>,
    /// Whether events are posted.
    #[schema(example = true)]
    pub is_active: bool,
    /// Since when every delivery has failed; null while they succeed.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub failing_since: Option<Timestamp>,
    /// When it was switched off.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub disabled_at: Option<Timestamp>,
    /// Why it was switched off, unless its owner did it.
    pub disabled_reason: Option<String>,
    /// Until when deliveries are signed with the secret before the present one as well.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub previous_secret_until: Option<Timestamp>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When its owner changed it last.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

impl From<Webhook> for WebhookView {
    fn from(webhook: Webhook) -> Self {
        Self {
            id: webhook.id,
            user: webhook.user_id,
            url: webhook.url,
            description: webhook.description,
            events: webhook.events.names().to_vec(),
            is_active: webhook.is_active,
            failing_since: webhook.failing.map(|streak| streak.since),
            disabled_at: webhook.disabled_at,
            disabled_reason: webhook.disabled_reason,
            previous_secret_until: webhook.previous_secret_until,
            created_at: webhook.created_at,
            updated_at: webhook.updated_at,
        }
    }
}

/// An endpoint whose secret was made just now: the only answer that ever holds it.
#[derive(Serialize, ToSchema)]
#[schema(title = "NewWebhook")]
pub struct NewWebhookView {
    /// What deliveries are signed with. Keep it: it is not shown again.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=")]
    pub secret: String,
    /// Everything else.
    #[serde(flatten)]
    pub view: WebhookView,
}

/// An endpoint to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedWebhook {
    /// Where to post: `https://` (or `http://`) at a public address.
    #[schema(example = "https://shop.example.com/hooks/whatsapp")]
    pub url: String,
    /// What to call it, up to 200 characters.
    #[serde(default)]
    #[schema(example = "shop backend")]
    pub description: String,
    /// Which events to post: names and families (`message.*`); left out or empty: all.
    #[serde(default)]
    #[schema(example = json!(["message.received", "session.*"]))]
    pub events: Vec<String>,
    /// Whether to post from the beginning.
    #[serde(default = "yes")]
    #[schema(default = true, example = true)]
    pub is_active: bool,
    /// A secret that you have already: `whsec_` and 24 to 64 bytes in base64. Left out: a new one is made.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, nullable = false, format = Password)]
    pub secret: Option<String>,
}

const fn yes() -> bool {
    true
}

/// An endpoint as it is to be from now on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WholeWebhook {
    /// Where to post: `https://` (or `http://`) at a public address.
    #[schema(example = "https://shop.example.com/hooks/whatsapp")]
    pub url: String,
    /// What to call it, up to 200 characters.
    #[serde(default)]
    #[schema(example = "shop backend")]
    pub description: String,
    /// Which events to post: names and families (`message.*`); left out or empty: all.
    #[serde(default)]
    #[schema(example = json!(["message.*"]))]
    pub events: Vec<String>,
    /// Whether to post.
    #[serde(default = "yes")]
    #[schema(default = true, example = true)]
    pub is_active: bool,
}

/// What to change of an endpoint; what is left out stays as it is.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PartOfWebhook {
    /// Where to post.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, nullable = false, example = "https://shop.example.com/hooks/whatsapp")]
    pub url: Option<String>,
    /// What to call it.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, nullable = false, example = "shop backend")]
    pub description: Option<String>,
    /// Which events to post.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<Vec<String>>, nullable = false, example = json!(["message.*"]))]
    pub events: Option<Vec<String>>,
    /// Whether to post. `true` switches an endpoint on again that was switched off.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<bool>, nullable = false, example = true)]
    pub is_active: Option<bool>,
}

impl From<WholeWebhook> for PartOfWebhook {
    fn from(whole: WholeWebhook) -> Self {
        Self { url: Some(whole.url), description: Some(whole.description), events: Some(whole.events), is_active: Some(whole.is_active) }
    }
}

impl PartOfWebhook {
    /// Checks every field.
    ///
    /// # Errors
    /// All refusals at once.
    pub fn check(&self, app: &App) -> Result<WebhookPatch, FieldErrors> {
        let mut errors = FieldErrors::default();
        let url = self.url.as_deref().map(|url| check_url(app, url));
        let url = url.and_then(|url| errors.take(url));
        let description = self.description.as_deref().map(check_description).and_then(|checked| errors.take(checked));
        let events = self.events.as_deref().map(EventFilter::parse).and_then(|checked| errors.take(checked));
        errors.into_result()?;
        Ok(WebhookPatch { url, description, events, is_active: self.is_active })
    }
}

/// Only what the URL itself says: what its name leads to is judged at each delivery.
fn check_url(app: &App, text: &str) -> Result<String, Invalid> {
    app.egress.check(text).map(String::from).map_err(|refusal| Invalid::new("url", refusal.to_string()))
}

fn check_description(text: &str) -> Result<String, Invalid> {
    let text = text.trim();
    let sound = text.chars().count() <= LONGEST_DESCRIPTION && !text.chars().any(char::is_control);
    let refuse = || Invalid::new("description", "must have at most 200 characters, none of them a control character");
    sound.then(|| text.to_owned()).ok_or_else(refuse)
}

/// A secret that a caller brings along, or a new one.
///
/// # Errors
/// On `secret`.
pub fn check_secret(app: &App, text: Option<&str>) -> Result<WebhookSecret, Invalid> {
    let refuse = || Invalid::new("secret", "must be whsec_ and 24 to 64 bytes in base64");
    text.map_or_else(|| Ok(secret::make(&*app.clock)), |text| secret::read(text).ok_or_else(refuse))
}

/// The delivery of one event to one endpoint.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Delivery")]
pub struct DeliveryView {
    /// Id.
    #[schema(value_type = String, format = "uuid")]
    pub id: DeliveryId,
    /// Id of the endpoint.
    #[schema(value_type = String, format = "uuid")]
    pub webhook: WebhookId,
    /// Id of the event; the receiver sees it as `webhook-id`.
    #[schema(value_type = String, format = "uuid")]
    pub event: EventId,
    /// The event's place in the log.
    #[schema(example = 17)]
    pub cursor: i64,
    /// What happened.
    #[serde(rename = "type")]
    #[schema(example = "message.received")]
    pub kind: &'static str,
    /// `pending` (it is tried, now or later), `succeeded`, `dead` (given up; it can be replayed).
    #[schema(value_type = String, example = "succeeded")]
    pub state: DeliveryState,
    /// Attempts since it was made or last replayed.
    #[schema(example = 1)]
    pub attempts: u32,
    /// How often it was replayed.
    #[schema(example = 0)]
    pub replays: i32,
    /// When the event happened.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it is tried next.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_attempt_at: Option<Timestamp>,
    /// When it was taken or given up.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    /// HTTP status of the last answer.
    #[schema(example = 200)]
    pub last_status: Option<u16>,
    /// How long the last attempt took, in milliseconds.
    #[schema(example = 12)]
    pub last_latency_ms: Option<i32>,
    /// Why the last attempt came to nothing.
    pub last_error: Option<String>,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.id,
            webhook: delivery.webhook_id,
            event: delivery.event_id,
            cursor: delivery.event_seq,
            kind: delivery.kind.as_str(),
            state: delivery.state,
            attempts: delivery.attempts,
            replays: delivery.round,
            created_at: delivery.created_at,
            next_attempt_at: delivery.next_at,
            ended_at: delivery.ended_at,
            last_status: delivery.last_status,
            last_latency_ms: delivery.last_latency_ms,
            last_error: delivery.last_error,
        }
    }
}

/// One attempt: what was sent and what came back.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Attempt")]
pub struct AttemptView {
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Headers that were sent.
    #[schema(value_type = Object)]
    pub request_headers: Map<String, Value>,
    /// HTTP status of the answer.
    #[schema(example = 500)]
    pub response_status: Option<u16>,
    /// Headers of the answer.
    #[schema(value_type = Option<Object>)]
    pub response_headers: Option<Map<String, Value>>,
    /// The first 2 KiB of the answer's body.
    #[schema(example = "out of order")]
    pub response_body: Option<String>,
    /// How long it took, in milliseconds.
    #[schema(example = 12)]
    pub latency_ms: i32,
    /// Why it came to nothing.
    pub error: Option<String>,
}

impl From<Attempt> for AttemptView {
    fn from(attempt: Attempt) -> Self {
        Self {
            at: attempt.at,
            request_headers: attempt.request_headers,
            response_status: attempt.response_status,
            response_headers: attempt.response_headers,
            response_body: attempt.response_body,
            latency_ms: attempt.latency_ms,
            error: attempt.error,
        }
    }
}

/// A delivery with everything that is known of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "DeliveryDetail")]
pub struct DeliveryDetail {
    /// The delivery.
    #[serde(flatten)]
    pub view: DeliveryView,
    /// The body that is posted; null when the event log does not keep the event any more.
    #[schema(value_type = Option<Object>)]
    pub request_body: Option<Value>,
    /// Its attempts, replays included, oldest first.
    pub attempt_log: Vec<AttemptView>,
}
