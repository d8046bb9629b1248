//! `/campaigns/` and `/messages/send-bulk/`: making them of lists and files, trying them out, and their way to the end.

use crate::account::Account;
use crate::world::{As, Reply, World, becomes, text};
use reqwest::Method;
use sanasend_model::Clock;
use sanasend_sandbox::Fault;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::Duration;

impl Account {
    pub async fn campaign(&self, id: &str) -> Value {
        let reply = self.get(&format!("/campaigns/{id}/")).await;
        reply.is(200, "");
        reply.body["data"].clone()
    }

    pub async fn campaign_becomes(&self, id: &str, state: &str) -> Value {
        self.until(id, state, |campaign| campaign["state"] == state).await
    }

    /// Waits until a campaign is as wanted; time goes on as it does.
    pub async fn until(&self, id: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        becomes(what, || self.campaign(id), wanted).await
    }

    pub async fn recipients(&self, id: &str, query: &str) -> Vec<Value> {
        let reply = self.get(&format!("/campaigns/{id}/recipients/?page_size=100&{query}")).await;
        reply.is(200, "");
        reply.body["data"]["results"].as_array().expect("a list").clone()
    }

    /// Lets time pass, and wakes who waits for it.
    pub async fn pass(&self, time: Duration) {
        self.world.pass(time).await;
    }

    pub async fn friends(&self, count: usize) -> Vec<String> {
        let mut friends = Vec::new();
        for _ in 0..count {
            friends.push(self.friend().await);
        }
        friends
    }

    pub fn shows(&self, friend: &str) -> Vec<String> {
        let shown = self.control().messages(friend).expect("the phone");
        shown.into_iter().filter(|message| !message.from_me).map(|message| message.text).collect()
    }

    pub async fn upload(&self, path: &str, fields: &[(&str, &str)], csv: &str) -> Reply {
        let mut form = reqwest::multipart::Form::new();
        for (name, value) in fields {
            form = form.text((*name).to_owned(), (*value).to_owned());
        }
        form = form.part("file", reqwest::multipart::Part::text(csv.to_owned()).file_name("people.csv"));
        let request = As::Key(&self.key).sign(self.world.request(Method::POST, &format!("/api/v1{path}"))).multipart(form);
        Reply::read(request.send().await.expect("an answer")).await
    }
}

