//! API keys on the pages: made and shown once, rotated, revoked.

use super::Browser;
use crate::world::{As, World};

/// The key that a page shows.
fn shown(html: &str) -> String {
    let rest = html.split("<code id=\"key\">").nth(1).expect("a key");
    rest.split('<').next().expect("an end").to_owned()
}

#[tokio::test]
async fn a_person_makes_rotates_and_revokes_a_key_of_their_own() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (_, token) = world.user(&admin, "anna").await;
    let browser = Browser::of(&world, "anna").await;
    browser.open("/admin/account/").await.is(200).says(&["No API key yet"]);
    browser.open("/admin/keys/new/").await.is(200).says(&["value=\"messages:send\" checked"]);
    let form = [("name", "shop"), ("scopes", "messages:send"), ("scopes", "messages:read"), ("expires_at", "2099-12-31")];
    let made = browser.send("/admin/keys/new/", &form).await.is(201);
    let key = shown(&made.html);
    world.get("/auth/me/", As::Key(&key)).await.is(200, "");
    let row = world.get("/api-keys/", As::Token(&token)).await.body["data"]["results"][0].clone();
    assert_eq!(row["scopes"], serde_json::json!(["messages:send", "messages:read"]));
    assert_eq!(row["expires_at"], "2100-01-01T00:00:00.000Z");
    browser.open("/admin/account/").await.is(200).says(&["shop", "messages:send, messages:read"]).hides(&[&key]);

    let id = row["id"].as_str().expect("an id").to_owned();
    browser.open(&format!("/admin/keys/{id}/rotate/")).await.is(200).says(&["Rotate shop?", "value=\"24\""]);
    browser.send(&format!("/admin/keys/{id}/rotate/"), &[("grace_hours", "many")]).await.leads_to("/admin/account/");
    browser.send(&format!("/admin/keys/{id}/rotate/"), &[("grace_hours", "9999")]).await.leads_to("/admin/account/");
    browser.open("/admin/account/").await.says(&["The key was not rotated. The hours must be"]);
    let rotated = browser
        .send(&format!("/admin/keys/{id}/rotate/"), &[("grace_hours", "0")])
        .await
        .is(201)
        .says(&["The old one has stopped working."]);
    let next = shown(&rotated.html);
    world.get("/auth/me/", As::Key(&key)).await.is(401, "API_KEY_REVOKED");
    world.get("/auth/me/", As::Key(&next)).await.is(200, "");
    browser.send(&format!("/admin/keys/{id}/rotate/"), &[]).await.leads_to("/admin/account/");

    let list = world.get("/api-keys/", As::Token(&token)).await.body["data"]["results"].clone();
    let id = list[0]["id"].as_str().expect("an id").to_owned();
    browser.open(&format!("/admin/keys/{id}/revoke/")).await.is(200).says(&["Revoke shop?"]);
    browser.send(&format!("/admin/keys/{id}/revoke/"), &[]).await.leads_to("/admin/account/");
    world.get("/auth/me/", As::Key(&next)).await.is(401, "API_KEY_REVOKED");
    browser.open("/admin/account/").await.says(&["The API key shop is revoked.", "revoked"]);
}

#[tokio::test]
async fn an_admin_makes_a_key_for_somebody() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (id, _) = world.user(&admin, "anna").await;
    let browser = Browser::admin(&world).await;
    browser.open(&format!("/admin/keys/new/?user={id}")).await.is(200).says(&["<b>anna</b>"]);
    let made = browser.send("/admin/keys/new/", &[("user", &id), ("name", "for anna"), ("scopes", "usage:read")]).await.is(201);
    let me = world.get("/auth/me/", As::Key(&shown(&made.html))).await;
    assert_eq!(me.body["data"]["username"], "anna");
    browser.open(&format!("/admin/users/{id}/")).await.says(&["for anna"]);
}

#[tokio::test]
async fn a_key_that_is_refused_is_not_made() {
    let world = World::start().await;
    let browser = Browser::admin(&world).await;
    let admin = world.admin().await;
    let table: &[(&[(&str, &str)], &str)] = &[
        (&[("name", ""), ("scopes", "usage:read")], "name-error"),
        (&[("name", "x")], "scopes-error"),
        (&[("name", "x"), ("scopes", "everything")], "scopes-error"),
        (&[("name", "x"), ("scopes", "usage:read"), ("allowed_ips", "10.0.0.0/8 nonsense")], "allowed_ips-error"),
        (&[("name", "x"), ("scopes", "usage:read"), ("expires_at", "31.1.2099")], "expires_at-error"),
        (&[("name", "x"), ("scopes", "usage:read"), ("expires_at", "1999-01-31")], "expires_at-error"),
    ];
    for (form, error) in table {
        browser.send("/admin/keys/new/", form).await.is(400).says(&[&format!("id=\"{error}\"")]);
    }
    let kept = browser.send("/admin/keys/new/", &[("name", "<b>x"), ("allowed_ips", "nonsense")]).await.is(400);
    kept.says(&["value=\"&#60;b&#62;x\"", "nonsense</textarea>"]);
    assert_eq!(world.get("/api-keys/", As::Token(&admin)).await.body["data"]["count"], 0);
}

#[tokio::test]
async fn keys_beyond_those_that_are_shown_are_counted() {
    let world = World::with(|config| config.limits.requests_per_minute = 0).await;
    let admin = world.admin().await;
    let (_, token) = world.user(&admin, "anna").await;
    for _ in 0..50 {
        world.key(&token, serde_json::json!({})).await;
    }
    let browser = Browser::of(&world, "anna").await;
    browser.open("/admin/account/").await.is(200).hides(&["Older keys"]);
    world.key(&token, serde_json::json!({})).await;
    browser.open("/admin/account/").await.is(200).says(&["Older keys that are not shown: 1."]);
}
