//! Virtual phones: the primary devices of the pretend accounts.
//!
//! Every account of the network has exactly one. It makes the account's keys, signs
//! for companions, and reads and writes messages as a person would. It is a client of
//! the network like any other and speaks to it in stanzas. This module is the list of
//! phones; what one does is in the modules below.

mod acts;
mod adv;
mod attachment;
mod blocks;
mod chats;
mod code;
mod content;
mod gallery;
mod inbox;
mod link;
mod media;
mod numbers;
mod outbox;
mod phone;
mod record;
mod rich;
mod sender_keys;
mod signal;
mod stanzas;
mod welcome;

pub use attachment::{MediaFlaw, MediaState, NewMedia, ShownMedia};
pub use chats::{OpenFile, ShownMessage, ShownStatus};
pub use content::MessageKind;
pub use phone::PhoneView;
pub use record::Auto;
pub use rich::{ShownCard, ShownLocation, ShownPoll, ShownPreview, ShownReaction, ShownVote};

use crate::Error;
use crate::network::{CompanionKeys, Network};
use crate::state::Room;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use gallery::Gallery;
use parking_lot::RwLock;
use phone::Phone;
use record::PhoneRecord;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use wacore::companion_reg::NATIVE_CAMERA_DEEP_LINK_PREFIX;
use wacore::pair::PairUtils;
use wacore_binary::{Jid, JidExt as _};

/// All phones. Cheap to clone.
#[derive(Clone)]
pub struct Phones(Arc<Inner>);

impl std::fmt::Debug for Phones {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Phones").finish_non_exhaustive()
    }
}

struct Inner {
    network: Network,
    gallery: Gallery,
    /// By the digits of their number.
    phones: RwLock<BTreeMap<String, Arc<Phone>>>,
    /// Where the search for a free number goes on; also the turnstile that keeps two
    /// requests from making one phone twice.
    next_number: tokio::sync::Mutex<usize>,
}

impl Phones {
    /// Loads the phones that were there before and connects those that were online.
    /// `folder` is where they keep files. Must be called on a runtime: connecting goes on after it returns.
    ///
    /// # Errors
    /// `Error::State` when they cannot be read.
    pub fn open(network: Network, folder: &Path) -> Result<Phones, Error> {
        let gallery = Gallery::open(folder, network.media().clone(), network.clock())?;
        let mut phones = BTreeMap::new();
        for (_, record) in network.state().scan::<PhoneRecord>(Room::Phones, b"")? {
            if network.account(&record.number).is_none() {
                // Killed between writing the phone and its account.
                let identity = public_identity(&record)?;
                network.add_account(&record.number, &record.push_name, identity)?;
            }
            let phone = Phone::open(&network, &gallery, record)?;
            phones.insert(phone.number.clone(), phone);
        }
        for phone in phones.values().filter(|phone| phone.wants_online()) {
            let phone = phone.clone();
            tokio::spawn(async move {
                if let Err(error) = phone.go_online().await {
                    tracing::warn!(%error, "a phone is not online");
                }
            });
        }
        Ok(Phones(Arc::new(Inner { network, gallery, phones: RwLock::new(phones), next_number: tokio::sync::Mutex::default() })))
    }

    /// Disconnects every phone, for shutting down. They are back after the next start.
    pub fn stop(&self) {
        for phone in self.0.phones.write().values() {
            phone.hang_up();
        }
    }

    /// Makes a phone and connects it. Without a number it gets a free one; a number
    /// that has a phone answers that phone.
    pub(crate) async fn add(&self, number: Option<&str>, push_name: Option<&str>) -> Result<Arc<Phone>, Error> {
        self.add_with(number, push_name, None).await
    }

    /// The same with so many one-time prekeys at a time.
    pub(crate) async fn add_with(&self, number: Option<&str>, push_name: Option<&str>, prekeys: Option<u32>) -> Result<Arc<Phone>, Error> {
        let mut next = self.0.next_number.lock().await;
        let number = match number {
            Some(text) => read_number(text)?,
            None => self.free_number(&mut next)?,
        };
        if let Some(phone) = self.0.phones.read().get(&number) {
            return Ok(phone.clone());
        }
        let network = &self.0.network;
        let name = push_name.map_or_else(|| format!("Phone {number}"), str::to_owned);
        let mut record = PhoneRecord::create(&number, &name, network.clock())?;
        record.prekeys = prekeys.unwrap_or(record.prekeys);
        network.state().put(Room::Phones, number.as_bytes(), &record)?;
        network.add_account(&number, &name, public_identity(&record)?)?;
        let phone = Phone::open(network, &self.0.gallery, record)?;
        self.0.phones.write().insert(number, phone.clone());
        phone.go_online().await?;
        Ok(phone)
    }

