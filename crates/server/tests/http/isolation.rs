//! Strict isolation of tenants: every route x every role x another user's ids in path, query, body and headers.
//!
//! The routes come from the OpenAPI document. Each has a row here that says what it is about; a route without one fails
//! the test. The rule is the same for all: with another user's id the answer has the same bytes as with an id that nobody
//! has, and no answer ever holds anything of another user.

use crate::account::Account;
use crate::contract::operations;
use crate::world::{As, PASSWORD, World, text};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// An id that nobody has.
const NOBODYS: &str = "01936b1e-7a40-7c3e-8b5e-2f6d1c0a9e77";
/// A group that nobody is in.
const NOBODYS_GROUP: &str = "120363000000000001@g.us";
/// Headers by which other systems let callers say who they are.
const NAMING_HEADERS: &[&str] =
    &["x-user-id", "x-user", "x-tenant-id", "x-forwarded-user", "x-remote-user", "x-session-id", "x-original-url"];
/// What of the victim may never be in somebody else's answer, besides its ids.
const SECRETS: [&str; 2] = ["the victim's own words", "victim@example.com"];

/// What a route is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    /// For everybody, about nobody.
    Public,
    /// About the caller alone, whatever it sends.
    Own,
    /// About one thing of the caller, named in the path.
    Owned,
    /// The same; admins may see and change everybody's.
    OwnedOrAdmins,
    /// Admins only, about everybody.
    Admins,
}

/// The row of an operation.
fn row(operation: &str) -> Option<Row> {
    Some(match operation {
        "create_login" | "refresh_login" | "delete_login" | "get_health" | "get_liveness" | "get_readiness" => Row::Public,
        "get_me"
        | "change_password"
        | "list_api_keys"
        | "create_api_key"
        | "list_events"
        | "follow_events"
        | "follow_events_by_websocket" => Row::Own,
        "list_messages" | "send_text" | "list_sessions" | "disconnect_session" | "follow_session" | "follow_session_by_websocket" => {
            Row::Own
        }
        "init_session" | "answer_passkey" | "confirm_passkey" | "get_session_picture" | "reconnect_session" | "get_session_status" => {
            Row::Own
        }
        "send_media" | "list_webhooks" | "create_webhook" | "get_usage" => Row::Own,
        "list_contacts" | "create_contact" | "import_contacts" | "list_imports" | "export_contacts" | "check_contacts" => Row::Own,
        "get_contact_check" | "list_contact_tags" | "list_contact_groups" | "move_contact_label" | "get_contact_settings" => Row::Own,
        "update_contact_settings" | "list_opt_outs" | "create_opt_out" | "import_opt_outs" => Row::Own,
        "get_contact" | "update_contact" | "delete_contact" | "opt_out_contact" | "opt_in_contact" | "erase_contact" => Row::Owned,
        "replace_contact" | "get_import" | "cancel_import" | "list_import_faults" | "get_opt_out" | "end_opt_out" => Row::Owned,
        "get_message_media" | "get_webhook" | "delete_webhook" | "enable_webhook" | "replace_webhook" | "update_webhook" => Row::Owned,
        "list_campaigns" | "create_campaign" | "send_bulk" => Row::Own,
        "get_campaign" | "delete_campaign" | "start_campaign" | "pause_campaign" | "resume_campaign" | "cancel_campaign" => Row::Owned,
        "try_campaign" | "list_campaign_recipients" | "get_campaign_report" | "get_session_health" => Row::Owned,
        "rotate_webhook_secret" | "test_webhook" | "list_deliveries" | "get_delivery" | "replay_delivery" | "replay_webhook" => Row::Owned,
        "list_chats" | "send_location" | "send_contact" | "send_poll" | "show_typing" | "list_groups" => Row::Own,
        "get_group" => Row::Owned,
        "react_to_message" | "edit_message" | "delete_message" | "list_message_receipts" => Row::Owned,
        "get_overview" | "list_usage_stats" | "list_api_logs" => Row::Admins,
        "get_message" | "cancel_message" | "read_message" | "retry_message" | "get_session" | "delete_session" => Row::Owned,
        "get_api_key" | "delete_api_key" | "rotate_api_key" => Row::OwnedOrAdmins,
        "list_audit_entries" | "verify_audit_log" | "list_jobs" | "retry_jobs" | "run_schedule" | "summarize_jobs" | "get_job" => {
            Row::Admins
        }
        "drop_job" | "retry_job" | "list_users" | "create_user" | "get_user" | "replace_user" | "delete_user" | "update_user" => {
            Row::Admins
        }
        "activate_user" | "deactivate_user" | "reset_user_password" => Row::Admins,
        "list_scheduled_messages" | "send_template" | "list_templates" | "create_template" | "preview_source" => Row::Own,
        "get_template" | "replace_template" | "update_template" | "delete_template" | "list_template_versions" => Row::Owned,
        "update_message" | "preview_template" => Row::Owned,
        "list_schedules" | "create_schedule" | "preview_schedule" | "get_quiet_hours" | "replace_quiet_hours" => Row::Own,
        "get_schedule" | "replace_schedule" | "delete_schedule" | "pause_schedule" | "resume_schedule" => Row::Owned,
        _ => return None,
    })
}

