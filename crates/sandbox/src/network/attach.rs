//! Phones come in by the back door: their stanzas need no handshake, for they live in
//! the same process.

use super::Network;
use super::link::Item;
use super::login::{Connection, Session, Who};
use super::seam::NodePipe;
use crate::Error;
use crate::transcript::Direction;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use wacore_binary::{Jid, Node};

impl Network {
    /// Connects device 0 of an account at stanza level. A connection that the same
    /// device had is closed.
    ///
    /// # Errors
    /// `Error::Unknown` when there is no such device.
    pub fn attach(&self, jid: &Jid) -> Result<NodePipe, Error> {
        let unknown = || Error::Unknown(jid.to_string());
        let account = self.0.accounts.find(jid).ok_or_else(unknown)?;
        if jid.device != 0 {
            return Err(unknown());
        }
        let (link, items) = self.0.new_link();
        let session = Session { account, device: 0, link: link.clone() };
        self.0.connected(&session);
        let connection = self.connection(link.number, Who::Device(session));
        let (to_network, from_phone) = mpsc::unbounded_channel();
        let (to_phone, from_network) = mpsc::unbounded_channel();
        let network = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = hear(&network, &connection, from_phone) => {}
                () = tell(&network, &connection, items, &to_phone) => {}
            }
        });
        Ok(NodePipe { tx: to_network, rx: from_network })
    }

    /// Writes a stanza into the record.
    pub(crate) fn record(&self, connection: &Connection, direction: Direction, stanza: bytes::Bytes) {
        let at = self.0.clock.unix_millis();
        let device = connection.device.as_ref();
        let transcript = &self.0.transcript;
        transcript.record(at, direction, connection.number, device, stanza);
    }
}

/// What the phone sends, until it lets go.
async fn hear(network: &Network, connection: &Connection, mut phone: UnboundedReceiver<Node>) {
    while let Some(node) = phone.recv().await {
        let bytes = super::link::marshal(&node);
        network.record(connection, Direction::In, without_flag(&bytes));
        if !connection.receive(&node) {
            return;
        }
    }
}

/// What the network sends, until it closes or the phone lets go.
async fn tell(network: &Network, connection: &Connection, mut items: UnboundedReceiver<Item>, phone: &UnboundedSender<Node>) {
    while let Some(Item::Stanza(out)) = items.recv().await {
        if let Some(moment) = out.not_before {
            tokio::time::sleep_until(moment).await;
        }
        network.record(connection, Direction::Out, without_flag(&out.bytes));
        if phone.send(out.node).is_err() {
            return;
        }
    }
}

/// The record holds stanzas without the flag byte that marks compression.
pub(crate) fn without_flag(bytes: &bytes::Bytes) -> bytes::Bytes {
    if bytes.is_empty() { bytes.clone() } else { bytes.slice(1..) }
}
