//! Linking a companion: references for its QR, the phone's signature, and the restart
//! that turns the stranger into a device.

use super::accounts::{Account, Device, DeviceRecord, Key, device_key};
use super::link::Link;
use super::login::platform;
use super::nodes::{child_bytes, first_child, holding, refusal, result, stream_error, text};
use super::seam::{CodeFinish, CompanionKeys, CompanionRequest, Pending, SignedCompanion};
use super::{Inner, Network};
use crate::Error;
use crate::state::Room;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, SERVER_JID};
use waproto::whatsapp::ClientPayload;

/// How many references a stranger gets.
const REFERENCES: u32 = 6;
/// How long the first is shown, and each of the others. A reference is good until its
/// turn is over; later ones are good already.
const FIRST_SHOWN: Duration = Duration::from_mins(1);
const NEXT_SHOWN: Duration = Duration::from_secs(20);
/// A code typed at the last moment may come in this much later.
const GRACE: Duration = Duration::from_secs(5);
/// A companion has this long to answer the phone's signature.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Between the companion's signature and the restart. Under 20 ms clients start to race
/// against their own writing.
const RESTART_AFTER: Duration = Duration::from_millis(30);
/// `<stream:error code>`: connect again and log in.
const RESTART: u16 = 515;

/// A companion's answer to `<pair-success>`: its encoded `ADVSignedDeviceIdentity`, or why it said no.
type Signature = Result<Vec<u8>, Error>;

/// Someone who wants to be linked.
pub(crate) struct Stranger {
    pub link: Link,
    /// Its Noise key, proved by the handshake.
    pub noise: [u8; 32],
    /// Its identity key, when it registered with one; a pinned login does not say.
    identity: Option<[u8; 32]>,
    about: Pending,
    pub state: Mutex<Stage>,
}

/// How far a stranger is.
#[derive(Default)]
pub(crate) struct Stage {
    references: Vec<String>,
    /// Who waits for its answer to `<pair-success>`, and under which iq id.
    signing: Option<(String, oneshot::Sender<Signature>)>,
    /// What it left for a phone on which its code will be typed.
    pub code: Option<super::pair_code::Waiting>,
    /// Who waits for its answer to the phone's half of a code.
    pub finishing: Option<oneshot::Sender<CodeFinish>>,
    /// Linked, or gone: it cannot be linked any more.
    over: bool,
}

/// Strangers by what leads to them.
#[derive(Default)]
pub(crate) struct Waiting {
    by_reference: Mutex<HashMap<String, Invitation>>,
    /// By the phone number that a code was asked for.
    pub by_phone: Mutex<HashMap<String, Weak<Stranger>>>,
}

struct Invitation {
    stranger: Weak<Stranger>,
    until: Instant,
}

impl Network {
    /// Takes in a stranger: offers it references, and shows it out when they are used up.
    pub(super) fn welcome(&self, client: [u8; 32], payload: &ClientPayload, link: Link) -> Arc<Stranger> {
        let data = payload.device_pairing_data.as_option();
        let stranger = Arc::new(Stranger {
            link,
            noise: client,
            identity: data.and_then(|data| data.e_ident.as_deref()).and_then(|key| key.try_into().ok()),
            about: Pending { push_name: payload.push_name.clone().filter(|name| !name.is_empty()), platform: platform(payload) },
            state: Mutex::default(),
        });
        let inner = &self.0;
        let turns = turns(Instant::now());
        let references: Vec<_> = turns.iter().map(|until| inner.invite(&stranger, *until)).collect();
        let offers = references.iter().map(|r| holding("ref", r.as_bytes()));
        stranger.link.send(
            NodeBuilder::new("iq")
                .attr("from", SERVER_JID)
                .attr("type", "set")
                .attr("id", inner.next_id())
                .attr("xmlns", "md")
                .children([NodeBuilder::new("pair-device").children(offers).build()])
                .build(),
        );
        stranger.state.lock().references = references;
        let last = turns.last().copied().unwrap_or_else(Instant::now);
        let waiting = Arc::downgrade(&stranger);
        tokio::spawn(async move {
            tokio::time::sleep_until(last).await;
            show_out(&waiting).await;
        });
        stranger
    }

