//! The brakes: on guessing, and on asking too much.

use crate::redis_server::RedisServer;
use crate::world::{ADMIN, As, PASSWORD, Reply, World};
use sanasend::config::Hidden;
use sanasend_store::{Remote, RemoteOptions};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn a_name_is_locked_after_wrong_passwords_from_wherever_they_come() {
    let world = World::start().await;
    world.clock.stop();
    for n in 1..=5 {
        world.login_from(&format!("192.0.2.{n}"), ADMIN, "wrong password").await.is(401, "INVALID_CREDENTIALS");
    }
    let locked = world.login_from("192.0.2.9", ADMIN, PASSWORD).await;
    locked.is(429, "RATE_LIMITED");
    assert_eq!(locked.retry_after(), 1);
    world.clock.pass(Duration::from_secs(1));
    world.login_from("192.0.2.9", ADMIN, "wrong password").await.is(401, "INVALID_CREDENTIALS");
    let longer = world.login_from("192.0.2.9", ADMIN, PASSWORD).await;
    longer.is(429, "RATE_LIMITED");
    assert_eq!(longer.retry_after(), 2, "the lock doubles");
    world.clock.pass(Duration::from_secs(2));
    world.login_from("192.0.2.9", ADMIN, PASSWORD).await.is(200, "");
    world.login_from("192.0.2.9", ADMIN, "wrong password").await.is(401, "INVALID_CREDENTIALS");
}

#[tokio::test]
async fn names_that_do_not_exist_are_locked_alike() {
    let world = World::start().await;
    world.clock.stop();
    for n in 1..=5 {
        world.login_from(&format!("192.0.2.{n}"), "nobody", "wrong password").await.is(401, "INVALID_CREDENTIALS");
    }
    world.login_from("192.0.2.9", "nobody", "wrong password").await.is(429, "RATE_LIMITED");
}

#[tokio::test]
async fn guesses_at_the_same_moment_are_counted_one_by_one() {
    let world = World::start().await;
    world.clock.stop();
    let addresses: Vec<String> = (1..=40).map(|n| format!("198.51.100.{n}")).collect();
    let guesses = addresses.iter().map(|address| world.login_from(address, ADMIN, "wrong password"));
    let answers = futures::future::join_all(guesses).await;
    let looked_at = answers.iter().filter(|reply| reply.status == 401).count();
    assert_eq!(looked_at, 5, "passwords were checked");
    assert_eq!(answers.iter().filter(|reply| reply.status == 429).count(), 35);
}

#[tokio::test]
async fn an_address_that_guesses_keys_is_stopped_and_a_good_key_is_not() {
    let world = World::start().await;
    world.clock.stop();
    let admin = world.admin().await;
    let (_, key) = world.key(&admin, json!({})).await;
    let wrong = format!("{}x{}", &key[..20], &key[21..]);
    assert_ne!(wrong, key);
    for bad in ["sk_", "nonsense", &wrong, &key[1..], &format!("{key}x")] {
        world.me_from("192.0.2.7", As::Key(bad)).await.is(401, "INVALID_API_KEY");
        world.me_from("192.0.2.7", As::Key(bad)).await.is(401, "INVALID_API_KEY");
    }
    let stopped = world.me_from("192.0.2.7", As::Key(&wrong)).await;
    stopped.is(429, "RATE_LIMITED");
    assert_eq!(stopped.retry_after(), 60);
    world.login_from("192.0.2.7", "somebody", "wrong password").await.is(429, "RATE_LIMITED");
    world.me_from("192.0.2.8", As::Key(&wrong)).await.is(401, "INVALID_API_KEY");
    world.me_from("192.0.2.7", As::Key(&key)).await.is(200, "");
    world.clock.pass(Duration::from_mins(1));
    world.me_from("192.0.2.7", As::Key(&wrong)).await.is(401, "INVALID_API_KEY");
}

