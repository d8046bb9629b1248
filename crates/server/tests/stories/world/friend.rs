//! A friend: a virtual phone in the hand of somebody who reads and answers.

use super::{PATIENCE, Shop};
use sanasend_sandbox::{Control, ShownMessage};

/// A virtual phone with its control.
#[derive(Clone)]
pub struct Friend {
    control: Control,
    /// Its number: `+` and digits.
    pub number: String,
}

impl Friend {
    /// A phone with a free number.
    pub async fn new(control: Control, name: &str) -> Self {
        let phone = control.add_phone(None, Some(name)).await.expect("a phone");
        Self { control, number: phone.phone }
    }

    /// The control that reaches it.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The same phone, reached through another control.
    pub fn in_network(&self, control: Control) -> Self {
        Self { control, number: self.number.clone() }
    }

    /// Waits until the phone shows a text, and answers that message.
    pub async fn sees(&self, text: &str) -> ShownMessage {
        let shown = self.control.wait_until(&self.number, PATIENCE, |shown| shown.iter().any(|message| message.text == text)).await;
        let shown = shown.expect("the phone");
        shown.into_iter().find(|message| message.text == text).unwrap_or_else(|| panic!("{} never saw {text:?}", self.number))
    }

    /// The texts that came in, in the order the phone shows them.
    pub fn shows(&self) -> Vec<String> {
        let shown = self.control.messages(&self.number).expect("the phone");
        shown.into_iter().filter(|message| !message.from_me).map(|message| message.text).collect()
    }

    /// Waits until so many texts came in, and answers them.
    pub async fn shows_at_least(&self, count: usize) -> Vec<String> {
        let enough = |shown: &[ShownMessage]| shown.iter().filter(|message| !message.from_me).count() >= count;
        self.control.wait_until(&self.number, PATIENCE, enough).await.expect("the phone");
        self.shows()
    }

    /// Opens every chat and reads it.
    pub fn reads(&self) {
        self.control.read(&self.number, None, None).expect("the phone reads");
    }

    /// Writes to the shop; answers the message id.
    pub async fn says(&self, shop: &Shop, text: &str) -> String {
        self.control.send(&self.number, &shop.number, text, None).await.expect("the phone sends")
    }

    /// Answers a message.
    pub async fn answers(&self, message: &ShownMessage, text: &str) -> String {
        self.control.send(&self.number, &message.chat, text, Some(&message.id)).await.expect("the phone sends")
    }

    /// Leaves the network.
    pub async fn goes_offline(&self) {
        self.control.set_online(&self.number, false).await.expect("offline");
    }

    /// Comes back.
    pub async fn comes_back(&self) {
        self.control.set_online(&self.number, true).await.expect("online");
    }
}
