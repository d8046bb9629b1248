//! Manners of campaigns: nights where recipients live, strangers before known people, files, and what a draft says of itself.

use crate::account::Account;
use crate::campaigns::{Owner as _, peer, to};
use crate::world::{As, PATIENCE, text};
use base64::Engine as _;
use image::{DynamicImage, ImageFormat};
use reqwest::Method;
use sanasend_model::{Clock as _, Timestamp};
use sanasend_sandbox::MessageKind;
use serde_json::{Value, json};
use std::io::Cursor;
use std::time::Duration;

/// A time of day at which it is night in Europe all year, and day in the United States.
const EVENING: Duration = Duration::from_mins(20 * 60 + 30);

impl Account {
    /// Lets time pass until the next evening.
    async fn evening(&self) {
        let now = self.world.clock.now();
        let today = Timestamp::of_day(now.day()).plus(EVENING);
        let evening = if today > now { today } else { today.plus(Duration::from_hours(24)) };
        self.pass(evening.since(now)).await;
    }

    async fn phone(&self, number: &str) -> String {
        self.control().add_phone(Some(number), Some("Friend")).await.expect("a phone").phone
    }

    async fn nights(&self) {
        let wanted = json!({"enabled": true, "from": "21:00", "to": "08:00"});
        self.world.call(Method::PUT, "/quiet-hours/", As::Key(&self.key), wanted).await.is(200, "");
    }

