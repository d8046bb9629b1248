//! `POST /messages/send-text/`.

use super::accept::{Terms, patience, take_in};
use super::asked::{NAMING, SendQuery, SentKey, TAKING_IN, TakenIn, send_body};
use super::choose::choose_linked;
use super::preview::{self, Wanted, WantedLinkPreview};
use crate::app::App;
use crate::http::{ApiError, Caller, JsonBytes, Query};
use axum::extract::State;
use axum::response::Response;
use sanasend_model::{Content, FieldErrors};
use std::sync::Arc;

/// The path as it enters the fingerprint: with and without the slash at the end is the same request.
const PATH: &str = "POST /api/v1/messages/send-text/";

send_body! {
    /// A text to send.
    SendText {
        /// The text, at most 65,536 characters.
        #[schema(example = "Your order is ready.")]
        content: String,
        /// A preview of the link in the text: `true` asks the page for it now (a page that does not answer never fails the send),
        /// an object gives one.
        #[serde(default)]
        link_preview: Option<WantedLinkPreview>,
    }
}

/// Send a text
///
/// The message is on disk when this answers 202; with `scheduled_at`, or held by quiet hours, it is `scheduled` until its date
/// has come. It is sent once, in order per chat, through crashes, restarts and
/// disconnects. With an `Idempotency-Key` header the same request within 24 hours gets the first answer again (and
/// `Idempotency-Replayed: true`); the same key with another body is refused.
#[utoipa::path(post, path = "/messages/send-text/", tag = "messages", request_body = SendText, params(SendQuery, SentKey), responses(TakenIn),
    extensions(("x-scope" = json!("messages:send")), ("x-error-codes" = json!([NAMING, TAKING_IN].concat()))))]
pub(crate) async fn send_text(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<SendQuery>,
    SentKey(key): SentKey,
    body: JsonBytes<SendText>,
) -> Result<Response, ApiError> {
    let wait = patience(&app, query.wait)?;
    let mut asked = body.value;
    let (to, (mut text, preview)) = asked.common().check(app.clock.now(), check(asked.content, asked.link_preview))?;
    let terms = Terms::of(key?, (PATH, &body.bytes, query.session.as_deref()), wait);
    if let Some(answer) = terms.replay(&app, caller.id()).await? {
        return Ok(answer);
    }
    let session = choose_linked(&app, caller.id(), to.session(&query)).await?;
    if let Some(wanted) = preview {
        text = preview::put(&app, &caller, text, wanted).await?;
    }
    take_in(&app, &caller, session.id, to.saying(text), terms).await
}

/// Checks the text, and the preview that is wanted with it.
fn check(text: String, wanted: Option<WantedLinkPreview>) -> Result<(Content, Option<Wanted>), FieldErrors> {
    let mut errors = FieldErrors::default();
    let preview = preview::check(&text, wanted, &mut errors);
    Ok((errors.last(Content::text(text))?, preview))
}
