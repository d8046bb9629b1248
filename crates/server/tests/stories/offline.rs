//! Somebody is away for a while: the recipient, or the whole connection.

use crate::world::World;
use sanasend_sandbox::Fault;
use serde_json::json;

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

crate::world::also_on_postgres! { what_was_sent_to_an_absent_friend_is_delivered_when_he_is_back, a_cut_connection_loses_nothing_in_either_direction }
