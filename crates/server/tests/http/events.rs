//! `/events/`: the log by cursor, by long poll, and live.

use crate::account::{Account, Stream};
use serde_json::{Value, json};

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
