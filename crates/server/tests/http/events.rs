//! `/events/`: the log by cursor, by long poll, and live.

use crate::account::{Account, Socket, Stream};
use crate::world::As;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// Within this a stream has ended; looks by the clock come later than that.
const AT_ONCE: Duration = Duration::from_secs(8);

/// Kinds of the events of one message, in order.
fn kinds(events: &[Value], message: &Value) -> Vec<String> {
    let of = |event: &&Value| event["message"] == message["id"];
    events.iter().filter(of).map(|event| event["type"].as_str().expect("a type").to_owned()).collect()
}

async fn all(account: &Account) -> Vec<Value> {
    let (mut events, mut after) = (Vec::new(), json!(0));
    loop {
        let page = account.get(&format!("/events/?after={after}&limit=3")).await;
        page.is(200, "");
        let data = &page.body["data"];
        events.extend(data["results"].as_array().expect("results").iter().cloned());
        after = data["next_cursor"].clone();
        if data["has_more"] == json!(false) {
            return events;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_everything_once_and_in_order() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let sent = account.send(&friend, "Hello").await;
    account.message_becomes(&sent["id"], "delivered").await;
    let events = all(&account).await;
    assert_eq!(kinds(&events, &sent), ["message.accepted", "message.sent", "message.delivered"]);
    let cursors: Vec<i64> = events.iter().map(|event| event["cursor"].as_i64().expect("a cursor")).collect();
    assert!(cursors.is_sorted_by(|a, b| a < b), "{cursors:?}");
    assert!(events.iter().any(|event| event["type"] == "session.changed" && event["data"]["session"]["status"] == "connected"));
    let accepted = events.iter().find(|event| event["type"] == "message.accepted").expect("told");
    assert_eq!(accepted["data"]["message"]["id"], sent["id"]);
    for (query, field) in [("after=-1", "after"), ("limit=0", "limit"), ("limit=1001", "limit"), ("wait=61", "wait"), ("after=x", "after")]
    {
        account.get(&format!("/events/?{query}")).await.is(400, "VALIDATION_ERROR").names(&[field]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_answers_as_soon_as_something_happens() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let mut after = all(&account).await.last().expect("something")["cursor"].clone();
    let poll = async {
        // The account may have something to tell too; each answer comes as soon as there is one.
        loop {
            let polled = account.get(&format!("/events/?after={after}&wait=30")).await;
            polled.is(200, "");
            let data = &polled.body["data"];
            after = data["next_cursor"].clone();
            let results = data["results"].as_array().expect("results").clone();
            assert!(!results.is_empty(), "nothing happened for 30 s");
            if let Some(event) = results.into_iter().find(|event| event["type"] == "message.accepted") {
                return event;
            }
        }
    };
    let (told, sent) = tokio::join!(poll, account.send(&friend, "awaited"));
    assert_eq!(told["message"], sent["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_where_it_was_left_without_gap_or_repetition() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let mut stream = Stream::open(&account, "/events/stream/?after=0", &[]).await;
    let first = account.send(&friend, "one").await;
    let mut seen = Vec::new();
    let mut last = String::new();
    while !seen.iter().any(|event: &Value| event["type"] == "message.delivered") {
        let (name, id, event) = stream.next().await.expect("goes on");
        assert_eq!((json!(name), json!(id)), (event["type"].clone(), json!(event["cursor"].to_string())));
        seen.push(event);
        last = id;
    }
    drop(stream);
    let second = account.send(&friend, "two").await;
    account.message_becomes(&second["id"], "delivered").await;
    let mut stream = Stream::open(&account, "/events/stream/", &[("last-event-id", &last)]).await;
    let third = account.send(&friend, "three").await;
    while kinds(&seen, &third).last().map(String::as_str) != Some("message.delivered") {
        seen.push(stream.next().await.expect("goes on").2);
    }
    for message in [&first, &second, &third] {
        assert_eq!(kinds(&seen, message), ["message.accepted", "message.sent", "message.delivered"]);
    }
    let log = all(&account).await;
    let count = seen.len();
    assert_eq!(seen, log[..count], "the stream is the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_of_the_server_ends_streams_cleanly() {
    let account = Account::linked().await;
    let mut stream = Stream::open(&account, "/events/stream/", &[]).await;
    account.world.node.app.shutdown.cancel();
    // What the stop itself changes may still be told; `next` fails on anything but a clean end.
    while stream.next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_at_once_for_who_may_not_read_any_more_however_busy_the_server_is() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let world = &account.world;
    let admin = world.admin().await;
    for way in ["revoked", "rotated", "deactivated", "leaving", "resetting"] {
        let (user, token) = world.user(&admin, way).await;
        let (key, secret) = world.key(&token, Value::Null).await;
        let by_login = ["leaving", "resetting"].contains(&way);
        let who = if by_login { As::Token(&token) } else { As::Key(&secret) };
        let begun = world.post("/sessions/init/", who, json!({})).await;
        assert_eq!(begun.body["success"], json!(true), "{}", begun.text);
        let mut events = Stream::open_as(world, who, "/events/stream/?after=0", &[]).await;
        let mut by_socket = Socket::open(world, who, "/events/ws/?after=0").await;
        let mut states = Stream::open_as(world, who, "/sessions/events/", &[]).await;
        let mut states_by_socket = Socket::open(world, who, "/sessions/events/ws/").await;
        for is_open in [events.next().await.is_some(), states.next().await.is_some()] {
            assert!(is_open, "{way}");
        }
        for is_open in [by_socket.next().await.is_some(), states_by_socket.next().await.is_some()] {
            assert!(is_open, "{way}");
        }
        let (method, path, by, body) = match way {
            "revoked" => (Method::DELETE, format!("/api-keys/{key}/"), &token, Value::Null),
            "rotated" => (Method::POST, format!("/api-keys/{key}/rotate/"), &token, json!({"grace_hours": 0})),
            "deactivated" => (Method::POST, format!("/users/{user}/deactivate/"), &admin, Value::Null),
            "leaving" => (Method::POST, "/auth/logout/".to_owned(), &token, Value::Null),
            _ => (Method::POST, format!("/users/{user}/reset-password/"), &admin, json!({"password": "another fine phrase"})),
        };
        let done = world.call(method, &path, As::Token(by), body).await;
        assert_eq!(done.body["success"], json!(true), "{}", done.text);
        account.send(&friend, way).await;
        let ends = async {
            while events.next().await.is_some() {}
            while states.next().await.is_some() {}
            while by_socket.next().await.is_some() {}
            while states_by_socket.next().await.is_some() {}
        };
        tokio::time::timeout(AT_ONCE, ends).await.unwrap_or_else(|_| panic!("{way}: the streams go on"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_ends_with_its_key() {
    let account = Account::linked().await;
    let world = &account.world;
    let admin = world.admin().await;
    let (_, token) = world.user(&admin, "bert").await;
    let (key, secret) = world.key(&token, Value::Null).await;
    let poll = async { tokio::time::timeout(AT_ONCE, world.get("/events/?after=0&wait=30", As::Key(&secret))).await.expect("at once") };
    // The poll is there first, or it is refused: either way it does not wait.
    let revoke = async {
        let gone = format!("/api-keys/{key}/");
        world.call(Method::DELETE, &gone, As::Token(&token), Value::Null).await.is(200, "");
    };
    let (polled, ()) = tokio::join!(poll, revoke);
    assert!(polled.status == 401 || polled.body["data"]["results"] == json!([]), "{}", polled.text);
}
