//! A group: who got what the shop wrote there, and who read it.

use crate::world::{Shop, World, eventually};
use serde_json::{Value, json};

/// Waits until so many members got a message and so many read it; answers what each told.
async fn members(shop: &Shop, message: &Value, delivered: usize, read: usize) -> Vec<Value> {
    let path = format!("/messages/{}/receipts/", message["id"].as_str().expect("an id"));
    eventually(&format!("{delivered} delivered, {read} read"), || async {
        let listed = shop.api.get(&path).await.expect(200)["results"].as_array().expect("a list").clone();
        let reads = listed.iter().filter(|told| told["read_at"].is_string()).count();
        (listed.len() == delivered && reads == read).then_some(listed)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_three_in_a_group_two_read_it() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let friends = [world.friend("Anna").await, world.friend("Ben").await, world.friend("Carl").await];
    let people: Vec<&str> = friends.iter().map(|friend| friend.number.as_str()).collect();
    let group = world.control().make_group(&shop.number, "Regulars", &people).expect("a group");
    let sent = shop.send_to(&group, "Fresh bread at nine").await;
    for friend in &friends {
        friend.sees("Fresh bread at nine").await;
    }
    let told = members(&shop, &sent, 3, 0).await;
    let phones = |told: &[Value]| {
        let mut phones: Vec<String> = told.iter().filter_map(|told| told["phone"].as_str().map(str::to_owned)).collect();
        phones.sort();
        phones
    };
    let mut everybody: Vec<String> = people.iter().map(|phone| (*phone).to_owned()).collect();
    everybody.sort();
    assert_eq!(phones(&told), everybody, "the shop's own phone is none of them");
    assert_eq!(shop.message(&sent["id"]).await["status"], "delivered");

    for friend in friends.iter().take(2) {
        friend.reads();
    }
    let told = members(&shop, &sent, 3, 2).await;
    let unread: Vec<Value> = told.into_iter().filter(|told| told["read_at"].is_null()).collect();
    assert_eq!(phones(&unread), [friends[2].number.clone()]);
    let now = shop.message(&sent["id"]).await;
    assert_eq!((&now["status"], &now["receipts"]), (&json!("read"), &json!({"delivered": 3, "read": 2})));
    for kind in ["message.delivered", "message.read"] {
        assert_eq!(shop.is_told(kind, &sent).await, 1, "{kind} is of the first member");
    }

    // Who reads it later is added, and nothing else is told of it.
    friends[2].reads();
    members(&shop, &sent, 3, 3).await;
    assert_eq!(shop.is_told("message.read", &sent).await, 1);
    world.stop().await;
}

crate::world::also_on_postgres! { of_three_in_a_group_two_read_it }
