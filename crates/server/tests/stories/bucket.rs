//! Files of messages in a bucket: a server that speaks S3 and checks signatures, large files in parts, a bucket in trouble,
//! and what the operator is told.

use crate::world::{ACCESS_KEY, BUCKET, Bucket, SECRET_KEY, Shop, World};
use axum::http::StatusCode;
use reqwest::multipart::{Form, Part};
use sanasend::config::{Config, Hidden};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::Path;

fn in_bucket(config: &mut Config, bucket: &Bucket, secret: &str) {
    let media = &mut config.media;
    media.storage_url = Some(format!("s3://{BUCKET}/sana send/media"));
    media.s3_endpoint = Some(bucket.endpoint());
    media.s3_access_key_id = Some(Hidden(ACCESS_KEY.into()));
    media.s3_secret_access_key = Some(Hidden(secret.into()));
}

fn document(number: &str, bytes: Vec<u8>) -> Form {
    let part = Part::bytes(bytes).file_name("a document.bin");
    Form::new().text("recipient", number.to_owned()).text("media_type", "document").part("file", part)
}

async fn send(shop: &Shop, number: &str, bytes: &[u8]) -> Value {
    shop.api.upload("/messages/send-media/", document(number, bytes.to_vec())).await.expect(202).clone()
}

async fn part(world: &World, name: &str) -> Value {
    let health = world.api().get("/health/").await;
    let parts = health.expect(200)["parts"].as_array().expect("parts").clone();
    parts.into_iter().find(|part| part["name"] == json!(name)).expect("the part")
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_messages_lie_in_a_bucket_small_ones_whole_and_large_ones_in_parts() {
    let bucket = Bucket::start().await;
    bucket.put("somebody/else's", b"not ours");
    let world = World::start_with(|config| in_bucket(config, &bucket, SECRET_KEY)).await;
    let shop = world.linked_shop().await;
    let anna = world.friend("Anna").await;
    assert_eq!(part(&world, "storage").await["status"], "ok");
    let large: Vec<u8> = (0..=250_u8).cycle().take((17 << 20) + 5).collect();
    for bytes in [&b"a few bytes"[..], &large] {
        let sent = send(&shop, &anna.number, bytes).await;
        shop.message_becomes(&sent, "delivered").await;
        let path = format!("/messages/{}/media/", sent["id"].as_str().expect("an id"));
        assert_eq!(Sha256::digest(shop.api.bytes(&path).await), Sha256::digest(bytes), "and it comes back");
    }
    let mut sizes: Vec<usize> =
        bucket.objects().into_iter().filter(|(name, _)| name.starts_with("sana send/media/")).map(|(_, size)| size).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [11, large.len()], "{:?}", bucket.objects());
    assert_eq!((bucket.asked("begin"), bucket.asked("part"), bucket.asked("complete")), (1, 3, 1));
    assert_eq!(bucket.asked("refused"), 0, "every request was signed as it must be");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_in_trouble_is_told_and_texts_still_go() {
    let bucket = Bucket::start().await;
    let world = World::start_with(|config| in_bucket(config, &bucket, SECRET_KEY)).await;
    let shop = world.linked_shop().await;
    let anna = world.friend("Anna").await;
    bucket.trouble(Some(StatusCode::FORBIDDEN));
    let refused = shop.api.upload("/messages/send-media/", document(&anna.number, b"bytes".to_vec())).await;
    assert_eq!((refused.status, refused.code()), (503, "SERVICE_UNAVAILABLE"), "{}", refused.body);
    let told = part(&world, "storage").await;
    assert_eq!(told["status"], "down", "{told}");
    world.api().get("/health/").await.expect(200);
    shop.send_text(&anna, "a text").await;
    anna.sees("a text").await;
    bucket.trouble(None);
    let sent = send(&shop, &anna.number, b"bytes").await;
    shop.message_becomes(&sent, "delivered").await;
    world.stop().await;
}

async fn doctor(folder: &Path, bucket: &Bucket, secret: &str) -> Value {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_sanasend"));
    command.arg("--data-dir").arg(folder.join("data")).args(["doctor", "--json"]).env("SANASEND_LISTEN", "127.0.0.1:0");
    command.env("SANASEND_MEDIA_STORAGE_URL", format!("s3://{BUCKET}/media")).env("SANASEND_MEDIA_S3_ENDPOINT", bucket.endpoint());
    command.env("SANASEND_MEDIA_S3_ACCESS_KEY_ID", ACCESS_KEY).env("SANASEND_MEDIA_S3_SECRET_ACCESS_KEY", secret);
    let output = command.output().await.expect("the binary");
    let findings: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    findings.into_iter().find(|finding| finding["check"] == "storage").expect("a word about the storage")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_tries_the_bucket_out_and_leaves_nothing_behind() {
    let bucket = Bucket::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let right = doctor(folder.path(), &bucket, SECRET_KEY).await;
    assert_eq!(right["verdict"], "good", "{right}");
    assert_eq!((bucket.asked("put"), bucket.asked("get"), bucket.asked("delete")), (1, 1, 1));
    assert!(bucket.objects().is_empty());
    let wrong = doctor(folder.path(), &bucket, "another secret").await;
    assert_eq!(wrong["verdict"], "bad", "{wrong}");
    assert!(wrong["text"].as_str().expect("a sentence").contains(BUCKET) && !wrong.to_string().contains("another secret"), "{wrong}");
    assert!(bucket.asked("refused") > 0, "a wrong signature is refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_message_carries_is_swept_out_of_the_bucket_and_nothing_else() {
    let bucket = Bucket::start().await;
    let world = World::start_with(|config| in_bucket(config, &bucket, SECRET_KEY)).await;
    let shop = world.linked_shop().await;
    let anna = world.friend("Anna").await;
    let sent = send(&shop, &anna.number, b"carried").await;
    shop.message_becomes(&sent, "delivered").await;
    let carried = bucket.objects().into_keys().next().expect("the file");
    // More than one page of a list, of an age at which nobody can still be about to carry them.
    let strays = (0..5).map(|n| format!("sana send/media/0{n}/0190a000-0000-7000-8000-00000000000{n}"));
    for stray in strays.chain(["other/0190a000-0000-7000-8000-000000000009".to_owned()]) {
        bucket.put(&stray, b"stray");
    }
    world.sweep_media().await;
    let left: Vec<String> = bucket.objects().into_keys().collect();
    assert_eq!(left, ["other/0190a000-0000-7000-8000-000000000009".to_owned(), carried]);
    assert!(bucket.asked("list") >= 3, "in pages");
    world.stop().await;
}
