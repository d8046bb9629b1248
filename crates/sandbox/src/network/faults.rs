//! Things that can be made to go wrong on purpose.
//!
//! The control API plants faults here; the places that route, answer and log in ask
//! for them. Apart so that the honest paths stay readable.

use super::link::Link;
use super::reorder::Reordering;
use crate::media::{MediaTrouble, MediaWay};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use wacore_binary::Node;

/// Something to go wrong for one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Cut the connection now, without a word.
    Disconnect,
    /// Send `<stream:error code>` now and close.
    StreamError(u16),
    /// Answer the next `count` logins with `<failure reason>`.
    Failure {
        /// `reason` attribute, e.g. 401.
        code: u16,
        /// How many logins.
        count: u32,
    },
    /// Take the next `count` messages but never acknowledge them.
    DropAcks(u32),
    /// Hold acknowledgements back until the faults are cleared.
    HoldAcks,
    /// Refuse the next `count` messages with `<ack error>`; they go nowhere.
    Nack {
        /// `error` attribute, e.g. 463.
        code: u16,
        /// How many messages.
        count: u32,
    },
    /// Deliver the next `count` stanzas to this account twice.
    Duplicate(u32),
    /// Hold every stanza to this account back for so long; order is kept.
    Delay(Duration),
    /// Hold the next messages and receipts to each companion of this account back and deliver them in reverse: once there
    /// are `count` of them, or `within` this time from the first, however few they are by then.
    Reorder {
        /// How many stanzas.
        count: u32,
        /// How long the first of them waits at most.
        within: Duration,
    },
    /// Make the next `count` media requests of this account go wrong.
    Media {
        /// Uploads or downloads.
        way: MediaWay,
        /// How.
        trouble: MediaTrouble,
        /// How many requests.
        count: u32,
    },
    /// Everything that this account has uploaded is answered with this HTTP status from
    /// now on (410, 404). It stays so when the faults are cleared.
    MediaGone(u16),
}

/// Planted faults of one account.
#[derive(Debug, Default)]
struct Planted {
    failure: Option<(u16, u32)>,
    drop_acks: u32,
    hold_acks: bool,
    nack: Option<(u16, u32)>,
    duplicate: u32,
    delay: Option<Duration>,
    reorder: Option<Reordering>,
}

/// Faults by phone number. Free of cost while none is planted.
#[derive(Debug, Default)]
pub struct Faults {
    any: AtomicBool,
    planted: Mutex<HashMap<String, Planted>>,
    held: Mutex<Vec<(Link, Node)>>,
}

/// What to do about an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AckFate {
    /// Send it.
    Send,
    /// Never send it.
    Drop,
    /// Send it once faults are cleared.
    Hold,
}

impl Faults {
    /// Plants a fault that waits for its occasion. `Disconnect` and `StreamError`
    /// act at once and are the network's business, those of media are the media host's.
    pub(crate) fn plant(&self, phone: &str, fault: Fault) {
        let mut planted = self.planted.lock();
        let entry = planted.entry(phone.to_owned()).or_default();
        match fault {
            Fault::Disconnect | Fault::StreamError(_) | Fault::Media { .. } | Fault::MediaGone(_) => {}
            Fault::Failure { code, count } => entry.failure = Some((code, count)),
            Fault::DropAcks(count) => entry.drop_acks = count,
            Fault::HoldAcks => entry.hold_acks = true,
            Fault::Nack { code, count } => entry.nack = Some((code, count)),
            Fault::Duplicate(count) => entry.duplicate = count,
            Fault::Delay(delay) => entry.delay = Some(delay),
            Fault::Reorder { count, within } => {
                if let Some(before) = entry.reorder.replace(Reordering::new(count, within)) {
                    before.end();
                }
            }
        }
        self.any.store(true, Ordering::Release);
    }

    /// Forgets every fault; what was held goes out.
    pub(crate) fn clear(&self) {
        for (_, planted) in self.planted.lock().drain() {
            if let Some(reorder) = planted.reorder {
                reorder.end();
            }
        }
        self.any.store(false, Ordering::Release);
        for (link, ack) in self.held.lock().drain(..) {
            link.send(ack);
        }
    }

    /// Keeps an acknowledgement until the faults are cleared.
    pub(crate) fn hold(&self, link: Link, ack: Node) {
        self.held.lock().push((link, ack));
    }

    /// The `<failure reason>` that the next login of this account gets.
    pub(crate) fn take_failure(&self, phone: &str) -> Option<u16> {
        self.with(phone, |planted| take_counted(&mut planted.failure)).flatten()
    }

    /// The `<ack error>` that the next message of this account gets.
    pub(crate) fn take_nack(&self, phone: &str) -> Option<u16> {
        self.with(phone, |planted| take_counted(&mut planted.nack)).flatten()
    }

    /// What happens to the acknowledgement of a message of this account.
    pub(crate) fn ack_fate(&self, phone: &str) -> AckFate {
        self.with(phone, |planted| {
            if planted.drop_acks > 0 {
                planted.drop_acks -= 1;
                AckFate::Drop
            } else if planted.hold_acks {
                AckFate::Hold
            } else {
                AckFate::Send
            }
        })
        .unwrap_or(AckFate::Send)
    }

    /// Whether the stanza about to go to this account is sent twice.
    pub(crate) fn take_duplicate(&self, phone: &str) -> bool {
        self.with(phone, |planted| {
            let twice = planted.duplicate > 0;
            planted.duplicate = planted.duplicate.saturating_sub(1);
            twice
        })
        .unwrap_or(false)
    }

    /// How long stanzas to this account are held back.
    pub(crate) fn delay(&self, phone: &str) -> Option<Duration> {
        self.with(phone, |planted| planted.delay).flatten()
    }

    /// Whether the stanza about to go to a companion of this account is held back, to come behind later ones.
    pub(crate) fn reorders(&self, phone: &str, device: u16, link: &Link, stanza: (&Node, &Bytes, Option<Duration>)) -> bool {
        self.with(phone, |planted| planted.reorder.as_ref().is_some_and(|reorder| reorder.hold(device, link, stanza))).unwrap_or(false)
    }

    fn with<T>(&self, phone: &str, look: impl FnOnce(&mut Planted) -> T) -> Option<T> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        self.planted.lock().get_mut(phone).map(look)
    }
}

/// Takes one of a counted fault; it is gone when the count is used up.
fn take_counted(slot: &mut Option<(u16, u32)>) -> Option<u16> {
    let (code, count) = (*slot)?;
    *slot = (count > 1).then(|| (code, count - 1));
    (count > 0).then_some(code)
}
