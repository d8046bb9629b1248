//! A small server that speaks S3 on this machine: objects, ranges, lists in pages, uploads in parts; and it checks every
//! signature as Amazon does (Signature Version 4), so that a client which signs wrongly is found out.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::task::JoinHandle;

/// Name of the one bucket.
pub const BUCKET: &str = "files-of-the-story";
/// Who may use it.
pub const ACCESS_KEY: &str = "story-access-key";
/// And the proof.
pub const SECRET_KEY: &str = "story/secret+key";
/// Objects on one page of a list.
const PAGE: usize = 2;
/// Smallest part but the last, as at Amazon.
const SMALLEST_PART: usize = 5 << 20;

/// The running server; it ends with the value.
pub struct Bucket {
    address: SocketAddr,
    shelf: Arc<Mutex<Shelf>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shelf {
    objects: BTreeMap<String, Bytes>,
    uploads: HashMap<String, BTreeMap<u32, Bytes>>,
    /// What was asked, by a word each.
    asked: BTreeMap<&'static str, usize>,
    /// Every request is answered so, while it is set.
    trouble: Option<StatusCode>,
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Bucket {
    pub async fn start() -> Self {
        let shelf = Arc::<Mutex<Shelf>>::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let app = Router::new().fallback(answer).with_state(shelf.clone()).layer(axum::extract::DefaultBodyLimit::disable());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.expect("it serves") });
        Self { address, shelf, task }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().expect("not poisoned")
    }

    /// Names and sizes of all objects.
    pub fn objects(&self) -> BTreeMap<String, usize> {
        self.shelf().objects.iter().map(|(name, bytes)| (name.clone(), bytes.len())).collect()
    }

    /// Puts an object in as somebody else would.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        self.shelf().objects.insert(name.to_owned(), Bytes::copy_from_slice(bytes));
    }

    /// How often something was asked: `put`, `get`, `range`, `head`, `delete`, `list`, `begin`, `part`, `complete`, `abort`,
    /// `refused`.
    pub fn asked(&self, what: &str) -> usize {
        self.shelf().asked.get(what).copied().unwrap_or(0)
    }

    /// Answers everything with this status from now on.
    pub fn trouble(&self, status: Option<StatusCode>) {
        self.shelf().trouble = status;
    }
}

fn refuse(status: StatusCode, code: &str) -> Response {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{code}</Message></Error>");
    (status, [(header::CONTENT_TYPE, "application/xml")], body).into_response()
}

fn xml(body: &str) -> Response {
    ([(header::CONTENT_TYPE, "application/xml")], format!("<?xml version=\"1.0\"?>{body}")).into_response()
}

async fn answer(State(shelf): State<Arc<Mutex<Shelf>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 64 << 20).await.expect("a body");
    let mut shelf = shelf.lock().expect("not poisoned");
    if let Some(status) = shelf.trouble {
        return refuse(status, "Trouble");
    }
    if let Err(why) = is_signed(&parts, &body) {
        *shelf.asked.entry("refused").or_default() += 1;
        return refuse(StatusCode::FORBIDDEN, why);
    }
    let query: HashMap<String, String> =
        form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
    let Some(name) = parts.uri.path().strip_prefix('/').and_then(|path| path.strip_prefix(BUCKET)) else {
        return refuse(StatusCode::NOT_FOUND, "NoSuchBucket");
    };
    let name = decoded(name.trim_start_matches('/'));
    let (word, answer) = shelf.answer(&parts.method, &name, (&query, &parts.headers), body);
    *shelf.asked.entry(word).or_default() += 1;
    answer
}

