//! Files between phones, over the media hosts.

use super::{PATIENCE, World};
use crate::media::{MediaTrouble, MediaWay};
use crate::network::Fault;
use crate::phones::MessageKind::{self, Audio, Document, Image, Sticker, Video, VideoNote, VoiceNote};
use crate::phones::{MediaFlaw, MediaState, NewMedia, ShownMedia, ShownMessage};
use sha2::{Digest, Sha256};

/// Bytes that repeat nowhere, of an awkward length.
fn file() -> Vec<u8> {
    (0..200_003_u32).flat_map(u32::to_le_bytes).take(200_003).collect()
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

impl World {
    async fn sends(&self, from: &str, to: &str, media: NewMedia) -> String {
        self.control.send_media(from, to, media, file()).await.unwrap()
    }

    /// The message with this id once its download has ended.
    async fn settled(&self, phone: &str, id: &str) -> (ShownMessage, ShownMedia) {
        let here = |message: &ShownMessage| message.id == id && message.media.as_ref().is_some_and(|m| m.state != MediaState::Fetching);
        let shown = self.control.wait_until(phone, PATIENCE, |shown| shown.iter().any(here)).await.unwrap();
        let message = shown.into_iter().find(here).expect("the file to be settled");
        let media = message.media.clone().unwrap();
        (message, media)
    }
}

#[tokio::test]
async fn files_of_every_kind_arrive_as_they_were() {
    let world = World::new();
    let (ana, bob) = (world.phone("Ana").await, world.phone("Bob").await);
    for kind in [Image, Video, VideoNote, Audio, VoiceNote, Document, Sticker] {
        let media = NewMedia {
            kind,
            caption: Some("look".into()),
            file_name: Some("../../etc/passwd".into()),
            width: Some(64),
            height: Some(48),
            seconds: Some(7),
            thumbnail: Some(vec![1, 2, 3]),
            ..NewMedia::default()
        };
        let id = world.sends(&ana, &bob, media).await;
        let seen = world.control.wait_for_media(&bob, kind, &sha256(&file()), PATIENCE).await.unwrap();
        let seen = seen.unwrap_or_else(|| panic!("{kind:?} never came"));
        assert_eq!((seen.id.as_str(), seen.from_me), (id.as_str(), false));
        let media = seen.media.unwrap();
        assert_eq!(media.size, 200_003);
        assert_eq!(media.file_name.is_some(), kind == Document);
        assert_eq!(media.seconds.is_some(), matches!(kind, Video | VideoNote | Audio | VoiceNote));
        assert_eq!(media.thumbnail.is_some(), !matches!(kind, Audio | VoiceNote));
        assert_eq!(seen.text.as_str(), if matches!(kind, Image | Video | VideoNote | Document) { "look" } else { "" });
        assert_eq!(world.control.media_bytes(&bob, &id, PATIENCE).await.unwrap(), file());
        assert_eq!(world.control.media_bytes(&ana, &id, PATIENCE).await.unwrap(), file(), "the sender has it as well");
    }
    let text = NewMedia { kind: MessageKind::Text, ..NewMedia::default() };
    assert!(world.control.send_media(&ana, &bob, text, file()).await.is_err());
    assert!(world.control.send_media(&ana, &bob, NewMedia { kind: Image, ..NewMedia::default() }, Vec::new()).await.is_err());
}

#[tokio::test]
async fn a_file_that_is_not_what_its_message_says_is_shown_but_not_opened() {
    let world = World::new();
    let (ana, bob) = (world.phone("Ana").await, world.phone("Bob").await);
    for (flaw, why) in [
        (MediaFlaw::WrongHash, "not the one"),
        (MediaFlaw::WrongLength, "the message says"),
        (MediaFlaw::Missing, "answers 404"),
        (MediaFlaw::Expired, "answers 410"),
        (MediaFlaw::Corrupt, "cannot be opened"),
    ] {
        let media = NewMedia { kind: MessageKind::Document, flaw: Some(flaw), ..NewMedia::default() };
        let id = world.sends(&ana, &bob, media).await;
        let (_, media) = world.settled(&bob, &id).await;
        let problem = media.problem.unwrap_or_default();
        assert_eq!(media.state, MediaState::Failed, "{flaw:?}");
        assert!(problem.contains(why), "{flaw:?}: {problem}");
        let refusal = world.control.media_bytes(&bob, &id, PATIENCE).await.unwrap_err().to_string();
        assert!(refusal.contains(&problem), "{refusal}");
    }
}

#[tokio::test]
async fn a_phone_that_was_away_fetches_when_it_is_back_and_keeps_it_over_a_kill() {
    let world = World::new();
    let (ana, bob) = (world.phone("Ana").await, world.phone("Bob").await);
    world.control.set_online(&bob, false).await.unwrap();
    let id = world.sends(&ana, &bob, NewMedia { kind: MessageKind::Image, ..NewMedia::default() }).await;
    let world = world.killed().await;
    world.control.set_online(&bob, true).await.unwrap();
    let (_, media) = world.settled(&bob, &id).await;
    assert_eq!(media.state, MediaState::Ready, "{:?}", media.problem);
    let world = world.killed().await;
    assert_eq!(world.control.media_bytes(&bob, &id, PATIENCE).await.unwrap(), file());
}

#[tokio::test]
async fn faults_of_the_media_hosts_reach_the_phones() {
    let world = World::new();
    let (ana, bob) = (world.phone("Ana").await, world.phone("Bob").await);
    let image = || NewMedia { kind: MessageKind::Image, ..NewMedia::default() };
    let upload = Fault::Media { way: MediaWay::Upload, trouble: MediaTrouble::Status(503), count: 1 };
    world.control.fault(&ana, upload).unwrap();
    let refusal = world.control.send_media(&ana, &bob, image(), file()).await.unwrap_err();
    assert!(refusal.to_string().contains("503"), "{refusal}");
    let download = Fault::Media { way: MediaWay::Download, trouble: MediaTrouble::Truncated, count: 1 };
    world.control.fault(&bob, download).unwrap();
    let id = world.sends(&ana, &bob, image()).await;
    assert_eq!(world.settled(&bob, &id).await.1.state, MediaState::Failed);
    let id = world.sends(&ana, &bob, image()).await;
    assert_eq!(world.settled(&bob, &id).await.1.state, MediaState::Ready);
}

#[tokio::test]
async fn a_reply_can_be_a_file_and_be_to_one() {
    let world = World::new();
    let (ana, bob) = (world.phone("Ana").await, world.phone("Bob").await);
    let first = world.sends(&ana, &bob, NewMedia { kind: MessageKind::Image, caption: Some("which?".into()), ..NewMedia::default() }).await;
    world.settled(&bob, &first).await;
    let answer = NewMedia { kind: MessageKind::VoiceNote, reply_to: Some(first.clone()), ..NewMedia::default() };
    let id = world.sends(&bob, &ana, answer).await;
    let (shown, _) = world.settled(&ana, &id).await;
    assert_eq!(shown.quoted_id, Some(first));
    assert_eq!(shown.quoted_text.as_deref(), Some("which?"));
}
