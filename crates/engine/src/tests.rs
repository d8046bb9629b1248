//! Links that come to nothing: no Internet, no door, a sandbox that is none. (Links that work are tried against
//! the real sandbox in the server's tests; this crate does not know it.)

use crate::backend::tests::Bench;
use crate::dial::NoFiles;
use crate::live::Live;
use crate::{Account, BytePipe, ClientVersion, Dial, Engine, EngineError, Inbox, Link, LinkEvent, Options, SandboxDoor};
use async_trait::async_trait;
use bytes::Bytes;
use sanasend_model::retry::AttemptError;
use sanasend_model::session::LinkEnd;
use sanasend_model::{Clock, Network, PhoneNumber, SessionId, Timestamp};
use sanasend_store::{Incoming, StoreError};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// Far above what any of these links may take.
const PATIENCE: Duration = Duration::from_secs(25);

#[derive(Debug)]
struct Still;
impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp(1_763_700_000_000)
    }
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

struct NoInbox;
#[async_trait]
impl Inbox for NoInbox {
    async fn commit(&self, _batch: Vec<Incoming>) -> Result<(), StoreError> {
        Err(StoreError::Conflict { what: "nothing should come in" })
    }
}

/// A sandbox whose other end hangs up at once.
#[derive(Default)]
struct DeadDoor(AtomicUsize);
impl Dial for DeadDoor {
    fn dial(&self) -> BytePipe {
        self.0.fetch_add(1, Ordering::Relaxed);
        let (outgoing, _) = mpsc::channel::<Bytes>(1);
        let (_, incoming) = mpsc::channel::<Bytes>(1);
        BytePipe { outgoing, incoming }
    }
}

/// A port of this machine that nobody listens on.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("port").port()
}

fn engine(port: u16, version: Option<ClientVersion>, door: Option<SandboxDoor>) -> Engine {
    Engine::with(Options { client_version: version, ..Options::default() }, door, Arc::new(Still), Live::towards(port))
}

async fn open(
    engine: &Engine,
    bench: &Bench,
    network: Network,
    linked: bool,
) -> Result<(Link, mpsc::UnboundedReceiver<LinkEvent>), EngineError> {
    let (events, heard) = mpsc::unbounded_channel();
    let signal = bench.rows().await;
    let account =
        Account { session_id: SessionId::new(&Still), network, linked, push_name: None, signal, inbox: Arc::new(NoInbox), events };
    Ok((engine.open(account).await?, heard))
}

async fn end(heard: &mut mpsc::UnboundedReceiver<LinkEvent>) -> LinkEnd {
    loop {
        match timeout(PATIENCE, heard.recv()).await.expect("in time") {
            Some(LinkEvent::Ended(end)) => return end,
            Some(_) => {}
            None => panic!("nothing was told at the end"),
        }
    }
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// Waits until no more tasks than `before` are left. The database pool has some of its own, which end by
/// themselves; one of a link that waits for ever would not.
async fn nothing_left(before: usize) {
    let settle = async {
        while tasks() > before {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), settle).await.expect("tasks left behind");
}

#[tokio::test]
async fn linking_without_internet_ends_in_a_sentence_and_leaves_nothing_behind() {
    let bench = Bench::new().await;
    for version in [None, Some(ClientVersion(2, 3000, 1))] {
        let engine = engine(closed_port(), version, None);
        let before = (Instant::now(), tasks());
        let (link, mut heard) = open(&engine, &bench, Network::Live, false).await.expect("opened");
        match end(&mut heard).await {
            LinkEnd::Lost { reason } => assert!(reason.starts_with("WhatsApp can't be reached"), "{reason}"),
            other => panic!("{other:?}"),
        }
        assert!(before.0.elapsed() < Duration::from_secs(20));
        assert!(!link.is_alive());
        link.close().await;
        drop(link);
        nothing_left(before.1).await;
        assert_eq!(heard.recv().await, None, "nothing is told after the end");
    }
}

#[tokio::test]
async fn a_linked_account_without_internet_stays_and_can_be_closed() {
    let bench = Bench::new().await;
    bench.link_by_hand().await;
    let engine = engine(closed_port(), Some(ClientVersion(2, 3000, 1)), None);
    let before = tasks();
    let (link, mut heard) = open(&engine, &bench, Network::Live, true).await.expect("opened");
    let told = timeout(PATIENCE, heard.recv()).await.expect("in time").expect("told");
    assert!(matches!(&told, LinkEvent::Offline { reason } if reason.starts_with("WhatsApp can't be reached")), "{told:?}");
    let phone = PhoneNumber::parse("+14155550100").expect("number");
    assert_eq!(link.lookup(&[phone]).await, Err(AttemptError::Offline));
    assert_eq!(link.log_out().await, Ok(false), "nobody could be told");
    nothing_left(before).await;
    drop(link);
    assert_eq!(heard.recv().await, None, "nothing is told after it was closed");
}

#[tokio::test]
async fn an_account_that_lost_its_rows_shows_no_codes() {
    let bench = Bench::new().await;
    let engine = engine(closed_port(), Some(ClientVersion(2, 3000, 1)), None);
    let (_link, mut heard) = open(&engine, &bench, Network::Live, true).await.expect("opened");
    assert_eq!(end(&mut heard).await, LinkEnd::LoggedOut { code: None });
}

#[tokio::test]
async fn a_link_that_was_paired_before_a_crash_says_so_first() {
    let bench = Bench::new().await;
    bench.link_by_hand().await;
    let engine = engine(closed_port(), Some(ClientVersion(2, 3000, 1)), None);
    let (link, mut heard) = open(&engine, &bench, Network::Live, false).await.expect("opened");
    let told = timeout(PATIENCE, heard.recv()).await.expect("in time").expect("told");
    assert!(matches!(&told, LinkEvent::Paired { jid, .. } if jid.as_str() == "14155550100@s.whatsapp.net"), "{told:?}");
    link.close().await;
}

#[tokio::test]
async fn a_sandbox_account_goes_through_its_door_or_nowhere() {
    let bench = Bench::new().await;
    // Whoever would go the live way knocks here.
    let outside = TcpListener::bind("127.0.0.1:0").expect("port");
    outside.set_nonblocking(true).expect("non-blocking");
    let port = outside.local_addr().expect("address").port();
    let no_door = engine(port, None, None);
    assert!(matches!(open(&no_door, &bench, Network::Sandbox, false).await, Err(EngineError::Rejected(_))));
    let dial = Arc::new(DeadDoor::default());
    let door = SandboxDoor { dial: dial.clone(), pinned_key: [9; 32], media: Arc::new(NoFiles) };
    let engine = engine(port, None, Some(door));
    for linked in [false, true] {
        if linked {
            bench.link_by_hand().await;
        }
        let (_link, mut heard) = open(&engine, &bench, Network::Sandbox, linked).await.expect("opened");
        assert!(matches!(end(&mut heard).await, LinkEnd::Lost { .. }), "a handshake that fails is an end");
    }
    assert!(dial.0.load(Ordering::Relaxed) >= 2);
    assert!(outside.accept().is_err(), "a sandbox account went outside");
}

#[tokio::test]
async fn a_dropped_link_ends_by_itself() {
    let bench = Bench::new().await;
    bench.link_by_hand().await;
    let engine = engine(closed_port(), Some(ClientVersion(2, 3000, 1)), None);
    let (link, mut heard) = open(&engine, &bench, Network::Live, true).await.expect("opened");
    drop(link);
    let silence = async { while heard.recv().await.is_some() {} };
    timeout(PATIENCE, silence).await.expect("the ear is dropped with the link");
}
