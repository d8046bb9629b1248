//! What waits for a device until it says that it has it.
//!
//! Every message, receipt and notification goes through here, to connected devices as
//! well: it is written down before it is sent, and forgotten when the device
//! acknowledges it. A device that comes back gets what it never acknowledged, in order.

use super::Inner;
use super::accounts::{AccountInner, device_key};
use super::link::marshal;
use super::nodes::text;
use crate::Error;
use crate::state::{Room, State};
use bytes::Bytes;
use std::collections::VecDeque;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{CompactString, Node};

/// The kinds of stanzas that are acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Message,
    Receipt,
    Notification,
}

impl Class {
    /// By the tag of a stanza, or the `class` of an ack.
    pub fn of(tag: &str) -> Option<Class> {
        match tag {
            "message" => Some(Class::Message),
            "receipt" => Some(Class::Receipt),
            "notification" => Some(Class::Notification),
            _ => None,
        }
    }
}

/// What a device has not acknowledged yet; the stanzas themselves are on disk.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    next: u64,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    class: Class,
    id: CompactString,
}

impl Queue {
    /// Reads what waited when the process ended. `prefix` is the device's.
    pub fn load(state: &State, prefix: &[u8]) -> Result<Queue, Error> {
        let mut queue = Queue::default();
        for (key, value) in state.scan_raw(Room::Queue, prefix)? {
            let Ok(number) = <[u8; 8]>::try_from(&key[prefix.len()..]) else {
                continue;
            };
            let number = u64::from_be_bytes(number);
            queue.next = queue.next.max(number + 1);
            if let Some(node) = unmarshal(&value) {
                queue.note(number, &node);
            }
        }
        Ok(queue)
    }

    /// How many stanzas wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    fn note(&mut self, number: u64, node: &Node) {
        if let Some(class) = Class::of(&node.tag) {
            self.waiting.push_back(Waiting { number, class, id: CompactString::from(text(node, "id")) });
        }
    }

    /// Takes out what an acknowledgement is about; answers its number. The oldest is
    /// looked at first, and almost always is the one.
    fn take(&mut self, class: Class, id: &str) -> Option<u64> {
        let at = self.waiting.iter().position(|waiting| waiting.class == class && waiting.id == id)?;
        self.waiting.remove(at).map(|waiting| waiting.number)
    }
}

impl Inner {
    /// Hands a stanza to a device: down on disk first, then to its connection if it is
    /// there and has caught up. An unknown device swallows it.
    pub(super) fn deliver(&self, account: &mut AccountInner, device: u16, node: Node) -> Result<(), Error> {
        let phone = account.record.phone.clone();
        let Some(device) = account.device(device) else {
            return Ok(());
        };
        let bytes = marshal(&node);
        let number = device.queue.next;
        device.queue.next += 1;
        let key = queue_key(&phone, device.record.id, number);
        self.state.put_raw(Room::Queue, &key, &bytes)?;
        device.queue.note(number, &node);
        if let Some(line) = device.line.as_ref().filter(|line| line.active) {
            let delay = self.faults.delay(&phone);
            if self.faults.take_duplicate(&phone) {
                line.link.send_marshaled(node.clone(), bytes.clone(), delay);
            }
            let number = device.record.id;
            let can_wait = number != 0 && matches!(Class::of(&node.tag), Some(Class::Message | Class::Receipt));
            if !(can_wait && self.faults.reorders(&phone, number, &line.link, (&node, &bytes, delay))) {
                line.link.send_marshaled(node, bytes, delay);
            }
        }
        Ok(())
    }

    /// Hands a stanza to a device only if it is there now: for what is worth nothing
    /// later (presence, typing).
    pub(super) fn whisper(&self, account: &mut AccountInner, device: u16, node: Node) {
        let delay = self.faults.delay(&account.record.phone);
        let device = account.device(device);
        if let Some(line) = device.and_then(|d| d.line.as_ref()).filter(|l| l.active) {
            let bytes = marshal(&node);
            line.link.send_marshaled(node, bytes, delay);
        }
    }

    /// Forgets what a device acknowledged.
    pub(super) fn settle<'a>(
        &self,
        account: &mut AccountInner,
        device: u16,
        class: Class,
        ids: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), Error> {
        let phone = account.record.phone.clone();
        let Some(device) = account.device(device) else {
            return Ok(());
        };
        for id in ids {
            if let Some(number) = device.queue.take(class, id) {
                let key = queue_key(&phone, device.record.id, number);
                self.state.delete(Room::Queue, &key)?;
            }
        }
        Ok(())
    }

    /// The device is ready: sends everything that waits, in order, then says how much it
    /// was. From now on it gets what comes at once.
    pub(super) fn catch_up(&self, account: &mut AccountInner, device: u16) -> Result<(), Error> {
        let phone = account.record.phone.clone();
        let delay = self.faults.delay(&phone);
        let prefix = device_key(&phone, device);
        let Some(line) = account.device(device).and_then(|d| d.line.as_mut()) else {
            return Ok(());
        };
        if line.active {
            return Ok(());
        }
        line.active = true;
        let backlog = self.state.scan_raw(Room::Queue, &prefix)?;
        let mut count = 0_usize;
        for (_, bytes) in backlog {
            let Some(mut node) = unmarshal(&bytes) else {
                continue;
            };
            node.attrs.insert("offline", count);
            let bytes = marshal(&node);
            line.link.send_marshaled(node, bytes, delay);
            count += 1;
        }
        let done = NodeBuilder::new("ib")
            .attr("from", wacore_binary::SERVER_JID)
            .children([NodeBuilder::new("offline").attr("count", count).build()])
            .build();
        let bytes = marshal(&done);
        line.link.send_marshaled(done, bytes, delay);
        Ok(())
    }

    /// Forgets everything that waits for a device that is no more.
    pub(super) fn forget_queue(&self, phone: &str, device: u16) -> Result<(), Error> {
        for key in self.state.keys(Room::Queue, &device_key(phone, device))? {
            self.state.delete(Room::Queue, &key)?;
        }
        Ok(())
    }
}

fn queue_key(phone: &str, device: u16, number: u64) -> Vec<u8> {
    let mut key = device_key(phone, device);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// Reads a stanza from its binary form with flag byte (always 0 here: nothing we keep is
/// compressed).
fn unmarshal(bytes: &[u8]) -> Option<Node> {
    let node = wacore_binary::marshal::unmarshal_ref(bytes.get(1..)?).ok()?;
    Some(node.to_owned())
}

/// As [`unmarshal`], for bytes that are shared and have no flag byte.
pub(crate) fn decode(bytes: &Bytes) -> Result<Node, Error> {
    wacore_binary::marshal::unmarshal_ref(bytes).map(|node| node.to_owned()).map_err(|e| Error::Protocol(format!("stanza: {e}")))
}
