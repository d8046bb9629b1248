//! What a phone's owner sends beside texts and files, and does to messages that are on the screen.

use crate::Error;
use crate::phones::chats::{Chats, ShownMessage};
use crate::phones::phone::Phone;
use crate::phones::rich::{self, Act, Doing, ShownCard, ShownLocation};
use wacore_binary::{Jid, JidExt as _};
use waproto::whatsapp as wa;

impl Phone {
    /// Sends a place to a chat. Answers the message id.
    pub async fn send_location(&self, to: &Jid, place: &ShownLocation) -> Result<String, Error> {
        self.send_made(self.chat_with(to)?, rich::location(place)).await
    }

    /// Sends contact cards to a chat. Answers the message id.
    pub async fn send_contacts(&self, to: &Jid, cards: &[ShownCard]) -> Result<String, Error> {
        if cards.is_empty() {
            return Err(Error::Invalid("\"contacts\" must hold at least one card".into()));
        }
        self.send_made(self.chat_with(to)?, rich::contacts(cards)).await
    }

    /// Sends a poll to a chat. Answers the message id.
    pub async fn send_poll(&self, to: &Jid, question: &str, options: &[String], selectable_count: u32) -> Result<String, Error> {
        if options.len() < 2 {
            return Err(Error::Invalid("\"options\" must hold at least two answers".into()));
        }
        let poll = rich::new_poll(question, options, selectable_count, self.network.clock().bytes());
        self.send_made(self.chat_with(to)?, poll).await
    }

    /// Puts an emoji on a message that is on the screen; an empty one takes it away. Answers the id of the reaction.
    pub async fn react(&self, id: &str, emoji: &str) -> Result<String, Error> {
        let message = self.on_screen(id)?;
        let at = self.network.clock().unix_millis();
        self.send_made(message.chat.clone(), rich::reaction(self.key_of(&message), emoji, at)).await
    }

    /// Gives a message of its own another text. Answers the id of the edit.
    pub async fn edit(&self, id: &str, text: &str) -> Result<String, Error> {
        let message = self.own_on_screen(id)?;
        let at = self.network.clock().unix_millis();
        self.send_made(message.chat.clone(), rich::edit(self.key_of(&message), text, at)).await
    }

    /// Deletes a message of its own for everyone. Answers the id of the deletion.
    pub async fn delete(&self, id: &str) -> Result<String, Error> {
        let message = self.own_on_screen(id)?;
        self.send_made(message.chat.clone(), rich::revoke(self.key_of(&message))).await
    }

    /// Chooses answers of a poll that is on the screen; none takes the choice back. Answers the id of the vote.
    pub async fn vote(&self, id: &str, options: &[String]) -> Result<String, Error> {
        let message = self.on_screen(id)?;
        let poll = message.poll.clone().ok_or_else(|| Error::Refused(format!("{id} is no poll")))?;
        if let Some(unknown) = options.iter().find(|option| !poll.options.contains(option)) {
            return Err(Error::Invalid(format!("{unknown:?} is no answer of the poll")));
        }
        // Both ids in the addressing of the chat.
        let by_lid = message.chat.parse::<Jid>().is_ok_and(|chat| chat.is_group() || self.in_chat_addressing(&chat).is_lid());
        let (creator, voter) = self.ids(&message.from, &self.own.pn.to_string(), by_lid);
        let at = self.network.clock().unix_millis();
        let vote = rich::vote(self.key_of(&message), options, &poll.secret, &creator, &voter, at)?;
        self.send_made(message.chat.clone(), vote).await
    }

    /// Shows and sends a message that is made.
    async fn send_made(&self, chat: String, message: wa::Message) -> Result<String, Error> {
        if let Ok(chat) = chat.parse::<Jid>() {
            self.lets_write(&chat)?;
        }
        let outgoing = self.outgoing(chat, &message);
        self.show_own(&outgoing, &message, None)?;
        if let Some(link) = self.link() {
            self.dispatch(&link, &outgoing).await;
        }
        Ok(outgoing.id)
    }

    fn on_screen(&self, id: &str) -> Result<ShownMessage, Error> {
        let found = self.chats.lock().find(id).cloned();
        found.ok_or_else(|| Error::Unknown(format!("this phone shows no message {id}")))
    }

    fn own_on_screen(&self, id: &str) -> Result<ShownMessage, Error> {
        let message = self.on_screen(id)?;
        if message.from_me { Ok(message) } else { Err(Error::Refused(format!("{id} was not written by this account"))) }
    }

    /// How a message is named on the wire.
    fn key_of(&self, message: &ShownMessage) -> wa::MessageKey {
        let chat = message.chat.parse::<Jid>().ok();
        let in_group = chat.as_ref().is_some_and(Jid::is_group);
        let author = self.ids(&message.from, "", true).0;
        wa::MessageKey {
            remote_jid: chat.map(|chat| self.in_chat_addressing(&chat).to_string()),
            from_me: Some(message.from_me),
            id: Some(message.id.clone()),
            participant: (in_group && !message.from_me).then_some(author),
        }
    }

    /// Two people's ids, by LID or by number.
    fn ids(&self, one: &str, other: &str, by_lid: bool) -> (String, String) {
        let id = |jid: &str| match jid.parse::<Jid>() {
            Ok(jid) => {
                let addresses = self.addresses_of(&jid);
                if by_lid { addresses.lid.to_string() } else { addresses.pn.to_string() }
            }
            Err(_) => jid.to_owned(),
        };
        (id(one), id(other))
    }

    /// Shows at a message what `by` (jid by number) does to it. Answers its place on the screen as changed.
    pub(super) fn show_act(&self, chats: &mut Chats, chat: &str, by: &str, act: &Act) -> Option<usize> {
        let ways: Vec<(String, String)> = match &act.what {
            Doing::Vote { .. } => {
                let author = chats.find(&act.id)?.from.clone();
                [true, false].map(|by_lid| self.ids(&author, by, by_lid)).to_vec()
            }
            _ => Vec::new(),
        };
        chats.do_to(chat, by, act, &ways)
    }
}
