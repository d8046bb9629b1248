//! What one virtual phone shows: its chats, the messages of one of them, its linked devices, and whom it has blocked.

use super::super::list::Asked;
use super::super::parts::Badge;
use super::digits;
use askama::Template;
use askama::filters::HtmlSafe;
use chrono::DateTime;
use sanasend_sandbox::{Control, DeviceView, Error, MediaState, MessageKind, PhoneView, ShownMessage, ShownStatus};

/// Messages of a chat that are shown, the newest.
const MOST_BUBBLES: usize = 60;
/// Types that a browser shows as a picture and does not run.
pub(super) const PICTURES: [&str; 4] = ["image/jpeg", "image/png", "image/webp", "image/gif"];

/// A chat to choose.
struct Chat {
    name: String,
    href: String,
    unread: usize,
    is_open: bool,
}

/// Somebody whom the phone has blocked.
struct Blocked {
    number: String,
    name: String,
}

/// A message.
struct Bubble {
    message: ShownMessage,
    author: String,
    time: String,
    ticks: (&'static str, &'static str),
    kind: String,
    is_picture: bool,
    is_here: bool,
    answer: String,
}

/// The screen.
#[derive(Template)]
#[template(path = "parts/screen.html")]
pub struct Screen {
    phone: String,
    online: bool,
    state: Badge,
    /// The jid of the open chat; empty without one.
    pub chat: String,
    /// The other side of the open chat, as the form to write takes it.
    pub to: String,
    chats: Vec<Chat>,
    bubbles: Vec<Bubble>,
    devices: Vec<DeviceView>,
    /// The open chat is one with somebody who can be blocked.
    can_block: bool,
    blocked: Vec<Blocked>,
    back: String,
}

impl HtmlSafe for Screen {}

impl Screen {
    /// The screen of a phone with `open` as its chat, else the newest.
    ///
    /// # Errors
    /// When the phone is gone.
    pub fn of(control: &Control, phone: &PhoneView, all: &[PhoneView], open: Option<String>, asked: &Asked) -> Result<Self, Error> {
        let messages = control.messages(&phone.phone)?;
        let digits = digits(&phone.phone);
        let mut jids: Vec<&str> = Vec::new();
        for message in messages.iter().rev() {
            if !jids.contains(&message.chat.as_str()) {
                jids.push(&message.chat);
            }
        }
        let open = open.filter(|open| jids.contains(&open.as_str()));
        let chat = open.unwrap_or_else(|| jids.first().copied().unwrap_or_default().to_owned());
        let chats = jids.iter().map(|jid| {
            let waits = |message: &&ShownMessage| message.chat == *jid && !message.from_me && message.status != ShownStatus::Read;
            Chat {
                name: name(jid, all),
                href: format!("{}#phone-{digits}", asked.with(&format!("c{digits}"), jid)),
                unread: messages.iter().filter(waits).count(),
                is_open: *jid == chat,
            }
        });
        let chats = chats.collect();
        let in_chat: Vec<&ShownMessage> = messages.iter().filter(|message| message.chat == chat).collect();
        let newest = &in_chat[in_chat.len().saturating_sub(MOST_BUBBLES)..];
        let bubbles = newest.iter().map(|message| bubble(message, all, &digits, asked)).collect();
        let devices = control.devices(&phone.phone)?.into_iter().filter(|device| device.id != 0).collect();
        let state = if phone.online { Badge::good("online") } else { Badge::warn("offline") };
        let to = address(&chat);
        let blocked = phone.blocked.iter().map(|number| {
            let known = all.iter().find(|other| other.phone == *number);
            Blocked { name: known.map_or_else(|| number.clone(), |other| other.push_name.clone()), number: number.clone() }
        });
        Ok(Self {
            phone: phone.phone.clone(),
            online: phone.online,
            state,
            can_block: to.starts_with('+') && to != phone.phone && !phone.blocked.contains(&to),
            to,
            chat,
            chats,
            bubbles,
            devices,
            blocked: blocked.collect(),
            back: asked.query(),
        })
    }

    /// The text of a message of the open chat.
    pub fn text_of(&self, id: &str) -> Option<String> {
        self.bubbles.iter().find(|bubble| bubble.message.id == id).map(|bubble| bubble.message.text.clone())
    }
}

fn bubble(message: &ShownMessage, all: &[PhoneView], digits: &str, asked: &Asked) -> Bubble {
    let at = DateTime::from_timestamp_millis(message.at).unwrap_or_default();
    let media = message.media.as_ref();
    Bubble {
        author: if message.from_me || message.chat == message.from { String::new() } else { name(&message.from, all) },
        time: at.format("%H:%M").to_string(),
        ticks: if message.from_me { ticks(message.status) } else { ("", "") },
        kind: serde_json::to_value(message.kind).ok().and_then(|kind| kind.as_str().map(|kind| kind.replace('_', " "))).unwrap_or_default(),
        is_here: media.is_some_and(|media| media.state == MediaState::Ready),
        is_picture: message.kind == MessageKind::Image
            && media.is_some_and(|media| media.state == MediaState::Ready && PICTURES.contains(&media.mime.as_str())),
        answer: format!("{}#phone-{digits}", asked.with(&format!("a{digits}"), &message.id)),
        message: message.clone(),
    }
}

/// The ticks, and what they say.
fn ticks(status: ShownStatus) -> (&'static str, &'static str) {
    match status {
        ShownStatus::Pending => ("🕓", "waiting"),
        ShownStatus::Failed => ("!", "failed"),
        ShownStatus::Sent => ("✓", "sent"),
        ShownStatus::Delivered => ("✓✓", "delivered"),
        ShownStatus::Read => ("✓✓", "read"),
    }
}

/// How a form takes a jid: a number where it is one.
fn address(jid: &str) -> String {
    jid.strip_suffix("@s.whatsapp.net").map_or_else(|| jid.to_owned(), |number| format!("+{number}"))
}

/// The name of a phone here, else the number.
fn name(jid: &str, all: &[PhoneView]) -> String {
    all.iter().find(|phone| phone.jid == jid).map_or_else(|| address(jid), |phone| phone.push_name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_written_to_by_number_and_a_group_by_its_id() {
        assert_eq!(address("12025550100@s.whatsapp.net"), "+12025550100");
        assert_eq!(address("1203630@g.us"), "1203630@g.us");
    }
}
