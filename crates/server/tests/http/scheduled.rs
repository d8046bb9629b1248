//! Messages with a date, and quiet hours.

use crate::account::Account;
use crate::world::{As, Reply, text};
use reqwest::Method;
use sanasend_model::{Clock, Timestamp};
use serde_json::{Value, json};
use std::time::Duration;

/// So many seconds from the account's now.
fn later(account: &Account, secs: u64) -> Timestamp {
    account.world.clock.now().plus(Duration::from_secs(secs))
}

async fn patch(account: &Account, id: &Value, body: Value) -> Reply {
    account.world.call(Method::PATCH, &format!("/messages/{}/", text(id)), As::Key(&account.key), body).await
}

async fn dated(account: &Account, to: &str, words: &str, due: Timestamp) -> Value {
    let reply = account.post("/messages/send-text/", json!({"recipient": to, "content": words, "scheduled_at": due})).await;
    reply.is(202, "");
    assert_eq!((&reply.body["data"]["status"], &reply.body["data"]["scheduled_at"]), (&json!("scheduled"), &json!(due)), "{}", reply.text);
    reply.body["data"].clone()
}

fn steps(message: &Value) -> Vec<&str> {
    message["timeline"].as_array().expect("steps").iter().filter_map(|step| step["step"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dated_message_waits_lets_others_pass_and_goes_when_it_is_due() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let waits = dated(&account, &friend, "in an hour", later(&account, 3600)).await;
    account.send(&friend, "now").await;
    account.shown(&friend, "now").await;
    let listed = account.get("/messages/scheduled/").await;
    assert_eq!((&listed.body["data"]["count"], &listed.body["data"]["results"][0]["id"]), (&json!(1), &waits["id"]));
    account.world.clock.pass(Duration::from_hours(1));
    account.shown(&friend, "in an hour").await;
    let delivered = account.message_becomes(&waits["id"], "delivered").await;
    assert_eq!(steps(&delivered)[..3], ["accepted", "scheduled", "released"]);
    let events = account.get("/events/?after=0&limit=100").await;
    let told: Vec<&str> =
        events.body["data"]["results"].as_array().expect("events").iter().filter_map(|event| event["type"].as_str()).collect();
    assert!(told.contains(&"message.scheduled") && told.contains(&"message.released"), "{told:?}");
    assert_eq!(account.get("/messages/scheduled/").await.body["data"]["count"], json!(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dated_message_can_be_moved_changed_and_taken_back() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let waits = dated(&account, &friend, "draft", later(&account, 7200)).await;
    let sooner = later(&account, 60);
    let moved = patch(&account, &waits["id"], json!({"scheduled_at": sooner, "content": "final"})).await;
    moved.is(200, "");
    assert_eq!((&moved.body["data"]["scheduled_at"], &moved.body["data"]["content"]), (&json!(sooner), &json!("final")));
    for (body, field) in [
        (json!({}), "scheduled_at"),
        (json!({"scheduled_at": "2020-01-01T00:00:00Z"}), "scheduled_at"),
        (json!({"content": ""}), "content"),
        (json!({"caption": "x"}), "caption"),
    ] {
        patch(&account, &waits["id"], body).await.is(400, "VALIDATION_ERROR").names(&[field]);
    }
    let never = dated(&account, &friend, "never", later(&account, 60)).await;
    account.post(&format!("/messages/{}/cancel/", text(&never["id"])), Value::Null).await.is(200, "");
    account.world.clock.pass(Duration::from_secs(61));
    account.shown(&friend, "final").await;
    patch(&account, &waits["id"], json!({"content": "too late"})).await.is(409, "WRONG_STATE");
    assert!(account.control().messages(&friend).expect("shown").iter().all(|shown| shown.text != "never" && shown.text != "draft"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_must_lie_ahead_and_not_too_far() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    for due in [json!("2020-01-01T00:00:00Z"), json!(later(&account, 367 * 86_400)), json!("tomorrow")] {
        let body = json!({"recipient": friend, "content": "x", "scheduled_at": due});
        account.post("/messages/send-text/", body).await.is(400, "VALIDATION_ERROR").names(&["scheduled_at"]);
    }
    let body = json!({"recipient": friend, "media_type": "image", "media_base64": "AA==", "scheduled_at": "2020-01-01T00:00:00Z"});
    account.post("/messages/send-media/", body).await.is(400, "VALIDATION_ERROR").names(&["scheduled_at"]);
    account.get("/messages/scheduled/?session=nobody").await.is(404, "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_ends_when_its_sender_says() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    account.post("/sessions/disconnect/", json!({"logout": false})).await.is(200, "");
    let end = later(&account, 600);
    let body = json!({"recipient": friend, "content": "lunch is ready", "expires_at": end});
    let waits = account.post("/messages/send-text/", body).await.is(202, "").body["data"].clone();
    assert_eq!((&waits["status"], &waits["expires_at"]), (&json!("pending"), &json!(end)));
    account.world.clock.pass(Duration::from_secs(601));
    let ended = account.message_becomes(&waits["id"], "failed").await;
    assert_eq!(ended["error_code"], "EXPIRED", "{ended}");
    for (body, field) in [
        (json!({"expires_at": "2020-01-01T00:00:00Z"}), "expires_at"),
        (json!({"expires_at": later(&account, 367 * 86_400)}), "expires_at"),
        (json!({"scheduled_at": later(&account, 60), "expires_at": later(&account, 60)}), "expires_at"),
        (json!({"expires_at": "soon"}), "expires_at"),
    ] {
        let mut body = body;
        body["recipient"] = json!(friend);
        body["content"] = json!("x");
        account.post("/messages/send-text/", body).await.is(400, "VALIDATION_ERROR").names(&[field]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_while_the_server_was_down_goes_at_its_start() {
    let mut account = Account::linked().await;
    let friend = account.friend().await;
    let waits = dated(&account, &friend, "missed", later(&account, 3600)).await;
    let lost = dated(&account, &friend, "too late", later(&account, 60)).await;
    // One of them could be sent until a day after its date; when the server is back, only the other still can.
    account.world.clock.pass(Duration::ZERO);
    let Account { world, key, number } = account;
    world.clock.stop();
    let clock = world.clock.clone();
    let stopped = tokio::spawn(async move {
        clock.pass(Duration::from_mins(24 * 60 + 30));
        world.restart().await
    });
    account = Account { world: stopped.await.expect("restarted"), key, number };
    account.session_becomes("connected").await;
    let lost = account.message_becomes(&lost["id"], "failed").await;
    assert_eq!(lost["error_code"], json!("EXPIRED"));
    assert!(text(&lost["error_message"]).contains("due at"), "{lost}");
    let went = account.message_becomes(&waits["id"], "delivered").await;
    assert_eq!(steps(&went)[..3], ["accepted", "scheduled", "released"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_hours_hold_a_message_until_the_morning_where_the_recipient_lives() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let before = account.get("/quiet-hours/").await;
    assert_eq!(before.body["data"], json!({"enabled": false, "from": "21:00", "to": "08:00"}));
    let put = async |body: Value| account.world.call(Method::PUT, "/quiet-hours/", As::Key(&account.key), body).await;
    put(json!({"enabled": true, "from": "x", "to": "8"})).await.is(400, "VALIDATION_ERROR").names(&["from", "to"]);
    put(json!({"enabled": true, "from": "08:00", "to": "08:00"})).await.is(400, "VALIDATION_ERROR").names(&["to"]);
    // It is always quiet somewhere in these, so the test knows what comes whatever the hour.
    put(json!({"enabled": true, "from": "00:01", "to": "00:00"})).await.is(200, "");
    let held = account.post("/messages/send-text/", json!({"recipient": friend, "content": "at night"})).await;
    held.is(202, "");
    assert_eq!(held.body["data"]["status"], json!("scheduled"), "{}", held.text);
    let told = account.message(&held.body["data"]["id"]).await;
    assert!(text(&told["timeline"][1]["detail"]).contains("quiet hours from 00:01 to 00:00"), "{told}");
    let in_vain = json!({"recipient": friend, "content": "soon only", "expires_at": later(&account, 5)});
    account.post("/messages/send-text/", in_vain).await.is(400, "VALIDATION_ERROR").names(&["expires_at"]);
    let urgent = json!({"recipient": friend, "content": "urgent", "quiet_hours": false});
    assert_eq!(account.post("/messages/send-text/", urgent).await.body["data"]["status"], json!("pending"));
    put(json!({"enabled": false, "from": "00:01", "to": "00:00"})).await.is(200, "");
    assert_eq!(account.send(&friend, "as ever").await["status"], json!("pending"));
    let asked = json!({"recipient": friend, "content": "held by wish", "quiet_hours": true});
    assert_eq!(account.post("/messages/send-text/", asked).await.body["data"]["status"], json!("scheduled"));
}
