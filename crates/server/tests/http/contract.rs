//! What holds for every endpoint: slashes, envelopes, headers, credentials, and the documents made from the code.

use crate::account::Account;
use crate::world::{As, Reply, World};
use reqwest::Method;
use sanasend::http::{ErrorCode, errors_page, openapi_document};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::Path;

const NO_ID: &str = "01936b1e-7a40-7c3e-8b5e-2f6d1c0a9e77";

/// Every operation of the document: method, path with an id that nobody has, and what is written about it.
pub fn operations() -> Vec<(Method, String, Value)> {
    let document: Value = serde_json::from_str(&openapi_document()).expect("JSON");
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let method: Method = method.to_uppercase().parse().expect("method");
            operations.push((method, path.replace("{id}", NO_ID).replace("{delivery}", NO_ID).replace("{jid}", NO_ID), operation.clone()));
        }
    }
    operations
}

pub fn is_public(operation: &Value) -> bool {
    operation["security"].as_array().is_some_and(|ways| ways.contains(&json!({})))
}

#[tokio::test]
async fn every_path_is_served_with_and_without_the_slash() {
    let world = World::start().await;
    for (method, path, _) in operations() {
        assert!(path.ends_with('/'), "{path}");
        let with = Reply::read(world.request(method.clone(), &path).send().await.expect("an answer")).await;
        let without = Reply::read(world.request(method.clone(), path.trim_end_matches('/')).send().await.expect("an answer")).await;
        assert_ne!(with.body["error_code"], "METHOD_NOT_ALLOWED", "{method} {path}");
        assert!(!(300..400).contains(&without.status), "{method} {path}");
        assert_eq!((with.status, &with.body["error_code"]), (without.status, &without.body["error_code"]), "{method} {path}");
    }
}

#[tokio::test]
async fn nothing_but_the_public_is_told_without_credentials() {
    let world = World::with(|config| config.auth.bad_credentials_per_minute = 1000).await;
    for (method, path, operation) in operations().into_iter().filter(|(_, _, operation)| !is_public(operation)) {
        let ask = |who: As<'static>| {
            let request = who.sign(world.request(method.clone(), &path)).json(&json!({}));
            async { Reply::read(request.send().await.expect("an answer")).await }
        };
        let name = &operation["operationId"];
        for (who, code) in
            [(As::Nobody, "UNAUTHENTICATED"), (As::Key("sk_nonsense"), "INVALID_API_KEY"), (As::Token("non.sen.se"), "INVALID_TOKEN")]
        {
            let reply = ask(who).await;
            assert_eq!((reply.status, reply.body["error_code"].as_str()), (401, Some(code)), "{name}: {}", reply.text);
        }
    }
}

#[test]
fn the_header_that_sends_once_has_the_bounds_of_the_code() {
    let mut found = 0;
    for (_, path, operation) in operations() {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        for key in parameters.filter(|parameter| parameter["name"] == "Idempotency-Key") {
            found += 1;
            let bounds = json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~][\\t -~]*$"});
            assert_eq!((&key["schema"], &key["required"]), (&bounds, &json!(false)), "{path}");
        }
    }
    assert!(found >= 10, "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_within_the_bounds_is_taken_and_others_are_refused() {
    let account = Account::linked().await;
    let send = async |key: Vec<u8>| {
        let request = As::Key(&account.key).sign(account.world.request(Method::POST, "/api/v1/messages/send-text/"));
        let request = request.header("idempotency-key", key).json(&json!({"recipient": "+12025550123", "content": "Hi"}));
        Reply::read(request.send().await.expect("an answer")).await
    };
    for sound in [b"a".to_vec(), b"!\ta ~".to_vec(), vec![b'x'; 255]] {
        send(sound).await.is(202, "");
    }
    for wrong in [b"".to_vec(), vec![b'x'; 256], b"caf\xc3\xa9".to_vec()] {
        let refused = send(wrong).await;
        refused.is(400, "VALIDATION_ERROR").names(&["Idempotency-Key"]);
        let told = json!(["must be one header of 1 to 255 printable ASCII characters"]);
        assert_eq!(refused.body["errors"]["Idempotency-Key"], told);
    }
}

#[tokio::test]
async fn what_the_framework_refuses_has_the_same_envelope() {
    let world = World::start().await;
    let send = async |request: reqwest::RequestBuilder| Reply::read(request.send().await.expect("an answer")).await;
    let login = || world.request(Method::POST, "/api/v1/auth/login/");
    let json_type = ("content-type", "application/json");
    send(world.request(Method::GET, "/nowhere")).await.is(404, "NOT_FOUND");
    send(world.request(Method::GET, "/api/v1/nowhere/")).await.is(404, "NOT_FOUND");
    let wrong_method = send(world.request(Method::DELETE, "/api/v1/auth/login/")).await;
    wrong_method.is(405, "METHOD_NOT_ALLOWED");
    assert_eq!(wrong_method.header("allow"), "POST");
    send(login().header(json_type.0, json_type.1).body("{")).await.is(400, "MALFORMED_JSON");
    send(login().header(json_type.0, json_type.1).body("")).await.is(400, "MALFORMED_JSON");
    send(login().header(json_type.0, json_type.1).body(b"{\"username\":\"\xff\"}".to_vec())).await.is(400, "MALFORMED_JSON");
    send(login().header(json_type.0, json_type.1).body("[".repeat(100_000))).await.is(400, "MALFORMED_JSON");
    send(login().body("{}")).await.is(415, "UNSUPPORTED_MEDIA_TYPE");
    send(login().header("content-type", "application/x-www-form-urlencoded").body("username=x")).await.is(415, "UNSUPPORTED_MEDIA_TYPE");
    send(login().header("content-type", "text/plain").body("{}")).await.is(415, "UNSUPPORTED_MEDIA_TYPE");
    let utf8 = send(login().header("content-type", "application/json; charset=utf-8").body("{}")).await;
    utf8.is(400, "VALIDATION_ERROR");
    send(login().header(json_type.0, json_type.1).body(vec![b' '; 1024 * 1024 + 1])).await.is(413, "PAYLOAD_TOO_LARGE");
    let chunks = futures::stream::iter((0..300).map(|_| Ok::<_, std::io::Error>(vec![b' '; 8192])));
    let streamed = send(login().header(json_type.0, json_type.1).body(reqwest::Body::wrap_stream(chunks))).await;
    streamed.is(413, "PAYLOAD_TOO_LARGE");
}

