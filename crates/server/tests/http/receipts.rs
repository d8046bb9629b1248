//! Who of a group got a message and who read it: listed by pages, counted, shown on the page of the message, and nobody
//! else's business.

use crate::account::Account;
use crate::dashboard::Browser;
use crate::world::{As, PATIENCE};
use serde_json::{Value, json};
use std::time::Duration;

fn path(id: &Value) -> String {
    format!("/messages/{}/receipts/", id.as_str().expect("an id"))
}

/// Waits until the list is as wanted.
async fn receipts(account: &Account, id: &Value, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let reply = account.get(&path(id)).await;
        reply.is(200, "");
        let now = reply.body["data"]["results"].as_array().expect("a list").clone();
        if wanted(&now) {
            return now;
        }
        assert!(tokio::time::Instant::now() < until, "never so: {}", reply.text);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_member_of_a_group_is_listed_with_what_it_told() {
    let account = Account::linked().await;
    let (anna, ben) = (account.friend().await, account.friend().await);
    let contact = json!({"phone": anna, "name": "Anna <Baker>"});
    account.post("/contacts/", contact).await.is(201, "");
    let control = account.control();
    let group = control.make_group(&account.number, "Bakers", &[&anna, &ben]).expect("a group");
    let sent = account.send(&group, "Hello all").await;
    let id = &sent["id"];
    receipts(&account, id, |now| now.len() == 2).await;
    account.shown(&anna, "Hello all").await;
    control.read(&anna, Some(&group), None).expect("read");
    let listed = receipts(&account, id, |now| now.iter().any(|told| told["read_at"].is_string())).await;
    let of = |phone: &str| listed.iter().find(|told| told["phone"] == phone).unwrap_or_else(|| panic!("{listed:?}"));
    let annas = of(&anna);
    assert_eq!(annas["participant"], format!("{}@s.whatsapp.net", anna.trim_start_matches('+')));
    assert_eq!((&annas["name"], &annas["played_at"]), (&json!("Anna <Baker>"), &Value::Null));
    assert!(annas["delivered_at"].as_str() <= annas["read_at"].as_str(), "{annas}");
    assert!(of(&ben)["delivered_at"].is_string() && of(&ben)["read_at"].is_null(), "{listed:?}");

    let now = account.message(id).await;
    assert_eq!((&now["receipts"], &now["status"]), (&json!({"delivered": 2, "read": 1}), &json!("read")));
    let list = account.get("/messages/list/").await;
    assert!(list.body["data"]["results"][0].get("receipts").is_none(), "{}", list.text);
    let page = account.get(&format!("{}?page=2&page_size=1", path(id))).await;
    page.is(200, "");
    assert_eq!((&page.body["data"]["count"], page.body["data"]["results"].as_array().map(Vec::len)), (&json!(2), Some(1)));
    assert!(page.body["data"]["previous"].is_string() && page.body["data"]["next"].is_null(), "{}", page.text);
    account.get(&format!("{}?page_size=101", path(id))).await.is(400, "VALIDATION_ERROR").names(&["page_size"]);

    let browser = Browser::of(&account.world, "anna").await;
    let shown = browser.open(&format!("/admin/messages/{}/", id.as_str().expect("an id"))).await.is(200);
    shown.says(&["Members of the group", "It reached 2, and 1 read it", "Anna &#60;Baker&#62;", &anna, &ben]).hides(&["<Baker>"]);

    let admin = account.world.admin().await;
    let (_, stranger) = account.world.user(&admin, "stranger").await;
    account.world.get(&path(id), As::Token(&stranger)).await.is(404, "NOT_FOUND");
    account.world.get(&path(id), As::Nobody).await.is(401, "UNAUTHENTICATED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_to_one_person_has_an_empty_list_and_no_count() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let sent = account.send(&friend, "to one").await;
    account.message_becomes(&sent["id"], "delivered").await;
    let reply = account.get(&path(&sent["id"])).await;
    reply.is(200, "");
    assert_eq!(reply.body["data"], json!({"count": 0, "next": null, "previous": null, "results": []}));
    assert!(account.message(&sent["id"]).await.get("receipts").is_none());
    let browser = Browser::of(&account.world, "anna").await;
    browser.open(&format!("/admin/messages/{}/", sent["id"].as_str().expect("an id"))).await.is(200).hides(&["Members of the group"]);
}