/// Recipients with a name for each.
pub fn to(friends: &[String]) -> Value {
    friends.iter().enumerate().map(|(at, phone)| json!({"phone": phone, "variables": {"name": format!("friend {at}")}})).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_sent_their_own_text_and_the_report_adds_up() {
    let account = Account::linked().await;
    let friends = account.friends(5).await;
    let mut recipients = to(&friends);
    let more = [
        json!({"phone": friends[0], "variables": {"name": "again"}}),
        json!({"phone": "12"}),
        json!({"phone": "+13035550999", "variables": {"name": "nobody"}}),
        json!({"recipient": "+12025550188", "variables": {"nam": "mistyped"}}),
    ];
    recipients.as_array_mut().expect("a list").extend(more);
    let body = json!({"name": "Spring", "content": "Hi {{name}}!", "recipients": recipients, "pacing": "none"});
    let made = account.post("/messages/send-bulk/", body).await;
    let id = text(&made.is(202, "").body["data"]["id"]);
    let campaign = account.campaign_becomes(&id, "finished").await;
    for (at, friend) in friends.iter().enumerate() {
        account.shown(friend, &format!("Hi friend {at}!")).await;
        assert_eq!(account.shows(friend).len(), 1, "once");
    }
    assert_eq!(
        (&campaign["total"], &campaign["accepted"], &campaign["skipped"], &campaign["left"]),
        (&json!(9), &json!(6), &json!(3), &json!(0))
    );
    let reasons = json!({"DUPLICATE": 1, "RECIPIENT_INVALID": 1, "VARIABLES_MISSING": 1});
    assert_eq!((&campaign["skipped_by_reason"], &campaign["failed_by_code"]), (&reasons, &json!({"NOT_ON_WHATSAPP": 1})));
    let sum: u64 = campaign["outcomes"].as_object().expect("fields").values().filter_map(Value::as_u64).sum();
    assert_eq!(sum, 9, "{campaign}");
    account.control().send(&friends[1], &account.number, "thanks", None).await.expect("sent");
    let funnel = account.until(&id, "answered", |campaign| campaign["funnel"]["replied"] == 1).await;
    assert!(funnel["funnel"]["sent"] == 5 && funnel["accounts"][0]["replied"] == 1, "{funnel}");
    let skipped = account.recipients(&id, "state=skipped").await;
    assert_eq!(skipped.iter().map(|one| one["ordinal"].as_i64().expect("a place")).collect::<Vec<_>>(), [6, 7, 9]);
    assert_eq!(skipped[2]["detail"], "no value for name");
    let first = account.recipients(&id, "state=accepted").await.remove(0);
    let message = account.message(&first["message"]).await;
    assert_eq!((&message["content"], &message["metadata"]), (&json!("Hi friend 0!"), &json!({"campaign": id, "recipient": 1})));
    let report = account.get(&format!("/campaigns/{id}/report/?format=csv")).await;
    assert_eq!((report.status, report.text.lines().count()), (200, 10), "{}", report.text);
    assert!(report.text.lines().nth(7).is_some_and(|line| line.contains("RECIPIENT_INVALID")), "{}", report.text);
    let events = account.get("/events/?limit=500").await;
    let told: Vec<String> = events.body["data"]["results"]
        .as_array()
        .expect("events")
        .iter()
        .filter_map(|event| event["type"].as_str().filter(|kind| kind.starts_with("campaign.")).map(str::to_owned))
        .collect();
    assert_eq!((told.first().map(String::as_str), told.last().map(String::as_str)), (Some("campaign.started"), Some("campaign.finished")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_becomes_a_campaign_and_a_dry_run_makes_nothing() {
    let account = Account::linked().await;
    let friends = account.friends(2).await;
    let csv = format!("Name;Phone\nAnn;{}\nBen;{}\nNo;17\n;{}\n", friends[0], friends[1], friends[0]);
    let fields = [("content", "Hi {{Name|you}}"), ("name", "from a file"), ("pacing", "{\"per_day\": 1}")];
    let tried = account.upload("/campaigns/?dry_run=true", &fields, &csv).await;
    let told = &tried.is(200, "").body["data"];
    assert_eq!((&told["total"], &told["planned"]), (&json!(4), &json!(2)), "{told}");
    assert_eq!(told["skipped_by_reason"], json!({"RECIPIENT_INVALID": 1, "DUPLICATE": 1}));
    let days: Vec<&Value> = told["days"].as_array().expect("days").iter().map(|day| &day["messages"]).collect();
    assert_eq!((days, &told["cold_contacts"]), (vec![&json!(1), &json!(1)], &json!(2)), "one a day: {told}");
    assert_eq!(account.get("/campaigns/").await.body["data"]["count"], 0, "nothing was made");
    let made = account.upload("/campaigns/", &fields, &csv).await;
    let id = text(&made.is(201, "").body["data"]["id"]);
    assert_eq!((&made.body["data"]["state"], &made.body["data"]["pacing"]), (&json!("draft"), &json!({"per_day": 1})));
    let again = account.post(&format!("/campaigns/{id}/dry-run/"), Value::Null).await;
    assert_eq!((&again.is(200, "").body["data"]["planned"], &again.body["data"]["skipped"][0]["recipient"]), (&json!(2), &json!("17")));
    account.post(&format!("/campaigns/{id}/start/"), Value::Null).await.is(200, "");
    account.shown(&friends[0], "Hi Ann").await;
    let held = account.until(&id, "held", |campaign| campaign["held_why"].is_string()).await;
    assert_eq!(held["held_why"], "daily cap, 1 of 1 sent", "{held}");
    account.post(&format!("/campaigns/{id}/cancel/"), Value::Null).await.is(200, "");
    account.delete(&format!("/campaigns/{id}/")).await.is(200, "");
    account.get(&format!("/campaigns/{id}/")).await.is(404, "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_and_makes_nothing() {
    let account = Account::linked().await;
    let one = json!([{"phone": "+12025550123"}]);
    let table = [
        (json!({"recipients": one}), "VALIDATION_ERROR", "content"),
        (json!({"content": "", "recipients": one}), "VALIDATION_ERROR", "content"),
        (json!({"content": "Hi {{name", "recipients": one}), "VALIDATION_ERROR", "content"),
        (json!({"content": "x"}), "VALIDATION_ERROR", "recipients"),
        (json!({"content": "x", "recipients": []}), "VALIDATION_ERROR", "recipients"),
        (json!({"content": "x", "recipients": one, "filter": {}}), "VALIDATION_ERROR", "filter"),
        (json!({"content": "x", "recipients": [{"phone": "1", "variables": 3}]}), "VALIDATION_ERROR", "recipients[0].variables"),
        (json!({"content": "x", "recipients": [{"phone": "1", "vars": {}}]}), "UNKNOWN_FIELD", "recipients[0].vars"),
        (json!({"content": "x", "recipients": one, "pacing": "fast"}), "VALIDATION_ERROR", "pacing"),
        (json!({"content": "x", "recipients": one, "pacing": {"per_day": 0}}), "VALIDATION_ERROR", "pacing.per_day"),
        (json!({"content": "x", "recipients": one, "name": "n".repeat(201)}), "VALIDATION_ERROR", "name"),
        (json!({"content": "x", "recipients": one, "user": "me"}), "UNKNOWN_FIELD", "user"),
    ];
    for (body, code, field) in table {
        account.post("/campaigns/", body.clone()).await.is(400, code).names(&[field]);
        account.post("/messages/send-bulk/", body).await.is(400, code).names(&[field]);
    }
    account.post("/campaigns/", json!({"content": "x", "recipients": one, "sessions": ["other"]})).await.is(404, "NOT_FOUND");
    let again_and_again = json!({"content": "x", "recipients": one, "sessions": vec!["default"; 10_001]});
    account.post("/campaigns/", again_and_again).await.is(400, "VALIDATION_ERROR").names(&["sessions"]);
    for (fields, csv, field) in [
        (vec![("content", "x")], "name\nAnn\n", "file"),
        (vec![("content", "x")], "", "file"),
        (vec![("content", "x")], "phone\n", "file"),
        (vec![("content", "x"), ("column", "who")], "phone\n+12025550123\n", "column"),
        (vec![("content", "x"), ("start", "maybe")], "phone\n+12025550123\n", "start"),
    ] {
        account.upload("/campaigns/", &fields, csv).await.is(400, "VALIDATION_ERROR").names(&[field]);
    }
    account.upload("/campaigns/", &[("content", "x"), ("colour", "red")], "phone\n").await.is(400, "UNKNOWN_FIELD").names(&["colour"]);
    for path in ["?state=lost", "?page=0"] {
        account.get(&format!("/campaigns/{path}")).await.is(400, "VALIDATION_ERROR");
    }
    assert_eq!(account.get("/campaigns/").await.body["data"]["count"], 0);
    let (_, bare) = account.world.user(&account.world.admin().await, "bare").await;
    let refused = account.world.post("/campaigns/", As::Token(&bare), json!({"content": "x", "recipients": one})).await;
    refused.is(409, "SESSION_NOT_LINKED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_is_held_resumed_and_refuses_what_is_not_possible() {
    let account = Account::linked().await;
    let friends = account.friends(3).await;
    let body = json!({"content": "Hi", "recipients": to(&friends), "pacing": {"gap_min_seconds": 30, "gap_max_seconds": 30}});
    let key = [("idempotency-key", "spring")];
    let post = async |body: &Value| {
        let request = As::Key(&account.key).sign(account.world.request(Method::POST, "/api/v1/campaigns/")).header(key[0].0, key[0].1);
        Reply::read(request.json(body).send().await.expect("an answer")).await
    };
    let (made, again) = (post(&body).await, post(&body).await);
    let id = text(&made.is(201, "").body["data"]["id"]);
    assert_eq!((again.is(201, "").body["data"]["id"].as_str(), again.header("idempotency-replayed")), (Some(id.as_str()), "true"));
    post(&json!({"content": "Ho", "recipients": to(&friends)})).await.is(422, "IDEMPOTENCY_KEY_REUSED");
    let act = async |what: &str| account.post(&format!("/campaigns/{id}/{what}/"), Value::Null).await;
    act("pause").await.is(409, "WRONG_STATE");
    act("start").await.is(200, "");
    account.shown(&friends[0], "Hi").await;
    let held = account.until(&id, "held", |campaign| campaign["held_why"] == "account pacing").await;
    assert!(held["left"] == 2 && held["held_until"].is_string(), "{held}");
    account.delete(&format!("/campaigns/{id}/")).await.is(409, "WRONG_STATE");
    act("pause").await.is(200, "");
    account.pass(Duration::from_mins(2)).await;
    act("resume").await.is(200, "");
    account.shown(&friends[1], "Hi").await;
    // An ordinary message goes at once, whatever the campaign waits for.
    let sent = account.post("/messages/send-text/?wait=20", json!({"recipient": friends[2], "content": "at once"})).await;
    assert_eq!(sent.is(200, "").body["data"]["error_code"], Value::Null);
    account.until(&id, "held again", |campaign| campaign["held_why"] == "account pacing" && campaign["left"] == 1).await;
    account.pass(Duration::from_secs(40)).await;
    let done = account.campaign_becomes(&id, "finished").await;
    let last = account.recipients(&id, "").await.pop().expect("the last");
    let timeline = account.message(&last["message"]).await["timeline"].clone();
    assert_eq!(timeline[0]["step"], "held", "{timeline}");
    assert!(timeline[0]["detail"].as_str().is_some_and(|text| text.starts_with("held ") && text.ends_with("account pacing")), "{timeline}");
    for what in ["start", "pause", "resume", "cancel"] {
        act(what).await.is(409, "WRONG_STATE");
    }
    assert_eq!(done["funnel"]["accepted"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_failures_stop_it_and_say_why() {
    let account = Account::linked().await;
    let nobody: Vec<Value> = (0..200).map(|at| json!({"phone": format!("+1303555{:04}", 9000 + at)})).collect();
    let made = account.post("/messages/send-bulk/", json!({"content": "Hi", "recipients": nobody, "pacing": "none"})).await;
    let id = text(&made.is(202, "").body["data"]["id"]);
    let stopped = account.campaign_becomes(&id, "stopped").await;
    let reason = stopped["reason"].as_str().expect("a reason");
    assert!(reason.contains("messages failed") && reason.contains("NOT_ON_WHATSAPP"), "{reason}");
    assert!(stopped["left"].as_u64().is_some_and(|left| left > 0), "{stopped}");
    account.post(&format!("/campaigns/{id}/resume/"), Value::Null).await.is(200, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_opted_out_is_skipped_and_contacts_can_be_written_to() {
    let account = Account::linked().await;
    let friends = account.friends(3).await;
    let app = &account.world.node.app;
    let user = app.store.campaign_owner(&account).await;
    for (at, phone) in friends.iter().enumerate() {
        let person = peer(phone);
        let tags = if at < 2 { ["customers".to_owned()].into() } else { std::collections::BTreeSet::new() };
        let fields = [("city".to_owned(), format!("City {at}"))].into();
        let new = sanasend_store::NewContact { person, name: format!("Friend {at}"), tags, fields, ..Default::default() };
        app.store.create_contact(user, new, sanasend_model::ContactSource::Api).await.expect("made");
    }
    let cause = sanasend_store::OptOutCause { source: sanasend_model::OptOutSource::Api, message_id: None, note: None };
    app.store.opt_out(user, vec![sanasend_store::NewOptOut { person: peer(&friends[1]), cause }]).await.expect("written");
    let body = json!({"content": "{{name}} of {{city}}", "filter": {"tag": "Customers"}, "pacing": "none"});
    let tried = account.post("/campaigns/?dry_run=true", body.clone()).await;
    let told = &tried.is(200, "").body["data"];
    assert_eq!((&told["total"], &told["skipped_by_reason"]), (&json!(2), &json!({"RECIPIENT_OPTED_OUT": 1})), "{told}");
    let made = account.post("/messages/send-bulk/", body).await;
    let id = text(&made.is(202, "").body["data"]["id"]);
    let done = account.campaign_becomes(&id, "finished").await;
    assert_eq!(done["skipped_by_reason"], json!({"RECIPIENT_OPTED_OUT": 1}), "{done}");
    account.shown(&friends[0], "Friend 0 of City 0").await;
    assert_eq!((account.shows(&friends[1]).len(), account.shows(&friends[2]).len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_template_is_sent_as_it_was_when_the_campaign_was_made() {
    let account = Account::linked().await;
    let friends = account.friends(1).await;
    let saved = account.post("/templates/", json!({"name": "opening", "language": "en", "content": "Hello {{name}}"})).await;
    let template = format!("/templates/{}/", text(&saved.is(201, "").body["data"]["id"]));
    let body = json!({"template": "opening", "recipients": to(&friends), "pacing": "none"});
    let made = account.post("/campaigns/", body).await;
    let id = text(&made.is(201, "").body["data"]["id"]);
    assert_eq!((&made.body["data"]["template"], &made.body["data"]["content"]), (&json!("opening"), &json!("Hello {{name}}")));
    let edit = account.world.call(Method::PATCH, &template, As::Key(&account.key), json!({"content": "Bye {{name}}"})).await;
    edit.is(200, "");
    account.post(&format!("/campaigns/{id}/start/"), Value::Null).await.is(200, "");
    account.shown(&friends[0], "Hello friend 0").await;
    account.campaign_becomes(&id, "finished").await;
    let both = json!({"template": "opening", "content": "x", "recipients": to(&friends)});
    account.post("/campaigns/", both).await.is(400, "VALIDATION_ERROR").names(&["template"]);
    account.post("/campaigns/", json!({"template": "other", "recipients": to(&friends)})).await.is(404, "NOT_FOUND");
}

/// Somebody by number.
pub fn peer(phone: &str) -> sanasend_store::Peer {
    let phone = sanasend_model::PhoneNumber::parse(phone).expect("a number");
    sanasend_store::Peer { jid: Some(phone.jid()), phone: Some(phone), lid: None }
}

/// The user that an account belongs to.
pub trait Owner {
    async fn campaign_owner(&self, account: &Account) -> sanasend_model::UserId;
}

impl Owner for sanasend_store::Store {
    async fn campaign_owner(&self, account: &Account) -> sanasend_model::UserId {
        text(&account.get("/auth/me/").await.body["data"]["id"]).parse().expect("an id")
    }
}

#[tokio::test]
async fn another_users_campaign_is_not_there_and_a_key_needs_the_scope() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (_, eve) = world.user(&admin, "eve").await;
    let (_, reads) = world.key(&eve, json!({"scopes": ["campaigns:read"]})).await;
    let (_, weak) = world.key(&eve, json!({"scopes": ["messages:send"]})).await;
    let nobody = "01936b1e-7a40-7c3e-8b5e-2f6d1c0a9e77";
    for (method, rest) in [
        (Method::GET, ""),
        (Method::DELETE, ""),
        (Method::POST, "start/"),
        (Method::POST, "pause/"),
        (Method::POST, "resume/"),
        (Method::POST, "cancel/"),
        (Method::POST, "dry-run/"),
        (Method::GET, "recipients/"),
        (Method::GET, "report/"),
    ] {
        let path = format!("/campaigns/{nobody}/{rest}");
        world.call(method.clone(), &path, As::Token(&eve), Value::Null).await.is(404, "NOT_FOUND");
        world.call(method.clone(), &path, As::Key(&weak), Value::Null).await.is(403, "INSUFFICIENT_SCOPE");
        let is_read = method == Method::GET;
        let (status, code) = if is_read { (404, "NOT_FOUND") } else { (403, "INSUFFICIENT_SCOPE") };
        world.call(method, &path, As::Key(&reads), Value::Null).await.is(status, code);
    }
    world.post("/messages/send-bulk/", As::Key(&weak), json!({})).await.is(403, "INSUFFICIENT_SCOPE");
}

/// Days of pacing in virtual time, with restarts, two accounts, and one of them limited by WhatsApp under way.
#[tokio::test(flavor = "multi_thread")]
async fn days_of_pacing_with_restarts_and_an_account_that_is_limited() {
    let mut account = Box::pin(Account::new()).await;
    account
        .world
        .call(Method::PATCH, &me(&account).await, As::Token(&account.world.admin().await), json!({"max_sessions": 2}))
        .await
        .is(200, "");
    account.link().await;
    let second = account.post("/sessions/init/", json!({"name": "second"})).await;
    let code = text(&second.body["data"]["qr_code"]["text"]);
    let other = account.control().scan(&code, None).await.expect("the phone scans").phone;
    let status = async || account.get("/sessions/status/?session=second").await.body["data"]["status"].clone();
    becomes("linked", status, |status| status == "connected").await;
    let friends = account.friends(24).await;
    // Four a day and account: warm-up, three days, one message at a time.
    let pacing = json!({"gap_min_seconds": 60, "gap_max_seconds": 90, "per_hour": 3, "per_day": 6, "warm_up": [4, 4], "cold_per_day": 100});
    let body = json!({"content": "Hi {{name}}", "recipients": to(&friends), "sessions": ["default", "second"], "pacing": pacing});
    let made = account.post("/messages/send-bulk/", body).await;
    let id = text(&made.is(202, "").body["data"]["id"]);
    let (began, mut days, mut limited, mut restarts) = (account.world.clock.now(), HashSet::new(), false, 0);
    let until = tokio::time::Instant::now() + Duration::from_secs(100);
    let accepted = |campaign: &Value| campaign["accepted"].as_u64().expect("a number");
    let waits = |campaign: &Value| campaign["outcomes"]["pending"] == 0 && campaign["held_until"].is_string();
    loop {
        let to_do = |campaign: &Value| {
            let accepted = accepted(campaign);
            campaign["state"] != "running" || waits(campaign) || (accepted >= 10 && !limited) || accepted / 6 > restarts
        };
        let campaign = account.until(&id, "held or over", to_do).await;
        if campaign["state"] != "running" {
            assert_eq!(campaign["state"], "finished", "{campaign}");
            break;
        }
        assert!(tokio::time::Instant::now() < until, "it ends: {campaign}");
        let accepted = accepted(&campaign);
        days.insert(account.world.clock.now().day());
        if accepted >= 10 && !limited {
            limited = true;
            account.control().fault(&other, Fault::Nack { code: 463, count: 1_000 }).expect("planted");
        }
        if accepted / 6 > restarts {
            restarts += 1;
            account.world = account.world.restart().await;
        }
        if waits(&campaign) {
            account.pass(Duration::from_mins(if campaign["held_why"] == "account pacing" { 2 } else { 20 })).await;
        }
    }
    let report = account.campaign(&id).await;
    assert!(limited && restarts >= 3 && days.len() >= 3, "{limited} {restarts} {days:?} {:?}", account.world.clock.now().since(began));
    let failed = report["outcomes"]["failed"].as_u64().expect("a number");
    assert!(failed >= 1 && report["failed_by_code"] == json!({"REACHOUT_LIMITED": failed}), "{report}");
    let left: Vec<&Value> = report["accounts"].as_array().expect("accounts").iter().filter(|one| one["left_why"].is_string()).collect();
    assert!(left.len() == 1 && left[0]["left_why"].as_str().is_some_and(|why| why.contains("463")), "{report}");
    let sum: u64 = report["outcomes"].as_object().expect("fields").values().filter_map(Value::as_u64).sum();
    assert_eq!(sum, 24, "{report}");
    let rows = account.recipients(&id, "").await;
    let messages: HashSet<String> = rows.iter().map(|row| text(&row["message"])).collect();
    assert_eq!(messages.len(), 24, "a message each");
    let mut shown = 0;
    for (friend, row) in friends.iter().zip(&rows) {
        let texts = account.shows(friend);
        let expected = usize::from(row["message_status"] != "failed");
        assert_eq!(texts.len(), expected, "{friend} {row}");
        shown += texts.len() as u64;
    }
    assert_eq!(shown + failed, 24);
}

async fn me(account: &Account) -> String {
    format!("/users/{}/", text(&account.get("/auth/me/").await.body["data"]["id"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_tells_how_it_fares() {
    let account = Account::linked().await;
    let friends = account.friends(2).await;
    let id = text(&account.session().await["id"]);
    let health = async || {
        let reply = account.get(&format!("/sessions/{id}/health/")).await;
        reply.is(200, "");
        reply.body["data"].clone()
    };
    let new = health().await;
    assert_eq!(
        (&new["level"], &new["warm_up"], &new["today"]),
        (&json!("warming_up"), &json!({"day": 1, "of": 7}), &json!({"used": 0, "cap": 20}))
    );
    for friend in &friends {
        let sent = account.send(friend, "Hello").await;
        account.message_becomes(&sent["id"], "delivered").await;
    }
    account.control().send(&friends[0], &account.number, "Hi there", None).await.expect("sent");
    let answered = becomes("answered", &health, |now| now["answers"]["answered"] == 1).await;
    assert_eq!(
        (&answered["answers"]["ratio"], &answered["today"]["used"], &answered["days"][0]["received"]),
        (&json!(0.5), &json!(2), &json!(1))
    );
    account.pass(Duration::from_hours(24 * 10)).await;
    assert_eq!(health().await["level"], "good", "it is warm");
    account.get("/sessions/01936b1e-7a40-7c3e-8b5e-2f6d1c0a9e77/health/").await.is(404, "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_whose_content_can_not_be_read_stops_and_says_why() {
    let account = Account::linked().await;
    let friends = account.friends(1).await;
    let made = account.post("/campaigns/", json!({"content": "Hi", "recipients": to(&friends)})).await;
    let id = text(&made.is(201, "").body["data"]["id"]);
    account.world.tamper("UPDATE campaigns SET content = '{}'").await;
    account.post(&format!("/campaigns/{id}/start/"), Value::Null).await.is(200, "");
    let stopped = account.campaign_becomes(&id, "stopped").await;
    assert!(text(&stopped["reason"]).contains("can't be read"), "{stopped}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_finds_its_campaign_whatever_changed_since() {
    let account = Account::linked().await;
    let friends = account.friends(1).await;
    let template = text(&account.post("/templates/", json!({"name": "spring", "content": "Hi"})).await.is(201, "").body["data"]["id"]);
    let post = async |body: &Value| {
        let request = As::Key(&account.key).sign(account.world.request(Method::POST, "/api/v1/campaigns/"));
        Reply::read(request.header("idempotency-key", "spring").json(body).send().await.expect("an answer")).await
    };
    let body = json!({"template": "spring", "recipients": to(&friends)});
    let id = text(&post(&body).await.is(201, "").body["data"]["id"]);
    account.delete(&format!("/templates/{template}/?force=true")).await.is(200, "");
    let again = post(&body).await;
    assert_eq!((again.is(201, "").body["data"]["id"].as_str(), again.header("idempotency-replayed")), (Some(id.as_str()), "true"));
    // What else is wrong with another request under the key is not the point.
    post(&json!({"template": "summer", "recipients": to(&friends)})).await.is(422, "IDEMPOTENCY_KEY_REUSED");
}
