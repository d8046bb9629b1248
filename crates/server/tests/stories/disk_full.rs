//! A disk that takes no more: what can't be made durable is refused, what was accepted goes on its way, what WhatsApp tells
//! meanwhile is kept or left with it, and when there is room again everything works on without a restart.
//!
//! The disk is full in the form of a limit on the size of files that the process may write: every further write of the
//! database fails. No privileges are needed for it, and the machine's own disk stays as it is.

use crate::world::{Answer, Friend, PATIENCE, Shop, Split, Transcript, eventually, shown_once_in_order};
use sanasend_sandbox::{Direction, StanzaFilter};
use serde_json::{Value, json};

/// Files of at most 4 MiB (in blocks of 512 bytes); the signal that comes with a refused write is ignored, so that the write
/// fails as it does on a full disk. Only the soft limit is set: the story lifts it later.
const FULL: [&str; 4] = ["sh", "-c", "trap '' XFSZ; ulimit -S -f 8192; exec \"$@\"", "sh"];

/// There is room until the story fills the disk.
const ROOMY: [&str; 4] = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"];

/// A linked shop, its server started by `starter`.
async fn started_by(starter: &[&str]) -> (Split, Shop) {
    let mut split = Split::linked().await;
    split.kill().await;
    split.run_under(starter).await;
    let shop = split.shop();
    shop.status_becomes("connected").await;
    (split, shop)
}

/// A friend who is away, and a text that waits for him at WhatsApp.
async fn away(split: &Split, shop: &Shop, name: &str) -> (Friend, Value) {
    let friend = split.friend(name).await;
    friend.goes_offline().await;
    let sent = shop.send_text(&friend, name).await;
    shop.message_becomes(&sent, "sent").await;
    (friend, sent)
}

/// He comes back and gets it; answers WhatsApp's id of it.
async fn back(friend: &Friend, text: &str) -> String {
    friend.comes_back().await;
    friend.sees(text).await.id
}

/// Whether the account told WhatsApp that it knows of the receipt: it is not told again then.
fn is_told(split: &Split, shop: &Shop, id: &str) -> bool {
    Transcript::of(&split.control(), &shop.number).receipts_acknowledged().iter().any(|told| told == id)
}

/// Waits until that is so, or until the link is closed because nothing can be kept.
async fn told_or_closed(split: &Split, shop: &Shop, id: &str) {
    eventually("the receipt to be told", || async {
        (is_told(split, shop, id) || shop.session().await["status"] != "connected").then_some(())
    })
    .await;
}

