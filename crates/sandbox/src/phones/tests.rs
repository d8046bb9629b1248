//! Phones among themselves, over the real network room.

mod blocks;
mod groups;
mod media;

use super::*;
use crate::clock::Clock;
use crate::control::Control;
use crate::media::MediaHost;
use crate::network::Fault;
use crate::state::State;
use crate::transcript::{StanzaFilter, Transcript};
use std::time::Duration;
use tempfile::TempDir;
use wacore::types::jid::JidExt as _;

/// Far more than anything here takes; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A network with phones, on a folder of its own.
struct World {
    folder: TempDir,
    phones: Phones,
    control: Control,
}

impl World {
    fn new() -> World {
        World::on(tempfile::tempdir().unwrap())
    }

    fn on(folder: TempDir) -> World {
        let state = State::open(&folder.path().join("state")).unwrap();
        let transcript = Arc::new(Transcript::default());
        let media = MediaHost::open(state.clone(), &folder.path().join("media"), Clock).unwrap();
        let network = Network::open(state, Clock, transcript, media).unwrap();
        let phones = Phones::open(network.clone(), &folder.path().join("gallery")).unwrap();
        let control = Control::new(network, phones.clone(), [0; 32]);
        World { folder, phones, control }
    }

    /// Everything of the process is gone; only the folder remains.
    async fn killed(self) -> World {
        let World { folder, phones, control } = self;
        phones.stop();
        let weak: Vec<_> = phones.all().iter().map(Arc::downgrade).collect();
        drop((phones, control));
        // Tasks that were in the middle of something let go one after the other.
        while weak.iter().any(|phone| phone.strong_count() > 0) {
            tokio::task::yield_now().await;
        }
        World::on(folder)
    }

    async fn phone(&self, name: &str) -> String {
        self.control.add_phone(None, Some(name)).await.unwrap().phone
    }

    async fn send(&self, from: &str, to: &str, text: &str) -> String {
        self.control.send(from, to, text, None).await.unwrap()
    }

    /// Waits until `phone` shows exactly these texts.
    async fn shows(&self, phone: &str, texts: &[&str]) -> Vec<ShownMessage> {
        let shown = self.control.wait_for_messages(phone, texts.len(), PATIENCE).await.unwrap();
        let seen: Vec<&str> = shown.iter().map(|m| m.text.as_str()).collect();
        assert_eq!(seen, texts, "on {phone}");
        shown
    }

    /// Waits until `phone` shows message `id` with this status.
    async fn ticks(&self, phone: &str, id: &str, status: ShownStatus) {
        let has = |shown: &[ShownMessage]| shown.iter().any(|m| m.id == id && m.status == status);
        let shown = self.control.wait_until(phone, PATIENCE, has).await.unwrap();
        assert!(has(&shown), "{id} is not {status:?} on {phone}: {shown:?}");
    }

    /// How many rows of one kind the phone's Signal state has on disk.
    fn rows(&self, phone: &str, kind: &str) -> usize {
        let prefix = format!("{}/{kind}/", phone.trim_start_matches('+'));
        let state = self.phones.0.network.state();
        state.keys(Room::Signal, prefix.as_bytes()).unwrap().len()
    }

    /// Waits until the network has this stanza of `phone` on record.
    async fn said(&self, phone: &str, filter: StanzaFilter) {
        let filter = filter.of(phone);
        let found = self.control.wait_for_stanza(&filter, PATIENCE).await;
        assert!(found.is_some(), "{phone} never said {filter:?}");
    }
}