    /// The phone with this number, in any notation, or with this jid.
    pub(crate) fn get(&self, number: &str) -> Result<Arc<Phone>, Error> {
        let digits = match number.parse::<Jid>() {
            Ok(jid) if number.contains('@') => self
                .0
                .network
                .account_of(&jid)
                .map(|account| account.phone)
                .ok_or_else(|| Error::Unknown(format!("{number} has no phone here")))?,
            _ => read_number(number)?,
        };
        let found = self.0.phones.read().get(&digits).cloned();
        found.ok_or_else(|| Error::Unknown(format!("+{digits} has no phone here; make it with POST /admin/phones")))
    }

    /// All phones, by number.
    pub(crate) fn all(&self) -> Vec<Arc<Phone>> {
        self.0.phones.read().values().cloned().collect()
    }

    /// Forgets a phone with its account, companions and chats.
    pub(crate) fn remove(&self, number: &str) -> Result<(), Error> {
        let phone = self.get(number)?;
        self.0.phones.write().remove(&phone.number);
        phone.hang_up();
        self.0.network.remove_account(&phone.number)?;
        let state = self.0.network.state();
        let media = format!("{}/media/", phone.number);
        for (_, sealed) in state.scan::<attachment::Sealed>(Room::Chats, media.as_bytes())? {
            if let Some(file) = sealed.file {
                self.0.gallery.remove(&file);
            }
        }
        let mut batch = state.batch();
        batch.delete(Room::Phones, phone.number.as_bytes());
        let prefix = format!("{}/", phone.number);
        for room in [Room::Signal, Room::Chats] {
            for key in state.keys(room, prefix.as_bytes())? {
                batch.delete(room, &key);
            }
        }
        batch.commit()
    }

    /// A phone scans a companion's QR: the one named, else the one with the name that
    /// the companion registered under, else a new one. Answers the phone and the
    /// companion's jid.
    pub(crate) async fn scan(&self, qr: &str, number: Option<&str>) -> Result<(Arc<Phone>, Jid), Error> {
        let (reference, keys) = read_qr(qr)?;
        let pending = self
            .0
            .network
            .pending(&reference)
            .ok_or_else(|| Error::Unknown("this QR code's reference; it may have expired, scan a fresh one".into()))?;
        let phone = match (number, pending.push_name) {
            (Some(number), name) => self.add(Some(number), name.as_deref()).await?,
            (None, Some(name)) if !name.is_empty() => match self.named(&name) {
                Some(phone) => phone,
                None => self.add(None, Some(&name)).await?,
            },
            (None, _) => self.add(None, None).await?,
        };
        let companion = self.0.network.scan(&reference, keys, &phone.number).await?;
        Ok((phone, companion))
    }

    fn named(&self, name: &str) -> Option<Arc<Phone>> {
        let phones = self.0.phones.read();
        phones.values().find(|phone| phone.view().push_name == name).cloned()
    }

    fn free_number(&self, next: &mut usize) -> Result<String, Error> {
        loop {
            let number = numbers::nth(*next).ok_or_else(|| Error::Refused("there are no free numbers left".into()))?;
            *next += 1;
            if self.0.network.account(&number).is_none() {
                return Ok(number);
            }
        }
    }
}

fn read_number(text: &str) -> Result<String, Error> {
    numbers::parse(text).ok_or_else(|| Error::Invalid(format!("{text:?} is no phone number; write it like +12025550100")))
}

/// Reads where a message goes: a number in any notation, or a jid of a person or group.
pub(crate) fn read_chat(text: &str) -> Result<Jid, Error> {
    if !text.contains('@') {
        return Ok(Jid::pn(read_number(text)?));
    }
    let jid = text.parse::<Jid>().ok().filter(|jid| jid.is_pn() || jid.is_lid() || jid.is_group());
    jid.map(|jid| jid.to_non_ad())
        .ok_or_else(|| Error::Invalid(format!("{text:?} is no jid of a person, such as 12025550100@s.whatsapp.net")))
}

fn public_identity(record: &PhoneRecord) -> Result<[u8; 32], Error> {
    let identity = record.identity()?;
    identity.public_key().public_key_bytes().try_into().map_err(|_| Error::Keys("an identity key of another length".into()))
}

/// The reference and keys in a QR text.
fn read_qr(text: &str) -> Result<(String, CompanionKeys), Error> {
    let garbage = |why: String| Error::Invalid(format!("this is not the text of a WhatsApp QR code ({why}); send it as it is, unquoted"));
    let text = text.trim();
    let body = text.strip_prefix(NATIVE_CAMERA_DEEP_LINK_PREFIX).unwrap_or(text);
    let (reference, noise, identity) = PairUtils::parse_qr_code(body).map_err(|e| garbage(e.to_string()))?;
    let secret = body.split(',').nth(3).unwrap_or_default();
    let adv_secret = BASE64_STANDARD
        .decode(secret)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| garbage("the secret is not 32 bytes in base64".into()))?;
    Ok((reference, CompanionKeys { noise, identity, adv_secret }))
}

/// Reads a pairing code as people write it.
pub(crate) fn read_code(text: &str) -> Result<String, Error> {
    code::parse(text).ok_or_else(|| Error::Invalid("a pairing code has 8 characters, such as ABCD-1234".into()))
}

#[cfg(test)]
mod tests;
