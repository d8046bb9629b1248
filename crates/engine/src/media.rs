//! Files on their way: up to WhatsApp's media host before a message is sent, and down when somebody asks for one.
//!
//! Nothing is ever whole in memory. Encrypting writes a second file beside the first, since the host wants to know the
//! hash before the bytes; downloading decrypts into a file while its hash is taken.

use crate::engine::Engine;
use crate::incoming::Remote;
use crate::link::{Link, context};
use crate::runtime::LinkRuntime;
use crate::{attempt, jid};
use sanasend_model::retry::AttemptError;
use sanasend_model::{Jid, Media, MediaKind, Network, Timestamp};
use sanasend_store::Quoted;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::any::Any;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use whatsapp_rust::ErrorChainExt;
use whatsapp_rust::download::{DownloadParams, DownloadWriter, MediaDownloadError, MediaDownloader, MediaType};
use whatsapp_rust::features::{MediaRetryResult, MediaReuploadRequest};
use whatsapp_rust::http::HttpRequest;
use whatsapp_rust::wacore::upload::{EncryptedMediaInfo, UploadSource, encrypt_media_streaming};
use whatsapp_rust::waproto::buffa::MessageField;
use whatsapp_rust::waproto::whatsapp::Message;
use whatsapp_rust::waproto::whatsapp::message::{AudioMessage, DocumentMessage, ImageMessage, StickerMessage, VideoMessage};

/// Buffers on the way between two files.
const BUFFER: usize = 64 * 1024;
/// How long a media host may take to say whether it has a file.
const LOOK_LIMIT: Duration = Duration::from_secs(10);
/// What it answers for a file that it will not give out any more.
const GONE: [u16; 4] = [401, 403, 404, 410];

/// Whatever is to be held for as long as a transfer has a thread: a turn. That may be longer than anybody waits for the transfer,
/// for a thread can't be taken back; it ends by itself with the next bytes.
pub type Held = Arc<dyn Any + Send + Sync>;

/// A file at WhatsApp's media host, ready to be sent to anybody. Opens the file: keep it sealed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uploaded {
    url: String,
    direct_path: String,
    media_key: [u8; 32],
    enc_sha256: [u8; 32],
    sha256: [u8; 32],
    length: u64,
    /// Seconds since 1970.
    key_made_at: i64,
    sidecar: Option<Vec<u8>>,
}

impl Uploaded {
    /// As bytes to be kept sealed.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what [`Uploaded::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// When it was handed over.
    pub fn at(&self) -> Timestamp {
        Timestamp(self.key_made_at.saturating_mul(1000))
    }
}

/// A file on its way to somebody.
#[derive(Clone)]
pub struct OutgoingMedia {
    /// The id chosen when the message was accepted; the same at every try.
    pub wa_message_id: String,
    /// A person by number or hidden id, or a group.
    pub to: Jid,
    /// What it is, with its caption.
    pub media: Media,
    /// A small JPEG of it.
    pub thumbnail: Option<Vec<u8>>,
    /// Where it is.
    pub uploaded: Uploaded,
    /// The message it answers.
    pub quoted: Option<Quoted>,
}

/// Keys and texts of people are not for logs.
impl fmt::Debug for OutgoingMedia {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutgoingMedia({} to {}, {:?})", self.wa_message_id, self.to, self.media)
    }
}

impl fmt::Debug for Uploaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uploaded").field("length", &self.length).finish_non_exhaustive()
    }
}

/// Why a file could not be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// WhatsApp's media host does not have it any more.
    #[error("WhatsApp's media host does not have the file any more")]
    Gone,
    /// What the host has is not what was sent.
    #[error("what WhatsApp's media host has is not the file that was sent")]
    Corrupt,
    /// It could not be fetched now; the sentence is for the log.
    #[error("the file can't be fetched now: {0}")]
    Unreachable(String),
}

