//! Lists that grow for ever: counted up to a bound, and reached to their end by cursor.

use super::Browser;
use super::browser::Shown;
use crate::account::Account;
use crate::world::{World, text};

/// More messages of the one account than are counted.
const MANY: &str = "INSERT INTO messages (id, user_id, session_id, direction, chat, sender, peer_phone, message_type, body, status, \
                    attempts, written, created_at, wa_message_id) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n \
                    WHERE i < 10040) SELECT unhex('0190a0000000700080000000' || printf('%08x', i)), user_id, id, 'outbound', \
                    '14155550101@s.whatsapp.net', '', '+14155550101', 'text', 'text ' || i || '.', 'sent', 1, 1, \
                    1700000000000 + i, 'WA' || i FROM n, sessions";

/// Where the link to the next page leads.
#[track_caller]
fn next(page: &Shown) -> String {
    let end = page.html.find("\" rel=\"next\"").unwrap_or_else(|| panic!("no next page: {}", page.html));
    let start = page.html[..end].rfind("href=\"").expect("an address") + "href=\"".len();
    page.html[start..end].replace("&#38;", "&").replace("&amp;", "&")
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_reached_to_the_very_end() {
    let account = Account::linked().await;
    account.world.tamper(MANY).await;
    for who in ["anna", "admin"] {
        let browser = Browser::of(&account.world, who).await;
        browser.open("/admin/messages/").await.is(200).says(&["text 10040.", "1–25 of more than 10000"]);
        let last = browser.open("/admin/messages/?page=400").await.is(200).says(&["text 41.", "Page 400"]).hides(&["text 40."]);
        let beyond = browser.open("/admin/messages/?page=4000").await.is(200).says(&["Page 400"]);
        assert_eq!(next(&beyond), next(&last), "pages end where nothing is counted any more");
        let far = browser.open(&next(&last)).await.is(200).says(&["text 40.", "text 16.", "25 more, behind the", "To the first page"]);
        browser.open(&next(&far)).await.is(200).says(&["text 15.", "text 1.", "This is the end."]).hides(&["rel=\"next\""]);
        // A search is not counted; it goes on by the same link.
        let found = browser.open("/admin/messages/?search=TEXT").await.is(200).says(&["The newest 25 that fit"]);
        assert!(next(&found).contains("search=TEXT"), "{}", next(&found));
        browser.open(&next(&found)).await.is(200).says(&["text 10015.", "25 more that fit"]);
        browser.open("/admin/messages/?search=10040").await.is(200).says(&["1 found"]);
        browser.open("/admin/messages/?search=nothing").await.is(200).says(&["No message fits"]).hides(&["class=\"pager\""]);
        browser.open("/admin/messages/?after=nonsense").await.is(200).says(&["text 10040."]);
    }
    let me = text(&account.get("/auth/me/").await.body["data"]["id"]);
    let page = Browser::admin(&account.world).await.open(&format!("/admin/users/{me}/")).await.is(200);
    page.says(&["text 10040.", "text 10031.", &format!("/admin/messages/?user={me}")]).hides(&["text 10030."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_log_goes_on_where_a_search_does() {
    let account = Account::with(|config| config.limits.requests_per_minute = 0).await;
    account
        .world
        .tamper(
            "INSERT INTO api_log (user_id, method, endpoint, path, status_code, latency_us, ip, request_id, at) WITH RECURSIVE n(i) AS \
             (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10040) SELECT id, 'GET', '/e/', '/path/' || i || '.', 200, 5, '10.0.0.1', \
             'r' || i, 1700000000000 + i FROM n, users WHERE username = 'anna'",
        )
        .await;
    let browser = Browser::of(&account.world, "anna").await;
    let last = browser.open("/admin/requests/?page=400&ip=10.0.0.1").await.is(200).says(&["/path/41.", "Page 400"]);
    let far = browser.open(&next(&last)).await.is(200).says(&["/path/40.", "25 more, behind the"]);
    browser.open(&next(&far)).await.is(200).says(&["/path/1.", "This is the end."]);
    let found = browser.open("/admin/requests/?search=path").await.is(200).says(&["The newest 25 that fit"]);
    browser.open(&next(&found)).await.is(200).says(&["25 more that fit"]);
}

#[tokio::test]
async fn a_filter_that_can_not_be_read_is_refused_and_shows_nothing() {
    let world = World::start().await;
    let browser = Browser::admin(&world).await;
    let lists =
        ["messages", "chats", "sessions", "campaigns", "requests", "webhooks", "audit", "schedules", "templates", "contacts", "opt-outs"];
    let table = [
        ("messages", "status"),
        ("messages", "session"),
        ("messages", "from"),
        ("chats", "session"),
        ("chats", "waiting"),
        ("requests", "status"),
        ("contacts", "consent"),
        ("contacts", "opted_out"),
        ("contacts", "on_whatsapp"),
        ("opt-outs", "in_force"),
        ("users", "role"),
        ("jobs", "state"),
        ("templates", "shelf"),
        ("campaigns", "state"),
    ];
    for (list, field) in lists.map(|list| (list, "user")).into_iter().chain(table) {
        let page = browser.open(&format!("/admin/{list}/?{field}=typo")).await;
        page.is(400).says(&[&format!("{field} can")]).hides(&["<table"]);
    }
    browser.open("/admin/requests/?ip=nonsense").await.is(400).says(&["must be an IP address"]).hides(&["<table"]);
    browser.open("/admin/opt-outs/?phone=12").await.is(400).says(&["find-phone-error"]);
}
