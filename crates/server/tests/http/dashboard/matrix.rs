//! Every route of the dashboard x who asks: the table says who may, and nobody else gets anything of it.

use super::Browser;
use crate::world::{As, World, text};
use reqwest::Method;
use sanasend::dashboard::{Who, table};
use serde_json::json;

/// An id that nobody has.
const NOBODYS: &str = "01936b1e-7a40-7c3e-8b5e-2f6d1c0a9e77";

fn request(world: &World, method: &Method, path: &str) -> reqwest::RequestBuilder {
    let request = world.request(method.clone(), path).header("sec-fetch-site", "same-origin");
    if *method == Method::POST {
        return request.header("content-type", "application/x-www-form-urlencoded").body("");
    }
    request
}

#[tokio::test]
async fn each_route_lets_in_whom_the_table_names_and_nobody_else() {
    let world = World::start().await;
    let admin = world.admin().await;
    world.user(&admin, "anna").await;
    let rows = table();
    assert!(rows.len() > 20, "the table was read");
    for row in rows {
        let path = row.path.replace("{id}", NOBODYS).replace("{file}", "none.css");
        let method: Method = row.method.as_str().parse().expect("a method");
        let stranger = Browser::new(&world).ask(request(&world, &method, &path)).await;
        if row.who == Who::Anyone {
            assert!(stranger.status != 403 || row.method == Method::POST, "{} {path}: {}", row.method, stranger.status);
            continue;
        }
        assert!(stranger.header("location").starts_with("/admin/login/"), "{} {path}: {} {}", row.method, stranger.status, stranger.html);
        if row.who == Who::User && row.path.ends_with("/live/") && !row.path.contains('{') {
            // A stream of one's own does not end by itself.
            continue;
        }
        let anna = Browser::of(&world, "anna").await.ask(request(&world, &method, &path)).await;
        let is_refused = anna.status == 403 && anna.html.contains("Only an admin may do this.");
        assert_eq!(is_refused, row.who == Who::Admin, "{} {path}: {} {}", row.method, anna.status, anna.html);
        if path.contains("/live/") {
            continue;
        }
        let by_admin = Browser::admin(&world).await.ask(request(&world, &method, &path)).await;
        assert!(![401, 403, 500].contains(&by_admin.status), "{} {path}: {}", row.method, by_admin.status);
        let foreign = world.request(method.clone(), &path).header("sec-fetch-site", "cross-site");
        let foreign = Browser::admin(&world).await.ask(foreign).await;
        assert_eq!(foreign.status == 403, method == Method::POST, "{} {path} from elsewhere: {}", row.method, foreign.status);
    }
}

#[tokio::test]
async fn api_keys_and_tokens_open_no_page() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (_, key) = world.key(&admin, json!({})).await;
    for who in [As::Token(&admin), As::Key(&key)] {
        let asked = who.sign(world.request(Method::GET, "/admin/users/"));
        Browser::new(&world).ask(asked).await.leads_to("/admin/login/?next=%2Fadmin%2Fusers%2F");
    }
}

#[tokio::test]
async fn the_cookie_opens_nothing_of_the_api() {
    let world = World::start().await;
    let browser = Browser::admin(&world).await;
    assert_eq!(browser.ask(world.request(Method::GET, "/api/v1/users/")).await.status, 401);
}

#[tokio::test]
async fn what_is_another_users_is_answered_as_what_nobody_has() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (victim, token) = world.user(&admin, "victim").await;
    world.user(&admin, "anna").await;
    let (key, _) = world.key(&token, json!({"name": "the victim's own words"})).await;
    let browser = Browser::of(&world, "anna").await;
    for act in ["rotate", "revoke"] {
        for id in [key.as_str(), NOBODYS] {
            browser.open(&format!("/admin/keys/{id}/{act}/")).await.is(404).hides(&["own words"]);
            browser.send(&format!("/admin/keys/{id}/{act}/"), &[]).await.is(404).hides(&["own words"]);
        }
    }
    for id in [victim.as_str(), NOBODYS] {
        browser.open(&format!("/admin/keys/new/?user={id}")).await.is(404).hides(&["victim"]);
        let form = [("user", id), ("name", "mine"), ("scopes", "messages:send")];
        browser.send("/admin/keys/new/", &form).await.is(404);
    }
    browser.open("/admin/").await.is(200).hides(&["victim", "/admin/users/", "Connected accounts"]);
    browser.open("/admin/account/").await.is(200).hides(&["victim", "own words"]);
    let keys = world.get("/api-keys/", As::Token(&token)).await;
    assert_eq!(
        (keys.body["data"]["count"].clone(), text(&keys.body["data"]["results"][0]["name"])),
        (json!(1), "the victim's own words".into())
    );
    assert_eq!(keys.body["data"]["results"][0]["is_active"], true);
}
