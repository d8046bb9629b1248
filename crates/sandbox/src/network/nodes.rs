//! Small words for reading and building stanzas, so that the handlers read like the
//! protocol.

use std::borrow::Cow;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{CompactString, Jid, Node, NodeContent, NodeValue, SERVER_JID};

/// An attribute as text; empty when absent.
pub(crate) fn text<'a>(node: &'a Node, key: &str) -> Cow<'a, str> {
    node.attrs.get(key).map_or(Cow::Borrowed(""), |value| value.as_str())
}

/// An attribute as jid.
pub(crate) fn jid(node: &Node, key: &str) -> Option<Jid> {
    node.attrs.get(key).and_then(NodeValue::to_jid)
}

/// The content as bytes.
pub(crate) fn bytes(node: &Node) -> Option<&[u8]> {
    match &node.content {
        Some(NodeContent::Bytes(bytes)) => Some(bytes),
        Some(NodeContent::String(text)) => Some(text.as_bytes()),
        _ => None,
    }
}

/// The bytes inside a child.
pub(crate) fn child_bytes<'a>(node: &'a Node, tag: &str) -> Option<&'a [u8]> {
    node.get_optional_child(tag).and_then(bytes)
}

/// The 32 bytes inside a child.
pub(crate) fn child_key(node: &Node, tag: &str) -> Option<[u8; 32]> {
    child_bytes(node, tag)?.try_into().ok()
}

/// A big-endian number of up to four bytes inside a child.
pub(crate) fn child_number(node: &Node, tag: &str) -> Option<u32> {
    let bytes = child_bytes(node, tag)?;
    if bytes.is_empty() || bytes.len() > 4 {
        return None;
    }
    Some(bytes.iter().fold(0, |sum, byte| (sum << 8) | u32::from(*byte)))
}

/// The content as text; empty when there is none.
pub(crate) fn content(node: &Node) -> CompactString {
    node.content_as_string().unwrap_or_default()
}

/// The first child, whatever it is.
pub(crate) fn first_child(node: &Node) -> Option<&Node> {
    node.children().and_then(<[Node]>::first)
}

/// `<tag>bytes</tag>`
pub(crate) fn holding(tag: &'static str, bytes: impl Into<Vec<u8>>) -> Node {
    NodeBuilder::new(tag).bytes(bytes).build()
}

/// The answer to an iq, without content yet.
pub(crate) fn result(request: &Node) -> NodeBuilder {
    NodeBuilder::new("iq").attr("from", SERVER_JID).attr("id", text(request, "id").as_ref()).attr("type", "result")
}

/// The answer to an iq that cannot be done.
pub(crate) fn refusal(request: &Node, code: u16, why: &'static str) -> Node {
    NodeBuilder::new("iq")
        .attr("from", SERVER_JID)
        .attr("id", text(request, "id").as_ref())
        .attr("type", "error")
        .children([error(code, why)])
        .build()
}

/// `<error code text/>`
pub(crate) fn error(code: u16, why: &'static str) -> Node {
    NodeBuilder::new("error").attr("code", code).attr("text", why).build()
}

/// `<stream:error>`: the connection is over, with a reason.
pub(crate) fn stream_error(code: u16) -> Node {
    NodeBuilder::new("stream:error").attr("code", code).build()
}

/// `<stream:error>` with a conflict: `replaced` or `device_removed`.
pub(crate) fn conflict(code: Option<u16>, kind: &'static str) -> Node {
    let mut builder = NodeBuilder::new("stream:error");
    if let Some(code) = code {
        builder = builder.attr("code", code);
    }
    builder.children([NodeBuilder::new("conflict").attr("type", kind).build()]).build()
}

/// `<failure reason/>`: a login refused.
pub(crate) fn failure(reason: u16) -> Node {
    NodeBuilder::new("failure").attr("reason", reason).attr("location", "sandbox").build()
}

/// Copies attributes that pass through unchanged.
pub(crate) fn passed(mut to: NodeBuilder, from: &Node, keys: &[&'static str]) -> NodeBuilder {
    for key in keys {
        if let Some(value) = from.attrs.get(key) {
            to = to.attr(key, value.clone());
        }
    }
    to
}
