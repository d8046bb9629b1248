//! The limit of messages per UTC day as callers meet it: what the refusal tells, and that no crowd and no restart beats it.

use crate::account::Account;
use crate::world::{As, Reply, text};
use reqwest::Method;
use sanasend::config::Cidr;
use sanasend_model::Clock;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const DAY_MS: i64 = 86_400_000;

/// A linked account whose user may send so many messages a day, and a friend's number.
async fn limited(per_day: u64) -> (Account, String) {
    let account = Account::linked().await;
    let admin = account.world.admin().await;
    let id = text(&account.get("/auth/me/").await.body["data"]["id"]);
    let limit = json!({"max_messages_per_day": per_day, "max_messages_per_minute": 10_000});
    account.world.call(Method::PATCH, &format!("/users/{id}/"), As::Token(&admin), limit).await.is(200, "");
    let friend = account.friend().await;
    (account, friend)
}

async fn send(account: &Account, friend: &str) -> Reply {
    account.post("/messages/send-text/", json!({"recipient": friend, "content": "hello"})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_refusal_says_which_limit_and_how_long_it_lasts() {
    let (account, friend) = Box::pin(limited(3)).await;
    account.world.clock.stop();
    for _ in 0..3 {
        let taken = send(&account, &friend).await;
        assert_eq!(taken.is(202, "").header("x-ratelimit-limit"), account.world.node.app.config.limits.requests_per_minute.to_string());
        assert!(!taken.header("ratelimit").contains("messages-per-day"), "{:?}", taken.headers);
    }
    let left_ms = DAY_MS - account.world.clock.now().0.rem_euclid(DAY_MS);
    let left = u64::try_from(left_ms).expect("positive").div_ceil(1000);
    let media = json!({"recipient": friend, "media_type": "image", "media_base64": ONE_PIXEL});
    for refused in [send(&account, &friend).await, account.post("/messages/send-media/", media).await] {
        refused.is(429, "DAILY_LIMIT_REACHED");
        assert_eq!(refused.retry_after(), left);
        let told = |name: &str| refused.header(name).to_owned();
        assert_eq!(
            (told("x-ratelimit-limit"), told("x-ratelimit-remaining"), told("x-ratelimit-reset")),
            ("3".into(), "0".into(), left.to_string())
        );
        assert!(told("ratelimit-policy").ends_with("\"messages-per-day\";q=3;w=86400"), "{:?}", refused.headers);
        assert!(told("ratelimit").ends_with(&format!("\"messages-per-day\";r=0;t={left}")), "{:?}", refused.headers);
    }
    let listed = account.get("/messages/list/?direction=outbound").await;
    assert_eq!(listed.is(200, "").body["data"]["count"], 3, "what was refused left nothing behind");
    assert!(!listed.header("ratelimit").contains("messages-per-day"), "reading is not refused: {:?}", listed.headers);
    account.world.clock.pass(Duration::from_millis(u64::try_from(left_ms).expect("positive")));
    send(&account, &friend).await.is(202, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_fetched_decoded_or_kept_for_a_message_that_a_limit_refuses() {
    let mut account = Account::with(|config| config.egress.allow = vec![Cidr("127.0.0.0/8".parse().expect("net"))]).await;
    account.link().await;
    let friend = account.friend().await;
    account.world.clock.stop();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let site = axum::Router::new().fallback(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        async { ([("content-type", "text/html")], "<title>Order</title>") }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let page = format!("http://{}/order", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, site).await });
    let preview = json!({"recipient": friend, "content": format!("See {page}"), "link_preview": true});
    let by_url = json!({"recipient": friend, "media_type": "document", "media_url": page});
    let no_base64 = json!({"recipient": friend, "media_type": "image", "media_base64": "no base64"});
    account.post("/messages/send-text/", preview.clone()).await.is(202, "");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let admin = account.world.admin().await;
    let id = text(&account.get("/auth/me/").await.body["data"]["id"]);
    let tables = [
        (json!({"max_messages_per_day": 1, "max_messages_per_minute": 100}), "DAILY_LIMIT_REACHED"),
        (json!({"max_messages_per_day": 100, "max_messages_per_minute": 1}), "RATE_LIMITED"),
    ];
    for (limits, code) in tables {
        account.world.call(Method::PATCH, &format!("/users/{id}/"), As::Token(&admin), limits).await.is(200, "");
        account.post("/messages/send-text/", preview.clone()).await.is(429, code);
        account.post("/messages/send-media/", by_url.clone()).await.is(429, code);
        account.post("/messages/send-media/", no_base64.clone()).await.is(429, code);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1, "nobody was asked for anything");
}

/// A whole picture of one pixel.
const ONE_PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_gets_exactly_the_limit_and_a_restart_gives_nothing_back() {
    let (account, friend) = Box::pin(limited(20)).await;
    account.world.clock.stop();
    let answers = futures::future::join_all((0..60).map(|_| send(&account, &friend))).await;
    let with = |status: u16| answers.iter().filter(|reply| reply.status == status).count();
    assert_eq!((with(202), with(429)), (20, 40));
    let Account { world, key, number } = account;
    let account = Account { world: world.restart().await, key, number };
    send(&account, &friend).await.is(429, "DAILY_LIMIT_REACHED");
    let usage = account.get("/usage/").await;
    let limits = usage.body["data"]["limits"].as_array().expect("limits").clone();
    let daily = limits.iter().find(|limit| limit["name"] == "messages_per_day").expect("told");
    assert_eq!((&daily["used"], &daily["remaining"]), (&json!(20), &json!(0)));
}
