//! The line to a connected device: what the network hands to a connection.
//!
//! Apart because both kinds of connection (a socket with Noise, an attached phone) take
//! the same thing from it.

use bytes::Bytes;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use wacore_binary::Node;

/// What a connection takes from the network, in order.
pub(crate) enum Item {
    /// A stanza to be sent.
    Stanza(Box<Out>),
    /// The end: send what came before, then close.
    Close,
}

/// A stanza on its way out.
pub(crate) struct Out {
    /// For attached phones.
    pub node: Node,
    /// The same in binary form, flag byte first, for sockets and the record.
    pub bytes: Bytes,
    /// Not to be sent before this moment (a planted delay).
    pub not_before: Option<Instant>,
}

/// The network's end of a connection. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// Number of the connection, unique while the process lives.
    pub number: u64,
    tx: mpsc::UnboundedSender<Item>,
}

impl Link {
    /// A new line and the end that the connection reads.
    pub fn new(number: u64) -> (Link, mpsc::UnboundedReceiver<Item>) {
        let (tx, rx) = mpsc::unbounded_channel();
        (Link { number, tx }, rx)
    }

    /// Sends a stanza; a connection that is gone swallows it.
    pub fn send(&self, node: Node) {
        let bytes = marshal(&node);
        self.send_marshaled(node, bytes, None);
    }

    /// Sends a stanza whose binary form is known already.
    pub fn send_marshaled(&self, node: Node, bytes: Bytes, delay: Option<Duration>) {
        let not_before = delay.map(|delay| Instant::now() + delay);
        let out = Out { node, bytes, not_before };
        // The receiver is gone when the connection ended: what is queued comes again.
        let _ = self.tx.send(Item::Stanza(Box::new(out)));
    }

    /// Ends the connection after what was sent before.
    pub fn close(&self) {
        let _ = self.tx.send(Item::Close);
    }
}

/// The binary form of a stanza, flag byte first.
pub(crate) fn marshal(node: &Node) -> Bytes {
    let mut out = Vec::with_capacity(512);
    // Only a writer that fails or a list beyond 65,535 entries could end in an error; a
    // vector does not fail, and nothing here makes such lists.
    if let Err(error) = wacore_binary::marshal_to_vec(node, &mut out) {
        tracing::error!(%error, tag = %node.tag, "a stanza cannot be encoded");
        out.clear();
    }
    Bytes::from(out)
}