#[tokio::test]
async fn every_answer_carries_its_id_and_the_secure_headers() {
    let world = World::start().await;
    let ask = async |id: &str| {
        let request = world.request(Method::GET, "/api/v1/nowhere/").header("x-request-id", id);
        Reply::read(request.send().await.expect("an answer")).await
    };
    assert_eq!(ask("order-4711").await.header("x-request-id"), "order-4711");
    let long = "x".repeat(200);
    for strange in ["", "a b", "<script>", long.as_str()] {
        let made = ask(strange).await.header("x-request-id").to_owned();
        assert!(made != strange && made.parse::<uuid::Uuid>().is_ok(), "{made}");
    }
    let reply = world.get("/health/", As::Nobody).await;
    reply.is(200, "");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
        ("cache-control", "no-store"),
        ("content-type", "application/json"),
        ("x-ratelimit-limit", "6000"),
    ] {
        assert_eq!(reply.header(name), value, "{name}");
    }
    let head = world.request(Method::HEAD, "/health/live").send().await.expect("an answer");
    assert_eq!(head.status().as_u16(), 200);
}

#[tokio::test]
async fn browsers_are_answered_on_configured_origins_only() {
    let world = World::with(|config| config.http.cors_origins = vec!["https://app.example.com".into()]).await;
    let ask = async |origin: &str| {
        let request = world.request(Method::OPTIONS, "/api/v1/users/").header("origin", origin);
        let request = request.header("access-control-request-method", "POST").header("access-control-request-headers", "x-api-key");
        Reply::read(request.send().await.expect("an answer")).await.header("access-control-allow-origin").to_owned()
    };
    assert_eq!(ask("https://app.example.com").await, "https://app.example.com");
    assert_eq!(ask("https://evil.example.com").await, "");
    let answer = world.request(Method::GET, "/api/v1/users/").header("origin", "https://app.example.com").send().await.expect("an answer");
    let answer = Reply::read(answer).await;
    let exposed: Vec<&str> = answer.header("access-control-expose-headers").split(',').map(str::trim).collect();
    for limit in answer.headers.keys().map(reqwest::header::HeaderName::as_str).filter(|name| name.contains("ratelimit")) {
        assert!(exposed.contains(&limit), "{limit} is not in {exposed:?}");
    }
    assert!(exposed.contains(&"retry-after") && exposed.contains(&"x-ratelimit-reset"), "{exposed:?}");
}

#[tokio::test]
async fn the_schema_is_served_as_it_is_printed() {
    let world = World::start().await;
    for path in ["/api/schema/", "/api/schema"] {
        let served = Reply::read(world.request(Method::GET, path).send().await.expect("an answer")).await;
        assert_eq!((served.status, served.text.as_str()), (200, openapi_document().as_str()));
    }
}

#[test]
fn every_operation_is_described() {
    let known: HashSet<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    let mut names = HashSet::new();
    for (method, path, operation) in operations() {
        let name = operation["operationId"].as_str().expect("an operation id");
        assert!(names.insert(name.to_owned()), "{name} twice");
        assert!(name.contains('_'), "{name} is <verb>_<resource>");
        assert!(operation["summary"].is_string(), "{method} {path} has no summary");
        assert!(operation["tags"].is_array(), "{method} {path} has no tag");
        for code in operation["x-error-codes"].as_array().into_iter().flatten() {
            assert!(known.contains(code.as_str().expect("text")), "{name}: {code} is not in the catalogue");
        }
        if let Some(scope) = operation["x-scope"].as_str() {
            assert!(scope.parse::<sanasend_model::Scope>().is_ok(), "{name}: {scope}");
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["description"].is_string(), "{name}: {parameter} is not described");
        }
    }
}

#[test]
fn the_openapi_document_is_the_one_that_is_kept() {
    keep("openapi.json", &openapi_document());
}

#[test]
fn the_page_of_error_codes_is_the_one_that_is_kept() {
    keep("../../docs/errors.md", &errors_page::markdown());
}

/// Compares with a file of the repository; `SANASEND_BLESS=1` writes it instead.
fn keep(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("SANASEND_BLESS").is_some() {
        std::fs::write(&path, text).expect("written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "{file} is not what the code says; look at the change and run the test with SANASEND_BLESS=1");
}
