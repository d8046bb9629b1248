//! What operators ask: whether it lives, whether it can work, how its parts are, and the figures.

use crate::world::{As, Reply, World};
use reqwest::Method;
use sanasend::config::{Cidr, Hidden};
use serde_json::json;

async fn metrics(world: &World, headers: &[(&str, &str)]) -> Reply {
    let request = headers.iter().fold(world.request(Method::GET, "/metrics"), |request, (name, value)| request.header(*name, *value));
    Reply::read(request.send().await.expect("an answer")).await
}

/// The value of a line of the page; 0 when there is none.
fn figure(page: &Reply, line: &str) -> f64 {
    let found = page.text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
    found.map_or(0.0, |value| value.parse().expect("a number"))
}

#[tokio::test]
async fn the_parts_are_told_with_a_sentence_and_figures_only_to_admins() {
    let world = World::start().await;
    let open = world.get("/health/", As::Nobody).await;
    open.is(200, "");
    assert_eq!(open.body["data"]["status"], "ok", "{}", open.text);
    let parts = open.body["data"]["parts"].as_array().expect("parts").clone();
    let names: Vec<&str> = parts.iter().filter_map(|part| part["name"].as_str()).collect();
    for part in ["database", "queue", "jobs", "disk", "engine"] {
        assert!(names.contains(&part), "{part} is missing: {}", open.text);
    }
    assert!(parts.iter().all(|part| part["details"].is_null() && part["text"].is_string()), "{}", open.text);
    let admin = world.admin().await;
    let (_, user) = world.user(&admin, "somebody").await;
    let told = world.get("/health/", As::Token(&user)).await;
    assert!(told.body["data"]["parts"][0]["details"].is_null(), "{}", told.text);
    let told = world.get("/health/", As::Token(&admin)).await;
    assert!(told.body["data"]["parts"][0]["details"].is_object(), "{}", told.text);
    world.get("/health/", As::Token("non.sen.se")).await.is(401, "INVALID_TOKEN");
}

#[tokio::test]
async fn a_full_disk_makes_the_server_not_ready_but_alive() {
    let world = World::with(|config| config.store.full_disk_mib = 1_048_576 * 1024).await;
    let ready = Reply::read(world.request(Method::GET, "/health/ready").send().await.expect("an answer")).await;
    ready.is(503, "SERVICE_UNAVAILABLE");
    assert!(ready.body["message"].as_str().expect("a sentence").starts_with("disk:"), "{}", ready.text);
    assert!(ready.retry_after() > 0);
    Reply::read(world.request(Method::GET, "/health/live").send().await.expect("an answer")).await.is(200, "");
    let told = world.get("/health/", As::Nobody).await;
    told.is(200, "");
    assert_eq!(told.body["data"]["status"], "down");
}

#[tokio::test]
async fn a_database_that_is_gone_makes_the_server_not_ready() {
    let world = World::start().await;
    world.node.app.store.close().await;
    let ready = Reply::read(world.request(Method::GET, "/health/ready").send().await.expect("an answer")).await;
    ready.is(503, "SERVICE_UNAVAILABLE");
    assert!(ready.body["message"].as_str().expect("a sentence").starts_with("database:"), "{}", ready.text);
}

#[tokio::test]
async fn a_stopping_server_is_not_ready() {
    let world = World::start().await;
    let before = Reply::read(world.request(Method::GET, "/health/ready").send().await.expect("an answer")).await;
    before.is(200, "");
    world.node.app.shutdown.cancel();
    let seen = sanasend::vitals::look(&world.node.app).await;
    assert!(seen.why_down().is_some_and(|why| why.starts_with("server:")), "{seen:?}");
}

#[tokio::test]
async fn what_is_asked_is_counted_by_operation() {
    let world = World::start().await;
    let line = r#"sanasend_http_requests_total{method="GET",route="/api/v1/users/{id}/",status="401"}"#;
    let before = figure(&metrics(&world, &[]).await, line);
    for _ in 0..3 {
        world.get("/users/01936b1e-7a40-7c3e-8b5e-2f6d1c0a9e77/", As::Nobody).await.is(401, "UNAUTHENTICATED");
    }
    world.get("/whatever/+12025550123/", As::Nobody).await.is(404, "NOT_FOUND");
    let page = metrics(&world, &[]).await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/plain; version=0.0.4"), "{}", page.header("content-type"));
    // The recorder belongs to the process, and other tests run in it.
    assert!(figure(&page, line) >= before + 3.0, "{}", page.text);
    assert!(!page.text.contains("2025550123"), "a label made of what a stranger sent");
    for name in [
        "sanasend_store_commits_total{result=\"committed\"}",
        "process_resident_memory_bytes",
        "process_open_fds",
        "sanasend_uptime_seconds",
    ] {
        assert!(page.text.lines().any(|found| found.starts_with(name)), "{name} is missing: {}", page.text);
    }
    assert!(page.text.contains("sanasend_sessions{status=\"connected\"} 0"), "{}", page.text);
}

#[tokio::test]
async fn figures_are_for_the_addresses_and_the_token_that_were_named() {
    let world = World::with(|config| config.metrics.token = Some(Hidden("let-me-in".into()))).await;
    assert_eq!(metrics(&world, &[]).await.status, 200, "this machine");
    metrics(&world, &[("x-forwarded-for", "203.0.113.9")]).await.is(404, "NOT_FOUND");
    let from_outside = ("x-forwarded-for", "203.0.113.9");
    assert_eq!(metrics(&world, &[from_outside, ("authorization", "Bearer let-me-in")]).await.status, 200);
    metrics(&world, &[from_outside, ("authorization", "Bearer let-me-on")]).await.is(404, "NOT_FOUND");
    // Behind a proxy that nobody listed, every caller seems to be this machine.
    let unlisted = World::with(|config| config.general.trusted_proxies = Vec::new()).await;
    metrics(&unlisted, &[from_outside]).await.is(404, "NOT_FOUND");
    let allowed = World::with(|config| config.metrics.allow = vec![Cidr("203.0.113.0/24".parse().expect("network"))]).await;
    assert_eq!(metrics(&allowed, &[from_outside]).await.status, 200);
    metrics(&allowed, &[]).await.is(404, "NOT_FOUND");
}

#[tokio::test]
async fn nothing_of_the_page_is_a_secret_or_a_persons() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (_, key) = world.key(&admin, json!({})).await;
    world.get("/auth/me/", As::Key(&key)).await.is(200, "");
    let page = metrics(&world, &[]).await;
    for canary in [key.as_str(), admin.as_str(), crate::world::PASSWORD] {
        assert!(!page.text.contains(canary));
    }
}
