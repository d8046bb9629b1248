//! The walls: certificates are checked, sandbox and Internet never meet, and a machine without the Internet says so.

use crate::world::{Process, Split, Transcript, World, eventually, qr_text};
use sanasend_sandbox::{Sandbox, StanzaFilter};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

#[test]
fn a_forged_certificate_chain_is_refused_at_start() {
    sanasend_engine::prove_wall().expect("the client library refuses forged chains");
}

/// Another network that took the address of the sandbox does not hold the pinned key: the account says nothing to it.
#[tokio::test(flavor = "multi_thread")]
async fn an_impostor_of_the_sandbox_hears_nothing() {
    let mut split = Split::linked().await;
    split.kill().await;
    let impostor = split.impostor().await;
    split.run_against(impostor.addresses().ws.as_deref().expect("a plain port")).await;
    let shop = split.shop();
    // Every try is a connection that the impostor sees; the account stays where it is.
    let tried = eventually("the product to try", || async {
        let session = shop.session().await;
        (session["status"] != "connected" && session["reason"].is_string()).then_some(session)
    });
    let session = tried.await;
    assert_ne!(session["status"], "logged_out", "an impostor can not unlink: {session}");
    assert!(impostor.control().transcript(&StanzaFilter::default()).is_empty(), "no stanza was said to it");
    split.kill().await;
    split.run().await;
    split.shop().status_becomes("connected").await;
    impostor.stop().await;
}

/// A machine without the Internet, made by a library that is loaded before the others.
struct NoInternet {
    folder: TempDir,
}

impl NoInternet {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stories/no_internet.c");
        let library = folder.path().join("no_internet.so");
        let status =
            Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl").status().expect("a C compiler");
        assert!(status.success());
        Self { folder }
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    /// What was tried: names looked up, connections begun.
    fn tried(&self) -> Vec<String> {
        std::fs::read_to_string(self.journal()).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Starts the product for real accounts on `folder`.
    async fn start(&self, folder: &Path) -> Process {
        let library = self.folder.path().join("no_internet.so").display().to_string();
        let journal = self.journal().display().to_string();
        Process::start_in(folder, &[], &[("LD_PRELOAD", &library), ("NO_INTERNET_JOURNAL", &journal)]).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_internet_linking_ends_in_a_state_and_a_sentence_and_costs_nothing_more() {
    let outside = NoInternet::new();
    let folder = tempfile::tempdir().expect("a folder");
    let process = outside.start(folder.path()).await;
    let api = process.customer().await;
    let answer = api.post("/sessions/init/", &json!({})).await;
    assert!(answer.body["message"].as_str().is_some_and(|text| text.contains("Internet")), "{}", answer.body);
    assert!(answer.body["data"]["qr_code"].is_null(), "{}", answer.body);
    let session = eventually("the end of linking", || async {
        let session = api.get("/sessions/status/").await.expect(200).clone();
        (session["status"] == "failed").then_some(session)
    });
    let session = session.await;
    assert!(session["reason"].as_str().is_some_and(|text| text.contains("Internet")), "{session}");
    let tried = outside.tried();
    assert!(!tried.is_empty(), "it did try");
    for _ in 0..50 {
        api.get("/sessions/status/").await.expect(200);
    }
    assert_eq!(outside.tried(), tried, "nothing is tried while it waits");
    assert!(process.stop().await, "it stops in order");
}

/// A data folder with a sandbox account, opened by a server for real accounts: the account stays off the Internet.
#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_account_never_dials_the_internet() {
    let mut split = Split::linked().await;
    split.kill().await;
    let outside = NoInternet::new();
    let process = outside.start(&split.folder()).await;
    let api = process.api().with_key(&split.key());
    let session = api.get("/sessions/status/").await.expect(200).clone();
    assert_ne!(session["status"], "connected", "{session}");
    for path in ["/sessions/reconnect/", "/sessions/init/"] {
        let answer = api.post(path, &json!({})).await;
        assert!(answer.status >= 400, "{path}: {}", answer.body);
    }
    assert!(session["reason"].as_str().is_some_and(|text| text.contains("sandbox")), "it says why: {session}");
    assert!(outside.tried().is_empty(), "it dialled: {:?}", outside.tried());
    process.kill().await;
    split.run().await;
    split.shop().status_becomes("connected").await;
}

/// The reverse: a real account in a server with the sandbox never reaches the sandbox.
#[tokio::test(flavor = "multi_thread")]
async fn a_live_account_never_reaches_the_sandbox() {
    let outside = NoInternet::new();
    let folder = tempfile::tempdir().expect("a folder");
    let process = outside.start(folder.path()).await;
    let api = process.customer().await;
    let answer = api.post("/sessions/init/", &json!({})).await;
    assert_eq!(answer.body["data"]["network"], "live", "{}", answer.body);
    let key = process.key_of_customer();
    process.kill().await;

    let sandbox = ["--sandbox", "--sandbox-listen", "127.0.0.1:0", "--sandbox-tls-listen", "127.0.0.1:0"].map(str::to_owned);
    let process = Process::start(folder.path(), &sandbox).await;
    let api = process.api().with_key(&key);
    for path in ["/sessions/init/", "/sessions/reconnect/"] {
        let answer = api.post(path, &json!({})).await;
        assert_eq!(answer.status, 409, "{path}: {}", answer.body);
    }
    let session = api.get("/sessions/status/").await.expect(200).clone();
    assert!(session["qr_code"].is_null() && session["status"] != "connected", "{session}");
    process.kill().await;
}

/// Nothing in a request chooses the network.
#[tokio::test(flavor = "multi_thread")]
async fn no_field_of_a_request_chooses_the_network() {
    let world = World::start().await;
    let shop = world.shop();
    for body in [json!({"network": "live"}), json!({"sandbox": false}), json!({"url": "wss://example.com"})] {
        let answer = shop.api.post("/sessions/init/", &body).await;
        assert_eq!((answer.status, answer.code()), (400, "UNKNOWN_FIELD"), "{body}: {}", answer.body);
    }
    let answer = shop.api.post("/sessions/init/", &json!({})).await;
    assert!(!qr_text(&answer.body["data"]).is_empty());
    world.stop().await;
}

/// What the network saw of a whole life of an account: pairing and logins by the pinned key, no message key twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_account_uses_no_message_key_twice() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let friend = world.friend("Friend").await;
    for round in 0..20 {
        shop.send_text(&friend, &format!("there {round}")).await;
        friend.sees(&format!("there {round}")).await;
        friend.says(&shop, &format!("back {round}")).await;
        shop.receives(&format!("back {round}")).await;
    }
    let checked = Transcript::of(&world.control(), &shop.number).no_counter_is_reused();
    assert!(checked >= 20, "the transcript was read: {checked}");
    world.stop().await;
}

/// The impostor of the story above.
impl Split {
    /// Another network with keys of its own.
    async fn impostor(&self) -> Sandbox {
        let free = "127.0.0.1:0".parse().expect("an address");
        let config = sanasend_sandbox::Config { data_dir: self.folder().join("impostor"), listen: Some(free), tls_listen: None };
        Sandbox::start(config).await.expect("the impostor starts")
    }
}
