//! Conversations: one entry for each, by the newest message, and what nobody has answered.

use crate::account::Account;
use crate::world::{As, text};
use serde_json::{Value, json};

async fn chats(account: &Account, query: &str) -> Vec<Value> {
    let reply = account.get(&format!("/chats/{query}")).await;
    reply.is(200, "");
    assert!(reply.body["data"]["count"].is_null(), "{}", reply.text);
    reply.body["data"]["results"].as_array().expect("a list").clone()
}

fn phones(chats: &[Value]) -> Vec<String> {
    chats.iter().map(|chat| text(&chat["person"]["phone"])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_is_listed_once_by_its_newest_message_and_says_what_waits_for_an_answer() {
    let account = Account::linked().await;
    let (anna, ben) = (account.friend().await, account.friend().await);
    assert_eq!(chats(&account, "").await, Vec::<Value>::new());
    account.post("/contacts/", json!({"phone": anna, "name": "Anna Baker"})).await.is(201, "");
    let first = account.send(&anna, "Hello Anna").await;
    account.message_becomes(&first["id"], "delivered").await;
    let second = account.send(&ben, "Hello Ben").await;
    account.message_becomes(&second["id"], "delivered").await;
    assert_eq!(phones(&chats(&account, "").await), [ben.as_str(), &anna]);

    for line in ["Hi", "Is it ready?"] {
        account.control().send(&anna, &account.number, line, None).await.expect("sent");
        account.incoming("the line", |message| message["content"] == line).await;
    }
    let listed = chats(&account, "").await;
    assert_eq!(phones(&listed), [anna.as_str(), &ben], "one entry each, the newest first");
    assert_eq!((&listed[0]["unanswered"], &listed[0]["last_message"]["content"]), (&json!(2), &json!("Is it ready?")));
    assert_eq!((&listed[1]["unanswered"], &listed[1]["last_message"]["id"]), (&json!(0), &second["id"]));
    assert_eq!(listed[0]["person"]["name"], "Anna Baker", "as the contact is called, not as she calls herself");
    let chat = text(&listed[0]["chat"]);
    let whole = account.get(&format!("/messages/list/?recipient={chat}")).await;
    assert_eq!(whole.body["data"]["count"], json!(3), "the chat leads to its messages: {}", whole.text);
    assert_eq!(phones(&chats(&account, "?unanswered=true").await), [anna.as_str()]);

    let group = account.control().make_group(&account.number, "Bakers", &[&anna, &ben]).expect("a group");
    let answer = account.send(&anna, "Yes").await;
    account.message_becomes(&answer["id"], "delivered").await;
    let to_all = account.send(&group, "Hello all").await;
    account.message_becomes(&to_all["id"], "delivered").await;
    let listed = chats(&account, "?session=default").await;
    assert_eq!((&listed[0]["chat"], &listed[0]["person"]), (&json!(group), &Value::Null));
    assert_eq!(listed.len(), 3);
    assert_eq!(chats(&account, "?unanswered=true&session=default").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn chats_go_on_by_cursor_and_are_nobody_elses() {
    let account = Account::linked().await;
    let mut friends = Vec::new();
    for number in 0..5 {
        let friend = account.friend().await;
        let sent = account.send(&friend, &format!("line {number}")).await;
        account.message_becomes(&sent["id"], "delivered").await;
        friends.insert(0, friend);
    }
    let (mut seen, mut path) = (Vec::new(), "/chats/?page_size=2".to_owned());
    loop {
        let page = account.get(&path).await;
        page.is(200, "");
        let data = &page.body["data"];
        seen.extend(phones(data["results"].as_array().expect("a list")));
        match data["next_cursor"].as_str() {
            Some(cursor) => path = format!("/chats/?page_size=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, friends);
    account.get("/chats/?cursor=x").await.is(400, "VALIDATION_ERROR").names(&["cursor"]);
    account.get("/chats/?page_size=101").await.is(400, "VALIDATION_ERROR").names(&["page_size"]);
    account.get("/chats/?session=nobody").await.is(404, "NOT_FOUND");
    account.get("/chats/?page=1").await.is(400, "VALIDATION_ERROR");
    let admin = account.world.admin().await;
    let (_, stranger) = account.world.user(&admin, "stranger").await;
    let theirs = account.world.get("/chats/", As::Token(&stranger)).await;
    assert_eq!(theirs.body["data"]["results"], json!([]));
    account.world.get("/chats/", As::Nobody).await.is(401, "UNAUTHENTICATED");
}
