//! What stands around every request: where admins may come from, HTTPS, panics, overload.

use crate::world::{ADMIN, As, PASSWORD, Reply, World, eventually, text};
use axum::Router;
use axum::routing::get;
use reqwest::Method;
use sanasend::config::Cidr;
use sanasend::http::gate::Gate;
use sanasend::http::middleware::{Front, around};
use sanasend::http::pace::Paces;
use sanasend::metrics::requests::Requests;
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

async fn send(request: reqwest::RequestBuilder) -> Reply {
    Reply::read(request.send().await.expect("an answer")).await
}

#[tokio::test]
async fn admins_log_in_and_act_only_from_the_networks_of_the_list() {
    let world = World::with(|config| config.auth.admin_ips = vec![Cidr("10.1.0.0/16".parse().expect("a network"))]).await;
    let inside = world.login_from("10.1.2.3", ADMIN, PASSWORD).await;
    inside.is(200, "");
    let (access, refresh) = (text(&inside.body["data"]["access"]), text(&inside.body["data"]["refresh"]));
    world.login_from("192.0.2.1", ADMIN, PASSWORD).await.is(403, "ADMIN_IP_NOT_ALLOWED");
    world.login_from("192.0.2.1", ADMIN, "a wrong password").await.is(401, "INVALID_CREDENTIALS");
    world.me_from("10.1.2.3", As::Token(&access)).await.is(200, "");
    world.me_from("::ffff:10.1.2.3", As::Token(&access)).await.is(200, "");
    world.me_from("192.0.2.1", As::Token(&access)).await.is(403, "ADMIN_IP_NOT_ALLOWED");
    let from = |address: &str, path: &str| world.request(Method::POST, path).header("x-forwarded-for", address);
    let refreshing = |address: &str| from(address, "/api/v1/auth/refresh/").json(&json!({"refresh": refresh}));
    send(refreshing("192.0.2.1")).await.is(403, "ADMIN_IP_NOT_ALLOWED");
    send(refreshing("10.1.2.3")).await.is(200, "");

    let new = json!({"username": "anna", "email": "anna@example.com", "password": PASSWORD});
    let make = |address: &str| As::Token(&access).sign(from(address, "/api/v1/users/")).json(&new);
    send(make("192.0.2.1")).await.is(403, "ADMIN_IP_NOT_ALLOWED");
    send(make("10.1.2.3")).await.is(201, "");
    world.login_from("192.0.2.1", "anna", PASSWORD).await.is(200, "");
}

#[tokio::test]
async fn plain_http_behind_a_trusted_proxy_is_sent_to_https() {
    let world = World::with(|config| (config.http.https_redirect, config.http.hsts) = (true, true)).await;
    let ask = |method: Method, path: &str, scheme: &str| {
        world.request(method, path).header("x-forwarded-proto", scheme).header("host", "api.example.com")
    };
    let moved = send(ask(Method::GET, "/api/v1/users?page=2", "http")).await;
    assert_eq!((moved.status, moved.header("location")), (308, "https://api.example.com/api/v1/users?page=2"));
    assert_eq!(moved.header("strict-transport-security"), "");
    send(ask(Method::POST, "/api/v1/auth/login/", "http").json(&json!({}))).await.is(403, "HTTPS_REQUIRED");
    send(ask(Method::GET, "/health/live/", "http")).await.is(200, "");
    let safe = send(ask(Method::GET, "/health/live/", "https")).await;
    assert_eq!(safe.header("strict-transport-security"), "max-age=31536000; includeSubDomains");
    send(world.request(Method::GET, "/api/v1/users/")).await.is(401, "UNAUTHENTICATED");
    let strange = world.request(Method::GET, "/api/v1/users/").header("x-forwarded-proto", "http").header("host", "evil.example/\"");
    send(strange).await.is(403, "HTTPS_REQUIRED");
}

#[tokio::test]
async fn a_stranger_names_no_scheme() {
    let world = World::with(|config| {
        config.http.https_redirect = true;
        config.http.hsts = true;
        config.general.trusted_proxies.clear();
    })
    .await;
    for scheme in ["http", "https"] {
        let reply = send(world.request(Method::GET, "/health/live/").header("x-forwarded-proto", scheme)).await;
        assert_eq!((reply.status, reply.header("strict-transport-security")), (200, ""), "{scheme}");
    }
}

#[tokio::test]
async fn who_connects_and_does_not_ask_loses_its_place_to_others() {
    let world = World::with(|config| {
        config.http.head_seconds = 1;
        config.http.connections = 16;
    })
    .await;
    let half = "GET /health/live/ HTTP/1.1\r\nhost: sanasend\r\n";
    let mut silent = Vec::new();
    for _ in 0..16 {
        let mut socket = tokio::net::TcpStream::connect(world.node.api).await.expect("connected");
        socket.write_all(half.as_bytes()).await.expect("sent");
        silent.push(socket);
    }
    // All places are taken, and nobody gives one back by itself.
    let reply = send(world.request(Method::GET, "/health/live/")).await;
    assert_eq!(reply.status, 200);
    for mut socket in silent {
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    }
}

