//! Usage, the API log and the overview: what is counted, who may see it, and that nothing is lost at a stop.

use crate::world::{As, Reply, World, becomes};
use reqwest::Method;
use serde_json::{Value, json};

/// Asks until the answer satisfies.
async fn until(world: &World, path: &str, who: As<'_>, satisfied: impl Fn(&Value) -> bool) -> Value {
    let look = async || world.get(path, who).await.is(200, "").body["data"].clone();
    becomes("satisfying", look, satisfied).await
}

fn limit<'a>(usage: &'a Value, name: &str) -> &'a Value {
    usage["limits"].as_array().expect("limits").iter().find(|limit| limit["name"] == name).expect("the limit is told")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_counted_and_logged_and_none_is_lost_at_a_clean_stop() {
    let world = World::with(|config| config.limits.requests_per_minute = 0).await;
    let admin = world.admin().await;
    let (user, token) = world.user(&admin, "anna").await;
    let (_, key) = world.key(&token, json!({})).await;
    let asked = (0..20).map(async |_| {
        for _ in 0..100 {
            world.get("/auth/me/", As::Key(&key)).await.is(200, "");
        }
    });
    futures::future::join_all(asked).await;
    let world = world.restart().await;
    let path = format!("/analytics/api-logs/?user={user}&endpoint=/api/v1/auth/me/&page_size=1");
    let logged = world.get(&path, As::Token(&admin)).await;
    logged.is(200, "");
    assert_eq!((&logged.body["data"]["count"], &logged.body["data"]["count_is_exact"]), (&json!(2000), &json!(true)));
    let used = world.get(&format!("/analytics/usage-stats/?user={user}"), As::Token(&admin)).await;
    // And the one that made the key.
    assert_eq!(used.body["data"]["results"][0]["api_requests"], 2001, "{}", used.text);
}

#[tokio::test]
async fn a_request_is_logged_with_all_that_is_known_of_it_and_no_query() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (user, token) = world.user(&admin, "anna").await;
    let (key_id, key) = world.key(&token, json!({})).await;
    let request = As::Key(&key).sign(world.request(Method::GET, "/api/v1/messages/0190f3a0-0000-7000-8000-000000000000?x=secret"));
    let request = request.header("x-forwarded-for", "203.0.113.9").header("x-request-id", "=my+request");
    Reply::read(request.send().await.expect("an answer")).await.is(404, "NOT_FOUND");
    world.get("/nowhere/", As::Nobody).await.is(404, "NOT_FOUND");
    let found = until(&world, "/analytics/api-logs/?ip=203.0.113.9", As::Token(&admin), |data| data["count"] == 1).await;
    let row = &found["results"][0];
    assert_eq!((&row["user"], &row["username"], &row["key"]), (&json!(user), &json!("anna"), &json!(key_id)), "{row}");
    assert_eq!((&row["method"], &row["status_code"], &row["request_id"]), (&json!("GET"), &json!(404), &json!("=my+request")));
    assert_eq!(row["endpoint"], "/api/v1/messages/{id}/");
    assert_eq!(row["path"], "/api/v1/messages/0190f3a0-0000-7000-8000-000000000000/");
    assert!(row["latency_ms"].as_f64().is_some_and(|ms| ms > 0.0) && row["timestamp"].is_string(), "{row}");
    let strangers = until(&world, "/analytics/api-logs/?search=nowhere", As::Token(&admin), |data| data["count"] == 1).await;
    assert_eq!((&strangers["results"][0]["user"], &strangers["results"][0]["endpoint"]), (&Value::Null, &json!("")));
    world.get("/health/", As::Nobody).await.is(200, "");
    let all = world.get("/analytics/api-logs/?page_size=100", As::Token(&admin)).await;
    assert!(!all.text.contains("secret") && !all.text.contains("/health/"), "{}", all.text);
}

#[tokio::test]
async fn the_log_is_narrowed_and_followed_and_bad_filters_are_named() {
    let world = World::start().await;
    let admin = world.admin().await;
    for _ in 0..5 {
        world.get("/nowhere/", As::Nobody).await.is(404, "NOT_FOUND");
    }
    until(&world, "/analytics/api-logs/?status=404", As::Token(&admin), |data| data["count"] == 5).await;
    for (filter, count) in [
        ("status=4xx&search=nowhere", 5),
        ("status=5xx", 0),
        ("method=get&status=404", 5),
        ("method=delete", 0),
        ("from=2100-01-01T00:00:00Z", 0),
    ] {
        let reply = world.get(&format!("/analytics/api-logs/?{filter}"), As::Token(&admin)).await;
        assert_eq!(reply.body["data"]["count"], count, "{filter}: {}", reply.text);
    }
    let (mut cursor, mut seen) = (String::new(), 0);
    loop {
        let reply = world.get(&format!("/analytics/api-logs/?status=404&page_size=2&cursor={cursor}"), As::Token(&admin)).await;
        seen += reply.is(200, "").body["data"]["results"].as_array().expect("rows").len();
        let Some(next) = reply.body["data"]["next_cursor"].as_str() else { break };
        cursor = next.to_owned();
    }
    assert_eq!(seen, 5);
    let refused = world.get("/analytics/api-logs/?status=7xx&ip=nowhere&from=today", As::Token(&admin)).await;
    refused.is(400, "VALIDATION_ERROR").names(&["from", "ip", "status"]);
    world.get("/analytics/api-logs/?cursor=x", As::Token(&admin)).await.is(400, "VALIDATION_ERROR").names(&["cursor"]);
    world.get("/analytics/api-logs/?page=501&page_size=20", As::Token(&admin)).await.is(400, "VALIDATION_ERROR").names(&["page"]);
    world.get("/analytics/api-logs/?format=xml", As::Token(&admin)).await.is(400, "VALIDATION_ERROR").names(&["format"]);
    world.get("/messages/list/?page=501", As::Token(&admin)).await.is(400, "VALIDATION_ERROR").names(&["page"]);
}

