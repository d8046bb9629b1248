//! Coming in and staying in: passwords, cookies, other sites, limits, addresses.

use super::Browser;
use crate::account::Account;
use crate::world::{ADMIN, As, PASSWORD, World};
use reqwest::Method;
use sanasend::config::{Config, Profile};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn a_person_logs_in_and_out_again() {
    let world = World::start().await;
    let browser = Browser::new(&world);
    browser.open("/admin/").await.leads_to("/admin/login/");
    browser.open("/admin/users/?page=2").await.leads_to("/admin/login/?next=%2Fadmin%2Fusers%2F%3Fpage%3D2");
    browser.open("/admin/login/?next=%2Fadmin%2Fusers%2F").await.is(200).says(&["value=\"/admin/users/\"", "Log in"]);
    let entered = [("username", "ADMIN"), ("password", PASSWORD), ("next", "/admin/users/")];
    let entered = browser.send("/admin/login/", &entered).await.leads_to("/admin/users/");
    let cookie = entered.header("set-cookie").to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && !cookie.contains("Secure"), "{cookie}");
    browser.open("/admin").await.is(200).says(&["Log out <b>admin</b>", "Messages today"]);
    browser.open("/admin/login/").await.leads_to("/admin/");
    let kept = browser.cookie("sanasend").expect("a cookie");
    browser.send("/admin/logout/", &[]).await.leads_to("/admin/login/");
    browser.open("/admin/login/").await.is(200).says(&["You are logged out."]);
    browser.open("/admin/login/").await.is(200).hides(&["You are logged out."]);
    browser.set_cookie("sanasend", &kept);
    browser.open("/admin/").await.leads_to("/admin/login/");
}

#[tokio::test]
async fn a_page_of_the_dashboard_allows_nothing_from_elsewhere() {
    let world = World::start().await;
    let browser = Browser::admin(&world).await;
    let page = browser.open("/admin/").await.is(200);
    let policy = page.header("content-security-policy").to_owned();
    for rule in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "form-action 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(rule), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("data:"), "{policy}");
    assert_eq!((page.header("referrer-policy"), page.header("cache-control")), ("same-origin", "no-store"));
    assert!(!page.html.contains(" style=") && !page.html.contains("<style") && !page.html.contains("http://"), "{}", page.html);
    for file in page.html.split("\"/admin/assets/").skip(1).filter_map(|rest| rest.split('"').next()) {
        let file = browser.open(&format!("/admin/assets/{file}")).await;
        assert_eq!((file.status, file.header("cache-control")), (200, "public, max-age=31536000, immutable"));
    }
    assert_eq!(browser.open("/admin/assets/app.css").await.status, 404);
}

#[tokio::test]
async fn wrong_passwords_are_refused_and_slowed_down_as_in_the_api() {
    let world = World::start().await;
    let browser = Browser::new(&world);
    let wrong = browser.send("/admin/login/", &[("username", ADMIN), ("password", "not the password")]).await.is(401);
    wrong.says(&["Username or password is wrong.", "value=\"admin\""]).hides(&["not the password"]);
    let mut last = 401;
    for _ in 0..20 {
        let shown = browser.send("/admin/login/", &[("username", ADMIN), ("password", "wrong again")]).await;
        last = shown.status;
        if last == 429 {
            assert!(shown.header("retry-after").parse::<u64>().is_ok(), "{:?}", shown.headers);
            break;
        }
    }
    assert_eq!(last, 429);
    let reply = world.login_from("192.0.2.9", ADMIN, PASSWORD).await;
    reply.is(429, "RATE_LIMITED");
}

