//! A phone's connection to the network, in stanzas.
//!
//! One task reads what comes and sorts it: answers to questions go to whoever asked,
//! everything else to the phone's own queue. Apart so that the phone can ask the
//! network something while it is in the middle of handling a message.

use crate::Error;
use crate::network::NodePipe;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, Server};

/// How long the network may take to answer. It is in the same process; only a fault
/// that somebody planted takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// An open connection. Dropped by its last holder, it closes.
pub(super) struct Link {
    tx: mpsc::UnboundedSender<Node>,
    asked: Arc<Mutex<HashMap<String, oneshot::Sender<Node>>>>,
    next: AtomicU64,
    reader: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Link {
    /// Takes over a connection. What the network says on its own arrives at the
    /// receiver, in order; it ends when the network closes.
    pub fn open(pipe: NodePipe) -> (Arc<Link>, mpsc::UnboundedReceiver<Node>) {
        let asked: Arc<Mutex<HashMap<String, oneshot::Sender<Node>>>> = Arc::default();
        let (said, heard) = mpsc::unbounded_channel();
        let reader = tokio::spawn(read(pipe.rx, asked.clone(), said));
        let link = Link { tx: pipe.tx, asked, next: AtomicU64::new(1), reader };
        (Arc::new(link), heard)
    }

    /// Sends a stanza.
    ///
    /// # Errors
    /// `Error::Refused` when the network has closed the connection.
    pub fn send(&self, stanza: Node) -> Result<(), Error> {
        self.tx.send(stanza).map_err(|_| closed())
    }

    /// Whether the network has closed the connection.
    pub fn is_closed(&self) -> bool {
        self.tx.is_closed()
    }

    /// Asks the network something and waits for the answer.
    ///
    /// # Errors
    /// `Error::Refused` when it answers with an error, closes or says nothing.
    pub async fn ask(&self, kind: &'static str, xmlns: &'static str, content: Vec<Node>) -> Result<Node, Error> {
        let id = format!("p{}", self.next.fetch_add(1, Ordering::Relaxed));
        let (answer, answered) = oneshot::channel();
        self.asked.lock().insert(id.clone(), answer);
        let question = NodeBuilder::new("iq")
            .attr("id", id.as_str())
            .attr("to", Jid::new("", Server::Pn))
            .attr("type", kind)
            .attr("xmlns", xmlns)
            .children(content)
            .build();
        self.send(question)?;
        let answer = match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => return Err(closed()),
            Err(_) => {
                self.asked.lock().remove(&id);
                return Err(Error::Refused(format!("no answer to iq {xmlns}")));
            }
        };
        if answer.attrs.get("type").is_some_and(|t| *t == "error") {
            let code =
                answer.get_optional_child("error").and_then(|error| error.attrs.get("code")).map_or_else(String::new, ToString::to_string);
            return Err(Error::Refused(format!("iq {xmlns} answered by error {code}")));
        }
        Ok(answer)
    }
}

fn closed() -> Error {
    Error::Refused("the phone is not connected".into())
}

async fn read(
    mut rx: mpsc::UnboundedReceiver<Node>,
    asked: Arc<Mutex<HashMap<String, oneshot::Sender<Node>>>>,
    said: mpsc::UnboundedSender<Node>,
) {
    while let Some(stanza) = rx.recv().await {
        let waiting =
            (stanza.tag == "iq").then(|| stanza.attrs.get("id").map(ToString::to_string)).flatten().and_then(|id| asked.lock().remove(&id));
        let gone = match waiting {
            Some(answer) => {
                let _ = answer.send(stanza);
                false
            }
            None => said.send(stanza).is_err(),
        };
        if gone {
            break;
        }
    }
    // Nobody will be answered any more.
    asked.lock().clear();
}
