//! Links that work, against the sandbox in the same process: linked, sent, answered, restarted, unlinked. And
//! the walls between the two networks, tried from both sides.

use crate::backend::tests::Bench;
use crate::dial::NoFiles;
use crate::live::Live;
use crate::{
    Account, BytePipe, ClientVersion, Dial, Engine, GroupRole, Inbox, Link, LinkEvent, Options, Outgoing, SandboxDoor, new_message_id,
};
use async_trait::async_trait;
use sanasend_model::session::LinkEnd;
use sanasend_model::{Clock, Content, Jid, MessageStatus, Network, PhoneNumber, SessionId, Timestamp};
use sanasend_sandbox::{Config, Fault, GroupChange, Sandbox, StanzaFilter};
use sanasend_store::{Incoming, Quoted, SignalChange, SignalKind, StoreError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_mins(1);
const SHOP: &str = "+14155550100";
const FRIEND: &str = "+14155550199";

/// Real time, since the two sides compare it, and random bytes that never repeat.
#[derive(Debug, Default)]
struct Counting(AtomicU64);
impl Clock for Counting {
    fn now(&self) -> Timestamp {
        Timestamp(whatsapp_rust::wacore::time::now_millis())
    }
    fn fill(&self, bytes: &mut [u8]) {
        let next = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = next.to_le_bytes()[at % 8];
        }
    }
}

/// Takes what comes in, unless it is told to fail.
struct Kept {
    received: UnboundedSender<Incoming>,
    broken: AtomicBool,
    refused: Semaphore,
}
#[async_trait]
impl Inbox for Kept {
    async fn commit(&self, batch: Vec<Incoming>) -> Result<(), StoreError> {
        if self.broken.load(Ordering::Acquire) {
            self.refused.add_permits(1);
            return Err(StoreError::Unavailable("the disk is full".into()));
        }
        for message in batch {
            let _ = self.received.send(message);
        }
        Ok(())
    }
}

struct Door(Sandbox);
impl Dial for Door {
    fn dial(&self) -> BytePipe {
        let pipe = self.0.dial();
        BytePipe { outgoing: pipe.outgoing, incoming: pipe.incoming }
    }
}

/// A sandbox with two phones, an engine, and one account's rows.
struct World {
    bench: Bench,
    sandbox: Sandbox,
    engine: Engine,
    clock: Arc<Counting>,
    inbox: Arc<Kept>,
    received: UnboundedReceiver<Incoming>,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let local = "127.0.0.1:0".parse().ok();
        let config = Config { data_dir: folder.path().join("sandbox"), listen: local, tls_listen: None };
        let sandbox = Sandbox::start(config).await.expect("sandbox");
        for (phone, name) in [(SHOP, "Shop"), (FRIEND, "Friend")] {
            sandbox.control().add_phone(Some(phone), Some(name)).await.expect("phone");
        }
        let clock = Arc::new(Counting::default());
        let door = SandboxDoor { dial: Arc::new(Door(sandbox.clone())), pinned_key: sandbox.static_key(), media: Arc::new(NoFiles) };
        let options = Options { prekeys: 30, ..Options::default() };
        let engine = Engine::new(options, Some(door), clock.clone());
        let (sender, received) = mpsc::unbounded_channel();
        let inbox = Arc::new(Kept { received: sender, broken: AtomicBool::new(false), refused: Semaphore::new(0) });
        Self { bench: Bench::new().await, sandbox, engine, clock, inbox, received, _folder: folder }
    }

    async fn open(&self, linked: bool) -> Open {
        self.open_by(&self.engine, Network::Sandbox, linked).await
    }

    async fn open_by(&self, engine: &Engine, network: Network, linked: bool) -> Open {
        let (events, heard) = mpsc::unbounded_channel();
        let account = Account {
            session_id: SessionId::new(self.clock.as_ref()),
            network,
            linked,
            push_name: None,
            signal: self.bench.rows().await,
            inbox: self.inbox.clone(),
            events,
        };
        Open { link: engine.open(account).await.expect("opened"), heard, past: Vec::new() }
    }

    /// A new link, its code scanned by the shop's phone, connected.
    async fn linked(&self) -> Open {
        let mut open = self.open(false).await;
        let code = open.hear(|event| if let LinkEvent::Code(code) = event { Some(code) } else { None }).await;
        self.sandbox.control().scan(&code.text, Some(SHOP)).await.expect("scanned");
        let (phone, jid) =
            open.hear(|event| if let LinkEvent::Paired { phone, jid, .. } = event { Some((phone, jid)) } else { None }).await;
        assert_eq!((phone.expect("number").as_str(), jid), (SHOP, PhoneNumber::parse(SHOP).expect("number").jid()));
        open.connected().await;
        open
    }

    async fn text_from_friend(&self, text: &str) -> String {
        self.sandbox.control().send(FRIEND, SHOP, text, None).await.expect("sent")
    }

    /// Waits until what came in was refused so often.
    async fn refuses(&self, times: u32) {
        timeout(PATIENCE, self.inbox.refused.acquire_many(times)).await.expect("in time").expect("open").forget();
    }

    async fn receives(&mut self) -> Incoming {
        timeout(PATIENCE, self.received.recv()).await.expect("in time").expect("received")
    }

    fn outgoing(&self, text: &str) -> Outgoing {
        let to = PhoneNumber::parse(FRIEND).expect("number").jid();
        Outgoing { wa_message_id: new_message_id(self.clock.as_ref()), to, text: text.into(), preview: None, quoted: None }
    }

    async fn friend_sees(&self, id: &str) -> sanasend_sandbox::ShownMessage {
        let there = |shown: &[sanasend_sandbox::ShownMessage]| shown.iter().any(|message| message.id == id);
        let shown = self.sandbox.control().wait_until(FRIEND, PATIENCE, there).await.expect("friend");
        shown.into_iter().find(|message| message.id == id).expect("seen")
    }
}