#[tokio::test]
async fn what_another_site_sends_changes_nothing() {
    let world = World::start().await;
    let browser = Browser::admin(&world).await;
    let form = |headers: &[(&'static str, String)]| {
        let request = world.request(Method::POST, "/admin/users/new/");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        let body = "username=evil&email=evil%40example.com&password=correct+horse+battery&is_active=on&max_messages_per_day=1\
                    &max_messages_per_minute=1&max_sessions=1";
        request.header("content-type", "application/x-www-form-urlencoded").body(body)
    };
    let own = world.base.clone();
    let foreign: &[&[(&str, String)]] = &[
        &[],
        &[("sec-fetch-site", "cross-site".into())],
        &[("sec-fetch-site", "same-site".into())],
        &[("sec-fetch-site", "none".into())],
        &[("sec-fetch-site", "cross-site".into()), ("origin", own.clone())],
        &[("origin", "null".into())],
        &[("origin", "https://evil.test".into())],
        &[("origin", format!("{own}.evil.test"))],
        &[("referer", format!("{own}/admin/"))],
    ];
    for headers in foreign {
        browser.ask(form(headers)).await.is(403).says(&["The form was sent from a page of another site"]);
    }
    let admin = world.admin().await;
    assert_eq!(world.get("/users/?search=evil", As::Token(&admin)).await.body["data"]["count"], 0);
    browser.ask(form(&[("origin", own)])).await;
    assert_eq!(world.get("/users/?search=evil", As::Token(&admin)).await.body["data"]["count"], 1);
    // A login is a form too: nobody is logged in as somebody else by another site.
    let login = world.request(Method::POST, "/admin/login/").header("sec-fetch-site", "cross-site").body("username=admin");
    Browser::new(&world).ask(login).await.is(403);
}

#[tokio::test]
async fn a_login_ends_when_it_is_not_used_and_at_its_end() {
    let world = World::with(|config| (config.auth.dashboard_hours, config.auth.dashboard_idle_minutes) = (2, 30)).await;
    let browser = Browser::admin(&world).await;
    for _ in 0..4 {
        world.clock.pass(Duration::from_mins(29));
        browser.open("/admin/").await.is(200);
    }
    world.clock.pass(Duration::from_mins(4));
    browser.open("/admin/").await.leads_to("/admin/login/");
    let browser = Browser::admin(&world).await;
    world.clock.pass(Duration::from_mins(30));
    browser.open("/admin/").await.leads_to("/admin/login/");
}

#[tokio::test]
async fn refusals_have_the_colours_that_were_chosen() {
    let world = World::start().await;
    let admin = world.admin().await;
    world.user(&admin, "anna").await;
    let browser = Browser::of(&world, "anna").await;
    browser.open("/admin/users/").await.is(403).says(&["data-theme=\"auto\"", "Only an admin may do this."]);
    browser.send("/admin/theme/", &[("theme", "dark")]).await.leads_to("/admin/");
    let refused = browser.open("/admin/users/").await.is(403).says(&["data-theme=\"dark\"", "Only an admin may do this."]);
    assert!(refused.header("content-security-policy").contains("default-src 'none'"));
    browser.open("/admin/messages/01936b1e-7a40-7c3e-8b5e-2f6d1c0a9e77/").await.is(404).says(&["data-theme=\"dark\""]);
    // What waits to be said waits for a page that says it.
    browser.send("/admin/contacts/settings/", &[]).await.leads_to("/admin/contacts/settings/");
    browser.open("/admin/users/").await.is(403).hides(&["The settings were changed."]);
    browser.open("/admin/contacts/settings/").await.is(200).says(&["The settings were changed."]);
}

#[tokio::test]
async fn a_page_that_asks_by_itself_keeps_nobody_logged_in() {
    let world = World::with(|config| config.auth.dashboard_idle_minutes = 30).await;
    let browser = Browser::admin(&world).await;
    let by_itself = || world.request(Method::GET, "/admin/").header("sec-fetch-dest", "empty");
    world.clock.pass(Duration::from_mins(20));
    browser.ask(by_itself()).await.is(200);
    world.clock.pass(Duration::from_mins(20));
    browser.ask(by_itself()).await.leads_to("/admin/login/");
    // Whoever opens a page is there.
    let browser = Browser::admin(&world).await;
    world.clock.pass(Duration::from_mins(20));
    browser.ask(world.request(Method::GET, "/admin/").header("sec-fetch-dest", "document")).await.is(200);
    world.clock.pass(Duration::from_mins(20));
    browser.ask(by_itself()).await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_was_left_open_tells_nothing_new() {
    let account = Account::linked().await;
    let browser = Browser::of(&account.world, "anna").await;
    let cookie = format!("sanasend={}", browser.cookie("sanasend").expect("a cookie"));
    let place = format!("/admin/sessions/{}/live/", account.session().await["id"].as_str().expect("an id"));
    let stream = account.world.request(Method::GET, &place).header("cookie", cookie).header("accept", "text/event-stream");
    let mut stream = stream.send().await.expect("a stream");
    let first = stream.chunk().await.expect("sound").expect("a part");
    assert!(String::from_utf8_lossy(&first).contains("connected"), "{first:?}");
    account.world.clock.pass(Duration::from_mins(61));
    account.post("/sessions/disconnect/", json!({"logout": false})).await.is(200, "");
    let mut more = String::new();
    while let Ok(Some(chunk)) = stream.chunk().await {
        more.push_str(&String::from_utf8_lossy(&chunk));
        // Here, and not behind the stream: one that tells it may never end.
        assert!(!more.contains("disconnected"), "{more}");
    }
}

#[tokio::test]
async fn whoever_is_suspended_or_gets_another_password_is_out_at_once() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (id, _) = world.user(&admin, "anna").await;
    let browser = Browser::of(&world, "anna").await;
    browser.open("/admin/").await.is(200);
    world.post(&format!("/users/{id}/deactivate/"), As::Token(&admin), Value::Null).await.is(200, "");
    assert_ne!(browser.open("/admin/").await.status, 200);
    let refused = Browser::new(&world).send("/admin/login/", &[("username", "anna"), ("password", PASSWORD)]).await;
    refused.is(403).says(&["The user is deactivated."]);
    world.post(&format!("/users/{id}/activate/"), As::Token(&admin), Value::Null).await.is(200, "");
    browser.open("/admin/").await.leads_to("/admin/login/");
}

#[tokio::test]
async fn admins_come_from_their_networks_only() {
    let world = World::with(|config| config.auth.admin_ips = vec![sanasend::config::Cidr("10.1.0.0/16".parse().expect("network"))]).await;
    let browser = Browser::new(&world);
    let login = |address: &str| {
        let request = world.request(Method::POST, "/admin/login/").header("sec-fetch-site", "same-origin");
        let request = request.header("content-type", "application/x-www-form-urlencoded").header("x-forwarded-for", address);
        request.body(format!("username=admin&password={}", PASSWORD.replace(' ', "+")))
    };
    browser.ask(login("10.2.0.1")).await.is(403).says(&["auth.admin_ips"]);
    browser.ask(login("10.1.0.1")).await.leads_to("/admin/");
    let open = |address: &str| world.request(Method::GET, "/admin/").header("x-forwarded-for", address);
    browser.ask(open("10.1.0.1")).await.is(200);
    browser.ask(open("10.2.0.1")).await.is(403).hides(&["Messages today"]);
}

#[tokio::test]
async fn over_https_the_cookie_is_bound_to_this_host() {
    let world = World::start().await;
    let browser = Browser::new(&world);
    let login = world.request(Method::POST, "/admin/login/").header("sec-fetch-site", "same-origin").header("x-forwarded-proto", "https");
    let login = login.header("content-type", "application/x-www-form-urlencoded");
    let entered = browser.ask(login.body(format!("username=admin&password={}", PASSWORD.replace(' ', "+")))).await;
    let cookie = entered.header("set-cookie").to_owned();
    assert!(cookie.starts_with("__Host-sanasend=") && cookie.contains("; Secure") && cookie.contains("Path=/;"), "{cookie}");
    browser.ask(world.request(Method::GET, "/admin/").header("x-forwarded-proto", "https")).await.is(200);
    browser.open("/admin/").await.leads_to("/admin/login/");
}

#[tokio::test]
async fn where_people_are_meant_to_come_by_https_the_cookie_never_travels_in_the_clear() {
    type Set = fn(&mut Config);
    let production = |config: &mut Config| config.general.profile = Profile::Production;
    let public = |config: &mut Config| config.general.public_url = Some("https://api.example.com".into());
    let plain = |config: &mut Config| config.general.public_url = Some("http://127.0.0.1:8080".into());
    let table: [(Set, bool); 3] = [(production, true), (public, true), (plain, false)];
    for (set, secure) in table {
        let world = World::with(|config| {
            set(config);
            // Whatever stands between, it is not known.
            config.general.trusted_proxies.clear();
        })
        .await;
        let browser = Browser::new(&world);
        let entered = browser.send("/admin/login/", &[("username", "admin"), ("password", PASSWORD)]).await.leads_to("/admin/");
        let cookie = entered.header("set-cookie").to_owned();
        assert_eq!((cookie.starts_with("__Host-sanasend="), cookie.contains("; Secure")), (secure, secure), "{cookie}");
        browser.open("/admin/").await.is(200);
        browser.send("/admin/logout/", &[]).await.leads_to("/admin/login/");
        browser.open("/admin/").await.leads_to("/admin/login/");
    }
}

#[tokio::test]
async fn logins_and_their_refusals_are_in_the_audit_log() {
    let world = World::start().await;
    let browser = Browser::admin(&world).await;
    browser.send("/admin/logout/", &[]).await;
    browser.send("/admin/login/", &[("username", "admin"), ("password", "wrong")]).await.is(401);
    let admin = world.admin().await;
    let entries = world.get("/audit/?page_size=20", As::Token(&admin)).await.text;
    for action in ["login.created", "login.ended", "login.refused"] {
        assert!(entries.contains(action), "{action}: {entries}");
    }
    assert!(entries.contains("\"by\":\"dashboard\""), "{entries}");
}

#[tokio::test]
async fn the_colours_are_remembered_and_lead_back() {
    let world = World::start().await;
    let browser = Browser::admin(&world).await;
    browser.open("/admin/").await.says(&["data-theme=\"auto\""]);
    let body = world.request(Method::POST, "/admin/theme/").header("sec-fetch-site", "same-origin");
    let body = body.header("referer", format!("{}/admin/users/?page=1", world.base)).body("theme=dark");
    browser.ask(body.header("content-type", "application/x-www-form-urlencoded")).await.leads_to("/admin/users/?page=1");
    browser.open("/admin/").await.says(&["data-theme=\"dark\""]);
    browser.set_cookie("sanasend-theme", "\"><script>");
    browser.open("/admin/").await.says(&["data-theme=\"auto\""]);
}

#[tokio::test]
async fn what_is_wrong_under_admin_is_told_as_a_page() {
    let world = World::start().await;
    let browser = Browser::admin(&world).await;
    browser.open("/admin/nothing/here/").await.is(404).says(&["There is nothing here"]);
    browser.open("/admin/users/not-an-id/").await.is(404);
    browser.ask(world.request(Method::DELETE, "/admin/users/").header("sec-fetch-site", "same-origin")).await.is(405);
    let json =
        world.request(Method::POST, "/admin/login/").header("sec-fetch-site", "same-origin").header("content-type", "application/json");
    browser.ask(json.body("{}")).await.is(415);
}
