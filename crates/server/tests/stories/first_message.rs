//! The main job, from end to end: an admin makes a user and a key, the user links an account, sends, sees it
//! delivered and read, and gets the answer.

use crate::world::{Shop, World, eventually, text_of};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_text_goes_there_and_an_answer_comes_back() {
    let world = World::start().await;
    let mut shop = customer(&world).await;
    shop.link().await;
    let session = shop.session().await;
    assert_eq!(session["phone_number"], shop.number.as_str(), "{session}");
    let friend = world.friend("Friend").await;

    let sent = shop.send_text(&friend, "Hello from the shop").await;
    assert_eq!(sent["status"], "pending");
    let shown = friend.sees("Hello from the shop").await;
    assert_eq!(shown.id, sent["wa_message_id"].as_str().expect("chosen when it was accepted"));
    shop.message_becomes(&sent, "delivered").await;
    friend.reads();
    let read = shop.message_becomes(&sent, "read").await;
    let times: Vec<&str> =
        ["created_at", "sent_at", "delivered_at", "read_at"].iter().map(|field| read[*field].as_str().expect("a time")).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(read["recipient"]["phone"], friend.number.as_str());

    friend.answers(&shown, "Hello back").await;
    let answer = shop.receives("Hello back").await;
    assert_eq!(answer["sender"]["phone"], friend.number.as_str());
    assert_eq!(answer["direction"], "inbound");
    for kind in ["message.accepted", "message.sent", "message.delivered", "message.read"] {
        assert_eq!(shop.is_told(kind, &sent).await, 1, "{kind}");
    }
    assert_eq!(shop.is_told("message.received", &answer).await, 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_caller_hangs_up_goes_on_its_way() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let friend = world.friend("Friend").await;
    let first = shop.send_text(&friend, "first").await;
    shop.message_becomes(&first, "delivered").await;
    world.gives_up_on(&friend, "and nobody waits").await;
    friend.sees("and nobody waits").await;
    world.stop().await;
}

/// A new user with a key of its own, as an admin makes them.
async fn customer(world: &World) -> Shop {
    let admin = world.admin().await;
    let user = json!({"username": "bakery", "email": "bakery@example.com", "password": "warm bread every morning"});
    let user = admin.post("/users/", &user).await.expect(201).clone();
    let key = json!({"user": user["id"], "name": "till", "scopes": ["messages:send", "messages:read", "sessions:manage", "sessions:read", "events:read"]});
    let key = admin.post("/api-keys/", &key).await.expect(201)["key"].as_str().expect("shown once").to_owned();
    Shop::new(world.api().with_key(&key), world.control())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timeline_tells_each_step() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let friend = world.friend("Friend").await;
    let sent = shop.send_text(&friend, "step by step").await;
    friend.sees("step by step").await;
    let done = shop.message_becomes(&sent, "delivered").await;
    let steps: Vec<&str> = done["timeline"].as_array().expect("a timeline").iter().filter_map(|entry| entry["step"].as_str()).collect();
    assert_eq!(steps, ["accepted", "claimed", "written", "acknowledged", "delivered"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_the_outcome_answers_it() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let friend = world.friend("Friend").await;
    let answer = shop.api.post("/messages/send-text/?wait=20", &json!({"recipient": friend.number, "content": "now"})).await;
    let message = answer.expect(200);
    assert!(["sent", "delivered", "read"].contains(&message["status"].as_str().expect("a status")), "{message}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_quotes_what_it_answers() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let friend = world.friend("Friend").await;
    friend.says(&shop, "Is the bread ready?").await;
    let question = shop.receives("Is the bread ready?").await;
    let reply = json!({"recipient": friend.number, "content": "In ten minutes", "reply_to": question["id"]});
    shop.api.post("/messages/send-text/", &reply).await.expect(202);
    let shown = friend.sees("In ten minutes").await;
    assert_eq!(shown.quoted_id.as_deref(), question["wa_message_id"].as_str());
    assert_eq!(shown.quoted_text.as_deref(), Some("Is the bread ready?"));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn linking_by_code_needs_no_camera() {
    let world = World::start().await;
    let mut shop = world.shop();
    let phone = world.friend("Owner").await;
    let answer = shop.api.post("/sessions/init/", &json!({"phone_number": phone.number})).await;
    assert!(answer.status < 300, "{}", answer.body);
    let code = eventually("a pairing code", || async {
        let session = shop.session().await;
        let code = &session["pairing_code"];
        code.as_str().or_else(|| code["code"].as_str()).or_else(|| code["text"].as_str()).map(str::to_owned)
    });
    let code = code.await;
    assert_eq!(code.replace('-', "").len(), 8, "{code}");
    world.control().type_pair_code(&phone.number, &code).await.expect("the phone takes the code");
    shop.status_becomes("connected").await;
    shop.number = phone.number;
    let friend = world.friend("Friend").await;
    shop.send_text(&friend, "linked by code").await;
    friend.sees("linked by code").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_message_of_a_new_contact_is_not_lost() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let mut strangers = Vec::new();
    for number in 0..5 {
        strangers.push(world.friend(&format!("Stranger {number}")).await);
    }
    let said = strangers.iter().enumerate().map(|(number, stranger)| {
        let (shop, text) = (shop.clone(), format!("Do you sell bread? ({number})"));
        async move { stranger.says(&shop, &text).await }
    });
    futures::future::join_all(said).await;
    for (number, stranger) in strangers.iter().enumerate() {
        let message = shop.receives(&format!("Do you sell bread? ({number})")).await;
        assert_eq!(message["sender"]["phone"], stranger.number.as_str());
    }
    assert_eq!(shop.incoming().await.iter().filter(|message| text_of(message).starts_with("Do you")).count(), 5);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn order_in_a_chat_is_the_order_of_acceptance() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let friend = world.friend("Friend").await;
    let texts: Vec<String> = (0..30).map(|number| format!("line {number}")).collect();
    for text in &texts {
        shop.send_text(&friend, text).await;
    }
    friend.shows_at_least(texts.len()).await;
    crate::world::shown_once_in_order(&texts, &friend.shows());
    world.stop().await;
}

crate::world::also_on_postgres! { a_text_goes_there_and_an_answer_comes_back, order_in_a_chat_is_the_order_of_acceptance }
