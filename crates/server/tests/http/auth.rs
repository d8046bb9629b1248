//! Logging in, staying in, and leaving.

use crate::world::{ADMIN, As, PASSWORD, World, text};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn a_person_logs_in_refreshes_and_leaves() {
    let world = World::start().await;
    let first = world.login("ADMIN", PASSWORD).await;
    assert_eq!(first["user"]["username"], ADMIN);
    assert!(!first.to_string().contains("password"), "{first}");
    let me = world.get("/auth/me/", As::Token(&text(&first["access"]))).await;
    me.is(200, "");
    assert_eq!(me.body["data"], first["user"]);

    let second = world.post("/auth/refresh/", As::Nobody, json!({"refresh": first["refresh"]})).await;
    second.is(200, "");
    let second = second.body["data"].clone();
    assert_ne!(second["refresh"], first["refresh"]);
    let access = text(&second["access"]);
    world.get("/auth/me/", As::Token(&access)).await.is(200, "");

    world.post("/auth/logout/", As::Nobody, json!({"refresh": second["refresh"]})).await.is(200, "");
    world.get("/auth/me/", As::Token(&access)).await.is(401, "INVALID_TOKEN");
    world.post("/auth/refresh/", As::Nobody, json!({"refresh": second["refresh"]})).await.is(401, "INVALID_TOKEN");
    world.post("/auth/logout/", As::Nobody, json!({"refresh": second["refresh"]})).await.is(200, "");
}

