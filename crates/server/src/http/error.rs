//! Every refusal that the HTTP API can answer: the one catalogue of error codes, and the error that carries one.
//!
//! Apart from the handlers because the catalogue is a promise: `docs/errors.md` and the error answers of the
//! OpenAPI document are made from it, so a code that is not here can't be answered.
//!
//! How errors flow: `model` says what is wrong with an input ([`Invalid`], [`FieldErrors`]), `store` says that it
//! conflicts or is down ([`StoreError`]); both become an [`ApiError`] by `?`. An [`ApiError`] becomes the error
//! envelope. What is the server's own fault is logged here, once, and told to the caller without its cause.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sanasend_model::{FieldErrors, Invalid};
use sanasend_store::StoreError;
use std::time::Duration;

use super::envelope::Refusal;
use crate::auth::passwords::PasswordError;

macro_rules! codes {
    ($($name:ident = $text:literal, $status:literal, $sentence:literal;)*) => {
        /// A stable error code, told in `error_code`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $(#[doc = $sentence] $name,)* }

        impl ErrorCode {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$name,)*];

            /// The code as told outside.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status that it always comes with.
            #[must_use]
            pub fn status(self) -> StatusCode {
                let number: u16 = match self { $(Self::$name => $status,)* };
                StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }

            /// What it means and what to do, in one sentence; the message of the envelope when nothing better is known.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)* }
            }
        }
    };
}

codes! {
    ValidationError = "VALIDATION_ERROR", 400, "Some fields are not valid; `errors` names them and says what to change.";
    MalformedJson = "MALFORMED_JSON", 400, "The body is not valid JSON.";
    UnknownField = "UNKNOWN_FIELD", 400, "The request holds a field that this endpoint does not know; `errors` names it.";
    RecipientInvalid = "RECIPIENT_INVALID", 400, "The recipient can't be a WhatsApp user or group.";
    NotOnWhatsApp = "NOT_ON_WHATSAPP", 400, "The number has no WhatsApp account.";
    MediaTypeNotAllowed = "MEDIA_TYPE_NOT_ALLOWED", 400, "The file can't be sent as this `media_type`, or is not of the type that it is said to be.";
    MediaInvalid = "MEDIA_INVALID", 400, "The file is empty, broken, or larger in pixels than anybody could show.";
    MediaUrlRefused = "MEDIA_URL_REFUSED", 400, "The `media_url` may not be fetched: it must be an http or https address on the public Internet.";
    MediaUrlFailed = "MEDIA_URL_FAILED", 400, "The file at `media_url` could not be fetched.";
    TemplateVariablesMissing = "TEMPLATE_VARIABLES_MISSING", 400, "The template has variables without a value and without a default; `errors` names them.";
    BadRequest = "BAD_REQUEST", 400, "The request can't be understood.";
    Unauthenticated = "UNAUTHENTICATED", 401, "Credentials are missing; send `X-API-Key: <key>` or `Authorization: Bearer <key or access token>`.";
    InvalidCredentials = "INVALID_CREDENTIALS", 401, "Username or password is wrong.";
    InvalidToken = "INVALID_TOKEN", 401, "The token is not valid; log in again.";
    TokenExpired = "TOKEN_EXPIRED", 401, "The token has expired; refresh it or log in again.";
    TokenReused = "TOKEN_REUSED", 401, "The refresh token was used before, so the whole login was ended; log in again.";
    InvalidApiKey = "INVALID_API_KEY", 401, "The API key is not valid.";
    ApiKeyExpired = "API_KEY_EXPIRED", 401, "The API key has expired; make a new one.";
    ApiKeyRevoked = "API_KEY_REVOKED", 401, "The API key was revoked.";
    IpNotAllowed = "IP_NOT_ALLOWED", 403, "The API key may not be used from this address.";
    InsufficientScope = "INSUFFICIENT_SCOPE", 403, "The API key lacks the scope that this endpoint needs.";
    AdminRequired = "ADMIN_REQUIRED", 403, "Only an admin may do this.";
    AdminIpNotAllowed = "ADMIN_IP_NOT_ALLOWED", 403, "Admins may log in and act only from the networks in the setting `auth.admin_ips`.";
    HttpsRequired = "HTTPS_REQUIRED", 403, "This server is to be reached by HTTPS only; what was sent may have been read by others.";
    CrossSite = "CROSS_SITE", 403, "The form was sent from a page of another site; nothing was changed.";
    LoginRequired = "LOGIN_REQUIRED", 403, "API keys may not do this; log in with a username and password.";
    UserInactive = "USER_INACTIVE", 403, "The user is deactivated.";
    RecipientOptedOut = "RECIPIENT_OPTED_OUT", 403, "The recipient wants no messages of yours; they can opt in again by writing START.";
    ConsentRequired = "CONSENT_REQUIRED", 403, "You write only to people who agreed or wrote first, and of this recipient neither is known.";
    NotFound = "NOT_FOUND", 404, "There is nothing here, or it is not yours.";
    MethodNotAllowed = "METHOD_NOT_ALLOWED", 405, "This path does not answer this method; the `Allow` header lists those it does.";
    Conflict = "CONFLICT", 409, "It clashes with something that exists.";
    WrongState = "WRONG_STATE", 409, "This is not possible in the present state.";
    LastAdmin = "LAST_ADMIN", 409, "The last active admin can't be removed, deactivated or demoted.";
    SessionNotLinked = "SESSION_NOT_LINKED", 409, "No WhatsApp account is linked here; link one with POST /api/v1/sessions/init/.";
    SessionLimitReached = "SESSION_LIMIT_REACHED", 409, "The limit of linked accounts is reached.";
    WebhookLimitReached = "WEBHOOK_LIMIT_REACHED", 409, "The limit of webhook endpoints is reached; delete one.";
    TemplateLimitReached = "TEMPLATE_LIMIT_REACHED", 409, "The limit of templates is reached; delete one.";
    TemplateInUse = "TEMPLATE_IN_USE", 409, "Recurring sends need the template, `errors` names them; change them first, or delete it with `?force=true`.";
    ScheduleLimitReached = "SCHEDULE_LIMIT_REACHED", 409, "The limit of recurring sends is reached; delete one.";
    MediaGone = "MEDIA_GONE", 410, "The file is not to be had any more: its time here is over, or WhatsApp and its sender do not have it any longer.";
    PayloadTooLarge = "PAYLOAD_TOO_LARGE", 413, "The body is too large.";
    MediaTooLarge = "MEDIA_TOO_LARGE", 413, "The file is larger than files of its `media_type` may be.";
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE", 415, "The body must be JSON, sent with `Content-Type: application/json`.";
    RangeNotSatisfiable = "RANGE_NOT_SATISFIABLE", 416, "The file does not have the bytes that `Range` asks for.";
    IdempotencyKeyReused = "IDEMPOTENCY_KEY_REUSED", 422, "The Idempotency-Key was used before with another body.";
    RateLimited = "RATE_LIMITED", 429, "Too many requests or attempts; wait as long as `Retry-After` says.";
    DailyLimitReached = "DAILY_LIMIT_REACHED", 429, "The limit of messages per day is reached; it starts anew at midnight UTC.";
    InternalError = "INTERNAL_ERROR", 500, "Something went wrong on the server; its log has the cause under the X-Request-Id of this answer.";
    MediaCorrupt = "MEDIA_CORRUPT", 502, "What WhatsApp's media host has is not the file that was sent; it was thrown away.";
    MediaNotFetched = "MEDIA_NOT_FETCHED", 503, "The file could not be fetched from WhatsApp now; try again after `Retry-After`.";
    ServiceUnavailable = "SERVICE_UNAVAILABLE", 503, "A part of the server is down or busy; try again after `Retry-After`.";
    WhatsAppUnreachable = "WHATSAPP_UNREACHABLE", 503, "WhatsApp can't be reached from this server; check its Internet connection and try again.";
}

