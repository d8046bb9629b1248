//! A stop under load: what was accepted is kept, what was asked is answered, and a second signal does not wait.

use crate::world::{Split, shown_once};
use serde_json::json;
use std::time::Duration;
use tokio::task::JoinSet;

/// Texts that each client hands in at most.
const TEXTS: usize = 400;

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_under_load_loses_nothing_that_was_accepted() {
    let mut split = Split::linked().await;
    let friend = split.friend("Friend").await;
    let mut clients = JoinSet::new();
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    for client in 0..4 {
        let (shop, number, told) = (split.shop(), friend.number.clone(), told.clone());
        clients.spawn(async move {
            let mut accepted = Vec::new();
            for text in 0..TEXTS {
                let text = format!("client {client}, text {text}");
                let body = json!({"recipient": number, "content": text});
                match shop.api.try_call(reqwest::Method::POST, "/messages/send-text/", Some(&body), &[]).await {
                    Some(answer) if answer.status == 202 => accepted.push(text),
                    // Refused, or the server is gone: nothing was promised.
                    _ => break,
                }
                let _ = told.send(());
            }
            accepted
        });
    }
    for _ in 0..20 {
        heard.recv().await;
    }
    assert!(split.stop().await, "it says goodbye properly under load");
    let mut accepted = Vec::new();
    while let Some(client) = clients.join_next().await {
        accepted.extend(client.expect("the client"));
    }
    assert!(accepted.len() >= 20 && accepted.len() < 4 * TEXTS, "{} were accepted", accepted.len());
    split.run().await;
    let shown = friend.shows_at_least(accepted.len()).await;
    shown_once(&accepted, &shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_stops_at_once() {
    let split = Split::linked().await;
    // A request that waits for an outcome which can't come: the friend's account does not exist yet, and the link is down.
    let shop = split.shop();
    shop.api.post("/sessions/disconnect/", &json!({"logout": false})).await.expect(200);
    split.process().signal("STOP").await;
    // Both signals wait together, as when somebody presses twice; the order of their handling does not matter.
    split.process().signal("TERM").await;
    split.process().signal("INT").await;
    split.process().signal("CONT").await;
    let mut split = split;
    let ended = tokio::time::timeout(Duration::from_secs(15), split.ended()).await;
    assert!(ended.is_ok(), "it must not wait for its patience of 20 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_an_outcome_is_answered_when_the_server_stops() {
    let mut split = Split::linked().await;
    let shop = split.shop();
    shop.api.post("/sessions/disconnect/", &json!({"logout": false})).await.expect(200);
    shop.status_becomes("disconnected").await;
    let friend = split.friend("Friend").await;
    let body = json!({"recipient": friend.number, "content": "for later"});
    let waiting = tokio::spawn({
        let shop = shop.clone();
        async move { shop.api.post("/messages/send-text/?wait=60", &body).await }
    });
    crate::world::eventually("the message is accepted", || async { (!shop.listed("direction=outbound").await.is_empty()).then_some(()) })
        .await;
    assert!(split.stop().await);
    assert_eq!(waiting.await.expect("answered").status, 202, "accepted is accepted");
}
