//! Strict isolation on the pages: every route of the table x another user's things.
//!
//! The routes come from the table itself. Each that names a thing has a row here that says which; a route without one fails
//! the test. With another user's id the answer has the same bytes as with an id that nobody has, in the path as in the
//! query and in forms, and no page ever holds anything of another user.

use super::Browser;
use super::browser::Shown;
use crate::account::Account;
use crate::world::{As, Reply, eventually, text};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use sanasend::config::Cidr;
use sanasend::dashboard::{Row, Who, table};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// An id that nobody has.
const NOBODYS: &str = "01936b1e-7a40-7c3e-8b5e-2f6d1c0a9e77";
/// What of the victim may never be on somebody else's page, besides its ids.
const SECRETS: [&str; 2] = ["the victim's own words", "victim@example.com"];
/// Fields by which a form could name somebody else's thing.
const NAMING: [&str; 6] = ["user", "session", "sessions", "template", "id", "reply_to"];

/// What the `{id}` of a route names.
fn thing(path: &str) -> Option<&'static str> {
    let rest = path.strip_prefix("/admin/")?;
    if rest.starts_with("contacts/imports/") {
        return Some("import");
    }
    Some(match rest.split('/').next()? {
        "keys" => "key",
        "sessions" => "session",
        "messages" => "message",
        "templates" => "template",
        "schedules" => "schedule",
        "campaigns" => "campaign",
        "webhooks" => "webhook",
        "contacts" => "contact",
        "opt-outs" => "opt-out",
        _ => return None,
    })
}

/// The routes for everybody who is logged in; admins' are refused to others whatever they name (`matrix`).
fn rows() -> Vec<Row> {
    let rows: Vec<Row> = table().into_iter().filter(|row| row.who == Who::User).collect();
    let without: Vec<&str> = rows.iter().map(|row| row.path).filter(|path| path.contains('{') && thing(path).is_none()).collect();
    assert!(without.is_empty(), "routes without a row in the isolation matrix of the dashboard: {without:?}");
    assert!(rows.len() > 90, "the table was read");
    rows
}

/// The victim: one of everything, by what it is.
struct Victim {
    account: Account,
    token: String,
    ids: BTreeMap<&'static str, String>,
}

impl Victim {
    async fn start() -> Self {
        let mut account = Account::with(|config| {
            config.limits.requests_per_minute = 0;
            config.egress.allow = vec![Cidr("127.0.0.1/32".parse().expect("a network"))];
        })
        .await;
        account.link().await;
        let world = &account.world;
        let (admin, me) = (world.admin().await, account.get("/auth/me/").await.body["data"]["id"].clone());
        let rename = json!({"email": SECRETS[1], "max_sessions": 5});
        world.call(Method::PATCH, &format!("/users/{}/", text(&me)), As::Token(&admin), rename).await.is(200, "");
        let token = text(&world.login("anna", crate::world::PASSWORD).await["access"]);
        let friend = account.friend().await;
        let made = async |path: &str, body: Value| {
            let reply = account.post(path, body).await;
            assert!((200..300).contains(&reply.status), "{path}: {}", reply.text);
            text(&reply.body["data"]["id"])
        };
        let webhook = made("/webhooks/", json!({"url": "http://127.0.0.1:49999/", "description": SECRETS[0]})).await;
        let message = account.send(&friend, SECRETS[0]).await;
        account.message_becomes(&message["id"], "delivered").await;
        let (key, _) = world.key(&token, json!({"name": SECRETS[0]})).await;
        let daily = json!({"name": "daily", "cron": "0 9 * * *", "recipient": friend, "content": SECRETS[0]});
        let people = json!({"name": SECRETS[0], "content": SECRETS[0], "recipients": [{"phone": friend}]});
        let ids = BTreeMap::from([
            ("user", text(&me)),
            ("message", text(&message["id"])),
            ("session", text(&account.session().await["id"])),
            ("key", key),
            ("template", made("/templates/", json!({"name": "secret", "content": SECRETS[0]})).await),
            ("schedule", made("/schedules/", daily).await),
            ("campaign", made("/campaigns/", people).await),
            ("contact", made("/contacts/", json!({"phone": "+4915123450001", "name": SECRETS[0]})).await),
            ("opt-out", made("/opt-outs/", json!({"phone": "+4915123450002", "note": SECRETS[0]})).await),
            ("import", import(&account).await),
            ("delivery", delivery(&account, &webhook).await),
            ("webhook", webhook),
        ]);
        Self { account, token, ids }
    }

    /// The path of a route with the victim's ids.
    fn path(&self, row: &Row) -> String {
        let id = thing(row.path).map_or(NOBODYS, |thing| &self.ids[thing]);
        row.path.replace("{id}", id).replace("{delivery}", &self.ids["delivery"])
    }

