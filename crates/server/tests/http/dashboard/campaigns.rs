//! Campaigns in the browser: made of a file as a draft that says what it would do, started, and watched.

use super::Browser;
use crate::account::Account;
use crate::world::{World, eventually};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use sanasend_sandbox::MessageKind;
use std::io::Cursor;
use std::time::Duration;

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
    browser.open(&format!("{path}?state=typo")).await.is(400).says(&["state can"]).hides(&["<table"]);
    browser.open(&format!("{path}?state=accepted")).await.is(200).says(&["None is in this state."]);
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

/// Sends the whole form as browsers do: a file that was not chosen is a part without name and bytes.
async fn fill(browser: &Browser<'_>, csv: &str, fields: [&str; 3], file: Option<(&str, &str, Vec<u8>)>) -> super::browser::Shown {
    let [content, quiet_hours, media_type] = fields;
    let (name, mime, bytes) = file.unwrap_or(("", "application/octet-stream", Vec::new()));
    let form = Form::new().text("name", "Menu").text("sessions", "default").text("content", content.to_owned());
    let form = form.text("quiet_hours", quiet_hours.to_owned()).text("pacing", "none");
    let form = form.part("file", Part::text(csv.to_owned()).file_name("people.csv")).text("media_type", media_type.to_owned());
    let form = form.part("media_file", Part::bytes(bytes).file_name(name.to_owned()).mime_str(mime).expect("a type"));
    let request = browser.world.request(Method::POST, "/admin/campaigns/new/").header("sec-fetch-site", "same-origin");
    browser.ask(request.multipart(form)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_for_everybody_and_quiet_hours_are_entered_refused_beside_their_fields_and_shown() {
    let account = Account::linked().await;
    let browser = Browser::of(&account.world, "anna").await;
    let page = browser.open("/admin/campaigns/new/").await.is(200);
    page.says(&["File for everybody", "Send the file as", "As set in Quiet hours", "Send at night too"]);
    let friend = account.friend().await;
    let csv = format!("phone,name\n{friend},Ann\n");
    let mut picture = Cursor::new(Vec::new());
    image::DynamicImage::new_rgb8(64, 48).write_to(&mut picture, image::ImageFormat::Png).expect("encoded");
    let picture = picture.into_inner();
    let png = || Some(("menu.png", "image/png", picture.clone()));
    let kept = ["Hi {{name}}", "value=\"false\" selected", "value=\"none\" selected", "value=\"Menu\""];
    let refusals = [
        ("", Some(("menu.png", "image/png", b"no picture".to_vec())), 400, "media_file-error"),
        ("sticker", Some(("much.webp", "image/webp", vec![0; (1 << 20) + 1])), 413, "media_file-error"),
        ("image", Some(("menu.png", "image/png", Vec::new())), 400, "media_file-error"),
        ("image", None, 400, "media_type-error"),
        ("painting", png(), 400, "media_type-error"),
        ("audio", png(), 400, "content-error"),
    ];
    for (media_type, file, status, beside) in refusals {
        let page = fill(&browser, &csv, ["Hi {{name}}", "false", media_type], file).await.is(status);
        page.says(&[&format!("id=\"{beside}\""), "Please look at the marked fields."]).says(&kept);
    }
    fill(&browser, &csv, ["Hi", "perhaps", ""], None).await.is(400).says(&["id=\"quiet_hours-error\""]);
    browser.open("/admin/campaigns/").await.is(200).says(&["No campaign yet"]);

    let made = fill(&browser, &csv, ["Hi {{name}}", "false", ""], png()).await;
    let path = made.header("location").to_owned();
    assert!(made.status == 303 && path.starts_with("/admin/campaigns/"), "{made:?}");
    let draft = browser.open(&path).await.is(200);
    draft.says(&["menu.png", "image/png", "bytes, sent as image", "it sends at night too", "Hi {{name}}"]);
    browser.send(&format!("{path}start/"), &[]).await.leads_to(&path);
    let shown = account.shown(&friend, "Hi Ann").await;
    assert_eq!(shown.kind, MessageKind::Image);
    assert_eq!(account.control().media_bytes(&friend, &shown.id, Duration::from_secs(30)).await.expect("opened"), picture);

    // Beside a file the text may be left empty, and a campaign without a file is as ever.
    let made = fill(&browser, &csv, ["", "true", "document"], png()).await;
    browser.open(made.header("location")).await.is(200).says(&["sent as document", "it waits where it is night"]);
    let made = fill(&browser, &csv, ["Hi", "", ""], None).await;
    browser.open(made.header("location")).await.is(200).says(&["as its owner has set them"]).hides(&["bytes, sent as"]);
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