impl Link {
    /// Encrypts the file at `plain` and hands it to WhatsApp's media host. `scratch` is a path for the encrypted copy, gone
    /// when this returns. `held` is let go when the last thread has ended.
    ///
    /// # Errors
    /// `Media` when it can never be handed over, others as they are named.
    pub async fn upload(&self, media: &Media, plain: &Path, scratch: &Path, held: Held) -> Result<Uploaded, AttemptError> {
        let client = self.alive().ok_or(AttemptError::Offline)?;
        let kind = wire_type(media.kind);
        let scratch = Scratch(scratch.to_owned());
        let (from, to, turn) = (plain.to_owned(), scratch.0.clone(), Arc::clone(&held));
        let work = move || {
            let encrypted = encrypt(&from, &to, kind);
            drop(turn);
            encrypted
        };
        let encrypted = tokio::task::spawn_blocking(work).await;
        let passing = |error: &dyn fmt::Display| AttemptError::Transient { reason: format!("The file could not be encrypted: {error}.") };
        let (info, length) = encrypted.map_err(|error| passing(&error))?.map_err(|error| passing(&error))?;
        if info.file_sha256 != media.sha256 {
            return Err(AttemptError::Media { reason: "The stored file is not the one that was accepted.".into() });
        }
        // Gone when nobody waits any more.
        let wanted = Arc::new(());
        let source = Source { path: scratch.0.clone(), length, wanted: Arc::downgrade(&wanted), _held: held };
        let done = client.upload_stream(source, info, kind).await.map_err(|error| refused(&error))?;
        Ok(Uploaded {
            url: done.url,
            direct_path: done.direct_path,
            media_key: done.media_key,
            enc_sha256: done.file_enc_sha256,
            sha256: done.file_sha256,
            length: done.file_length,
            key_made_at: done.media_key_timestamp,
            sidecar: done.streaming_sidecar,
        })
    }

    /// Whether WhatsApp's media host still has a file that was handed over. In doubt it has: only its own word counts. `held` is let
    /// go when the thread that asks has ended.
    pub async fn has_uploaded(&self, uploaded: &Uploaded, held: Held) -> bool {
        let Some(client) = self.alive() else { return true };
        let http = Arc::clone(&client.http_client);
        // One byte; what a host sends beyond that is not read.
        let request = HttpRequest::get(uploaded.url.clone()).with_header("Range", "bytes=0-0");
        let ask = move || {
            let status = http.execute_streaming(request).map(|answer| answer.status_code);
            drop(held);
            status
        };
        let asked = tokio::task::spawn_blocking(ask);
        match tokio::time::timeout(LOOK_LIMIT, asked).await {
            Ok(Ok(Ok(status))) => !GONE.contains(&status),
            _ => true,
        }
    }

    /// Encrypts a message with an uploaded file and writes it to the socket, like [`Link::send_text`].
    ///
    /// # Errors
    /// As there.
    pub async fn send_media(&self, message: OutgoingMedia) -> Result<(), AttemptError> {
        let (to, wa_message_id) = (message.to.clone(), message.wa_message_id.clone());
        self.send(&to, &wa_message_id, compose(message)).await
    }

    /// Asks the sender's phone, through WhatsApp, to hand a file over once more that is gone from the media host. Answers
    /// the new way to it. The phone has to be there: this may take half a minute.
    ///
    /// # Errors
    /// `Gone` when the phone does not have it either, `Unreachable` when nobody answers.
    pub async fn ask_again(
        &self,
        chat: &Jid,
        sender: Option<&Jid>,
        from_me: bool,
        wa_message_id: &str,
        remote: &[u8],
    ) -> Result<Vec<u8>, FetchError> {
        let unreachable = |reason: &str| FetchError::Unreachable(reason.to_owned());
        let client = self.alive().ok_or_else(|| unreachable("the account is not connected"))?;
        let mut remote = Remote::from_bytes(remote).ok_or(FetchError::Gone)?;
        let chat = jid::to_wire(chat).ok_or(FetchError::Gone)?;
        let sender = sender.and_then(jid::to_wire);
        let asked = MediaReuploadRequest {
            msg_id: wa_message_id,
            chat_jid: &chat,
            media_key: &remote.media_key,
            is_from_me: from_me,
            participant: sender.as_ref(),
        };
        match client.media_reupload().request(&asked).await {
            Ok(MediaRetryResult::Success { direct_path }) if direct_path.starts_with('/') => {
                remote.direct_path = direct_path;
                Ok(remote.to_bytes())
            }
            Ok(_) => Err(FetchError::Gone),
            Err(error) => Err(FetchError::Unreachable(error.to_string())),
        }
    }
}