struct Open {
    link: Link,
    heard: UnboundedReceiver<LinkEvent>,
    /// What was heard and not yet asked for: acknowledgements and receipts may overtake each other.
    past: Vec<LinkEvent>,
}

impl Open {
    /// Waits for an event, in whatever order it comes; each is found once.
    async fn hear<T>(&mut self, wanted: impl Fn(LinkEvent) -> Option<T>) -> T {
        let known = self.past.iter().position(|event| wanted(event.clone()).is_some());
        if let Some(found) = known.and_then(|at| wanted(self.past.remove(at))) {
            return found;
        }
        loop {
            let event = match timeout(PATIENCE, self.heard.recv()).await {
                Ok(event) => event.unwrap_or_else(|| panic!("nothing more is told after {:?}", self.past)),
                Err(late) => panic!("not heard ({late}); only {:?}", self.past),
            };
            match wanted(event.clone()) {
                Some(found) => return found,
                None => self.past.push(event),
            }
        }
    }

    async fn connected(&mut self) {
        self.hear(|event| (event == LinkEvent::Connected).then_some(())).await;
    }

    async fn acked(&mut self, id: &str) -> Option<String> {
        self.hear(|event| match event {
            LinkEvent::Ack { wa_message_id, error, .. } if wa_message_id == id => Some(error),
            _ => None,
        })
        .await
    }

    async fn reaches(&mut self, id: &str, wanted: MessageStatus) -> Jid {
        self.hear(|event| match event {
            LinkEvent::Receipt { wa_message_ids, chat, status, .. } if status == wanted && wa_message_ids.iter().any(|sent| sent == id) => {
                Some(chat)
            }
            _ => None,
        })
        .await
    }