#[tokio::test]
async fn a_text_arrives_and_its_ticks_come_back() {
    let world = World::new();
    let (ana, bob) = (world.phone("Ana").await, world.phone("Bob").await);
    let id = world.send(&ana, &bob, "hi").await;
    let shown = world.shows(&bob, &["hi"]).await;
    assert_eq!(shown[0].id, id);
    assert!(!shown[0].from_me);
    assert_eq!(shown[0].from, world.control.phone(&ana).unwrap().jid);
    assert_eq!(shown[0].chat, shown[0].from);

    world.ticks(&ana, &id, ShownStatus::Delivered).await;
    assert_eq!(world.control.read(&bob, Some(&ana), None).unwrap(), 1);
    assert_eq!(world.control.read(&bob, None, None).unwrap(), 0);
    world.ticks(&ana, &id, ShownStatus::Read).await;
}

#[tokio::test]
async fn a_session_is_on_disk_with_the_message_that_moved_it() {
    let world = World::new();
    let (ana, bob) = (world.phone("Ana").await, world.phone("Bob").await);
    assert_eq!((world.rows(&bob, "session"), world.rows(&bob, "prekey")), (0, 60));
    world.send(&ana, &bob, "hi").await;
    world.shows(&bob, &["hi"]).await;
    // Bob has sent nothing: all this was written when he took the message in.
    assert_eq!((world.rows(&bob, "session"), world.rows(&bob, "identity")), (1, 1));
    assert_eq!(world.rows(&bob, "prekey"), 59, "a one-time prekey was kept");
}

#[tokio::test]
async fn a_conversation_goes_both_ways_and_quotes() {
    let world = World::new();
    let (ana, bob) = (world.phone("Ana").await, world.phone("Bob").await);
    let first = world.send(&ana, &bob, "lunch?").await;
    world.shows(&bob, &["lunch?"]).await;
    world.control.send(&bob, &ana, "at noon", Some(&first)).await.unwrap();
    let shown = world.shows(&ana, &["lunch?", "at noon"]).await;
    assert_eq!(shown[1].quoted_id.as_deref(), Some(first.as_str()));
    assert_eq!(shown[1].quoted_text.as_deref(), Some("lunch?"));
    for n in 0..10 {
        world.send(&ana, &bob, &format!("a{n}")).await;
        world.send(&bob, &ana, &format!("b{n}")).await;
    }
    let shown = world.control.wait_for_messages(&bob, 22, PATIENCE).await.unwrap();
    let from_ana: Vec<_> = shown.iter().filter(|m| !m.from_me).map(|m| m.text.clone()).collect();
    let wanted: Vec<_> = std::iter::once("lunch?".to_owned()).chain((0..10).map(|n| format!("a{n}"))).collect();
    assert_eq!(from_ana, wanted);
}

#[tokio::test]
async fn who_is_offline_gets_it_later_and_in_order() {
    let world = World::new();
    let (ana, bob) = (world.phone("Ana").await, world.phone("Bob").await);
    world.control.set_online(&bob, false).await.unwrap();
    let ids = [world.send(&ana, &bob, "one").await, world.send(&ana, &bob, "two").await];
    world.ticks(&ana, &ids[1], ShownStatus::Sent).await;
    assert!(world.control.messages(&bob).unwrap().is_empty());
    let written_offline = world.send(&bob, &ana, "later").await;
    world.control.set_online(&bob, true).await.unwrap();
    world.ticks(&ana, &ids[1], ShownStatus::Delivered).await;
    let from_ana: Vec<_> = world.control.messages(&bob).unwrap().into_iter().filter(|m| !m.from_me).map(|m| m.text).collect();
    assert_eq!(from_ana, ["one", "two"]);
    world.ticks(&bob, &written_offline, ShownStatus::Delivered).await;
    world.shows(&ana, &["one", "two", "later"]).await;
}

#[tokio::test]
async fn a_stanza_delivered_twice_is_shown_once() {
    let world = World::new();
    let (ana, bob) = (world.phone("Ana").await, world.phone("Bob").await);
    world.control.fault(&bob, Fault::Duplicate(1)).unwrap();
    let id = world.send(&ana, &bob, "once").await;
    world.ticks(&ana, &id, ShownStatus::Delivered).await;
    world.send(&ana, &bob, "after").await;
    world.shows(&bob, &["once", "after"]).await;
    let twice = StanzaFilter::tag("message").of(&bob).id(&id);
    assert_eq!(world.control.transcript(&twice).len(), 2, "the fault had no effect");
}

