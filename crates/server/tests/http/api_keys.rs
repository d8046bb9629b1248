//! API keys: made once, bounded, rotated, revoked, and never seen by others.

use crate::world::{As, World, text};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn a_key_is_shown_once_and_works_in_both_headers() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (anna_id, anna) = world.user(&admin, "anna").await;
    let made = world.post("/api-keys/", As::Token(&admin), json!({"user": anna_id, "name": " shop ", "expires_at": null})).await;
    made.is(201, "");
    let data = &made.body["data"];
    let key = text(&data["key"]);
    assert!(key.starts_with(&format!("sk_{}_", text(&data["prefix"]))), "{key}");
    assert_eq!((&data["user"], &data["name"], &data["is_active"]), (&json!(anna_id), &json!("shop"), &json!(true)));
    assert_eq!(data["scopes"].as_array().map(Vec::len), Some(sanasend_model::Scope::ALL.len()));
    for who in [As::Key(&key), As::Token(&key)] {
        let me = world.get("/auth/me/", who).await;
        me.is(200, "");
        assert_eq!(me.body["data"]["id"], json!(anna_id));
    }
    let path = format!("/api-keys/{}/", text(&data["id"]));
    for seen in [world.get(&path, As::Token(&anna)).await, world.get("/api-keys/", As::Token(&anna)).await] {
        seen.is(200, "");
        assert!(!seen.text.contains(&key) && !seen.text.contains(&key[20..]), "{}", seen.text);
    }
}

#[tokio::test]
async fn a_key_that_is_wrong_in_one_character_opens_nothing() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (_, key) = world.key(&admin, json!({})).await;
    world.get("/auth/me/", As::Key(&key)).await.is(200, "");
    let other = if key.ends_with('a') { "b" } else { "a" };
    for wrong in [format!("{}{other}", &key[..key.len() - 1]), key[..key.len() - 1].to_owned(), format!("{key}a"), key.to_uppercase()] {
        let refused = world.get("/auth/me/", As::Key(&wrong)).await;
        refused.is(401, "INVALID_API_KEY");
    }
}

#[tokio::test]
async fn the_last_use_is_told_at_once_and_written_later() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (id, key) = world.key(&admin, json!({})).await;
    let last_used = async || world.get(&format!("/api-keys/{id}/"), As::Token(&admin)).await.body["data"]["last_used_at"].clone();
    assert_eq!(last_used().await, Value::Null);
    world.get("/auth/me/", As::Key(&key)).await.is(200, "");
    let told = last_used().await;
    assert!(told.is_string());
    sanasend::auth::flush_touches(&world.node.app).await;
    assert_eq!(last_used().await, told, "the same after it was written");
}

#[tokio::test]
async fn a_key_ends_by_date_by_revocation_and_by_address() {
    let world = World::start().await;
    let admin = world.admin().await;
    let soon = sanasend_model::Clock::now(&*world.clock).plus(Duration::from_hours(1)).to_string();
    let (_, short) = world.key(&admin, json!({"expires_at": soon})).await;
    let (id, revoked) = world.key(&admin, json!({})).await;
    let (_, bound) = world.key(&admin, json!({"allowed_ips": ["203.0.113.0/24", "2001:db8::1"]})).await;
    for key in [&short, &revoked] {
        world.get("/auth/me/", As::Key(key)).await.is(200, "");
    }
    for (address, allowed) in [("203.0.113.9", true), ("::ffff:203.0.113.9", true), ("2001:db8::1", true), ("203.0.114.9", false)] {
        let reply = world.me_from(address, As::Key(&bound)).await;
        if allowed {
            reply.is(200, "")
        } else {
            reply.is(403, "IP_NOT_ALLOWED")
        };
    }
    world.get("/auth/me/", As::Key(&bound)).await.is(403, "IP_NOT_ALLOWED");

    let gone = world.call(Method::DELETE, &format!("/api-keys/{id}/"), As::Token(&admin), Value::Null).await;
    gone.is(200, "");
    assert_eq!(gone.body["data"]["is_active"], json!(false));
    world.get("/auth/me/", As::Key(&revoked)).await.is(401, "API_KEY_REVOKED");
    world.call(Method::DELETE, &format!("/api-keys/{id}/"), As::Token(&admin), Value::Null).await.is(200, "");

    world.clock.pass(Duration::from_hours(1));
    world.get("/auth/me/", As::Key(&short)).await.is(401, "API_KEY_EXPIRED");
}

#[tokio::test]
async fn the_old_key_lives_on_for_the_grace_period() {
    let world = World::start().await;
    let token = world.admin().await;
    let (id, old) = world.key(&token, json!({"name": "shop", "scopes": ["messages:send"], "allowed_ips": ["127.0.0.1"]})).await;
    let path = format!("/api-keys/{id}/rotate/");
    for hours in [json!(-1), json!(721), json!("x")] {
        world.post(&path, As::Token(&token), json!({"grace_hours": hours})).await.is(400, "VALIDATION_ERROR").names(&["grace_hours"]);
    }
    let rotated = world.post(&path, As::Token(&token), Value::Null).await;
    rotated.is(201, "");
    let new = text(&rotated.body["data"]["key"]);
    assert_eq!(rotated.body["data"]["name"], "shop");
    assert_eq!(rotated.body["data"]["scopes"], json!(["messages:send"]));
    assert_eq!(rotated.body["data"]["allowed_ips"], json!(["127.0.0.1/32"]));
    world.post(&path, As::Token(&token), Value::Null).await.is(409, "WRONG_STATE");
    for key in [&old, &new] {
        world.get("/auth/me/", As::Key(key)).await.is(200, "");
    }
    world.clock.pass(Duration::from_hours(24));
    world.get("/auth/me/", As::Key(&old)).await.is(401, "API_KEY_REVOKED");
    world.get("/auth/me/", As::Key(&new)).await.is(200, "");

    let token = world.admin().await;
    let at_once =
        world.post(&format!("/api-keys/{}/rotate/", text(&rotated.body["data"]["id"])), As::Token(&token), json!({"grace_hours": 0})).await;
    at_once.is(201, "");
    world.get("/auth/me/", As::Key(&new)).await.is(401, "API_KEY_REVOKED");
}

