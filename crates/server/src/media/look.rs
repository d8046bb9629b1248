//! What a file is, by its content.
//!
//! A name or a declared type is what the sender says; it is believed only where the content can't contradict it, and never
//! for types that a browser would run.

use sanasend_model::MediaKind;
use sanasend_model::media::essence;

/// First bytes that are looked at.
pub const HEAD: u64 = 16 * 1024;
/// What is said of bytes that nothing is known of.
const ANYTHING: &str = "application/octet-stream";

/// Why a file can't be sent as what it was meant to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Unfit {
    /// WhatsApp does not show files of this type as this kind.
    Type {
        /// What it is.
        found: String,
    },
    /// The sender says another type than it has.
    Lie {
        /// What it is.
        found: String,
        /// What the sender says.
        declared: String,
    },
}

/// The MIME type of a file that is to be sent as `kind`.
///
/// # Errors
/// When it can't be sent so.
pub fn mime_of(kind: MediaKind, head: &[u8], declared: Option<&str>, name: Option<&str>) -> Result<String, Unfit> {
    let found = detect(head);
    let declared = declared.map(|text| alias(&essence(text).to_ascii_lowercase()).to_owned());
    let declared = declared.filter(|text| !text.is_empty() && text != ANYTHING);
    if kind == MediaKind::Document {
        return Ok(document(found, declared.as_deref(), name));
    }
    let found = found.unwrap_or(ANYTHING);
    if !kind.takes(found) {
        return Err(Unfit::Type { found: found.to_owned() });
    }
    if let Some(declared) = declared.filter(|declared| declared != found) {
        return Err(Unfit::Lie { found: found.to_owned(), declared });
    }
    if found == "audio/ogg" && is_opus(head) {
        return Ok("audio/ogg; codecs=opus".to_owned());
    }
    Ok(found.to_owned())
}

/// The type of a document: what the content shows, then what the name or the sender says of content that shows nothing.
fn document(found: Option<&'static str>, declared: Option<&str>, name: Option<&str>) -> String {
    let by_name = name.and_then(|name| name.rsplit_once('.')).and_then(|(_, ending)| by_ending(&ending.to_ascii_lowercase()));
    match found {
        // A container or a text may be something more special, and only its name says what.
        Some(wide @ ("application/zip" | "text/plain" | "application/x-ole-storage")) => {
            by_name.filter(|(_, inside)| *inside == wide).map_or(wide, |(mime, _)| mime).to_owned()
        }
        Some(found) => found.to_owned(),
        None => declared.filter(|mime| !is_active(mime) && !is_recognisable(mime)).unwrap_or(ANYTHING).to_owned(),
    }
}

/// Types that are told by an ending, with what such a file shows of itself.
fn by_ending(ending: &str) -> Option<(&'static str, &'static str)> {
    let zip = "application/zip";
    let text = "text/plain";
    let ole = "application/x-ole-storage";
    Some(match ending {
        "docx" => ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", zip),
        "xlsx" => ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", zip),
        "pptx" => ("application/vnd.openxmlformats-officedocument.presentationml.presentation", zip),
        "odt" => ("application/vnd.oasis.opendocument.text", zip),
        "ods" => ("application/vnd.oasis.opendocument.spreadsheet", zip),
        "apk" => ("application/vnd.android.package-archive", zip),
        "doc" => ("application/msword", ole),
        "xls" => ("application/vnd.ms-excel", ole),
        "ppt" => ("application/vnd.ms-powerpoint", ole),
        "csv" => ("text/csv", text),
        "json" => ("application/json", text),
        "ics" => ("text/calendar", text),
        "vcf" => ("text/vcard", text),
        _ => return None,
    })
}

/// Types that a browser would run; they are never believed without proof, and never shown in a browser.
#[must_use]
pub fn is_active(mime: &str) -> bool {
    let mime = essence(mime).to_ascii_lowercase();
    mime.contains("html") || mime.contains("xml") && !mime.contains("openxml") || mime.contains("svg") || mime.contains("javascript")
}

/// Types that content would show: a file that claims one and does not show it is not one.
fn is_recognisable(mime: &str) -> bool {
    mime == "application/pdf"
        || mime == "application/zip"
        || mime.starts_with("image/")
        || mime.starts_with("video/")
        || mime.starts_with("audio/")
}

/// What the first bytes show.
fn detect(head: &[u8]) -> Option<&'static str> {
    if let Some(mime) = active(head) {
        return Some(mime);
    }
    match infer::get(head).map(|found| found.mime_type()) {
        Some(mime) => Some(alias(mime)),
        None if is_text(head) => Some("text/plain"),
        None => None,
    }
}

/// Markup, wherever it hides: behind white space, a byte order mark, a comment or a prolog.
fn active(head: &[u8]) -> Option<&'static str> {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let text = String::from_utf8_lossy(head.get(..1024).unwrap_or(head)).trim_start().to_ascii_lowercase();
    if !text.starts_with('<') {
        return None;
    }
    if text.contains("<svg") {
        return Some("image/svg+xml");
    }
    if text.contains("<html") || text.contains("<!doctype html") || text.contains("<script") || text.contains("<body") {
        return Some("text/html");
    }
    text.starts_with("<?xml").then_some("text/xml")
}

