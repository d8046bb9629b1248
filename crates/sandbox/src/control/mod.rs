//! How tests and people steer the sandbox.
//!
//! Every verb exists twice with one meaning: as a method here, which tests of the same
//! process call, and over HTTP in `http`, which everybody else calls. Apart from the
//! phones and the network so that those need not know who steers them.

mod acts;
mod http;

pub use http::router;

use crate::Error;
use crate::network::{Counts, Fault, GroupChange, Network};
use crate::phones::{self, Auto, MediaState, MessageKind, NewMedia, OpenFile, PhoneView, Phones, ShownMessage};
use crate::transcript::{StanzaFilter, StanzaRecord};
use serde::Serialize;
use std::io::{Cursor, Read};
use std::time::Duration;
use wacore_binary::Jid;

/// One-time prekeys of a modest phone.
const MODEST_PREKEYS: u32 = 2;

/// The control of a sandbox. Cheap to clone.
///
/// `phone` is a number in any notation (`+1 202 555-0100`) or the account's jid.
/// Methods answer `Error::Unknown` when there is no such phone, `Error::Invalid` for
/// what cannot be read and `Error::Refused` for what cannot be done; the text of each
/// says what to change.
#[derive(Clone)]
pub struct Control {
    network: Network,
    phones: Phones,
    root_key: [u8; 32],
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

/// A companion that has just been linked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Linked {
    /// The phone that took it on: `+` and digits.
    pub phone: String,
    /// The companion's jid by number, with its device.
    pub jid: String,
    /// The companion's jid by LID, with its device.
    pub lid: String,
}

/// A device of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceView {
    /// Device number; 0 is the phone.
    pub id: u16,
    /// Its jid by number.
    pub jid: String,
    /// What it calls itself.
    pub platform: String,
    /// Index of its linking; 0 for the phone.
    pub key_index: u32,
    /// Whether others can write to it: it has uploaded its keys.
    pub ready: bool,
    /// Linked at, seconds since 1970.
    pub linked_at: i64,
    /// Connected or disconnected last, seconds since 1970.
    pub seen_at: i64,
}

impl Control {
    /// Control over these phones and their network. `root_key` is told to clients that
    /// verify the certificate chain of the handshake.
    #[must_use]
    pub fn new(network: Network, phones: Phones, root_key: [u8; 32]) -> Self {
        Self { network, phones, root_key }
    }

    /// Disconnects every phone, because the sandbox ends.
    pub(crate) fn stop(&self) {
        self.phones.stop();
    }

    /// Makes a phone; without a number it gets a free one, without a name one made of
    /// its number. A number that has a phone already answers that phone as it is.
    pub async fn add_phone(&self, number: Option<&str>, push_name: Option<&str>) -> Result<PhoneView, Error> {
        Ok(self.phones.add(number, push_name).await?.view())
    }

    /// Makes a phone that has few one-time prekeys and makes as few again when they run out: as real as every other, and
    /// made in a fraction of the time. For stories with thousands of phones that few write to.
    pub async fn add_modest_phone(&self, number: Option<&str>, push_name: Option<&str>) -> Result<PhoneView, Error> {
        Ok(self.phones.add_with(number, push_name, Some(MODEST_PREKEYS)).await?.view())
    }

    /// All phones, by number.
    #[must_use]
    pub fn phones(&self) -> Vec<PhoneView> {
        self.phones.all().iter().map(|phone| phone.view()).collect()
    }

    /// One phone.
    pub fn phone(&self, phone: &str) -> Result<PhoneView, Error> {
        Ok(self.phones.get(phone)?.view())
    }

    /// Forgets a phone with its account, companions and chats.
    pub fn remove_phone(&self, phone: &str) -> Result<(), Error> {
        self.phones.remove(phone)
    }

    /// A phone scans the QR text that a companion shows. `phone` is made if nobody has
    /// it; without it, the phone with the name the companion registered under is
    /// taken, or a new one.
    pub async fn scan(&self, qr: &str, phone: Option<&str>) -> Result<Linked, Error> {
        let (phone, companion) = self.phones.scan(qr, phone).await?;
        Ok(linked(&phone.view(), &companion))
    }

    /// Types the pairing code that a companion shows.
    pub async fn type_pair_code(&self, phone: &str, code: &str) -> Result<Linked, Error> {
        let phone = self.phones.get(phone)?;
        let code = phones::read_code(code)?;
        let companion = phone.link_by_code(&code).await?;
        Ok(linked(&phone.view(), &companion))
    }

    /// What the phone shows, in order.
    pub fn messages(&self, phone: &str) -> Result<Vec<ShownMessage>, Error> {
        Ok(self.phones.get(phone)?.messages())
    }

