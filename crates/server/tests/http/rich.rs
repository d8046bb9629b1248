//! Places, cards, polls, and what is done to a message: sent, shown on the phone, and refused with reasons.

use crate::account::Account;
use crate::world::{self, As, PATIENCE, Reply};
use reqwest::Method;
use sanasend_model::Timestamp;
use sanasend_sandbox::{MessageKind, ShownLocation, ShownMessage};
use serde_json::{Value, json};
use std::time::Duration;

/// Waits until the phone shows a message for which `wanted` holds.
async fn sees(account: &Account, friend: &str, wanted: impl Fn(&ShownMessage) -> bool) -> ShownMessage {
    let shown = account.control().wait_until(friend, PATIENCE, |shown| shown.iter().any(&wanted)).await.expect("the phone");
    shown.iter().find(|message| wanted(message)).cloned().unwrap_or_else(|| panic!("never seen; only {shown:?}"))
}

/// Waits until the message stands as wanted.
async fn becomes(account: &Account, id: &Value, wanted: impl Fn(&Value) -> bool) -> Value {
    world::becomes("so", || account.message(id), wanted).await
}

/// Waits for an incoming message of a type.
async fn incoming(account: &Account, kind: &str) -> Value {
    account.incoming(kind, |message| message["message_type"] == kind).await
}

async fn act(account: &Account, message: &Value, what: &str, body: Value) -> Reply {
    account.post(&format!("/messages/{}/{what}/?wait=20", message["id"].as_str().expect("an id")), body).await
}

