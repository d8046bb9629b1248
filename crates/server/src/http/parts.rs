//! The parts of a form (`multipart/form-data`), as every handler that takes one reads them.

use super::{ApiError, ErrorCode};
use axum::extract::multipart::{Field, MultipartError};
use axum::http::StatusCode;

/// Most bytes of a field that is no file.
const MAX_FIELD: usize = 64 * 1024;

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
