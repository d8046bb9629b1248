//! `/schedules/`: recurring sends.

use crate::account::Account;
use crate::world::{As, becomes, text};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);

async fn made(account: &Account, more: Value) -> Value {
    let mut body = json!({"name": "daily", "cron": "0 9 * * *", "timezone": "Europe/Berlin", "content": "Good morning"});
    for (field, value) in more.as_object().into_iter().flatten() {
        body[field] = value.clone();
    }
    let reply = account.post("/schedules/", body).await;
    reply.is(201, "");
    reply.body["data"].clone()
}

/// Waits until a schedule has had so many runs.
async fn after_runs(account: &Account, id: &Value, runs: i64) -> Value {
    let schedule = async || account.get(&format!("/schedules/{}/", text(id))).await.body["data"].clone();
    becomes("run so often", schedule, |now| now["runs"].as_i64().is_some_and(|done| done >= runs)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_sent_at_each_run_until_none_is_left() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let template = json!({"name": "hi", "content": "Hi {{name}}"});
    account.post("/templates/", template).await.is(201, "");
    let body = json!({"recipient": friend, "content": null, "template": "hi", "variables": {"name": "Ada"}, "max_runs": 2});
    let schedule = made(&account, body).await;
    assert_eq!(schedule["upcoming"].as_array().expect("runs").len(), 2, "{schedule}");
    account.world.clock.pass(DAY);
    account.shown(&friend, "Hi Ada").await;
    let once = after_runs(&account, &schedule["id"], 1).await;
    let message = account.message(&once["last_message"]).await;
    assert_eq!(
        (&message["metadata"]["schedule"]["id"], &message["metadata"]["schedule"]["due_at"]),
        (&schedule["id"], &schedule["next_run_at"])
    );
    account.world.clock.pass(DAY);
    let twice = after_runs(&account, &schedule["id"], 2).await;
    assert_eq!((&twice["next_run_at"], &twice["upcoming"]), (&Value::Null, &json!([])));
    account.world.clock.pass(DAY);
    account.post(&format!("/schedules/{}/resume/", text(&schedule["id"])), Value::Null).await.is(409, "WRONG_STATE");
    assert_eq!(after_runs(&account, &schedule["id"], 2).await["runs"], json!(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn days_without_the_server_make_one_run_and_a_restart_makes_none_twice() {
    let mut account = Account::linked().await;
    let friend = account.friend().await;
    let schedule = made(&account, json!({"recipient": friend, "cron": "* * * * *"})).await;
    let Account { world, key, number } = account;
    let clock = world.clock.clone();
    clock.stop();
    clock.pass(Duration::from_mins(10));
    account = Account { world: world.restart().await, key, number };
    account.session_becomes("connected").await;
    account.shown(&friend, "Good morning").await;
    let shown = account.control().messages(&friend).expect("shown");
    // The clock jumped by ten minutes before the server stopped or while it did: one run for all of them.
    assert_eq!(shown.iter().filter(|message| message.text == "Good morning").count(), 1);
    assert_eq!(after_runs(&account, &schedule["id"], 1).await["runs"], json!(1));
    account.world.clock.pass(Duration::from_mins(1));
    assert_eq!(after_runs(&account, &schedule["id"], 2).await["runs"], json!(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_can_not_be_done_is_told_and_the_next_is_tried() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let template = account.post("/templates/", json!({"name": "hi", "content": "Hi"})).await.body["data"]["id"].clone();
    let schedule = made(&account, json!({"recipient": friend, "content": null, "template": template})).await;
    account.delete(&format!("/templates/{}/?force=true", text(&template))).await.is(200, "");
    account.world.clock.pass(DAY);
    let failed = after_runs(&account, &schedule["id"], 1).await;
    assert_eq!((&failed["last_error"], &failed["last_message"]), (&json!("Its template was deleted."), &Value::Null));
    assert!(failed["next_run_at"].is_string(), "{failed}");
    let events = account.get("/events/?after=0&limit=100").await;
    let told = events.body["data"]["results"].as_array().expect("events").iter().find(|event| event["type"] == "schedule.failed").cloned();
    assert_eq!(told.expect("told")["data"]["schedule"]["reason"], json!("Its template was deleted."));
    let words = json!({"name": "daily", "cron": "0 9 * * *", "recipient": friend, "content": "Back"});
    let path = format!("/schedules/{}/", text(&schedule["id"]));
    account.world.call(Method::PUT, &path, As::Key(&account.key), words).await.is(200, "");
    account.world.clock.pass(DAY);
    account.shown(&friend, "Back").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_can_be_paused_resumed_listed_and_deleted() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let schedule = made(&account, json!({"recipient": friend})).await;
    let path = |what: &str| format!("/schedules/{}/{what}", text(&schedule["id"]));
    let paused = account.post(&path("pause/"), Value::Null).await;
    assert_eq!((&paused.body["data"]["is_active"], &paused.body["data"]["next_run_at"]), (&json!(false), &Value::Null));
    account.world.clock.pass(DAY * 3);
    let resumed = account.post(&path("resume/"), Value::Null).await;
    resumed.is(200, "");
    assert_eq!((&resumed.body["data"]["is_active"], &resumed.body["data"]["runs"]), (&json!(true), &json!(0)));
    assert_eq!(account.get("/schedules/").await.body["data"]["count"], json!(1));
    account.delete(&path("")).await.is(200, "");
    account.delete(&path("")).await.is(404, "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_never_run_or_can_not_be_read_is_refused() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let ask = async |more: Value| {
        let mut body = json!({"name": "x", "cron": "0 9 * * *", "recipient": friend, "content": "Hello"});
        for (field, value) in more.as_object().into_iter().flatten() {
            body[field] = value.clone();
        }
        account.post("/schedules/", body).await
    };
    ask(json!({"cron": "every day", "timezone": "Mars/Olympus", "name": "", "max_runs": 0}))
        .await
        .is(400, "VALIDATION_ERROR")
        .names(&["cron", "max_runs", "name", "timezone"]);
    ask(json!({"cron": "0 0 30 2 *"})).await.is(400, "VALIDATION_ERROR").names(&["cron"]);
    ask(json!({"ends_at": "2020-01-01T00:00:00Z"})).await.is(400, "VALIDATION_ERROR").names(&["ends_at"]);
    ask(json!({"template": "x"})).await.is(400, "VALIDATION_ERROR").names(&["content"]);
    ask(json!({"content": null, "template": "x"})).await.is(404, "NOT_FOUND");
    ask(json!({"recipient": "nobody"})).await.is(400, "RECIPIENT_INVALID");
    ask(json!({"session": "nobody"})).await.is(404, "NOT_FOUND");
    account.post("/templates/", json!({"name": "hi", "content": "Hi {{name}}"})).await.is(201, "");
    ask(json!({"content": null, "template": "hi"})).await.is(400, "TEMPLATE_VARIABLES_MISSING").names(&["variables.name"]);
    ask(json!({})).await.is(201, "");
    ask(json!({})).await.is(409, "CONFLICT").names(&["name"]);
    let times = account.post("/schedules/preview/", json!({"cron": "30 2 29 2 *", "timezone": "Europe/Berlin"})).await;
    times.is(200, "");
    assert_eq!(times.body["data"]["upcoming"].as_array().expect("times").len(), 5, "{}", times.text);
    account.post("/schedules/preview/", json!({"cron": "x"})).await.is(400, "VALIDATION_ERROR").names(&["cron"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_a_run_and_its_record_doubles_nothing() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let schedule = made(&account, json!({"recipient": friend, "timezone": "UTC"})).await;
    account.world.clock.pass(DAY);
    account.shown(&friend, "Good morning").await;
    let once = after_runs(&account, &schedule["id"], 1).await;
    // As a process leaves it that dies after the message was accepted and before the schedule was moved on.
    account.world.tamper("UPDATE recurring SET next_at = next_at - 86400000").await;
    let again = after_runs(&account, &schedule["id"], 2).await;
    assert_eq!((&again["last_message"], &again["last_error"]), (&once["last_message"], &Value::Null));
    let listed = account.get("/messages/list/?direction=outbound").await;
    assert_eq!(listed.body["data"]["count"], json!(1), "{}", listed.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_can_not_be_read_stops_nobody_elses_run() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let template = account.post("/templates/", json!({"name": "hi", "content": "Hi"})).await.body["data"]["id"].clone();
    let broken = json!({"name": "broken", "recipient": friend, "content": null, "template": template, "cron": "0 8 * * *"});
    let broken = made(&account, broken).await;
    made(&account, json!({"recipient": friend})).await;
    account.world.tamper("UPDATE template_versions SET media = 'not JSON'").await;
    account.world.clock.pass(DAY);
    account.shown(&friend, "Good morning").await;
    let failed = after_runs(&account, &broken["id"], 1).await;
    assert!(text(&failed["last_error"]).contains("can't be read"), "{failed}");
    assert!(failed["next_run_at"].is_string(), "{failed}");
}
