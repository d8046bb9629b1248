//! Stanzas as JSON.
//!
//! Apart because it is the only part of the transcript that looks inside a stanza.
//! Contents are never shown: keys and ciphertexts appear by their length.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use wacore_binary::{NodeContentRef, NodeRef};
use wacore_libsignal::protocol::{PreKeySignalMessage, PublicKey, SenderKeyMessage, SignalMessage};

/// `{tag, attrs, children | text | bytes}`, and `header` on an `enc`.
pub(super) fn node(node: &NodeRef<'_>) -> Value {
    let attrs: Map<String, Value> =
        node.attrs_iter().map(|(name, value)| (name.to_string(), Value::from(value.as_str().into_owned()))).collect();
    let mut shown = Map::new();
    shown.insert("tag".to_owned(), Value::from(node.tag.to_string()));
    shown.insert("attrs".to_owned(), Value::Object(attrs));
    match &node.content {
        None => {}
        Some(NodeContentRef::Nodes(children)) => {
            let children: Vec<Value> = children.iter().map(self::node).collect();
            shown.insert("children".to_owned(), Value::Array(children));
        }
        Some(NodeContentRef::String(text)) => {
            shown.insert("text".to_owned(), Value::from(text.to_string()));
        }
        Some(NodeContentRef::Bytes(bytes)) => {
            shown.insert("bytes".to_owned(), Value::from(bytes.len()));
            if node.tag == "enc"
                && let Some(header) = header(node, bytes)
            {
                shown.insert("header".to_owned(), header);
            }
        }
    }
    Value::Object(shown)
}

/// What the unencrypted part of a Signal message says. A counter that appears twice
/// under one ratchet key with different bytes would be a reused message key.
fn header(enc: &NodeRef<'_>, bytes: &[u8]) -> Option<Value> {
    let kind = enc.get_attr("type")?.as_str().into_owned();
    match kind.as_str() {
        "msg" => {
            let message = SignalMessage::try_from(bytes).ok()?;
            Some(signal_header(&kind, &message, bytes))
        }
        "pkmsg" => {
            let message = PreKeySignalMessage::try_from(bytes).ok()?;
            Some(signal_header(&kind, message.message(), bytes))
        }
        "skmsg" => {
            let message = SenderKeyMessage::try_from(bytes).ok()?;
            Some(json!({
                "type": kind,
                "chain": message.chain_id(),
                "counter": message.iteration(),
                "payload_hash": short_hash(bytes),
            }))
        }
        _ => None,
    }
}

fn signal_header(kind: &str, message: &SignalMessage, bytes: &[u8]) -> Value {
    json!({
        "type": kind,
        "ratchet_key_hash": key_hash(message.sender_ratchet_key()),
        "counter": message.counter(),
        "payload_hash": short_hash(bytes),
    })
}

fn key_hash(key: &PublicKey) -> String {
    short_hash(key.public_key_bytes())
}

/// 64 bits of SHA-256: enough to tell things apart, nothing to learn from.
fn short_hash(bytes: &[u8]) -> String {
    hex::encode(&Sha256::digest(bytes)[..8])
}
