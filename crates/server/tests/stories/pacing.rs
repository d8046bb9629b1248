//! An account that is asked for more than its pacing allows: nothing is lost, the order stays, and every wait says why.

use crate::world::{World, becomes};
use serde_json::Value;

/// The steps of a message's timeline.
fn steps(message: &Value) -> Vec<&str> {
    let timeline = message["timeline"].as_array().expect("a timeline");
    timeline.iter().map(|entry| entry["step"].as_str().expect("a step")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_beyond_the_pace_of_the_account_wait_in_order_and_say_why() {
    let world = World::start_with(|config| {
        config.pacing.sandbox = true;
        (config.pacing.per_minute, config.pacing.burst) = (60, 2);
        config.pacing.warm_up.0 = Vec::new();
    })
    .await;
    let shop = world.linked_shop().await;
    let mut sent = Vec::new();
    for number in 0..5 {
        let friend = world.friend(&format!("Friend {number}")).await;
        sent.push(shop.send_text(&friend, &format!("text {number}")).await);
    }
    let last = &sent[4];
    let waiting = becomes("held back", || shop.message(&last["id"]), |now| steps(now).last() == Some(&"held")).await;
    let why = waiting["timeline"].as_array().and_then(|steps| steps.last()).expect("a step")["detail"].clone();
    assert!(why.as_str().is_some_and(|why| why.starts_with("held since ") && why.ends_with(": account pacing")), "{why}");
    assert!(shop.session().await["paced_since"].is_string());
    let mut times = Vec::new();
    for message in &sent {
        let message = shop.message_becomes(message, "delivered").await;
        times.push(message["sent_at"].as_str().expect("a time").parse::<chrono::DateTime<chrono::Utc>>().expect("a time"));
    }
    assert!(times.is_sorted(), "{times:?}");
    assert!((times[4] - times[1]).num_milliseconds() > 2500, "two at once, then one a second: {times:?}");
    let first = shop.message(&sent[0]["id"]).await;
    assert_eq!(steps(&first), ["accepted", "claimed", "written", "acknowledged", "delivered"]);
    let told = shop.message(&last["id"]).await;
    assert_eq!(steps(&told), ["accepted", "held", "claimed", "written", "acknowledged", "delivered"]);
    let why = told["timeline"][1]["detail"].as_str().expect("a reason");
    assert!(why.starts_with("held ") && why.ends_with(" s: account pacing, 60 messages a minute"), "{why}");
    becomes("let go", || shop.session(), |session| session["paced_since"].is_null()).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_account_is_slow_on_its_first_day() {
    let world = World::start_with(|config| {
        config.pacing.sandbox = true;
        config.pacing.warm_up.0 = vec![1];
    })
    .await;
    let shop = world.linked_shop().await;
    let friend = world.friend("Friend").await;
    let first = shop.send_text(&friend, "at once").await;
    shop.message_becomes(&first, "delivered").await;
    let second = shop.send_text(&friend, "in a minute").await;
    becomes("held back", || shop.message(&second["id"]), |now| steps(now).last() == Some(&"held")).await;
    // It is taken back as any other that has not left.
    let path = format!("/messages/{}/cancel/", second["id"].as_str().expect("an id"));
    shop.api.post(&path, &serde_json::json!({})).await.expect(200);
    assert_eq!(friend.shows(), ["at once"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_sandbox_nobody_waits_unless_that_is_asked_for() {
    let world = World::start_with(|config| (config.pacing.per_minute, config.pacing.burst) = (1, 1)).await;
    let shop = world.linked_shop().await;
    let friend = world.friend("Friend").await;
    for number in 0..5 {
        let message = shop.send_text(&friend, &format!("text {number}")).await;
        let message = shop.message_becomes(&message, "delivered").await;
        assert!(!steps(&message).contains(&"held"), "{message}");
    }
    world.stop().await;
}