    /// What the API says of everything, as far as it does not change by itself.
    async fn state(&self) -> Vec<Value> {
        let mut told = Vec::new();
        for thing in ["message", "key", "template", "schedule", "campaign", "contact", "opt-out", "webhook"] {
            let place = if thing == "key" { "api-keys".to_owned() } else { format!("{thing}s") };
            let reply = self.account.world.get(&format!("/{place}/{}/", self.ids[thing]), As::Token(&self.token)).await;
            assert_eq!(reply.status, 200, "{thing}: {}", reply.text);
            let fields = ["name", "content", "status", "state", "is_active", "is_archived", "opted_out_at", "ended_at", "url", "version"];
            told.extend(fields.map(|field| reply.body["data"][field].clone()));
        }
        told
    }
}

/// A file of contacts that was taken in.
async fn import(account: &Account) -> String {
    let file = Part::bytes(b"phone\n+4915123450003\n".to_vec()).file_name("people.csv");
    let request = As::Key(&account.key).sign(account.world.request(Method::POST, "/api/v1/contacts/import/"));
    let reply = Reply::read(request.multipart(Form::new().part("file", file)).send().await.expect("an answer")).await;
    text(&reply.is(200, "").body["data"]["id"])
}

/// The first delivery to an endpoint.
async fn delivery(account: &Account, webhook: &str) -> String {
    let path = format!("/webhooks/{webhook}/deliveries/");
    let first = async || account.get(&path).await.body["data"]["results"][0]["id"].as_str().map(str::to_owned);
    eventually("a delivery", first).await
}

/// One answer, without what is new in each: the message that waits for the next page, and the keys of forms.
async fn ask(browser: &Browser<'_>, method: &axum::http::Method, path: &str, fields: &[(&str, &str)]) -> Shown {
    browser.set_cookie("sanasend-flash", "");
    let mut shown = if *method == axum::http::Method::GET { browser.open(path).await } else { browser.send(path, fields).await };
    while let Some(at) = shown.html.find("?once=") {
        shown.html.replace_range(at..at + "?once=".len() + NOBODYS.len(), "");
    }
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_another_users_is_answered_as_what_nobody_has() {
    let victim = Box::pin(Victim::start()).await;
    let world = &victim.account.world;
    let admin = world.admin().await;
    world.user(&admin, "eve").await;
    let eve = Browser::of(world, "eve").await;
    let (before, mut faults) = (victim.state().await, Vec::new());
    let mut judge = |row: &Row, place: &str, found: &Shown, expected: &Shown| {
        let is_same = expected.status < 400 || found.html == expected.html;
        if found.status != expected.status || !is_same || found.header("location") != expected.header("location") {
            faults.push(format!("{} {} with {place}: {found:?} and not {expected:?}", row.method, row.path));
        }
        let told = SECRETS.into_iter().filter(|secret| found.html.contains(secret) || found.html.contains(&secret.replace('\'', "&#39;")));
        faults.extend(told.map(|secret| format!("{} {} with {place} tells {secret}", row.method, row.path)));
    };
    for row in rows() {
        if row.path.contains('{') {
            let missing = ask(&eve, &row.method, &row.path.replace("{id}", NOBODYS).replace("{delivery}", NOBODYS), &[]).await;
            // An empty form may be refused, or sent back to its page, before it is asked whose the thing is.
            let is_form = row.method == axum::http::Method::POST;
            assert!(missing.status == 404 || (is_form && [303, 400].contains(&missing.status)), "{} {}: {missing:?}", row.method, row.path);
            let mut found = ask(&eve, &row.method, &victim.path(&row), &[]).await;
            for id in victim.ids.values() {
                found.rename(id, NOBODYS);
            }
            judge(&row, "an id in the path", &found, &missing);
            continue;
        }
        if row.path.ends_with("/live/") {
            // A stream of one's own does not end by itself, and names nothing.
            continue;
        }
        for name in NAMING {
            let thing = if name == "sessions" { "session" } else { name };
            let id = victim.ids.get(thing).unwrap_or(&victim.ids["message"]);
            let query = |id: &str| format!("{}?{name}={id}", row.path);
            let missing = ask(&eve, &row.method, &query(NOBODYS), &[(name, NOBODYS)]).await;
            let mut found = ask(&eve, &row.method, &query(id), &[(name, id)]).await;
            // What was entered is shown again.
            found.html = found.html.replace(id.as_str(), NOBODYS);
            judge(&row, name, &found, &missing);
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(victim.state().await, before, "and nothing of it was changed");
    assert_eq!(victim.account.session().await["status"], "connected");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_is_answered_where_others_are_not() {
    let victim = Box::pin(Victim::start()).await;
    let anna = Browser::of(&victim.account.world, "anna").await;
    // A stream does not end by itself, a text has no file, what is sent is scheduled no more.
    let pages = rows().into_iter().filter(|row| row.method == axum::http::Method::GET && row.path.contains("{id}"));
    for row in pages.filter(|row| !["/live/", "/media/", "/schedule/"].iter().any(|end| row.path.ends_with(end))) {
        let shown = anna.open(&victim.path(&row)).await;
        assert_eq!(shown.status, 200, "{}: {}", row.path, shown.html);
    }
}
