//! Who is it, and may it in: from a finished handshake to `<success>`, and what happens
//! to an older connection of the same device.

use super::accounts::{Account, Line};
use super::link::{Item, Link};
use super::nodes::{conflict, failure};
use super::pairing::Stranger;
use super::{Inner, Network};
use crate::RESERVED_NUMBER;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::mpsc::UnboundedReceiver;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::whatsapp::{ClientPayload, DeviceProps};

/// The reason of a `<failure>` for a device that is not linked (any more).
const LOGGED_OUT: u16 = 401;

/// A logged-in device on one connection: whom a handler works for.
pub(crate) struct Session {
    pub account: Arc<Account>,
    pub device: u16,
    pub link: Link,
}

impl Session {
    /// Its jid by number.
    pub fn pn(&self) -> Jid {
        self.account.pn(self.device)
    }
}

/// Who is at the other end of a connection.
pub(crate) enum Who {
    /// A linked device, or a phone.
    Device(Session),
    /// Someone who wants to be linked.
    Stranger(Arc<Stranger>),
    /// Someone who was turned away.
    Nobody,
}

/// An open connection, seen from its transport. Dropping it takes the device offline.
pub(crate) struct Connection {
    network: Network,
    who: Who,
    /// Number of the connection.
    pub number: u64,
    /// The device's jid by number, for the record.
    pub device: Option<Jid>,
}

impl Connection {
    /// Handles one stanza. `false` when the connection cannot go on.
    pub fn receive(&self, node: &Node) -> bool {
        let inner = &self.network.0;
        let done = match &self.who {
            Who::Device(session) => inner.on_stanza(session, node),
            Who::Stranger(stranger) => {
                inner.on_stranger(stranger, node);
                return true;
            }
            Who::Nobody => return true,
        };
        if let Err(error) = &done {
            tracing::error!(connection = self.number, %error, "a stanza was not handled");
        }
        done.is_ok()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let inner = &self.network.0;
        match &self.who {
            Who::Device(session) => inner.disconnected(session),
            Who::Stranger(stranger) => inner.stranger_left(stranger),
            Who::Nobody => {}
        }
        inner.connections.fetch_sub(1, Ordering::Release);
        inner.one_closed.notify_one();
    }
}

impl Network {
    /// Lets a client in after its handshake, or turns it away; either way the connection
    /// must be served until its items end.
    pub(crate) fn admit(&self, client: [u8; 32], payload: &ClientPayload) -> (Connection, UnboundedReceiver<Item>) {
        let inner = &self.0;
        let (link, items) = inner.new_link();
        let who = match inner.identify(client, payload) {
            Ok(Login::Device(account, device)) => {
                let session = Session { account, device, link: link.clone() };
                link.send(inner.success(&session));
                inner.connected(&session);
                if payload.passive != Some(true) {
                    inner.awake(&session);
                }
                Who::Device(session)
            }
            Ok(Login::Stranger) => Who::Stranger(self.welcome(client, payload, link.clone())),
            Err(reason) => {
                link.send(failure(reason));
                link.close();
                Who::Nobody
            }
        };
        (self.connection(link.number, who), items)
    }

    /// The connection object for a transport.
    pub(super) fn connection(&self, number: u64, who: Who) -> Connection {
        self.0.connections.fetch_add(1, Ordering::Relaxed);
        let device = match &who {
            Who::Device(session) => Some(session.pn()),
            Who::Stranger(_) | Who::Nobody => None,
        };
        Connection { network: self.clone(), who, number, device }
    }
}

enum Login {
    Device(Arc<Account>, u16),
    Stranger,
}

impl Inner {
    /// A new line, numbered.
    pub(super) fn new_link(&self) -> (Link, UnboundedReceiver<Item>) {
        Link::new(self.next_connection.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Whom a login is for. An error is the reason of a `<failure>`.
    fn identify(&self, client: [u8; 32], payload: &ClientPayload) -> Result<Login, u16> {
        let Some(number) = payload.username else {
            return Ok(Login::Stranger);
        };
        let phone = number.to_string();
        if phone == RESERVED_NUMBER {
            return Ok(Login::Stranger);
        }
        if let Some(reason) = self.faults.take_failure(&phone) {
            return Err(reason);
        }
        let id = u16::try_from(payload.device.unwrap_or(0)).map_err(|_| LOGGED_OUT)?;
        let account = self.accounts.by_phone(&phone).ok_or(LOGGED_OUT)?;
        let known = account.lock().device(id).and_then(|device| device.record.noise).is_some_and(|key| key.0 == client);
        if known { Ok(Login::Device(account, id)) } else { Err(LOGGED_OUT) }
    }

    /// A login that is not passive asks for what was missed at once, as WhatsApp's own client does; others say
    /// `active` when they are ready.
    fn awake(&self, session: &Session) {
        if let Err(error) = self.catch_up(&mut session.account.lock(), session.device) {
            tracing::error!(%error, "the backlog could not be read");
        }
    }

    fn success(&self, session: &Session) -> Node {
        NodeBuilder::new("success")
            .attr("t", self.clock.unix_seconds())
            .attr("lid", session.account.lid(session.device))
            .attr("location", "sandbox")
            .build()
    }

    /// Notes that a device is there; an older connection of it is sent away.
    pub(super) fn connected(&self, session: &Session) {
        let mut account = session.account.lock();
        let now = self.clock.unix_seconds();
        let Some(device) = account.device(session.device) else {
            return;
        };
        device.record.seen_at = now;
        let line = Line { link: session.link.clone(), active: false, available: false };
        if let Some(old) = device.line.replace(line) {
            old.link.send(conflict(None, "replaced"));
            old.link.close();
        }
    }

    fn disconnected(&self, session: &Session) {
        let mut account = session.account.lock();
        let was_available = account.is_available();
        let now = self.clock.unix_seconds();
        let Some(device) = account.device(session.device) else {
            return;
        };
        // A newer connection of the same device may have taken the place.
        if device.line.as_ref().is_none_or(|l| l.link.number != session.link.number) {
            return;
        }
        device.line = None;
        device.record.seen_at = now;
        let left = was_available && !account.is_available();
        if left {
            account.last_seen = Some(now);
        }
        drop(account);
        if left {
            self.tell_presence(&session.account);
        }
    }
}

/// How a client names its platform in its registration.
pub(super) fn platform(payload: &ClientPayload) -> String {
    use waproto::buffa::Message;
    let props = payload
        .device_pairing_data
        .as_option()
        .and_then(|data| data.device_props.as_deref())
        .and_then(|bytes| DeviceProps::decode_from_slice(bytes).ok());
    props.and_then(|props| props.os).filter(|os| !os.is_empty()).unwrap_or_else(|| "Companion".to_owned())
}