    /// A companion that waits behind a QR reference.
    #[must_use]
    pub fn pending(&self, reference: &str) -> Option<Pending> {
        let stranger = self.0.invited(reference)?;
        Some(stranger.about.clone())
    }

    /// Links the companion behind `reference` to the account of `phone`; resolves with
    /// its new jid when it has answered `pair-success`.
    ///
    /// # Errors
    /// `Error::Unknown` for a reference that was never given out or has expired, or for
    /// a number without account; `Error::Refused` when the companion is gone, its keys
    /// are not those of the connection, or it turned the identity down.
    pub async fn scan(&self, reference: &str, keys: CompanionKeys, phone: &str) -> Result<Jid, Error> {
        let inner = &self.0;
        let stranger = inner.invited(reference).ok_or_else(|| Error::Unknown("this reference was not given out, or has expired".into()))?;
        let account = inner.account_by_phone(phone)?;
        if stranger.noise != keys.noise || stranger.identity.is_some_and(|k| k != keys.identity) {
            return Err(Error::Refused("the code's keys are not those of the device that waits".into()));
        }
        let linking = inner.begin_linking(&account, &stranger, &keys)?;
        let answer = inner.propose(&account, &stranger, &linking)?;
        let signed = match tokio::time::timeout(ANSWER_WITHIN, answer).await {
            Ok(Ok(answer)) => answer?,
            Ok(Err(_)) => return Err(Error::Refused("the device is gone".into())),
            Err(_) => {
                stranger.state.lock().signing = None;
                return Err(Error::Refused("the device does not answer".into()));
            }
        };
        inner.finish_linking(&account, linking.device, signed, linking.signed)?;
        let link = stranger.link.clone();
        tokio::spawn(async move {
            tokio::time::sleep(RESTART_AFTER).await;
            link.send(stream_error(RESTART));
            link.close();
        });
        Ok(account.pn(linking.device_id))
    }
}

impl Invitation {
    fn is_good(&self, now: Instant) -> bool {
        now < self.until
    }
}

/// When each reference stops being good: clients show one after the other.
fn turns(start: Instant) -> Vec<Instant> {
    let later = (0..REFERENCES).map(|turn| FIRST_SHOWN + NEXT_SHOWN * turn + GRACE);
    later.map(|after| start + after).collect()
}

/// A linking under way.
struct Linking {
    device_id: u16,
    device: DeviceRecord,
    signed: SignedCompanion,
}

impl Inner {
    fn invite(&self, stranger: &Arc<Stranger>, until: Instant) -> String {
        let secret = BASE64_URL_SAFE_NO_PAD.encode(self.clock.bytes::<32>());
        let reference = format!("2@{secret}");
        let invitation = Invitation { stranger: Arc::downgrade(stranger), until };
        let mut by_reference = self.waiting.by_reference.lock();
        by_reference.insert(reference.clone(), invitation);
        reference
    }

    /// A reference that lives as long as the stranger's code, for linking by code.
    pub(super) fn invite_by_code(&self, stranger: &Arc<Stranger>, within: Duration) -> String {
        let reference = self.invite(stranger, Instant::now() + within);
        stranger.state.lock().references.push(reference.clone());
        reference
    }

    fn invited(&self, reference: &str) -> Option<Arc<Stranger>> {
        let by_reference = self.waiting.by_reference.lock();
        let invitation = by_reference.get(reference)?;
        let stranger = invitation.stranger.upgrade()?;
        let good = invitation.is_good(Instant::now()) && !stranger.state.lock().over;
        good.then_some(stranger)
    }

