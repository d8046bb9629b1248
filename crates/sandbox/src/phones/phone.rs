//! One virtual phone: device 0 of an account.
//!
//! This module holds what a phone is made of, its connection and what its owner does
//! with it. How it takes messages in is in `inbox`, how it sends them in `outbox`.

use crate::Error;
use crate::network::{Addresses, CompanionRequest, Network, Primary, SignedCompanion};
use crate::phones::chats::{Chats, Outgoing, ShownMessage};
use crate::phones::gallery::Gallery;
use crate::phones::link::Link;
use crate::phones::record::{Auto, PhoneRecord};
use crate::phones::sender_keys::SenderKeys;
use crate::phones::signal::SignalState;
use crate::phones::{adv, code, stanzas, welcome};
use crate::state::{Room, State};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use wacore::prekeys::PreKeyUtils;
use wacore::types::jid::JidExt as _;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt as _, Node};
use wacore_libsignal::protocol::{ProtocolAddress, PublicKey};

/// Pause before a phone connects again after the network cut it off.
const RECONNECT: Duration = Duration::from_millis(200);

/// A phone. Shared by the registry and its own tasks.
pub(crate) struct Phone {
    pub(super) network: Network,
    pub(crate) number: String,
    pub(crate) own: Addresses,
    pub(super) signal: SignalState,
    pub(super) sender_keys: SenderKeys,
    pub(super) gallery: Gallery,
    /// Held while sessions move: from encrypting or decrypting until what came of it
    /// is on disk and, when sending, on its way. Keeps counters in wire order.
    pub(super) turn: tokio::sync::Mutex<()>,
    pub(super) chats: Mutex<Chats>,
    /// Addressing that each chat (by number) was last seen to use: `true` for LID.
    pub(super) by_lid: Mutex<HashMap<String, bool>>,
    /// Chats (by number) whose other side was given a token since the start.
    pub(super) tokens_given: Mutex<HashSet<String>>,
    /// How often another copy of a message was asked for.
    pub(super) retries: Mutex<HashMap<String, u8>>,
    record: Mutex<PhoneRecord>,
    link: Mutex<Option<Arc<Link>>>,
    /// It is to be connected, and back after the network cut it off.
    awake: AtomicBool,
    changed: watch::Sender<u64>,
}

/// What others may know of a phone.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PhoneView {
    /// `+` and the digits of E.164.
    pub phone: String,
    /// The account's jid by number.
    pub jid: String,
    /// The account's LID.
    pub lid: String,
    /// Its name, with the scenario in front if there is one; others see what comes after that.
    pub push_name: String,
    /// Whether it is connected.
    pub online: bool,
    /// What it does by itself.
    pub auto: Auto,
    /// How many messages it shows.
    pub messages: usize,
    /// Whom its account has blocked: `+` and the digits of their numbers, in order.
    pub blocked: Vec<String>,
}

impl Phone {
    /// A phone as its record says, not connected yet.
    pub(super) fn open(network: &Network, gallery: &Gallery, record: PhoneRecord) -> Result<Arc<Phone>, Error> {
        let account = network.account(&record.number).ok_or_else(|| Error::Unknown(format!("the account of +{}", record.number)))?;
        let own = Addresses { pn: Jid::pn(record.number.as_str()), lid: Jid::lid(account.lid.as_str()) };
        let phone = Arc::new(Phone {
            network: network.clone(),
            number: record.number.clone(),
            own,
            signal: SignalState::open(network.state(), &record)?,
            sender_keys: SenderKeys::open(network.state(), &record.number),
            gallery: gallery.clone(),
            turn: tokio::sync::Mutex::default(),
            chats: Mutex::new(Chats::open(network.state(), &record.number)?),
            by_lid: Mutex::default(),
            tokens_given: Mutex::default(),
            retries: Mutex::default(),
            record: Mutex::new(record),
            link: Mutex::default(),
            awake: AtomicBool::new(false),
            changed: watch::Sender::new(0),
        });
        let desk = Desk(Arc::downgrade(&phone));
        network.register_primary(&phone.number, Arc::new(desk))?;
        Ok(phone)
    }

    /// What others may know.
    pub fn view(&self) -> PhoneView {
        let blocked = self.blocked();
        let record = self.record.lock();
        PhoneView {
            phone: format!("+{}", self.number),
            jid: self.own.pn.to_string(),
            lid: self.own.lid.to_string(),
            push_name: record.push_name.clone(),
            online: self.link.lock().is_some(),
            auto: record.auto.clone(),
            messages: self.chats.lock().messages().len(),
            blocked,
        }
    }