/// One operation of the document.
struct Operation {
    name: String,
    method: Method,
    /// With `{...}` where ids and names go.
    path: String,
    row: Row,
    document: Value,
}

fn matrix() -> Vec<Operation> {
    let document: Value = serde_json::from_str(&sanasend::http::openapi_document()).expect("JSON");
    let paths: Vec<String> = document["paths"].as_object().expect("paths").keys().cloned().collect();
    let mut rows = Vec::new();
    let mut without = Vec::new();
    for path in paths {
        for (method, operation) in document["paths"][&path].as_object().expect("operations") {
            let name = text(&operation["operationId"]);
            let Some(row) = row(&name) else {
                without.push(name);
                continue;
            };
            let (method, document) = (method.to_uppercase().parse().expect("a method"), operation.clone());
            rows.push(Operation { name, method, path: path.clone(), row, document });
        }
    }
    assert!(without.is_empty(), "routes without a row in the isolation matrix: {without:?}");
    assert_eq!(rows.len(), operations().len());
    rows
}

/// What is put where in one request.
#[derive(Default, Clone)]
struct Request {
    id: Option<String>,
    query: Option<(String, String)>,
    body: Option<(String, String)>,
    header: Option<(&'static str, String)>,
}

/// Status and body of an answer; of a stream what comes at once.
async fn ask(world: &World, operation: &Operation, who: As<'_>, asked: &Request) -> (u16, String) {
    let mut path = String::new();
    for part in operation.path.split('/').skip(1) {
        path.push('/');
        let nobodys = if part == "{jid}" { NOBODYS_GROUP } else { NOBODYS };
        path.push_str(if part.starts_with('{') { asked.id.as_deref().unwrap_or(nobodys) } else { part });
    }
    if let Some((name, value)) = &asked.query {
        path = format!("{path}?{name}={value}");
    }
    let mut request = who.sign(world.request(operation.method.clone(), &path));
    if let Some((name, value)) = &asked.header {
        request = request.header(*name, value);
    }
    let example = &operation.document["requestBody"]["content"]["application/json"]["example"];
    if example.is_object() {
        let mut body = example.clone();
        // Examples name things of other people: who sends them means its own. Pairing codes and foreign hosts take their time.
        for field in ["session", "user", "reply_to", "phone_number", "media_url"] {
            body.as_object_mut().map(|fields| fields.shift_remove(field));
        }
        if let Some((name, value)) = &asked.body {
            body[name] = json!(value);
        }
        request = request.json(&body);
    }
    let mut response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let mut text = String::new();
    let is_stream = response.headers().get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let patience = if is_stream { Duration::from_millis(150) } else { Duration::from_mins(1) };
    while let Ok(Ok(Some(chunk))) = tokio::time::timeout(patience, response.chunk()).await {
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    (status, text)
}

/// Names of query parameters and body fields that may hold an id.
fn places(operation: &Operation) -> (Vec<String>, Vec<String>) {
    let names_one = |name: &str, schema: &Value| {
        schema["format"] == "uuid" || ["session", "user", "reply_to", "actor", "id", "template"].contains(&name)
    };
    let parameters = operation.document["parameters"].as_array().into_iter().flatten();
    let query = parameters.filter(|parameter| parameter["in"] == "query");
    let query = query.filter(|parameter| names_one(parameter["name"].as_str().unwrap_or_default(), &parameter["schema"]));
    let body = operation.document["requestBody"]["content"]["application/json"]["example"].as_object().into_iter().flatten();
    let body =
        body.filter(|(name, value)| names_one(name, &Value::Null) || value.as_str().is_some_and(|text| text.parse::<uuid::Uuid>().is_ok()));
    (query.map(|parameter| text(&parameter["name"])).collect(), body.map(|(name, _)| name.clone()).collect())
}

/// The requests with an id at every place where one can be, by the name of the place.
fn requests(operation: &Operation, id: &str) -> BTreeMap<String, Request> {
    let (query, body) = places(operation);
    let mut requests = BTreeMap::new();
    if operation.path.contains('{') {
        requests.insert("path".to_owned(), Request { id: Some(id.to_owned()), ..Request::default() });
    }
    for name in query {
        requests.insert(format!("query {name}"), Request { query: Some((name, id.to_owned())), ..Request::default() });
    }
    for name in body {
        requests.insert(format!("body {name}"), Request { body: Some((name, id.to_owned())), ..Request::default() });
    }
    // One header for a stream: each look at one takes its time.
    let headers = if operation.name.starts_with("follow_") { 1 } else { NAMING_HEADERS.len() };
    for name in &NAMING_HEADERS[..headers] {
        requests.insert(format!("header {name}"), Request { header: Some((name, id.to_owned())), ..Request::default() });
    }
    requests
}

/// The victim: a linked account, a message, keys; its ids by what they are.
struct Victim {
    account: Account,
    token: String,
    ids: BTreeMap<&'static str, String>,
}

async fn victim() -> Victim {
    // The matrix asks more in a minute than one caller may.
    let mut account = Account::with(|config| config.limits.requests_per_minute = 0).await;
    account.link().await;
    let world = &account.world;
    let admin = world.admin().await;
    let me = account.get("/auth/me/").await.body["data"]["id"].clone();
    let rename = json!({"email": SECRETS[1], "max_sessions": 5});
    world.call(Method::PATCH, &format!("/users/{}/", text(&me)), As::Token(&admin), rename).await.is(200, "");
    let token = text(&world.login("anna", PASSWORD).await["access"]);
    let friend = account.friend().await;
    let message = account.send(&friend, SECRETS[0]).await;
    account.message_becomes(&message["id"], "delivered").await;
    let (key, _) = world.key(&token, Value::Null).await;
    let session = text(&account.session().await["id"]);
    let template = json!({"name": "secret", "content": SECRETS[0]});
    let template = account.post("/templates/", template).await.body["data"]["id"].clone();
    let daily = json!({"name": "daily", "cron": "0 9 * * *", "recipient": friend, "content": SECRETS[0]});
    let schedule = account.post("/schedules/", daily).await.body["data"]["id"].clone();
    let ids = BTreeMap::from([
        ("user", text(&me)),
        ("message", text(&message["id"])),
        ("session", session),
        ("key", key),
        ("template", text(&template)),
        ("schedule", text(&schedule)),
    ]);
    Victim { account, token, ids }
}

/// What an admin by login is told of everybody's.
const TOLD_TO_ADMINS: [&str; 10] = [
    "list_api_keys",
    "create_api_key",
    "list_schedules",
    "get_schedule",
    "list_scheduled_messages",
    "list_templates",
    "get_template",
    "list_template_versions",
    "list_campaigns",
    "list_imports",
];

#[tokio::test(flavor = "multi_thread")]
async fn another_users_things_do_not_exist() {
    let victim = Box::pin(victim()).await;
    let world = &victim.account.world;
    let admin = world.admin().await;
    let (_, stranger) = world.user(&admin, "stranger").await;
    let (_, key) = world.key(&stranger, json!({"name": "all"})).await;
    let (_, narrow) = world.key(&stranger, json!({"name": "narrow", "scopes": ["events:read"]})).await;
    let (_, admins_key) = world.key(&admin, json!({"name": "admin's"})).await;
    let roles = [
        ("nobody", As::Nobody),
        ("a key", As::Key(&key)),
        ("a key with one scope", As::Key(&narrow)),
        ("a login", As::Token(&stranger)),
        ("an admin's key", As::Key(&admins_key)),
        ("an admin", As::Token(&admin)),
    ];
    let mut faults = Vec::new();
    for operation in matrix() {
        // Two would end what the test itself logs in with; the example of the third is the victim's own name and password. The
        // last two are refused the second time, whoever is named (`contacts` looks at those).
        if ["delete_login", "change_password", "create_login", "create_contact", "create_opt_out"].contains(&operation.name.as_str()) {
            continue;
        }
        for (role, who) in roles {
            let may = role == "an admin" && matches!(operation.row, Row::Admins | Row::OwnedOrAdmins);
            let lists_all = role == "an admin" && TOLD_TO_ADMINS.contains(&operation.name.as_str());
            if may || lists_all {
                continue;
            }
            let missing = requests(&operation, NOBODYS);
            for (place, request) in &missing {
                let expected = ask(world, &operation, who, request).await;
                for (what, id) in &victim.ids {
                    let found = ask(world, &operation, who, &requests(&operation, id)[place]).await;
                    let differs = if expected.0 >= 400 { found != expected } else { found.0 / 100 != expected.0 / 100 };
                    if differs {
                        faults.push(format!("{}: {role} with the {what}'s id in {place}: {found:?} and not {expected:?}", operation.name));
                    }
                    let told = SECRETS.iter().copied().chain(victim.ids.values().map(String::as_str)).filter(|secret| *secret != id);
                    faults.extend(
                        told.filter(|secret| found.1.contains(secret)).map(|secret| format!("{}: {role} is told {secret}", operation.name)),
                    );
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // And with all that the victim still has everything.
    let session = victim.account.session().await;
    assert_eq!(session["status"], "connected", "{session}");
    victim.account.message(&json!(victim.ids["message"])).await;
    world.get(&format!("/api-keys/{}/", victim.ids["key"]), As::Token(&victim.token)).await.is(200, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_is_answered_where_others_are_not() {
    let victim = Box::pin(victim()).await;
    let world = &victim.account.world;
    for operation in matrix().iter().filter(|operation| {
        ["get_message", "get_session", "get_api_key", "get_template", "get_schedule"].contains(&operation.name.as_str())
    }) {
        let mut found = 0;
        for id in victim.ids.values() {
            let (status, _) =
                ask(world, operation, As::Token(&victim.token), &Request { id: Some(id.clone()), ..Request::default() }).await;
            found += usize::from(status == 200);
        }
        assert_eq!(found, 1, "{}: the matrix has nothing to find", operation.name);
    }
}

#[test]
fn every_route_has_a_row() {
    matrix();
}

#[tokio::test]
async fn repeated_and_overriding_parameters_change_nobody() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (anna_id, anna) = world.user(&admin, "anna").await;
    let (ben_id, ben) = world.user(&admin, "ben").await;
    let (key_of_ben, _) = world.key(&ben, json!({})).await;
    let me = world.get("/auth/me/", As::Token(&anna)).await;
    for query in [format!("user={ben_id}"), format!("id={ben_id}&id={anna_id}"), "username=admin".to_owned(), "is_admin=true".to_owned()] {
        let reply = world.get(&format!("/auth/me/?{query}"), As::Token(&anna)).await;
        assert!(reply.text == me.text || reply.status == 400, "{query}: {}", reply.text);
    }
    for query in [
        format!("user={anna_id}&user={ben_id}"),
        "page=1&page=2".to_owned(),
        "page_size=1&page_size=100".to_owned(),
        format!("user_id={ben_id}"),
    ] {
        world.get(&format!("/api-keys/?{query}"), As::Token(&anna)).await.is(400, "VALIDATION_ERROR");
    }
    let post = async |path: &str, body: String| {
        let request =
            As::Token(&anna).sign(world.request(Method::POST, &format!("/api/v1{path}"))).header("content-type", "application/json");
        crate::world::Reply::read(request.body(body).send().await.expect("an answer")).await
    };
    let twice = post("/api-keys/", format!("{{\"name\":\"x\",\"user\":\"{anna_id}\",\"user\":\"{ben_id}\"}}")).await;
    twice.is(400, "VALIDATION_ERROR").names(&["user"]);
    post("/api-keys/", format!("{{\"name\":\"x\",\"user_id\":\"{ben_id}\"}}")).await.is(400, "UNKNOWN_FIELD");
    post("/api-keys/", format!("{{\"name\":\"x\",\"id\":\"{key_of_ben}\"}}")).await.is(400, "UNKNOWN_FIELD");
    post("/auth/change-password/", "{\"current_password\":\"x\",\"new_password\":\"y\",\"is_admin\":true}".into())
        .await
        .is(400, "UNKNOWN_FIELD");
    // A method named elsewhere is no method.
    let overriding = As::Token(&anna)
        .sign(world.request(Method::POST, &format!("/api/v1/api-keys/{key_of_ben}/")))
        .header("x-http-method-override", "DELETE");
    assert_eq!(overriding.send().await.expect("an answer").status(), 405);
    world.get(&format!("/api-keys/{key_of_ben}/"), As::Token(&ben)).await.is(200, "");
}

/// Sends a path as it is; clients would tidy it up before.
async fn raw(world: &World, path: &str, key: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut socket = tokio::net::TcpStream::connect(world.node.api).await.expect("connected");
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {key}\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.expect("written");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.expect("an answer");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0), answer)
}

#[tokio::test]
async fn no_path_leads_out_of_the_api() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (_, key) = world.key(&admin, json!({})).await;
    for path in [
        "/../secrets/jwt_hmac",
        "/api/v1/../../secrets/jwt_hmac",
        "/api/v1/messages/../users/",
        "/api/v1/messages/..%2f..%2fusers/",
        "/api/v1/messages/%2e%2e/%2e%2e/users/",
        "/api/v1/messages/%00/",
        "/api/v1/messages/%ff%fe/",
        "/api/v1/messages/..%5c..%5csecrets/",
        "/api/v1//users//",
        "/api/v1/users;admin=true/",
        "/api/v1/users%3f/",
        "/API/V1/users/",
        "/api/docs/../../secrets/seal_key_1",
        "/api/docs/..%2f..%2fsecrets%2fseal_key_1",
        "/api/redoc/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/api/docs/C:%5cwindows%5cwin.ini",
        "//evil.example/api/v1/users/",
    ] {
        let (status, answer) = raw(&world, path, &key).await;
        assert!((400..=404).contains(&status), "{path}: {answer}");
        assert!(!answer.contains("root:") && !answer.contains("secrets/"), "{path}: {answer}");
        assert!(answer.contains("\"error_code\""), "{path} is not refused in the envelope: {answer}");
    }
}
