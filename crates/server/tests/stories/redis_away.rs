//! Redis is killed, frozen and emptied under a server that counts its limits there: slower at most, never wrong.

use crate::redis_server::RedisServer;
use crate::world::{World, eventually, shown_once_in_order};
use sanasend::config::Hidden;
use serde_json::Value;
use std::path::{Path, PathBuf};

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_on_whatever_becomes_of_redis() {
    let mut redis = RedisServer::start().await;
    let world = World::start_with(|config| config.redis.url = Some(Hidden(redis.url()))).await;
    let shop = world.linked_shop().await;
    let friend = world.friend("Friend").await;
    let texts: Vec<String> = (0..30).map(|n| format!("text {n}")).collect();
    let (mut sent, mut slowest) = (Vec::new(), std::time::Duration::ZERO);
    for (n, text) in texts.iter().enumerate() {
        match n {
            5 => redis.flush().await,
            10 => redis.signal("STOP"),
            15 => redis.signal("CONT"),
            20 => {
                let port = redis.port();
                redis.kill();
                world.api().get("/auth/me/").await.expect(401);
                redis = RedisServer::start_on(port).await.expect("on the same port");
            }
            25 => redis.signal("STOP"),
            _ => {}
        }
        let begun = tokio::time::Instant::now();
        sent.push(shop.send_text(&friend, text).await);
        slowest = slowest.max(begun.elapsed());
    }
    for message in &sent {
        shop.message_becomes(message, "delivered").await;
    }
    shown_once_in_order(&texts, &friend.shows());
    assert!(slowest < std::time::Duration::from_secs(10), "nobody waits for Redis: {slowest:?}");
    drop(redis);
    eventually("the key works without Redis", async || (shop.api.get("/auth/me/").await.status == 200).then_some(())).await;
    world.stop().await;
}

/// A Redis that speaks TLS as well; answers its address and the file of the authority behind its certificate.
async fn with_tls(folder: &Path) -> (RedisServer, String, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let (cert, key) = (folder.join("redis.crt"), folder.join("redis.key"));
    std::fs::write(&cert, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    loop {
        let free = || std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port();
        let (plain, tls) = (free(), free());
        let words = ["--tls-port", &tls.to_string(), "--tls-auth-clients", "no", "--tls-cert-file", cert.to_str().expect("a path")];
        let more = ["--tls-key-file", key.to_str().expect("a path"), "--tls-ca-cert-file", cert.to_str().expect("a path")];
        let arguments: Vec<String> = words.iter().chain(&more).map(|word| (*word).to_owned()).collect();
        if let Some(server) = RedisServer::start_with(plain, &arguments).await {
            return (server, format!("rediss://127.0.0.1:{tls}/"), cert);
        }
    }
}

async fn redis_part(world: &World) -> Value {
    let health = world.api().get("/health/").await;
    let parts = health.expect(200)["parts"].as_array().expect("parts").clone();
    parts.into_iter().find(|part| part["name"] == "redis").expect("a word about Redis")
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_reached_by_tls_and_only_with_a_certificate_that_is_trusted() {
    let folder = tempfile::tempdir().expect("a folder");
    let (redis, url, authority) = with_tls(folder.path()).await;
    let patient = |config: &mut sanasend::config::Config| {
        config.redis.url = Some(Hidden(url.clone()));
        config.redis.timeout_ms = 5000;
    };
    let trusting = World::start_with(|config| {
        patient(config);
        config.redis.ca_file = Some(authority.clone());
    })
    .await;
    assert_eq!(redis_part(&trusting).await["status"], "ok");
    let strict = World::start_with(patient).await;
    let told = redis_part(&strict).await;
    assert_eq!(told["status"], "degraded", "an unknown authority is not trusted: {told}");
    // And what becomes of it is seen.
    redis.kill();
    assert_eq!(redis_part_after(&trusting).await["status"], "degraded");
    strict.stop().await;
    trusting.stop().await;
}

/// What is told when the last look is no longer believed.
async fn redis_part_after(world: &World) -> Value {
    eventually("Redis is missed", async || Some(redis_part(world).await).filter(|part| part["status"] != "ok")).await
}
