//! Films and sound on a machine with ffmpeg, and on one without.

use crate::world::{Friend, PATIENCE, Shop, World};
use base64::Engine as _;
use reqwest::multipart::{Form, Part};
use sanasend_sandbox::{MessageKind, ShownMessage};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// Something that Debian's ffmpeg makes of nothing: a test picture or a tone, two seconds long.
fn made(folder: &Path, name: &str, arguments: &[&str]) -> Vec<u8> {
    let file = folder.join(name);
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i"]).args(arguments).arg(&file);
    let output = command.output().expect("ffmpeg is installed (./test does it)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(file).expect("what it made")
}

fn film(folder: &Path) -> Vec<u8> {
    made(folder, "film.mp4", &["testsrc=size=320x180:rate=10:duration=2", "-c:v", "libx264", "-pix_fmt", "yuv420p"])
}

/// Quiet first and loud at its end.
fn tone(folder: &Path) -> Vec<u8> {
    made(folder, "tone.mp3", &["sine=frequency=440:duration=2", "-af", "afade=in:st=0:d=2", "-c:a", "libmp3lame"])
}

fn form(friend: &Friend, kind: &str, name: &str, bytes: &[u8]) -> Form {
    let part = Part::bytes(bytes.to_vec()).file_name(name.to_owned());
    Form::new().text("recipient", friend.number.clone()).text("media_type", kind.to_owned()).part("file", part)
}

async fn send(shop: &Shop, form: Form) -> Value {
    shop.api.upload("/messages/send-media/", form).await.expect(202).clone()
}

async fn gets(friend: &Friend, kind: MessageKind, sent: &Value) -> ShownMessage {
    let sha = sent["media"]["sha256"].as_str().expect("a hash");
    let shown = friend.control().wait_for_media(&friend.number, kind, sha, PATIENCE).await.expect("the phone");
    shown.unwrap_or_else(|| panic!("{} never had the file", friend.number))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_film_has_a_thumbnail_and_any_sound_becomes_a_voice_note() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::start().await;
    let shop = world.linked_shop().await;
    let anna = world.friend("Anna").await;
    let sent = send(&shop, form(&anna, "video", "film.mp4", &film(folder.path()))).await;
    let media = gets(&anna, MessageKind::Video, &sent).await.media.expect("a file");
    assert_eq!((media.width, media.height, media.seconds), (Some(320), Some(180), Some(2)));
    let small = base64::engine::general_purpose::STANDARD.decode(media.thumbnail.expect("a thumbnail")).expect("base64");
    let small = image::load_from_memory_with_format(&small, image::ImageFormat::Jpeg).expect("a JPEG").to_rgb8();
    assert_eq!(small.width(), 100);
    let colours: std::collections::HashSet<[u8; 3]> = small.pixels().map(|pixel| pixel.0.map(|value| value / 64)).collect();
    assert!(colours.len() > 4, "a frame of the film, not an empty picture: {colours:?}");

    let sent = send(&shop, form(&anna, "voice_note", "tone.mp3", &tone(folder.path()))).await;
    assert_eq!(sent["media"]["mime"], json!("audio/ogg; codecs=opus"), "{sent}");
    let shown = gets(&anna, MessageKind::VoiceNote, &sent).await;
    let media = shown.media.as_ref().expect("a file");
    assert_eq!(media.seconds.map(|seconds| (2..=3).contains(&seconds)), Some(true), "{media:?}");
    let there = anna.control().media_bytes(&anna.number, &shown.id, PATIENCE).await.expect("the file");
    assert!(there.starts_with(b"OggS") && there.windows(8).any(|at| at == b"OpusHead"), "Ogg Opus");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_ffmpeg_films_go_without_a_thumbnail_and_other_sound_is_no_voice_note() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::start_with(|config| config.media.ffmpeg = Some("/nowhere/ffmpeg".into())).await;
    let shop = world.linked_shop().await;
    let anna = world.friend("Anna").await;
    let sent = send(&shop, form(&anna, "video", "film.mp4", &film(folder.path()))).await;
    let media = gets(&anna, MessageKind::Video, &sent).await.media.expect("a file");
    assert_eq!((media.width, media.seconds, media.thumbnail), (Some(320), Some(2), None), "what the file itself says is known");
    let tone = tone(folder.path());
    let refused = shop.api.upload("/messages/send-media/", form(&anna, "voice_note", "tone.mp3", &tone)).await;
    assert_eq!((refused.status, refused.code()), (400, "MEDIA_TYPE_NOT_ALLOWED"), "{}", refused.body);
    assert!(refused.body.to_string().contains("this server has no ffmpeg"), "{}", refused.body);
    // As a sound it goes.
    let sent = send(&shop, form(&anna, "audio", "tone.mp3", &tone)).await;
    shop.message_becomes(&sent, "delivered").await;
    world.stop().await;
}
