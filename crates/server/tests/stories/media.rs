//! Files, there and back: what a phone gets is what the customer sent, and the other way round, through every trouble on
//! the way.

use crate::world::{Answer, Friend, PATIENCE, Shop, Split, World, eventually};
use base64::Engine as _;
use reqwest::multipart::{Form, Part};
use sanasend_sandbox::{Fault, MediaTrouble, MediaWay, MessageKind, NewMedia, ShownMessage};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::Cursor;

fn png() -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let picture = image::DynamicImage::new_rgb8(320, 200);
    picture.write_to(&mut bytes, image::ImageFormat::Png).expect("encoded");
    bytes.into_inner()
}

/// The first page of an Ogg Opus file and nothing that could be played: enough to be told what it is.
fn voice() -> Vec<u8> {
    let mut ogg = b"OggS\x00\x02".to_vec();
    ogg.resize(28, 0);
    ogg.extend_from_slice(b"OpusHead\x01\x01\x38\x01\x80\xbb\x00\x00\x00\x00\x00");
    ogg.extend_from_slice(b"OggS\x00\x04");
    ogg.extend_from_slice(&(48_000_u64 * 5 + 312).to_le_bytes());
    ogg.resize(400, 7);
    ogg
}

fn sha(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn form(friend: &Friend, kind: &str, name: &str, bytes: Vec<u8>) -> Form {
    let part = Part::bytes(bytes).file_name(name.to_owned());
    Form::new().text("recipient", friend.number.clone()).text("media_type", kind.to_owned()).part("file", part)
}

async fn send(shop: &Shop, form: Form) -> Value {
    shop.api.upload("/messages/send-media/", form).await.expect(202).clone()
}

/// Waits until the phone has opened a file of this kind, and answers the message.
async fn gets(friend: &Friend, kind: MessageKind, bytes: &[u8]) -> ShownMessage {
    let shown = friend.control().wait_for_media(&friend.number, kind, &sha(bytes), PATIENCE).await.expect("the phone");
    let shown = shown.unwrap_or_else(|| panic!("{} never had the file", friend.number));
    let there = friend.control().media_bytes(&friend.number, &shown.id, PATIENCE).await.expect("the file");
    assert!(there == bytes, "{} bytes instead of {}", there.len(), bytes.len());
    shown
}

/// A phone sends a file to the shop; answers the incoming message.
async fn from_phone(friend: &Friend, shop: &Shop, new: NewMedia, bytes: &[u8]) -> Value {
    friend.control().send_media(&friend.number, &shop.number, new, bytes.to_vec()).await.expect("sent");
    let of = sha(bytes);
    eventually("the file's message", || async { shop.incoming().await.into_iter().find(|message| message["media"]["sha256"] == json!(of)) })
        .await
}

fn picture_of_anna() -> NewMedia {
    NewMedia {
        kind: MessageKind::Image,
        mime: Some("image/png".into()),
        caption: Some("me".into()),
        width: Some(320),
        height: Some(200),
        thumbnail: Some(vec![0xff, 0xd8, 0xff, 0xd9]),
        ..NewMedia::default()
    }
}

async fn file_of(shop: &Shop, message: &Value) -> Answer {
    shop.api.get(&format!("/messages/{}/media/", message["id"].as_str().expect("an id"))).await
}

async fn bytes_of(shop: &Shop, message: &Value) -> Vec<u8> {
    shop.api.bytes(&format!("/messages/{}/media/", message["id"].as_str().expect("an id"))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_every_kind_reach_the_phone_as_they_were() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let anna = world.friend("Anna").await;
    let sent = send(&shop, form(&anna, "image", "photo.png", png()).text("caption", "look")).await;
    let shown = gets(&anna, MessageKind::Image, &png()).await;
    let media = shown.media.as_ref().expect("a file");
    assert_eq!((json!(shown.id), shown.text.as_str()), (sent["wa_message_id"].clone(), "look"));
    assert_eq!((media.mime.as_str(), media.width, media.height), ("image/png", Some(320), Some(200)));
    let small = base64::engine::general_purpose::STANDARD.decode(media.thumbnail.as_ref().expect("a thumbnail")).expect("base64");
    assert_eq!(image::load_from_memory(&small).expect("a JPEG").width(), 100);
    shop.message_becomes(&sent, "delivered").await;

    let report = b"%PDF-1.7\nnot much of a report".to_vec();
    send(&shop, form(&anna, "document", "../../report 7.pdf", report.clone())).await;
    let shown = gets(&anna, MessageKind::Document, &report).await;
    let media = shown.media.expect("a file");
    assert_eq!((media.mime.as_str(), media.file_name.as_deref()), ("application/pdf", Some("report 7.pdf")));

    send(&shop, form(&anna, "voice_note", "voice.ogg", voice())).await;
    let shown = gets(&anna, MessageKind::VoiceNote, &voice()).await;
    let media = shown.media.expect("a file");
    assert_eq!((media.mime.as_str(), media.seconds), ("audio/ogg; codecs=opus", Some(5)));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_from_a_phone_is_told_at_once_and_fetched_when_asked_for() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let anna = world.friend("Anna").await;
    let message = from_phone(&anna, &shop, picture_of_anna(), &png()).await;
    let media = &message["media"];
    assert_eq!((&message["message_type"], &message["caption"], &message["content"]), (&json!("image"), &json!("me"), &Value::Null));
    assert_eq!((&media["state"], &media["mime"], &media["width"]), (&json!("remote"), &json!("image/png"), &json!(320)));
    let told = shop.events().await.into_iter().find(|event| event["type"] == "message.received").expect("told");
    assert_eq!(told["data"]["message"]["media"]["sha256"], media["sha256"]);
    assert_eq!(told["data"]["message"]["caption"], "me");

    assert_eq!(sha(&bytes_of(&shop, &message).await), sha(&png()));
    assert_eq!(shop.message(&message["id"]).await["media"]["state"], "stored");
    // From now on it is here, whatever becomes of it at WhatsApp.
    world.control().fault(&anna.number, Fault::MediaGone(410)).expect("planted");
    assert_eq!(sha(&bytes_of(&shop, &message).await), sha(&png()));
    let small = format!("/messages/{}/media/?thumbnail=1", message["id"].as_str().expect("an id"));
    assert_eq!(shop.api.bytes(&small).await, [0xff, 0xd8, 0xff, 0xd9], "as it came");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_fetched_without_being_asked_for_where_that_is_wished() {
    let world = World::start_with(|config| config.media.fetch = sanasend::config::kinds::MediaFetch::Always).await;
    let shop = world.linked_shop().await;
    let anna = world.friend("Anna").await;
    let message = from_phone(&anna, &shop, picture_of_anna(), &png()).await;
    eventually("the file is here", || async {
        let now = shop.message(&message["id"]).await;
        (now["media"]["state"] == "stored").then_some(())
    })
    .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoilt_download_is_refused_and_a_good_one_taken() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let anna = world.friend("Anna").await;
    let message = from_phone(&anna, &shop, picture_of_anna(), &png()).await;
    let corrupt = Fault::Media { way: MediaWay::Download, trouble: MediaTrouble::Corrupt, count: 100 };
    world.control().fault(&anna.number, corrupt).expect("planted");
    let refused = file_of(&shop, &message).await;
    assert_eq!((refused.status, refused.code()), (502, "MEDIA_CORRUPT"), "{}", refused.body);
    assert_eq!(shop.message(&message["id"]).await["media"]["state"], "failed");
    world.control().clear_faults();
    assert_eq!(sha(&bytes_of(&shop, &message).await), sha(&png()));

    let busy = Fault::Media { way: MediaWay::Download, trouble: MediaTrouble::Status(503), count: 100 };
    let other = from_phone(&anna, &shop, NewMedia { kind: MessageKind::Document, ..NewMedia::default() }, b"another").await;
    world.control().fault(&anna.number, busy).expect("planted");
    let later = file_of(&shop, &other).await;
    assert_eq!((later.status, later.code()), (503, "MEDIA_NOT_FETCHED"), "{}", later.body);
    assert_eq!(shop.message(&other["id"]).await["media"]["state"], "remote", "it may still come");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_whatsapp_has_no_longer_is_asked_of_its_senders_phone() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let anna = world.friend("Anna").await;
    let message = from_phone(&anna, &shop, picture_of_anna(), &png()).await;
    world.control().fault(&anna.number, Fault::MediaGone(410)).expect("planted");
    assert_eq!(sha(&bytes_of(&shop, &message).await), sha(&png()), "the phone handed it over again");
    assert_eq!(shop.message(&message["id"]).await["media"]["state"], "stored");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_media_host_in_trouble_delays_a_file_and_no_other_chat() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let (anna, ben) = (world.friend("Anna").await, world.friend("Ben").await);
    let trouble = Fault::Media { way: MediaWay::Upload, trouble: MediaTrouble::Status(500), count: 2 };
    world.control().fault(&shop.number, trouble).expect("planted");
    let sent = send(&shop, form(&anna, "image", "photo.png", png())).await;
    let after = shop.send_text(&anna, "after the picture").await;
    shop.send_text(&ben, "hello Ben").await;
    ben.sees("hello Ben").await;
    gets(&anna, MessageKind::Image, &png()).await;
    anna.sees("after the picture").await;
    let done = shop.message_becomes(&sent, "delivered").await;
    let steps: Vec<&str> = done["timeline"].as_array().expect("steps").iter().filter_map(|step| step["step"].as_str()).collect();
    assert!(steps.contains(&"retrying"), "{steps:?}");
    shop.message_becomes(&after, "delivered").await;
    let shown = world.control().messages(&anna.number).expect("the phone");
    assert_eq!(shown.iter().filter(|message| message.kind == MessageKind::Image).count(), 1);
    assert_eq!(shown.last().expect("messages").text, "after the picture", "the order of the chat holds");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_media_host_refuses_fails_with_its_reason() {
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let anna = world.friend("Anna").await;
    let refusal = Fault::Media { way: MediaWay::Upload, trouble: MediaTrouble::Status(413), count: 100 };
    world.control().fault(&shop.number, refusal).expect("planted");
    let sent = send(&shop, form(&anna, "image", "photo.png", png())).await;
    let failed = shop.message_becomes(&sent, "failed").await;
    assert_eq!(failed["error_code"], "MEDIA_NOT_SENDABLE", "{failed}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_an_upload_it_is_sent_once() {
    let mut split = Split::linked().await;
    let anna = split.friend("Anna").await;
    let shop = split.shop();
    let bytes: Vec<u8> = (0..=255_u8).cycle().take(3 << 20).collect();
    let slow = Fault::Media { way: MediaWay::Upload, trouble: MediaTrouble::Slow(64 * 1024), count: 100 };
    split.control().fault(&shop.number, slow).expect("planted");
    let sent = send(&shop, form(&anna, "document", "big.bin", bytes.clone())).await;
    eventually("the upload is under way", || async {
        let now = shop.message(&sent["id"]).await;
        now["timeline"].as_array()?.iter().any(|step| step["step"] == "claimed").then_some(())
    })
    .await;
    split.kill().await;
    split.control().clear_faults();
    split.run().await;
    gets(&anna, MessageKind::Document, &bytes).await;
    split.shop().message_becomes(&sent, "delivered").await;
    let shown = split.control().messages(&anna.number).expect("the phone");
    assert_eq!(shown.iter().filter(|message| message.kind == MessageKind::Document).count(), 1);
    assert_eq!(sha(&bytes_of(&split.shop(), &sent).await), sha(&bytes), "and it is still here");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_of_100_mib_does_not_cost_100_mib() {
    let split = Split::linked().await;
    let anna = split.friend("Anna").await;
    let shop = split.shop();
    let bytes: Vec<u8> = (0..=250_u8).cycle().take(100 << 20).collect();
    // What a first file costs once: threads, connections, caches.
    let small = send(&shop, form(&anna, "document", "small.bin", b"small".to_vec())).await;
    shop.message_becomes(&small, "delivered").await;
    let before = split.process().peak_kib();
    let sent = send(&shop, form(&anna, "document", "big.bin", bytes.clone())).await;
    shop.message_becomes(&sent, "delivered").await;
    assert_eq!(sent["media"]["sha256"], json!(sha(&bytes)));
    assert_eq!(sha(&bytes_of(&shop, &sent).await), sha(&bytes));
    let grown = split.process().peak_kib() - before;
    assert!(grown < 40 * 1024, "the peak grew by {} MiB", grown / 1024);
}
