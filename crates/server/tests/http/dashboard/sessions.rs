//! The pages of linked accounts, and what other pages say of them: where they lead, how a phone is linked, what a list keeps.

use super::Browser;
use super::browser::Shown;
use crate::account::Account;
use crate::world::{As, World, eventually, text};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_is_linked_by_a_code_to_type_too_also_the_second_time() {
    let account = Account::new().await;
    let phone = account.friend().await;
    let browser = Browser::of(&account.world, "anna").await;
    let made = browser.send("/admin/sessions/new/", &[("name", "shop"), ("phone_number", "")]).await;
    let here = made.header("location").to_owned();
    assert!(made.status == 303 && here.starts_with("/admin/sessions/"), "{made:?}");
    let page = browser.open(&here).await.is(200);
    page.says(&["Scan this code with the phone", "data-until=", "Give up linking"]).hides(&["id=\"phone_number\""]);
    browser.send(&format!("{here}logout/"), &[]).await.leads_to(&here);
    eventually("the offer to link again", async || shows(&browser, &here, "id=\"phone_number\"").await).await;
    browser.send(&format!("{here}link/"), &[("phone_number", "12")]).await.leads_to(&here);
    browser.open(&here).await.is(200).says(&["flash bad", "The phone number"]);
    browser.send(&format!("{here}link/"), &[("phone_number", &phone)]).await.leads_to(&here);
    let page = eventually("the code to type", async || shows(&browser, &here, "Type this code on the phone").await).await;
    page.says(&["data-until="]);
}

/// The page, once these words are on it.
async fn shows(browser: &Browser<'_>, path: &str, words: &str) -> Option<Shown> {
    Some(browser.open(path).await.is(200)).filter(|page| page.html.contains(words))
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_reached_from_every_page_that_names_them() {
    let account = Account::linked().await;
    let session = account.session().await["id"].as_str().expect("an id").to_owned();
    let me = text(&account.get("/auth/me/").await.body["data"]["id"]);
    let link = format!("href=\"/admin/sessions/{session}/\"");
    Browser::of(&account.world, "anna").await.open("/admin/").await.is(200).says(&[&link]);
    let admin = Browser::admin(&account.world).await;
    let page = admin.open(&format!("/admin/users/{me}/")).await.is(200).says(&[&link]);
    let lists = ["sessions", "messages", "webhooks", "requests", "audit"].map(|list| format!("href=\"/admin/{list}/?user={me}\""));
    page.says(&lists.each_ref().map(String::as_str));
    let list = admin.open("/admin/sessions/?ordering=name").await.is(200);
    list.says(&[&link, "data-again", "aria-sort=\"ascending\"", "ordering=-name", "ordering=last_active_at"]);
}

#[tokio::test]
async fn looking_for_something_keeps_what_the_list_is_narrowed_to() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (id, _) = world.user(&admin, "anna").await;
    let browser = Browser::admin(&world).await;
    for list in ["sessions", "messages", "campaigns", "requests", "audit"] {
        let page = browser.open(&format!("/admin/{list}/?user={id}")).await.is(200);
        let kept = format!("<input type=\"hidden\" name=\"user\" value=\"{id}\">");
        page.says(&[&kept, &format!("href=\"/admin/{list}/\">Clear</a>")]);
        browser.open(&format!("/admin/{list}/")).await.is(200).hides(&[">Clear</a>", "type=\"hidden\" name=\"user\""]);
    }
    browser.open("/admin/jobs/?kind=none&state=dead").await.is(200).says(&["name=\"kind\" value=\"none\"", ">Clear</a>"]);
    browser.open("/admin/campaigns/?search=spring").await.is(200).says(&["No campaign fits", "Show all"]);
    browser.open("/admin/sessions/?page=9").await.is(200).says(&["No session fits"]);
    browser.open("/admin/requests/?search=nothing-has-this").await.is(200).says(&["No request fits", "Show all"]);
}

#[tokio::test]
async fn the_audit_log_says_what_its_last_check_found() {
    let world = World::with(|config| config.limits.requests_per_minute = 0).await;
    let admin = world.admin().await;
    world.user(&admin, "anna").await;
    let browser = Browser::admin(&world).await;
    browser.open("/admin/audit/").await.is(200).says(&["not verified yet"]);
    browser.send("/admin/audit/verify/", &[]).await.leads_to("/admin/audit/");
    browser.open("/admin/audit/").await.is(200).says(&["Verified: The audit log is whole."]);
    let checked = async || {
        browser.send("/admin/jobs/schedules/audit.check/run/", &[]).await;
        shows(&browser, "/admin/audit/", "good\">verified</span>").await
    };
    eventually("the check of the log", checked).await.says(&["entries, all as they were written"]);
    Browser::of(&world, "anna").await.open("/admin/audit/").await.is(200).hides(&["verified", "Verify the whole log"]);
}

#[tokio::test]
async fn a_replay_by_days_that_can_not_be_read_posts_nothing() {
    let world = World::start().await;
    let admin = world.admin().await;
    let made = world.post("/webhooks/", As::Token(&admin), json!({"url": "https://shop.example.com/hook"})).await;
    made.is(201, "");
    let here = format!("/admin/webhooks/{}/", text(&made.body["data"]["id"]));
    let browser = Browser::admin(&world).await;
    for (since, until, said) in [("soon", "", "Say from which day on"), ("2026-11-01", "soon", "The last day can&#39;t be read")] {
        browser.send(&format!("{here}replay/"), &[("since", since), ("until", until), ("only", "all")]).await.leads_to(&here);
        browser.open(&here).await.is(200).says(&["flash bad", said]);
    }
    browser.send(&format!("{here}replay/"), &[("since", "2020-01-01"), ("until", ""), ("only", "all")]).await.leads_to(&here);
    browser.open(&here).await.is(200).says(&["On their way again:"]);
}