#[tokio::test]
async fn a_panic_is_a_500_in_the_envelope_and_the_next_request_is_served() {
    let world = World::start().await;
    let front = Front::new(world.node.app.clone(), Gate::default(), Paces::default(), Requests::new(std::iter::empty()));
    let routes = Router::new().route("/panic", get(async || -> &'static str { panic!("a handler's own") }));
    let routes = routes.layer(axum::middleware::from_fn_with_state(front, around));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let server = tokio::spawn(axum::serve(listener, routes.into_make_service_with_connect_info::<SocketAddr>()).into_future());
    for _ in 0..2 {
        let reply = send(reqwest::Client::new().get(format!("{base}/panic")).header("x-request-id", "order-17")).await;
        reply.is(500, "INTERNAL_ERROR");
        assert_eq!(reply.header("x-request-id"), "order-17");
        assert!(!reply.text.contains("a handler's own"), "{}", reply.text);
    }
    server.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overload_is_a_503_with_retry_after_and_health_still_answers_at_once() {
    let world = World::with(|config| config.http.requests_at_once = 16).await;
    let admin = world.admin().await;
    // As many as there are turns, and some that come again when a probe was in their way.
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let request = As::Token(&admin).sign(world.request(Method::GET, "/api/v1/events/?after=1000000&wait=30"));
            tokio::spawn(async move {
                let turn = async || request.try_clone().expect("no body").send().await.ok().filter(|reply| reply.status() != 503);
                eventually("a turn", turn).await
            })
        })
        .collect();
    let refused = async || Some(world.get("/auth/me/", As::Token(&admin)).await).filter(|reply| reply.status == 503);
    let full = eventually("an overload", refused).await;
    full.is(503, "SERVICE_UNAVAILABLE");
    assert!(full.retry_after() >= 1);
    let mut quickest = Duration::MAX;
    for _ in 0..20 {
        let asked = Instant::now();
        send(world.request(Method::GET, "/health/live/")).await.is(200, "");
        quickest = quickest.min(asked.elapsed());
    }
    assert!(quickest <= Duration::from_millis(100), "{quickest:?}");
    for request in waiting {
        request.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_much_at_once_leaves_turns_to_others() {
    let world = World::with(|config| config.http.requests_at_once = 64).await;
    let admin = world.admin().await;
    let (_, anna) = world.user(&admin, "anna").await;
    let waiting: Vec<_> = (0..20)
        .map(|_| tokio::spawn(As::Token(&admin).sign(world.request(Method::GET, "/api/v1/events/?after=1000000&wait=30")).send()))
        .collect();
    let refused = async || Some(world.get("/auth/me/", As::Token(&admin)).await).filter(|reply| reply.status == 429);
    let full = eventually("a full share", refused).await;
    full.is(429, "RATE_LIMITED");
    assert!(full.retry_after() >= 1);
    world.get("/auth/me/", As::Token(&anna)).await.is(200, "");
    for request in waiting {
        request.abort();
    }
    let served = async || Some(world.get("/auth/me/", As::Token(&admin)).await).filter(|reply| reply.status == 200);
    eventually("a share that was given back", served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_whose_bodies_never_come_leaves_turns_to_others() {
    let world = World::with(|config| config.http.requests_at_once = 64).await;
    let head = "POST /api/v1/auth/login/ HTTP/1.1\r\nhost: sanasend\r\ncontent-type: application/json\r\ncontent-length: 90\r\n";
    let mut silent = Vec::new();
    for _ in 0..16 {
        let mut socket = tokio::net::TcpStream::connect(world.node.api).await.expect("connected");
        socket.write_all(format!("{head}x-forwarded-for: 192.0.2.7\r\n\r\n").as_bytes()).await.expect("sent");
        silent.push(socket);
    }
    let refused = async || Some(world.login_from("192.0.2.7", ADMIN, PASSWORD).await).filter(|reply| reply.status == 429);
    eventually("a full share", refused).await.is(429, "RATE_LIMITED");
    world.login_from("192.0.2.8", ADMIN, PASSWORD).await.is(200, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_never_come_leave_the_user_its_other_requests() {
    let world = World::with(|config| config.http.requests_at_once = 1024).await;
    let admin = world.admin().await;
    let (_, key) = world.key(&admin, json!({})).await;
    let head = format!(
        "POST /api/v1/messages/send-media/ HTTP/1.1\r\nhost: sanasend\r\nx-api-key: {key}\r\n\
         content-type: multipart/form-data; boundary=x\r\ncontent-length: 90\r\n\r\n"
    );
    let silent = tokio::sync::Mutex::new(Vec::new());
    // One more each time: one that came while this request had its place was refused.
    let refused = async || {
        let mut socket = tokio::net::TcpStream::connect(world.node.api).await.expect("connected");
        socket.write_all(head.as_bytes()).await.expect("sent");
        silent.lock().await.push(socket);
        Some(world.post("/messages/send-media/", As::Key(&key), json!({})).await).filter(|reply| reply.status == 429)
    };
    eventually("a full share", refused).await.is(429, "RATE_LIMITED");
    assert!(silent.lock().await.len() >= 16, "a share is not less");
    world.get("/auth/me/", As::Key(&key)).await.is(200, "");
}