    /// Whether it should be connected.
    pub fn wants_online(&self) -> bool {
        self.record.lock().online
    }

    /// Connects, and is ready for others when this returns.
    pub async fn go_online(self: &Arc<Self>) -> Result<(), Error> {
        self.change_record(|record| record.online = true)?;
        self.awake.store(true, Ordering::Release);
        if self.link.lock().is_some() {
            return Ok(());
        }
        self.connect().await
    }

    /// Disconnects and stays away until told otherwise.
    pub fn go_offline(&self) -> Result<(), Error> {
        self.change_record(|record| record.online = false)?;
        self.hang_up();
        Ok(())
    }

    /// Disconnects without changing what is remembered; for shutting down.
    pub fn hang_up(&self) {
        self.awake.store(false, Ordering::Release);
        self.link.lock().take();
    }

    /// The connection.
    pub(super) fn link(&self) -> Option<Arc<Link>> {
        self.link.lock().clone()
    }

    /// Tells what it should do by itself.
    pub fn set_auto(&self, auto: Auto) -> Result<(), Error> {
        self.change_record(|record| record.auto = auto)
    }

    /// What it does by itself.
    pub fn auto(&self) -> Auto {
        self.record.lock().auto.clone()
    }

    /// Everything it shows.
    pub fn messages(&self) -> Vec<ShownMessage> {
        self.chats.lock().messages().to_vec()
    }

