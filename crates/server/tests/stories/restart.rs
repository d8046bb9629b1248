//! Linked accounts survive what is not an unlink, and an unlink is seen.

use crate::world::{Shop, Transcript, World, eventually, qr_text};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn linked_accounts_come_back_by_themselves() {
    let mut world = World::start().await;
    let shop = world.linked_shop().await;
    let friend = world.friend("Friend").await;
    shop.send_text(&friend, "before").await;
    friend.sees("before").await;
    world.restart().await;
    let (shop, friend) = (world.shop(), world.again(&friend));
    let session = shop.status_becomes("connected").await;
    assert!(session["qr_code"].is_null(), "no new code is asked for");
    shop.send_text(&friend, "after").await;
    friend.sees("after").await;
    assert_eq!(friend.shows(), ["before", "after"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_unlink_is_seen_and_a_new_link_works() {
    let world = World::start().await;
    let mut shop = world.linked_shop().await;
    let devices = world.control().devices(&shop.number).expect("devices");
    let companion = devices.iter().find(|device| device.id != 0).expect("the companion");
    world.control().unlink(&shop.number, companion.id).expect("unlinked");
    let session = shop.status_becomes("logged_out").await;
    assert!(session["reason"].as_str().is_some_and(|reason| reason.contains("unlinked")), "{session}");
    let refused = shop.api.post("/messages/send-text/", &json!({"recipient": "+12025550123", "content": "hi"})).await;
    assert_eq!((refused.status, refused.code()), (409, "SESSION_NOT_LINKED"), "{}", refused.body);
    shop.link().await;
    let friend = world.friend("Friend").await;
    shop.send_text(&friend, "linked anew").await;
    friend.sees("linked anew").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_out_unlinks_the_device_at_whatsapp_too() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    shop.api.post("/sessions/disconnect/", &json!({})).await.expect(200);
    shop.status_becomes("logged_out").await;
    let devices = world.control().devices(&shop.number).expect("devices");
    assert_eq!(devices.len(), 1, "only the phone is left: {devices:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_that_can_not_be_written_says_so_and_is_written_as_soon_as_it_can() {
    let mut world = World::start().await;
    let shop = world.linked_shop().await;
    world.tamper("CREATE TRIGGER away BEFORE DELETE ON signal BEGIN SELECT RAISE(ABORT, 'away'); END").await;
    for _ in 0..2 {
        let refused = shop.api.post("/sessions/disconnect/", &json!({})).await;
        assert_eq!((refused.status, refused.code()), (503, "SERVICE_UNAVAILABLE"), "{}", refused.body);
    }
    assert_eq!(shop.session().await["status"], "logged_out");
    world.tamper("DROP TRIGGER away").await;
    eventually("the credentials to be erased", || async {
        (world.ask("SELECT COUNT(*) FROM signal").await + world.ask("SELECT COUNT(*) FROM sessions WHERE linked").await == 0).then_some(())
    })
    .await;
    world.restart().await;
    let mut shop = world.shop();
    assert_eq!(shop.session().await["status"], "logged_out");
    shop.link().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn going_offline_keeps_the_link() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let friend = world.friend("Friend").await;
    shop.api.post("/sessions/disconnect/", &json!({"logout": false})).await.expect(200);
    shop.status_becomes("disconnected").await;
    let waiting = shop.send_text(&friend, "for later").await;
    friend.says(&shop, "are you there?").await;
    assert_eq!(shop.message(&waiting["id"]).await["status"], "pending");
    shop.api.post("/sessions/reconnect/", &json!({})).await.expect(200);
    shop.status_becomes("connected").await;
    friend.sees("for later").await;
    shop.receives("are you there?").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_was_brought_back_online_comes_back_by_itself_again() {
    let mut world = World::start().await;
    let shop = world.linked_shop().await;
    shop.api.post("/sessions/disconnect/", &json!({"logout": false})).await.expect(200);
    shop.status_becomes("disconnected").await;
    world.restart().await;
    let shop = world.shop();
    assert_eq!(shop.session().await["status"], "disconnected", "its owner does not want it");
    shop.api.post("/sessions/reconnect/", &json!({})).await.expect(200);
    shop.status_becomes("connected").await;
    world.restart().await;
    world.shop().status_becomes("connected").await;
    world.stop().await;
}

/// A shop that went offline while the database took no news, and the message of which it was told that it arrived.
async fn offline_with_news(world: &World) -> (Shop, Value) {
    let shop = world.linked_shop().await;
    let friend = world.friend("Friend").await;
    friend.goes_offline().await;
    let sent = shop.send_text(&friend, "are you there?").await;
    shop.message_becomes(&sent, "sent").await;
    world.tamper("CREATE TRIGGER news BEFORE UPDATE OF status ON messages BEGIN SELECT RAISE(ABORT, 'away'); END").await;
    friend.comes_back().await;
    let id = friend.sees("are you there?").await.id;
    eventually("the receipt to be heard", || async {
        Transcript::of(&world.control(), &shop.number).receipts_acknowledged().contains(&id).then_some(())
    })
    .await;
    shop.api.post("/sessions/disconnect/", &json!({"logout": false})).await.expect(200);
    shop.status_becomes("disconnected").await;
    (shop, sent)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_before_the_end_is_written_by_the_stop_of_the_server() {
    let mut world = World::start().await;
    let (_, sent) = offline_with_news(&world).await;
    world.tamper("DROP TRIGGER news").await;
    world.restart().await;
    // It is offline: nobody tells it anything now.
    world.shop().message_becomes(&sent, "delivered").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn going_offline_is_written_down_although_news_from_before_still_wait() {
    let world = World::start().await;
    let (shop, sent) = offline_with_news(&world).await;
    // The next driver writes down first what the last one could not.
    shop.api.post("/sessions/reconnect/", &json!({})).await.expect(200);
    world.tamper("CREATE TRIGGER stuck BEFORE UPDATE OF wanted ON sessions BEGIN SELECT RAISE(ABORT, 'away'); END").await;
    let refused = shop.api.post("/sessions/disconnect/", &json!({"logout": false})).await;
    assert_eq!((refused.status, refused.code()), (503, "SERVICE_UNAVAILABLE"), "{}", refused.body);
    world.tamper("DROP TRIGGER stuck").await;
    eventually("the owner's wish to be written", || async {
        (world.ask("SELECT COUNT(*) FROM sessions WHERE wanted").await == 0).then_some(())
    })
    .await;
    world.tamper("DROP TRIGGER news").await;
    shop.message_becomes(&sent, "delivered").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_in_the_making_survives_nothing_and_leaves_nothing() {
    let mut world = World::start().await;
    let shop = world.shop();
    let answer = shop.api.post("/sessions/init/", &json!({})).await;
    let old = qr_text(&answer.body["data"]);
    world.restart().await;
    let mut shop = world.shop();
    let session = shop.session().await;
    assert_ne!(session["status"], "connected");
    assert!(world.control().scan(&old, None).await.is_err(), "the old code is worthless");
    shop.link().await;
    world.stop().await;
}

crate::world::also_on_postgres! { linked_accounts_come_back_by_themselves, an_account_that_was_brought_back_online_comes_back_by_itself_again, logging_out_unlinks_the_device_at_whatsapp_too, going_offline_keeps_the_link }
