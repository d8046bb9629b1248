//! Files of messages: what is taken, what is refused and why, and how they are answered.

use crate::account::Account;
use crate::world::{As, Reply, text};
use image::{DynamicImage, ImageFormat};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use sanasend::media::READS_AT_ONCE;
use serde_json::{Value, json};
use std::io::Cursor;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A picture as bytes of a format.
fn picture(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::new_rgb8(width, height).write_to(&mut bytes, format).expect("encoded");
    bytes.into_inner()
}

fn png() -> Vec<u8> {
    picture(64, 48, ImageFormat::Png)
}

/// A form with a file under a name, and the declared type that goes with it.
fn form(to: &str, kind: &str, name: &str, mime: &str, bytes: Vec<u8>) -> Form {
    let part = Part::bytes(bytes).file_name(name.to_owned()).mime_str(mime).expect("a type");
    Form::new().text("recipient", to.to_owned()).text("media_type", kind.to_owned()).part("file", part)
}

async fn upload(account: &Account, form: Form) -> Reply {
    upload_with(account, form, None).await
}

async fn upload_with(account: &Account, form: Form, key: Option<&str>) -> Reply {
    let mut request = As::Key(&account.key).sign(account.world.request(Method::POST, "/api/v1/messages/send-media/")).multipart(form);
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    Reply::read(request.send().await.expect("an answer")).await
}