/// Several names of one type.
fn alias(mime: &str) -> &str {
    match mime {
        "image/jpg" | "image/pjpeg" => "image/jpeg",
        "image/x-png" => "image/png",
        "audio/m4a" | "audio/x-m4a" | "audio/mp4a-latm" => "audio/mp4",
        "audio/mp3" | "audio/x-mp3" | "audio/mpeg3" => "audio/mpeg",
        "audio/opus" | "application/ogg" | "audio/x-ogg" | "audio/vorbis" => "audio/ogg",
        "audio/x-aac" | "audio/aacp" => "audio/aac",
        "audio/amr-nb" | "audio/x-amr" => "audio/amr",
        "video/x-m4v" | "video/m4v" => "video/mp4",
        "application/x-pdf" => "application/pdf",
        "application/x-zip-compressed" => "application/zip",
        other => other,
    }
}

/// An Ogg file whose first stream is Opus, the only one that WhatsApp plays.
#[must_use]
pub fn is_opus(head: &[u8]) -> bool {
    head.starts_with(b"OggS") && head.get(28..36) == Some(b"OpusHead".as_slice())
}

fn is_text(head: &[u8]) -> bool {
    let whole = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The last character may have been cut.
        Err(error) if error.valid_up_to() + 4 > head.len() => {
            std::str::from_utf8(head.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !whole.is_empty() && !whole.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\x0c'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JPEG: &[u8] = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00";
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR";
    const PDF: &[u8] = b"%PDF-1.7\n";
    const ZIP: &[u8] = b"PK\x03\x04\x14\x00\x00\x00\x08\x00";
    const MP4: &[u8] = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom";

    fn ogg(codec: &[u8]) -> Vec<u8> {
        let mut head = b"OggS\x00\x02".to_vec();
        head.resize(28, 0);
        head.extend_from_slice(codec);
        head
    }

    #[test]
    fn content_decides() {
        let table = [
            (MediaKind::Image, JPEG, None, Ok("image/jpeg")),
            (MediaKind::Image, JPEG, Some("image/jpg"), Ok("image/jpeg")),
            (MediaKind::Image, PNG, Some("application/octet-stream"), Ok("image/png")),
            (MediaKind::Image, PNG, Some("image/jpeg"), Err(())),
            (MediaKind::Image, PDF, None, Err(())),
            (MediaKind::Image, b"<svg xmlns='http://www.w3.org/2000/svg'/>", Some("image/png"), Err(())),
            (MediaKind::Image, b"GIF89a", None, Err(())),
            (MediaKind::Video, MP4, Some("video/mp4"), Ok("video/mp4")),
            (MediaKind::Video, JPEG, Some("video/mp4"), Err(())),
            (MediaKind::Sticker, PNG, None, Err(())),
            (MediaKind::Document, JPEG, Some("application/pdf"), Ok("image/jpeg")),
            (MediaKind::Document, PDF, Some("text/plain"), Ok("application/pdf")),
        ];
        for (kind, head, declared, expected) in table {
            let found = mime_of(kind, head, declared, None);
            assert_eq!(found.as_deref().map_err(|_| ()), expected, "{kind} {declared:?}: {found:?}");
        }
    }

    #[test]
    fn only_opus_is_named_so() {
        assert_eq!(mime_of(MediaKind::VoiceNote, &ogg(b"OpusHead"), None, None).as_deref(), Ok("audio/ogg; codecs=opus"));
        assert_eq!(mime_of(MediaKind::VoiceNote, &ogg(b"\x01vorbis"), Some("audio/ogg"), None).as_deref(), Ok("audio/ogg"));
    }

    #[test]
    fn a_document_is_what_it_shows_then_what_its_name_says() {
        type Row = (&'static [u8], Option<&'static str>, Option<&'static str>, &'static str);
        let table: [Row; 8] = [
            (ZIP, None, Some("a.docx"), "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
            (ZIP, None, Some("a.pdf"), "application/zip"),
            (b"a;b\n1;2\n", None, Some("list.CSV"), "text/csv"),
            (b"just words", Some("application/pdf"), None, "text/plain"),
            (b"\x00\x01\x02\x03", Some("application/x-thing"), None, "application/x-thing"),
            (b"\x00\x01\x02\x03", Some("text/html"), None, "application/octet-stream"),
            (b"\x00\x01\x02\x03", Some("image/png"), Some("a.png"), "application/octet-stream"),
            (b"\xef\xbb\xbf  <!DOCTYPE html><p>", Some("text/plain"), Some("a.txt"), "text/html"),
        ];
        for (head, declared, name, expected) in table {
            assert_eq!(mime_of(MediaKind::Document, head, declared, name).as_deref(), Ok(expected), "{declared:?} {name:?}");
        }
        assert!(
            is_active("text/html; charset=utf-8")
                && is_active("image/svg+xml")
                && is_active("Text/HTML")
                && is_active("image/SVG+xml; q=1")
                && !is_active("application/vnd.openxmlformats-officedocument.x")
        );
    }
}
