//! The pages of users: found, made, changed, suspended, deleted; each form with what it accepts and refuses.

use super::Browser;
use crate::world::{As, PASSWORD, World};
use serde_json::json;

const PAYLOAD: &str = "\"><script>alert(1)</script>";

fn new<'a>(username: &'a str, email: &'a str, password: &'a str) -> Vec<(&'static str, &'a str)> {
    vec![
        ("username", username),
        ("email", email),
        ("password", password),
        ("is_active", "on"),
        ("max_messages_per_day", "500"),
        ("max_messages_per_minute", "30"),
        ("max_sessions", "2"),
    ]
}

#[tokio::test]
async fn an_admin_makes_finds_changes_suspends_and_deletes_a_user() {
    let world = World::start().await;
    let browser = Browser::admin(&world).await;
    let admin = world.admin().await;
    browser.open("/admin/users/new/").await.is(200).says(&["value=\"1000\"", "New user"]);
    let made = browser.send("/admin/users/new/", &new("Anna", "anna@example.com", PASSWORD)).await;
    let place = made.header("location").to_owned();
    let id = place.trim_start_matches("/admin/users/").trim_end_matches('/').to_owned();
    let user = world.get(&format!("/users/{id}/"), As::Token(&admin)).await.body["data"].clone();
    assert_eq!((&user["username"], &user["max_messages_per_day"], &user["max_sessions"]), (&json!("anna"), &json!(500), &json!(2)));
    browser.open(&place).await.is(200).says(&["The user anna was created.", "anna@example.com", "No API key yet", "0 of 500"]);

    browser.open("/admin/users/?search=ANN&status=active&role=user").await.is(200).says(&["anna@example.com", "1–1 of 1"]);
    browser.open("/admin/users/?search=nobody").await.is(200).says(&["Nobody matches"]).hides(&["anna@example.com"]);
    let sorted = browser.open("/admin/users/?ordering=username").await.is(200);
    let place_of = |name: &str| sorted.html.find(&format!(">{name}</a>")).expect("in the list");
    assert!(place_of("admin") < place_of("anna"));

    browser.open(&format!("{place}edit/")).await.is(200).says(&["value=\"anna\"", "value=\"500\""]);
    let changed =
        [("username", "anna2"), ("email", "a@example.com"), ("is_active", "on"), ("is_admin", "on"), ("max_messages_per_day", "7")];
    let changed = [&changed[..], &[("max_messages_per_minute", "8"), ("max_sessions", "9")]].concat();
    browser.send(&format!("{place}edit/"), &changed).await.leads_to(&place);
    let user = world.get(&format!("/users/{id}/"), As::Token(&admin)).await.body["data"].clone();
    assert_eq!((&user["username"], &user["is_admin"], &user["max_sessions"]), (&json!("anna2"), &json!(true), &json!(9)));

    browser.open(&format!("{place}suspend/")).await.is(200).says(&["Suspend anna2?"]);
    browser.send(&format!("{place}suspend/"), &[]).await.leads_to(&place);
    browser.open(&place).await.is(200).says(&["suspended", "Activate"]);
    browser.send(&format!("{place}activate/"), &[]).await.leads_to(&place);
    browser.open(&place).await.is(200).says(&["active again"]);

    browser.open(&format!("{place}delete/")).await.is(200).says(&["Delete anna2?", "can&#39;t be undone"]);
    browser.send(&format!("{place}delete/"), &[]).await.leads_to("/admin/users/");
    browser.open("/admin/users/").await.is(200).says(&["anna2 was deleted."]);
    browser.open(&place).await.is(404);
    let audit = world.get("/audit/?page_size=50", As::Token(&admin)).await.text;
    for action in ["user.created", "user.changed", "user.deactivated", "user.activated", "user.deleted"] {
        assert!(audit.contains(action), "{action}: {audit}");
    }
}

#[tokio::test]
async fn a_refused_form_keeps_what_was_entered_and_says_what_to_change() {
    let world = World::start().await;
    let browser = Browser::admin(&world).await;
    let admin = world.admin().await;
    world.user(&admin, "anna").await;
    let refused = browser.send("/admin/users/new/", &new("x", "no address", "short")).await.is(400);
    refused.says(&["id=\"username-error\"", "id=\"email-error\"", "id=\"password-error\"", "value=\"no address\""]).hides(&["short\""]);
    browser
        .send("/admin/users/new/", &new("anna", "other@example.com", PASSWORD))
        .await
        .is(409)
        .says(&["is already taken", "id=\"username-error\""]);
    let mut form = new("bert", "bert@example.com", PASSWORD);
    form.retain(|(name, _)| *name != "max_sessions");
    form.push(("max_sessions", "many"));
    browser.send("/admin/users/new/", &form).await.is(400).says(&["must be a whole number", "value=\"many\""]);
    form.pop();
    form.push(("max_sessions", "-1"));
    browser.send("/admin/users/new/", &form).await.is(400).says(&["id=\"max_sessions-error\""]);
    assert_eq!(world.get("/users/", As::Token(&admin)).await.body["data"]["count"], 2);
}

#[tokio::test]
async fn the_last_admin_stays() {
    let world = World::start().await;
    let browser = Browser::admin(&world).await;
    let admin = world.admin().await;
    let id = world.get("/auth/me/", As::Token(&admin)).await.body["data"]["id"].as_str().expect("an id").to_owned();
    for act in ["suspend", "delete"] {
        browser.send(&format!("/admin/users/{id}/{act}/"), &[]).await.leads_to(&format!("/admin/users/{id}/"));
        browser.open(&format!("/admin/users/{id}/")).await.is(200).says(&["The last active admin can&#39;t be removed"]);
    }
    let form = [("username", "admin"), ("email", "admin@example.com"), ("is_active", "on"), ("max_messages_per_day", "7")];
    let form = [&form[..], &[("max_messages_per_minute", "8"), ("max_sessions", "9")]].concat();
    browser.send(&format!("/admin/users/{id}/edit/"), &form).await.is(409).says(&["The last active admin"]);
}

