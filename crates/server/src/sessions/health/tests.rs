//! A driver that is not there any more, or that stands still, under the check: the account comes back and works.

use super::super::registry::Place;
use super::{Fault, STANDS_STILL, fault};
use crate::clock::SystemClock;
use crate::config::{self, Profile};
use crate::node::Node;
use sanasend_model::{SessionId, SessionStatus};
use sanasend_sandbox::Control;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// How long a test waits for what must come; it only bounds a failure.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server with the sandbox and one linked account.
struct World {
    node: Node,
    _folder: TempDir,
    http: reqwest::Client,
    key: String,
}

impl World {
    async fn linked() -> (Self, Arc<Place>) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().expect("a folder");
        let free = ([127, 0, 0, 1], 0).into();
        let mut config = config::defaults(Profile::Development).config;
        config.general.data_dir = folder.path().join("data");
        (config.general.listen, config.sandbox.listen, config.sandbox.tls_listen) = (free, free, free);
        config.sandbox.enabled = true;
        config.sessions.sandbox_prekeys = 30;
        (config.auth.password_memory_kib, config.auth.password_passes) = (8192, 1);
        let node = Node::start(config, Arc::new(SystemClock)).await.expect("the server starts");
        let key = node.first_run.demo.clone().and_then(|demo| demo.secret).expect("a key at the first start");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let world = Self { node, _folder: folder, http, key };
        let begun = world.post("/sessions/init/", json!({})).await;
        let code = begun["data"]["qr_code"]["text"].as_str().unwrap_or_else(|| panic!("{begun}")).to_owned();
        world.control().scan(&code, None).await.expect("the phone scans");
        let place = world.node.app.sessions.all_places().pop().expect("one account");
        becomes(&place, SessionStatus::Connected).await;
        (world, place)
    }

    fn control(&self) -> Control {
        self.node.app.sandbox.as_ref().expect("a sandbox").control()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let url = format!("http://{}/api/v1{path}", self.node.api);
        let answer = self.http.post(url).header("x-api-key", &self.key).json(&body).send().await.expect("an answer");
        answer.json().await.expect("JSON")
    }

    /// Sends a text and waits until somebody's phone shows it.
    async fn still_works(&self) {
        let friend = self.control().add_phone(None, Some("Friend")).await.expect("a phone").phone;
        let sent = self.post("/messages/send-text/", json!({"recipient": friend, "content": "after all"})).await;
        assert_eq!(sent["success"], true, "{sent}");
        let shown = self.control().wait_until(&friend, PATIENCE, |shown| shown.iter().any(|message| message.text == "after all")).await;
        assert_eq!(shown.expect("the phone").len(), 1);
    }

    async fn generation(&self, id: SessionId) -> i64 {
        self.node.app.store.session(id).await.expect("read").expect("there").generation
    }
}

async fn becomes(place: &Place, status: SessionStatus) {
    let mut live = place.seat.watch();
    let there = tokio::time::timeout(PATIENCE, live.wait_for(|live| live.status == status)).await;
    assert!(matches!(there, Ok(Ok(_))), "never {status:?}: {:?}", place.seat.live());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_was_killed_is_missed_and_the_account_comes_back() {
    let (world, place) = World::linked().await;
    let sessions = world.node.app.sessions.clone();
    assert_eq!(sessions.check_health().await, 0, "nothing is wrong");
    let before = world.generation(place.id).await;
    place.kill().await;
    assert_eq!((fault(&place), place.seat.status()), (Some(Fault::NoDriver), SessionStatus::Connected), "it is shown as if it ran");
    assert_eq!(sessions.check_health().await, 1);
    becomes(&place, SessionStatus::Connected).await;
    assert!(world.generation(place.id).await > before, "what is left of the old driver is fenced");
    world.still_works().await;
    assert_eq!(sessions.check_health().await, 0, "nothing is wrong any more");
    world.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_stands_still_is_replaced() {
    let (world, place) = World::linked().await;
    let sessions = world.node.app.sessions.clone();
    let before = world.generation(place.id).await;
    // The driver lives and may go through its loop between the two lines.
    loop {
        place.seat.fall_silent(STANDS_STILL + Duration::from_secs(1));
        if sessions.check_health().await == 1 {
            break;
        }
    }
    becomes(&place, SessionStatus::Connected).await;
    assert!(world.generation(place.id).await > before);
    world.still_works().await;
    world.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_was_taken_offline_is_left_alone() {
    let (world, place) = World::linked().await;
    world.post("/sessions/disconnect/", json!({"logout": false})).await;
    becomes(&place, SessionStatus::Disconnected).await;
    assert_eq!((world.node.app.sessions.check_health().await, place.seat.status()), (0, SessionStatus::Disconnected));
    world.node.stop().await;
}