#[tokio::test]
async fn logging_out_by_the_access_token_ends_that_login_only() {
    let world = World::start().await;
    let (one, other) = (world.admin().await, world.admin().await);
    world.post("/auth/logout/", As::Token(&one), Value::Null).await.is(200, "");
    world.get("/auth/me/", As::Token(&one)).await.is(401, "INVALID_TOKEN");
    world.get("/auth/me/", As::Token(&other)).await.is(200, "");
    world.post("/auth/logout/", As::Nobody, Value::Null).await.is(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_refresh_token_that_comes_twice_ends_the_whole_login() {
    let world = World::start().await;
    let first = world.login(ADMIN, PASSWORD).await;
    let second = world.post("/auth/refresh/", As::Nobody, json!({"refresh": first["refresh"]})).await;
    world.post("/auth/refresh/", As::Nobody, json!({"refresh": first["refresh"]})).await.is(401, "TOKEN_REUSED");
    let stolen_or_not = &second.body["data"];
    world.get("/auth/me/", As::Token(&text(&stolen_or_not["access"]))).await.is(401, "INVALID_TOKEN");
    let again = world.post("/auth/refresh/", As::Nobody, json!({"refresh": stolen_or_not["refresh"]})).await;
    assert_eq!(again.status, 401, "{}", again.text);
}

#[tokio::test]
async fn an_unknown_user_and_a_wrong_password_are_answered_alike() {
    let world = World::start().await;
    let wrong = world.login_from("192.0.2.1", ADMIN, "not the password").await;
    let unknown = world.login_from("192.0.2.2", "nobody-of-this-name", "not the password").await;
    let too_long = world.login_from("192.0.2.3", ADMIN, &"x".repeat(5000)).await;
    wrong.is(401, "INVALID_CREDENTIALS");
    assert_eq!((wrong.text.as_str(), wrong.text.as_str()), (unknown.text.as_str(), too_long.text.as_str()));
}

#[tokio::test]
async fn input_that_is_no_login_is_refused_by_field() {
    let world = World::start().await;
    let table = [
        (json!({}), "VALIDATION_ERROR", "username"),
        (json!({"username": "x"}), "VALIDATION_ERROR", "password"),
        (json!({"username": 5, "password": "x"}), "VALIDATION_ERROR", "username"),
        (json!({"username": "x", "password": null}), "VALIDATION_ERROR", "password"),
        (json!({"username": "x", "password": "x", "admin": true}), "UNKNOWN_FIELD", "admin"),
    ];
    for (body, code, field) in table {
        world.post("/auth/login/", As::Nobody, body).await.is(400, code).names(&[field]);
    }
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let world = World::start().await;
    let login = world.login(ADMIN, PASSWORD).await;
    let access = text(&login["access"]);
    let parts: Vec<&str> = access.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let kid = encode("{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"/dev/null\"}");
    let table = [
        ("alg none", format!("{}.{payload}.", encode("{\"alg\":\"none\",\"typ\":\"JWT\"}"))),
        ("alg None", format!("{}.{payload}.{signature}", encode("{\"alg\":\"None\"}"))),
        ("other algorithm", format!("{}.{payload}.{signature}", encode("{\"alg\":\"RS256\",\"typ\":\"JWT\"}"))),
        ("kid", format!("{kid}.{payload}.{signature}")),
        ("no signature", format!("{header}.{payload}.")),
        ("changed payload", format!("{header}.{}.{signature}", encode("{\"sub\":\"x\"}"))),
        ("a refresh token", text(&login["refresh"])),
        ("not a token", "hello".to_owned()),
        ("dots", "...".to_owned()),
    ];
    for (name, token) in table {
        let reply = world.get("/auth/me/", As::Token(&token)).await;
        assert_eq!((reply.status, reply.body["error_code"].as_str()), (401, Some("INVALID_TOKEN")), "{name}");
        assert_eq!(reply.header("www-authenticate"), "Bearer realm=\"sanasend\"");
    }
    world.post("/auth/refresh/", As::Nobody, json!({"refresh": access})).await.is(401, "INVALID_TOKEN");
    world.get("/auth/me/", As::Token(&access)).await.is(200, "");
}

#[tokio::test]
async fn tokens_end_by_the_clock() {
    let world = World::start().await;
    let login = world.login(ADMIN, PASSWORD).await;
    world.clock.pass(Duration::from_mins(15));
    world.get("/auth/me/", As::Token(&text(&login["access"]))).await.is(401, "TOKEN_EXPIRED");
    let refreshed = world.post("/auth/refresh/", As::Nobody, json!({"refresh": login["refresh"]})).await;
    refreshed.is(200, "");
    world.clock.pass(Duration::from_hours(31 * 24));
    world.post("/auth/refresh/", As::Nobody, json!({"refresh": refreshed.body["data"]["refresh"]})).await.is(401, "TOKEN_EXPIRED");
}

#[tokio::test]
async fn a_deactivated_user_is_out_at_once() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (id, anna) = world.user(&admin, "anna").await;
    let (_, key) = world.key(&anna, json!({})).await;
    world.get("/auth/me/", As::Key(&key)).await.is(200, "");
    world.post(&format!("/users/{id}/deactivate/"), As::Token(&admin), Value::Null).await.is(200, "");
    world.get("/auth/me/", As::Key(&key)).await.is(403, "USER_INACTIVE");
    world.get("/auth/me/", As::Token(&anna)).await.is(403, "USER_INACTIVE");
    let right = world.login_from("192.0.2.1", "anna", PASSWORD).await;
    right.is(403, "USER_INACTIVE");
    world.login_from("192.0.2.1", "anna", "wrong").await.is(401, "INVALID_CREDENTIALS");
    world.post(&format!("/users/{id}/activate/"), As::Token(&admin), Value::Null).await.is(200, "");
    world.get("/auth/me/", As::Key(&key)).await.is(200, "");
    world.get("/auth/me/", As::Token(&anna)).await.is(401, "INVALID_TOKEN");
}

#[tokio::test]
async fn a_person_changes_their_password_and_all_their_logins_end() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (_, anna) = world.user(&admin, "anna").await;
    let change = |current: &str, new: &str| json!({"current_password": current, "new_password": new});
    let wrong = world.post("/auth/change-password/", As::Token(&anna), change("wrong", "another fine phrase")).await;
    wrong.is(400, "VALIDATION_ERROR").names(&["current_password"]);
    let weak = world.post("/auth/change-password/", As::Token(&anna), change(PASSWORD, "short")).await;
    weak.is(400, "VALIDATION_ERROR").names(&["new_password"]);
    let done = world.post("/auth/change-password/", As::Token(&anna), change(PASSWORD, "another fine phrase")).await;
    done.is(200, "");
    world.get("/auth/me/", As::Token(&anna)).await.is(401, "INVALID_TOKEN");
    world.get("/auth/me/", As::Token(&text(&done.body["data"]["access"]))).await.is(200, "");
    world.login_from("192.0.2.1", "anna", PASSWORD).await.is(401, "INVALID_CREDENTIALS");
    world.login("anna", "another fine phrase").await;
    let (_, key) = world.key(&text(&done.body["data"]["access"]), json!({})).await;
    let by_key = world.post("/auth/change-password/", As::Key(&key), change(PASSWORD, "another fine phrase")).await;
    by_key.is(403, "LOGIN_REQUIRED");
}

#[tokio::test]
async fn one_credential_per_request() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (_, key) = world.key(&admin, json!({})).await;
    for (name, request) in [
        ("none", world.request(reqwest::Method::GET, "/api/v1/auth/me/")),
        ("both", As::Key(&key).sign(As::Token(&admin).sign(world.request(reqwest::Method::GET, "/api/v1/auth/me/")))),
        ("two keys", As::Key(&key).sign(As::Key(&key).sign(world.request(reqwest::Method::GET, "/api/v1/auth/me/")))),
        ("basic", world.request(reqwest::Method::GET, "/api/v1/auth/me/").basic_auth(ADMIN, Some(PASSWORD))),
        ("bare", world.request(reqwest::Method::GET, "/api/v1/auth/me/").header("authorization", "Bearer")),
    ] {
        let reply = crate::world::Reply::read(request.send().await.expect("an answer")).await;
        assert_eq!((reply.status, reply.body["error_code"].as_str()), (401, Some("UNAUTHENTICATED")), "{name}");
    }
    world.get("/auth/me/", As::Token(&key)).await.is(200, "");
}