    async fn ended(&mut self) -> LinkEnd {
        self.hear(|event| if let LinkEvent::Ended(end) = event { Some(end) } else { None }).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_message_goes_there_and_is_answered() {
    let mut world = World::new().await;
    let mut shop = world.linked().await;
    let friend = PhoneNumber::parse(FRIEND).expect("number");
    let nobody = PhoneNumber::parse("+14155550123").expect("number");
    let found = shop.link.lookup(&[nobody, friend.clone()]).await.expect("looked up");
    assert_eq!((found[0].jid.as_ref(), found[1].jid.as_ref()), (None, Some(&friend.jid())));
    assert!(found[1].lid.as_ref().is_some_and(Jid::is_lid));

    let hello = world.outgoing("hello");
    shop.link.send_text(hello.clone()).await.expect("written");
    assert_eq!(shop.acked(&hello.wa_message_id).await, None);
    assert_eq!(shop.reaches(&hello.wa_message_id, MessageStatus::Delivered).await, friend.jid(), "the chat goes by its number");
    assert_eq!(world.friend_sees(&hello.wa_message_id).await.text, "hello");
    world.sandbox.control().read(FRIEND, None, None).expect("read");
    shop.reaches(&hello.wa_message_id, MessageStatus::Read).await;

    let id = world.text_from_friend("hi yourself").await;
    let answer = world.receives().await;
    assert_eq!((answer.wa_message_id.as_str(), &answer.chat, answer.from_me), (id.as_str(), &friend.jid(), false));
    assert_eq!((answer.sender.phone, answer.sender_name.as_deref()), (Some(friend.clone()), Some("Friend")));
    assert_eq!(answer.content, Content::Text { body: "hi yourself".into(), preview: None });

    let quoted = Some(Quoted { wa_message_id: id.clone(), participant: None, text: Some("hi yourself".into()) });
    let reply = Outgoing { quoted, ..world.outgoing("nice") };
    shop.link.send_text(reply.clone()).await.expect("written");
    assert_eq!(world.friend_sees(&reply.wa_message_id).await.quoted_id.as_deref(), Some(id.as_str()));
    shop.link.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_while_the_account_was_away_comes_in_after_a_restart() {
    let mut world = World::new().await;
    let shop = world.linked().await;
    shop.link.close().await;
    world.text_from_friend("are you there?").await;
    let mut shop = world.open(true).await;
    shop.connected().await;
    assert_eq!(world.receives().await.content.body(), Some("are you there?"));
    let hello = world.outgoing("yes");
    shop.link.send_text(hello.clone()).await.expect("written");
    shop.reaches(&hello.wa_message_id, MessageStatus::Delivered).await;
    shop.link.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_commit_failed_comes_again() {
    let mut world = World::new().await;
    let mut shop = world.linked().await;
    world.inbox.broken.store(true, Ordering::Release);
    let id = world.text_from_friend("keep me").await;
    // Handed over, held back, and offered on.
    world.refuses(10).await;
    world.inbox.broken.store(false, Ordering::Release);
    // Nobody but the link itself knows that it has to end: the connection is as good as ever.
    assert!(matches!(shop.ended().await, LinkEnd::Lost { .. }));
    assert_eq!(world.receives().await.wa_message_id, id, "offered on until it was taken");
    let mut shop = world.open(true).await;
    shop.connected().await;
    assert_eq!(world.receives().await.wa_message_id, id, "not acknowledged, so it came again");
    let acknowledged = StanzaFilter::default().id(&id).direction(sanasend_sandbox::Direction::In);
    world.sandbox.control().wait_for_stanza(&acknowledged, PATIENCE).await.expect("acknowledged");
    // Acknowledged now: a third connection brings nothing old.
    shop.link.close().await;
    let mut shop = world.open(true).await;
    shop.connected().await;
    let last = world.text_from_friend("and another").await;
    assert_eq!(world.receives().await.wa_message_id, last);
    shop.link.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_read_and_lost_is_asked_for_anew() {
    let mut world = World::new().await;
    let shop = world.linked().await;
    // What a kill between two writes leaves behind: the ratchet has moved on, and the message is nowhere.
    world.inbox.broken.store(true, Ordering::Release);
    let id = world.text_from_friend("lost and found").await;
    world.refuses(1).await;
    shop.link.close().await;
    let rows = world.bench.rows().await;
    rows.apply(vec![SignalChange::DeletePrefix { kind: SignalKind::PendingInbound, prefix: Vec::new() }]).await.expect("forgotten");
    world.inbox.broken.store(false, Ordering::Release);
    let mut shop = world.open(true).await;
    shop.connected().await;
    let found = world.receives().await;
    assert_eq!((found.wa_message_id.as_str(), found.content.body()), (id.as_str(), Some("lost and found")));
    shop.link.close().await;
    let asked = world.bench.rows().await.list_keys(SignalKind::Missed, &[]).await.expect("read");
    assert_eq!(asked.len(), 1, "noted, so that it is asked for once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_in_the_moment_of_a_close_is_told_or_comes_again() {
    let world = World::new().await;
    let mut shop = world.linked().await;
    for round in 0..30 {
        let text = world.outgoing(&format!("text {round}"));
        let id = &text.wa_message_id;
        shop.link.send_text(text.clone()).await.expect("written");
        let handed = StanzaFilter::tag("receipt").of(SHOP).direction(sanasend_sandbox::Direction::Out).id(id);
        world.sandbox.control().wait_for_stanza(&handed, PATIENCE).await.expect("handed to the device");
        shop.link.close().await;
        let of_it = |event: &LinkEvent| matches!(event, LinkEvent::Receipt { wa_message_ids, .. } if wa_message_ids.contains(id));
        let told = std::iter::from_fn(|| shop.heard.try_recv().ok()).any(|event| of_it(&event));
        shop = world.open(true).await;
        shop.connected().await;
        if !told {
            shop.reaches(id, MessageStatus::Delivered).await;
        }
    }
    shop.link.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_groups_of_an_account_are_those_that_it_is_in_at_this_moment() {
    let world = World::new().await;
    let shop = world.linked().await;
    let control = world.sandbox.control();
    assert_eq!(shop.link.groups().await, Ok(Vec::new()));
    let bread = control.make_group(FRIEND, "Bread", &[SHOP]).expect("made");
    let rolls = control.make_group(SHOP, "Rolls", &[FRIEND]).expect("made");
    let change = |change: GroupChange| control.change_group(FRIEND, &bread, &change).expect("changed");
    change(GroupChange::Description("Fresh at eight.".into()));
    change(GroupChange::OnlyAdminsSend(true));
    let mut groups = shop.link.groups().await.expect("told");
    groups.sort_by(|one, other| one.subject.cmp(&other.subject));
    let told: Vec<_> =
        groups.iter().map(|group| (group.jid.as_str(), group.is_admin, group.only_admins_send, group.member_count)).collect();
    assert_eq!(told, [(bread.as_str(), false, true, 2), (rolls.as_str(), true, false, 2)]);
    let friend = PhoneNumber::parse(FRIEND).expect("number");
    assert_eq!(groups[0].owner.as_ref().and_then(|owner| owner.phone.clone()), Some(friend.clone()));
    assert_eq!((groups[0].description.as_deref(), groups[0].created_at.is_some()), (Some("Fresh at eight."), true));

    let jid = Jid::parse(&bread).expect("jid");
    let told = shop.link.group(&jid).await.expect("told").expect("a member");
    assert_eq!(told.group, groups[0]);
    let (first, second) = (&told.members[0], &told.members[1]);
    assert_eq!((first.role, first.person.phone.as_ref()), (GroupRole::SuperAdmin, Some(&friend)));
    assert_eq!((second.role, second.person.lid.as_ref().is_some_and(Jid::is_lid)), (GroupRole::Member, true));

    change(GroupChange::Remove(SHOP.into()));
    assert_eq!(shop.link.group(&jid).await, Ok(None));
    let nobodys = Jid::parse("120363000000000001@g.us").expect("jid");
    assert_eq!(shop.link.group(&nobodys).await, Ok(None));
    let left: Vec<_> = shop.link.groups().await.expect("told").into_iter().map(|group| group.subject).collect();
    assert_eq!(left, ["Rolls"]);
    shop.link.close().await;
    assert_eq!(shop.link.groups().await, Err(sanasend_model::retry::AttemptError::Offline));
}

#[tokio::test(flavor = "multi_thread")]
async fn linking_by_typed_code() {
    let world = World::new().await;
    let mut shop = world.open(false).await;
    let code = shop.link.pair_with_code(&PhoneNumber::parse(SHOP).expect("number")).await.expect("code");
    assert_eq!(code.len(), 8);
    world.sandbox.control().type_pair_code(SHOP, &code).await.expect("typed");
    shop.hear(|event| matches!(event, LinkEvent::Paired { .. }).then_some(())).await;
    shop.connected().await;
    shop.link.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_id_sent_twice_is_seen_once() {
    let world = World::new().await;
    let mut shop = world.linked().await;
    let hello = world.outgoing("once");
    for _ in 0..2 {
        shop.link.send_text(hello.clone()).await.expect("written");
        assert_eq!(shop.acked(&hello.wa_message_id).await, None);
    }
    let last = world.outgoing("last");
    shop.link.send_text(last.clone()).await.expect("written");
    world.friend_sees(&last.wa_message_id).await;
    let shown = world.sandbox.control().messages(FRIEND).expect("friend");
    assert_eq!(shown.iter().filter(|message| message.id == hello.wa_message_id).count(), 1);
    shop.link.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_with_its_code() {
    let world = World::new().await;
    let mut shop = world.linked().await;
    world.sandbox.control().fault(SHOP, Fault::Nack { code: 463, count: 1 }).expect("planted");
    let cold = world.outgoing("buy now");
    shop.link.send_text(cold.clone()).await.expect("written");
    assert_eq!(shop.acked(&cold.wa_message_id).await.as_deref(), Some("463"));
    shop.hear(|event| matches!(event, LinkEvent::ReachoutLimited { .. }).then_some(())).await;
    shop.link.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_comes_back_by_itself() {
    let world = World::new().await;
    let mut shop = world.linked().await;
    world.sandbox.control().fault(SHOP, Fault::Disconnect).expect("planted");
    shop.hear(|event| matches!(event, LinkEvent::Offline { .. }).then_some(())).await;
    shop.connected().await;
    assert!(shop.link.is_alive());
    shop.link.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unlinked_on_the_phone_and_linked_again_over_the_same_rows() {
    let world = World::new().await;
    let mut shop = world.linked().await;
    let device = world.sandbox.control().devices(SHOP).expect("devices").last().expect("companion").id;
    world.sandbox.control().unlink(SHOP, device).expect("unlinked");
    assert!(matches!(shop.ended().await, LinkEnd::LoggedOut { .. }));
    drop(shop);
    world.bench.erase().await;
    world.linked().await.link.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_out_tells_the_network_and_nobody_else() {
    let world = World::new().await;
    let mut shop = world.linked().await;
    assert_eq!(shop.link.log_out().await, Ok(true));
    assert_eq!(world.sandbox.control().devices(SHOP).expect("devices").len(), 1, "only the phone is left");
    drop(shop.link);
    let mut after = Vec::new();
    while let Some(event) = shop.heard.recv().await {
        after.push(event);
    }
    assert!(!after.iter().any(|event| matches!(event, LinkEvent::Ended(_) | LinkEvent::Offline { .. })), "{after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_account_led_to_the_sandbox_turns_away_at_its_certificate() {
    let world = World::new().await;
    let address = world.sandbox.addresses().ws.clone().expect("port");
    let port = address.rsplit(':').next().and_then(|end| end.split('/').next()).and_then(|port| port.parse().ok()).expect("port");
    let options = Options { client_version: Some(ClientVersion(2, 3000, 1)), ..Options::default() };
    let engine = Engine::with(options, None, world.clock.clone(), Live::towards(port));
    let before = world.sandbox.control().transcript_end();
    let mut led = world.open_by(&engine, Network::Live, false).await;
    assert!(matches!(led.ended().await, LinkEnd::Lost { .. }));
    let strangers = world.sandbox.control().transcript(&StanzaFilter::default().after(before));
    assert!(strangers.iter().all(|stanza| stanza.tag != "iq"), "it spoke with the sandbox: {strangers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_with_another_key_is_not_spoken_with() {
    let world = World::new().await;
    let door = SandboxDoor { dial: Arc::new(Door(world.sandbox.clone())), pinned_key: [9; 32], media: Arc::new(NoFiles) };
    let engine = Engine::new(Options::default(), Some(door), world.clock.clone());
    let before = world.sandbox.control().transcript_end();
    let mut led = world.open_by(&engine, Network::Sandbox, false).await;
    assert!(matches!(led.ended().await, LinkEnd::Lost { .. }));
    assert!(world.sandbox.control().transcript(&StanzaFilter::default().after(before)).iter().all(|stanza| stanza.tag != "iq"));
    // The right key works at once, over the same rows.
    led.link.close().await;
    world.linked().await.link.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_written_on_the_phone_come_in_as_the_accounts_own() {
    let mut world = World::new().await;
    let shop = world.linked().await;
    world.sandbox.control().send(SHOP, FRIEND, "from my phone", None).await.expect("sent");
    let own = world.receives().await;
    assert!(own.from_me);
    assert_eq!(own.chat, PhoneNumber::parse(FRIEND).expect("number").jid());
    assert_eq!(own.sender.phone.expect("own number").as_str(), SHOP);
    assert_eq!(own.content.body(), Some("from my phone"));
    shop.link.close().await;
}