    async fn bulk(&self, body: Value) -> String {
        text(&self.post("/messages/send-bulk/", body).await.is(202, "").body["data"]["id"])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sleeps_is_written_to_in_the_morning_and_the_others_now() {
    let account = Account::linked().await;
    account.nights().await;
    account.evening().await;
    let berlin = [account.phone("+4915112345671").await, account.phone("+4915112345672").await];
    let boston = account.phone("+16175550123").await;
    let all = to(&[berlin[0].clone(), berlin[1].clone(), boston.clone()]);
    let body = json!({"content": "Hi {{name}}", "recipients": all, "pacing": "none"});
    let tried = account.post("/campaigns/?dry_run=true", body.clone()).await;
    let ends = Timestamp::parse(tried.is(200, "").body["data"]["ends_at"].as_str().expect("an end")).expect("a time");
    let night = ends.since(account.world.clock.now());
    assert!(night > Duration::from_hours(9) && night < Duration::from_hours(11), "{}", tried.text);
    let id = account.bulk(body).await;
    account.shown(&boston, "Hi friend 2").await;
    let held = account.until(&id, "held", |campaign| campaign["held_why"] == "quiet hours in Europe/Berlin").await;
    assert_eq!((&held["left"], &held["quiet_hours"]), (&json!(2), &Value::Null), "{held}");
    for row in account.recipients(&id, "state=planned").await {
        assert_eq!((&row["held_why"], &row["held_until"]), (&json!("quiet hours in Europe/Berlin"), &held["held_until"]), "{row}");
    }
    let again = account.post(&format!("/campaigns/{id}/dry-run/"), Value::Null).await;
    assert_eq!(again.is(200, "").body["data"]["planned"], 2, "{}", again.text);
    assert!(account.shows(&berlin[0]).is_empty());
    let morning = Timestamp::parse(held["held_until"].as_str().expect("a time")).expect("a time");
    assert_eq!(ends.since(morning.minus(Duration::from_mins(15))).as_secs() / 1800, 0, "foretold: {ends}, told: {morning}");
    account.pass(morning.since(account.world.clock.now()) + Duration::from_secs(2)).await;
    for (at, friend) in berlin.iter().enumerate() {
        account.shown(friend, &format!("Hi friend {at}")).await;
    }
    account.campaign_becomes(&id, "finished").await;
    let first = account.recipients(&id, "").await.remove(0);
    let timeline = account.message(&first["message"]).await["timeline"].clone();
    let told = timeline[0]["detail"].as_str().unwrap_or_default();
    assert_eq!(timeline[0]["step"], "held", "{timeline}");
    assert!(told.starts_with("held until ") && told.ends_with(" UTC: quiet hours in Europe/Berlin"), "{timeline}");
    // One that says so waits for nobody's morning.
    account.evening().await;
    let id = account.bulk(json!({"content": "Now", "recipients": to(&berlin), "pacing": "none", "quiet_hours": false})).await;
    assert_eq!(account.campaign_becomes(&id, "finished").await["quiet_hours"], false);
    account.shown(&berlin[1], "Now").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn known_people_are_found_behind_any_number_of_strangers() {
    let account = Account::linked().await;
    let friends = account.friends(1).await;
    account.control().send(&friends[0], &account.number, "hello", None).await.expect("sent");
    let mut recipients: Vec<Value> = (0..70).map(|at| json!({"phone": format!("+1303555{:04}", 1000 + at)})).collect();
    recipients.push(json!({"phone": friends[0]}));
    let pacing =
        json!({"gap_min_seconds": 0, "gap_max_seconds": 1, "per_hour": 1000, "per_day": 1000, "warm_up": [1000], "cold_per_day": 1});
    account.incoming("the greeting", |message| message["content"] == "hello").await;
    let id = account.bulk(json!({"content": "Hi", "recipients": recipients, "pacing": pacing})).await;
    account.shown(&friends[0], "Hi").await;
    let why = "people who never wrote to the account, 1 of 1 sent today";
    let held = account.until(&id, "held", |campaign| campaign["held_why"] == why).await;
    assert_eq!((&held["accepted"], &held["left"]), (&json!(2), &json!(69)), "{held}");
    let rows = account.recipients(&id, "state=planned").await;
    assert_eq!((&rows[0]["ordinal"], &rows[0]["held_why"]), (&json!(2), &json!(why)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_with_every_message_and_each_phone_opens_it() {
    let account = Account::linked().await;
    let friends = account.friends(2).await;
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::new_rgb8(64, 48).write_to(&mut bytes, ImageFormat::Png).expect("encoded");
    let bytes = bytes.into_inner();
    let encoded = base64::engine::general_purpose::STANDARD.encode(&bytes);
    let media = json!({"media_type": "image", "media_base64": encoded, "filename": "menu.png"});
    let arrived = async |friend: &String, caption: &str| {
        let has = |shown: &sanasend_sandbox::ShownMessage| shown.kind == MessageKind::Image && shown.text == caption;
        let shown = account.control().wait_until(friend, PATIENCE, |shown| shown.iter().any(has)).await.expect("the phone");
        let message = shown.into_iter().find(has).unwrap_or_else(|| panic!("{friend} never saw {caption:?}"));
        assert_eq!(account.control().media_bytes(friend, &message.id, PATIENCE).await.expect("opened"), bytes);
    };
    let body = json!({"media": media, "content": "For {{name}}", "recipients": to(&friends), "pacing": "none"});
    let id = account.bulk(body.clone()).await;
    for (at, friend) in friends.iter().enumerate() {
        arrived(friend, &format!("For friend {at}")).await;
    }
    let done = account.campaign_becomes(&id, "finished").await;
    assert_eq!((&done["media"]["mime"], &done["content"]), (&json!("image/png"), &json!("For {{name}}")), "{done}");
    // A saved template lends its file; the campaign keeps it when the template goes.
    let saved = account.post("/templates/", json!({"name": "menu", "content": "Dear {{name}}", "media": media})).await;
    let template = text(&saved.is(201, "").body["data"]["id"]);
    let draft = account.post("/campaigns/", json!({"template": "menu", "recipients": to(&friends), "pacing": "none"})).await;
    let id = text(&draft.is(201, "").body["data"]["id"]);
    account.delete(&format!("/templates/{template}/")).await.is(200, "");
    account.post(&format!("/campaigns/{id}/start/"), Value::Null).await.is(200, "");
    arrived(&friends[1], "Dear friend 1").await;
    account.campaign_becomes(&id, "finished").await;
    let form = [("media", media.to_string()), ("pacing", "none".into()), ("start", "true".into())];
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    account.upload("/campaigns/", &form, &format!("phone\n{}\n", friends[0])).await.is(201, "");
    arrived(&friends[0], "").await;
    let mut both = body.clone();
    both["template"] = json!("menu");
    let sticker = json!({"media": {"media_type": "sticker", "media_base64": encoded}, "content": "x", "recipients": to(&friends)});
    let neither = json!({"media": {"media_type": "image"}, "recipients": to(&friends)});
    for (body, field) in [(both, "template"), (sticker, "content"), (neither, "media")] {
        account.post("/campaigns/", body).await.is(400, "VALIDATION_ERROR").names(&[field]);
    }
    account.upload("/campaigns/", &[("media", "menu.png")], "phone\n").await.is(400, "VALIDATION_ERROR").names(&["media"]);
    let text = json!({"media": {"media_type": "image", "media_base64": "aGVsbG8="}, "recipients": to(&friends)});
    account.post("/campaigns/", text).await.is(400, "MEDIA_TYPE_NOT_ALLOWED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_that_is_tried_out_knows_who_opted_out_since_it_was_made() {
    let account = Account::linked().await;
    let friends = account.friends(3).await;
    let made = account.post("/campaigns/", json!({"content": "Hi", "recipients": to(&friends), "pacing": "none"})).await;
    let id = text(&made.is(201, "").body["data"]["id"]);
    let app = &account.world.node.app;
    let user = app.store.campaign_owner(&account).await;
    let cause = sanasend_store::OptOutCause { source: sanasend_model::OptOutSource::Api, message_id: None, note: None };
    app.store.opt_out(user, vec![sanasend_store::NewOptOut { person: peer(&friends[1]), cause }]).await.expect("written");
    let tried = account.post(&format!("/campaigns/{id}/dry-run/"), Value::Null).await;
    let told = &tried.is(200, "").body["data"];
    assert_eq!((&told["total"], &told["planned"]), (&json!(3), &json!(2)), "{told}");
    assert_eq!(told["skipped_by_reason"], json!({"RECIPIENT_OPTED_OUT": 1}));
    assert_eq!((&told["skipped"][0]["ordinal"], &told["skipped"][0]["reason"]), (&json!(2), &json!("RECIPIENT_OPTED_OUT")));
    assert_eq!(account.campaign(&id).await["skipped"], 0, "nothing was changed");
}
