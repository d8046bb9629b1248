//! A form that sends is sent once, however often it comes: twice by an eager finger, again by the button that reloads.
//!
//! Each form that is shown has a key of its own in its address. It is the idempotency key of the API, so that what a second
//! request with it gets is decided there, in the transaction that accepts: the first one's answer. A form that was refused
//! keeps its key, since nothing was sent with it.

use super::form::Form;
use crate::app::App;
use crate::http::{ApiError, ErrorCode};
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use std::convert::Infallible;
use std::sync::Arc;
use uuid::Uuid;

/// What is said of a form that was sent before with other words.
const SENT_BEFORE: &str = "This form was sent before, with other words; what it said then is on its way. Nothing was sent now: press the \
                           button again to send this too.";

/// The key in the address of a form that was sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Once(Option<Uuid>);

impl FromRequestParts<Arc<App>> for Once {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Infallible> {
        let pairs = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let key = pairs.filter(|(name, _)| name == "once").find_map(|(_, value)| value.parse().ok());
        Ok(Self(key))
    }
}

impl Once {
    /// For a form that is shown first.
    pub fn new(app: &App) -> Self {
        Self(Some(app.clock.uuid()))
    }

    /// As the API takes it.
    pub fn key(self) -> Option<String> {
        self.0.map(|key| format!("page:{key}"))
    }

    /// The address of a form with its key.
    pub fn address(self, action: &str) -> String {
        self.0.map_or_else(|| action.to_owned(), |key| format!("{action}?once={key}"))
    }

    /// A refused form, and the key that it is shown with: the same, unless something was sent with it.
    ///
    /// # Errors
    /// The refusal, where no other entry would help.
    pub fn refused(self, app: &App, form: Form, refusal: ApiError) -> Result<(Form, Self), super::trouble::Trouble> {
        if refusal.code == ErrorCode::IdempotencyKeyReused {
            return Ok((form.refused(ApiError { message: SENT_BEFORE.into(), ..refusal })?, Self::new(app)));
        }
        Ok((form.refused(refusal)?, self.0.map_or_else(|| Self::new(app), |_| self)))
    }
}

/// Whether an answer of the API is that of an earlier request.
pub fn is_replayed(headers: &HeaderMap) -> bool {
    headers.contains_key("idempotency-replayed")
}
