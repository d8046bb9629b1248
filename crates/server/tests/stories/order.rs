//! What WhatsApp tells in another order than it happened in: receipts before receipts, receipts before acknowledgements,
//! messages before messages. Statuses only go forward, and each message is stored once.

use crate::world::{Friend, PATIENCE, Shop, World, eventually, shown_once};
use sanasend_sandbox::{Auto, Control, Direction, Fault, StanzaFilter, StanzaRecord};
use serde_json::{Value, json};
use std::time::Duration;

/// Longer than anything here takes: a reordering that ends by itself would show as a failure.
const LONG: Duration = Duration::from_mins(1);

/// A shop whose own phone is away, so that it is told of a message by nobody but the friend; they have written before.
async fn acquainted(world: &World) -> (Shop, Friend) {
    let shop = world.linked_shop().await;
    let (friend, control) = (world.friend("Friend").await, world.control());
    let first = shop.send_text(&friend, "Hello").await;
    shop.message_becomes(&first, "delivered").await;
    // Its phone greets it with keys and history, and says that it saw the first message; then it is heard no more.
    let came = |tag: &str| to_companion(&control, &shop, StanzaFilter::tag(tag)).len();
    eventually("the greeting of the phone", || async { (came("message") >= 2 && came("receipt") >= 2).then_some(()) }).await;
    control.set_online(&shop.number, false).await.expect("offline");
    (shop, friend)
}

/// What went to the shop's companion.
fn to_companion(control: &Control, shop: &Shop, filter: StanzaFilter) -> Vec<StanzaRecord> {
    let mut records = control.transcript(&filter.of(&shop.number).direction(Direction::Out));
    records.retain(|record| record.jid.as_deref().is_some_and(|jid| jid.contains(':')));
    records
}