#[tokio::test]
async fn reports_come_as_csv_that_no_spreadsheet_runs() {
    let world = World::start().await;
    let admin = world.admin().await;
    let request = world.request(Method::GET, "/api/v1/nowhere/").header("x-request-id", "=1+1");
    request.send().await.expect("an answer");
    until(&world, "/analytics/api-logs/?search=%3D1%2B1", As::Token(&admin), |data| data["count"] == 1).await;
    let log = world.get("/analytics/api-logs/?format=csv&status=404", As::Token(&admin)).await;
    assert_eq!((log.status, log.header("content-type")), (200, "text/csv; charset=utf-8"));
    assert_eq!(log.header("content-disposition"), "attachment; filename=\"api-log.csv\"");
    let lines: Vec<&str> = log.text.lines().collect();
    assert_eq!(lines[0], "timestamp,user,username,key,method,endpoint,path,status_code,latency_ms,ip_address,request_id");
    assert!(lines.len() == 2 && lines[1].ends_with(",'=1+1"), "{}", log.text);
    let day = until(&world, "/analytics/usage-stats/", As::Token(&admin), |data| data["count"].as_u64() > Some(0)).await;
    assert_eq!(day["results"][0]["username"], "admin", "{day}");
    let request =
        As::Token(&admin).sign(world.request(Method::GET, "/api/v1/analytics/usage-stats/?group=month")).header("accept", "text/csv");
    let usage = Reply::read(request.send().await.expect("an answer")).await;
    let first = usage.text.lines().next().unwrap_or_default();
    assert_eq!(first, "date,user,username,messages_accepted,messages_sent,media_sent,messages_received,messages_failed,api_requests");
    assert!(usage.text.lines().nth(1).is_some_and(|line| line.contains(",admin,0,0,0,0,0,")), "{}", usage.text);
}

#[tokio::test]
async fn usage_is_reported_by_day_and_month_within_bounds() {
    let world = World::start().await;
    let admin = world.admin().await;
    until(&world, "/analytics/usage-stats/?group=month", As::Token(&admin), |data| data["count"] == 1).await;
    for (asked, field) in [
        ("group=year", "group"),
        ("from=yesterday", "from"),
        ("from=2026-11-21&to=2026-11-20", "from"),
        ("from=2000-01-01", "from"),
        ("group=month&from=1999-01-01", "from"),
        ("to=99999-01-01", "to"),
    ] {
        let refused = world.get(&format!("/analytics/usage-stats/?{asked}"), As::Token(&admin)).await;
        refused.is(400, "VALIDATION_ERROR").names(&[field]);
    }
    let past = world.get("/analytics/usage-stats/?from=2020-01-01&to=2020-01-31", As::Token(&admin)).await;
    assert_eq!(past.is(200, "").body["data"]["count"], 0);
}

#[tokio::test]
async fn analytics_are_for_admins_only() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (_, token) = world.user(&admin, "anna").await;
    let (_, key) = world.key(&admin, json!({})).await;
    for path in ["/analytics/usage-stats/", "/analytics/api-logs/", "/analytics/overview/"] {
        world.get(path, As::Nobody).await.is(401, "UNAUTHENTICATED");
        world.get(path, As::Token(&token)).await.is(403, "ADMIN_REQUIRED");
        world.get(path, As::Key(&key)).await.is(403, "LOGIN_REQUIRED");
    }
}

