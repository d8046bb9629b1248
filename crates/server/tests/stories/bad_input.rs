//! What can not be understood or is not allowed: each case has its own answer, and changes nothing.

use crate::world::{Api, Shop, World};
use serde_json::{Value, json};

/// A refused send: what is wrong, the body, the answer.
fn refused_sends(friend: &str) -> Vec<(&'static str, Value, u16, &'static str)> {
    vec![
        ("unknown field", json!({"recipient": friend, "content": "hi", "colour": "red"}), 400, "UNKNOWN_FIELD"),
        ("wrong type", json!({"recipient": friend, "content": 7}), 400, "VALIDATION_ERROR"),
        ("wrong type of recipient", json!({"recipient": [friend], "content": "hi"}), 400, "VALIDATION_ERROR"),
        ("missing content", json!({"recipient": friend}), 400, "VALIDATION_ERROR"),
        ("missing recipient", json!({"content": "hi"}), 400, "VALIDATION_ERROR"),
        ("not an object", json!(["hi"]), 400, "VALIDATION_ERROR"),
        ("empty text", json!({"recipient": friend, "content": ""}), 400, "VALIDATION_ERROR"),
        ("blank text", json!({"recipient": friend, "content": "  \n "}), 400, "VALIDATION_ERROR"),
        ("70,000 characters", json!({"recipient": friend, "content": "x".repeat(70_000)}), 400, "VALIDATION_ERROR"),
        ("letters for a number", json!({"recipient": "not a number", "content": "hi"}), 400, "RECIPIENT_INVALID"),
        ("a number too short", json!({"recipient": "+1202", "content": "hi"}), 400, "RECIPIENT_INVALID"),
        ("a number of no plan", json!({"recipient": "+99912345678901", "content": "hi"}), 400, "RECIPIENT_INVALID"),
        ("a host that is not WhatsApp's", json!({"recipient": "12025550123@example.com", "content": "hi"}), 400, "RECIPIENT_INVALID"),
        (
            "a reply to nothing",
            json!({"recipient": friend, "content": "hi", "reply_to": "0190a000-0000-7000-8000-000000000000"}),
            404,
            "NOT_FOUND",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_send_is_refused_with_its_code_and_changes_nothing() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let friend = world.friend("Friend").await;
    for (what, body, status, code) in refused_sends(&friend.number) {
        let answer = shop.api.post("/messages/send-text/", &body).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{what}: {}", answer.body);
        assert_eq!(answer.body["success"], false, "{what}");
        assert!(!answer.body["message"].as_str().unwrap_or_default().is_empty(), "{what} has a sentence");
    }
    for (what, body, kind, status, code) in [
        ("malformed JSON", "{\"recipient\": ", "application/json", 400, "MALFORMED_JSON"),
        ("no JSON at all", "recipient=1", "application/x-www-form-urlencoded", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("an empty body", "", "application/json", 400, "MALFORMED_JSON"),
    ] {
        let answer = shop.api.post_raw("/messages/send-text/", body, kind).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{what}: {}", answer.body);
    }
    let huge = format!("{{\"recipient\": \"{}\", \"content\": \"{}\"}}", friend.number, "x".repeat(2 * 1024 * 1024));
    let answer = shop.api.post_raw("/messages/send-text/", &huge, "application/json").await;
    assert_eq!((answer.status, answer.code()), (413, "PAYLOAD_TOO_LARGE"), "{}", answer.body);
    assert_eq!(shop.listed("direction=outbound").await.len(), 0);
    let told = shop.events().await.into_iter().filter(|event| event["type"].as_str().is_some_and(|kind| kind.starts_with("message.")));
    assert_eq!(told.count(), 0, "nothing was told of a message");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_not_on_whatsapp_fails_with_its_own_code() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let answer = shop.api.post("/messages/send-text/?wait=20", &json!({"recipient": "+13035550999", "content": "anybody?"})).await;
    let failed = answer.status == 400 && answer.code() == "NOT_ON_WHATSAPP";
    let accepted_and_failed = answer.body["data"]["status"] == "failed" && answer.body["data"]["error_code"] == "NOT_ON_WHATSAPP";
    assert!(failed || accepted_and_failed, "{}", answer.body);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_linked_account_nothing_is_accepted() {
    let world = World::start().await;
    let shop = world.shop();
    let answer = shop.api.post("/messages/send-text/", &json!({"recipient": "+12025550123", "content": "hi"})).await;
    assert_eq!((answer.status, answer.code()), (409, "SESSION_NOT_LINKED"), "{}", answer.body);
    assert!(shop.listed("direction=outbound").await.is_empty());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_somebody_else_does_not_exist() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let friend = world.friend("Friend").await;
    let message = shop.send_text(&friend, "mine").await;
    let stranger = stranger(&world).await;
    let id = message["id"].as_str().expect("an id");
    let nothing = "0190a000-0000-7000-8000-000000000000";
    for path in ["/messages/{}/"] {
        let theirs = stranger.get(&path.replace("{}", id)).await;
        let missing = stranger.get(&path.replace("{}", nothing)).await;
        assert_eq!((theirs.status, &theirs.body), (missing.status, &missing.body), "{path}");
        assert_eq!((theirs.status, theirs.code()), (404, "NOT_FOUND"));
    }
    for path in ["/messages/{}/cancel/", "/messages/{}/retry/"] {
        let theirs = stranger.post(&path.replace("{}", id), &json!({})).await;
        let missing = stranger.post(&path.replace("{}", nothing), &json!({})).await;
        assert_eq!((theirs.status, &theirs.body), (missing.status, &missing.body), "{path}");
        assert_eq!(theirs.status, 404);
    }
    let reply = stranger.post("/messages/send-text/", &json!({"recipient": friend.number, "content": "hi", "reply_to": id})).await;
    assert!(reply.status == 404 || reply.status == 409, "{}", reply.body);
    let stranger = Shop::new(stranger, world.control());
    assert!(stranger.listed("direction=outbound").await.is_empty());
    assert!(stranger.events().await.is_empty());
    assert_eq!(stranger.api.get("/sessions/").await.expect(200)["count"], 0);
    world.stop().await;
}

/// Another user with a key of its own.
async fn stranger(world: &World) -> Api {
    let admin = world.admin().await;
    let key = new_key(&admin, "stranger", json!({})).await;
    world.api().with_key(key["key"].as_str().expect("shown once"))
}

/// Makes a user and a key for it with these fields more; answers the key.
async fn new_key(admin: &Api, name: &str, fields: Value) -> Value {
    let user = json!({"username": name, "email": format!("{name}@example.com"), "password": "a long enough password"});
    let user = admin.post("/users/", &user).await.expect(201).clone();
    let mut body = json!({"user": user["id"], "name": "key"});
    for (field, value) in fields.as_object().into_iter().flatten() {
        body[field] = value.clone();
    }
    admin.post("/api-keys/", &body).await.expect(201).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_not_is_told_why() {
    let world = World::start().await;
    let admin = world.admin().await;
    let send = json!({"recipient": "+12025550123", "content": "hi"});
    let with = |key: &Value| world.api().with_key(key["key"].as_str().expect("shown once"));

    let revoked = new_key(&admin, "revoked", json!({})).await;
    let answer = admin.delete(&format!("/api-keys/{}/", revoked["id"].as_str().expect("an id"))).await;
    assert!(answer.status == 200 || answer.status == 204, "{}", answer.body);
    let elsewhere = new_key(&admin, "elsewhere", json!({"allowed_ips": ["192.0.2.0/24"]})).await;
    let reader = new_key(&admin, "reader", json!({"scopes": ["messages:read"]})).await;
    for (what, api, status, code) in [
        ("no key", world.api(), 401, "UNAUTHENTICATED"),
        ("a made-up key", world.api().with_key("sk_not_a_key_at_all"), 401, "INVALID_API_KEY"),
        ("a revoked key", with(&revoked), 401, "API_KEY_REVOKED"),
        ("a key for other addresses", with(&elsewhere), 403, "IP_NOT_ALLOWED"),
        ("a key without the scope", with(&reader), 403, "INSUFFICIENT_SCOPE"),
    ] {
        let answer = api.post("/messages/send-text/", &send).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{what}: {}", answer.body);
    }
    let user = json!({"username": "made", "email": "made@example.com", "password": "a long enough password"});
    let answer = with(&reader).post("/users/", &user).await;
    assert_eq!(answer.status, 403, "{}", answer.body);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_key_is_refused() {
    let world = World::start().await;
    let admin = world.admin().await;
    let soon = chrono::DateTime::from_timestamp_millis(soon(&world)).expect("a time").to_rfc3339();
    let key = new_key(&admin, "expiring", json!({"expires_at": soon})).await;
    let api = world.api().with_key(key["key"].as_str().expect("shown once"));
    let code = crate::world::eventually("the key to expire", || async {
        let answer = api.get("/messages/list/").await;
        (answer.status == 401).then(|| answer.code().to_owned())
    });
    assert_eq!(code.await, "API_KEY_EXPIRED");
    world.stop().await;
}

/// A moment that is over soon.
fn soon(world: &World) -> i64 {
    world.now().0 + 1_500
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_methods_that_do_not_exist_use_the_envelope() {
    let world = World::start().await;
    let shop = world.shop();
    let missing = shop.api.get("/nothing/here/").await;
    assert_eq!((missing.status, missing.code()), (404, "NOT_FOUND"), "{}", missing.body);
    let wrong = shop.api.delete("/messages/send-text/").await;
    assert_eq!((wrong.status, wrong.code()), (405, "METHOD_NOT_ALLOWED"), "{}", wrong.body);
    let slashless = shop.api.get("/messages/list").await;
    assert_eq!(slashless.status, 200, "without the slash: {}", slashless.body);
    world.stop().await;
}