#[tokio::test]
async fn a_message_sent_again_under_its_id_is_shown_once() {
    let world = World::new();
    let (ana, bob) = (world.phone("Ana").await, world.phone("Bob").await);
    world.control.fault(&ana, Fault::DropAcks(1)).unwrap();
    let id = world.send(&ana, &bob, "unsure").await;
    world.shows(&bob, &["unsure"]).await;
    // Without an acknowledgement, the phone sends it again when it comes back.
    world.control.set_online(&ana, false).await.unwrap();
    world.control.set_online(&ana, true).await.unwrap();
    let copies = StanzaFilter::tag("message").of(&bob).id(&id);
    world.control.wait_for_stanza(&copies, PATIENCE).await.unwrap();
    world.send(&ana, &bob, "sure").await;
    world.shows(&bob, &["unsure", "sure"]).await;
    assert_eq!(world.control.transcript(&copies).len(), 2, "it was not sent again");
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_asked_for_again() {
    let world = World::new();
    let (ana, bob) = (world.phone("Ana").await, world.phone("Bob").await);
    world.send(&ana, &bob, "hi").await;
    world.shows(&bob, &["hi"]).await;
    world.send(&bob, &ana, "hello").await;
    world.shows(&ana, &["hi", "hello"]).await;

    // Bob's phone loses what it shares with Ana's; she does not know.
    let ana_jid: Jid = world.control.phone(&ana).unwrap().lid.parse().unwrap();
    world.phones.get(&bob).unwrap().signal.forget(&ana_jid.to_protocol_address());
    let id = world.send(&ana, &bob, "can you read this?").await;
    world.shows(&bob, &["hi", "hello", "can you read this?"]).await;
    world.said(&bob, StanzaFilter::tag("receipt").kind("retry").id(&id)).await;
    world.ticks(&ana, &id, ShownStatus::Delivered).await;
    world.send(&ana, &bob, "good").await;
    world.shows(&bob, &["hi", "hello", "can you read this?", "good"]).await;
}

#[tokio::test]
async fn phones_live_on_after_the_process_was_killed() {
    let world = World::new();
    let (ana, bob) = (world.phone("Ana").await, world.phone("Bob").await);
    let first = world.send(&ana, &bob, "before").await;
    world.ticks(&ana, &first, ShownStatus::Delivered).await;
    world.send(&bob, &ana, "answer").await;
    world.shows(&ana, &["before", "answer"]).await;

    let world = world.killed().await;
    assert_eq!(world.control.phone(&ana).unwrap().push_name, "Ana");
    world.shows(&bob, &["before", "answer"]).await;
    let last = world.send(&ana, &bob, "after").await;
    world.shows(&bob, &["before", "answer", "after"]).await;
    world.ticks(&ana, &last, ShownStatus::Delivered).await;
    let retries = StanzaFilter::tag("receipt").kind("retry");
    assert!(world.control.transcript(&retries).is_empty(), "a session was lost");
}

#[tokio::test]
async fn what_waited_for_an_answer_is_sent_after_a_kill() {
    let world = World::new();
    let (ana, bob) = (world.phone("Ana").await, world.phone("Bob").await);
    world.control.set_online(&ana, false).await.unwrap();
    let id = world.send(&ana, &bob, "written offline").await;
    let world = world.killed().await;
    assert!(!world.control.phone(&ana).unwrap().online, "it was told to stay offline");
    world.control.set_online(&ana, true).await.unwrap();
    world.shows(&bob, &["written offline"]).await;
    world.ticks(&ana, &id, ShownStatus::Delivered).await;
}

#[tokio::test]
async fn a_phone_reads_and_answers_by_itself() {
    let world = World::new();
    let (ana, bob) = (world.phone("Ana").await, world.phone("Bob").await);
    let auto = Auto { read: true, reply: Some("you said: {text}".into()) };
    world.control.auto(&bob, auto).unwrap();
    let id = world.send(&ana, &bob, "echo").await;
    world.shows(&ana, &["echo", "you said: echo"]).await;
    world.ticks(&ana, &id, ShownStatus::Read).await;
}

#[tokio::test]
async fn a_refused_message_has_failed_and_a_stranger_is_not_on_whatsapp() {
    let world = World::new();
    let (ana, bob) = (world.phone("Ana").await, world.phone("Bob").await);
    world.control.fault(&ana, Fault::Nack { code: 463, count: 1 }).unwrap();
    let id = world.send(&ana, &bob, "cold").await;
    world.ticks(&ana, &id, ShownStatus::Failed).await;
    let stranger = world.control.send(&ana, "+12025559999", "hi", None).await;
    assert!(matches!(stranger, Err(Error::Unknown(_))), "{stranger:?}");
}

#[tokio::test]
async fn a_phone_cut_off_comes_back_by_itself() {
    let world = World::new();
    let (ana, bob) = (world.phone("Ana").await, world.phone("Bob").await);
    world.control.fault(&bob, Fault::Disconnect).unwrap();
    let id = world.send(&ana, &bob, "still there?").await;
    world.ticks(&ana, &id, ShownStatus::Delivered).await;
    world.shows(&bob, &["still there?"]).await;
}

#[tokio::test]
async fn prekeys_are_made_again_before_they_run_out() {
    let world = World::new();
    let bob = world.phone("Bob").await;
    for n in 0..70 {
        let stranger = world.phone(&format!("S{n}")).await;
        world.send(&stranger, &bob, &n.to_string()).await;
    }
    let shown = world.control.wait_for_messages(&bob, 70, PATIENCE).await.unwrap();
    assert_eq!(shown.len(), 70);
    let uploads = StanzaFilter::tag("iq").of(&bob).kind("set").direction(crate::transcript::Direction::In);
    let uploads = world.control.transcript(&uploads).into_iter().filter(|s| s.node["attrs"]["xmlns"] == "encrypt").count();
    assert!(uploads > 1, "prekeys were uploaded {uploads} times");
}

#[tokio::test]
async fn a_phone_that_is_removed_leaves_nothing_behind() {
    let world = World::new();
    let (ana, bob) = (world.phone("Ana").await, world.phone("Bob").await);
    world.send(&ana, &bob, "hi").await;
    world.shows(&bob, &["hi"]).await;
    world.control.remove_phone(&bob).unwrap();
    assert!(matches!(world.control.phone(&bob), Err(Error::Unknown(_))));
    let again = world.control.add_phone(Some(&bob), Some("Bobby")).await.unwrap();
    assert_eq!((again.push_name.as_str(), again.messages), ("Bobby", 0));
    world.send(&ana, &bob, "hi again").await;
    world.shows(&bob, &["hi again"]).await;
}

#[test]
fn a_qr_text_is_read_with_and_without_its_prefix() {
    let key = BASE64_STANDARD.encode([7; 32]);
    let body = format!("2@ref,{key},{key},{key},1");
    for text in [body.clone(), format!("{NATIVE_CAMERA_DEEP_LINK_PREFIX}{body}"), format!(" {body}\n")] {
        let (reference, keys) = read_qr(&text).unwrap();
        assert_eq!(reference, "2@ref");
        assert_eq!(keys.adv_secret, [7; 32]);
    }
    for garbage in ["", "hello", "a,b,c,d", &format!("2@ref,{key},{key},AAAA")] {
        assert!(matches!(read_qr(garbage), Err(Error::Invalid(_))), "{garbage}");
    }
}
