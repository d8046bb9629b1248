//! Pages of templates, scheduled messages, recurring sends and quiet hours.

use super::Browser;
use crate::account::Account;
use crate::world::text;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_written_previewed_changed_and_deleted() {
    let account = Account::new().await;
    let browser = Browser::of(&account.world, "anna").await;
    browser.open("/admin/templates/").await.is(200).says(&["No template here"]);
    browser.open("/admin/templates/new/").await.is(200).says(&["Hi Ada, your order 17 is ready.", "data-preview"]);
    let part = browser.send("/admin/templates/preview/", &[("content", "<b>{{name}}"), ("language", "en"), ("sample", "name: Eve")]).await;
    part.is(200).says(&["&#60;b&#62;Eve"]).hides(&["<html"]);
    let part = browser.send("/admin/templates/preview/", &[("content", "{{name"), ("language", "en")]).await;
    part.is(200).says(&["line 1, column 1"]);
    let wrong = [("name", "Not a name"), ("language", "en"), ("content", "Hi")];
    browser.send("/admin/templates/new/", &wrong).await.is(400).says(&["lower-case letters", "Not a name"]);
    let good = [("name", "ready"), ("language", "en"), ("content", "Hi {{name}}\r\nReady.")];
    let made = browser.send("/admin/templates/new/", &good).await;
    assert_eq!(made.status, 303, "{}", made.html);
    let here = made.header("location").to_owned();
    browser.open(&here).await.is(200).says(&["ready", "[name]", "Variables", "Version 1"]);
    browser.open(&format!("{here}edit/")).await.is(200).says(&["Save as a new version", "name: "]);
    browser.send(&format!("{here}edit/"), &[("name", "ready"), ("language", "en"), ("content", "Bye")]).await.leads_to(&here);
    browser.open(&here).await.is(200).says(&["Version 2", "Bye"]);
    browser.send(&format!("{here}shelve/"), &[("archived", "on")]).await.leads_to(&here);
    browser.open("/admin/templates/?shelf=archived").await.is(200).says(&["ready"]);
    browser.open("/admin/templates/").await.is(200).hides(&[">ready<"]);
    browser.open(&format!("{here}delete/")).await.is(200).says(&["Delete the template?"]);
    browser.send(&format!("{here}delete/"), &[]).await.leads_to("/admin/templates/");
    browser.open(&here).await.is(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_listed_moved_and_taken_back() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let browser = Browser::of(&account.world, "anna").await;
    browser.open("/admin/messages/scheduled/").await.is(200).says(&["Nothing waits"]);
    let due = json!({"recipient": friend, "content": "in a while", "scheduled_at": "2027-06-01T09:00:00Z"});
    let sent = account.post("/messages/send-text/", due).await;
    sent.is(202, "");
    let id = text(&sent.body["data"]["id"]);
    browser.open("/admin/messages/scheduled/").await.is(200).says(&["in a while", &friend]);
    let form = format!("/admin/messages/{id}/schedule/");
    browser.open(&form).await.is(200).says(&["2027-06-01T09:00", "in a while"]);
    browser.send(&form, &[("scheduled_at", "soon"), ("content", "in a while")]).await.is(400).says(&["must be a date and time"]);
    browser.send(&form, &[("scheduled_at", "2020-01-01T00:00"), ("content", "x")]).await.is(400).says(&["must lie ahead"]);
    let here = format!("/admin/messages/{id}/");
    browser.send(&form, &[("scheduled_at", "2027-05-01T10:30"), ("content", "sooner")]).await.leads_to(&here);
    let now = account.message(&sent.body["data"]["id"]).await;
    assert_eq!((&now["scheduled_at"], &now["content"]), (&json!("2027-05-01T10:30:00.000Z"), &json!("sooner")));
    browser.open(&here).await.is(200).says(&["scheduled", "Cancel the message"]);
    browser.send(&format!("{here}cancel/"), &[]).await;
    browser.open(&form).await.is(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn recurring_sends_and_quiet_hours_have_their_pages() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let browser = Browser::of(&account.world, "anna").await;
    browser.open("/admin/schedules/").await.is(200).says(&["No recurring send yet"]);
    browser.open("/admin/schedules/new/").await.is(200).says(&["Europe/Berlin", "UTC</li>"]);
    let part = browser.send("/admin/schedules/preview/", &[("cron", "x"), ("timezone", "UTC")]).await;
    part.is(200).says(&["must be a cron expression"]).hides(&["<html"]);
    let entered =
        [("name", "daily"), ("cron", "0 9 * * *"), ("timezone", "Europe/Berlin"), ("recipient", friend.as_str()), ("content", "Hello")];
    let wrong: Vec<_> = entered.iter().copied().chain([("max_runs", "many"), ("is_active", "on")]).collect();
    browser.send("/admin/schedules/new/", &wrong).await.is(400).says(&["must be a whole number"]);
    let nobody: Vec<_> = entered.iter().copied().chain([("session", "nobody"), ("is_active", "on")]).collect();
    browser.send("/admin/schedules/new/", &nobody).await.is(400).says(&["is not there"]);
    let no_pair: Vec<_> = entered.iter().copied().chain([("variables", "order 17"), ("is_active", "on")]).collect();
    let refused = browser.send("/admin/schedules/new/", &no_pair).await.is(400);
    refused.says(&["id=\"variables-error\"", "must have a name and a value on each line", "order 17</textarea>"]);
    let nowhere = [("name", "daily"), ("cron", "0 9 * * *"), ("timezone", "Mars/Base"), ("recipient", friend.as_str()), ("content", "Hi")];
    browser.send("/admin/schedules/new/", &nowhere).await.is(400).says(&["id=\"timezone-error\""]);
    account.post("/templates/", json!({"name": "ready", "content": "{{order}} is ready."})).await.is(201, "");
    let empty = [("name", "daily"), ("cron", "0 9 * * *"), ("timezone", "UTC"), ("recipient", friend.as_str()), ("template", "ready")];
    let refused = browser.send("/admin/schedules/new/", &empty).await;
    assert!((400..500).contains(&refused.status), "{refused:?}");
    refused.says(&["id=\"variables-error\"", "(order) is required by the template"]);
    let good: Vec<_> = entered.iter().copied().chain([("max_runs", "3"), ("is_active", "on")]).collect();
    let made = browser.send("/admin/schedules/new/", &good).await;
    assert_eq!(made.status, 303, "{}", made.html);
    let here = made.header("location").to_owned();
    browser.open(&here).await.is(200).says(&["daily", "Hello", "0 so far of 3"]);
    browser.open("/admin/schedules/").await.is(200).says(&["daily", "0 9 * * * (Europe/Berlin)"]);
    browser.send(&format!("{here}pause/"), &[]).await.leads_to(&here);
    browser.open(&here).await.is(200).says(&["paused", "Resume"]);
    browser.send(&format!("{here}resume/"), &[]).await.leads_to(&here);
    browser.open(&format!("{here}edit/")).await.is(200).says(&["Hello", "selected>Europe/Berlin"]);
    browser.send(&format!("{here}edit/"), &good).await.leads_to(&here);
    browser.send(&format!("{here}delete/"), &[]).await.leads_to("/admin/schedules/");
    browser.open("/admin/quiet-hours/").await.is(200).says(&["21:00", "08:00"]);
    browser.send("/admin/quiet-hours/", &[("enabled", "on"), ("from", "late"), ("to", "07:00")]).await.is(400).says(&["time of day"]);
    browser.send("/admin/quiet-hours/", &[("enabled", "on"), ("from", "22:00"), ("to", "07:00")]).await.leads_to("/admin/quiet-hours/");
    browser.open("/admin/quiet-hours/").await.is(200).says(&["22:00", "checked"]);
}
