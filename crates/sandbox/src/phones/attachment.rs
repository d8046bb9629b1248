//! Media inside a message: where its sealed file is and how to open it, and what a phone shows of it.
//!
//! Apart because it is pure: protobuf in, plain facts out, and back.

use crate::phones::content::MessageKind;
use crate::state::hexed;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use wacore::download::{Downloadable, MediaType};
use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::{AudioMessage, DocumentMessage, ImageMessage, StickerMessage, VideoMessage};

/// How far a phone has come with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaState {
    /// Being downloaded, or waiting for it.
    Fetching,
    /// Here, opened and found to be what its message says.
    Ready,
    /// Not here; `problem` says why.
    Failed,
}

/// What a phone shows of a medium.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownMedia {
    /// MIME type, as its sender says.
    pub mime: String,
    /// Name of the file, as its sender says: a text, never a path.
    pub file_name: Option<String>,
    /// Length in bytes, as its sender says.
    pub size: u64,
    /// SHA-256 of the file, 64 hexadecimal digits, as its sender says.
    pub sha256: String,
    /// Width in pixels.
    pub width: Option<u32>,
    /// Height in pixels.
    pub height: Option<u32>,
    /// Length in seconds.
    pub seconds: Option<u32>,
    /// Plays by itself: a GIF, or a sticker that moves.
    pub animated: bool,
    /// Small JPEG (PNG for stickers) that came along, in base64.
    pub thumbnail: Option<String>,
    /// How far the phone has come with it.
    pub state: MediaState,
    /// Why it failed.
    pub problem: Option<String>,
}

/// Media to send.
#[derive(Clone, Debug, Default)]
pub struct NewMedia {
    /// One of the kinds that have a file.
    pub kind: MessageKind,
    /// MIME type; the usual one of the kind if left out.
    pub mime: Option<String>,
    /// Text under a picture, film or document.
    pub caption: Option<String>,
    /// Name of a document.
    pub file_name: Option<String>,
    /// Width in pixels.
    pub width: Option<u32>,
    /// Height in pixels.
    pub height: Option<u32>,
    /// Length in seconds.
    pub seconds: Option<u32>,
    /// Plays by itself.
    pub animated: bool,
    /// Small JPEG (PNG for stickers).
    pub thumbnail: Option<Vec<u8>>,
    /// Id of a message that the phone shows and this one answers.
    pub reply_to: Option<String>,
    /// What is wrong with it on purpose.
    pub flaw: Option<MediaFlaw>,
}

/// How sent media can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaFlaw {
    /// The message tells another SHA-256 than the file has.
    WrongHash,
    /// The message tells another length than the file has.
    WrongLength,
    /// The file was never uploaded: 404.
    Missing,
    /// The file has expired already: 410.
    Expired,
    /// One byte of the sealed file is another.
    Corrupt,
}

/// Where a sealed file is, and how to open it. Its key is in here; it is never shown.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Sealed {
    /// What it is.
    pub kind: MessageKind,
    /// Path at the media hosts, with query.
    pub direct_path: String,
    /// The whole address, for clients that want one.
    pub url: String,
    /// What all keys are derived from.
    #[serde(with = "hexed")]
    pub key: Vec<u8>,
    /// SHA-256 of the file.
    #[serde(with = "hexed")]
    pub sha256: Vec<u8>,
    /// SHA-256 of the sealed file.
    #[serde(with = "hexed")]
    pub enc_sha256: Vec<u8>,
    /// Length of the file.
    pub length: u64,
    /// Hashes for playing from the middle.
    #[serde(with = "hexed")]
    pub sidecar: Vec<u8>,
    /// Its name in the phone's gallery, once it is there.
    pub file: Option<String>,
}

impl MessageKind {
    /// How files of this kind are sealed; `None` for kinds without a file.
    pub(super) fn media_type(self) -> Option<MediaType> {
        Some(match self {
            MessageKind::Image => MediaType::Image,
            MessageKind::Video | MessageKind::VideoNote => MediaType::Video,
            MessageKind::Audio | MessageKind::VoiceNote => MediaType::Audio,
            MessageKind::Document => MediaType::Document,
            MessageKind::Sticker => MediaType::Sticker,
            _ => return None,
        })
    }

    fn usual_mime(self) -> &'static str {
        match self {
            MessageKind::Image => "image/jpeg",
            MessageKind::Video | MessageKind::VideoNote => "video/mp4",
            MessageKind::VoiceNote => "audio/ogg; codecs=opus",
            MessageKind::Audio => "audio/mp4",
            MessageKind::Sticker => "image/webp",
            _ => "application/octet-stream",
        }
    }
}