    /// A value that changes whenever what it shows changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Wakes those who wait for a change of what it shows.
    pub(super) fn note_change(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// The store.
    pub(super) fn state(&self) -> &State {
        self.network.state()
    }

    /// Tells the other side that its owner is typing; refused where the owner has blocked them.
    pub fn type_in(&self, chat: &Jid) -> Result<(), Error> {
        let link = self.link().ok_or_else(offline)?;
        self.lets_write(chat)?;
        let composing = NodeBuilder::new("composing").build();
        link.send(NodeBuilder::new("chatstate").attr("to", self.in_chat_addressing(chat)).children([composing]).build())
    }

    /// Reads messages that are on the screen: those of a chat, those with these ids,
    /// or all. Answers how many were read.
    pub fn read(&self, chat: Option<&Jid>, ids: Option<&[String]>) -> Result<usize, Error> {
        let link = self.link().ok_or_else(offline)?;
        let chat = chat.map(ToString::to_string);
        let read = self.chats.lock().mark_read(self.state(), |message| {
            chat.as_ref().is_none_or(|chat| *chat == message.chat) && ids.is_none_or(|ids| ids.contains(&message.id))
        })?;
        // In a group, who wrote it is named as well.
        let mut by_author: Vec<(&str, &str, Vec<String>)> = Vec::new();
        for message in &read {
            match by_author.iter_mut().find(|(chat, from, _)| *chat == message.chat && *from == message.from) {
                Some((_, _, ids)) => ids.push(message.id.clone()),
                None => by_author.push((&message.chat, &message.from, vec![message.id.clone()])),
            }
        }
        let now = self.network.clock().unix_seconds();
        for (chat, from, ids) in by_author {
            let Ok(chat) = chat.parse::<Jid>() else {
                continue;
            };
            let to = self.in_chat_addressing(&chat);
            let author = from.parse::<Jid>().ok().filter(|_| chat.is_group());
            if let Some(receipt) = stanzas::read_receipt(&to, author.as_ref(), &ids, now) {
                link.send(receipt)?;
            }
        }
        if !read.is_empty() {
            self.note_change();
        }
        Ok(read.len())
    }

    /// Links the companion that waits for this typed code. Answers its jid.
    pub async fn link_by_code(&self, typed: &str) -> Result<Jid, Error> {
        let hello = self
            .network
            .code_hello(&self.number)
            .ok_or_else(|| Error::Unknown(format!("no companion waits for a code on +{}; ask it for a pairing code first", self.number)))?;
        let identity = self.record.lock().identity()?;
        let (clock, typed) = (self.network.clock(), typed.to_owned());
        let answered = tokio::task::spawn_blocking(move || code::answer(&hello, &typed, &identity, clock));
        let (primary, held) = answered.await.map_err(|e| Error::Keys(format!("the code could not be worked out: {e}")))??;
        let finish = self.network.code_answer(&self.number, primary).await?;
        let identity = self.record.lock().identity()?;
        let keys = held.open(&finish, &identity)?;
        self.network.scan(&finish.reference, keys, &self.number).await
    }

    /// The account behind a jid, by number and by LID; the jid itself twice when
    /// nobody has it.
    pub(super) fn addresses_of(&self, jid: &Jid) -> Addresses {
        let jid = jid.to_non_ad();
        match self.network.account_of(&jid) {
            Some(account) => Addresses { pn: Jid::pn(account.phone.as_str()), lid: Jid::lid(account.lid.as_str()) },
            None => Addresses { pn: jid.clone(), lid: jid },
        }
    }

    /// The name under which a device's session is kept: always by LID, so that the
    /// two addresses of an account never become two sessions.
    pub(super) fn signal_address(&self, device: &Jid) -> ProtocolAddress {
        self.addresses_of(device).lid.with_device(device.device).to_protocol_address()
    }

    /// Whether this is one of the account's own devices.
    pub(super) fn is_own(&self, jid: &Jid) -> bool {
        jid.user == self.own.pn.user || jid.user == self.own.lid.user
    }

    /// The jid of a chat in the addressing it uses; a new chat is addressed by LID.
    pub(super) fn in_chat_addressing(&self, chat: &Jid) -> Jid {
        let addresses = self.addresses_of(chat);
        let by_lid = self.by_lid.lock();
        if by_lid.get(addresses.pn.user.as_str()).copied().unwrap_or(true) { addresses.lid } else { addresses.pn }
    }

    /// Uploads more one-time prekeys, with everything that goes with them.
    pub(super) async fn upload_prekeys(&self, link: &Link) -> Result<(), Error> {
        let (content, batch) = {
            let mut record = self.record.lock();
            let mut batch = self.state().batch();
            let clock = self.network.clock();
            let made = self.signal.make_prekeys(record.next_prekey_id, record.prekeys, clock, &mut batch);
            record.next_prekey_id += record.prekeys;
            batch.put(Room::Phones, self.number.as_bytes(), &*record)?;
            (upload(&record, &made)?, batch)
        };
        batch.commit()?;
        link.ask("set", "encrypt", content).await?;
        Ok(())
    }

    /// A one-time prekey that is handed to one device directly, never uploaded.
    pub(super) fn spare_prekey(&self) -> Result<stanzas::RetryKeys, Error> {
        let mut record = self.record.lock();
        let mut batch = self.state().batch();
        let made = self.signal.make_prekeys(record.next_prekey_id, 1, self.network.clock(), &mut batch);
        record.next_prekey_id += 1;
        batch.put(Room::Phones, self.number.as_bytes(), &*record)?;
        batch.commit()?;
        let prekey = made.into_iter().next();
        Ok(stanzas::RetryKeys {
            identity: *record.identity()?.public_key(),
            registration_id: record.registration_id,
            prekey: prekey.ok_or_else(|| Error::Keys("no prekey was made".into()))?,
            signed_prekey: (record.signed_prekey_id, record.signed_prekey()?.public_key),
            signature: record.signed_prekey_signature.clone(),
        })
    }

    /// The message that shares the app-state key.
    pub(super) fn key_share(&self) -> waproto::whatsapp::Message {
        welcome::key_share(&self.record.lock(), self.network.clock().unix_millis())
    }

    async fn connect(self: &Arc<Self>) -> Result<(), Error> {
        let pipe = self.network.attach(&self.own.pn)?;
        let (link, heard) = Link::open(pipe);
        *self.link.lock() = Some(link.clone());
        let ready = self.get_ready(&link).await;
        tokio::spawn(self.clone().listen(Arc::downgrade(&link), heard));
        ready
    }

    async fn get_ready(self: &Arc<Self>, link: &Arc<Link>) -> Result<(), Error> {
        let published = self.network.devices(&self.number).first().is_some_and(crate::network::DeviceRecord::is_published);
        if !published {
            self.upload_prekeys(link).await?;
        }
        self.publish_name(link).await?;
        let name = self.record.lock().shown_name().to_owned();
        link.send(NodeBuilder::new("presence").attr("type", "available").attr("name", name).build())?;
        let active = NodeBuilder::new("active").build();
        link.ask("set", "passive", vec![active]).await?;
        for outgoing in Outgoing::unsettled(self.state(), &self.number)? {
            self.dispatch(link, &outgoing).await;
        }
        self.fetch_missing();
        Ok(())
    }

    async fn publish_name(&self, link: &Link) -> Result<(), Error> {
        let clock = self.network.clock();
        let patch = {
            let record = self.record.lock();
            if record.name_published {
                return Ok(());
            }
            welcome::name_patch(&record, clock.unix_millis(), clock.bytes())?
        };
        let collection = NodeBuilder::new("collection")
            .attr("name", patch.collection)
            .attr("version", "0")
            .attr("return_snapshot", "false")
            .children([NodeBuilder::new("patch").bytes(patch.bytes).build()])
            .build();
        let sync = NodeBuilder::new("sync").children([collection]).build();
        link.ask("set", "w:sync:app:state", vec![sync]).await?;
        self.change_record(|record| record.name_published = true)
    }

    /// Handles what the network says until it stops, and comes back if that was not
    /// this phone's wish.
    async fn listen(self: Arc<Self>, link: Weak<Link>, mut heard: mpsc::UnboundedReceiver<Node>) {
        while let Some(stanza) = heard.recv().await {
            let Some(link) = link.upgrade() else { return };
            self.hear(&link, &stanza).await;
        }
        if link.upgrade().is_none() {
            return; // hung up, or replaced by another connection
        }
        self.link.lock().take();
        tokio::spawn(come_back(Arc::downgrade(&self)));
    }

    fn change_record(&self, change: impl FnOnce(&mut PhoneRecord)) -> Result<(), Error> {
        let mut record = self.record.lock();
        change(&mut record);
        self.state().put(Room::Phones, self.number.as_bytes(), &*record)
    }
}

/// Connects again until it works or is no longer wanted. Boxed, because connecting
/// listens and listening comes back here.
fn come_back(phone: Weak<Phone>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        loop {
            tokio::time::sleep(RECONNECT).await;
            let Some(phone) = phone.upgrade() else { return };
            if !phone.awake.load(Ordering::Acquire) || phone.link().is_some() {
                return;
            }
            match phone.connect().await {
                Ok(()) => return,
                Err(error) => tracing::debug!(phone = %phone.own.pn, %error, "not back yet"),
            }
            if phone.link().is_some() {
                return; // its listener goes on trying
            }
        }
    })
}

