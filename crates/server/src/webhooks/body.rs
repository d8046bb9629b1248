//! What is posted: the event, in the shape of the Standard Webhooks convention.

use sanasend_store::Event;
use serde_json::{Value, json};

/// `{"type", "timestamp", "id", "cursor", "session", "data"}`. Made from the stored event alone, so it is the same bytes
/// in every attempt.
#[must_use]
pub fn body(event: &Event) -> Value {
    json!({
        "type": event.kind.as_str(),
        "timestamp": event.at,
        "id": event.id,
        "cursor": event.seq,
        "session": event.session_id,
        "data": event.data,
    })
}
