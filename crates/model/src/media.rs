//! Files that messages carry: their kinds, what WhatsApp takes of each, and what must hold for captions and file names.
//!
//! Only rules: whether the bytes are what they say is looked at by `server`, where bytes are.

use crate::Invalid;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Longest caption that WhatsApp's clients show whole, in characters.
pub const MAX_CAPTION_CHARS: usize = 1_024;
/// Longest file name, in bytes of UTF-8: more fits no common file system.
pub const MAX_NAME_BYTES: usize = 255;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $limit:expr, caption $caption:literal, [$($mime:literal),*];)*) => {
        /// What a file is to the person who gets it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum MediaKind { $($(#[$doc])* #[serde(rename = $text)] $name,)* }

        impl MediaKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name in the API and the database: `message_type` of the message.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Largest file that WhatsApp's clients take, in bytes.
            #[must_use]
            pub const fn limit(self) -> u64 {
                match self { $(Self::$name => $limit,)* }
            }

            /// Whether WhatsApp shows a text beside it.
            #[must_use]
            pub const fn takes_caption(self) -> bool {
                match self { $(Self::$name => $caption,)* }
            }

            /// MIME types that WhatsApp's clients can show as this kind; empty: any.
            #[must_use]
            pub const fn mimes(self) -> &'static [&'static str] {
                match self { $(Self::$name => &[$($mime),*],)* }
            }
        }

        impl FromStr for MediaKind {
            type Err = ();
            fn from_str(text: &str) -> Result<Self, ()> {
                match text { $($text => Ok(Self::$name),)* _ => Err(()) }
            }
        }
    };
}

kinds! {
    /// A picture, shown in the chat.
    Image = "image", 16 * MIB, caption true, ["image/jpeg", "image/png", "image/webp"];
    /// A film, shown in the chat.
    Video = "video", 100 * MIB, caption true, ["video/mp4", "video/3gpp"];
    /// A short round film, recorded in the chat.
    VideoNote = "video_note", 16 * MIB, caption false, ["video/mp4"];
    /// Sound from a file.
    Audio = "audio", 16 * MIB, caption false, ["audio/mpeg", "audio/mp4", "audio/aac", "audio/amr", "audio/ogg"];
    /// Sound as if recorded in the chat, with a wave form and a microphone.
    VoiceNote = "voice_note", 16 * MIB, caption false, ["audio/ogg"];
    /// A file to open or save, of any type.
    Document = "document", 2048 * MIB, caption true, [];
    /// A sticker: a small picture without a frame, still or moving.
    Sticker = "sticker", MIB, caption false, ["image/webp"];
}

impl fmt::Display for MediaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl MediaKind {
    /// Checks a caption of this kind; an empty one is none.
    ///
    /// # Errors
    /// `Invalid` on `caption` when the kind takes none, or it is too long or holds a NUL character.
    pub fn caption(self, text: Option<String>) -> Result<Option<String>, Invalid> {
        let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
        let refuse = |message: String| Err(Invalid::new("caption", message));
        if !self.takes_caption() {
            return refuse(format!("is not possible with media of the type {self}"));
        }
        if text.contains('\0') {
            return refuse("must not hold NUL characters".into());
        }
        let chars = text.chars().count();
        if chars > MAX_CAPTION_CHARS {
            return refuse(format!("has {chars} characters; at most {MAX_CAPTION_CHARS} are possible"));
        }
        Ok(Some(text))
    }

    /// As what a file of this MIME type is sent when nobody says: as what WhatsApp shows of it, in doubt as a document, which
    /// takes everything.
    #[must_use]
    pub fn of_mime(mime: &str) -> Self {
        match essence(mime) {
            "image/jpeg" | "image/png" | "image/webp" => Self::Image,
            "video/mp4" => Self::Video,
            mime if mime.starts_with("audio/") => Self::Audio,
            _ => Self::Document,
        }
    }

    /// Whether a file of this MIME type (without parameters, lower case) can be sent as this kind.
    #[must_use]
    pub fn takes(self, mime: &str) -> bool {
        let all = self.mimes();
        all.is_empty() || all.contains(&mime)
    }
}

/// Where the bytes of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaState {
    /// Here.
    #[default]
    Stored,
    /// At WhatsApp's media host, fetched when somebody asks.
    Remote,
    /// Nowhere any more: it was removed here after its time, or WhatsApp does not have it any longer.
    Gone,
    /// What WhatsApp's media host has is not what was sent.
    Failed,
}

impl MediaState {
    /// Every state.
    pub const ALL: &'static [Self] = &[Self::Stored, Self::Remote, Self::Gone, Self::Failed];

