//! `/templates/`: making, changing, trying out, and sending with one.

use crate::account::Account;
use crate::world::{As, Reply, text};
use reqwest::Method;
use serde_json::{Value, json};

/// A picture of one pixel.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

async fn made(account: &Account, body: Value) -> Value {
    let reply = account.post("/templates/", body).await;
    reply.is(201, "");
    reply.body["data"].clone()
}

async fn change(account: &Account, method: Method, id: &Value, body: Value) -> Reply {
    account.world.call(method, &format!("/templates/{}/", text(id)), As::Key(&account.key), body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_filled_sent_and_its_versions_stay() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let template = made(&account, json!({"name": "ready", "content": "Hi {{name|there}}, {{amount:money}} EUR for {{order}}."})).await;
    let told: Vec<(&str, bool)> = template["variables"]
        .as_array()
        .expect("variables")
        .iter()
        .filter_map(|variable| Some((variable["name"].as_str()?, variable["required"].as_bool()?)))
        .collect();
    assert_eq!(told, [("name", false), ("amount", true), ("order", true)]);
    let send = async |more: Value| {
        let mut body = json!({"recipient": friend, "template": "ready"});
        for (field, value) in more.as_object().into_iter().flatten() {
            body[field] = value.clone();
        }
        account.post("/messages/send-template/", body).await
    };
    let sent = send(json!({"variables": {"amount": 1234.5, "order": 17, "unasked": "x"}})).await;
    sent.is(202, "");
    assert_eq!(sent.body["data"]["content"], json!("Hi there, 1,234.50 EUR for 17."));
    account.shown(&friend, "Hi there, 1,234.50 EUR for 17.").await;
    send(json!({})).await.is(400, "TEMPLATE_VARIABLES_MISSING").names(&["variables.amount", "variables.order"]);
    send(json!({"variables": {"amount": "much", "order": []}})).await.is(400, "VALIDATION_ERROR").names(&["variables.order"]);
    send(json!({"variables": {"amount": "much", "order": 1}})).await.is(400, "VALIDATION_ERROR").names(&["variables.amount"]);
    send(json!({"template": "nothing"})).await.is(404, "NOT_FOUND");
    let id = &template["id"];
    let changed = change(&account, Method::PATCH, id, json!({"content": "Bye {{name}}"})).await;
    changed.is(200, "");
    assert_eq!((&changed.body["data"]["version"], &changed.body["data"]["variables"][0]["required"]), (&json!(2), &json!(true)));
    let old = send(json!({"template": id, "version": 1, "variables": {"amount": 1, "order": 2}})).await;
    assert_eq!(old.body["data"]["content"], json!("Hi there, 1.00 EUR for 2."));
    send(json!({"version": 9})).await.is(400, "VALIDATION_ERROR").names(&["version"]);
    let versions = account.get(&format!("/templates/{}/versions/", text(id))).await;
    assert_eq!((&versions.body["data"]["count"], &versions.body["data"]["results"][1]["version"]), (&json!(2), &json!(1)));
    change(&account, Method::PATCH, id, json!({"is_archived": true})).await.is(200, "");
    send(json!({"variables": {"name": "Ada"}})).await.is(409, "WRONG_STATE");
    account.delete(&format!("/templates/{}/", text(id))).await.is(200, "");
    account.get(&format!("/templates/{}/", text(id))).await.is(404, "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_can_be_tried_out_before_it_is_stored() {
    let account = Account::new().await;
    let preview = async |body: Value| account.post("/templates/preview/", body).await;
    let shown = preview(json!({"content": "Hi {{name}}, {{when:date}}", "language": "de", "variables": {"when": "2026-11-07"}})).await;
    shown.is(200, "");
    assert_eq!((&shown.body["data"]["text"], &shown.body["data"]["is_complete"]), (&json!("Hi [name], 07.11.2026"), &json!(false)));
    assert!(shown.body["data"]["problems"]["variables.name"].is_array(), "{}", shown.text);
    let refused = preview(json!({"content": "Hi\n {{name"})).await;
    refused.is(400, "VALIDATION_ERROR").names(&["content"]);
    assert!(refused.text.contains("line 2, column 2"), "{}", refused.text);
    let template = made(&account, json!({"name": "hi", "content": "Hi {{name}}"})).await;
    let path = format!("/templates/{}/preview/", text(&template["id"]));
    assert_eq!(account.post(&path, json!({"variables": {"name": "Ada"}})).await.body["data"]["text"], json!("Hi Ada"));
    assert_eq!(account.post(&path, Value::Null).await.body["data"]["text"], json!("Hi [name]"));
    account.post(&path, json!({"version": 7})).await.is(400, "VALIDATION_ERROR").names(&["version"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_taken_once_in_a_language_and_bad_templates_are_refused() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    made(&account, json!({"name": "hi", "content": "Hello"})).await;
    made(&account, json!({"name": "hi", "language": "pt", "content": "Olá"})).await;
    account.post("/templates/", json!({"name": "hi", "content": "again"})).await.is(409, "CONFLICT").names(&["name"]);
    for (body, fields) in [
        (json!({"name": "Hi There", "language": "english", "content": "{{"}), &["content", "language", "name"][..]),
        (json!({"name": "x", "content": " "}), &["content"]),
        (json!({"name": "x", "media": {"media_type": "gif"}}), &["media", "media.media_type"]),
        (json!({"name": "x", "content": "no", "media": {"media_type": "sticker", "media_base64": PIXEL}}), &["content"]),
    ] {
        account.post("/templates/", body).await.is(400, "VALIDATION_ERROR").names(fields);
    }
    let send = async |more: &str| {
        let body = format!("{{\"recipient\":\"{friend}\",\"template\":\"hi\"{more}}}");
        account.post("/messages/send-template/", serde_json::from_str(&body).expect("JSON")).await
    };
    send("").await.is(400, "VALIDATION_ERROR").names(&["language"]);
    send(",\"language\":\"fr\"").await.is(400, "VALIDATION_ERROR").names(&["language"]);
    assert_eq!(send(",\"language\":\"pt-BR\"").await.body["data"]["content"], json!("Olá"));
    let found = async |query: &str| account.get(&format!("/templates/?{query}")).await.body["data"]["count"].clone();
    assert_eq!(
        (found("").await, found("language=pt").await, found("search=H").await, found("is_archived=true").await),
        (json!(2), json!(1), json!(2), json!(0))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_may_carry_a_file() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let media = json!({"media_type": "image", "media_base64": PIXEL, "filename": "dot.png"});
    let template = made(&account, json!({"name": "dot", "content": "For {{name}}", "media": media})).await;
    assert_eq!((&template["media"]["mime"], &template["media"]["filename"]), (&json!("image/png"), &json!("dot.png")));
    let sent =
        account.post("/messages/send-template/", json!({"recipient": friend, "template": "dot", "variables": {"name": "Ada"}})).await;
    sent.is(202, "");
    assert_eq!((&sent.body["data"]["message_type"], &sent.body["data"]["caption"]), (&json!("image"), &json!("For Ada")));
    account.message_becomes(&sent.body["data"]["id"], "delivered").await;
    let without = change(&account, Method::PUT, &template["id"], json!({"name": "dot", "content": "Text for {{name}}"})).await;
    assert_eq!((&without.body["data"]["media"], &without.body["data"]["version"]), (&Value::Null, &json!(2)));
    let old = json!({"recipient": friend, "template": "dot", "version": 1, "variables": {"name": "Ben"}});
    assert_eq!(account.post("/messages/send-template/", old).await.body["data"]["caption"], json!("For Ben"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_is_needed_is_deleted_only_by_force() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let plain = made(&account, json!({"name": "plain", "content": "Hi"})).await;
    let media = json!({"media_type": "image", "media_base64": PIXEL});
    let picture = made(&account, json!({"name": "picture", "content": "Look", "media": media})).await;
    let campaign = json!({"name": "picture", "template": "picture", "recipients": [{"phone": friend}]});
    account.post("/campaigns/", campaign).await.is(201, "");
    let path = |template: &Value| format!("/templates/{}/", text(&template["id"]));
    let schedule = json!({"name": "each day", "cron": "0 9 * * *", "timezone": "UTC", "template": "plain", "recipient": friend});
    let schedule = account.post("/schedules/", schedule).await;
    let schedule = text(&schedule.is(201, "").body["data"]["id"]);
    let refused = account.delete(&path(&plain)).await;
    refused.is(409, "TEMPLATE_IN_USE").names(&["template"]);
    assert!(refused.text.contains("is needed by the recurring send") && refused.text.contains(&schedule), "{}", refused.text);
    account.get(&path(&plain)).await.is(200, "");
    account.delete(&format!("{}?force=yes", path(&plain))).await.is(400, "VALIDATION_ERROR");
    account.delete(&format!("/schedules/{schedule}/")).await.is(200, "");
    account.delete(&path(&plain)).await.is(200, "");
    // A campaign holds its text and its file itself.
    account.delete(&path(&picture)).await.is(200, "");
}