/// Sends until there is no room for large texts, and then for small ones; what was accepted, and the refusal.
async fn fill(shop: &Shop, friend: &Friend) -> (Vec<String>, Vec<Value>, Answer) {
    let (mut texts, mut accepted, mut length) = (Vec::new(), Vec::new(), 30_000);
    loop {
        let text = format!("{:04} {}", texts.len(), "x".repeat(length));
        let answer = shop.api.post("/messages/send-text/", &json!({"recipient": friend.number, "content": text})).await;
        match answer.status {
            202 => {
                accepted.push(answer.body["data"].clone());
                texts.push(text);
            }
            _ if length > 1 => length = 1,
            _ => return (texts, accepted, answer),
        }
        assert!(texts.len() < 2_000, "the disk never fills");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_and_loses_nothing() {
    let (split, shop) = started_by(&FULL).await;
    let friend = split.friend("Friend").await;
    let (late, to_late) = away(&split, &shop, "Late").await;

    let (mut texts, mut accepted, refused) = fill(&shop, &friend).await;
    assert_eq!((refused.status, refused.code()), (503, "SERVICE_UNAVAILABLE"), "{}", refused.body);
    assert!(refused.headers.contains_key("retry-after"), "it says when to come again");
    assert_eq!(shop.api.get("/messages/list/").await.status, 200, "what is there can be read");

    // What comes in now can't be remembered, so WhatsApp is not told that we have it. On a slow machine the link may be closed
    // by then, because news could not be kept for too long: then it waits at WhatsApp.
    let id = friend.says(&shop, "while the disk is full").await;
    let handed = StanzaFilter::tag("message").of(&shop.number).direction(Direction::Out).id(&id);
    eventually("the text to be handed to the device", || async {
        let there = split.control().transcript(&handed).iter().any(|record| record.jid.as_deref().is_some_and(|jid| jid.contains(':')));
        (there || shop.session().await["status"] != "connected").then_some(())
    })
    .await;
    // A receipt that comes now can't be remembered either.
    let receipt = back(&late, "Late").await;
    told_or_closed(&split, &shop, &receipt).await;
    // A last small row may have found room; then it is on disk and can be read.
    let acknowledged = Transcript::of(&split.control(), &shop.number).acknowledged().contains(&id);
    let kept = shop.api.get("/messages/list/?direction=inbound").await.body["data"]["count"] != json!(0);
    assert!(!acknowledged || kept, "acknowledged without being on disk");

    split.process().lift_file_limit().await;
    let last = json!({"recipient": friend.number, "content": "there is room again"});
    let sent = eventually("the disk to be used again", || async {
        let answer = shop.api.post("/messages/send-text/", &last).await;
        (answer.status == 202).then(|| answer.body["data"].clone())
    });
    accepted.push(sent.await);
    texts.push("there is room again".to_owned());
    for message in accepted.iter().chain([&to_late]) {
        shop.message_becomes(message, "delivered").await;
    }
    friend.shows_at_least(texts.len()).await;
    shown_once_in_order(&texts, &friend.shows());
    shop.receives("while the disk is full").await;
    Transcript::of(&split.control(), &shop.number).no_counter_is_reused();
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_of_a_full_disk_are_kept_over_the_end_of_the_link() {
    let (split, shop) = started_by(&ROOMY).await;
    let mut waiting = Vec::new();
    for name in ["One", "Two", "Three"] {
        waiting.push((name, away(&split, &shop, name).await));
    }
    split.process().fill_disk().await;
    for (name, (friend, sent)) in &waiting {
        let id = back(friend, name).await;
        told_or_closed(&split, &shop, &id).await;
        assert_eq!(shop.message(&sent["id"]).await["status"], "sent", "it can't be written down");
    }
    // The link ends, and there is no other one over which anything could be told again.
    shop.api.post("/sessions/disconnect/", &json!({"logout": false})).await;
    shop.status_becomes("disconnected").await;
    split.process().lift_file_limit().await;
    for (_, (_, sent)) in &waiting {
        shop.message_becomes(sent, "delivered").await;
    }
    shop.api.post("/sessions/reconnect/", &json!({})).await.expect(200);
    shop.status_becomes("connected").await;
    let friend = split.friend("Another").await;
    let sent = shop.send_text(&friend, "and on").await;
    shop.message_becomes(&sent, "delivered").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_disk_stays_full_receipts_wait_at_whatsapp_for_the_next_start() {
    let (mut split, shop) = started_by(&ROOMY).await;
    let (early, _) = away(&split, &shop, "Early").await;
    let (late, to_late) = away(&split, &shop, "Late").await;
    split.process().fill_disk().await;
    let heard = back(&early, "Early").await;
    told_or_closed(&split, &shop, &heard).await;
    // What was heard can't be written down, so nothing more is heard.
    shop.status_becomes("connecting").await;
    let receipt = back(&late, "Late").await;
    let given = StanzaFilter::tag("receipt").of(&late.number).direction(Direction::In).id(&receipt);
    split.control().wait_for_stanza(&given, PATIENCE).await.expect("the phone tells that it has it");
    assert!(!is_told(&split, &shop, &receipt), "acknowledged without being on disk");
    split.kill().await;
    split.run().await;
    split.shop().message_becomes(&to_late, "delivered").await;
}
