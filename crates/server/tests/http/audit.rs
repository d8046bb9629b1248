//! The audit log as admins read it.

use crate::world::{ADMIN, As, World, text};
use reqwest::Method;
use serde_json::{Value, json};

/// The actions in the log, oldest first.
async fn actions(world: &World, admin: &str) -> Vec<String> {
    let reply = world.get("/audit/?page_size=100", As::Token(admin)).await;
    reply.is(200, "");
    let mut actions: Vec<String> =
        reply.body["data"]["results"].as_array().expect("results").iter().map(|entry| text(&entry["action"])).collect();
    actions.reverse();
    actions
}

#[tokio::test]
async fn what_admins_do_and_what_touches_security_is_noted() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (id, anna) = world.user(&admin, "anna").await;
    let (key_id, _) = world.key(&anna, json!({})).await;
    let call = async |method: Method, path: &str, who: &str, body: Value| world.call(method, path, As::Token(who), body).await;
    call(Method::POST, &format!("/api-keys/{key_id}/rotate/"), &anna, Value::Null).await.is(201, "");
    call(Method::DELETE, &format!("/api-keys/{key_id}/"), &anna, Value::Null).await.is(200, "");
    world.login_from("192.0.2.1", "anna", "a wrong password").await.is(401, "INVALID_CREDENTIALS");
    call(Method::POST, "/auth/logout/", &anna, Value::Null).await.is(200, "");
    call(Method::PATCH, &format!("/users/{id}/"), &admin, json!({"max_sessions": 3})).await.is(200, "");
    call(Method::POST, &format!("/users/{id}/deactivate/"), &admin, Value::Null).await.is(200, "");
    call(Method::POST, &format!("/users/{id}/activate/"), &admin, Value::Null).await.is(200, "");
    call(Method::POST, &format!("/users/{id}/reset-password/"), &admin, json!({"password": "another fine phrase"})).await.is(200, "");
    call(Method::DELETE, &format!("/users/{id}/"), &admin, Value::Null).await.is(200, "");
    let expected = [
        "audit.begun",
        "login.created",
        "user.created",
        "login.created",
        "api_key.created",
        "api_key.rotated",
        "api_key.revoked",
        "login.refused",
        "login.ended",
        "user.changed",
        "user.deactivated",
        "user.activated",
        "user.changed",
        "user.deleted",
    ];
    assert_eq!(actions(&world, &admin).await, expected);
    let of_anna = world.get(&format!("/audit/?target={id}&action=user"), As::Token(&admin)).await;
    assert_eq!(of_anna.body["data"]["count"], 6, "{}", of_anna.text);
    assert!(!of_anna.text.contains("another fine phrase"));
    let verdict = world.get("/audit/verify/", As::Token(&admin)).await;
    verdict.is(200, "");
    assert_eq!((&verdict.body["data"]["intact"], &verdict.body["data"]["entries"]), (&json!(true), &json!(14)));
}

#[tokio::test]
async fn the_log_is_paged_by_number_and_by_cursor_and_refuses_what_it_can_not_read() {
    let world = World::start().await;
    let admin = world.admin().await;
    world.user(&admin, "anna").await;
    let get = async |query: &str| world.get(&format!("/audit/?{query}"), As::Token(&admin)).await;
    let first = get("cursor=&page_size=2").await;
    first.is(200, "");
    assert_eq!((&first.body["data"]["count"], first.body["data"]["results"].as_array().map(Vec::len)), (&Value::Null, Some(2)));
    let cursor = text(&first.body["data"]["next_cursor"]);
    assert!(text(&first.body["data"]["next"]).contains(&format!("cursor={cursor}")));
    let rest = get(&format!("cursor={cursor}")).await;
    assert_eq!((rest.body["data"]["results"].as_array().map(Vec::len), &rest.body["data"]["next_cursor"]), (Some(2), &Value::Null));
    for (query, field) in [("cursor=x", "cursor"), ("from=yesterday", "from"), ("to=1", "to"), ("page=0", "page"), ("actor=me", "actor")] {
        get(query).await.is(400, "VALIDATION_ERROR").names(&[field]);
    }
    get("colour=red").await.is(400, "VALIDATION_ERROR").names(&["colour"]);
    assert_eq!(get("from=2000-01-01T00:00:00Z&to=2000-01-02T00:00:00Z").await.body["data"]["count"], 0);
    let me = world.get("/auth/me/", As::Token(&admin)).await;
    assert_eq!(me.body["data"]["username"], ADMIN);
    assert_eq!(get(&format!("actor={}&action=user.created", text(&me.body["data"]["id"]))).await.body["data"]["count"], 1);
}

#[tokio::test]
async fn a_row_that_was_changed_behind_the_server_is_named() {
    use sqlx::Connection;
    let world = World::start().await;
    let admin = world.admin().await;
    world.user(&admin, "anna").await;
    let database = sanasend::data_dir::database(&world.node.app.config.general.data_dir);
    let mut thief = sqlx::SqliteConnection::connect(&format!("sqlite://{}", database.display())).await.expect("a second connection");
    let change = "UPDATE audit_log SET target = 'user nobody' WHERE seq = 3";
    let refused = sqlx::query(change).execute(&mut thief).await.expect_err("refused by the database");
    assert!(refused.to_string().contains("append-only"), "{refused}");
    sqlx::query("DROP TRIGGER audit_log_keeps").execute(&mut thief).await.expect("a thief with all rights");
    sqlx::query(change).execute(&mut thief).await.expect("changed");
    let verdict = world.get("/audit/verify/", As::Token(&admin)).await;
    verdict.is(200, "");
    let found = &verdict.body["data"];
    assert_eq!((&found["intact"], &found["first_broken"], &found["entries"]), (&json!(false), &json!(3), &json!(2)), "{}", verdict.text);
}