impl Engine {
    /// Fetches a file from WhatsApp's media host into `into`, an empty file. `remote` came with the message. No link is
    /// needed. What is written was checked, by its key and by its hash, when this answers `Ok`; else the file is to be
    /// thrown away. `held` is let go when the last thread has ended.
    ///
    /// # Errors
    /// Why it is not there.
    pub async fn download(&self, network: Network, media: &Media, remote: &[u8], into: File, held: Held) -> Result<(), FetchError> {
        let remote = Remote::from_bytes(remote).ok_or(FetchError::Gone)?;
        let way = self.way(network).map_err(|error| FetchError::Unreachable(error.to_string()))?;
        let http = way.media_http();
        let Remote { direct_path, media_key, enc_sha256 } = &remote;
        let params =
            DownloadParams::encrypted(direct_path.clone(), media_key, &media.sha256, enc_sha256, media.size, wire_type(media.kind));
        let found = Arc::new(Mutex::new(Found::default()));
        // The size is a claim; a file larger than it is not the one that was announced. Nothing claimed: the kind's limit.
        let limit = if media.size == 0 { media.kind.limit() } else { media.size };
        // Gone when nobody waits any more.
        let wanted = Arc::new(());
        let sink = Sink { file: into, found: Arc::clone(&found), limit, wanted: Arc::downgrade(&wanted), _held: held };
        let downloader = MediaDownloader::with_default_hosts(http, Arc::new(LinkRuntime::new()));
        downloader.download_to_writer(&params, sink).await.map_err(|error| why(&error))?;
        let found = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
        let is_it = <[u8; 32]>::from(found.hash.finalize()) == media.sha256;
        if is_it { Ok(()) } else { Err(FetchError::Corrupt) }
    }
}

fn wire_type(kind: MediaKind) -> MediaType {
    match kind {
        MediaKind::Image => MediaType::Image,
        MediaKind::Video | MediaKind::VideoNote => MediaType::Video,
        MediaKind::Audio | MediaKind::VoiceNote => MediaType::Audio,
        MediaKind::Document => MediaType::Document,
        MediaKind::Sticker => MediaType::Sticker,
    }
}

/// A file that goes with this value.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What can't be removed now is swept with the folder it is in.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn encrypt(from: &Path, to: &Path, kind: MediaType) -> anyhow::Result<(EncryptedMediaInfo, u64)> {
    let plain = BufReader::with_capacity(BUFFER, File::open(from)?);
    let encrypted = BufWriter::with_capacity(BUFFER, File::create(to)?);
    let info = encrypt_media_streaming(plain, encrypted, kind)?;
    Ok((info, std::fs::metadata(to)?.len()))
}

/// The encrypted file, read from wherever the host wants to go on.
struct Source {
    path: PathBuf,
    length: u64,
    wanted: Weak<()>,
    _held: Held,
}

impl UploadSource for Source {
    fn len(&self) -> u64 {
        self.length
    }

    fn reader_from(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(Box::new(Wanted { inner: BufReader::with_capacity(BUFFER, file), wanted: self.wanted.clone() }))
    }
}

/// Bytes that end when nobody waits any more for what comes of them.
struct Wanted<R> {
    inner: R,
    wanted: Weak<()>,
}

impl<R: Read> Read for Wanted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        is_wanted(&self.wanted)?;
        self.inner.read(into)
    }
}

/// A thread can't be taken back, but it can be told that its work is in vain.
fn is_wanted(wanted: &Weak<()>) -> io::Result<()> {
    if wanted.strong_count() == 0 { Err(io::Error::other("nobody waits for the file any more")) } else { Ok(()) }
}

/// A media host's refusal: what it said of the file itself can't pass, everything else can.
fn refused(error: &anyhow::Error) -> AttemptError {
    match error.http_status() {
        Some(status @ (400 | 413 | 415)) => {
            AttemptError::Media { reason: format!("WhatsApp's media host refused the file (status {status}).") }
        }
        Some(429) => AttemptError::Limited { wait: None },
        Some(status) => AttemptError::Transient { reason: format!("WhatsApp's media host answered with status {status}.") },
        None if error.is_transport_unavailable() => AttemptError::Offline,
        None => {
            AttemptError::Transient { reason: format!("The file could not be handed to WhatsApp's media host: {}.", attempt::cause(error)) }
        }
    }
}

/// What came down so far.
#[derive(Default)]
struct Found {
    hash: Sha256,
    size: u64,
}