/// A refusal on its way to the caller. Handlers return it; `?` makes it from model's and store's errors.
#[derive(Debug, Clone)]
pub struct ApiError {
    /// Which refusal it is; decides the HTTP status.
    pub code: ErrorCode,
    /// A sentence for the caller.
    pub message: String,
    /// Field -> messages, for refusals that concern fields.
    pub errors: FieldErrors,
    /// Told in `Retry-After`, rounded up to whole seconds.
    pub retry_after: Option<Duration>,
}

impl ApiError {
    /// A refusal with the catalogue's own sentence.
    #[must_use]
    pub fn new(code: ErrorCode) -> Self {
        Self { code, message: code.sentence().to_owned(), errors: FieldErrors::default(), retry_after: None }
    }

    /// The same with a sentence that says more about this case.
    #[must_use]
    pub fn because(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::new(code) }
    }

    /// A refusal of one field, with the code `VALIDATION_ERROR`.
    #[must_use]
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Invalid::new(field, message).into()
    }

    /// Names a field and what is wrong with it in `errors`.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<String>, message: impl Into<String>) -> Self {
        self.errors.push(Invalid::new(field, message));
        self
    }

    /// Says in `Retry-After` how long to wait.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The one answer to what is missing and to what is another user's: no difference may show.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(ErrorCode::NotFound)
    }

    /// The server's own fault: `cause` goes to the log, never to the caller.
    #[must_use]
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "request failed");
        Self::new(ErrorCode::InternalError)
    }

    /// A part is down: `cause` goes to the log, the caller is asked to come back.
    #[must_use]
    pub fn unavailable(cause: impl std::fmt::Display) -> Self {
        tracing::warn!(%cause, "a part is down");
        Self::new(ErrorCode::ServiceUnavailable).retry_after(Duration::from_secs(2))
    }
}

impl From<FieldErrors> for ApiError {
    fn from(errors: FieldErrors) -> Self {
        Self { errors, ..Self::new(ErrorCode::ValidationError) }
    }
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        FieldErrors::from(invalid).into()
    }
}

impl From<ErrorCode> for ApiError {
    fn from(code: ErrorCode) -> Self {
        Self::new(code)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict { what } => Self::new(ErrorCode::Conflict).with_field(what, "is already taken"),
            StoreError::Unavailable(_) => Self::unavailable(error),
            StoreError::Fenced => Self::unavailable("another owner has taken over the account"),
            StoreError::Corrupt { .. } => Self::internal(error),
        }
    }
}

impl From<PasswordError> for ApiError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::unavailable(error),
            PasswordError::Failed(_) => Self::internal(error),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = Refusal { success: false, message: self.message, errors: self.errors.0, error_code: self.code.as_str().to_owned() };
        let mut response = (self.code.status(), axum::Json(body)).into_response();
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_millis().div_ceil(1000).max(1);
            if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
        }
        if self.code.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"sanasend\""));
        }
        response
    }
}