#[tokio::test]
async fn an_address_that_guesses_tokens_is_stopped_and_a_good_token_is_not() {
    let world = World::start().await;
    world.clock.stop();
    let admin = world.admin().await;
    let forged = format!("{admin}x");
    for bad in ["nonsense", "non.sen.se", &forged, "...", "sk", "nonsense", "non.sen.se", &forged, "...", "sk"] {
        world.me_from("192.0.2.7", As::Token(bad)).await.is(401, "INVALID_TOKEN");
    }
    let stopped = world.me_from("192.0.2.7", As::Token("nonsense")).await;
    assert_eq!(stopped.is(429, "RATE_LIMITED").retry_after(), 60);
    world.me_from("192.0.2.7", As::Key("nonsense")).await.is(429, "RATE_LIMITED");
    world.me_from("192.0.2.8", As::Token("nonsense")).await.is(401, "INVALID_TOKEN");
    world.me_from("192.0.2.7", As::Token(&admin)).await.is(200, "");
    // A token that was good once is no guess, however often it is sent.
    world.clock.pass(Duration::from_mins(15));
    for _ in 0..11 {
        world.me_from("192.0.2.7", As::Token(&admin)).await.is(401, "TOKEN_EXPIRED");
    }
}

#[tokio::test]
async fn something_that_only_looks_like_credentials_opens_no_page_to_an_address_over_its_limit() {
    let world = World::with(|config| config.limits.requests_per_minute = 5).await;
    world.clock.stop();
    let admin = world.admin().await;
    let (_, key) = world.key(&admin, json!({})).await;
    let ask = async |path: &str, header: &str, value: &str| {
        let request = world.request(reqwest::Method::GET, path).header("x-forwarded-for", "192.0.2.7").header(header, value);
        request.send().await.expect("an answer").status().as_u16()
    };
    let bearer = format!("Bearer {admin}");
    let junk =
        [("authorization", "x"), ("authorization", "Basic eDp5"), ("x-api-key", ""), ("authorization", "Bearer x"), ("x-api-key", "x")];
    for (header, value) in junk {
        assert_eq!(ask("/api/docs/", header, value).await, 200, "{header}: {value}");
    }
    for (header, value) in junk {
        for path in ["/api/docs/", "/admin/login/", "/api/v1/auth/me/", "/nowhere/"] {
            assert_eq!(ask(path, header, value).await, 429, "{path} {header}: {value}");
        }
    }
    assert_eq!(ask("/health/ready/", "authorization", "x").await, 200);
    assert_eq!(ask("/api/v1/auth/me/", "authorization", &bearer).await, 200, "a good token is asked for nothing");
    // Counted once, as everywhere: of five a minute, making the key and the token above took one each.
    let left = async || {
        let answer = As::Key(&key).sign(world.request(reqwest::Method::GET, "/api/v1/auth/me/")).header("x-forwarded-for", "192.0.2.7");
        Reply::read(answer.send().await.expect("an answer")).await.header("x-ratelimit-remaining").to_owned()
    };
    assert_eq!((left().await, left().await), ("2".to_owned(), "1".to_owned()));
}

#[tokio::test]
async fn forwarded_addresses_of_strangers_are_not_believed() {
    let world = World::with(|config| config.general.trusted_proxies.clear()).await;
    world.clock.stop();
    for n in 1..=10 {
        world.me_from(&format!("192.0.2.{n}"), As::Key("nonsense")).await.is(401, "INVALID_API_KEY");
    }
    world.me_from("192.0.2.99", As::Key("nonsense")).await.is(429, "RATE_LIMITED");
}