    /// What the phone shows, once that is at least `count` messages or `patience` is
    /// over.
    pub async fn wait_for_messages(&self, phone: &str, count: usize, patience: Duration) -> Result<Vec<ShownMessage>, Error> {
        self.wait_until(phone, patience, |messages| messages.len() >= count).await
    }

    /// What the phone shows, once `enough` holds of it or `patience` is over.
    pub async fn wait_until(
        &self,
        phone: &str,
        patience: Duration,
        mut enough: impl FnMut(&[ShownMessage]) -> bool,
    ) -> Result<Vec<ShownMessage>, Error> {
        let phone = self.phones.get(phone)?;
        let deadline = tokio::time::Instant::now() + patience;
        let mut changes = phone.changes();
        loop {
            changes.borrow_and_update();
            let messages = phone.messages();
            if enough(&messages) {
                return Ok(messages);
            }
            let changed = tokio::time::timeout_at(deadline, changes.changed()).await;
            if !matches!(changed, Ok(Ok(()))) {
                return Ok(phone.messages());
            }
        }
    }

    /// Sends a text from the phone to a number or jid. Answers the message id.
    pub async fn send(&self, phone: &str, to: &str, text: &str, reply_to: Option<&str>) -> Result<String, Error> {
        let phone = self.phones.get(phone)?;
        phone.send_text(&phones::read_chat(to)?, text, reply_to).await
    }

    /// Sends a file from the phone to a number or jid. Answers the message id.
    pub async fn send_media(&self, phone: &str, to: &str, media: NewMedia, bytes: Vec<u8>) -> Result<String, Error> {
        self.send_media_from(phone, to, media, Box::new(Cursor::new(bytes))).await
    }

    /// The same for a file of any size: `source` is read where blocking is allowed.
    pub async fn send_media_from(&self, phone: &str, to: &str, media: NewMedia, source: Box<dyn Read + Send>) -> Result<String, Error> {
        let phone = self.phones.get(phone)?;
        phone.send_media(&phones::read_chat(to)?, media, source).await
    }

    /// The file of a message that the phone shows, once it has been downloaded, opened and checked, or once `patience`
    /// is over. `Error::Refused` says why the phone does not have it.
    pub async fn media(&self, phone: &str, id: &str, patience: Duration) -> Result<OpenFile, Error> {
        self.wait_until(phone, patience, |shown| {
            let mut newest_first = shown.iter().rev().filter(|message| message.id == id);
            newest_first.find_map(|message| message.media.as_ref()).is_none_or(|media| media.state != MediaState::Fetching)
        })
        .await?;
        self.phones.get(phone)?.open_media(id)
    }

