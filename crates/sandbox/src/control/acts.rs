//! What a phone's owner sends beside texts and files, and does to messages on the screen.

use super::Control;
use crate::Error;
use crate::phones::{self, ShownCard, ShownLocation};

impl Control {
    /// Sends a place from the phone to a number or jid. Answers the message id.
    pub async fn send_location(&self, phone: &str, to: &str, place: &ShownLocation) -> Result<String, Error> {
        self.phones.get(phone)?.send_location(&phones::read_chat(to)?, place).await
    }

    /// Sends contact cards from the phone to a number or jid. Answers the message id.
    pub async fn send_contacts(&self, phone: &str, to: &str, cards: &[ShownCard]) -> Result<String, Error> {
        self.phones.get(phone)?.send_contacts(&phones::read_chat(to)?, cards).await
    }

    /// Sends a poll from the phone to a number or jid. Answers the message id.
    pub async fn send_poll(
        &self,
        phone: &str,
        to: &str,
        question: &str,
        options: &[String],
        selectable_count: u32,
    ) -> Result<String, Error> {
        self.phones.get(phone)?.send_poll(&phones::read_chat(to)?, question, options, selectable_count).await
    }

    /// Puts an emoji on a message that the phone shows; an empty one takes it away. Answers the id of the reaction.
    pub async fn react(&self, phone: &str, id: &str, emoji: &str) -> Result<String, Error> {
        self.phones.get(phone)?.react(id, emoji).await
    }

    /// Gives a message that the phone's account wrote another text. Answers the id of the edit.
    pub async fn edit(&self, phone: &str, id: &str, text: &str) -> Result<String, Error> {
        self.phones.get(phone)?.edit(id, text).await
    }

    /// Deletes a message that the phone's account wrote, for everyone. Answers the id of the deletion.
    pub async fn delete(&self, phone: &str, id: &str) -> Result<String, Error> {
        self.phones.get(phone)?.delete(id).await
    }

    /// Chooses answers of a poll that the phone shows; none takes the choice back. Answers the id of the vote.
    pub async fn vote(&self, phone: &str, id: &str, options: &[String]) -> Result<String, Error> {
        self.phones.get(phone)?.vote(id, options).await
    }
}
