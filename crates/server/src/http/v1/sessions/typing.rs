//! `POST /sessions/typing/`: the other side sees that somebody types or records.

use crate::app::App;
use crate::http::v1::messages::choose;
use crate::http::{Answer, ApiError, Caller, ErrorCode, Json, Success};
use crate::sessions::{read_typing, typing_word};
use axum::extract::State;
use sanasend_model::retry::AttemptError;
use sanasend_model::{FieldErrors, Invalid, Jid, Recipient};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// What to show to whom.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShowTyping {
    /// A phone number with country code, or an id ending in `@s.whatsapp.net`, `@c.us`, `@lid` or `@g.us`.
    #[schema(example = "+12025550123")]
    recipient: String,
    /// `composing` (a text), `recording` (a voice note) or `paused` (neither any more).
    #[schema(example = "composing", pattern = "^(composing|recording|paused)$")]
    state: String,
    /// Name or id of the account. Not needed when there is one, or one named `default`.
    #[serde(default)]
    #[schema(example = "default")]
    session: Option<String>,
}

/// What is shown.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TypingView {
    /// The chat.
    #[schema(value_type = String, example = "12025550123@s.whatsapp.net")]
    chat: Jid,
    /// What it sees.
    #[schema(example = "composing")]
    state: &'static str,
}

/// Show that somebody types
///
/// The other side sees it for about 25 seconds, until a message comes, or until `paused`. Live only: nothing is kept and
/// nothing waits, so it is refused while the account is not connected.
#[utoipa::path(post, path = "/sessions/typing/", tag = "sessions", request_body = ShowTyping,
    responses((status = 200, description = "It is shown.", body = Success<TypingView>)),
    extensions(("x-scope" = json!("messages:send")),
        ("x-error-codes" = json!(["RECIPIENT_INVALID", "NOT_ON_WHATSAPP", "NOT_FOUND", "WRONG_STATE", "SESSION_NOT_LINKED", "SERVICE_UNAVAILABLE"]))))]
pub(crate) async fn show_typing(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(asked): Json<ShowTyping>,
) -> Result<Answer<TypingView>, ApiError> {
    let mut errors = FieldErrors::default();
    let state = read_typing(&asked.state).ok_or_else(|| Invalid::new("state", "must be composing, recording or paused"));
    let state = errors.take(state);
    let recipient = crate::http::v1::messages::asked::check_recipient(&asked.recipient, errors)?;
    let state = state.ok_or_else(|| ApiError::internal("a state that was refused and not named"))?;
    let session = choose(&app, caller.id(), asked.session.as_deref()).await?;
    if !app.sessions.live(&session).linked {
        return Err(ErrorCode::SessionNotLinked.into());
    }
    let chat = Recipient::jid(&recipient);
    app.sessions.show_typing(&session, chat.clone(), state).await.map_err(refused)?;
    Ok(Answer::ok("Shown.", TypingView { chat, state: typing_word(state) }))
}

fn refused(error: AttemptError) -> ApiError {
    match error {
        AttemptError::Offline => ApiError::because(ErrorCode::WrongState, "The account is not connected; nobody would see it."),
        AttemptError::NotOnWhatsApp => ErrorCode::NotOnWhatsApp.into(),
        other => ApiError::unavailable(format!("{other:?}")),
    }
}