    /// The bytes of that file.
    pub async fn media_bytes(&self, phone: &str, id: &str, patience: Duration) -> Result<Vec<u8>, Error> {
        let mut open = self.media(phone, id, patience).await?;
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            open.file.read_to_end(&mut bytes).map(|_| bytes)
        });
        let read = read.await.map_err(|error| Error::State(error.to_string()))?;
        read.map_err(|error| Error::State(format!("a file: {error}")))
    }

    /// The first message of this kind whose file has this SHA-256 (64 hexadecimal digits) and is here, opened and
    /// checked; `None` when there was none until `patience` was over.
    pub async fn wait_for_media(
        &self,
        phone: &str,
        kind: MessageKind,
        sha256: &str,
        patience: Duration,
    ) -> Result<Option<ShownMessage>, Error> {
        let fits = |message: &ShownMessage| {
            let is_here = |media: &crate::phones::ShownMedia| media.state == MediaState::Ready && media.sha256 == sha256;
            message.kind == kind && message.media.as_ref().is_some_and(is_here)
        };
        let shown = self.wait_until(phone, patience, |shown| shown.iter().any(fits)).await?;
        Ok(shown.into_iter().find(fits))
    }

    /// Makes a group of the phone's account and these people (numbers or jids); all are told. Answers its jid, which is
    /// what messages are sent to.
    pub fn make_group(&self, phone: &str, subject: &str, people: &[&str]) -> Result<String, Error> {
        let phone = self.phones.get(phone)?;
        let people = people.iter().map(|person| Ok(self.phones.get(person)?.own.pn.clone())).collect::<Result<Vec<_>, Error>>()?;
        Ok(self.network.make_group(&phone.number, subject, &people)?.to_string())
    }

    /// Changes a group as the phone's owner does, who must be one of its admins; all its members are told.
    pub fn change_group(&self, phone: &str, group: &str, change: &GroupChange) -> Result<(), Error> {
        let phone = self.phones.get(phone)?;
        let group = phones::read_chat(group)?;
        let person = change.person().map(|person| self.phones.get(person)).transpose()?;
        self.network.change_group(&phone.number, &group, change, person.as_ref().map(|person| &person.own.pn))
    }

    /// Reads incoming messages: those of `chat`, those with these ids, or all. Answers
    /// how many were unread.
    pub fn read(&self, phone: &str, chat: Option<&str>, ids: Option<&[String]>) -> Result<usize, Error> {
        let phone = self.phones.get(phone)?;
        let chat = chat.map(phones::read_chat).transpose()?;
        phone.read(chat.as_ref(), ids)
    }

    /// Connects or disconnects the phone; it stays so, also over a restart.
    pub async fn set_online(&self, phone: &str, online: bool) -> Result<(), Error> {
        let phone = self.phones.get(phone)?;
        if online { phone.go_online().await } else { phone.go_offline() }
    }

    /// Shows the other side that the phone's owner is typing.
    pub fn typing(&self, phone: &str, to: &str) -> Result<(), Error> {
        self.phones.get(phone)?.type_in(&phones::read_chat(to)?)
    }

    /// Blocks somebody (number or jid) on the phone: what they write to it is acknowledged to them and never delivered, and
    /// they see no tick, presence or typing of it. Answers the phone.
    pub async fn block(&self, phone: &str, who: &str) -> Result<PhoneView, Error> {
        self.set_blocked(phone, who, true).await
    }

    /// Lets somebody through again. What they wrote meanwhile never comes. Answers the phone.
    pub async fn unblock(&self, phone: &str, who: &str) -> Result<PhoneView, Error> {
        self.set_blocked(phone, who, false).await
    }

    async fn set_blocked(&self, phone: &str, who: &str, block: bool) -> Result<PhoneView, Error> {
        let phone = self.phones.get(phone)?;
        phone.set_blocked(&phones::read_chat(who)?, block).await?;
        Ok(phone.view())
    }

    /// The devices of the account, the phone first.
    pub fn devices(&self, phone: &str) -> Result<Vec<DeviceView>, Error> {
        let phone = self.phones.get(phone)?;
        let devices = self.network.devices(&phone.number);
        Ok(devices
            .into_iter()
            .map(|device| DeviceView {
                id: device.id,
                jid: phone.own.pn.with_device(device.id).to_string(),
                ready: device.is_published(),
                platform: device.platform,
                key_index: device.key_index,
                linked_at: device.linked_at,
                seen_at: device.seen_at,
            })
            .collect())
    }

    /// Removes a companion from the phone's list of linked devices.
    pub fn unlink(&self, phone: &str, device: u16) -> Result<(), Error> {
        let phone = self.phones.get(phone)?;
        if device == 0 {
            return Err(Error::Refused("device 0 is the phone itself; DELETE /admin/phones/{phone} removes it".into()));
        }
        self.network.unlink(&phone.number, device)
    }

    /// Says what the phone does by itself from now on.
    pub fn auto(&self, phone: &str, auto: Auto) -> Result<(), Error> {
        self.phones.get(phone)?.set_auto(auto)
    }

    /// Makes something go wrong for an account.
    pub fn fault(&self, phone: &str, fault: Fault) -> Result<(), Error> {
        let phone = self.phones.get(phone)?;
        self.network.plant_fault(&phone.number, fault);
        Ok(())
    }

    /// Ends all faults of all accounts.
    pub fn clear_faults(&self) {
        self.network.clear_faults();
    }

    /// The stanzas that match, oldest first.
    #[must_use]
    pub fn transcript(&self, filter: &StanzaFilter) -> Vec<StanzaRecord> {
        self.network.transcript().read(filter)
    }

    /// The number of the newest stanza, to wait for what comes after it.
    #[must_use]
    pub fn transcript_end(&self) -> u64 {
        self.network.transcript().last()
    }

    /// The first stanza that matches, waiting for it at most `patience`.
    pub async fn wait_for_stanza(&self, filter: &StanzaFilter, patience: Duration) -> Option<StanzaRecord> {
        self.network.transcript().wait_for(filter, patience).await
    }

    /// How much of everything there is.
    #[must_use]
    pub fn state(&self) -> Counts {
        self.network.counts()
    }

    /// Public root of the handshake's certificate chain, 64 hexadecimal digits.
    #[must_use]
    pub fn root_key(&self) -> String {
        hex::encode(self.root_key)
    }
}

fn linked(phone: &PhoneView, companion: &Jid) -> Linked {
    let lid = phone.lid.parse::<Jid>().map(|lid| lid.with_device(companion.device).to_string());
    Linked { phone: phone.phone.clone(), jid: companion.to_string(), lid: lid.unwrap_or_default() }
}