/// What the shop's companion was told of a message, in order: `ack`, `delivered`, `read`.
fn told(control: &Control, shop: &Shop, id: &str) -> Vec<String> {
    let word = |tag: &str, kind: Option<&str>| if tag == "receipt" { kind.unwrap_or("delivered").to_owned() } else { tag.to_owned() };
    let records = to_companion(control, shop, StanzaFilter::default().id(id));
    records.iter().map(|record| word(&record.tag, record.node["attrs"]["type"].as_str())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_receipt_before_the_delivery_receipt_is_read_and_stays_so() {
    let world = World::start().await;
    let (shop, friend) = acquainted(&world).await;
    let control = world.control();
    control.auto(&friend.number, Auto { read: true, reply: None }).expect("reads by himself");
    control.fault(&shop.number, Fault::Reorder { count: 2, within: LONG }).expect("planted");
    let sent = shop.send_text(&friend, "Fresh bread").await;
    let read = shop.message_becomes(&sent, "read").await;
    assert!(read["delivered_at"].is_string() && read["read_at"].is_string(), "what was read was delivered: {read}");

    // What is told of a later message has been told after all of that.
    let later = shop.send_text(&friend, "And rolls").await;
    shop.message_becomes(&later, "read").await;
    let id = friend.sees("Fresh bread").await.id;
    let receipts: Vec<String> = told(&control, &shop, &id).into_iter().filter(|what| what != "ack").collect();
    assert_eq!(receipts, ["read", "delivered"]);
    let now = shop.message(&sent["id"]).await;
    assert_eq!((&now["status"], &now["delivered_at"], &now["read_at"]), (&read["status"], &read["delivered_at"], &read["read_at"]));
    let events = shop.events().await;
    let of_it = events.iter().filter(|event| event["data"]["message"]["id"] == sent["id"]);
    let kinds: Vec<&str> = of_it.filter_map(|event| event["type"].as_str()).collect();
    // The client library hands two receipts of one moment on side by side, so that the first may still overtake the second here;
    // but what comes late is told to nobody.
    assert_eq!(kinds.last(), Some(&"message.read"), "{kinds:?}");
    assert!(kinds.iter().filter(|kind| **kind == "message.read").count() == 1 && kinds.len() <= 4, "{kinds:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_before_the_acknowledgement_proves_it() {
    let world = World::start().await;
    let (shop, friend) = acquainted(&world).await;
    let control = world.control();
    control.fault(&shop.number, Fault::HoldAcks).expect("planted");
    let sent = shop.send_text(&friend, "Fresh bread").await;
    let delivered = shop.message_becomes(&sent, "delivered").await;
    assert!(delivered["sent_at"].is_string(), "what was delivered was sent: {delivered}");
    control.clear_faults();

    let later = shop.send_text(&friend, "And rolls").await;
    shop.message_becomes(&later, "delivered").await;
    let id = friend.sees("Fresh bread").await.id;
    assert_eq!(told(&control, &shop, &id), ["delivered", "ack"]);
    let now = shop.message(&sent["id"]).await;
    assert_eq!((&now["status"], &now["sent_at"], &now["attempts"]), (&delivered["status"], &delivered["sent_at"], &delivered["attempts"]));
    assert_eq!((shop.is_told("message.delivered", &sent).await, shop.is_told("message.failed", &sent).await), (1, 0));
    assert_eq!(friend.shows(), ["Hello", "Fresh bread", "And rolls"], "nothing is sent again");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_come_in_reverse_are_stored_once_each() {
    let world = World::start().await;
    let (shop, friend) = acquainted(&world).await;
    let control = world.control();
    control.fault(&shop.number, Fault::Reorder { count: 6, within: LONG }).expect("planted");
    let mut texts = Vec::new();
    for number in 0..6 {
        texts.push(format!("word {number}"));
        friend.says(&shop, &texts[number]).await;
    }
    for text in &texts {
        shop.receives(text).await;
    }
    friend.says(&shop, "the last").await;
    shop.receives("the last").await;
    let incoming: Vec<String> = shop.incoming().await.iter().map(|message| crate::world::text_of(message).to_owned()).collect();
    shown_once(&texts, &incoming);
    assert_eq!(incoming.len(), 7);
    assert_eq!(shop.events().await.iter().filter(|event| event["type"] == "message.received").count(), 7);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_and_a_reaction_before_their_message_show_at_it() {
    let world = World::start().await;
    let (shop, friend) = acquainted(&world).await;
    let control = world.control();
    control.fault(&shop.number, Fault::Reorder { count: 3, within: LONG }).expect("planted");
    let id = friend.says(&shop, "Teh bread, please").await;
    control.edit(&friend.number, &id, "The bread, please").await.expect("edited");
    control.react(&friend.number, &id, "🥖").await.expect("reacted");
    let now = eventually("the message as it is now", || async {
        let is_it = |message: &Value| message["message_type"] == "text" && message["content"] == "The bread, please";
        shop.incoming().await.into_iter().find(is_it)
    })
    .await;
    assert_eq!((now["edited_at"].is_string(), &now["reactions"][0]["emoji"]), (true, &json!("🥖")));
    for kind in ["message.received", "message.edited", "message.reacted"] {
        assert_eq!(shop.is_told(kind, &now).await, 1, "{kind}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_while_stanzas_are_held_loses_none_of_them() {
    let world = World::start().await;
    let (shop, friend) = acquainted(&world).await;
    let control = world.control();
    control.fault(&shop.number, Fault::Reorder { count: 100, within: LONG }).expect("planted");
    let sent = shop.send_text(&friend, "Fresh bread").await;
    shop.message_becomes(&sent, "sent").await;
    friend.sees("Fresh bread").await;
    let id = friend.says(&shop, "Two, please").await;
    let taken = StanzaFilter::tag("ack").of(&friend.number).id(&id).direction(Direction::Out);
    assert!(control.wait_for_stanza(&taken, PATIENCE).await.is_some(), "it is in the queue of the shop");
    control.fault(&shop.number, Fault::Disconnect).expect("cut");
    shop.receives("Two, please").await;
    shop.message_becomes(&sent, "delivered").await;
    control.clear_faults();
    friend.says(&shop, "Or three").await;
    shop.receives("Or three").await;
    assert_eq!(shop.incoming().await.len(), 2);
    world.stop().await;
}

crate::world::also_on_postgres! { a_read_receipt_before_the_delivery_receipt_is_read_and_stays_so, messages_that_come_in_reverse_are_stored_once_each }
