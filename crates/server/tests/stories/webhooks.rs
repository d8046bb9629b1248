//! A customer who listens is told of everything, signed, in order per chat, at least once whatever happens to the server.

use crate::world::{Customer, Heard, Manner, Shop, Split, World, text_of};
use sanasend::config::Cidr;
use serde_json::{Value, json};

impl Customer {
    /// Waits until it is told this of a message; answers the first time.
    pub async fn is_told(&self, kind: &str, message: &Value) -> Heard {
        let of = |heard: &Heard| heard.kind() == kind && heard.body["data"]["message"]["id"] == message["id"];
        let heard = self.hears_until(kind, |heard| heard.iter().any(of)).await;
        heard.into_iter().find(of).expect("just heard")
    }
}

async fn listening_shop(world: &World, customer: &Customer) -> (Shop, String) {
    let shop = world.linked_shop().await;
    let secret = listens(&shop, customer).await;
    (shop, secret)
}

async fn listens(shop: &Shop, customer: &Customer) -> String {
    let made = shop.api.post("/webhooks/", &json!({"url": customer.url, "events": ["message.*"]})).await;
    made.expect(201)["secret"].as_str().expect("shown once").to_owned()
}

async fn world() -> World {
    World::start_with(|config| config.egress.allow = vec![Cidr("127.0.0.1/32".parse().expect("a network"))]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_is_told_of_its_messages() {
    let world = world().await;
    let customer = Customer::listens().await;
    let (shop, secret) = listening_shop(&world, &customer).await;
    let friend = world.friend("Friend").await;
    let sent = shop.send_text(&friend, "Hello").await;
    let shown = friend.sees("Hello").await;
    let mut told = vec![customer.is_told("message.accepted", &sent).await, customer.is_told("message.sent", &sent).await];
    told.push(customer.is_told("message.delivered", &sent).await);
    friend.answers(&shown, "Hello back").await;
    let answer = shop.receives("Hello back").await;
    let received = customer.is_told("message.received", &answer).await;
    assert_eq!(text_of(&received.body["data"]["message"]), "Hello back");
    told.push(received);
    assert!(told.iter().all(|heard| heard.is_signed_by(&secret)));
    assert!(told.iter().all(|heard| !heard.headers.contains_key("traceparent")), "nobody collects spans here");
    let cursors: Vec<i64> = told.iter().filter_map(|heard| heard.body["cursor"].as_i64()).collect();
    assert!(cursors.len() == 4 && cursors.is_sorted(), "{cursors:?}");
    let log = shop.events().await;
    for heard in customer.heard() {
        assert!(log.iter().any(|event| event["id"] == heard.body["id"]), "what is told outside was first written there");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn order_in_a_chat_is_the_order_of_the_log() {
    let world = world().await;
    let customer = Customer::listens().await;
    let (shop, _) = listening_shop(&world, &customer).await;
    let friends = [world.friend("Anna").await, world.friend("Ben").await];
    let mut last = Vec::new();
    for number in 0..10 {
        last = vec![shop.send_text(&friends[0], &format!("{number}")).await, shop.send_text(&friends[1], &format!("{number}")).await];
    }
    for message in &last {
        customer.is_told("message.delivered", message).await;
    }
    let heard = customer.heard();
    for message in &last {
        let of_chat = |event: &&Heard| event.body["data"]["message"]["chat"] == message["chat"];
        let cursors: Vec<i64> = heard.iter().filter(of_chat).filter_map(|heard| heard.body["cursor"].as_i64()).collect();
        assert!(cursors.len() >= 30 && cursors.is_sorted(), "{cursors:?}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_event_and_delivery() {
    let mut split = Split::linked().await;
    let customer = Customer::listens().await;
    customer.answers(|_| Manner::Hang);
    let (shop, friend) = (split.shop(), split.friend("Friend").await);
    let secret = listens(&shop, &customer).await;
    let sent = shop.send_text(&friend, "will you hear of it?").await;
    customer.hears(1).await;
    let cut = customer.is_told("message.accepted", &sent).await;
    split.kill().await;
    customer.answers(|_| Manner::Header(200, "x-noted", "yes".into()));
    split.run().await;
    let twice = |heard: &[Heard]| heard.iter().filter(|heard| heard.id == cut.id).count() >= 2;
    let heard = customer.hears_until("the same again", twice).await;
    let again: Vec<_> = heard.iter().filter(|heard| heard.id == cut.id).collect();
    assert!(again.iter().all(|heard| heard.bytes == cut.bytes && heard.is_signed_by(&secret)), "the same id, the same body");
    let shop = split.shop();
    let delivered = shop.message_becomes(&sent, "delivered").await;
    customer.is_told("message.delivered", &delivered).await;
    let ids: Vec<Value> = shop.events().await.iter().map(|event| event["id"].clone()).collect();
    assert!(customer.heard().iter().all(|heard| ids.contains(&heard.body["id"])));
}
