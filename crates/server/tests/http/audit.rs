//! The audit log as admins read it.

use crate::world::{ADMIN, As, PASSWORD, World, text};
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
        "secrets.begun",
        "user.created",
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
    assert_eq!((&verdict.body["data"]["intact"], &verdict.body["data"]["entries"]), (&json!(true), &json!(16)));
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
    assert_eq!((rest.body["data"]["results"].as_array().map(Vec::len), &rest.body["data"]["next_cursor"]), (Some(4), &Value::Null));
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
async fn a_row_that_was_changed_behind_the_server_is_named_and_makes_it_look_unwell() {
    use sqlx::Connection;
    let world = World::start().await;
    let admin = world.admin().await;
    world.user(&admin, "anna").await;
    let (outcome, detail) = nightly_check(&world, &admin).await;
    assert!(outcome == "ok" && detail.as_str().is_some_and(|text| text.ends_with(" entries, all as they were written")), "{detail}");
    let health = async || {
        let health = world.get("/health/", As::Token(&admin)).await;
        let parts = health.body["data"]["parts"].as_array().expect("parts").clone();
        parts.into_iter().find(|part| part["name"] == "audit_log").expect("the part")
    };
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
    assert_eq!(health().await["status"], "ok", "nobody has looked yet");
    let (outcome, detail) = nightly_check(&world, &admin).await;
    assert_eq!(outcome, "failed");
    assert!(detail.as_str().is_some_and(|text| text.starts_with("the audit log was changed at entry 3:")), "{detail}");
    // What was seen of the parts is believed for a second.
    let unwell = loop {
        let part = health().await;
        if part["status"] != "ok" {
            break part;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((&unwell["status"], &unwell["details"]["found"]), (&json!("degraded"), &detail));
}

/// Runs the nightly check now and waits for its end; answers its outcome and what it said.
async fn nightly_check(world: &World, admin: &str) -> (Value, Value) {
    let who = As::Token(admin);
    let state = async || {
        let summary = world.get("/jobs/summary/", who).await;
        let schedules = summary.body["data"]["schedules"].as_array().expect("schedules").clone();
        schedules.into_iter().find(|schedule| schedule["name"] == "audit.check").unwrap_or_default()
    };
    let before = state().await["last_run"].clone();
    // The schedules write themselves down in the moments after the start.
    while world.post("/jobs/schedules/audit.check/run/", who, Value::Null).await.status == 409 {
        tokio::task::yield_now().await;
    }
    loop {
        let now = state().await;
        if now["last_run"] != before && now["running"] == false && now["outcome"].is_string() {
            return (now["outcome"].clone(), now["detail"].clone());
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_name_that_is_locked_is_noted_once_per_lock() {
    let world = World::start().await;
    world.clock.stop();
    let admin = world.admin().await;
    world.user(&admin, "anna").await;
    for n in 1..=5 {
        world.login_from(&format!("192.0.2.{n}"), "Anna", "a wrong password").await.is(401, "INVALID_CREDENTIALS");
    }
    world.login_from("192.0.2.9", "anna", "a wrong password").await.is(429, "RATE_LIMITED");
    world.clock.pass(std::time::Duration::from_secs(1));
    world.login_from("192.0.2.9", "anna", "a wrong password").await.is(401, "INVALID_CREDENTIALS");
    let locks = world.get("/audit/?action=login.locked", As::Token(&admin)).await;
    let told: Vec<_> = locks.body["data"]["results"].as_array().expect("results").iter().collect();
    let told: Vec<_> = told.iter().map(|entry| (entry["target"].clone(), entry["ip"].clone(), entry["detail"].clone())).collect();
    let entry = |ip: &str, seconds: u64| (json!("username anna"), json!(ip), json!({"seconds": seconds}));
    assert_eq!(told, [entry("192.0.2.9", 2), entry("192.0.2.5", 1)]);
}

#[tokio::test]
async fn what_a_first_start_makes_is_noted_once() {
    let world = World::with(|config| {
        let free = ([127, 0, 0, 1], 0).into();
        (config.sandbox.enabled, config.sandbox.listen, config.sandbox.tls_listen) = (true, free, free);
    })
    .await;
    let world = world.restart().await;
    let admin = world.admin().await;
    let log = world.get("/audit/?page_size=100", As::Token(&admin)).await;
    let mut made: Vec<(String, Value)> = log.body["data"]["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|entry| (text(&entry["action"]), entry["detail"].clone()))
        .filter(|(action, _)| action != "login.created")
        .collect();
    made.reverse();
    let actions: Vec<&str> = made.iter().map(|(action, _)| action.as_str()).collect();
    assert_eq!(actions, ["audit.begun", "secrets.begun", "user.created", "api_key.created", "user.created"]);
    assert_eq!(made[1].1, json!({"seal_key": 1}));
    assert_eq!(made[2].1, json!({"by": "first start", "username": "demo", "is_admin": false}));
    assert_eq!(made[3].1["by"], "first start");
    assert_eq!(made[4].1, json!({"by": "first start", "username": ADMIN, "is_admin": true}));
    let key = world.node.first_run.demo.clone().map(|shown| shown.secret);
    assert_eq!(key, Some(None), "a later start shows no key and makes none");
}

#[tokio::test]
async fn what_has_ended_is_not_noted_again() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (left, stolen) = (world.login(ADMIN, PASSWORD).await, world.login(ADMIN, PASSWORD).await);
    world.post("/auth/refresh/", As::Nobody, json!({"refresh": stolen["refresh"]})).await.is(200, "");
    for _ in 0..3 {
        world.post("/auth/logout/", As::Nobody, json!({"refresh": left["refresh"]})).await.is(200, "");
        let reused = world.post("/auth/refresh/", As::Nobody, json!({"refresh": stolen["refresh"]})).await;
        assert_eq!(reused.status, 401, "{}", reused.text);
    }
    let noted = actions(&world, &admin).await;
    for action in ["login.ended", "login.reuse_refused"] {
        assert_eq!(noted.iter().filter(|noted| *noted == action).count(), 1, "{action} in {noted:?}");
    }
}
