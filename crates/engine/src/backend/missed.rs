//! Messages that were read once and are not there: the hole that a kill can leave, and how it is filled.
//!
//! The client library writes ratchets in the background, for all conversations at once. When it writes that of a message
//! which was just read, before the message itself is on disk, and the process is killed in between, the message comes again
//! and can't be read any more: to the library it looks like a copy of one that was handled, and it would acknowledge it. Only
//! we can tell that it was not: it is not in the database. Then the acknowledgement is held back, and the sender is asked
//! for the message anew. Once: what leaves no row (a key, a setting) must not be asked for for ever.

use super::{Backend, Result, StoreError, key, storage};
use crate::events::Signal;
use sanasend_store::SignalKind;

/// A message as its stanza names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missed {
    /// The conversation.
    pub(crate) chat: String,
    /// The device that wrote it.
    pub(crate) sender: String,
    /// Its id.
    pub(crate) id: String,
}

impl Missed {
    /// Under this key it is noted that it was asked for.
    pub(crate) fn key(&self) -> Vec<u8> {
        key(&[&self.chat, &self.sender, &self.id])
    }

    /// Whether it is of a kind that is kept, by somebody who can be asked: a person to this account, or in a group.
    fn can_be_asked_for(&self) -> bool {
        let user = |jid: &str| jid.split(['@', ':', '.']).next().map(str::to_owned);
        self.chat.ends_with("@g.us") || user(&self.chat) == user(&self.sender)
    }
}

impl Backend {
    /// Looks at a message that came again and of which no copy waits. An error holds its acknowledgement back.
    pub(super) async fn look_for(&self, chat: &str, sender: &str, id: &str) -> Result<()> {
        let missed = Missed { chat: chat.to_owned(), sender: sender.to_owned(), id: id.to_owned() };
        let Some(tell) = self.keep.signals().filter(|_| missed.can_be_asked_for()) else { return Ok(()) };
        let (rows, id, asked) = (self.rows.clone(), id.to_owned(), missed.key());
        let read = move || {
            let (rows, id, asked) = (rows.clone(), id.clone(), asked.clone());
            async move { Ok(rows.has_message(&id).await? || rows.get(SignalKind::Missed, &asked).await?.is_some()) }
        };
        if self.keep.or_end(read).await.map_err(storage)? {
            return Ok(());
        }
        // Nobody hears once the link is over; the message comes again with the next.
        let _ = tell.send(Signal::Missed(missed));
        Err(StoreError::Validation("the message was read and lost by the end of the last process; it is asked for again".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::Missed;

    #[test]
    fn people_and_groups_can_be_asked_and_nobody_else() {
        let of = |chat: &str, sender: &str| Missed { chat: chat.into(), sender: sender.into(), id: "A".into() }.can_be_asked_for();
        assert!(of("12025550101@s.whatsapp.net", "12025550101@s.whatsapp.net"));
        assert!(of("12025550101@s.whatsapp.net", "12025550101:5@s.whatsapp.net"));
        assert!(of("120363000000000000@g.us", "12025550101:5@s.whatsapp.net"));
        assert!(!of("status@broadcast", "12025550101@s.whatsapp.net"));
        assert!(!of("12025550101@s.whatsapp.net", "12025550100:33@s.whatsapp.net"), "what the account itself wrote elsewhere");
    }
}
