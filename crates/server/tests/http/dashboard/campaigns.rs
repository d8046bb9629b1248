//! Campaigns in the browser: made of a file as a draft that says what it would do, started, and watched.

use super::Browser;
use crate::account::Account;
use crate::world::{World, eventually};
use reqwest::Method;
use reqwest::multipart::{Form, Part};

async fn upload(browser: &Browser<'_>, content: &str, csv: &str) -> super::browser::Shown {
    let form = Form::new().text("name", "Spring <b>").text("content", content.to_owned()).text("pacing", "default");
    let form = form.text("sessions", "default").part("file", Part::text(csv.to_owned()).file_name("people.csv"));
    let request = browser.world.request(Method::POST, "/admin/campaigns/new/").header("sec-fetch-site", "same-origin");
    browser.ask(request.multipart(form)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_becomes_a_draft_that_is_started_and_watched() {
    let account = Account::linked().await;
    let browser = Browser::of(&account.world, "anna").await;
    browser.open("/admin/campaigns/").await.is(200).says(&["No campaign yet", "/admin/campaigns/new/"]);
    browser.open("/admin/campaigns/new/").await.is(200).says(&["Make the draft", "{{name|there}}", "default, +"]);
    let friend = account.friend().await;
    let refused = upload(&browser, "Hi {{name", &format!("phone,name\n{friend},Ann\n")).await.is(400);
    refused.says(&["Spring &#60;b&#62;", "Hi {{name"]);
    upload(&browser, "Hi {{name}}", "who,name\n1,Ann\n").await.is(400).says(&["The file has no column"]);
    let made = upload(&browser, "Hi {{name}}", &format!("phone,name\n{friend},Ann\n12,Ben\n")).await;
    let path = made.header("location").to_owned();
    assert!(made.status == 303 && path.starts_with("/admin/campaigns/"), "{made:?}");
    let draft = browser.open(&path).await.is(200);
    let draft = draft.says(&["What it would do", "1 of 2 recipients would get a message", "RECIPIENT_INVALID", "Spring &#60;b&#62;"]);
    draft.says(&["data-live=\"/admin/campaigns/", "Start</button>", "draft</span>"]).hides(&["Pause</button>"]);
    browser.send(&format!("{path}pause/"), &[]).await.leads_to(&path);
    browser.open(&path).await.says(&["The campaign is draft; this is not possible then."]);
    browser.send(&format!("{path}start/"), &[]).await.leads_to(&path);
    account.shown(&friend, "Hi Ann").await;
    let finished = async || Some(browser.open(&path).await.is(200)).filter(|page| page.html.contains("finished</span>"));
    let page = eventually("the end of the campaign", finished).await;
    page.says(&["How far messages came", &friend, "2 of 2"]).hides(&["What it would do"]);
    let report = browser.open(&format!("{path}report/")).await;
    assert_eq!((report.header("content-type"), report.html.lines().count()), ("text/csv; charset=utf-8", 3), "{}", report.html);
    browser.open("/admin/campaigns/?state=finished&search=spring").await.is(200).says(&["Spring &#60;b&#62;"]);
    browser.open("/admin/sessions/").await.is(200);
    browser.open(&format!("{path}delete/")).await.is(200).says(&["Delete the campaign"]);
    browser.send(&format!("{path}delete/"), &[]).await.leads_to("/admin/campaigns/");
    browser.open(&path).await.is(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_says_how_it_fares_and_others_see_nothing() {
    let account = Account::linked().await;
    let browser = Browser::of(&account.world, "anna").await;
    let session = account.session().await["id"].as_str().expect("an id").to_owned();
    let page = browser.open(&format!("/admin/sessions/{session}/")).await.is(200);
    page.says(&["How it fares", "warming up", "day 1 of 7", "Messages today"]);
    let friend = account.friend().await;
    let made = upload(&browser, "Hi", &format!("phone\n{friend}\n")).await;
    let path = made.header("location").to_owned();
    let admin = account.world.admin().await;
    account.world.user(&admin, "eve").await;
    let eve = Browser::of(&account.world, "eve").await;
    for act in ["", "live/", "report/", "cancel/", "delete/"] {
        eve.open(&format!("{path}{act}")).await.is(404).hides(&["Spring"]);
    }
    for act in ["start/", "pause/", "resume/", "cancel/", "delete/"] {
        eve.send(&format!("{path}{act}"), &[]).await.is(404);
    }
    eve.open("/admin/campaigns/").await.is(200).hides(&["Spring"]);
    let admin = Browser::admin(&account.world).await;
    admin.open("/admin/campaigns/").await.is(200).says(&["Spring", "anna"]);
    admin.open(&path).await.is(200).says(&["of <a href=\"/admin/users/"]);
}

#[tokio::test]
async fn without_an_account_the_page_says_what_to_do() {
    let world = World::start().await;
    Browser::admin(&world).await.open("/admin/campaigns/new/").await.is(200).says(&["No account is linked yet"]);
}