    /// The name in the API and the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Remote => "remote",
            Self::Gone => "gone",
            Self::Failed => "failed",
        }
    }
}

impl FromStr for MediaState {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|state| state.as_str() == text).ok_or(())
    }
}

/// A file as a message carries it. Its bytes are elsewhere.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// What it is to its reader.
    pub kind: MediaKind,
    /// MIME type; with parameters where they matter (`audio/ogg; codecs=opus`).
    pub mime: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the bytes.
    #[serde(with = "hex32")]
    pub sha256: [u8; 32],
    /// Name for saving it, without any path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Text beside it. Kept where texts are.
    #[serde(skip)]
    pub caption: Option<String>,
    /// Pixels, for what can be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels, for what can be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Length of what can be played.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
    /// Whether a sticker moves, or a film plays like a GIF.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub animated: bool,
    /// Loudness over time of a voice note, 64 values from 0 to 100; empty when not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waveform: Vec<u8>,
    /// Where the bytes are. Changes, and is kept beside the rest.
    #[serde(skip)]
    pub state: MediaState,
}

impl Media {
    /// A file of which only the necessary is known.
    #[must_use]
    pub fn new(kind: MediaKind, mime: impl Into<String>, size: u64, sha256: [u8; 32]) -> Self {
        Self {
            kind,
            mime: mime.into(),
            size,
            sha256,
            filename: None,
            caption: None,
            width: None,
            height: None,
            seconds: None,
            animated: false,
            waveform: Vec::new(),
            state: MediaState::default(),
        }
    }

    /// SHA-256 as 64 hexadecimal digits.
    #[must_use]
    pub fn sha256_hex(&self) -> String {
        hex32::text(&self.sha256)
    }

    /// A name for saving it: its own, or one made of its type.
    #[must_use]
    pub fn save_as(&self) -> String {
        self.filename.clone().unwrap_or_else(|| format!("{}.{}", self.kind, extension(essence(&self.mime))))
    }
}

/// Captions and file names of people are not for logs.
impl fmt::Debug for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Media({}, {}, {} bytes, {})", self.kind, self.mime, self.size, self.state.as_str())
    }
}

/// A MIME type without its parameters.
#[must_use]
pub fn essence(mime: &str) -> &str {
    mime.split(';').next().unwrap_or_default().trim()
}

/// The usual ending of files of a type.
fn extension(essence: &str) -> &'static str {
    match essence {
        "image/jpeg" => "jpg",
        "image/png" => "png",
        "image/webp" => "webp",
        "image/gif" => "gif",
        "video/mp4" => "mp4",
        "video/3gpp" => "3gp",
        "audio/mpeg" => "mp3",
        "audio/mp4" => "m4a",
        "audio/aac" => "aac",
        "audio/amr" => "amr",
        "audio/ogg" => "ogg",
        "application/pdf" => "pdf",
        "text/plain" => "txt",
        _ => "bin",
    }
}

/// What is left of a file name that somebody sent: no path, no control or direction-changing characters, at most
/// [`MAX_NAME_BYTES`]. `None` when nothing is left.
#[must_use]
pub fn file_name(text: &str) -> Option<String> {
    let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = last.chars().filter(|c| !is_treacherous(*c)).collect();
    // A name of dots is a folder, and one that begins with a dot is hidden.
    let name = name.trim().trim_start_matches('.').trim_end_matches(['.', ' ']).trim_start();
    if name.is_empty() { None } else { Some(shortened(name)) }
}

/// Cuts the middle out of a long name, so that its ending stays.
fn shortened(name: &str) -> String {
    if name.len() <= MAX_NAME_BYTES {
        return name.to_owned();
    }
    let ending = name.rfind('.').map(|dot| name.split_at(dot).1).filter(|ending| ending.len() <= 16).unwrap_or_default();
    let room = MAX_NAME_BYTES - ending.len();
    let mut stem = String::with_capacity(MAX_NAME_BYTES);
    for c in name.chars() {
        if stem.len() + c.len_utf8() > room {
            break;
        }
        stem.push(c);
    }
    stem + ending
}

/// Characters that change how a name looks or works without being seen.
fn is_treacherous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}')
}

/// 32 bytes as hexadecimal digits.
mod hex32 {
    use serde::{Deserialize as _, Deserializer, Serializer};
    use std::fmt::Write as _;