#[tokio::test]
async fn what_is_wrong_is_named_by_field() {
    let world = World::start().await;
    let admin = world.admin().await;
    let table = [
        (json!({}), "VALIDATION_ERROR", "name"),
        (json!({"name": ""}), "VALIDATION_ERROR", "name"),
        (json!({"name": "a\u{0}b"}), "VALIDATION_ERROR", "name"),
        (json!({"name": "x".repeat(101)}), "VALIDATION_ERROR", "name"),
        (json!({"name": "x", "user": "me"}), "VALIDATION_ERROR", "user"),
        (json!({"name": "x", "scopes": ["messages:fly"]}), "VALIDATION_ERROR", "scopes"),
        (json!({"name": "x", "scopes": []}), "VALIDATION_ERROR", "scopes"),
        (json!({"name": "x", "scopes": "messages:send"}), "VALIDATION_ERROR", "scopes"),
        (json!({"name": "x", "allowed_ips": ["10.0.0.0/33"]}), "VALIDATION_ERROR", "allowed_ips"),
        (json!({"name": "x", "allowed_ips": ["localhost"]}), "VALIDATION_ERROR", "allowed_ips"),
        (json!({"name": "x", "expires_at": "tomorrow"}), "VALIDATION_ERROR", "expires_at"),
        (json!({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}), "VALIDATION_ERROR", "expires_at"),
        (json!({"name": "x", "key": "sk_mine"}), "UNKNOWN_FIELD", "key"),
    ];
    for (body, code, field) in table {
        world.post("/api-keys/", As::Token(&admin), body).await.is(400, code).names(&[field]);
    }
    let listed = world.get("/api-keys/", As::Token(&admin)).await;
    assert_eq!(listed.body["data"]["count"], 0, "{}", listed.text);
    let nobodys = json!({"name": "x", "user": "01936b1e-7a40-7c3e-8b5e-2f6d1c0a9e77"});
    world.post("/api-keys/", As::Token(&admin), nobodys).await.is(404, "NOT_FOUND");
}

#[tokio::test]
async fn another_users_key_is_answered_like_one_that_does_not_exist() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (anna_id, anna) = world.user(&admin, "anna").await;
    let (_, berta) = world.user(&admin, "berta").await;
    let (id, key) = world.key(&anna, json!({})).await;
    let missing = "01936b1e-7a40-7c3e-8b5e-2f6d1c0a9e77";
    for (method, tail) in [(Method::GET, ""), (Method::DELETE, ""), (Method::POST, "rotate/")] {
        let hers = world.call(method.clone(), &format!("/api-keys/{id}/{tail}"), As::Token(&berta), Value::Null).await;
        let none = world.call(method.clone(), &format!("/api-keys/{missing}/{tail}"), As::Token(&berta), Value::Null).await;
        let no_id = world.call(method, &format!("/api-keys/x/{tail}"), As::Token(&berta), Value::Null).await;
        hers.is(404, "NOT_FOUND");
        assert_eq!((&hers.text, &hers.text), (&none.text, &no_id.text));
    }
    let for_her = world.post("/api-keys/", As::Token(&berta), json!({"name": "x", "user": anna_id})).await;
    let for_none = world.post("/api-keys/", As::Token(&berta), json!({"name": "x", "user": missing})).await;
    for_her.is(404, "NOT_FOUND");
    assert_eq!(for_her.text, for_none.text);
    let of_her = world.get(&format!("/api-keys/?user={anna_id}"), As::Token(&berta)).await;
    assert_eq!(of_her.body["data"]["count"], 0);
    assert_eq!(world.get(&format!("/api-keys/?user={anna_id}"), As::Token(&admin)).await.body["data"]["count"], 1);
    assert_eq!(world.get("/api-keys/", As::Token(&berta)).await.body["data"]["count"], 0);
    world.get("/auth/me/", As::Key(&key)).await.is(200, "");
    world.get("/api-keys/", As::Key(&key)).await.is(403, "LOGIN_REQUIRED");
}

#[tokio::test]
async fn deleting_a_user_ends_its_keys() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (id, anna) = world.user(&admin, "anna").await;
    let (_, key) = world.key(&anna, json!({})).await;
    world.get("/auth/me/", As::Key(&key)).await.is(200, "");
    world.call(Method::DELETE, &format!("/users/{id}/"), As::Token(&admin), Value::Null).await.is(200, "");
    world.get("/auth/me/", As::Key(&key)).await.is(401, "INVALID_API_KEY");
    world.get("/auth/me/", As::Token(&anna)).await.is(401, "INVALID_TOKEN");
}
