//! Users: who may do what with them, and the rules of the last admin.

use crate::dashboard::Browser;
use crate::world::{ADMIN, As, PASSWORD, World, text};
use reqwest::Method;
use sanasend::removal;
use sanasend_model::{Clock, UserId};
use sanasend_store::{NewJob, REMOVE_USER_JOB, Updated};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn an_admin_makes_changes_and_removes_a_user() {
    let world = World::start().await;
    let admin = world.admin().await;
    let who = As::Token(&admin);
    let new = json!({"username": "Anna", "email": "anna@example.com", "password": PASSWORD, "max_sessions": 3});
    let made = world.post("/users/", who, new).await;
    made.is(201, "");
    let user = &made.body["data"];
    let expected = json!({"username": "anna", "email": "anna@example.com", "is_active": true, "is_admin": false,
        "max_messages_per_day": 1000, "max_messages_per_minute": 60, "max_sessions": 3});
    for (field, value) in expected.as_object().expect("object") {
        assert_eq!(&user[field], value, "{field}");
    }
    assert!(!made.text.contains("password"), "{}", made.text);
    let path = format!("/users/{}/", text(&user["id"]));
    assert_eq!(world.get(&path, who).await.body["data"], *user);

    let patched = world.call(Method::PATCH, &path, who, json!({"max_messages_per_day": 5})).await;
    patched.is(200, "");
    assert_eq!((&patched.body["data"]["max_messages_per_day"], &patched.body["data"]["max_sessions"]), (&json!(5), &json!(3)));
    let replaced = world.call(Method::PUT, &path, who, json!({"username": "anna2", "email": "a2@example.com"})).await;
    replaced.is(200, "");
    assert_eq!((&replaced.body["data"]["max_messages_per_day"], &replaced.body["data"]["max_sessions"]), (&json!(1000), &json!(1)));
    world.login("anna2", PASSWORD).await;

    world.call(Method::DELETE, &path, who, Value::Null).await.is(200, "");
    world.get(&path, who).await.is(404, "NOT_FOUND");
    world.call(Method::DELETE, &path, who, Value::Null).await.is(404, "NOT_FOUND");
    world.login_from("192.0.2.1", "anna2", PASSWORD).await.is(401, "INVALID_CREDENTIALS");
}

#[tokio::test]
async fn what_is_wrong_is_named_by_field_and_changes_nothing() {
    let world = World::start().await;
    let admin = world.admin().await;
    let who = As::Token(&admin);
    let (id, _) = world.user(&admin, "anna").await;
    let good = json!({"username": "berta", "email": "berta@example.com", "password": PASSWORD});
    let table = [
        (json!({"username": "x"}), "VALIDATION_ERROR", vec!["username"]),
        (json!({"username": "x", "email": "x", "password": "x"}), "VALIDATION_ERROR", vec!["email", "password", "username"]),
        (json!({"email": "no"}), "VALIDATION_ERROR", vec!["email"]),
        (json!({"password": "short"}), "VALIDATION_ERROR", vec!["password"]),
        (json!({"password": "berta-berta-1"}), "VALIDATION_ERROR", vec!["password"]),
        (json!({"max_sessions": -1}), "VALIDATION_ERROR", vec!["max_sessions"]),
        (json!({"max_messages_per_day": "many"}), "VALIDATION_ERROR", vec!["max_messages_per_day"]),
        (json!({"max_messages_per_minute": 0}), "VALIDATION_ERROR", vec!["max_messages_per_minute"]),
        (json!({"is_admin": "yes"}), "VALIDATION_ERROR", vec!["is_admin"]),
        (json!({"is_superuser": true}), "UNKNOWN_FIELD", vec!["is_superuser"]),
        (json!({"id": "01936b1e-7a40-7c3e-8b5e-2f6d1c0a9e77"}), "UNKNOWN_FIELD", vec!["id"]),
        (json!({"username": "ANNA"}), "CONFLICT", vec!["username"]),
        (json!({"email": "anna@example.com"}), "CONFLICT", vec!["email"]),
    ];
    for (change, code, fields) in table {
        let mut body = good.clone();
        for (field, value) in change.as_object().expect("object") {
            body[field] = value.clone();
        }
        let status = if code == "CONFLICT" { 409 } else { 400 };
        world.post("/users/", who, body).await.is(status, code).names(&fields);
        if code != "CONFLICT" {
            let patched = world.call(Method::PATCH, &format!("/users/{id}/"), who, change.clone()).await;
            assert_eq!(patched.status, if change["password"] == "berta-berta-1" { 200 } else { 400 }, "{change}: {}", patched.text);
        }
    }
    for missing in ["username", "email", "password"] {
        let mut body = good.clone();
        body.as_object_mut().expect("object").remove(missing);
        world.post("/users/", who, body).await.is(400, "VALIDATION_ERROR").names(&[missing]);
    }
    let null = world.call(Method::PATCH, &format!("/users/{id}/"), who, json!({"email": null})).await;
    null.is(400, "VALIDATION_ERROR").names(&["email"]);
    let listed = world.get("/users/", who).await;
    assert_eq!(listed.body["data"]["count"], 2, "{}", listed.text);
}