impl Shelf {
    fn answer(
        &mut self,
        method: &Method,
        name: &str,
        (query, headers): (&HashMap<String, String>, &HeaderMap),
        body: Bytes,
    ) -> (&'static str, Response) {
        let upload = query.get("uploadId");
        match (method.as_str(), upload) {
            ("GET", None) if name.is_empty() => ("list", self.list(query)),
            ("GET", None) => self.get(name, headers),
            ("HEAD", None) => ("head", self.head(name)),
            ("DELETE", None) => {
                self.objects.remove(name);
                ("delete", StatusCode::NO_CONTENT.into_response())
            }
            ("PUT", None) => {
                let tag = tag_of(&body);
                self.objects.insert(name.to_owned(), body);
                ("put", [(header::ETAG, tag)].into_response())
            }
            ("POST", None) if query.contains_key("delete") => ("delete", self.delete(&body)),
            ("POST", None) if query.contains_key("uploads") => {
                let id = format!("upload-{}", self.uploads.len() + 1);
                self.uploads.insert(id.clone(), BTreeMap::new());
                ("begin", xml(&format!("<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>")))
            }
            ("PUT", Some(id)) => {
                let number = query.get("partNumber").and_then(|number| number.parse().ok()).expect("a number of the part");
                let tag = tag_of(&body);
                self.uploads.get_mut(id).expect("an upload").insert(number, body);
                ("part", [(header::ETAG, tag)].into_response())
            }
            ("POST", Some(id)) => ("complete", self.complete(name, id)),
            ("DELETE", Some(id)) => {
                self.uploads.remove(id);
                ("abort", StatusCode::NO_CONTENT.into_response())
            }
            _ => ("strange", refuse(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed")),
        }
    }

    /// Removes what a list of names tells.
    fn delete(&mut self, body: &[u8]) -> Response {
        let list = String::from_utf8_lossy(body);
        let mut removed = String::new();
        for name in list.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next()) {
            self.objects.remove(name);
            let _ = write!(removed, "<Deleted><Key>{name}</Key></Deleted>");
        }
        xml(&format!("<DeleteResult>{removed}</DeleteResult>"))
    }

    fn get(&self, name: &str, headers: &HeaderMap) -> (&'static str, Response) {
        let Some(bytes) = self.objects.get(name) else { return ("get", refuse(StatusCode::NOT_FOUND, "NoSuchKey")) };
        let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok()?.strip_prefix("bytes=")?.split_once('-'));
        let common = [(header::ETAG, tag_of(bytes)), (header::LAST_MODIFIED, MODIFIED.to_owned())];
        let Some((from, to)) = range else { return ("get", (common, bytes.clone()).into_response()) };
        let (from, to): (usize, usize) = (from.parse().expect("a place"), to.parse().map_or(bytes.len(), |to: usize| to + 1));
        let piece = bytes.slice(from..to.min(bytes.len()));
        let place = format!("bytes {from}-{}/{}", from + piece.len() - 1, bytes.len());
        ("range", (StatusCode::PARTIAL_CONTENT, common, [(header::CONTENT_RANGE, place)], piece).into_response())
    }

    fn head(&self, name: &str) -> Response {
        let Some(bytes) = self.objects.get(name) else { return StatusCode::NOT_FOUND.into_response() };
        let head = [(header::ETAG, tag_of(bytes)), (header::LAST_MODIFIED, MODIFIED.to_owned())];
        (head, [(header::CONTENT_LENGTH, bytes.len().to_string())], Body::empty()).into_response()
    }

    fn list(&self, query: &HashMap<String, String>) -> Response {
        let prefix = query.get("prefix").map_or("", String::as_str);
        let behind = query.get("continuation-token").map_or("", String::as_str);
        let mut found = self.objects.iter().filter(|(name, _)| name.starts_with(prefix) && name.as_str() > behind);
        let page: Vec<_> = found.by_ref().take(PAGE).collect();
        let mut listed = String::new();
        for (name, bytes) in &page {
            let (tag, size) = (tag_of(bytes).replace('"', "&quot;"), bytes.len());
            let about = format!("<LastModified>2026-11-21T00:00:00.000Z</LastModified><ETag>{tag}</ETag><Size>{size}</Size>");
            let _ = write!(listed, "<Contents><Key>{name}</Key>{about}</Contents>");
        }
        if let (Some(_), Some((last, _))) = (found.next(), page.last()) {
            let _ = write!(listed, "<IsTruncated>true</IsTruncated><NextContinuationToken>{last}</NextContinuationToken>");
        }
        xml(&format!("<ListBucketResult>{listed}</ListBucketResult>"))
    }