/// `mediatype` of a message's sealed copies; `None` when it carries no file.
pub(super) fn wire_name(message: &wa::Message) -> Option<&'static str> {
    Some(match kind(message)? {
        MessageKind::Image => "image",
        MessageKind::Video if message.video_message.as_option().is_some_and(|video| video.gif_playback == Some(true)) => "gif",
        MessageKind::Video => "video",
        MessageKind::VideoNote => "ptv",
        MessageKind::Audio => "audio",
        MessageKind::VoiceNote => "ptt",
        MessageKind::Document => "document",
        _ => "sticker",
    })
}

/// Which kind of file a message carries.
pub(super) fn kind(message: &wa::Message) -> Option<MessageKind> {
    Some(match message {
        m if m.image_message.is_set() => MessageKind::Image,
        m if m.video_message.is_set() => MessageKind::Video,
        m if m.ptv_message.is_set() => MessageKind::VideoNote,
        m if m.document_message.is_set() => MessageKind::Document,
        m if m.sticker_message.is_set() => MessageKind::Sticker,
        m => match m.audio_message.as_option()?.ptt {
            Some(true) => MessageKind::VoiceNote,
            _ => MessageKind::Audio,
        },
    })
}

/// What a message says of the file it carries.
pub(super) fn read(message: &wa::Message) -> Option<(ShownMedia, Sealed)> {
    let kind = kind(message)?;
    if let Some(image) = message.image_message.as_option() {
        let mut shown = shown(image, kind, image.mimetype.as_ref(), image.jpeg_thumbnail.as_ref());
        (shown.width, shown.height) = (image.width, image.height);
        return Some((shown, sealed(image, kind, image.url.as_ref())));
    }
    if let Some(video) = message.video_message.as_option().or(message.ptv_message.as_option()) {
        let mut shown = shown(video, kind, video.mimetype.as_ref(), video.jpeg_thumbnail.as_ref());
        (shown.width, shown.height, shown.seconds) = (video.width, video.height, video.seconds);
        shown.animated = video.gif_playback.unwrap_or(false);
        return Some((shown, sealed(video, kind, video.url.as_ref())));
    }
    if let Some(document) = message.document_message.as_option() {
        let mut shown = shown(document, kind, document.mimetype.as_ref(), document.jpeg_thumbnail.as_ref());
        shown.file_name = document.file_name.clone().or_else(|| document.title.clone());
        return Some((shown, sealed(document, kind, document.url.as_ref())));
    }
    if let Some(sticker) = message.sticker_message.as_option() {
        let mut shown = shown(sticker, kind, sticker.mimetype.as_ref(), sticker.png_thumbnail.as_ref());
        (shown.width, shown.height) = (sticker.width, sticker.height);
        shown.animated = sticker.is_animated.unwrap_or(false);
        return Some((shown, sealed(sticker, kind, sticker.url.as_ref())));
    }
    let audio = message.audio_message.as_option()?;
    let mut shown = shown(audio, kind, audio.mimetype.as_ref(), None);
    shown.seconds = audio.seconds;
    Some((shown, sealed(audio, kind, audio.url.as_ref())))
}

fn shown(file: &dyn Downloadable, kind: MessageKind, mime: Option<&String>, thumbnail: Option<&Vec<u8>>) -> ShownMedia {
    ShownMedia {
        mime: mime.map_or_else(|| kind.usual_mime().to_owned(), Clone::clone),
        file_name: None,
        size: file.file_length().unwrap_or(0),
        sha256: hex::encode(file.file_sha256().unwrap_or_default()),
        width: None,
        height: None,
        seconds: None,
        animated: false,
        thumbnail: thumbnail.filter(|bytes| !bytes.is_empty()).map(|bytes| BASE64_STANDARD.encode(bytes)),
        state: MediaState::Fetching,
        problem: None,
    }
}

fn sealed(file: &dyn Downloadable, kind: MessageKind, url: Option<&String>) -> Sealed {
    let from_url = || url.and_then(|url| url.split_once("://")?.1.split_once('/')).map(|(_, path)| format!("/{path}"));
    Sealed {
        kind,
        direct_path: file.direct_path().filter(|path| !path.is_empty()).map(str::to_owned).or_else(from_url).unwrap_or_default(),
        url: url.cloned().unwrap_or_default(),
        key: file.media_key().unwrap_or_default().to_vec(),
        sha256: file.file_sha256().unwrap_or_default().to_vec(),
        enc_sha256: file.file_enc_sha256().unwrap_or_default().to_vec(),
        length: file.file_length().unwrap_or(0),
        sidecar: Vec::new(),
        file: None,
    }
}

