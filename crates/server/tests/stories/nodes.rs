//! Two nodes on one database: either answers for all accounts, and when one dies the other takes over.

use crate::world::{Answer, Database, Shop, Split, Transcript, eventually, qr_text, shown_once_in_order};
use reqwest::Method;
use sanasend_sandbox::{Fault, MessageKind, NewMedia};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// From the death of a node until its accounts are connected again.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_is_taken_over() {
    let mut split = Split::linked_on(Database::postgres().await).await;
    let (shop, friend) = (split.shop(), split.friend("Friend").await);
    let (_other, there) = split.another_node().await;
    assert_eq!(there.status_becomes("connected").await["phone_number"], shop.session().await["phone_number"]);
    let asked_there = there.send_text(&friend, "asked of the node that does not run it").await;
    friend.sees("asked of the node that does not run it").await;
    there.message_becomes(&asked_there, "delivered").await;
    split.kill().await;
    let dead = Instant::now();
    let texts: Vec<String> = (0..10).map(|number| format!("accepted while nobody ran it {number}")).collect();
    for text in &texts {
        there.send_text(&friend, text).await;
    }
    friend.shows_at_least(texts.len() + 1).await;
    assert!(dead.elapsed() <= TAKEN_OVER_WITHIN, "taken over after {:?}", dead.elapsed());
    there.status_becomes("connected").await;
    shown_once_in_order(&texts, &friend.shows());
    let transcript = Transcript::of(&split.control(), &there.number);
    transcript.one_connection_at_a_time();
    transcript.no_counter_is_reused();
}

#[tokio::test(flavor = "multi_thread")]
async fn either_node_links_shows_and_logs_out() {
    let split = Split::start_on(Database::postgres().await).await;
    let here = split.shop();
    let (_other, there) = split.another_node().await;
    let begun = here.api.post("/sessions/init/", &json!({})).await;
    let code = qr_text(&begun.body["data"]);
    let seen = eventually("the code on the other node", || async {
        let session = there.session().await;
        (!session["qr_code"].is_null()).then_some(session)
    });
    assert_eq!(qr_text(&seen.await), code, "the same code on either node");
    split.control().scan(&code, None).await.expect("the phone scans");
    there.status_becomes("connected").await;
    here.status_becomes("connected").await;
    let offline = there.api.post("/sessions/disconnect/", &json!({"logout": false})).await;
    offline.expect(200);
    here.status_becomes("disconnected").await;
    there.api.post("/sessions/reconnect/", &json!({})).await.expect(200);
    here.status_becomes("connected").await;
    let left = there.api.post("/sessions/disconnect/", &json!({"logout": true})).await;
    assert_eq!(left.expect(200)["unlinked_at_whatsapp"], true);
    here.status_becomes("logged_out").await;
    there.status_becomes("logged_out").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_whatsapp_dropped_is_asked_for_on_either_node() {
    let split = Split::linked_on(Database::postgres().await).await;
    let friend = split.friend("Friend").await;
    let (_other, there) = split.another_node().await;
    there.status_becomes("connected").await;
    let bytes = b"%PDF-1.7\nnot much of a report".to_vec();
    let report = NewMedia { kind: MessageKind::Document, mime: Some("application/pdf".into()), ..NewMedia::default() };
    friend.control().send_media(&friend.number, &split.shop().number, report, bytes.clone()).await.expect("sent");
    let message = eventually("the file's message", || async {
        there.incoming().await.into_iter().find(|message| message["message_type"] == "document")
    })
    .await;
    split.control().fault(&friend.number, Fault::MediaGone(410)).expect("planted");
    let path = format!("/messages/{}/media/", message["id"].as_str().expect("an id"));
    assert_eq!(there.api.bytes(&path).await, bytes, "the phone handed it over again, through the node that runs the account");
}

#[tokio::test(flavor = "multi_thread")]
async fn either_node_tells_the_groups_of_an_account() {
    let split = Split::linked_on(Database::postgres().await).await;
    let (here, friend) = (split.shop(), split.friend("Friend").await);
    let group = friend.control().make_group(&friend.number, "Bread", &[&here.number]).expect("a group");
    friend.control().make_group(&friend.number, "Rolls", &[&here.number]).expect("a group");
    let (_other, there) = split.another_node().await;
    there.status_becomes("connected").await;
    for path in ["/groups/", "/groups/?page_size=1", "/groups/?page_size=1&page=2", "/groups/?search=roll"] {
        let (one, two) = (here.api.get(path).await.expect(200).clone(), there.api.get(path).await.expect(200).clone());
        assert_eq!((&one["count"], &one["results"]), (&two["count"], &two["results"]), "{path}");
        assert!(one["results"][0]["subject"].is_string(), "{one}");
    }
    let path = format!("/groups/{group}/");
    let (one, two) = (here.api.get(&path).await.expect(200).clone(), there.api.get(&path).await.expect(200).clone());
    assert_eq!((one["participants"].as_array().map(Vec::len), &one), (Some(2), &two));
    let nobodys = there.api.get("/groups/120363000000000001@g.us/").await;
    assert_eq!((nobodys.status, nobodys.code()), (404, "NOT_FOUND"));
    here.api.post("/sessions/disconnect/", &json!({"logout": false})).await.expect(200);
    assert_eq!(there.api.get("/groups/").await.code(), "WRONG_STATE");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_together_keep_the_daily_limit() {
    let split = Split::linked_on(Database::postgres().await).await;
    let (here, friend) = (split.shop(), split.friend("Friend").await);
    let admin = split.process().admin().await;
    let id = here.api.get("/auth/me/").await.expect(200)["id"].as_str().expect("an id").to_owned();
    let limit = json!({"max_messages_per_day": 30});
    let limited = admin.try_call(Method::PATCH, &format!("/users/{id}/"), Some(&limit), &[]).await.expect("an answer");
    limited.expect(200);
    let (_other, there) = split.another_node().await;
    there.status_becomes("connected").await;
    let crowd = async |shop: &Shop| -> Vec<Answer> {
        let send = |number: usize| {
            let body = json!({"recipient": friend.number, "content": format!("{number}")});
            async move { shop.api.post("/messages/send-text/", &body).await }
        };
        futures::future::join_all((0..40).map(send)).await
    };
    let (one, two) = tokio::join!(crowd(&here), crowd(&there));
    let answers: Vec<Answer> = one.into_iter().chain(two).collect();
    assert_eq!(answers.iter().filter(|answer| answer.status == 202).count(), 30);
    let refused = |answer: &&Answer| answer.status == 429 && answer.code() == "DAILY_LIMIT_REACHED";
    assert_eq!(answers.iter().filter(refused).count(), 50);
    assert_eq!(here.listed("direction=outbound").await.len(), 30);
}