fn upload(record: &PhoneRecord, made: &[(u32, PublicKey)]) -> Result<Vec<Node>, Error> {
    let identity = record.identity()?;
    let signed = record.signed_prekey()?;
    Ok(PreKeyUtils::build_upload_prekeys_request(
        record.registration_id,
        identity.public_key().public_key_bytes(),
        record.signed_prekey_id,
        signed.public_key.public_key_bytes(),
        &record.signed_prekey_signature,
        made.iter().map(|(id, key)| (*id, key.public_key_bytes())),
    ))
}

/// The error of everything that needs a connection.
pub(super) fn offline() -> Error {
    Error::Refused("the phone is offline; POST .../online first".into())
}

/// Where the network finds the phone. It does not keep the phone alive: the network
/// belongs to the phone already, and a ring would outlive the sandbox.
struct Desk(Weak<Phone>);

impl Desk {
    fn phone(&self) -> Result<Arc<Phone>, Error> {
        self.0.upgrade().ok_or_else(|| Error::Unknown("the phone is gone".into()))
    }
}

impl Primary for Desk {
    fn sign_companion(&self, request: &CompanionRequest) -> Result<SignedCompanion, Error> {
        let phone = self.phone()?;
        let (identity, raw_id) = {
            let record = phone.record.lock();
            (record.identity()?, record.raw_id)
        };
        let mut random = phone.network.clock().random();
        adv::sign_companion(&identity, raw_id, request, &mut random)
    }

    fn sign_key_indexes(&self, valid_indexes: &[u32], timestamp: i64) -> Result<Vec<u8>, Error> {
        let phone = self.phone()?;
        let (identity, raw_id) = {
            let record = phone.record.lock();
            (record.identity()?, record.raw_id)
        };
        let mut random = phone.network.clock().random();
        adv::sign_key_indexes(&identity, raw_id, valid_indexes, timestamp, &mut random)
    }

    fn companion_ready(&self, companion: &Jid) {
        let Ok(phone) = self.phone() else { return };
        let companion = companion.clone();
        tokio::spawn(async move {
            let history = {
                let record = phone.record.lock();
                welcome::history(&record, &phone.own.pn, &phone.own.lid)
            };
            let told = async {
                phone.send_to_own(&companion, &phone.key_share()).await?;
                phone.send_to_own(&companion, &history?).await
            };
            if let Err(error) = told.await {
                tracing::warn!(%companion, %error, "a new companion was not welcomed");
            }
        });
    }

    fn companion_removed(&self, companion: &Jid) {
        if let Ok(phone) = self.phone() {
            phone.signal.forget(&phone.signal_address(companion));
        }
    }
}
