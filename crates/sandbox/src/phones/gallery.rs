//! A phone's dealings with the media hosts: sealing and leaving a file, taking and opening one.
//!
//! Everything here blocks and is called where that is allowed. Files stream from disk to disk; what is opened is kept
//! only if it is what its message says.

use crate::Error;
use crate::clock::Clock;
use crate::media::{Bounds, MediaHost, MediaTrouble, MediaWay, Placed, Shelf, token};
use crate::phones::attachment::{MediaFlaw, Sealed};
use crate::phones::content::MessageKind;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Semaphore;
use wacore::download::DownloadUtils;
use wacore::upload::encrypt_media_streaming_with_key;

/// What all phones keep together.
const BOUNDS: Bounds = Bounds { bytes: 4 << 30, files: 20_000, age_ms: 30 * 24 * 60 * 60 * 1000 };
/// The largest file that a phone sends or takes.
const LARGEST: u64 = 2 * 1024 * 1024 * 1024;
/// Files that all phones together seal or open at once.
const AT_ONCE: usize = 4;

/// The files that phones have opened or sent, and the hosts. Clones share it.
#[derive(Clone)]
pub(super) struct Gallery {
    shelf: Shelf,
    host: MediaHost,
    clock: Clock,
    places: Arc<Semaphore>,
}

impl Gallery {
    /// The gallery in `folder`.
    pub fn open(folder: &Path, host: MediaHost, clock: Clock) -> Result<Gallery, Error> {
        let shelf = Shelf::open(folder, BOUNDS, clock)?;
        shelf.sweep();
        Ok(Gallery { shelf, host, clock, places: Arc::new(Semaphore::new(AT_ONCE)) })
    }