    /// Gives out a device number and key index (never again, whatever happens) and has
    /// the phone sign.
    fn begin_linking(&self, account: &Account, stranger: &Stranger, keys: &CompanionKeys) -> Result<Linking, Error> {
        let now = self.clock.unix_seconds();
        let (device_id, request, primary) = {
            let mut account = account.lock();
            let primary = account.primary.clone().ok_or_else(|| Error::Refused("this account has no phone".into()))?;
            let device_id = account.record.next_device;
            let key_index = account.record.next_key_index;
            account.record.next_device += 1;
            account.record.next_key_index += 1;
            self.save_account(&account.record)?;
            let mut valid_indexes = account.key_indexes();
            valid_indexes.push(key_index);
            let request = CompanionRequest { keys: keys.clone(), key_index, valid_indexes, timestamp: now };
            (device_id, request, primary)
        };
        let signed = primary.sign_companion(&request)?;
        let device = DeviceRecord {
            id: device_id,
            noise: Some(Key(keys.noise)),
            identity: keys.identity,
            registration_id: 0,
            signed_prekey: None,
            device_identity: Vec::new(),
            key_index: request.key_index,
            platform: stranger.about.platform.clone(),
            linked_at: now,
            seen_at: now,
            announced: false,
        };
        Ok(Linking { device_id, device, signed })
    }

    /// Sends `<pair-success>`; what comes back resolves the receiver.
    fn propose(&self, account: &Account, stranger: &Stranger, linking: &Linking) -> Result<oneshot::Receiver<Signature>, Error> {
        let (tx, rx) = oneshot::channel();
        let id = self.next_id();
        {
            let mut stage = stranger.state.lock();
            if stage.over || stage.signing.is_some() {
                return Err(Error::Refused("this device is being linked already".into()));
            }
            stage.signing = Some((id.clone(), tx));
        }
        let device =
            NodeBuilder::new("device").attr("jid", account.pn(linking.device_id)).attr("lid", account.lid(linking.device_id)).build();
        let content = [
            holding("device-identity", linking.signed.identity_hmac.clone()),
            device,
            NodeBuilder::new("platform").attr("name", "android").build(),
        ];
        stranger.link.send(
            NodeBuilder::new("iq")
                .attr("from", SERVER_JID)
                .attr("type", "set")
                .attr("id", id)
                .attr("xmlns", "md")
                .attr("t", linking.device.linked_at)
                .children([NodeBuilder::new("pair-success").children(content).build()])
                .build(),
        );
        Ok(rx)
    }

    /// Writes the new device down: from here on it may log in.
    fn finish_linking(&self, account: &Account, mut device: DeviceRecord, identity: Vec<u8>, signed: SignedCompanion) -> Result<(), Error> {
        device.device_identity = identity;
        let mut account = account.lock();
        account.record.key_index_list = signed.key_index_list;
        account.record.key_index_at = device.linked_at;
        let mut batch = self.state.batch();
        let phone = account.record.phone.clone();
        batch.put(Room::Accounts, phone.as_bytes(), &account.record)?;
        batch.put(Room::Devices, &device_key(&phone, device.id), &device)?;
        batch.commit()?;
        account.devices.push(Device::new(device));
        Ok(())
    }

    /// A stanza from someone who is not linked yet.
    pub(super) fn on_stranger(&self, stranger: &Arc<Stranger>, node: &Node) {
        if node.tag != "iq" {
            return;
        }
        match text(node, "type").as_ref() {
            "result" | "error" => on_signature(stranger, node),
            "set" if text(node, "xmlns") == "md" => self.on_code_stage(stranger, node),
            "get" if text(node, "xmlns") == "w:p" => stranger.link.send(result(node).build()),
            _ => stranger.link.send(refusal(node, 501, "feature-not-implemented")),
        }
    }

    /// The connection of someone who wanted to be linked has ended.
    pub(super) fn stranger_left(&self, stranger: &Stranger) {
        let mut stage = stranger.state.lock();
        stage.over = true;
        // Dropping these tells whoever waits.
        stage.signing = None;
        stage.finishing = None;
        let references = std::mem::take(&mut stage.references);
        drop(stage);
        let mut by_reference = self.waiting.by_reference.lock();
        for reference in references {
            by_reference.remove(&reference);
        }
        drop(by_reference);
        let mut by_phone = self.waiting.by_phone.lock();
        by_phone.retain(|_, stranger| stranger.strong_count() > 0);
    }
}

