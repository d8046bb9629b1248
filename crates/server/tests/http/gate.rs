//! Who may not, learns nothing: what an operation asks of its caller comes before its query and body.

use crate::contract::{is_public, operations};
use crate::world::{As, Reply, World};
use sanasend_model::Scope;
use serde_json::{Value, json};

/// Operations that anybody with credentials may use: there is nothing to ask for.
const FOR_EVERY_CALLER: &[&str] = &["get_me"];

/// A request with a query and a body that no operation understands.
async fn nonsense(world: &World, operation: &(reqwest::Method, String, Value), who: As<'_>) -> Reply {
    let (method, path, _) = operation;
    let request = who.sign(world.request(method.clone(), &format!("{path}?nonsense=1"))).header("content-type", "application/json");
    Reply::read(request.body("{\"nonsense\"").send().await.expect("an answer")).await
}

#[test]
fn every_operation_says_what_it_asks_for() {
    for (method, path, operation) in operations() {
        let says = operation["x-scope"].is_string() || operation["x-admin"] == true || operation["x-login"] == true;
        let name = operation["operationId"].as_str().unwrap_or_default();
        assert!(says || is_public(&operation) || FOR_EVERY_CALLER.contains(&name), "{method} {path}: no x-scope, x-admin or x-login");
    }
}

/// The document decides, so a slip in it would open a door: these rules are written down a second time on purpose.
#[test]
fn reading_changes_nothing_and_what_is_for_admins_is_for_admins() {
    const FOR_ADMINS: &[&str] = &["/api/v1/users/", "/api/v1/jobs/", "/api/v1/audit/", "/api/v1/analytics/"];
    for (method, path, operation) in operations() {
        if method != reqwest::Method::GET {
            let scope = operation["x-scope"].as_str().unwrap_or_default();
            assert!(!scope.ends_with(":read"), "{method} {path} asks for {scope} only");
        }
        if FOR_ADMINS.iter().any(|place| path.starts_with(place)) {
            assert_eq!(operation["x-admin"], true, "{method} {path} is not for admins");
        }
        if path.starts_with("/api/v1/api-keys/") {
            assert_eq!(operation["x-login"], true, "{method} {path} lets a key make keys");
        }
    }
}

#[tokio::test]
async fn a_key_without_the_scope_learns_nothing() {
    let world = World::start().await;
    let admin = world.admin().await;
    let mut keys = std::collections::HashMap::new();
    for operation in operations() {
        let Some(scope) = operation.2["x-scope"].as_str() else { continue };
        let wanted: Scope = scope.parse().expect("a scope");
        if !keys.contains_key(scope) {
            let others: Vec<&str> = Scope::ALL.iter().filter(|other| !other.covers(wanted)).map(|other| other.as_str()).collect();
            keys.insert(scope.to_owned(), world.key(&admin, json!({"scopes": others})).await.1);
        }
        let reply = nonsense(&world, &operation, As::Key(&keys[scope])).await;
        assert_eq!((reply.status, reply.body["error_code"].as_str()), (403, Some("INSUFFICIENT_SCOPE")), "{}: {}", operation.1, reply.text);
    }
}

#[tokio::test]
async fn a_key_learns_nothing_of_what_wants_a_login_and_a_user_nothing_of_what_wants_an_admin() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (_, anna) = world.user(&admin, "anna").await;
    let (_, key) = world.key(&anna, json!({})).await;
    let (_, admins_key) = world.key(&admin, json!({})).await;
    for operation in operations() {
        let (for_admins, for_logins) = (operation.2["x-admin"] == true, operation.2["x-login"] == true);
        let cases: &[(As<'_>, &str)] = if for_admins {
            &[(As::Token(&anna), "ADMIN_REQUIRED"), (As::Key(&key), "ADMIN_REQUIRED"), (As::Key(&admins_key), "LOGIN_REQUIRED")]
        } else if for_logins {
            &[(As::Key(&key), "LOGIN_REQUIRED"), (As::Key(&admins_key), "LOGIN_REQUIRED")]
        } else {
            &[]
        };
        for (who, code) in cases {
            let reply = nonsense(&world, &operation, *who).await;
            assert_eq!((reply.status, reply.body["error_code"].as_str()), (403, Some(*code)), "{}: {}", operation.1, reply.text);
        }
    }
}

#[tokio::test]
async fn who_manages_accounts_may_look_at_them() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (_, manager) = world.key(&admin, json!({"scopes": ["sessions:manage"]})).await;
    let (_, reader) = world.key(&admin, json!({"scopes": ["sessions:read"]})).await;
    world.get("/sessions/", As::Key(&manager)).await.is(200, "");
    world.get("/sessions/", As::Key(&reader)).await.is(200, "");
    world.post("/sessions/init/", As::Key(&reader), json!({})).await.is(403, "INSUFFICIENT_SCOPE");
}