#[tokio::test]
async fn a_user_may_ask_so_often_and_every_answer_says_how_often() {
    let world = World::with(|config| config.limits.requests_per_minute = 20).await;
    world.clock.stop();
    let admin = world.admin().await;
    let mut last = world.get("/auth/me/", As::Token(&admin)).await;
    assert_eq!((last.header("x-ratelimit-limit"), last.header("x-ratelimit-remaining")), ("20", "19"));
    assert_eq!((last.header("ratelimit"), last.header("ratelimit-policy")), ("\"requests\";r=19;t=3", "\"requests\";q=20;w=60"));
    let mut let_through = 1;
    while last.status == 200 {
        last = world.get("/auth/me/", As::Token(&admin)).await;
        let_through += usize::from(last.status == 200);
    }
    last.is(429, "RATE_LIMITED");
    assert_eq!((last.header("x-ratelimit-remaining"), last.retry_after()), ("0", 3));
    assert_eq!(let_through, 20);
    world.clock.pass(Duration::from_secs(3));
    world.get("/auth/me/", As::Token(&admin)).await.is(200, "");
}

#[tokio::test]
async fn strangers_are_counted_by_address_and_health_is_always_told() {
    let world = World::with(|config| config.limits.requests_per_minute = 5).await;
    world.clock.stop();
    let mut answers = Vec::new();
    for _ in 0..8 {
        answers.push(world.call(reqwest::Method::GET, "/nowhere/", As::Nobody, Value::Null).await.status);
    }
    assert_eq!(answers, [404, 404, 404, 404, 404, 429, 429, 429]);
    world.get("/health/", As::Nobody).await.is(200, "");
    let admin = world.login_from("192.0.2.50", ADMIN, PASSWORD).await;
    admin.is(200, "");
}

#[tokio::test]
async fn a_key_revoked_elsewhere_is_refused_within_a_second_and_at_once_where_a_hint_comes() {
    let redis = RedisServer::start().await;
    let world = World::with(|config| config.redis.url = Some(Hidden(redis.url()))).await;
    world.clock.stop();
    let admin = world.admin().await;
    let (_, key) = world.key(&admin, json!({})).await;
    world.get("/auth/me/", As::Key(&key)).await.is(200, "");
    world.tamper("UPDATE api_keys SET is_active = FALSE").await;
    world.get("/auth/me/", As::Key(&key)).await.is(200, "");
    world.clock.pass(Duration::from_secs(1));
    world.get("/auth/me/", As::Key(&key)).await.is(401, "API_KEY_REVOKED");
    world.tamper("UPDATE api_keys SET is_active = TRUE").await;
    let options = RemoteOptions { url: redis.url(), authorities: None, prefix: "sanasend".into(), patience: Duration::from_secs(10) };
    let other = Remote::open(options).await.expect("another node");
    // Hints may be lost, so they are repeated; the clock stands, so nothing but a hint can help.
    loop {
        other.tell_people_changed();
        if world.get("/auth/me/", As::Key(&key)).await.status == 200 {
            break;
        }
    }
}

#[tokio::test]
async fn limits_over_redis_are_those_of_one_process() {
    let redis = RedisServer::start().await;
    let world = World::with(|config| {
        config.redis.url = Some(Hidden(redis.url()));
        config.redis.timeout_ms = 5000;
        config.limits.requests_per_minute = 20;
    })
    .await;
    world.clock.stop();
    let admin = world.admin().await;
    for n in (0..20).rev() {
        let reply = world.get("/auth/me/", As::Token(&admin)).await;
        assert_eq!(reply.is(200, "").header("x-ratelimit-remaining"), n.to_string());
    }
    redis.flush().await;
    assert_eq!(world.get("/auth/me/", As::Token(&admin)).await.is(429, "RATE_LIMITED").retry_after(), 3);
    redis.signal("STOP");
    world.get("/auth/me/", As::Token(&admin)).await.is(429, "RATE_LIMITED");
    for _ in 0..5 {
        world.login_from("192.0.2.1", "nobody", "wrong password").await.is(401, "INVALID_CREDENTIALS");
    }
    world.login_from("192.0.2.1", "nobody", "wrong password").await.is(429, "RATE_LIMITED");
    redis.kill();
    world.get("/auth/me/", As::Token(&admin)).await.is(429, "RATE_LIMITED");
    world.login_from("192.0.2.2", "nobody", "wrong password").await.is(429, "RATE_LIMITED");
}