    /// Does blocking work, a few at a time.
    pub async fn busy<T: Send + 'static>(&self, work: impl FnOnce(&Gallery) -> T + Send + 'static) -> Result<T, Error> {
        let place = self.places.clone().acquire_owned().await.map_err(|_| Error::Refused("the phones are closing".into()))?;
        let gallery = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            work(&gallery)
        });
        done.await.map_err(|error| Error::State(format!("a file: {error}")))
    }

    /// A kept file with its length; `None` when it is not kept any more.
    pub fn read(&self, name: &str) -> Result<Option<(File, u64)>, Error> {
        self.shelf.read(name).map_err(broken)
    }

    /// Forgets a file.
    pub fn remove(&self, name: &str) {
        self.shelf.remove(name);
    }

    /// Keeps what `source` gives.
    pub fn keep(&self, source: &mut dyn Read) -> Result<Placed, Error> {
        let mut draft = self.shelf.draft().map_err(broken)?;
        io::copy(&mut source.take(LARGEST + 1), &mut draft).map_err(|error| Error::Invalid(format!("the file broke off: {error}")))?;
        match draft.size() {
            0 => Err(Error::Invalid("the file is empty".into())),
            size if size > LARGEST => Err(Error::Invalid(format!("a file can have at most {LARGEST} bytes"))),
            _ => draft.keep().map_err(broken),
        }
    }

    /// Seals a kept file and leaves it at the media hosts in the name of `phone`. With a `key`, as it was sealed
    /// before.
    pub fn leave(&self, phone: &str, kind: MessageKind, name: &str, key: Option<&[u8]>, flaw: Option<MediaFlaw>) -> Result<Sealed, Error> {
        let media_type = kind.media_type().ok_or_else(|| Error::Invalid("this kind of message has no file".into()))?;
        let (file, _) = self.read(name)?.ok_or_else(|| Error::Unknown("this file is not kept any more".into()))?;
        let key: Option<&[u8; 32]> = key.and_then(|key| key.try_into().ok());
        let mut draft = self.shelf.draft().map_err(broken)?;
        let info = encrypt_media_streaming_with_key(file, &mut draft, media_type, key, None).map_err(|e| Error::Keys(e.to_string()))?;
        let mms = media_type.mms_type();
        let (url, direct_path) = if flaw == Some(MediaFlaw::Missing) {
            let path = format!("/v/{mms}/{}.enc?ccb=11-4", hex::encode(self.clock.bytes::<22>()));
            (format!("https://{}{path}", self.host.address()), path)
        } else {
            if flaw == Some(MediaFlaw::Corrupt) {
                self.host.plant(phone, MediaWay::Upload, MediaTrouble::Corrupt, 1);
            }
            self.upload(phone, mms, &info.file_enc_sha256, &mut draft.reread().map_err(broken)?)?
        };
        if flaw == Some(MediaFlaw::Expired) {
            self.host.expire_path(&direct_path, 410)?;
        }
        let mut sealed = Sealed {
            kind,
            direct_path,
            url,
            key: info.media_key.to_vec(),
            sha256: info.file_sha256.to_vec(),
            enc_sha256: info.file_enc_sha256.to_vec(),
            length: info.file_length,
            sidecar: info.streaming_sidecar.unwrap_or_default(),
            file: Some(name.to_owned()),
        };
        match flaw {
            Some(MediaFlaw::WrongHash) => sealed.sha256 = vec![0; 32],
            Some(MediaFlaw::WrongLength) => sealed.length += 1,
            _ => {}
        }
        Ok(sealed)
    }

    fn upload(&self, phone: &str, mms: &str, sha256: &[u8; 32], body: &mut dyn Read) -> Result<(String, String), Error> {
        let (token, ticket) = (token(sha256), self.host.ticket(phone));
        let path = format!("/mms/{mms}/{token}?auth={ticket}&token={token}");
        let mut answer = self.host.exchange("POST", &path, &[], body).map_err(broken)?;
        if answer.status != 200 {
            return Err(Error::Refused(format!("the media host answers {}", answer.status)));
        }
        let mut text = Vec::new();
        answer.body.read_to_end(&mut text).map_err(broken)?;
        let told: Told = serde_json::from_slice(&text)?;
        Ok((told.url, told.direct_path))
    }

    /// Takes a sealed file from the media hosts and opens it. The error is a sentence to be shown.
    pub fn fetch(&self, phone: &str, sealed: &Sealed) -> Result<Placed, String> {
        let media_type = sealed.kind.media_type().ok_or("this kind of message has no file")?;
        if sealed.length > LARGEST {
            return Err("the file is too large".into());
        }
        let join = if sealed.direct_path.contains('?') { '&' } else { '?' };
        let path = format!("{}{join}auth={}", sealed.direct_path, self.host.ticket(phone));
        let failed = |error: io::Error| format!("the download broke off: {error}");
        let answer = self.host.exchange("GET", &path, &[], &mut io::empty()).map_err(failed)?;
        if answer.status != 200 {
            return Err(format!("the media host answers {}", answer.status));
        }
        let mut body = Hashed { inner: answer.body, hash: Sha256::new() };
        let mut draft = self.shelf.draft().map_err(|error| error.to_string())?;
        DownloadUtils::decrypt_stream_to_writer(&mut body, &sealed.key, media_type, &mut draft)
            .map_err(|error| format!("it cannot be opened: {error}"))?;
        if body.hash.finalize().as_slice() != sealed.enc_sha256 {
            return Err("the sealed file is not the one that the message names".into());
        }
        if draft.sha256().as_slice() != sealed.sha256 {
            return Err("the file is not the one that the message names".into());
        }
        if draft.size() != sealed.length {
            return Err(format!("the file has {} bytes, the message says {}", draft.size(), sealed.length));
        }
        draft.keep().map_err(|error| error.to_string())
    }
}

/// The host's answer to an upload.
#[derive(serde::Deserialize)]
struct Told {
    url: String,
    direct_path: String,
}

/// Hashes what passes through.
struct Hashed<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "made for map_err")]
fn broken(error: io::Error) -> Error {
    Error::State(format!("a file: {error}"))
}
