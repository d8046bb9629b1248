//! The shape of every JSON answer: `{"success": true, "message", "data"}` or `{"success": false, "message",
//! "errors", "error_code"}`.
//!
//! Apart so that no handler can answer in another shape by accident: handlers return [`Answer`] or `ApiError`.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A successful answer on its way out.
#[derive(Debug, Clone)]
pub struct Answer<T> {
    status: StatusCode,
    body: Success<T>,
}

/// The envelope of a success.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Success<T> {
    /// Always `true`.
    #[schema(example = true)]
    pub success: bool,
    /// A sentence for people.
    #[schema(example = "Done.")]
    pub message: String,
    /// What was asked for.
    pub data: T,
}

/// The envelope of an error.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Refusal {
    /// Always `false`.
    #[schema(example = false)]
    pub success: bool,
    /// A sentence for people.
    pub message: String,
    /// Field -> messages for refusals that concern fields, else empty.
    pub errors: BTreeMap<String, Vec<String>>,
    /// A stable code for programs, one of the catalogue in `docs/errors.md`.
    #[schema(example = "VALIDATION_ERROR")]
    pub error_code: String,
}

/// Nothing to tell but success: `data` is `{}`.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
pub struct Nothing {}

impl<T> Answer<T> {
    fn with(status: StatusCode, message: impl Into<String>, data: T) -> Self {
        Self { status, body: Success { success: true, message: message.into(), data } }
    }

    /// 200: here it is, or it is done.
    pub fn ok(message: impl Into<String>, data: T) -> Self {
        Self::with(StatusCode::OK, message, data)
    }

    /// 201: it was created.
    pub fn created(message: impl Into<String>, data: T) -> Self {
        Self::with(StatusCode::CREATED, message, data)
    }

    /// 202: it is accepted and on disk, its outcome comes later.
    pub fn accepted(message: impl Into<String>, data: T) -> Self {
        Self::with(StatusCode::ACCEPTED, message, data)
    }

    /// What was asked for, without the envelope.
    pub fn into_data(self) -> T {
        self.body.data
    }

    /// The HTTP status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The envelope, for callers that must keep the very bytes (idempotent answers).
    pub fn body(&self) -> &Success<T> {
        &self.body
    }
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        (self.status, axum::Json(self.body)).into_response()
    }
}
