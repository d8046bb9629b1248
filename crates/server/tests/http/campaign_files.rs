//! Files of campaigns: as part of the form, refused with the field that has to be changed, and handed to WhatsApp once for all.

use crate::account::Account;
use crate::campaigns::to;
use crate::world::PATIENCE;
use crate::world::{As, Reply, text};
use base64::Engine as _;
use image::{DynamicImage, ImageFormat};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use sanasend_sandbox::{Fault, MessageKind, ShownMessage};
use serde_json::{Value, json};
use std::io::Cursor;
use std::time::Duration;

fn png() -> Vec<u8> {
    png_of(64)
}

fn png_of(width: u32) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::new_rgb8(width, 48).write_to(&mut bytes, ImageFormat::Png).expect("encoded");
    bytes.into_inner()
}

/// A form with a list of recipients and a file for everybody.
fn form(fields: &[(&str, &str)], friends: &[String], file: Part) -> Form {
    let people = friends.iter().map(|phone| format!("{phone},Ann\n")).collect::<Vec<_>>().concat();
    let texts = fields.iter().fold(Form::new(), |form, (name, value)| form.text((*name).to_owned(), (*value).to_owned()));
    texts.part("media_file", file).part("file", Part::text(format!("phone,name\n{people}")).file_name("people.csv"))
}

fn picture() -> Part {
    Part::bytes(png()).file_name("menu.png").mime_str("image/png").expect("a type")
}

impl Account {
    async fn make(&self, form: Form, key: Option<&str>) -> Reply {
        let request = As::Key(&self.key).sign(self.world.request(Method::POST, "/api/v1/campaigns/")).multipart(form);
        let request = key.into_iter().fold(request, |request, key| request.header("idempotency-key", key));
        Reply::read(request.send().await.expect("an answer")).await
    }