/// A message with a file, as phones make it. `at` is seconds since 1970.
pub(super) fn message(new: &NewMedia, sealed: &Sealed, context: Option<wa::ContextInfo>, at: i64) -> wa::Message {
    let mime = Some(new.mime.clone().unwrap_or_else(|| new.kind.usual_mime().to_owned()));
    let context = context.map(MessageField::some).unwrap_or_default();
    let mut message = wa::Message::default();
    // The five messages share these fields, by name only.
    macro_rules! file {
        ($message:ident { $($field:ident: $value:expr),* $(,)? }) => {
            MessageField::some($message {
                url: Some(sealed.url.clone()),
                direct_path: Some(sealed.direct_path.clone()),
                media_key: Some(sealed.key.clone()),
                file_sha256: Some(sealed.sha256.clone()),
                file_enc_sha256: Some(sealed.enc_sha256.clone()),
                file_length: Some(sealed.length),
                media_key_timestamp: Some(at),
                mimetype: mime,
                context_info: context,
                $($field: $value,)*
                ..Default::default()
            })
        };
    }
    let (caption, thumbnail) = (new.caption.clone(), new.thumbnail.clone());
    let sidecar = Some(sealed.sidecar.clone()).filter(|sidecar| !sidecar.is_empty());
    match new.kind {
        MessageKind::Image => {
            message.image_message =
                file!(ImageMessage { caption: caption, jpeg_thumbnail: thumbnail, width: new.width, height: new.height });
        }
        MessageKind::Video | MessageKind::VideoNote => {
            let video = file!(VideoMessage {
                caption: caption,
                jpeg_thumbnail: thumbnail,
                width: new.width,
                height: new.height,
                seconds: new.seconds,
                gif_playback: new.animated.then_some(true),
                streaming_sidecar: sidecar,
            });
            if new.kind == MessageKind::Video { message.video_message = video } else { message.ptv_message = video }
        }
        MessageKind::Document => {
            let name = new.file_name.clone();
            message.document_message =
                file!(DocumentMessage { caption: caption, jpeg_thumbnail: thumbnail, title: name.clone(), file_name: name });
        }
        MessageKind::Sticker => {
            message.sticker_message = file!(StickerMessage {
                png_thumbnail: thumbnail,
                width: new.width,
                height: new.height,
                is_animated: new.animated.then_some(true),
            });
        }
        _ => {
            message.audio_message =
                file!(AudioMessage { seconds: new.seconds, ptt: Some(new.kind == MessageKind::VoiceNote), streaming_sidecar: sidecar });
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: MessageKind) -> Sealed {
        Sealed {
            kind,
            direct_path: "/v/image/1.enc?a=b".into(),
            url: "https://host:1/v/image/1.enc?a=b".into(),
            key: vec![1; 32],
            sha256: vec![2; 32],
            enc_sha256: vec![3; 32],
            length: 5,
            sidecar: Vec::new(),
            file: None,
        }
    }

    #[test]
    fn every_kind_reads_back() {
        use MessageKind::{Audio, Document, Image, Sticker, Video, VideoNote, VoiceNote};
        for kind in [Image, Video, VideoNote, Audio, VoiceNote, Document, Sticker] {
            let new = NewMedia { kind, width: Some(3), seconds: Some(4), file_name: Some("../a.txt".into()), ..NewMedia::default() };
            let message = message(&new, &of(kind), None, 7);
            let (shown, sealed) = read(&message).unwrap();
            assert_eq!((sealed.kind, sealed.direct_path.as_str()), (kind, "/v/image/1.enc?a=b"));
            assert_eq!((shown.size, shown.sha256.as_str()), (5, "02".repeat(32).as_str()));
            assert_eq!(shown.mime, kind.usual_mime());
            assert!(wire_name(&message).is_some());
        }
    }

    #[test]
    fn a_message_that_names_only_an_address_has_its_path() {
        let mut sealed = of(MessageKind::Image);
        sealed.direct_path.clear();
        let message = message(&NewMedia { kind: MessageKind::Image, ..NewMedia::default() }, &sealed, None, 7);
        assert_eq!(read(&message).unwrap().1.direct_path, "/v/image/1.enc?a=b");
        assert_eq!(read(&wa::Message::default()).map(|_| ()), None);
    }
}
