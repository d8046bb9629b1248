//! Forms that send: however often one comes, it sends once; and each says what is wrong with it beside the field.

use super::Browser;
use super::browser::Shown;
use crate::account::Account;
use crate::world::text;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

/// The address that a form on a page is sent to.
#[track_caller]
pub fn address(page: &Shown, action: &str) -> String {
    let start = page.html.find(&format!("action=\"{action}?once=")).unwrap_or_else(|| panic!("no form {action} with a key: {}", page.html));
    let rest = &page.html[start + "action=\"".len()..];
    rest[..rest.find('"').expect("its end")].to_owned()
}

async fn sent(account: &Account) -> Vec<Value> {
    let reply = account.get("/messages/list/?direction=outbound").await;
    reply.is(200, "").body["data"]["results"].as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_sent_once_however_often_its_form_comes() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let browser = Browser::of(&account.world, "anna").await;
    let first = browser.open("/admin/messages/new/").await.is(200);
    let (place, other) = (address(&first, "/admin/messages/send-text/"), address(&first, "/admin/messages/send-file/"));
    assert_ne!(place.split('=').next_back(), other.split('=').next_back(), "each form has its own key");
    let again = browser.open("/admin/messages/new/").await;
    assert_ne!(address(&again, "/admin/messages/send-text/"), place, "each page has its own keys");
    // What is refused sends nothing, and its key stays good.
    let refused = browser.send(&place, &[("recipient", "nobody"), ("content", "Hi")]).await.is(400).says(&["id=\"recipient-error\""]);
    assert_eq!(address(&refused, "/admin/messages/send-text/"), place);
    let entered = [("recipient", friend.as_str()), ("content", "once\r\nonly")];
    // Two at the same moment, as a double click sends them, and one later, as a reload does.
    let (one, two) = tokio::join!(browser.send(&place, &entered), Browser::of(&account.world, "anna"));
    let three = two.send(&place, &entered).await;
    let both = tokio::join!(browser.send(&place, &entered), two.send(&place, &entered));
    for answer in [&three, &both.0, &both.1] {
        assert_eq!((answer.status, answer.header("location")), (303, one.header("location")), "{}", answer.html);
    }
    assert!(browser.open(one.header("location")).await.html.contains("nothing is sent twice"));
    let messages = sent(&account).await;
    assert_eq!((messages.len(), &messages[0]["content"]), (1, &json!("once\nonly")));
    // Other words under the same key are another message, which has to be wanted.
    let changed = [("recipient", friend.as_str()), ("content", "another")];
    let asked = browser.send(&place, &changed).await.is(422).says(&["This form was sent before", "another"]);
    let fresh = address(&asked, "/admin/messages/send-text/");
    assert_ne!(fresh, place);
    assert_eq!(sent(&account).await.len(), 1);
    assert_eq!(browser.send(&fresh, &changed).await.status, 303);
    assert_eq!(sent(&account).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_the_same_moment_are_one_message() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let (one, two) = (Browser::of(&account.world, "anna").await, Browser::of(&account.world, "anna").await);
    for round in 0..8 {
        let place = address(&one.open("/admin/messages/new/").await, "/admin/messages/send-text/");
        let content = format!("round {round}");
        let entered = [("recipient", friend.as_str()), ("content", content.as_str())];
        let (first, second) = tokio::join!(one.send(&place, &entered), two.send(&place, &entered));
        assert_eq!((first.status, first.header("location")), (303, second.header("location")), "{}", second.html);
    }
    assert_eq!(sent(&account).await.len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_sent_once() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let browser = Browser::of(&account.world, "anna").await;
    let place = address(&browser.open("/admin/messages/new/").await, "/admin/messages/send-file/");
    let post = async |words: &'static str, to: &str| {
        let file = Part::text(words).file_name("bill.txt").mime_str("text/plain").expect("a type");
        let form = Form::new().text("recipient", to.to_owned()).text("caption", "Your bill").part("file", file);
        browser.ask(account.world.request(Method::POST, &place).header("sec-fetch-site", "same-origin").multipart(form)).await
    };
    let refused = post("hello", "nobody").await.is(400).says(&["file-recipient-error"]);
    assert_eq!(address(&refused, "/admin/messages/send-file/"), place);
    let (first, second) = (post("hello", &friend).await, post("hello", &friend).await);
    assert_eq!((first.status, first.header("location")), (303, second.header("location")), "{}", second.html);
    post("another", &friend).await.is(422).says(&["This form was sent before"]);
    assert_eq!(sent(&account).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_filled_and_sent_once() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let browser = Browser::of(&account.world, "anna").await;
    let made = json!({"name": "ready", "content": "Hi {{name|there}}, {{order}} costs {{sum:money}}."});
    let id = text(&account.post("/templates/", made).await.body["data"]["id"]);
    let here = format!("/admin/templates/{id}/send/");
    browser.open(&format!("/admin/templates/{id}/")).await.is(200).says(&[&here]);
    let page = browser.open(&here).await.is(200).says(&["Left empty: there", "name=\"variables.order\"", "Written as money."]);
    let place = address(&page, &here);
    let entered = |order: &'static str, to: &str, sum: &'static str| {
        let fields = [("recipient", to), ("variables.order", order), ("variables.sum", sum), ("variables.name", "")];
        fields.map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let send = async |place: &str, fields: [(String, String); 4]| {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        browser.send(place, &fields).await
    };
    let refused = send(&place, entered("", &friend, "12")).await;
    assert!((400..500).contains(&refused.status), "{refused:?}");
    let refused = refused.says(&["variable-2-error", "value=\"12\""]);
    assert_eq!(address(&refused, &here), place);
    send(&place, entered("<b>17", "nobody", "12")).await.is(400).says(&["id=\"recipient-error\"", "value=\"&#60;b&#62;17\""]);
    let late: Vec<(&str, &str)> = vec![("recipient", &friend), ("scheduled_at", "soon")];
    browser.send(&place, &late).await.is(400).says(&["must be a date and time"]);
    let (first, second) = (send(&place, entered("17", &friend, "12")).await, send(&place, entered("17", &friend, "12")).await);
    assert_eq!((first.status, first.header("location")), (303, second.header("location")), "{}", second.html);
    let messages = sent(&account).await;
    assert_eq!((messages.len(), &messages[0]["content"]), (1, &json!("Hi there, 17 costs 12.00.")));
    send(&place, entered("18", &friend, "12")).await.is(422).says(&["This form was sent before"]);
    // An archived one is not offered, and nothing is sent with it.
    browser.send(&format!("/admin/templates/{id}/shelve/"), &[("archived", "on")]).await;
    browser.open(&format!("/admin/templates/{id}/")).await.is(200).hides(&[&here]);
    let archived = send(&here, entered("19", &friend, "12")).await;
    assert!(archived.status >= 400 && archived.html.contains("archived"), "{archived:?}");
    assert_eq!(sent(&account).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_is_made_once_and_started_once() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let browser = Browser::of(&account.world, "anna").await;
    let place = address(&browser.open("/admin/campaigns/new/").await, "/admin/campaigns/new/");
    let post = async |text: &'static str| {
        let csv = Part::text(format!("phone\n{friend}\n")).file_name("people.csv");
        let form = Form::new().text("name", "Spring").text("content", text).text("pacing", "none").part("file", csv);
        browser.ask(account.world.request(Method::POST, &place).header("sec-fetch-site", "same-origin").multipart(form)).await
    };
    let refused = post("Hi {{name").await.is(400);
    assert_eq!(address(&refused, "/admin/campaigns/new/"), place);
    let (first, second) = (post("Hi").await, post("Hi").await);
    let path = first.header("location").to_owned();
    assert_eq!((first.status, second.header("location")), (303, path.as_str()), "{}", second.html);
    post("Hello").await.is(422).says(&["This form was sent before"]);
    let count = async || account.get("/campaigns/").await.body["data"]["count"].clone();
    assert_eq!(count().await, 1);
    let start = format!("{path}start/");
    let other = Browser::of(&account.world, "anna").await;
    let (one, two) = tokio::join!(browser.send(&start, &[]), other.send(&start, &[]));
    assert_eq!((one.header("location"), two.header("location")), (path.as_str(), path.as_str()));
    account.shown(&friend, "Hi").await;
    assert_eq!(sent(&account).await.len(), 1);
}
