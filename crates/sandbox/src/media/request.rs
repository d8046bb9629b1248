//! What a client asks of a media host, read from method, path, query and headers.
//!
//! Apart because it is pure, and because every client writes its query differently: some begin it with a second `?`
//! after a direct path that has one already.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// Tokens are URL-safe base64; clients differ in padding.
const TOKEN: GeneralPurpose =
    GeneralPurpose::new(&base64::alphabet::URL_SAFE, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// Bytes of the largest picture, sticker or thumbnail.
const SMALL: u64 = 64 * 1024 * 1024;
/// Bytes of the largest film, sound or document: 2 GiB and what sealing adds.
const LARGE: u64 = 2 * 1024 * 1024 * 1024 + 1024;

/// Kinds of media that have a path of their own, with the largest size of each.
const KINDS: [(&str, u64); 14] = [
    ("image", SMALL),
    ("video", LARGE),
    ("audio", LARGE),
    ("document", LARGE),
    ("sticker", SMALL),
    ("ptt", LARGE),
    ("gif", LARGE),
    ("ptv", LARGE),
    ("md-msg-hist", LARGE),
    ("md-app-state", SMALL),
    ("sticker-pack", SMALL),
    ("thumbnail-sticker-pack", SMALL),
    ("thumbnail-link", SMALL),
    ("thumbnail-document", SMALL),
];

/// What a request names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// `/mms/{kind}/{token}`: by the hash of the sealed file.
    Hash {
        /// Kind, one of those known.
        kind: &'static str,
        /// SHA-256 of the sealed file.
        sha256: [u8; 32],
    },
    /// `/v/{kind}/{name}.enc`: by the name that an upload was answered with.
    Name(String),
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// What it is about.
    pub target: Target,
    /// `auth` as sent.
    pub auth: Option<String>,
    /// Asks how far an upload has come.
    pub resume: bool,
    /// Where the body goes on.
    pub offset: u64,
    /// SHA-256 of the sealed file that a download expects.
    pub expected: Option<[u8; 32]>,
    /// `Range`, as sent.
    pub range: Option<String>,
}

impl Request {
    /// Reads a request; `None` for a path that no media host knows.
    pub fn read(path_and_query: &str, headers: &[(String, String)]) -> Option<Request> {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let mut request = Request { target: target(path)?, auth: None, resume: false, offset: 0, expected: None, range: None };
        for (key, value) in query.split(['&', '?']).filter_map(|pair| pair.split_once('=')) {
            let value = unescaped(value);
            match key {
                "auth" => request.auth = Some(value),
                "resume" => request.resume = value == "1",
                "file_offset" => request.offset = value.parse().ok()?,
                "hash" | "token" => request.expected = sha256(&value),
                _ => {}
            }
        }
        request.range = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("range")).map(|(_, value)| value.clone());
        Some(request)
    }
}

/// Bytes of the largest file of a kind.
pub(super) fn largest(kind: &str) -> u64 {
    KINDS.iter().find(|(name, _)| *name == kind).map_or(SMALL, |(_, size)| *size)
}

/// The token under which a sealed file is taken to the host.
pub(crate) fn token(sha256: &[u8; 32]) -> String {
    base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(sha256)
}

fn target(path: &str) -> Option<Target> {
    let mut parts = path.split('/').skip(1);
    let (door, kind, last) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let kind = KINDS.iter().find(|(name, _)| *name == kind)?.0;
    match door {
        "mms" => Some(Target::Hash { kind, sha256: sha256(&unescaped(last))? }),
        "v" => Some(Target::Name(last.strip_suffix(".enc")?.to_owned())),
        _ => None,
    }
}

fn sha256(token: &str) -> Option<[u8; 32]> {
    TOKEN.decode(token).ok()?.try_into().ok()
}

/// `%3D` and its like; anything else stays as it is.
fn unescaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let byte = (first == b'%').then(|| std::str::from_utf8(after.get(..2)?).ok()).flatten();
        if let Some(byte) = byte.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            out.push(byte);
            rest = &after[2..];
        } else {
            out.push(first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The first byte and the one after the last that `Range` asks of a file of `size` bytes. `None`: the whole file, as
/// for ranges of kinds that are not known. An error is one that cannot be satisfied.
pub(super) fn range(header: Option<&str>, size: u64) -> Result<Option<(u64, u64)>, ()> {
    let Some((first, last)) = header.and_then(|header| header.strip_prefix("bytes=")).and_then(|range| range.split_once('-')) else {
        return Ok(None);
    };
    let (first, end) = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last.saturating_add(1).min(size)),
        (Ok(first), Err(_)) if last.trim().is_empty() => (first, size),
        (Err(_), Ok(count)) if first.trim().is_empty() => (size.saturating_sub(count), size),
        _ => return Ok(None),
    };
    if first < end { Ok(Some((first, end))) } else { Err(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_of_all_clients_are_read() {
        let hash = token(&[7; 32]);
        let rust = format!("/v/image/00ff.enc?ccb=11-4&oe=1?auth=1.ab&token={hash}");
        let read = Request::read(&rust, &[]).unwrap();
        assert_eq!(read.target, Target::Name("00ff".into()));
        assert_eq!((read.auth.as_deref(), read.expected), (Some("1.ab"), Some([7; 32])));
        let baileys = format!("/mms/image/{hash}%3D?auth=1.ab&token={hash}%3D");
        assert_eq!(Request::read(&baileys, &[]).unwrap().target, Target::Hash { kind: "image", sha256: [7; 32] });
        let probe = format!("/mms/video/{hash}?auth=a&token={hash}&resume=1");
        assert!(Request::read(&probe, &[]).unwrap().resume);
    }

    #[test]
    fn other_paths_are_no_media() {
        let hash = token(&[7; 32]);
        for path in ["/", "/mms/image", "/mms/else/x", "/v/image/a", "/v/image/../a.enc", "/mms/image/short", "/mms/image/a/b"] {
            assert_eq!(Request::read(path, &[]), None, "{path}");
        }
        assert_eq!(Request::read(&format!("/mms/image/{hash}?file_offset=x"), &[]), None);
    }

    #[test]
    fn ranges() {
        let of = |header: &str| range(Some(header), 10);
        assert_eq!(of("bytes=0-3"), Ok(Some((0, 4))));
        assert_eq!(of("bytes=4-"), Ok(Some((4, 10))));
        assert_eq!(of("bytes=-3"), Ok(Some((7, 10))));
        assert_eq!(of("bytes=5-99"), Ok(Some((5, 10))));
        assert_eq!(of("bytes=10-"), Err(()));
        assert_eq!(of("bytes=3-1"), Ok(None));
        assert_eq!(of("lines=1-2"), Ok(None));
        assert_eq!(range(None, 10), Ok(None));
    }
}
