//! Who is there right now, and who is typing. None of it is kept: for a device that is
//! away it means nothing later.

use super::Inner;
use super::accounts::Account;
use super::login::Session;
use super::nodes::{jid, text};
use crate::Error;
use std::sync::Arc;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

impl Inner {
    /// A presence from a device: its own, or a wish to know another's.
    pub(super) fn on_presence(&self, session: &Session, node: &Node) -> Result<(), Error> {
        match text(node, "type").as_ref() {
            "subscribe" => {
                self.subscribe(session, node);
                Ok(())
            }
            "unsubscribe" => {
                if let Some(other) = jid(node, "to").and_then(|to| self.accounts.find(&to)) {
                    other.lock().subscribers.remove(&session.account.phone);
                }
                Ok(())
            }
            kind => self.set_presence(session, node, kind != "unavailable"),
        }
    }

    /// The name that comes with it is what recipients of messages see from now on.
    fn set_presence(&self, session: &Session, node: &Node, available: bool) -> Result<(), Error> {
        let mut account = session.account.lock();
        let name = text(node, "name");
        if !name.is_empty() && account.record.push_name != name {
            account.record.push_name = name.into_owned();
            self.save_account(&account.record)?;
        }
        let before = account.is_available();
        let line = account.device(session.device).and_then(|d| d.line.as_mut());
        if let Some(line) = line.filter(|l| l.link.number == session.link.number) {
            line.available = available;
        }
        let after = account.is_available();
        if before && !after {
            account.last_seen = Some(self.clock.unix_seconds());
        }
        drop(account);
        if before != after {
            self.tell_presence(&session.account);
        }
        Ok(())
    }

    fn subscribe(&self, session: &Session, node: &Node) {
        let Some(to) = jid(node, "to") else {
            return;
        };
        if let Some(other) = self.accounts.find(&to) {
            let presence = {
                let mut inner = other.lock();
                inner.subscribers.insert(session.account.phone.clone());
                // It would be told from now on, once it is not blocked any more.
                if inner.blocks(&session.account.phone) {
                    return;
                }
                presence_of(&other, &to, inner.is_available(), inner.last_seen)
            };
            let mut inner = session.account.lock();
            self.whisper(&mut inner, session.device, presence);
        }
    }

    /// Tells those who asked that an account came or went.
    pub(super) fn tell_presence(&self, account: &Arc<Account>) {
        let (available, last_seen, subscribers) = {
            let inner = account.lock();
            let subscribers: Vec<_> = inner.subscribers.iter().filter(|phone| !inner.blocks(phone)).cloned().collect();
            (inner.is_available(), inner.last_seen, subscribers)
        };
        let presence = presence_of(account, &account.pn(0), available, last_seen);
        for phone in subscribers {
            if let Some(other) = self.accounts.by_phone(&phone) {
                self.whisper_to_all(&other, &presence);
            }
        }
    }

    /// Typing, to all devices of the other side that are there, unless one of the two has blocked the other.
    pub(super) fn on_chatstate(&self, session: &Session, node: &Node) {
        let Some(to) = jid(node, "to") else {
            return;
        };
        let own = &session.account;
        let open = |other: &Arc<Account>| !Inner::is_blocked(other, &own.phone) && !Inner::is_blocked(own, &other.phone);
        if let Some(other) = self.accounts.find(&to).filter(open) {
            let state =
                NodeBuilder::new("chatstate").attr("from", session.account.like(&to, 0)).apply_content(node.content.clone()).build();
            self.whisper_to_all(&other, &state);
        }
    }

    fn whisper_to_all(&self, account: &Account, node: &Node) {
        let mut inner = account.lock();
        let ids: Vec<u16> = inner.published().map(|d| d.record.id).collect();
        for id in ids {
            self.whisper(&mut inner, id, node.clone());
        }
    }
}

fn presence_of(account: &Account, like: &Jid, available: bool, last: Option<i64>) -> Node {
    let builder = NodeBuilder::new("presence").attr("from", account.like(like, 0));
    if available {
        return builder.build();
    }
    let builder = builder.attr("type", "unavailable");
    match last {
        Some(last) => builder.attr("last", last).build(),
        None => builder.attr("last", "deny").build(),
    }
}