#[tokio::test]
async fn only_admins_manage_users_and_only_by_login() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (id, anna) = world.user(&admin, "anna").await;
    let (_, admin_key) = world.key(&admin, json!({})).await;
    let (_, anna_key) = world.key(&anna, json!({})).await;
    let body = json!({"username": "eve", "email": "eve@example.com", "password": PASSWORD, "is_admin": true});
    let calls = [
        (Method::GET, "/users/".to_owned(), Value::Null),
        (Method::POST, "/users/".to_owned(), body.clone()),
        (Method::GET, format!("/users/{id}/"), Value::Null),
        (Method::PUT, format!("/users/{id}/"), body),
        (Method::PATCH, format!("/users/{id}/"), json!({"is_admin": true})),
        (Method::DELETE, format!("/users/{id}/"), Value::Null),
        (Method::POST, format!("/users/{id}/activate/"), Value::Null),
        (Method::POST, format!("/users/{id}/deactivate/"), Value::Null),
        (Method::POST, format!("/users/{id}/reset-password/"), json!({"password": "another fine phrase"})),
    ];
    for (method, path, body) in calls {
        world.call(method.clone(), &path, As::Nobody, body.clone()).await.is(401, "UNAUTHENTICATED");
        world.call(method.clone(), &path, As::Token(&anna), body.clone()).await.is(403, "ADMIN_REQUIRED");
        world.call(method.clone(), &path, As::Key(&anna_key), body.clone()).await.is(403, "ADMIN_REQUIRED");
        world.call(method, &path, As::Key(&admin_key), body).await.is(403, "LOGIN_REQUIRED");
    }
    world.get("/auth/me/", As::Token(&anna)).await.is(200, "");
}

#[tokio::test]
async fn the_last_active_admin_stays() {
    let world = World::start().await;
    let admin = world.admin().await;
    let who = As::Token(&admin);
    let me = text(&world.get("/auth/me/", who).await.body["data"]["id"]);
    let path = format!("/users/{me}/");
    let refused = async |world: &World| {
        world.call(Method::DELETE, &path, who, Value::Null).await.is(409, "LAST_ADMIN");
        world.call(Method::POST, &format!("{path}deactivate/"), who, Value::Null).await.is(409, "LAST_ADMIN");
        world.call(Method::PATCH, &path, who, json!({"is_admin": false})).await.is(409, "LAST_ADMIN");
        world.call(Method::PATCH, &path, who, json!({"is_active": false})).await.is(409, "LAST_ADMIN");
        world.call(Method::PUT, &path, who, json!({"username": ADMIN, "email": "admin@example.com"})).await.is(409, "LAST_ADMIN");
        world.get("/auth/me/", who).await.is(200, "");
    };
    refused(&world).await;
    let (berta, _) = world.user(&admin, "berta").await;
    let promoted = world.call(Method::PATCH, &format!("/users/{berta}/"), who, json!({"is_admin": true, "is_active": false})).await;
    promoted.is(200, "");
    refused(&world).await;
    world.post(&format!("/users/{berta}/activate/"), who, Value::Null).await.is(200, "");
    world.call(Method::DELETE, &path, who, Value::Null).await.is(200, "");
    world.get("/auth/me/", who).await.is(401, "INVALID_TOKEN");
}

#[tokio::test]
async fn an_admin_resets_a_password_and_the_logins_end() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (id, anna) = world.user(&admin, "anna").await;
    let path = format!("/users/{id}/reset-password/");
    world.post(&path, As::Token(&admin), json!({"password": "x"})).await.is(400, "VALIDATION_ERROR").names(&["password"]);
    world.post(&path, As::Token(&admin), json!({"password": "another fine phrase"})).await.is(200, "");
    world.get("/auth/me/", As::Token(&anna)).await.is(401, "INVALID_TOKEN");
    world.login("anna", "another fine phrase").await;
}

#[tokio::test]
async fn lists_are_paged_searched_and_sorted() {
    let world = World::start().await;
    let admin = world.admin().await;
    let who = As::Token(&admin);
    for name in ["anna", "berta", "clara"] {
        world.user(&admin, name).await;
    }
    let names = |reply: &crate::world::Reply| -> Vec<String> {
        reply.body["data"]["results"].as_array().expect("results").iter().map(|user| text(&user["username"])).collect()
    };
    let sorted = world.get("/users/?ordering=username", who).await;
    assert_eq!(names(&sorted), [ADMIN, "anna", "berta", "clara"]);
    assert_eq!(names(&world.get("/users/", who).await).first().map(String::as_str), Some("clara"), "newest first");
    assert_eq!(names(&world.get("/users/?search=ERT", who).await), ["berta"]);
    assert_eq!(names(&world.get("/users/?is_admin=true", who).await), [ADMIN]);
    let second = world.get("/users?page=2&page_size=2&ordering=-username", who).await;
    assert_eq!(names(&second), ["anna", ADMIN]);
    assert_eq!(second.body["data"]["next"], Value::Null);
    let previous = text(&second.body["data"]["previous"]);
    assert_eq!(previous, format!("{}/api/v1/users/?page_size=2&ordering=-username&page=1", world.base));
    let path = previous.strip_prefix(&format!("{}/api/v1", world.base)).expect("our URL");
    let first = world.get(path, who).await;
    assert_eq!(names(&first), ["clara", "berta"]);
    assert!(text(&first.body["data"]["next"]).ends_with("page=2"));
    for (query, field) in [
        ("page=0", "page"),
        ("page=x", "page"),
        ("page_size=101", "page_size"),
        ("page_size=-1", "page_size"),
        ("ordering=password", "ordering"),
        ("is_active=maybe", "is_active"),
        ("colour=red", "colour"),
        ("page=1&page=2", "page"),
    ] {
        world.get(&format!("/users/?{query}"), who).await.is(400, "VALIDATION_ERROR").names(&[field]);
    }
    let far = world.get("/users/?page=99", who).await;
    far.is(200, "");
    assert!(names(&far).is_empty());
}

