//! One key, one message: through repetition, through a crowd, through a restart.

use crate::world::World;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn fifty_requests_at_once_with_one_key_are_one_message() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let friend = world.friend("Friend").await;
    let body = json!({"recipient": friend.number, "content": "only once"});
    let requests = (0..50).map(|_| shop.api.post_with("/messages/send-text/", &body, &[("Idempotency-Key", "order-17")]));
    let answers = futures::future::join_all(requests).await;
    let first = answers[0].body["data"]["id"].clone();
    for answer in &answers {
        assert_eq!(answer.expect(202)["id"], first, "{}", answer.body);
    }
    let replayed = answers.iter().filter(|answer| answer.headers.get("Idempotency-Replayed").is_some_and(|value| value == "true")).count();
    assert_eq!(replayed, 49);
    friend.sees("only once").await;
    shop.send_text(&friend, "the next").await;
    friend.sees("the next").await;
    assert_eq!(friend.shows(), ["only once", "the next"]);
    assert_eq!(shop.listed("direction=outbound").await.len(), 2);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_remembered_over_a_restart_and_refuses_another_body() {
    let mut world = World::start().await;
    let shop = world.linked_shop().await;
    let friend = world.friend("Friend").await;
    let body = json!({"recipient": friend.number, "content": "invoice 4"});
    let first = shop.api.post_with("/messages/send-text/", &body, &[("Idempotency-Key", "invoice-4")]).await;
    friend.sees("invoice 4").await;
    world.restart().await;
    let (shop, friend) = (world.shop(), world.again(&friend));
    let again = shop.api.post_with("/messages/send-text/", &body, &[("Idempotency-Key", "invoice-4")]).await;
    assert_eq!(again.expect(202)["id"], first.expect(202)["id"]);
    let other = json!({"recipient": friend.number, "content": "invoice 5"});
    let refused = shop.api.post_with("/messages/send-text/", &other, &[("Idempotency-Key", "invoice-4")]).await;
    assert_eq!((refused.status, refused.code()), (422, "IDEMPOTENCY_KEY_REUSED"));
    shop.status_becomes("connected").await;
    shop.send_text(&friend, "the next").await;
    friend.sees("the next").await;
    assert_eq!(friend.shows(), ["invoice 4", "the next"]);
    world.stop().await;
}

crate::world::also_on_postgres! { fifty_requests_at_once_with_one_key_are_one_message, a_key_is_remembered_over_a_restart_and_refuses_another_body }
