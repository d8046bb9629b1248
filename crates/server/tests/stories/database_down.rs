//! The database is gone for a while, or stands still: callers are told in seconds, nothing is acknowledged to WhatsApp that
//! is not on disk, and everything goes on by itself.

use crate::world::{PATIENCE, Servers, Split, Transcript, eventually};
use sanasend_sandbox::{Direction, StanzaFilter};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// How long the outage lasts: many times the time limit of a statement, and a node's lease.
const OUTAGE: Duration = Duration::from_mins(1);
/// A call may wait for one batch that fails and for its own.
const ANSWERED_WITHIN: Duration = Duration::from_secs(12);

async fn outage(begin: &str, end: &str) {
    let servers = Servers::start();
    let split = Split::linked_on(servers.database().await).await;
    let (shop, friend) = (split.shop(), split.friend("Friend").await);
    shop.send_text(&friend, "before").await;
    friend.sees("before").await;
    servers.postgres(begin);
    let since = Instant::now();
    let id = friend.says(&shop, "while the database was away").await;
    let delivered = StanzaFilter::tag("message").of(&shop.number).direction(Direction::Out).id(&id);
    split.control().wait_for_stanza(&delivered, PATIENCE).await.expect("delivered to the device");
    let into_the_void = json!({"recipient": friend.number, "content": "into the void"});
    while since.elapsed() < OUTAGE {
        let asked = Instant::now();
        let answer = shop.api.post("/messages/send-text/", &into_the_void).await;
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(answer.headers.contains_key("retry-after"), "{:?}", answer.headers);
        assert!(asked.elapsed() < ANSWERED_WITHIN, "answered after {:?}", asked.elapsed());
        let health = split.process().api().get("/health/").await;
        assert_eq!(health.expect(200)["status"], "down", "{}", health.body);
    }
    assert!(!Transcript::of(&split.control(), &shop.number).acknowledged().contains(&id), "acknowledged before it was on disk");
    servers.postgres(end);
    let text = json!({"recipient": friend.number, "content": "afterwards"});
    eventually("the API to work again", || async { (shop.api.post("/messages/send-text/", &text).await.status == 202).then_some(()) })
        .await;
    friend.sees("afterwards").await;
    shop.status_becomes("connected").await;
    Transcript::of(&split.control(), &shop.number).no_counter_is_reused();
    shop.receives("while the database was away").await;
    assert_eq!(shop.incoming().await.len(), 1, "what came in meanwhile is there in the end, once");
    assert_eq!(friend.shows(), ["before", "afterwards"], "what was refused was not sent");
}

/// Both at the same time, because most of it is waiting.
#[tokio::test(flavor = "multi_thread")]
async fn a_minute_without_the_database_costs_nothing_but_time() {
    let stopped = tokio::spawn(outage("down", "up"));
    let frozen = tokio::spawn(outage("freeze", "thaw"));
    stopped.await.expect("a stopped database");
    frozen.await.expect("a frozen database");
}