#[tokio::test]
async fn a_user_goes_although_the_request_was_cut() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (id, _) = world.user(&admin, "anna").await;
    let me = world.get("/auth/me/", As::Token(&admin)).await;
    let actor: UserId = text(&me.body["data"]["id"]).parse().expect("an id");
    // What a request has done when it is cut; nobody waits for the rest.
    let store = &world.node.app.store;
    let begun = store.begin_user_removal(id.parse().expect("an id"), actor, [192_u8, 0, 2, 7].into()).await;
    let Ok(Updated::Done((_, job))) = begun else { panic!("it may go: {begun:?}") };
    assert_eq!(removal::is_done(store, job, Duration::from_mins(1)).await, Ok(true));
    world.get(&format!("/users/{id}/"), As::Token(&admin)).await.is(404, "NOT_FOUND");
    let noted = world.get("/audit/?action=user.deleted", As::Token(&admin)).await;
    let entry = &noted.body["data"]["results"][0];
    assert_eq!(
        (&noted.body["data"]["count"], &entry["ip"], &entry["detail"]["username"]),
        (&json!(1), &json!("192.0.2.7"), &json!("anna"))
    );
}

#[tokio::test]
async fn a_user_who_is_being_deleted_shows_it_and_can_not_come_back() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (id, _) = world.user(&admin, "anna").await;
    let (path, who) = (format!("/users/{id}/"), As::Token(&admin));
    assert!(world.get(&path, who).await.body["data"]["deleting_since"].is_null());
    let actor: UserId = text(&world.get("/auth/me/", who).await.body["data"]["id"]).parse().expect("an id");
    // Nobody works on the first job of the lane, so the removal waits behind it, as after a crash.
    let store = &world.node.app.store;
    let lane = Some(format!("{REMOVE_USER_JOB}/{id}"));
    let hold = NewJob { kind: "test.do", lane, bundle: None, user_id: None, payload: json!(null), due_at: world.clock.now() };
    store.enqueue_jobs(vec![hold]).await.expect("enqueued");
    let begun = store.begin_user_removal(id.parse().expect("an id"), actor, [192_u8, 0, 2, 7].into()).await;
    assert!(matches!(begun, Ok(Updated::Done(_))), "{begun:?}");

    let whole = json!({"username": "anna", "email": "anna@example.com"});
    let calls = [
        (Method::PATCH, path.clone(), json!({"is_active": true})),
        (Method::PATCH, path.clone(), json!({"max_sessions": 7})),
        (Method::PUT, path.clone(), whole),
        (Method::POST, format!("{path}activate/"), Value::Null),
        (Method::POST, format!("{path}deactivate/"), Value::Null),
        (Method::POST, format!("{path}reset-password/"), json!({"password": "another fine phrase"})),
    ];
    for (method, path, body) in calls {
        let refused = world.call(method, &path, who, body).await;
        refused.is(409, "WRONG_STATE");
        assert!(refused.text.contains("being deleted"), "{}", refused.text);
    }
    let shown = world.get(&path, who).await;
    let user = &shown.body["data"];
    assert!(user["is_active"] == false && user["deleting_since"].is_string() && user["max_sessions"] != 7, "{user}");
    let listed = world.get("/users/?search=anna&is_active=false", who).await;
    assert_eq!(&listed.body["data"]["results"][0], user);
    let browser = Browser::admin(&world).await;
    browser.open(&format!("/admin/users/{id}/")).await.is(200).says(&["being deleted", "Delete"]).hides(&["Activate", "Suspend"]);
    browser.open("/admin/users/?search=anna").await.is(200).says(&["being deleted"]).hides(&["suspended</span>"]);
    browser.send(&format!("/admin/users/{id}/activate/"), &[]).await.leads_to(&format!("/admin/users/{id}/"));
    browser.open(&format!("/admin/users/{id}/")).await.is(200).says(&["nothing of it can be changed any more"]);
    world.post("/users/", who, json!({"username": "anna", "email": "b@example.com", "password": PASSWORD})).await.is(409, "CONFLICT");
}