#[tokio::test]
async fn the_overview_tells_today() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (user, _) = world.user(&admin, "anna").await;
    world.post(&format!("/users/{user}/deactivate/"), As::Token(&admin), Value::Null).await.is(200, "");
    world.get("/nowhere/", As::Nobody).await.is(404, "NOT_FOUND");
    let seen = until(&world, "/analytics/overview/?days=7", As::Token(&admin), |data| data["requests"]["refused"].as_u64() > Some(0)).await;
    assert_eq!(seen["users"], json!({"total": 2, "active": 1}));
    assert_eq!((&seen["sessions"]["total"], &seen["sessions"]["by_status"]["connected"]), (&json!(0), &json!(0)));
    assert_eq!((seen["hours"].as_array().map(Vec::len), seen["days"].as_array().map(Vec::len)), (Some(24), Some(7)));
    assert_eq!(seen["requests"]["success_rate"], 100.0, "{seen}");
    assert!(seen["requests"]["latency_ms"]["p95"].as_f64() >= seen["requests"]["latency_ms"]["p50"].as_f64(), "{seen}");
    assert!(seen["days"][6]["requests"].as_i64() >= seen["requests"]["today"].as_i64(), "{seen}");
    assert_eq!((&seen["requests"]["not_logged"], &seen["messages"]["success_rate"]), (&json!(0), &Value::Null));
    world.get("/analytics/overview/?days=0", As::Token(&admin)).await.is(400, "VALIDATION_ERROR").names(&["days"]);
}

#[tokio::test]
async fn a_user_sees_its_own_usage_and_limits() {
    let world = World::with(|config| {
        config.limits.requests_per_minute = 6000;
        config.limits.requests_per_minute_per_key = 10;
    })
    .await;
    world.clock.stop();
    let admin = world.admin().await;
    let (_, token) = world.user(&admin, "anna").await;
    let (_, key) = world.key(&token, json!({"scopes": ["usage:read"]})).await;
    let (_, other) = world.key(&token, json!({"scopes": ["messages:read"]})).await;
    world.get("/usage/", As::Key(&other)).await.is(403, "INSUFFICIENT_SCOPE");
    let usage = until(&world, "/usage/", As::Token(&token), |data| data["today"]["api_requests"].as_u64() > Some(2)).await;
    let daily = limit(&usage, "messages_per_day");
    assert_eq!((&daily["limit"], &daily["used"], &daily["remaining"]), (&json!(1000), &json!(0), &json!(1000)));
    assert!(daily["resets_at"].as_str().is_some_and(|at| at.ends_with("T00:00:00.000Z")), "{daily}");
    assert_eq!(limit(&usage, "requests_per_minute")["limit"], 6000);
    let by_key = world.get("/usage/", As::Key(&key)).await.is(200, "").body["data"].clone();
    assert_eq!(
        (&limit(&by_key, "requests_per_minute_of_key")["limit"], &limit(&by_key, "requests_per_minute_of_key")["used"]),
        (&json!(10), &json!(1))
    );
    assert_eq!((&limit(&usage, "sessions")["limit"], &limit(&usage, "messages_per_minute")["used"]), (&json!(1), &json!(0)));
    assert_eq!(usage["days"].as_array().map(Vec::len), Some(30));
    assert_eq!(usage["days"][29], usage["today"]);
}

#[tokio::test]
async fn a_key_has_a_limit_of_its_own_and_its_user_goes_on() {
    let world = World::with(|config| config.limits.requests_per_minute_per_key = 5).await;
    world.clock.stop();
    let admin = world.admin().await;
    let (_, one) = world.key(&admin, json!({})).await;
    let (_, two) = world.key(&admin, json!({})).await;
    for _ in 0..5 {
        world.get("/auth/me/", As::Key(&one)).await.is(200, "");
    }
    let refused = world.get("/auth/me/", As::Key(&one)).await;
    refused.is(429, "RATE_LIMITED");
    assert_eq!((refused.retry_after(), refused.header("x-ratelimit-limit"), refused.header("x-ratelimit-remaining")), (12, "5", "0"));
    assert!(
        refused.header("ratelimit").contains("\"requests\";r=") && refused.header("ratelimit").contains("\"key\";r=0"),
        "{:?}",
        refused.headers
    );
    let passed = world.get("/auth/me/", As::Key(&two)).await;
    assert_eq!((passed.is(200, "").header("x-ratelimit-limit"), passed.header("x-ratelimit-remaining")), ("5", "4"));
    world.get("/auth/me/", As::Token(&admin)).await.is(200, "");
}

#[tokio::test]
async fn refusals_of_every_kind_tell_the_limit() {
    let world = World::start().await;
    let admin = world.admin().await;
    let refusals = [
        world.get("/nowhere/", As::Token(&admin)).await,
        world.get("/auth/me/", As::Nobody).await,
        world.get("/auth/me/", As::Key("nonsense")).await,
        world.post("/users/", As::Token(&admin), json!({"nmae": 1})).await,
        world.call(Method::PATCH, "/auth/me/", As::Token(&admin), json!({})).await,
    ];
    for refusal in refusals {
        assert!(refusal.status >= 400 && refusal.header("x-ratelimit-limit") == "6000", "{} {:?}", refusal.text, refusal.headers);
        assert!(refusal.header("ratelimit").starts_with("\"requests\";r="), "{:?}", refusal.headers);
        assert_eq!(refusal.header("ratelimit-policy"), "\"requests\";q=6000;w=60");
    }
}
