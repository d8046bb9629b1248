//! Whom a phone's owner does not want to hear from.
//!
//! The network keeps the list and acts on it, as with any device of the account; here is what a person does about it, and
//! what WhatsApp's own app refuses: writing to somebody whom one has blocked.

use crate::Error;
use crate::phones::phone::{Phone, offline};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt as _};

impl Phone {
    /// Blocks somebody, or lets them through again. What is so already changes nothing.
    pub async fn set_blocked(&self, who: &Jid, block: bool) -> Result<(), Error> {
        if who.is_group() {
            return Err(Error::Invalid(format!("{who} is a group; only people can be blocked")));
        }
        let account = self.network.account_of(who);
        let account = account.ok_or_else(|| Error::Unknown(format!("{who} is not on WhatsApp; make the phone first")))?;
        if account.phone == self.number {
            return Err(Error::Refused("a phone cannot block itself".into()));
        }
        let link = self.link().ok_or_else(offline)?;
        let item = NodeBuilder::new("item").attr("jid", Jid::lid(account.lid.as_str()));
        let item = if block {
            item.attr("action", "block").attr("pn_jid", Jid::pn(account.phone.as_str()))
        } else {
            item.attr("action", "unblock")
        };
        link.ask("set", "blocklist", vec![item.build()]).await?;
        self.note_change();
        Ok(())
    }

    /// Whom it has blocked: `+` and the digits of their numbers, in order.
    pub(super) fn blocked(&self) -> Vec<String> {
        self.network.blocked(&self.number).into_iter().map(|number| format!("+{number}")).collect()
    }

    /// Refuses what would go to somebody whom its owner has blocked.
    pub(super) fn lets_write(&self, to: &Jid) -> Result<(), Error> {
        if !self.network.has_blocked(&self.number, to) {
            return Ok(());
        }
        let number = self.addresses_of(to).pn.user;
        Err(Error::Refused(format!("this phone has blocked +{number}; unblock them first (POST .../unblock)")))
    }
}