    fn complete(&mut self, name: &str, id: &str) -> Response {
        let parts = self.uploads.remove(id).expect("an upload");
        let last = parts.len();
        if parts.values().take(last.saturating_sub(1)).any(|part| part.len() < SMALLEST_PART) {
            return refuse(StatusCode::BAD_REQUEST, "EntityTooSmall");
        }
        let whole: Vec<u8> = parts.into_values().flatten().collect();
        let tag = tag_of(&whole).replace('"', "&quot;");
        self.objects.insert(name.to_owned(), whole.into());
        xml(&format!("<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>"))
    }
}

const MODIFIED: &str = "Sat, 21 Nov 2026 00:00:00 GMT";

fn tag_of(bytes: &[u8]) -> String {
    format!("\"{}\"", &hex::encode(Sha256::digest(bytes))[..32])
}

fn keyed(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Signature Version 4, with the payload's hash in a header.
fn is_signed(parts: &axum::http::request::Parts, body: &[u8]) -> Result<(), &'static str> {
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let authorization = text("authorization").and_then(|value| value.strip_prefix("AWS4-HMAC-SHA256 ")).ok_or("AccessDenied")?;
    let fields: HashMap<&str, &str> = authorization.split(',').filter_map(|field| field.trim().split_once('=')).collect();
    let field = |name: &str| fields.get(name).copied().ok_or("AuthorizationHeaderMalformed");
    let (credential, signed, signature) = (field("Credential")?, field("SignedHeaders")?, field("Signature")?);
    let (key, scope) = credential.split_once('/').ok_or("AuthorizationHeaderMalformed")?;
    let hash = text("x-amz-content-sha256").ok_or("MissingSecurityHeader")?;
    if key != ACCESS_KEY {
        return Err("InvalidAccessKeyId");
    }
    if hash != "UNSIGNED-PAYLOAD" && hash != hex::encode(Sha256::digest(body)) {
        return Err("XAmzContentSHA256Mismatch");
    }
    let mut query: Vec<String> = parts.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).map(whole).collect();
    query.sort_unstable();
    let headers = signed.split(';').fold(String::new(), |mut all, name| {
        let _ = writeln!(all, "{name}:{}", text(name).unwrap_or_default().trim());
        all
    });
    let canonical = format!("{}\n{}\n{}\n{headers}\n{signed}\n{hash}", parts.method, parts.uri.path(), query.join("&"));
    let to_sign =
        format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", text("x-amz-date").ok_or("AccessDenied")?, hex::encode(Sha256::digest(canonical)));
    let mut key = format!("AWS4{SECRET_KEY}").into_bytes();
    for part in scope.split('/') {
        key = keyed(&key, part);
    }
    if hex::encode(keyed(&key, &to_sign)) == signature { Ok(()) } else { Err("SignatureDoesNotMatch") }
}

/// The name of an object as it stands in the path of an address.
fn decoded(path: &str) -> String {
    // A plus is a plus in a path, where it would be a space in a form.
    let form = format!("name={}", path.replace('+', "%2B"));
    form_urlencoded::parse(form.as_bytes()).map(|(_, name)| name.into_owned()).next().unwrap_or_default()
}

/// A pair of a query as it is signed: with its sign even where it has no value, and a space as `%20`.
fn whole(pair: &str) -> String {
    let pair = pair.replace('+', "%20");
    if pair.contains('=') { pair } else { format!("{pair}=") }
}
