//! Files over the control API: sent from a phone, and taken from one to be compared.
//!
//! Apart because they stream, which the rest of the control API does not.

use super::bodies::query;
use crate::Error;
use crate::control::Control;
use crate::phones::{MediaFlaw, MessageKind, NewMedia};
use crate::wire::BodyReader;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, Request, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::Response;
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::time::Duration;

/// Bytes of the largest JSON body; larger files are sent as they are.
const LARGEST_JSON: usize = 96 * 1024 * 1024;
/// How long an answer waits for a download that is under way.
const PATIENCE: Duration = Duration::from_secs(20);
/// Read at once.
const CHUNK: usize = 64 * 1024;

/// The route that takes files; its bodies may be large.
pub(super) fn sending() -> Router<Control> {
    Router::new().route("/admin/phones/{phone}/send-media", post(send_media)).layer(DefaultBodyLimit::disable())
}

/// What is sent: in the query when the body is the file itself, in the body when that is JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SendMedia {
    /// Number or jid.
    to: String,
    kind: MessageKind,
    mime: Option<String>,
    caption: Option<String>,
    file_name: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    seconds: Option<u32>,
    #[serde(default)]
    animated: bool,
    /// Small JPEG (PNG for stickers) in base64.
    thumbnail: Option<String>,
    reply_to: Option<String>,
    flaw: Option<MediaFlaw>,
    /// The file in base64; only in JSON.
    base64: Option<String>,
}

impl SendMedia {
    fn media(self) -> Result<NewMedia, Error> {
        Ok(NewMedia {
            kind: self.kind,
            mime: self.mime,
            caption: self.caption,
            file_name: self.file_name,
            width: self.width,
            height: self.height,
            seconds: self.seconds,
            animated: self.animated,
            thumbnail: self.thumbnail.map(|text| from_base64("thumbnail", &text)).transpose()?,
            reply_to: self.reply_to,
            flaw: self.flaw,
        })
    }
}

async fn send_media(
    State(control): State<Control>,
    Path(phone): Path<String>,
    RawQuery(raw): RawQuery,
    request: Request,
) -> Result<Json<Value>, Error> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let (wanted, source): (SendMedia, Box<dyn Read + Send>) = if kind.starts_with("application/json") {
        let body = axum::body::to_bytes(request.into_body(), LARGEST_JSON).await;
        let body = body.map_err(|_| Error::Invalid("the body is too large for JSON; send the file itself as the body".into()))?;
        let mut wanted: SendMedia = super::bodies::body(&body)?;
        let text = wanted.base64.take().ok_or_else(|| Error::Invalid("\"base64\" is missing: the file".into()))?;
        (wanted, Box::new(Cursor::new(from_base64("base64", &text)?)))
    } else {
        let wanted: SendMedia = query(raw)?;
        if wanted.base64.is_some() {
            return Err(Error::Invalid("\"base64\" belongs in a JSON body; without one the body is the file itself".into()));
        }
        (wanted, Box::new(BodyReader::over(request.into_body().into_data_stream())))
    };
    // In a query, a plus that was not escaped arrives as a space.
    let to = wanted.to.replace(' ', "+");
    let id = control.send_media_from(&phone, &to, wanted.media()?, source).await?;
    Ok(Json(json!({ "id": id })))
}

/// The file as the phone opened it, always as an attachment.
pub(super) async fn get_media(State(control): State<Control>, Path((phone, id)): Path<(String, String)>) -> Result<Response, Error> {
    let open = control.media(&phone, &id, PATIENCE).await?;
    let answer = Response::builder()
        .header(CONTENT_LENGTH, open.size)
        .header(CONTENT_DISPOSITION, "attachment")
        .header(X_CONTENT_TYPE_OPTIONS, "nosniff");
    let mime = axum::http::HeaderValue::from_str(&open.media.mime);
    let answer = answer.header(CONTENT_TYPE, mime.unwrap_or_else(|_| axum::http::HeaderValue::from_static("application/octet-stream")));
    let chunks = stream::unfold(Some(open.file), |file| async {
        let (chunk, file) = tokio::task::spawn_blocking(move || next_chunk(file?)).await.ok()??;
        Some((chunk, file))
    });
    answer.body(Body::from_stream(chunks)).map_err(|error| Error::State(error.to_string()))
}

/// The next bytes of a file, and the file if there may be more.
fn next_chunk(mut file: File) -> Option<(io::Result<Bytes>, Option<File>)> {
    let mut chunk = vec![0; CHUNK];
    match file.read(&mut chunk) {
        Ok(0) => None,
        Ok(read) => {
            chunk.truncate(read);
            Some((Ok(Bytes::from(chunk)), Some(file)))
        }
        Err(error) => Some((Err(error), None)),
    }
}

fn from_base64(field: &str, text: &str) -> Result<Vec<u8>, Error> {
    BASE64_STANDARD.decode(text).map_err(|error| Error::Invalid(format!("\"{field}\" is not base64: {error}")))
}