#[tokio::test]
async fn several_users_are_changed_at_once() {
    let world = World::start().await;
    let browser = Browser::admin(&world).await;
    let admin = world.admin().await;
    let ids = [world.user(&admin, "anna").await.0, world.user(&admin, "bert").await.0];
    let me = world.get("/auth/me/", As::Token(&admin)).await.body["data"]["id"].as_str().expect("an id").to_owned();
    let bulk = |act: &'static str, more: &[(&'static str, &'static str)]| {
        let mut form: Vec<(&str, &str)> = vec![("act", act), ("user", &ids[0]), ("user", &ids[1])];
        form.extend(more);
        form
    };
    browser.send("/admin/users/bulk/", &[("act", "suspend")]).await.leads_to("/admin/users/");
    browser.open("/admin/users/").await.says(&["Tick the users first"]);
    browser.send("/admin/users/bulk/", &bulk("suspend", &[])).await.leads_to("/admin/users/");
    browser.open("/admin/users/?status=suspended").await.says(&["2 users were suspended.", "1–2 of 2"]);
    browser.send("/admin/users/bulk/", &bulk("activate", &[])).await.leads_to("/admin/users/");
    browser.open("/admin/users/?status=suspended").await.says(&["2 users were activated.", "Nobody matches"]);
    // It ends in the list as it was looked at.
    let found = "/admin/users/?search=an&status=active";
    browser.open(found).await.is(200).says(&["action=\"/admin/users/bulk/?search=an&#38;status=active\""]);
    browser.send("/admin/users/bulk/?search=an&status=active", &[("act", "activate"), ("user", &ids[0])]).await.leads_to(found);
    let asked = browser.send("/admin/users/bulk/?search=an", &bulk("delete", &[])).await.is(200);
    let asked = asked.says(&["action=\"/admin/users/bulk/?search=an\"", "href=\"/admin/users/?search=an\""]);
    asked.says(&["Delete these 2 users?", "anna, bert", &ids[0], &ids[1]]);
    assert_eq!(world.get("/users/", As::Token(&admin)).await.body["data"]["count"], 3, "asking deletes nobody");
    let mut with_me = bulk("delete", &[("confirmed", "on")]);
    with_me.push(("user", &me));
    browser.send("/admin/users/bulk/", &with_me).await.leads_to("/admin/users/");
    browser.open("/admin/users/").await.says(&["2 users were deleted. 1 could not be: The last active admin"]);
    browser.send("/admin/users/bulk/", &[("act", "explode"), ("user", &me)]).await.leads_to("/admin/users/");
    browser.open("/admin/users/").await.says(&["Choose what to do with them"]);
    assert_eq!(world.get("/users/", As::Token(&admin)).await.body["data"]["count"], 1);
}

#[tokio::test]
async fn an_admin_gives_somebody_another_password() {
    let world = World::start().await;
    let browser = Browser::admin(&world).await;
    let admin = world.admin().await;
    let (id, _) = world.user(&admin, "anna").await;
    let anna = Browser::of(&world, "anna").await;
    let place = format!("/admin/users/{id}/password/");
    browser.open(&place).await.is(200).says(&["New password for anna"]);
    browser.send(&place, &[("password", "short")]).await.is(400).says(&["id=\"password-error\""]).hides(&["\"short\""]);
    browser.send(&place, &[("password", "another fine phrase")]).await.leads_to(&format!("/admin/users/{id}/"));
    anna.open("/admin/").await.leads_to("/admin/login/");
    world.login("anna", "another fine phrase").await;
}

#[tokio::test]
async fn what_people_write_is_text_on_every_page() {
    let world = World::start().await;
    let browser = Browser::admin(&world).await;
    let admin = world.admin().await;
    let (id, _) = world.user(&admin, "anna").await;
    browser.send("/admin/users/new/", &new(PAYLOAD, PAYLOAD, PASSWORD)).await.is(400).hides(&["<script>alert"]);
    browser
        .open(&format!("/admin/users/?search={}", PAYLOAD.replace('<', "%3C").replace('"', "%22")))
        .await
        .is(200)
        .hides(&["<script>alert"]);
    browser.open("/admin/users/?ordering=%22%3E%3Cscript%3Ealert(1)").await.is(200).hides(&["<script>alert"]);
    world.post("/api-keys/", As::Token(&admin), json!({"user": id, "name": PAYLOAD})).await.is(201, "");
    world.tamper("UPDATE users SET email = '\"><script>alert(1)</script>' WHERE username = 'anna'").await;
    world.tamper("INSERT INTO sessions (id, user_id, name, network, status, linked, wanted, generation, created_at, updated_at, push_name) SELECT x'0190a000000070008000000000000001', id, '<script>alert(2)', 'sandbox', 'disconnected', 0, 0, 0, 0, 0, '<script>alert(3)' FROM users WHERE username = 'anna'").await;
    for path in ["/admin/users/".to_owned(), format!("/admin/users/{id}/"), format!("/admin/users/{id}/edit/")] {
        browser.open(&path).await.is(200).says(&["&#60;script&#62;alert"]).hides(&["<script>alert"]);
    }
    browser.open(&format!("/admin/users/{id}/")).await.says(&["&#60;script&#62;alert(2)", "&#60;script&#62;alert(3)"]);
}
