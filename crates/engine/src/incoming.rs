//! Files of messages that come in: what they are, and what is needed to fetch them later.
//!
//! Everything here was written by a stranger: names, types and sizes are taken as claims, and what can't be used is left
//! out.

use sanasend_model::media::file_name;
use sanasend_model::{Media, MediaKind, MediaState};
use sanasend_store::IncomingMedia;
use serde::{Deserialize, Serialize};
use whatsapp_rust::wacore::proto_helpers::MessageExt;
use whatsapp_rust::waproto::whatsapp::Message;

/// Largest thumbnail that is kept; real ones have a few KiB.
const MAX_THUMBNAIL: usize = 64 * 1024;
/// Longest MIME type that is believed.
const MAX_MIME: usize = 128;

/// The way to a file at WhatsApp's media host, as it is kept sealed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remote {
    /// Path at any of the hosts.
    pub(crate) direct_path: String,
    /// Opens the file.
    pub(crate) media_key: Vec<u8>,
    /// SHA-256 of what lies at the host.
    pub(crate) enc_sha256: Vec<u8>,
}

impl Remote {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// What every kind of file says in its own fields of the same names.
macro_rules! common {
    ($kind:expr, $file:expr, $mime:literal) => {{
        let file = $file;
        let sha256 = <[u8; 32]>::try_from(file.file_sha256.as_deref()?).ok()?;
        let remote = Remote {
            direct_path: file.direct_path.clone().filter(|path| path.starts_with('/'))?,
            media_key: file.media_key.clone().filter(|key| key.len() == 32)?,
            enc_sha256: file.file_enc_sha256.clone().filter(|hash| hash.len() == 32)?,
        };
        let mime = file.mimetype.as_deref().and_then(plain_mime).unwrap_or_else(|| $mime.to_owned());
        let media = Media { state: MediaState::Remote, ..Media::new($kind, mime, file.file_length.unwrap_or(0), sha256) };
        (media, remote)
    }};
}

/// The file in a message, and how to fetch it; `None` when it has none that could be fetched.
pub(crate) fn read(message: &Message) -> Option<(Media, IncomingMedia)> {
    let (media, remote, thumbnail) = parts(message.get_base_message())?;
    let thumbnail = thumbnail.filter(|picture| picture.len() <= MAX_THUMBNAIL && picture.starts_with(&[0xff, 0xd8]));
    Some((media, IncomingMedia { remote: remote.to_bytes(), thumbnail, fetch: false }))
}

fn parts(message: &Message) -> Option<(Media, Remote, Option<Vec<u8>>)> {
    if let Some(image) = message.image_message.as_option() {
        let (media, remote) = common!(MediaKind::Image, image, "image/jpeg");
        let media = Media { caption: worded(image.caption.as_ref()), width: image.width, height: image.height, ..media };
        return Some((media, remote, image.jpeg_thumbnail.clone()));
    }
    let film = message.video_message.as_option().map(|video| (MediaKind::Video, video));
    if let Some((kind, video)) = film.or_else(|| message.ptv_message.as_option().map(|video| (MediaKind::VideoNote, video))) {
        let (media, remote) = common!(kind, video, "video/mp4");
        let media = Media {
            caption: worded(video.caption.as_ref()),
            width: video.width,
            height: video.height,
            seconds: video.seconds,
            animated: video.gif_playback == Some(true),
            ..media
        };
        return Some((media, remote, video.jpeg_thumbnail.clone()));
    }
    if let Some(audio) = message.audio_message.as_option() {
        let kind = if audio.ptt == Some(true) { MediaKind::VoiceNote } else { MediaKind::Audio };
        let (media, remote) = common!(kind, audio, "audio/ogg; codecs=opus");
        let waveform = audio.waveform.clone().filter(|wave| wave.len() <= 64).unwrap_or_default();
        return Some((Media { seconds: audio.seconds, waveform, ..media }, remote, None));
    }
    if let Some(document) = message.document_message.as_option() {
        let (media, remote) = common!(MediaKind::Document, document, "application/octet-stream");
        let name = document.file_name.as_deref().or(document.title.as_deref());
        let media = Media { caption: worded(document.caption.as_ref()), filename: name.and_then(file_name), ..media };
        return Some((media, remote, document.jpeg_thumbnail.clone()));
    }
    let sticker = message.sticker_message.as_option()?;
    let (media, remote) = common!(MediaKind::Sticker, sticker, "image/webp");
    Some((Media { width: sticker.width, height: sticker.height, animated: sticker.is_animated == Some(true), ..media }, remote, None))
}

fn worded(caption: Option<&String>) -> Option<String> {
    caption.filter(|caption| !caption.is_empty()).cloned()
}

/// A MIME type that can stand in a header.
fn plain_mime(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'-' | b'+' | b'_' | b';' | b'=' | b' ');
    let sound =
        text.len() <= MAX_MIME && text.bytes().all(plain) && text.split_once('/').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty());
    sound.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use whatsapp_rust::waproto::buffa::MessageField;
    use whatsapp_rust::waproto::whatsapp::message::{AudioMessage, DocumentMessage, ImageMessage};

    fn image() -> ImageMessage {
        ImageMessage {
            direct_path: Some("/v/t62.7118-24/1".into()),
            media_key: Some(vec![1; 32]),
            file_sha256: Some(vec![2; 32]),
            file_enc_sha256: Some(vec![3; 32]),
            file_length: Some(7),
            mimetype: Some("image/png".into()),
            caption: Some("look".into()),
            width: Some(4),
            height: Some(3),
            jpeg_thumbnail: Some(vec![0xff, 0xd8, 0xff]),
            ..Default::default()
        }
    }

    fn of(image: ImageMessage) -> Message {
        Message { image_message: MessageField::some(image), ..Default::default() }
    }

    #[test]
    fn a_picture_is_read_with_its_way() {
        let (media, way) = read(&of(image())).expect("a file");
        assert_eq!((media.kind, media.mime.as_str(), media.size, media.sha256), (MediaKind::Image, "image/png", 7, [2; 32]));
        assert_eq!(
            (media.caption.as_deref(), media.width, media.height, media.state),
            (Some("look"), Some(4), Some(3), MediaState::Remote)
        );
        let remote = Remote::from_bytes(&way.remote).expect("read back");
        assert_eq!((remote.direct_path.as_str(), remote.media_key, remote.enc_sha256), ("/v/t62.7118-24/1", vec![1; 32], vec![3; 32]));
        assert!(way.thumbnail.is_some());
    }

    #[test]
    fn what_could_not_be_fetched_is_no_file() {
        let table = [
            ImageMessage { direct_path: None, ..image() },
            ImageMessage { direct_path: Some("@example.com/x".into()), ..image() },
            ImageMessage { media_key: Some(vec![1; 31]), ..image() },
            ImageMessage { file_sha256: Some(Vec::new()), ..image() },
            ImageMessage { file_enc_sha256: None, ..image() },
        ];
        for broken in table {
            assert!(read(&of(broken)).is_none());
        }
    }

    #[test]
    fn claims_that_can_not_be_used_are_left_out() {
        let odd = ImageMessage { mimetype: Some("text/html\r\nx: y".into()), jpeg_thumbnail: Some(b"<svg".to_vec()), ..image() };
        let (media, way) = read(&of(odd)).expect("a file");
        assert_eq!((media.mime.as_str(), way.thumbnail), ("image/jpeg", None));
    }

    #[test]
    fn names_lose_their_paths_and_voice_is_told_from_sound() {
        let source = image();
        let document = DocumentMessage {
            direct_path: source.direct_path.clone(),
            media_key: source.media_key.clone(),
            file_sha256: source.file_sha256.clone(),
            file_enc_sha256: source.file_enc_sha256.clone(),
            file_name: Some("../../bill.pdf".into()),
            ..Default::default()
        };
        let document = Message { document_message: MessageField::some(document), ..Default::default() };
        assert_eq!(read(&document).and_then(|(media, _)| media.filename).as_deref(), Some("bill.pdf"));
        for (ptt, kind) in [(Some(true), MediaKind::VoiceNote), (None, MediaKind::Audio)] {
            let audio = AudioMessage {
                direct_path: source.direct_path.clone(),
                media_key: source.media_key.clone(),
                file_sha256: source.file_sha256.clone(),
                file_enc_sha256: source.file_enc_sha256.clone(),
                ptt,
                ..Default::default()
            };
            let audio = Message { audio_message: MessageField::some(audio), ..Default::default() };
            assert_eq!(read(&audio).map(|(media, _)| media.kind), Some(kind));
        }
    }
}
