//! A campaign while its server is killed again and again: each of its recipients has the message once.

use crate::world::{Friend, Split, Transcript, eventually, shown_once};
use serde_json::{Value, json};
use std::time::Duration;

/// Killed at these moments after each start, in milliseconds: while messages are accepted, written and acknowledged.
const MOMENTS: [u64; 8] = [5, 40, 90, 15, 160, 60, 250, 30];

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_doubles_nobody_however_often_its_server_is_killed() {
    let mut split = Split::linked().await;
    let mut friends: Vec<Friend> = Vec::new();
    for number in 0..40 {
        friends.push(split.friend(&format!("Friend {number}")).await);
    }
    let recipients: Vec<Value> =
        friends.iter().enumerate().map(|(at, friend)| json!({"phone": friend.number, "variables": {"n": at}})).collect();
    let body = json!({"content": "To number {{n}}", "recipients": recipients, "pacing": "none"});
    let made = split.shop().api.post_with("/messages/send-bulk/", &body, &[("Idempotency-Key", "once")]).await;
    let id = made.expect(202)["id"].as_str().expect("an id").to_owned();
    for moment in MOMENTS {
        tokio::time::sleep(Duration::from_millis(moment)).await;
        split.kill_and_run().await;
    }
    // The request that made it, repeated as programs do, makes no other.
    let again = split.shop().api.post_with("/messages/send-bulk/", &body, &[("Idempotency-Key", "once")]).await;
    assert_eq!(again.expect(202)["id"], id.as_str());
    let shop = split.shop();
    let report = eventually("the end of the campaign", || async {
        let report = shop.api.get(&format!("/campaigns/{id}/")).await.expect(200).clone();
        (report["state"] == "finished").then_some(report)
    });
    let report = report.await;
    assert_eq!((&report["accepted"], &report["outcomes"]["failed"]), (&json!(40), &json!(0)), "{report}");
    for (at, friend) in friends.iter().enumerate() {
        let text = format!("To number {at}");
        friend.sees(&text).await;
        shown_once(&[text], &friend.shows());
    }
    let rows = shop.api.get(&format!("/campaigns/{id}/recipients/?page_size=100")).await;
    let mut messages: Vec<String> =
        rows.expect(200)["results"].as_array().expect("a list").iter().map(|row| row["message"].to_string()).collect();
    messages.sort_unstable();
    messages.dedup();
    assert_eq!(messages.len(), 40, "one message each");
    Transcript::of(&split.control(), &shop.number).no_counter_is_reused();
}

crate::world::also_on_postgres! { a_campaign_doubles_nobody_however_often_its_server_is_killed }
