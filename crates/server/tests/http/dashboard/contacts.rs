//! Contacts on the pages: made, changed, opted out and in, imported with a look before, removed.

use super::Browser;
use crate::world::{As, World, text};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

const ANNA: &str = "+14155550101";

async fn start() -> (World, String) {
    let world = World::start().await;
    let admin = world.admin().await;
    let (_, token) = world.user(&admin, "anna").await;
    (world, token)
}

async fn contacts(world: &World, token: &str, query: &str) -> Vec<Value> {
    let reply = world.get(&format!("/contacts/?{query}"), As::Token(token)).await;
    reply.is(200, "").body["data"]["results"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn a_person_is_added_changed_opted_out_and_removed() {
    let (world, token) = start().await;
    let browser = Browser::of(&world, "anna").await;
    browser.open("/admin/contacts/").await.is(200).says(&["No contacts yet"]);
    browser.open("/admin/contacts/new/").await.is(200).says(&["Add the contact"]);
    let wrong = [("phone", "12"), ("name", "<b>x"), ("fields", "nonsense"), ("consent", "granted")];
    browser.send("/admin/contacts/new/", &wrong).await.is(400).says(&["fields-error", "value=\"&#60;b&#62;x\""]);
    let wrong = [("phone", "12"), ("name", "<b>x"), ("consent", "granted")];
    browser.send("/admin/contacts/new/", &wrong).await.is(400).says(&["phone-error"]);
    let right = [
        ("phone", "+1 415 555 0101"),
        ("name", "<b>Anna"),
        ("tags", "vip, new"),
        ("groups", ""),
        ("fields", "city = Köln\r\nname=a=b"),
        ("notes", "line one\r\nline two"),
        ("consent", "granted"),
        ("consent_note", "web form"),
    ];
    let made = browser.send("/admin/contacts/new/", &right).await;
    let contact = contacts(&world, &token, "").await.remove(0);
    let here = format!("/admin/contacts/{}/", text(&contact["id"]));
    made.leads_to(&here);
    assert_eq!((&contact["source"], &contact["fields"]), (&json!("dashboard"), &json!({"city": "Köln", "name": "a=b"})));
    assert_eq!((&contact["notes"], &contact["consent_source"]), (&json!("line one\nline two"), &json!("dashboard")));
    browser.open(&here).await.is(200).says(&["&#60;b&#62;Anna", "Köln", "agreed"]).hides(&["<b>Anna"]);
    browser.send("/admin/contacts/new/", &right).await.is(409).says(&["is a contact already"]);
    browser.open(&format!("{here}edit/")).await.is(200).says(&["value=\"new, vip\"", "city = Köln"]);
    let edited = [("name", "Ann"), ("tags", "vip"), ("fields", ""), ("notes", ""), ("consent", "granted"), ("consent_note", "web form")];
    browser.send(&format!("{here}edit/"), &edited).await.leads_to(&here);
    let changed = contacts(&world, &token, "tag=vip").await.remove(0);
    assert_eq!((&changed["name"], &changed["fields"], &changed["consent_at"]), (&json!("Ann"), &json!({}), &contact["consent_at"]));
    browser.open("/admin/contacts/?search=an&tag=vip&opted_out=false").await.is(200).says(&["Ann", ANNA, "not asked yet"]);
    browser.open("/admin/contacts/?search=zz").await.is(200).says(&["No contact fits"]);

    browser.send(&format!("{here}opt-out/"), &[("note", &"x".repeat(501))]).await.leads_to(&here);
    browser.open(&here).await.is(200).says(&["flash bad", "note "]).hides(&["Opted out"]);
    browser.send(&format!("{here}opt-out/"), &[("note", "by letter")]).await.leads_to(&here);
    browser.open(&here).await.is(200).says(&["Nothing is sent to this person", "opted out"]);
    browser.send(&format!("{here}opt-out/"), &[]).await.leads_to(&here);
    browser.open(&here).await.says(&["has opted out already"]);
    browser.open("/admin/opt-outs/").await.is(200).says(&[ANNA, "by letter", "in force", "said here"]);
    browser.open(&format!("{here}opt-in/")).await.is(200).says(&["How do you know?"]);
    browser.send(&format!("{here}opt-in/"), &[("note", "called")]).await.leads_to(&here);
    browser.open("/admin/opt-outs/?in_force=true").await.is(200).says(&["Nobody here"]);

    browser.send("/admin/contacts/check/", &[]).await.leads_to("/admin/contacts/");
    browser.open("/admin/contacts/").await.is(200).says(&["1 are still to be asked about"]);
    browser.open(&format!("{here}erase/")).await.is(200).says(&["Erase this person?"]);
    browser.open(&format!("{here}delete/")).await.is(200).says(&["Delete the contact?"]);
    browser.send(&format!("{here}delete/"), &[]).await.leads_to("/admin/contacts/");
    browser.open(&here).await.is(404);
}

#[tokio::test]
async fn a_list_of_opt_outs_is_kept_by_hand() {
    let (world, _) = start().await;
    let browser = Browser::of(&world, "anna").await;
    browser.send("/admin/opt-outs/", &[("phone", "12"), ("note", "")]).await.is(400).says(&["phone-error"]);
    browser.send("/admin/opt-outs/", &[("phone", ANNA), ("note", "<i>by mail")]).await.leads_to("/admin/opt-outs/");
    browser.send("/admin/opt-outs/", &[("phone", ANNA)]).await.is(409).says(&["has opted out already"]);
    let page = browser.open("/admin/opt-outs/").await.is(200).says(&[ANNA, "&#60;i&#62;by mail"]);
    let id = page.html.split("/admin/opt-outs/").find_map(|part| part.split_once("/end/").map(|(id, _)| id.to_owned())).expect("an id");
    browser.open(&format!("/admin/opt-outs/{id}/end/")).await.is(200).says(&[ANNA]);
    let ben = Browser::admin(&world).await;
    ben.open(&format!("/admin/opt-outs/{id}/end/")).await.is(404);
    browser.send(&format!("/admin/opt-outs/{id}/end/"), &[("note", "called")]).await.leads_to("/admin/opt-outs/");
    browser.send(&format!("/admin/opt-outs/{id}/end/"), &[]).await.leads_to("/admin/opt-outs/");
    browser.open("/admin/opt-outs/").await.says(&["has ended already"]);
}

#[tokio::test]
async fn settings_are_shown_kept_and_refused() {
    let (world, token) = start().await;
    let browser = Browser::of(&world, "anna").await;
    browser.open("/admin/contacts/settings/").await.is(200).says(&["en, de, fr"]);
    let wanted = [("requires_consent", "on"), ("stop_answer", "Goodbye.\r\nFor ever."), ("start_answer", " ")];
    browser.send("/admin/contacts/settings/", &wanted).await.leads_to("/admin/contacts/settings/");
    let kept = world.get("/contacts/settings/", As::Token(&token)).await.body["data"].clone();
    assert_eq!(
        kept,
        json!({"requires_consent": true, "from_conversations": false, "stop_answer": "Goodbye.\nFor ever.", "start_answer": null})
    );
    browser.send("/admin/contacts/settings/", &[("stop_answer", &"x".repeat(70_000))]).await.is(400).says(&["stop_answer-error"]);
}

async fn import(browser: &Browser<'_>, fields: &[(&str, &str)], file: &str) -> super::browser::Shown {
    let form = fields.iter().fold(Form::new(), |form, (name, value)| form.text((*name).to_owned(), (*value).to_owned()));
    let form = form.part("file", Part::bytes(file.as_bytes().to_vec()).file_name("people.csv"));
    let request = browser.world.request(Method::POST, "/admin/contacts/import/").header("sec-fetch-site", "same-origin");
    browser.ask(request.multipart(form)).await
}

#[tokio::test]
async fn a_file_is_looked_at_and_then_imported_with_columns_as_chosen() {
    let (world, token) = start().await;
    let browser = Browser::of(&world, "anna").await;
    browser.open("/admin/contacts/import/").await.is(200).says(&["Only look at it", "data-import"]);
    let file = "Handy;Wer;Kunden-Nr.\n+14155550101;<b>Anna;17\n12;Ben;18\n";
    let looked = import(&browser, &[("dry_run", "true")], file).await.is(200);
    looked.says(&["What would happen", "name=\"as:Kunden-Nr.\"", "Lines that were refused", "&#60;b&#62;Anna"]).hides(&["<b>Anna"]);
    assert!(contacts(&world, &token, "").await.is_empty());
    let chosen = [("as:Handy", "phone"), ("as:Wer", "name"), ("as:Kunden-Nr.", "field:kunde")];
    import(&browser, &chosen, file).await.is(200).says(&["What came of it", "Imports"]);
    let made = contacts(&world, &token, "").await.remove(0);
    assert_eq!((&made["name"], &made["fields"]), (&json!("<b>Anna"), &json!({"kunde": "17"})));
    import(&browser, &[], "nothing here\n").await.is(400).says(&["must say which column is `phone`"]);
    let answer = browser.open("/admin/contacts/export/?search=anna").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/csv; charset=utf-8"));
    assert!(answer.html.contains("'+14155550101,<b>Anna,"), "{}", answer.html);
    browser.open("/admin/opt-outs/import/").await.is(200).says(&["bare numbers"]);
}

#[tokio::test]
async fn an_admin_acts_in_the_list_that_is_shown() {
    let (world, token) = start().await;
    let me = world.get("/auth/me/", As::Token(&token)).await;
    let id = text(&me.body["data"]["id"]);
    let admin = Browser::admin(&world).await;
    let here = format!("/admin/opt-outs/?user={id}");
    admin.open(&here).await.is(200).says(&["anna", &format!("action=\"{here}\"")]);
    admin.send(&here, &[("phone", ANNA), ("note", "by letter")]).await.leads_to(&here);
    let in_force = async || {
        let listed = world.get("/opt-outs/?in_force=true", As::Token(&token)).await;
        listed.is(200, "").body["data"]["results"].as_array().expect("a list").clone()
    };
    let opt_out = in_force().await.pop().expect("the user's, not the admin's");
    let end = format!("/admin/opt-outs/{}/end/?user={id}", text(&opt_out["id"]));
    admin.open(&here).await.is(200).says(&[&end]);
    admin.open(&end).await.is(200).says(&[ANNA, &end]);
    admin.send(&end, &[("note", "they asked for it")]).await.leads_to(&here);
    assert!(in_force().await.is_empty());

    world.post("/contacts/", As::Token(&token), json!({"phone": ANNA, "name": "Anna"})).await.is(201, "");
    let contacts = format!("/admin/contacts/?user={id}");
    let check = format!("/admin/contacts/check/?user={id}");
    admin.open(&contacts).await.is(200).says(&[&format!("action=\"{check}\"")]);
    admin.send(&check, &[]).await.leads_to(&contacts);
    let asked = world.post("/contacts/check/", As::Token(&token), json!({})).await;
    assert_eq!((&asked.body["data"]["added"], &asked.body["data"]["left"]), (&json!(0), &json!(1)), "{}", asked.text);
    // Others act on their own, whoever the address names.
    let anna = Browser::of(&world, "anna").await;
    let other =
        format!("/admin/opt-outs/?user={}", text(&world.get("/auth/me/", As::Token(&world.admin().await)).await.body["data"]["id"]));
    anna.send(&other, &[("phone", ANNA), ("note", "mine")]).await.leads_to("/admin/opt-outs/");
    assert_eq!(in_force().await.len(), 1);
}