/// Writes into a file and takes its hash on the way. A failed host's bytes are forgotten when the next is tried.
struct Sink {
    file: File,
    found: Arc<Mutex<Found>>,
    limit: u64,
    wanted: Weak<()>,
    _held: Held,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        is_wanted(&self.wanted)?;
        let written = self.file.write(bytes)?;
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.size += written as u64;
        if found.size > self.limit {
            return Err(io::Error::other(TOO_LARGE));
        }
        found.hash.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for Sink {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl DownloadWriter for Sink {
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Found::default();
        self.file.set_len(length)
    }
}

const TOO_LARGE: &str = "larger than announced";
/// How the client library says that the bytes are not what the key belongs to (version 0.7.0).
const NOT_IT: [&str; 6] =
    [TOO_LARGE, "MAC mismatch", "Invalid final media size", "Invalid PKCS7 padding", "Bad PKCS7 padding", "Empty plaintext"];

fn why(error: &MediaDownloadError) -> FetchError {
    match error {
        MediaDownloadError::ReferenceRejected(_) => FetchError::Gone,
        MediaDownloadError::HostsUnreachable(cause) => {
            let text = format!("{cause:#}");
            if NOT_IT.iter().any(|words| text.contains(words)) { FetchError::Corrupt } else { FetchError::Unreachable(text) }
        }
        other => FetchError::Unreachable(other.to_string()),
    }
}

/// The fields that all kinds of files have under the same names.
macro_rules! filled {
    ($type:ident, $message:expr, { $($field:ident: $value:expr),* $(,)? }) => {{
        let OutgoingMedia { media, uploaded, .. } = &$message;
        $type {
            url: Some(uploaded.url.clone()),
            direct_path: Some(uploaded.direct_path.clone()),
            media_key: Some(uploaded.media_key.to_vec()),
            file_sha256: Some(uploaded.sha256.to_vec()),
            file_enc_sha256: Some(uploaded.enc_sha256.to_vec()),
            file_length: Some(uploaded.length),
            media_key_timestamp: Some(uploaded.key_made_at),
            mimetype: Some(media.mime.clone()),
            $($field: $value,)*
            ..Default::default()
        }
    }};
}

/// A file as WhatsApp's web client writes it.
fn compose(mut message: OutgoingMedia) -> Message {
    let quoted = message.quoted.take();
    let context_info = quoted.map(|quoted| MessageField::some(context(quoted, &message.to))).unwrap_or_default();
    let media = message.media.clone();
    let (thumbnail, sidecar) = (message.thumbnail.clone(), message.uploaded.sidecar.clone());
    let moving = media.animated.then_some(true);
    match media.kind {
        MediaKind::Image => {
            let image = filled!(ImageMessage, message, {
                caption: media.caption, width: media.width, height: media.height, jpeg_thumbnail: thumbnail, context_info: context_info,
            });
            Message { image_message: MessageField::some(image), ..Default::default() }
        }
        kind @ (MediaKind::Video | MediaKind::VideoNote) => {
            let video = filled!(VideoMessage, message, {
                caption: media.caption, width: media.width, height: media.height, seconds: media.seconds, gif_playback: moving,
                jpeg_thumbnail: thumbnail, streaming_sidecar: sidecar, context_info: context_info,
            });
            let video = MessageField::some(video);
            if kind == MediaKind::Video {
                Message { video_message: video, ..Default::default() }
            } else {
                Message { ptv_message: video, ..Default::default() }
            }
        }
        kind @ (MediaKind::Audio | MediaKind::VoiceNote) => {
            let wave = Some(media.waveform).filter(|wave| !wave.is_empty());
            let audio = filled!(AudioMessage, message, {
                seconds: media.seconds, ptt: (kind == MediaKind::VoiceNote).then_some(true), waveform: wave,
                streaming_sidecar: sidecar, context_info: context_info,
            });
            Message { audio_message: MessageField::some(audio), ..Default::default() }
        }
        MediaKind::Document => {
            let name = media.save_as();
            let document = filled!(DocumentMessage, message, {
                caption: media.caption, title: Some(name.clone()), file_name: Some(name), jpeg_thumbnail: thumbnail,
                context_info: context_info,
            });
            Message { document_message: MessageField::some(document), ..Default::default() }
        }
        MediaKind::Sticker => {
            let sticker = filled!(StickerMessage, message, {
                width: media.width, height: media.height, is_animated: moving, context_info: context_info,
            });
            Message { sticker_message: MessageField::some(sticker), ..Default::default() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_that_nobody_waits_for_ends_and_holds_its_turn_until_then() {
        let (wanted, held): (Arc<()>, Held) = (Arc::new(()), Arc::new(()));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, b"bread").expect("written");
        let source = Source { path, length: 5, wanted: Arc::downgrade(&wanted), _held: Arc::clone(&held) };
        let mut up = source.reader_from(0).expect("a reader");
        let file = File::create(folder.path().join("other")).expect("a file");
        let mut down = Sink { file, found: Arc::default(), limit: 5, wanted: Arc::downgrade(&wanted), _held: Arc::clone(&held) };
        assert_eq!(down.write(b"brea").expect("written"), 4);
        let mut bytes = [0; 4];
        assert_eq!(up.read(&mut bytes).expect("read"), 4);
        assert_eq!((&bytes, Arc::strong_count(&held)), (b"brea", 3));
        drop(wanted);
        assert!(up.read(&mut bytes).is_err() && down.write(b"d").is_err());
        drop((source, down));
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