/// The companion's answer to an iq of ours: of interest is the one to `<pair-success>`.
fn on_signature(stranger: &Stranger, node: &Node) {
    let mut stage = stranger.state.lock();
    let expected = stage.signing.as_ref().map(|(id, _)| id.as_str());
    if expected != Some(text(node, "id").as_ref()) {
        return;
    }
    let Some((_, waiting)) = stage.signing.take() else {
        return;
    };
    let signed = node.get_optional_child("pair-device-sign").and_then(|sign| child_bytes(sign, "device-identity"));
    let answer = if let Some(identity) = signed {
        stage.over = true;
        Ok(identity.to_vec())
    } else {
        let why = first_child(node).map_or_else(String::new, |e| text(e, "text").into_owned());
        Err(Error::Refused(format!("the device turned it down: {why}")))
    };
    // Whoever waited may have given up meanwhile.
    let _ = waiting.send(answer);
}

/// Ends a connection whose references are used up, unless a code may still be typed.
async fn show_out(waiting: &Weak<Stranger>) {
    if let Some(until) = waiting.upgrade().and_then(|s| s.state.lock().code_until()) {
        tokio::time::sleep_until(until).await;
    }
    if let Some(stranger) = waiting.upgrade() {
        stranger.link.close();
    }
}

impl Stage {
    fn code_until(&self) -> Option<Instant> {
        self.code.as_ref().map(|code| code.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn references_expire_one_after_the_other() {
        let start = Instant::now();
        let turns = turns(start);
        let good_at = |seconds: u64| {
            let now = start + Duration::from_secs(seconds);
            let invitations = turns.iter().map(|until| Invitation { stranger: Weak::new(), until: *until });
            invitations.map(|invitation| invitation.is_good(now)).collect::<Vec<_>>()
        };
        assert_eq!(good_at(0), [true; 6]);
        assert_eq!(good_at(60), [true; 6], "the first is shown for a minute");
        assert_eq!(good_at(66), [false, true, true, true, true, true]);
        assert_eq!(good_at(100), [false, false, true, true, true, true]);
        assert_eq!(good_at(160), [false, false, false, false, false, true]);
        assert_eq!(good_at(166), [false; 6]);
    }
    /// Somebody who waits on a network of their own.
    fn waiting(folder: &std::path::Path) -> (Network, Arc<Stranger>, tokio::sync::mpsc::UnboundedReceiver<crate::network::Item>) {
        let state = crate::state::State::open(&folder.join("state")).unwrap();
        let clock = crate::clock::Clock;
        let media = crate::media::MediaHost::open(state.clone(), &folder.join("media"), clock).unwrap();
        let network = Network::open(state, clock, Arc::default(), media).unwrap();
        let (link, items) = Link::new(1);
        let stranger = network.welcome([1; 32], &ClientPayload::default(), link);
        (network, stranger, items)
    }

    #[tokio::test]
    async fn a_code_is_good_until_its_turn_is_over_and_then_nobody_knows_it() {
        let folder = tempfile::tempdir().unwrap();
        let (network, stranger, mut items) = waiting(folder.path());
        let now = Instant::now();
        let over = network.0.invite(&stranger, now);
        let shown = network.0.invite(&stranger, now + NEXT_SHOWN);
        assert!(network.pending(&over).is_none(), "its turn is over");
        assert!(network.pending(&shown).is_some());
        let keys = CompanionKeys { noise: [1; 32], identity: [2; 32], adv_secret: [3; 32] };
        let refusal = network.scan(&over, keys, "12025550100").await.unwrap_err();
        assert!(matches!(refusal, Error::Unknown(_)), "{refusal}");
        // Six turns over, and no code typed meanwhile: shown out.
        show_out(&Arc::downgrade(&stranger)).await;
        assert!(matches!(items.recv().await, Some(crate::network::Item::Stanza(_))), "the six references");
        assert!(matches!(items.recv().await, Some(crate::network::Item::Close)));
    }
}
