//! The parts of a form (`multipart/form-data`), as every handler that takes one reads them.

use super::{ApiError, ErrorCode};
use axum::body::{Body, Bytes};
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest as _, Multipart, Request};
use axum::http::StatusCode;
use futures::StreamExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most bytes of a field that is no file.
const MAX_FIELD: usize = 64 * 1024;
/// Most bytes that come between two parts: the heading of the next one, and what of its beginning came with it.
const MAX_BETWEEN: usize = 2 << 20;

/// A form whose parts are read one after the other as they come.
///
/// What reads the parts keeps everything until the heading of one is whole, and looks through all of it with every piece that
/// comes. A heading that never ends would fill the memory and take a processor, so there is a bound on it.
pub(crate) struct Form {
    parts: Multipart,
    /// How many bytes may still come.
    left: Arc<AtomicUsize>,
}

impl Form {
    /// The form in the body of a request.
    ///
    /// # Errors
    /// `BAD_REQUEST` when it is none.
    pub(crate) async fn of(request: Request) -> Result<Self, ApiError> {
        let left = Arc::new(AtomicUsize::new(MAX_BETWEEN));
        let counted = left.clone();
        let count = move |piece: Result<Bytes, axum::Error>| -> Result<Bytes, axum::Error> {
            let piece = piece?;
            // One task reads the body and sets the bound, never both at once.
            let less = counted.load(Ordering::SeqCst).checked_sub(piece.len());
            counted.store(less.ok_or_else(|| axum::Error::new("the heading of a part has no end"))?, Ordering::SeqCst);
            Ok(piece)
        };
        let request = request.map(|body| Body::from_stream(body.into_data_stream().map(count)));
        let parts = Multipart::from_request(request, &()).await;
        let parts = parts.map_err(|_| ApiError::because(ErrorCode::BadRequest, "The form has no boundary."))?;
        Ok(Self { parts, left })
    }

    /// The next part; the one before must have been read to its end.
    ///
    /// # Errors
    /// As [`broken`].
    pub(crate) async fn next_field(&mut self) -> Result<Option<Field<'_>>, ApiError> {
        self.left.store(MAX_BETWEEN, Ordering::SeqCst);
        let field = self.parts.next_field().await.map_err(|error| broken(&error))?;
        // What is in a part is handed on as it comes; whoever reads it has a bound of their own.
        self.left.store(usize::MAX, Ordering::SeqCst);
        Ok(field)
    }
}

/// A field that is no file.
///
/// # Errors
/// As [`text_within`].
pub(crate) async fn text(name: &str, field: Field<'_>) -> Result<String, ApiError> {
    text_within(name, field, MAX_FIELD).await
}

/// A field that is no file, of at most so many bytes.
///
/// # Errors
/// `VALIDATION_ERROR` on the field when it is longer or no UTF-8; as [`broken`].
pub(crate) async fn text_within(name: &str, mut field: Field<'_>, most: usize) -> Result<String, ApiError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|error| broken(&error))? {
        if bytes.len() + chunk.len() > most {
            return Err(ApiError::field(name, format!("must have at most {most} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| ApiError::field(name, "must be UTF-8"))
}

/// Notes what a field says.
///
/// # Errors
/// `VALIDATION_ERROR` on the field when it came before.
pub(crate) fn once<T>(name: &str, place: &mut Option<T>, value: T) -> Result<(), ApiError> {
    if place.is_some() {
        return Err(ApiError::field(name, "is given more than once"));
    }
    *place = Some(value);
    Ok(())
}

/// A field that a form does not have: `UNKNOWN_FIELD`, with so much of its name as can be shown.
pub(crate) fn unknown(name: &str) -> ApiError {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    ApiError::new(ErrorCode::UnknownField).with_field(shown, "is not a field of this request")
}

/// A form that could not be read to its end: `PAYLOAD_TOO_LARGE` or `BAD_REQUEST`.
pub(crate) fn broken(error: &MultipartError) -> ApiError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return ErrorCode::PayloadTooLarge.into();
    }
    ApiError::because(ErrorCode::BadRequest, "The form is broken, or broke off.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(pieces: impl Iterator<Item = Bytes> + Send + 'static) -> Request {
        let body = Body::from_stream(futures::stream::iter(pieces.map(Ok::<_, axum::Error>)));
        axum::http::Request::post("/").header("content-type", "multipart/form-data; boundary=x").body(body).expect("a request")
    }

    #[tokio::test]
    async fn parts_are_read_one_after_the_other() {
        let text = "--x\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\none\r\n--x\r\ncontent-disposition: form-data; name=\"b\"\r\n\r\ntwo\r\n--x--\r\n";
        let mut form =
            Form::of(request(text.as_bytes().chunks(7).map(Bytes::copy_from_slice).collect::<Vec<_>>().into_iter())).await.expect("a form");
        let mut read = Vec::new();
        while let Some(field) = form.next_field().await.expect("whole") {
            let name = field.name().unwrap_or_default().to_owned();
            read.push((name.clone(), super::text(&name, field).await.expect("a text")));
        }
        assert_eq!(read, [("a".to_owned(), "one".to_owned()), ("b".to_owned(), "two".to_owned())]);
    }

    #[tokio::test]
    async fn a_heading_that_never_ends_is_not_waited_for() {
        for begin in ["", "--x\r\ncontent-disposition: form-data; name=\""] {
            let read = Arc::new(AtomicUsize::new(0));
            let counted = read.clone();
            let endless = std::iter::repeat_n(Bytes::from(vec![b'a'; 65_536]), 1024).inspect(move |piece| {
                counted.fetch_add(piece.len(), Ordering::SeqCst);
            });
            let mut form = Form::of(request(std::iter::once(Bytes::from_static(begin.as_bytes())).chain(endless))).await.expect("a form");
            let refused = form.next_field().await.expect_err("no part begins");
            assert_eq!(refused.code, ErrorCode::BadRequest);
            assert!(read.load(Ordering::SeqCst) <= MAX_BETWEEN + 65_536, "{read:?}");
        }
    }
}