    /// Waits until a phone shows the picture with this caption, and has opened it.
    async fn opens(&self, friend: &str, caption: &str) {
        let has = |shown: &ShownMessage| shown.kind == MessageKind::Image && shown.text == caption;
        let shown = self.control().wait_until(friend, PATIENCE, |shown| shown.iter().any(has)).await.expect("the phone");
        let message = shown.into_iter().find(has).unwrap_or_else(|| panic!("{friend} never saw {caption:?}"));
        assert_eq!(self.control().media_bytes(friend, &message.id, PATIENCE).await.expect("opened"), png());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_takes_the_file_itself() {
    let account = Account::linked().await;
    let friends = account.friends(2).await;
    let fields = [("content", "For {{name}}"), ("pacing", "none"), ("start", "true"), ("quiet_hours", "false")];
    let made = account.make(form(&fields, &friends, picture()), Some("menu")).await;
    let media = &made.is(201, "").body["data"]["media"];
    assert_eq!((&media["media_type"], &media["filename"], &media["mime"]), (&json!("image"), &json!("menu.png"), &json!("image/png")));
    assert_eq!(made.body["data"]["quiet_hours"], false);
    for friend in &friends {
        account.opens(friend, "For Ann").await;
    }
    // The bytes belong to what makes two requests the same.
    let again = account.make(form(&fields, &friends, picture()), Some("menu")).await;
    assert_eq!((&again.is(201, "").body["data"]["id"], again.header("idempotency-replayed")), (&made.body["data"]["id"], "true"));
    let other = Part::bytes(png_of(32)).file_name("menu.png").mime_str("image/png").expect("a type");
    account.make(form(&fields, &friends, other), Some("menu")).await.is(422, "IDEMPOTENCY_KEY_REUSED");
    let as_document = [("media_type", "document"), ("pacing", "none")];
    let made = account.make(form(&as_document, &friends, picture()), None).await;
    let data = &made.is(201, "").body["data"];
    assert_eq!((&data["media"]["media_type"], &data["content"], &data["quiet_hours"]), (&json!("document"), &json!(""), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_file_of_a_form_is_named() {
    let account = Account::linked().await;
    let friends = account.friends(1).await;
    let json = json!({"media_type": "image", "media_base64": base64::engine::general_purpose::STANDARD.encode(png())}).to_string();
    let wrong: [(&[(&str, &str)], &str); 5] = [
        (&[("media", &json)], "media_file"),
        (&[("media_type", "painting")], "media_type"),
        (&[("media_type", "sticker"), ("content", "Hi")], "content"),
        (&[("template", "menu")], "template"),
        (&[("quiet_hours", "perhaps")], "quiet_hours"),
    ];
    for (fields, field) in wrong {
        account.make(form(fields, &friends, picture()), None).await.is(400, "VALIDATION_ERROR").names(&[field]);
    }
    let people = format!("phone\n{}\n", friends[0]);
    let alone = [("content", "Hi"), ("media_type", "image")];
    account.upload("/campaigns/", &alone, &people).await.is(400, "VALIDATION_ERROR").names(&["media_type"]);
    let twice = form(&[], &friends, picture()).part("media_file", picture());
    account.make(twice, None).await.is(400, "VALIDATION_ERROR").names(&["media_file"]);
    let lie = Part::bytes(b"no picture".to_vec()).file_name("menu.png").mime_str("image/png").expect("a type");
    account.make(form(&[], &friends, lie), None).await.is(400, "MEDIA_TYPE_NOT_ALLOWED");
    let empty = Part::bytes(Vec::new()).file_name("menu.png").mime_str("image/png").expect("a type");
    account.make(form(&[], &friends, empty), None).await.is(400, "MEDIA_INVALID");
    let large = Part::bytes(vec![0; (1 << 20) + 1]).file_name("much.webp");
    account.make(form(&[("media_type", "sticker")], &friends, large), None).await.is(413, "MEDIA_TOO_LARGE");
    assert_eq!(account.get("/campaigns/").await.body["data"]["count"], 0, "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_for_many_goes_up_once_and_again_when_it_is_gone_or_old() {
    let account = Account::linked().await;
    let friends = account.friends(6).await;
    let encoded = base64::engine::general_purpose::STANDARD.encode(png());
    let uploads = || account.control().state().uploads;
    let send = async |kind: &str, content: &str| {
        let media = json!({"media_type": kind, "media_base64": encoded, "filename": "menu.png"});
        let body = json!({"media": media, "content": content, "recipients": to(&friends), "pacing": "none"});
        let made = account.post("/messages/send-bulk/", body).await;
        account.campaign_becomes(&text(&made.is(202, "").body["data"]["id"]), "finished").await;
    };
    let all_open = async |content: &str| {
        for (at, friend) in friends.iter().enumerate() {
            account.opens(friend, &format!("{content} friend {at}")).await;
        }
    };
    send("image", "One {{name}}").await;
    all_open("One").await;
    assert_eq!(uploads(), 1, "six messages, one upload");
    send("image", "Two {{name}}").await;
    all_open("Two").await;
    assert_eq!(uploads(), 1, "the next campaign finds it there");
    // What opens it is made for its kind.
    send("document", "Three {{name}}").await;
    assert_eq!(uploads(), 2);
    // The host is asked now and then, and says so when it has it no longer.
    account.pass(Duration::from_mins(90)).await;
    send("image", "Four {{name}}").await;
    all_open("Four").await;
    assert_eq!(uploads(), 2, "asked, and still there");
    account.control().fault(&account.number, Fault::MediaGone(410)).expect("planted");
    account.pass(Duration::from_mins(90)).await;
    send("image", "Five {{name}}").await;
    all_open("Five").await;
    assert_eq!(uploads(), 3, "asked, gone, and handed over anew");
    account.pass(Duration::from_hours(8 * 24)).await;
    send("image", "Six {{name}}").await;
    all_open("Six").await;
    assert_eq!(uploads(), 4, "an old one is not trusted");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_try_asks_whether_the_file_is_still_there() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let encoded = base64::engine::general_purpose::STANDARD.encode(png());
    let uploads = || account.control().state().uploads;
    // A message whose file went up, and that WhatsApp refused.
    let refused = async |caption: &str| {
        account.control().fault(&account.number, Fault::Nack { code: 479, count: 1 }).expect("planted");
        let body = json!({"recipient": friend, "media_type": "image", "media_base64": encoded, "caption": caption});
        let sent = account.post("/messages/send-media/", body).await;
        let id = sent.is(202, "").body["data"]["id"].clone();
        account.message_becomes(&id, "failed").await;
        account.pass(Duration::from_mins(2)).await;
        id
    };
    let again = async |id: &Value| {
        account.post(&format!("/messages/{}/retry/", text(id)), Value::Null).await.is(202, "");
    };
    let id = refused("One").await;
    assert_eq!(uploads(), 1);
    again(&id).await;
    account.opens(&friend, "One").await;
    assert_eq!(uploads(), 1, "asked, and still there");
    let id = refused("Two").await;
    assert_eq!(uploads(), 1, "one upload for both");
    account.control().fault(&account.number, Fault::MediaGone(410)).expect("planted");
    again(&id).await;
    account.opens(&friend, "Two").await;
    assert_eq!(uploads(), 2, "gone within the hour, and handed over anew");
}