async fn media_of(account: &Account, id: &Value, query: &str, range: Option<&str>) -> reqwest::Response {
    let path = format!("/api/v1/messages/{}/media/{query}", text(id));
    let mut request = As::Key(&account.key).sign(account.world.request(Method::GET, &path));
    if let Some(range) = range {
        request = request.header("range", range);
    }
    request.send().await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_taken_in_and_answered_as_it_was() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let bytes = png();
    let reply = upload(&account, form(&friend, "image", "../holiday photo.png", "image/png", bytes.clone()).text("caption", "look")).await;
    reply.is(202, "");
    let message = &reply.body["data"];
    assert_eq!((&message["message_type"], &message["caption"], &message["content"]), (&json!("image"), &json!("look"), &Value::Null));
    let media = &message["media"];
    assert_eq!(
        (&media["mime"], &media["size"], &media["filename"]),
        (&json!("image/png"), &json!(bytes.len()), &json!("holiday photo.png"))
    );
    assert_eq!((&media["width"], &media["height"], &media["state"]), (&json!(64), &json!(48), &json!("stored")));

    let answer = media_of(&account, &message["id"], "", None).await;
    let headers = answer.headers().clone();
    assert_eq!(answer.bytes().await.expect("the file"), bytes);
    assert_eq!(headers["content-type"], "image/png");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["content-disposition"], "attachment; filename=\"holiday photo.png\"");
    assert_eq!(headers["content-length"], bytes.len().to_string());

    let answer = media_of(&account, &message["id"], "", Some("bytes=1-3")).await;
    assert_eq!(answer.status(), 206);
    assert_eq!(answer.headers()["content-range"], format!("bytes 1-3/{}", bytes.len()));
    assert_eq!(answer.bytes().await.expect("a part"), "PNG");
    let beyond = Reply::read(media_of(&account, &message["id"], "", Some("bytes=99999-")).await).await;
    beyond.is(416, "RANGE_NOT_SATISFIABLE");
    assert_eq!(beyond.header("content-range"), format!("bytes */{}", bytes.len()));
    // What a sender claims of the size decides nothing.
    for claim in
        ["UPDATE messages SET media = json_set(media, '$.size', 0)", "UPDATE messages SET media = json_set(media, '$.size', 999999)"]
    {
        account.world.tamper(claim).await;
        let part = media_of(&account, &message["id"], "", Some("bytes=1-")).await;
        assert_eq!(part.status(), 206);
        assert_eq!(part.headers()["content-range"], format!("bytes 1-{}/{}", bytes.len() - 1, bytes.len()));
        assert_eq!(part.bytes().await.expect("a part"), bytes[1..]);
        Reply::read(media_of(&account, &message["id"], "", Some("bytes=99999-")).await).await.is(416, "RANGE_NOT_SATISFIABLE");
    }

    let small = media_of(&account, &message["id"], "?thumbnail=1", None).await;
    assert_eq!(small.headers()["content-type"], "image/jpeg");
    let small = image::load_from_memory(&small.bytes().await.expect("a picture")).expect("a JPEG");
    assert_eq!(small.width().max(small.height()), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_many_files_at_once_waits_for_one_of_them() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let sent = upload(&account, form(&friend, "image", "a.png", "image/png", png())).await;
    sent.is(202, "");
    let message = &sent.body["data"];
    let user = text(&message["user"]).parse().expect("an id");
    let media = &account.world.node.app.media;
    let mut reads: Vec<_> = (0..READS_AT_ONCE).map(|_| media.share_of_reads(user).expect("a share")).collect();
    Reply::read(media_of(&account, &message["id"], "", None).await).await.is(429, "RATE_LIMITED");
    drop(reads.pop());
    let answer = media_of(&account, &message["id"], "", None).await;
    assert_eq!(answer.bytes().await.expect("the file"), png());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_as_base64_too() {
    use base64::Engine as _;
    let account = Account::linked().await;
    let friend = account.friend().await;
    let digits = base64::engine::general_purpose::STANDARD.encode(png());
    for encoded in [digits.clone(), format!("data:image/png;base64,{digits}")] {
        let reply =
            account.post("/messages/send-media/", json!({"recipient": friend, "media_type": "image", "media_base64": encoded})).await;
        reply.is(202, "");
        let answer = media_of(&account, &reply.body["data"]["id"], "", None).await;
        assert_eq!(answer.bytes().await.expect("the file"), png());
    }
    let body = json!({"recipient": friend, "media_type": "image", "media_base64": "no base64!"});
    account.post("/messages/send-media/", body).await.is(400, "VALIDATION_ERROR").names(&["media_base64"]);
    let lie = format!("data:image/jpeg;base64,{digits}");
    let body = json!({"recipient": friend, "media_type": "image", "media_base64": lie});
    account.post("/messages/send-media/", body).await.is(400, "MEDIA_TYPE_NOT_ALLOWED");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_what_it_should_be_is_refused() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let mut bomb = png();
    bomb.splice(16..24, [0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let mut crc = flate2::Crc::new();
    crc.update(&bomb[12..29]);
    bomb.splice(29..33, crc.sum().to_be_bytes());
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>".to_vec();
    let table = [
        ("image", "a.png", "image/png", Vec::new(), "MEDIA_INVALID"),
        ("image", "a.png", "image/png", png()[..60].to_vec(), "MEDIA_INVALID"),
        ("image", "bomb.png", "image/png", bomb, "MEDIA_INVALID"),
        ("image", "a.jpg", "image/jpeg", png(), "MEDIA_TYPE_NOT_ALLOWED"),
        ("image", "a.svg", "image/svg+xml", svg.clone(), "MEDIA_TYPE_NOT_ALLOWED"),
        ("image", "a.png", "image/png", svg, "MEDIA_TYPE_NOT_ALLOWED"),
        ("image", "a.gif", "image/gif", picture(4, 4, ImageFormat::Gif), "MEDIA_TYPE_NOT_ALLOWED"),
        ("video", "a.mp4", "video/mp4", png(), "MEDIA_TYPE_NOT_ALLOWED"),
        ("sticker", "a.png", "image/png", png(), "MEDIA_TYPE_NOT_ALLOWED"),
        ("voice_note", "a.mp3", "audio/mpeg", b"ID3\x04\x00\x00\x00\x00\x00\x00".to_vec(), "MEDIA_TYPE_NOT_ALLOWED"),
    ];
    for (kind, name, mime, bytes, code) in table {
        let reply = upload(&account, form(&friend, kind, name, mime, bytes)).await;
        assert_eq!((reply.status, reply.body["error_code"].as_str()), (400, Some(code)), "{kind} {name} {mime}: {}", reply.text);
    }
    // A page is a document like any other, and never one of ours.
    let page = b"<!doctype html><script>alert(1)</script>".to_vec();
    let reply = upload(&account, form(&friend, "document", "page.html", "text/html", page)).await;
    reply.is(202, "");
    let answer = media_of(&account, &reply.body["data"]["id"], "", None).await;
    assert_eq!(answer.headers()["content-type"], "application/octet-stream");
    assert!(answer.headers()["content-disposition"].to_str().expect("text").starts_with("attachment"));
    assert!(answer.headers()["content-security-policy"].to_str().expect("text").contains("default-src 'none'"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_before_and_while_it_comes() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let sticker = upload(&account, form(&friend, "sticker", "a.webp", "image/webp", vec![0; (1 << 20) + 1])).await;
    sticker.is(413, "MEDIA_TOO_LARGE");
    // The kind comes after the file here: it is taken in and then refused.
    let part = Part::bytes(vec![0; (1 << 20) + 1]).file_name("a.webp");
    let late = Form::new().part("file", part).text("recipient", friend.clone()).text("media_type", "sticker");
    upload(&account, late).await.is(413, "MEDIA_TOO_LARGE");
    // A length that can't be is refused by its announcement alone.
    let mut socket = tokio::net::TcpStream::connect(account.world.node.api).await.expect("connected");
    let head = format!(
        "POST /api/v1/messages/send-media/ HTTP/1.1\r\nHost: x\r\nX-API-Key: {}\r\nContent-Type: multipart/form-data; boundary=x\r\n\
         Content-Length: 99999999999\r\n\r\n",
        account.key
    );
    socket.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = vec![0; 12];
    socket.read_exact(&mut answer).await.expect("an answer at once");
    assert_eq!(answer, b"HTTP/1.1 413");
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_the_form_are_checked_like_those_of_a_body() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let good = || form(&friend, "image", "a.png", "image/png", png());
    let table = [
        (Form::new().text("recipient", friend.clone()).text("media_type", "image"), 400, "VALIDATION_ERROR", "file"),
        (good().text("media_url", "https://example.com/a.png"), 400, "VALIDATION_ERROR", "file"),
        (form(&friend, "gif", "a.png", "image/png", png()), 400, "VALIDATION_ERROR", "media_type"),
        (good().text("recipient", friend.clone()), 400, "VALIDATION_ERROR", "recipient"),
        (good().text("captoin", "x"), 400, "UNKNOWN_FIELD", "captoin"),
        (good().text("caption", "x".repeat(1025)), 400, "VALIDATION_ERROR", "caption"),
        (good().text("caption", "x".repeat(70_000)), 400, "VALIDATION_ERROR", "caption"),
        (good().text("reply_to", "x"), 400, "VALIDATION_ERROR", "reply_to"),
        (good().text("metadata", "[1]"), 400, "VALIDATION_ERROR", "metadata"),
        (form("nobody", "image", "a.png", "image/png", png()), 400, "RECIPIENT_INVALID", "recipient"),
    ];
    for (form, status, code, field) in table {
        upload(&account, form).await.is(status, code).names(&[field]);
    }
    upload(&account, good().text("reply_to", "01936b1e-7a40-7c3e-8b5e-2f6d1c0a9e77")).await.is(404, "NOT_FOUND");
    let request = As::Key(&account.key).sign(account.world.request(Method::POST, "/api/v1/messages/send-media/"));
    let broken = request.header("content-type", "multipart/form-data; boundary=x").body("--x\r\nContent-Disposition: form-data; name=\"a");
    Reply::read(broken.send().await.expect("an answer")).await.is(400, "BAD_REQUEST");
    account.post("/messages/send-media/", json!({"recipient": friend, "media_type": "image"})).await.is(400, "VALIDATION_ERROR");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_with_the_same_file_is_one_message_and_with_another_is_refused() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let with = |bytes: Vec<u8>| form(&friend, "document", "a.bin", "application/octet-stream", bytes);
    let first = upload_with(&account, with(b"one".to_vec()), Some("k1")).await;
    first.is(202, "");
    let again = upload_with(&account, with(b"one".to_vec()), Some("k1")).await;
    assert_eq!((again.status, &again.body["data"]["id"]), (202, &first.body["data"]["id"]));
    assert_eq!(again.headers["idempotency-replayed"], "true");
    upload_with(&account, with(b"two".to_vec()), Some("k1")).await.is(422, "IDEMPOTENCY_KEY_REUSED");
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_not_public_are_not_fetched() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    for url in
        ["http://127.0.0.1:1/a.png", "http://localhost/a.png", "http://169.254.169.254/latest", "http://0x7f000001/", "file:///etc/passwd"]
    {
        let reply = account.post("/messages/send-media/", json!({"recipient": friend, "media_type": "image", "media_url": url})).await;
        reply.is(400, "MEDIA_URL_REFUSED").names(&["media_url"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_fetched_from_its_address_with_its_name() {
    let mut account = Account::with(|config| config.egress.allow = vec![sanasend::config::Cidr("127.0.0.0/8".parse().expect("net"))]).await;
    account.link().await;
    let friend = account.friend().await;
    let shop = axum::Router::new()
        .route("/files/caf%C3%A9.png", axum::routing::get(|| async { ([("content-type", "image/png")], png()) }))
        .route("/files/lie.png", axum::routing::get(|| async { ([("content-type", "image/jpeg")], png()) }))
        .route("/files/much", axum::routing::get(|| async { vec![0_u8; (1 << 20) + 1] }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, shop).await });
    let send = async |kind: &str, path: &str| {
        let body = json!({"recipient": friend, "media_type": kind, "media_url": format!("{base}{path}")});
        account.post("/messages/send-media/", body).await
    };
    let reply = send("image", "/files/caf%C3%A9.png").await;
    reply.is(202, "");
    assert_eq!(reply.body["data"]["media"]["filename"], "café.png");
    send("image", "/files/lie.png").await.is(400, "MEDIA_TYPE_NOT_ALLOWED");
    send("image", "/files/none.png").await.is(400, "MEDIA_URL_FAILED");
    send("sticker", "/files/much").await.is(413, "MEDIA_TOO_LARGE");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_others_do_not_exist() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    let sent = upload(&account, form(&friend, "image", "a.png", "image/png", png())).await;
    let path = format!("/messages/{}/media/", text(&sent.body["data"]["id"]));
    let admin = account.world.admin().await;
    let (_, token) = account.world.user(&admin, "ben").await;
    let (_, key) = account.world.key(&token, Value::Null).await;
    let theirs = account.world.get(&path, As::Key(&key)).await;
    let missing = account.world.get("/messages/01936b1e-7a40-7c3e-8b5e-2f6d1c0a9e77/media/", As::Key(&key)).await;
    theirs.is(404, "NOT_FOUND");
    assert_eq!(theirs.text, missing.text, "the same bytes");
    let words = account.send(&friend, "no file").await;
    account.get(&format!("/messages/{}/media/", text(&words["id"]))).await.is(404, "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stays_behind_of_what_was_refused() {
    let account = Account::linked().await;
    let friend = account.friend().await;
    for _ in 0..3 {
        upload(&account, form(&friend, "image", "a.jpg", "image/jpeg", png())).await.is(400, "MEDIA_TYPE_NOT_ALLOWED");
    }
    let scratch = account.world.node.app.config.general.data_dir.join("media/scratch");
    let left = std::fs::read_dir(scratch).expect("a folder").count();
    assert_eq!(left, 0, "scratch files");
}