    pub(super) fn text(bytes: &[u8; 32]) -> String {
        bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let refuse = || serde::de::Error::custom("must be 64 hexadecimal digits");
        let text = String::deserialize(deserializer)?;
        if text.len() != 64 {
            return Err(refuse());
        }
        let mut bytes = [0; 32];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| refuse())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| refuse())?;
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[test]
    fn only_what_whatsapp_shows_is_sent_as_a_picture() {
        let kinds = ["image/png", "image/svg+xml", "audio/ogg; codecs=opus", "video/mp4", ""].map(MediaKind::of_mime);
        assert_eq!(kinds.map(MediaKind::as_str), ["image", "document", "audio", "video", "document"]);
    }

    #[rstest]
    #[case("invoice.pdf", Some("invoice.pdf"))]
    #[case("../../etc/passwd", Some("passwd"))]
    #[case("C:\\Users\\anna\\photo.jpg", Some("photo.jpg"))]
    #[case("a\u{0}b\r\n.txt", Some("ab.txt"))]
    #[case("gpj.\u{202E}exe", Some("gpj.exe"))]
    #[case(".htaccess", Some("htaccess"))]
    #[case("name. ", Some("name"))]
    #[case("Rechnung für Jürgen.pdf", Some("Rechnung für Jürgen.pdf"))]
    #[case("..", None)]
    #[case("folder/", None)]
    #[case(" \t", None)]
    fn what_is_left_of_a_file_name(#[case] sent: &str, #[case] kept: Option<&str>) {
        assert_eq!(file_name(sent).as_deref(), kept);
    }

    #[test]
    fn a_long_name_keeps_its_ending() {
        let name = file_name(&format!("{}.pdf", "ü".repeat(300))).expect("a name");
        assert!(name.len() <= MAX_NAME_BYTES && name.ends_with("ü.pdf"), "{name}");
    }

    proptest! {
        #[test]
        fn no_name_is_a_path_or_longer_than_a_file_system_takes(text in "\\PC{0,400}|[./\\\\\\x00-\\x1f\u{202e}a]{0,400}") {
            if let Some(name) = file_name(&text) {
                prop_assert!(!name.is_empty() && name.len() <= MAX_NAME_BYTES);
                let bad = ['/', '\\', '\0', '\n', '\u{202e}'];
                prop_assert!(!name.contains(bad) && !name.starts_with('.'));
                prop_assert_eq!(file_name(&name), Some(name.clone()));
            }
        }
    }

    #[rstest]
    #[case(MediaKind::Image, true)]
    #[case(MediaKind::Video, true)]
    #[case(MediaKind::Document, true)]
    #[case(MediaKind::Audio, false)]
    #[case(MediaKind::VoiceNote, false)]
    #[case(MediaKind::Sticker, false)]
    #[case(MediaKind::VideoNote, false)]
    fn who_takes_a_caption(#[case] kind: MediaKind, #[case] takes: bool) {
        assert_eq!(kind.caption(Some("look".into())).is_ok(), takes);
        assert_eq!(kind.caption(Some("  ".into())), Ok(None), "an empty one is none");
    }

    #[test]
    fn a_caption_of_the_longest_length_passes_and_one_more_character_does_not() {
        assert!(MediaKind::Image.caption(Some("é".repeat(MAX_CAPTION_CHARS))).is_ok());
        assert!(MediaKind::Image.caption(Some("é".repeat(MAX_CAPTION_CHARS + 1))).is_err());
        assert!(MediaKind::Image.caption(Some("a\0".into())).is_err());
    }

    #[rstest]
    #[case(MediaKind::Image, "image/jpeg", true)]
    #[case(MediaKind::Image, "image/svg+xml", false)]
    #[case(MediaKind::Image, "image/gif", false)]
    #[case(MediaKind::Sticker, "image/webp", true)]
    #[case(MediaKind::Sticker, "image/png", false)]
    #[case(MediaKind::Video, "video/quicktime", false)]
    #[case(MediaKind::VoiceNote, "audio/mpeg", false)]
    #[case(MediaKind::Document, "application/x-anything", true)]
    fn which_types_a_kind_takes(#[case] kind: MediaKind, #[case] mime: &str, #[case] takes: bool) {
        assert_eq!(kind.takes(mime), takes);
    }

    #[test]
    fn names_are_read_back() {
        for kind in MediaKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(*kind));
        }
        for state in MediaState::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
        }
    }

    #[test]
    fn nothing_that_people_wrote_is_shown_in_logs() {
        let media = Media {
            filename: Some("divorce.pdf".into()),
            caption: Some("secret".into()),
            ..Media::new(MediaKind::Document, "application/pdf", 7, [0xab; 32])
        };
        let shown = format!("{media:?}");
        assert!(!shown.contains("divorce") && !shown.contains("secret"), "{shown}");
        assert_eq!(media.sha256_hex(), "ab".repeat(32));
        assert_eq!(Media::new(MediaKind::Image, "image/jpeg", 1, [0; 32]).save_as(), "image.jpg");
    }
}
