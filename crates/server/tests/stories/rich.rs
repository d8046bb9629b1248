//! More than texts: what a person sees and does with them, through kills and disconnects.

use crate::world::{Friend, PATIENCE, World, eventually};
use sanasend_sandbox::{MessageKind, ShownMessage};
use serde_json::{Value, json};

/// Waits until the phone shows what is wanted.
async fn sees(friend: &Friend, what: &str, wanted: impl Fn(&ShownMessage) -> bool) -> ShownMessage {
    let shown = friend.control().wait_until(&friend.number, PATIENCE, |shown| shown.iter().any(&wanted)).await.expect("the phone");
    shown.into_iter().find(|message| wanted(message)).unwrap_or_else(|| panic!("{} never saw {what}", friend.number))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_and_a_shop_say_more_than_texts() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let friend = world.friend("Friend").await;
    // The shop asks, the customer votes.
    let poll = json!({"recipient": friend.number, "question": "When shall we come?", "options": ["Today", "Tomorrow"]});
    let poll = shop.api.post("/messages/send-poll/", &poll).await.expect(202).clone();
    let shown = sees(&friend, "the poll", |message| message.kind == MessageKind::Poll).await;
    assert_eq!(shown.poll.as_ref().map(|poll| poll.options.len()), Some(2));
    friend.control().vote(&friend.number, &shown.id, &["Tomorrow".into()]).await.expect("voted");
    let voted = eventually("the vote", || async {
        let now = shop.message(&poll["id"]).await;
        (now["poll"]["options"][1]["votes"] == 1).then_some(now)
    })
    .await;
    assert_eq!(voted["poll"]["votes"][0]["by"]["phone"], json!(friend.number));
    assert_eq!(shop.is_told("message.voted", &poll).await, 1);
    // The customer changes its mind, thanks, and takes a word back.
    friend.control().vote(&friend.number, &shown.id, &["Today".into()]).await.expect("voted");
    let id = friend.says(&shop, "Thx, come at 5").await;
    let said = shop.receives("Thx, come at 5").await;
    friend.control().edit(&friend.number, &id, "Thanks, come at 6").await.expect("edited");
    eventually("the edit", || async {
        let now = shop.message(&said["id"]).await;
        (now["content"] == "Thanks, come at 6" && now["edited_at"].is_string()).then_some(())
    })
    .await;
    friend.control().delete(&friend.number, &id).await.expect("deleted");
    eventually("the deletion", || async { shop.message(&said["id"]).await["deleted_at"].is_string().then_some(()) }).await;
    let poll_now = shop.message(&poll["id"]).await;
    assert_eq!((&poll_now["poll"]["options"][0]["votes"], &poll_now["poll"]["options"][1]["votes"]), (&json!(1), &json!(0)));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_while_the_account_is_away_is_done_once_it_is_back() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let friend = world.friend("Friend").await;
    let sent = shop.send_text(&friend, "We open at nien").await;
    shop.message_becomes(&sent, "delivered").await;
    shop.api.post("/sessions/disconnect/", &json!({"logout": false})).await.expect(200);
    let path = |what: &str| format!("/messages/{}/{what}/", sent["id"].as_str().expect("an id"));
    let edit = shop.api.post(&path("edit"), &json!({"content": "We open at nine"})).await.expect(202).clone();
    let reaction = shop.api.post(&path("react"), &json!({"emoji": "📌"})).await.expect(202).clone();
    assert_eq!(shop.message(&sent["id"]).await["content"], "We open at nien", "nobody has seen the edit");
    friend.control().react(&friend.number, sent["wa_message_id"].as_str().expect("an id"), "🙏").await.expect("reacted");
    shop.api.post("/sessions/reconnect/", &json!({})).await.expect(200);
    for act in [&edit, &reaction] {
        shop.message_becomes(act, "delivered").await;
    }
    let shown = sees(&friend, "the edit and the pin", |message| message.edited && message.reactions.len() == 2).await;
    assert_eq!(shown.text, "We open at nine");
    let now: Value = eventually("both reactions", || async {
        let now = shop.message(&sent["id"]).await;
        (now["reactions"].as_array().map_or(0, Vec::len) == 2).then_some(now)
    })
    .await;
    assert_eq!(now["content"], "We open at nine");
    for kind in ["message.edited", "message.reacted"] {
        assert!(shop.is_told(kind, &sent).await >= 1, "{kind}");
    }
    world.stop().await;
}