async fn events(account: &Account, kind: &str) -> Vec<Value> {
    let listed = account.get("/events/?after=0").await;
    let all = listed.body["data"]["results"].as_array().expect("events").clone();
    all.into_iter().filter(|event| event["type"] == kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_cards_and_a_poll_reach_the_phone() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let place = json!({"recipient": friend, "latitude": 52.5163, "longitude": 13.3777, "name": "Gate", "address": "Pariser Platz"});
    let sent = account.post("/messages/send-location/", place).await;
    sent.is(202, "");
    assert_eq!((&sent.body["data"]["message_type"], &sent.body["data"]["location"]["name"]), (&json!("location"), &json!("Gate")));
    let shown = sees(&account, &friend, |message| message.kind == MessageKind::Location).await;
    let there = ShownLocation { latitude: 52.5163, longitude: 13.3777, name: Some("Gate".into()), address: Some("Pariser Platz".into()) };
    assert_eq!((shown.location, json!(shown.id)), (Some(there), sent.body["data"]["wa_message_id"].clone()));

    let card = |name: &str| json!({"name": name, "phone": "+1 202 555 0124", "organization": "Example"});
    let two = json!({"recipient": friend, "contacts": [card("Anna"), card("Ben")], "reply_to": sent.body["data"]["id"]});
    let sent = account.post("/messages/send-contact/", two).await;
    sent.is(202, "");
    assert_eq!(sent.body["data"]["contacts"][1]["phones"], json!(["+12025550124"]));
    let shown = sees(&account, &friend, |message| message.kind == MessageKind::Contact).await;
    assert_eq!(shown.contacts.len(), 2);
    assert!(shown.contacts[0].vcard.contains("waid=12025550124"), "{:?}", shown.contacts);

    let poll = json!({"recipient": friend, "question": "When?", "options": ["Today", "Tomorrow"]});
    let poll = account.post("/messages/send-poll/?wait=20", poll).await;
    poll.is(200, "");
    assert_eq!(poll.body["data"]["poll"]["options"], json!([{"name": "Today", "votes": 0}, {"name": "Tomorrow", "votes": 0}]));
    assert!(!poll.text.contains("secret"), "{}", poll.text);
    let shown = sees(&account, &friend, |message| message.kind == MessageKind::Poll).await;
    account.control().vote(&friend, &shown.id, &["Tomorrow".to_owned()]).await.expect("voted");
    let voted = becomes(&account, &poll.body["data"]["id"], |now| now["poll"]["options"][1]["votes"] == 1).await;
    assert_eq!((&voted["poll"]["votes"][0]["options"], &voted["poll"]["votes"][0]["by"]["phone"]), (&json!(["Tomorrow"]), &json!(friend)));
    let vote = incoming(&account, "poll_vote").await;
    assert_eq!((&vote["selected_options"], &vote["target"]["id"]), (&json!(["Tomorrow"]), &poll.body["data"]["id"]));
    assert_eq!(events(&account, "message.voted").await[0]["data"]["vote"]["options"], json!(["Tomorrow"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_reacted_to_edited_and_deleted_on_the_phone_too() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let sent = account.send(&friend, "teh bread").await;
    account.message_becomes(&sent["id"], "delivered").await;

    let edited = act(&account, &sent, "edit", json!({"content": "the bread", "metadata": {"by": 7}})).await;
    edited.is(200, "");
    assert_eq!((&edited.body["data"]["message_type"], &edited.body["data"]["target"]["id"]), (&json!("edit"), &sent["id"]));
    assert!(sees(&account, &friend, |message| message.text == "the bread").await.edited);
    let now = account.message(&sent["id"]).await;
    assert_eq!((&now["content"], now["edited_at"].is_string()), (&json!("the bread"), true));

    act(&account, &sent, "react", json!({"emoji": "👍"})).await.is(200, "");
    let shown = sees(&account, &friend, |message| !message.reactions.is_empty()).await;
    assert_eq!((shown.text.as_str(), shown.reactions[0].emoji.as_str()), ("the bread", "👍"));
    let now = account.message(&sent["id"]).await;
    assert_eq!((&now["reactions"][0]["emoji"], &now["reactions"][0]["by"]["from_me"]), (&json!("👍"), &json!(true)));
    act(&account, &sent, "react", json!({"emoji": ""})).await.is(200, "");
    assert!(account.message(&sent["id"]).await["reactions"].is_null());

    act(&account, &sent, "delete", Value::Null).await.is(200, "");
    assert!(sees(&account, &friend, |message| message.deleted).await.text.is_empty());
    let now = account.message(&sent["id"]).await;
    assert!(now["deleted_at"].is_string(), "{now}");
    act(&account, &sent, "react", json!({"emoji": "👍"})).await.is(409, "WRONG_STATE");
    for (kind, count) in [("message.edited", 1), ("message.reacted", 2), ("message.deleted", 1)] {
        assert_eq!(events(&account, kind).await.len(), count, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_reacts_edits_and_deletes_and_the_api_tells_it() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let control = account.control();
    let sent = account.send(&friend, "Ready!").await;
    let shown = account.shown(&friend, "Ready!").await;
    control.react(&friend, &shown.id, "❤️").await.expect("reacted");
    let now = becomes(&account, &sent["id"], |now| now["reactions"][0]["emoji"] == "❤️").await;
    assert_eq!((&now["reactions"][0]["by"]["phone"], &now["reactions"][0]["by"]["name"]), (&json!(friend), &json!("Friend")));
    assert_eq!(incoming(&account, "reaction").await["target"]["id"], sent["id"]);

    let id = control.send(&friend, &account.number, "Thnaks", None).await.expect("sent");
    let thanks = incoming(&account, "text").await;
    control.edit(&friend, &id, "Thanks").await.expect("edited");
    let now = becomes(&account, &thanks["id"], |now| now["content"] == "Thanks").await;
    assert!(now["edited_at"].is_string());
    assert_eq!(incoming(&account, "edit").await["content"], json!("Thanks"));
    control.delete(&friend, &id).await.expect("deleted");
    becomes(&account, &thanks["id"], |now| now["deleted_at"].is_string()).await;
    assert_eq!(incoming(&account, "revoke").await["target"]["wa_message_id"], json!(id));

    let place = ShownLocation { latitude: 1.5, longitude: 2.5, name: None, address: Some("Here".into()) };
    control.send_location(&friend, &account.number, &place).await.expect("sent");
    assert_eq!(incoming(&account, "location").await["location"]["address"], json!("Here"));
    let vcard = "BEGIN:VCARD\nVERSION:3.0\nFN:Cleo\nTEL;waid=12025550125:+12025550125\nEND:VCARD".to_owned();
    let card = sanasend_sandbox::ShownCard { name: "Cleo".into(), vcard };
    control.send_contacts(&friend, &account.number, &[card]).await.expect("sent");
    assert_eq!(incoming(&account, "contact").await["contacts"][0]["phones"], json!(["+12025550125"]));
    control.send_poll(&friend, &account.number, "Tea?", &["yes".into(), "no".into()], 1).await.expect("sent");
    let poll = incoming(&account, "poll").await;
    assert_eq!((&poll["poll"]["question"], &poll["poll"]["selectable_count"]), (&json!("Tea?"), &json!(1)));
    control.vote(&friend, poll["wa_message_id"].as_str().expect("an id"), &["yes".into()]).await.expect("voted");
    becomes(&account, &poll["id"], |now| now["poll"]["options"][0]["votes"] == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_group_everybody_sees_what_is_done() {
    let account = Account::linked().await;
    let (anna, ben) = (account.friend().await, account.friend().await);
    let control = account.control();
    let group = control.make_group(&account.number, "Bakers", &[&anna, &ben]).expect("a group");
    let sent = account.post("/messages/send-text/?wait=20", json!({"recipient": group, "content": "Hello all"})).await;
    sent.is(200, "");
    for phone in [&anna, &ben] {
        let shown = account.shown(phone, "Hello all").await;
        control.react(phone, &shown.id, "👏").await.expect("reacted");
    }
    let now = becomes(&account, &sent.body["data"]["id"], |now| now["reactions"].as_array().is_some_and(|all| all.len() == 2)).await;
    assert_ne!(now["reactions"][0]["by"]["phone"], now["reactions"][1]["by"]["phone"]);
    control.send(&anna, &group, "from Anna", None).await.expect("sent");
    let annas = incoming(&account, "text").await;
    act(&account, &annas, "react", json!({"emoji": "👍"})).await.is(200, "");
    let shown = sees(&account, &ben, |message| message.text == "from Anna" && !message.reactions.is_empty()).await;
    assert_eq!(shown.reactions[0].by, format!("{}@s.whatsapp.net", account.number.trim_start_matches('+')));
    let poll = json!({"recipient": group, "question": "When?", "options": ["Today", "Tomorrow"], "selectable_count": 2});
    let poll = account.post("/messages/send-poll/?wait=20", poll).await;
    for (phone, options) in [(&anna, vec!["Today".to_owned()]), (&ben, vec!["Today".to_owned(), "Tomorrow".to_owned()])] {
        let shown = sees(&account, phone, |message| message.kind == MessageKind::Poll).await;
        control.vote(phone, &shown.id, &options).await.expect("voted");
    }
    let counted = |now: &Value| now["poll"]["options"][0]["votes"] == 2 && now["poll"]["options"][1]["votes"] == 1;
    becomes(&account, &poll.body["data"]["id"], counted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_done_is_refused_with_the_reason() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let poll = |options: Value| json!({"recipient": friend, "question": "", "options": options, "selectable_count": 3});
    account.post("/messages/send-poll/", poll(json!(["a", "a"]))).await.is(400, "VALIDATION_ERROR").names(&[
        "options",
        "question",
        "selectable_count",
    ]);
    let place = json!({"recipient": friend, "latitude": 91, "longitude": 181});
    account.post("/messages/send-location/", place).await.is(400, "VALIDATION_ERROR").names(&["latitude", "longitude"]);
    let place = json!({"recipient": "nobody", "latitude": 1, "longitude": 1});
    account.post("/messages/send-location/", place).await.is(400, "RECIPIENT_INVALID");
    let cards = json!({"recipient": friend, "contacts": [{"name": "Anna", "phone": "12"}]});
    account.post("/messages/send-contact/", cards).await.is(400, "VALIDATION_ERROR").names(&["contacts[0].phone"]);
    account.post("/messages/send-contact/", json!({"recipient": friend, "contacts": []})).await.is(400, "VALIDATION_ERROR");

    account.control().send(&friend, &account.number, "theirs", None).await.expect("sent");
    let theirs = incoming(&account, "text").await;
    act(&account, &theirs, "react", json!({"emoji": "ok"})).await.is(400, "VALIDATION_ERROR").names(&["emoji"]);
    act(&account, &theirs, "edit", json!({"content": "x"})).await.is(409, "WRONG_STATE");
    act(&account, &theirs, "delete", Value::Null).await.is(409, "WRONG_STATE");
    let place = account.post("/messages/send-location/?wait=20", json!({"recipient": friend, "latitude": 1, "longitude": 1})).await;
    act(&account, &place.body["data"], "edit", json!({"content": "x"})).await.is(409, "WRONG_STATE");
    let sent = account.send(&friend, "mine").await;
    account.message_becomes(&sent["id"], "delivered").await;
    let reaction = act(&account, &sent, "react", json!({"emoji": "👍"})).await;
    act(&account, &reaction.body["data"], "react", json!({"emoji": "👍"})).await.is(409, "WRONG_STATE");
    act(&account, &reaction.body["data"], "delete", Value::Null).await.is(409, "WRONG_STATE");
    act(&account, &sent, "edit", json!({"content": " "})).await.is(400, "VALIDATION_ERROR").names(&["content"]);

    account.post("/sessions/disconnect/", json!({"logout": false})).await.is(200, "");
    let waiting = account.send(&friend, "not yet").await;
    act(&account, &waiting, "react", json!({"emoji": "👍"})).await.is(409, "WRONG_STATE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaction_asked_for_twice_with_one_key_is_sent_once() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let sent = account.send(&friend, "once").await;
    account.message_becomes(&sent["id"], "delivered").await;
    let path = format!("/api/v1/messages/{}/react/", sent["id"].as_str().expect("an id"));
    let ask = async |emoji: &str| {
        let request = As::Key(&account.key).sign(account.world.request(Method::POST, &path)).header("Idempotency-Key", "k1");
        Reply::read(request.json(&json!({"emoji": emoji})).send().await.expect("an answer")).await
    };
    let first = ask("👍").await;
    first.is(202, "");
    let again = ask("👍").await;
    assert_eq!((again.status, &again.body["data"]["id"]), (202, &first.body["data"]["id"]));
    assert_eq!(again.headers["idempotency-replayed"], "true");
    ask("👎").await.is(422, "IDEMPOTENCY_KEY_REUSED");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_long_ago_is_left_as_it_is() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let sent = account.send(&friend, "old news").await;
    account.message_becomes(&sent["id"], "delivered").await;
    account.world.clock.pass(Duration::from_mins(16));
    let late = act(&account, &sent, "edit", json!({"content": "new"})).await;
    late.is(409, "WRONG_STATE");
    assert!(late.text.contains("15 minutes"), "{}", late.text);
    account.world.clock.pass(Duration::from_hours(60));
    act(&account, &sent, "delete", Value::Null).await.is(409, "WRONG_STATE");
    assert!(account.message(&sent["id"]).await["created_at"].as_str().and_then(Timestamp::parse).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_is_shown_live_and_never_kept() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let control = account.control();
    let before = control.transcript_end();
    let typing = |state: &str| json!({"recipient": friend, "state": state});
    let filter = sanasend_sandbox::StanzaFilter::tag("chatstate").of(&friend).after(before);
    account.post("/sessions/typing/", typing("composing")).await.is(200, "");
    let seen = control.wait_for_stanza(&filter.clone().direction(sanasend_sandbox::Direction::Out), PATIENCE).await;
    assert!(seen.is_some(), "the phone is told");
    account.post("/sessions/typing/", typing("recording")).await.is(200, "");
    account.post("/sessions/typing/", typing("paused")).await.is(200, "");
    account.post("/sessions/typing/", typing("thinking")).await.is(400, "VALIDATION_ERROR").names(&["state"]);
    account.post("/sessions/typing/", json!({"recipient": "+13035550999", "state": "paused"})).await.is(400, "NOT_ON_WHATSAPP");
    account.post("/sessions/typing/", json!({"recipient": "nobody", "state": "paused"})).await.is(400, "RECIPIENT_INVALID");
    account.post("/sessions/disconnect/", json!({"logout": false})).await.is(200, "");
    account.post("/sessions/typing/", typing("composing")).await.is(409, "WRONG_STATE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_shown_with_a_preview_that_is_given_or_fetched_and_never_stops_a_text() {
    let mut account = Account::with(|config| config.egress.allow = vec![sanasend::config::Cidr("127.0.0.0/8".parse().expect("net"))]).await;
    account.link().await;
    let friend = account.friend().await;
    let page = r#"<html><head><title>Plain</title><meta property="og:title" content="Order &#49;7"></head><body></body></html>"#;
    let site = axum::Router::new()
        .route("/order", axum::routing::get(move || async move { ([("content-type", "text/html; charset=utf-8")], page) }))
        .route("/picture", axum::routing::get(|| async { ([("content-type", "image/png")], "<title>no</title>") }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, site).await });
    let send = async |text: &str, preview: Value| {
        account.post("/messages/send-text/", json!({"recipient": friend, "content": text, "link_preview": preview})).await
    };
    let text = format!("Ready: {base}/order.");
    let sent = send(&text, json!(true)).await;
    sent.is(202, "");
    assert_eq!(sent.body["data"]["link_preview"], json!({"url": format!("{base}/order"), "title": "Order 17", "description": null}));
    let shown = account.shown(&friend, &text).await.preview.expect("a preview on the phone");
    assert_eq!((shown.url, shown.title.as_str()), (format!("{base}/order"), "Order 17"));

    for path in ["/picture", "/none"] {
        let text = format!("Look: {base}{path}");
        let sent = send(&text, json!(true)).await;
        sent.is(202, "");
        assert!(sent.body["data"]["link_preview"].is_null(), "{}", sent.text);
        assert_eq!(account.shown(&friend, &text).await.preview, None);
    }
    // Nothing is behind it, and the guard would not go there.
    send("http://169.254.169.254/latest", json!(true)).await.is(202, "");
    let given = json!({"url": "https://example.com/17", "title": "Seventeen", "description": "Ready"});
    let sent = send("See https://example.com/17", given.clone()).await;
    sent.is(202, "");
    assert_eq!(sent.body["data"]["link_preview"], given);
    send("no link here", given).await.is(400, "VALIDATION_ERROR").names(&["link_preview.url"]);
    send("x", json!({"url": 7})).await.is(400, "VALIDATION_ERROR");
}
