//! Privacy tokens: who let whom write to them, and what an account that is restricted may not do without.
//!
//! A client gives a token to whom it writes; that contact shows it when it writes back. WhatsApp asks restricted
//! accounts for it before they may begin a chat. Apart from the routing of messages because it is a rule about
//! contacts, not about envelopes.

use super::Inner;
use super::accounts::Account;
use super::login::Session;
use super::nodes::{child_bytes, jid, result, text};
use crate::Error;
use crate::state::Room;
use serde::{Deserialize, Serialize};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

/// Prefix of a name that makes its account restricted.
const RESTRICTED: &str = "restricted:";
/// Prefix of a name that begins with flags: `scenario:<flag,flag>:<name>`.
const SCENARIO: &str = "scenario:";
/// Seconds that a token is good for: four buckets of a week, as clients reckon.
const GOOD_FOR: i64 = 4 * 7 * 24 * 60 * 60;

/// What an account may not do, by its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scenario {
    /// Its first message to somebody needs that contact's token, or is refused with 463.
    pub restricted: bool,
}

/// Reads the prefixes of a name; answers what is left of it as well. Flags that are not known are passed over: they
/// belong to parts of WhatsApp that are not here.
pub(crate) fn scenario(name: &str) -> (Scenario, &str) {
    if let Some(rest) = name.strip_prefix(RESTRICTED) {
        return (Scenario { restricted: true }, rest);
    }
    match name.strip_prefix(SCENARIO).and_then(|rest| rest.split_once(':')) {
        Some((flags, rest)) => (Scenario { restricted: flags.split(',').any(|flag| flag == "restricted") }, rest),
        None => (Scenario::default(), name),
    }
}

/// A token that one account gave another.
#[derive(Serialize, Deserialize)]
struct Token {
    #[serde(with = "crate::state::hexed")]
    bytes: [u8; 16],
    /// Given at, seconds since 1970.
    at: i64,
}

impl Inner {
    /// An account gives tokens to contacts. Each is told to the contact's devices, and to nobody else: not even the
    /// giver can show it.
    pub(super) fn give_tokens(&self, session: &Session, node: &Node) -> Result<Node, Error> {
        let wanted = node.get_optional_child("tokens").and_then(Node::children).unwrap_or_default();
        for (contact, at) in wanted.iter().filter_map(|wanted| Some((jid(wanted, "jid")?, text(wanted, "t").parse().ok()))) {
            let Some(account) = self.accounts.find(&contact) else {
                continue;
            };
            let token = Token { bytes: self.clock.bytes(), at: at.unwrap_or_else(|| self.clock.unix_seconds()) };
            self.state.put(Room::Extras, &token_key(&account.phone, &session.account.phone), &token)?;
            self.tell_token(session, &contact, &account, &token)?;
        }
        Ok(result(node).build())
    }

    fn tell_token(&self, session: &Session, contact: &Jid, account: &Account, token: &Token) -> Result<(), Error> {
        let told = NodeBuilder::new("token").attr("type", "trusted_contact").attr("t", token.at).bytes(token.bytes.to_vec());
        let notification = NodeBuilder::new("notification")
            .attr("from", session.account.like(contact, 0))
            .attr("id", self.next_id())
            .attr("type", "privacy_token")
            .attr("t", self.clock.unix_seconds())
            .attr("sender_lid", session.account.lid(0))
            .children([NodeBuilder::new("tokens").children([told.build()]).build()])
            .build();
        let mut account = account.lock();
        // Nobody else is ever asked for one.
        if !account.record.restricted {
            return Ok(());
        }
        let devices: Vec<u16> = account.published().map(|device| device.record.id).filter(|id| *id != 0).collect();
        for device in devices {
            self.deliver(&mut account, device, notification.clone())?;
        }
        Ok(())
    }

    /// Whether a message may go: always, unless its account is restricted, does not know the recipient, and shows no
    /// good token of theirs.
    pub(super) fn may_write(&self, session: &Session, recipient: &Account, message: &Node) -> Result<bool, Error> {
        let own = &session.account.phone;
        if *own == recipient.phone || !session.account.lock().record.restricted {
            return Ok(true);
        }
        let known = known_key(own, &recipient.phone);
        if self.state.get_raw(Room::Extras, &known)?.is_some() {
            return Ok(true);
        }
        let given: Option<Token> = self.state.get(Room::Extras, &token_key(own, &recipient.phone))?;
        let shown = child_bytes(message, "tctoken");
        let good = given.is_some_and(|token| shown == Some(&token.bytes[..]) && self.clock.unix_seconds() < token.at + GOOD_FOR);
        if good {
            self.state.put_raw(Room::Extras, &known, &[])?;
        }
        Ok(good)
    }
}

/// The token that `holder` shows to `giver`.
fn token_key(holder: &str, giver: &str) -> Vec<u8> {
    format!("token:{holder}:{giver}").into_bytes()
}

/// Marks that `phone` has begun a chat with `other`.
fn known_key(phone: &str, other: &str) -> Vec<u8> {
    format!("known:{phone}:{other}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_scenarios() {
        let (free, bound) = (Scenario::default(), Scenario { restricted: true });
        assert_eq!(scenario("Ana"), (free, "Ana"));
        assert_eq!(scenario("restricted:Ana"), (bound, "Ana"));
        assert_eq!(scenario("scenario:tc_enabled=1,restricted:Ana"), (bound, "Ana"));
        assert_eq!(scenario("scenario:nct_send_ab=1:Ana: x"), (free, "Ana: x"));
        assert_eq!(scenario("scenario:Ana"), (free, "scenario:Ana"));
    }
}
