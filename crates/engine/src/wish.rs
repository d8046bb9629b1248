//! A recipient's wish to get a message again, written down before WhatsApp is told that it was heard.
//!
//! The client library answers such a wish by itself, and acknowledges it before it has: a process that dies in between
//! would leave the message unread for ever. So the wish is on disk before the stanza goes on its way through the library,
//! and with it the acknowledgement. Whoever opens the account next sends the message again
//! ([`sanasend_store::Store::send_again`]); who has it by then shows it once, since the id is the same.

use crate::keep::Keep;
use sanasend_store::{SignalChange, SignalKind, SignalState};
use std::time::Duration;
use tokio::runtime::{Handle, RuntimeFlavor};
use whatsapp_rust::wacore_binary::NodeRef;

/// How long the disk may take; then the stanza goes on its way, and the wish is written down as soon as the disk takes it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where wishes of one account are written down.
pub(crate) struct Wishes {
    pub(crate) rows: SignalState,
    pub(crate) keep: Keep,
}

impl Wishes {
    /// Looks at a stanza that came in, and returns when a wish in it is on disk. Wishes are rare: the thread may wait.
    pub(crate) fn hear(&self, stanza: &NodeRef<'_>) {
        let Some(id) = wished(stanza) else { return };
        let Ok(handle) = Handle::try_current() else { return };
        let change = vec![SignalChange::Put { kind: SignalKind::ResendAsked, key: id.into_bytes(), value: Vec::new() }];
        let (rows, keep, session) = (self.rows.clone(), self.keep.clone(), self.rows.session_id());
        let write = async move {
            match tokio::time::timeout(PATIENCE, rows.apply(change.clone())).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => tracing::warn!(%session, %error, "a wish for a message could not be written down yet"),
                Err(_) => tracing::warn!(%session, "a wish for a message could not be written down in time"),
            }
            tokio::spawn(async move {
                if let Err(error) = keep.insist(|| rows.apply(change.clone())).await {
                    tracing::warn!(%session, %error, "a wish for a message was not written down");
                }
            });
        };
        if handle.runtime_flavor() == RuntimeFlavor::MultiThread {
            tokio::task::block_in_place(|| handle.block_on(write));
        } else {
            // One thread can't wait for itself.
            handle.spawn(write);
        }
    }
}

/// The id of the message that a retry receipt asks for.
fn wished(stanza: &NodeRef<'_>) -> Option<String> {
    let is_wish = stanza.tag.as_ref() == "receipt" && stanza.get_attr("type").is_some_and(|kind| kind.as_str() == "retry");
    let retry = stanza.get_optional_child("retry").filter(|_| is_wish)?;
    Some(retry.get_attr("id")?.as_str().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use whatsapp_rust::NodeBuilder;

    fn wished_in(stanza: NodeBuilder) -> Option<String> {
        wished(&stanza.build().as_node_ref())
    }

    #[test]
    fn only_a_retry_receipt_is_a_wish() {
        let retry = || NodeBuilder::new("retry").attr("id", "3EB0A").attr("count", 1).build();
        let receipt = || NodeBuilder::new("receipt").attr("id", "other").children([retry()]);
        assert_eq!(wished_in(receipt().attr("type", "retry")), Some("3EB0A".into()));
        assert_eq!(wished_in(receipt()), None);
        assert_eq!(wished_in(receipt().attr("type", "read")), None);
        assert_eq!(wished_in(NodeBuilder::new("message").attr("type", "retry").children([retry()])), None);
    }
}
