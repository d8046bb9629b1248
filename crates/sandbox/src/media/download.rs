//! Giving a sealed file out, whole or in part.

use super::faults::{MediaTrouble, MediaWay, Troubled};
use super::request::{Request, Target, range};
use super::{Inner, MediaAnswer, header, refused};
use std::io::{self, Read, Seek, SeekFrom};

impl Inner {
    /// A download. `phone` is whose ticket came along, if one did.
    pub(super) fn download(&self, phone: Option<&str>, request: &Request, head: bool) -> io::Result<MediaAnswer> {
        let none = &mut io::empty();
        let trouble = self.faults.take(phone, MediaWay::Download);
        if let Some(MediaTrouble::Status(status)) = trouble {
            return refused(status, "refused, as was asked for", none);
        }
        let name = match &request.target {
            Target::Name(name) => Some(name.clone()),
            Target::Hash { sha256, .. } => self.by_hash(sha256)?,
        };
        let Some(name) = name else {
            return refused(404, "no such file", none);
        };
        let Some(record) = self.record(&name)? else {
            return refused(404, "no such file", none);
        };
        if request.expected.is_some_and(|expected| expected != record.sha256) {
            return refused(404, "no such file with this hash", none);
        }
        if let Some(status) = record.gone {
            return refused(status, "this file has expired", none);
        }
        let Some((mut file, size)) = self.shelf.read(&name)? else {
            return refused(410, "this file has expired", none);
        };
        let Ok(part) = range(request.range.as_deref(), size) else {
            let mut answer = refused(416, "there is no such range in this file", none)?;
            answer.headers.push(header("content-range", &format!("bytes */{size}")));
            return Ok(answer);
        };
        let (first, end) = part.unwrap_or((0, size));
        let mut headers = vec![
            header("content-type", "application/octet-stream"),
            header("x-content-type-options", "nosniff"),
            header("accept-ranges", "bytes"),
            header("content-length", &(end - first)),
        ];
        if part.is_some() {
            headers.push(header("content-range", &format!("bytes {first}-{}/{size}", end - 1)));
        }
        let status = if part.is_some() { 206 } else { 200 };
        if head {
            return Ok(MediaAnswer { status, headers, body: Box::new(io::empty()) });
        }
        file.seek(SeekFrom::Start(first))?;
        let body = Troubled::new(file.take(end - first), end - first, trouble);
        Ok(MediaAnswer { status, headers, body: Box::new(body) })
    }
}
