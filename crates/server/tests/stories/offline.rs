//! Somebody is away for a while: the recipient, or the whole connection.

use crate::world::{World, becomes};
use sanasend::clock::SystemClock;
use sanasend_model::{Clock, Timestamp};
use sanasend_sandbox::Fault;
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_to_an_absent_friend_is_delivered_when_he_is_back() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let friend = world.friend("Friend").await;
    friend.goes_offline().await;
    let mut sent = Vec::new();
    for number in 0..5 {
        sent.push(shop.send_text(&friend, &format!("waiting {number}")).await);
    }
    for message in &sent {
        let message = shop.message_becomes(message, "sent").await;
        assert!(message["delivered_at"].is_null(), "{message}");
    }
    friend.comes_back().await;
    for message in &sent {
        shop.message_becomes(message, "delivered").await;
    }
    assert_eq!(friend.shows(), ["waiting 0", "waiting 1", "waiting 2", "waiting 3", "waiting 4"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_loses_nothing_in_either_direction() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let friend = world.friend("Friend").await;
    let (mut there, mut back) = (Vec::new(), Vec::new());
    for number in 0..6 {
        there.push(format!("there {number}"));
        shop.send_text(&friend, &there[number]).await;
        world.control().fault(&shop.number, Fault::Disconnect).expect("cut");
        back.push(format!("back {number}"));
        friend.says(&shop, &back[number]).await;
    }
    for text in &back {
        shop.receives(text).await;
    }
    friend.shows_at_least(there.len()).await;
    crate::world::shown_once_in_order(&there, &friend.shows());
    let incoming: Vec<String> = shop.incoming().await.iter().map(|message| crate::world::text_of(message).to_owned()).collect();
    crate::world::shown_once_in_order(&back, &incoming);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stanza_that_comes_twice_changes_nothing() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let friend = world.friend("Friend").await;
    world.control().fault(&shop.number, Fault::Duplicate(20)).expect("fault");
    for number in 0..5 {
        friend.says(&shop, &format!("twice {number}")).await;
    }
    for number in 0..5 {
        shop.receives(&format!("twice {number}")).await;
    }
    world.control().clear_faults();
    friend.says(&shop, "the last").await;
    shop.receives("the last").await;
    assert_eq!(shop.incoming().await.len(), 6);
    assert_eq!(shop.events().await.iter().filter(|event| event["type"] == "message.received").count(), 6);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_connection_goes_although_the_database_failed_when_it_came() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let friend = world.friend("Friend").await;
    shop.api.post("/sessions/disconnect/", &json!({"logout": false})).await.expect(200);
    shop.status_becomes("disconnected").await;
    shop.send_text(&friend, "at last").await;
    // As if it had been taken up when the line was down already.
    world.tamper("UPDATE outbox SET due_at = NULL").await;
    world.tamper("CREATE TRIGGER away BEFORE UPDATE OF due_at ON outbox BEGIN SELECT RAISE(ABORT, 'away'); END").await;
    shop.api.post("/sessions/reconnect/", &json!({})).await.expect(200);
    shop.status_becomes("connected").await;
    world.tamper("DROP TRIGGER away").await;
    friend.sees("at last").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_without_an_answer_is_sent_again_although_others_are_heard_of() {
    let world = World::start_with(|config| config.messages.ack_timeout_seconds = 1).await;
    let shop = world.linked_shop().await;
    let (away, late) = (world.friend("Away").await, world.friend("Late").await);
    away.goes_offline().await;
    late.goes_offline().await;
    let before = shop.send_text(&late, "from before").await;
    shop.message_becomes(&before, "sent").await;
    world.control().fault(&shop.number, Fault::DropAcks(1)).expect("fault");
    let sent = shop.send_text(&away, "is it there?").await;
    becomes(
        "waiting for its next try",
        || shop.message(&sent["id"]),
        |message| message["timeline"].as_array().is_some_and(|steps| steps.iter().any(|entry| entry["step"] == "retrying")),
    )
    .await;
    // A receipt of another message: the link lives, so nobody makes a new one.
    late.comes_back().await;
    shop.message_becomes(&before, "delivered").await;
    shop.message_becomes(&sent, "sent").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_behind_a_message_that_nobody_answered_goes_at_once() {
    let world = World::start_with(|config| config.messages.ack_timeout_seconds = 3).await;
    let shop = world.linked_shop().await;
    let friend = world.friend("Friend").await;
    // A receipt would be an answer.
    friend.goes_offline().await;
    world.control().fault(&shop.number, Fault::DropAcks(1)).expect("fault");
    let end = SystemClock.now().plus(Duration::from_secs(2));
    let first = json!({"recipient": friend.number, "content": "first", "expires_at": end.to_string()});
    let first = shop.api.post("/messages/send-text/", &first).await.expect(202).clone();
    let second = shop.send_text(&friend, "second").await;
    let second = shop.message_becomes(&second, "sent").await;
    let sent = Timestamp::parse(second["sent_at"].as_str().expect("a time")).expect("a time");
    // A new link would bring it too, but is made only when this one was dead for long.
    assert!(sent.since(end) < Duration::from_secs(8), "{second}");
    let first = shop.message(&first["id"]).await;
    assert_eq!((&first["status"], &first["error_code"]), (&json!("failed"), &json!("OUTCOME_UNKNOWN")), "{first}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_behind_a_message_that_is_taken_back_goes_at_once() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let (friend, other) = (world.friend("Friend").await, world.friend("Other").await);
    shop.api.post("/sessions/disconnect/", &json!({"logout": false})).await.expect(200);
    shop.status_becomes("disconnected").await;
    let first = shop.send_text(&friend, "first").await;
    shop.send_text(&friend, "second").await;
    // As if a try of it had come to nothing.
    world.tamper("UPDATE outbox SET due_at = due_at + 3600000 WHERE head").await;
    shop.api.post("/sessions/reconnect/", &json!({})).await.expect(200);
    shop.status_becomes("connected").await;
    let sent = shop.send_text(&other, "meanwhile").await;
    shop.message_becomes(&sent, "delivered").await;
    shop.api.post(&format!("/messages/{}/cancel/", first["id"].as_str().expect("an id")), &json!({})).await.expect(200);
    friend.sees("second").await;
    assert_eq!(friend.shows(), ["second"]);
    world.stop().await;
}

crate::world::also_on_postgres! { what_was_sent_to_an_absent_friend_is_delivered_when_he_is_back, a_cut_connection_loses_nothing_in_either_direction }
