//! `POST /messages/send-template/`: fill a template, then as every other send.

use super::view::values;
use crate::app::App;
use crate::http::v1::messages::choose::choose_linked;
use crate::http::v1::messages::send::{Checked, SendQuery, SentKey, Terms, check_metadata, check_recipient, check_when, patience, take_in};
use crate::http::v1::messages::view::MessageView;
use crate::http::{ApiError, Caller, ErrorCode, JsonBytes, Query, Success};
use crate::outbox::fill;
use axum::extract::State;
use axum::response::Response;
use sanasend_model::template::MISSING;
use sanasend_model::{Content, FieldErrors, MessageId, Timestamp};
use sanasend_store::{NewMedia, SavedTemplate};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;

/// The path as it enters the fingerprint.
const PATH: &str = "POST /api/v1/messages/send-template/";

/// A template to fill and send.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendTemplate {
    /// A phone number with country code, or an id ending in `@s.whatsapp.net`, `@c.us`, `@lid` or `@g.us`.
    #[schema(example = "+12025550123")]
    pub(crate) recipient: String,
    /// Name or id of the template.
    #[schema(example = "order_ready")]
    pub(crate) template: String,
    /// Its language, where it is there in several; `pt` is taken for `pt-BR` when there is no `pt-BR`.
    #[serde(default)]
    #[schema(example = "en")]
    pub(crate) language: Option<String>,
    /// Which version; left out: the present one.
    #[serde(default)]
    #[schema(minimum = 1, example = json!(null))]
    pub(crate) version: Option<i32>,
    /// Values by the names of variables: texts, numbers, true and false. Others than the template asks for are passed over.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({"name": "Ada", "order": 17}))]
    pub(crate) variables: BTreeMap<String, Value>,
    /// Name or id of the account to send with. Not needed when there is one, or one named `default`.
    #[serde(default)]
    #[schema(example = "default")]
    pub(crate) session: Option<String>,
    /// Id of the message that this one answers; it is quoted.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub(crate) reply_to: Option<MessageId>,
    /// Your own: kept with the message and told in its events.
    #[serde(default)]
    #[schema(value_type = Option<Object>, example = json!({"order": 17}))]
    pub(crate) metadata: Option<Value>,
    /// When to send it (RFC 3339), up to a year ahead; left out: at once. It is filled now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime, example = json!(null))]
    pub(crate) scheduled_at: Option<Timestamp>,
    /// Whether your quiet hours hold it; left out: as you have set it.
    #[serde(default)]
    #[schema(example = false)]
    pub(crate) quiet_hours: Option<bool>,
}

/// Send with a template
///
/// The template is filled when this answers; a later edit changes nothing of the message. Variables without a value and
/// without a default are named in `errors`. `Idempotency-Key` works as for texts.
#[utoipa::path(post, path = "/messages/send-template/", tag = "messages", request_body = SendTemplate,
    params(SendQuery, ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 printable characters of your choice.")),
    responses(
        (status = 202, description = "Accepted and on disk.", body = Success<MessageView>),
        (status = 200, description = "The outcome, when `wait` got it.", body = Success<MessageView>)),
    extensions(("x-scope" = json!("messages:send")), ("x-error-codes" = json!(["RECIPIENT_INVALID", "NOT_FOUND", "WRONG_STATE",
        "TEMPLATE_VARIABLES_MISSING", "SESSION_NOT_LINKED", "RECIPIENT_OPTED_OUT", "CONSENT_REQUIRED", "IDEMPOTENCY_KEY_REUSED", "DAILY_LIMIT_REACHED"]))))]
pub(crate) async fn send_template(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<SendQuery>,
    SentKey(key): SentKey,
    body: JsonBytes<SendTemplate>,
) -> Result<Response, ApiError> {
    let wait = patience(&app, query.wait)?;
    let asked = body.value;
    let mut errors = FieldErrors::default();
    let when = check_when(&app, asked.scheduled_at, asked.quiet_hours, &mut errors);
    let metadata = check_metadata(asked.metadata, &mut errors);
    let values = values(asked.variables).map_err(|refused| errors.0.extend(refused.0)).unwrap_or_default();
    let recipient = check_recipient(&asked.recipient, errors)?;
    let terms = Terms::of(key?, (PATH, &body.bytes, query.session.as_deref()), wait);
    if let Some(answer) = terms.replay(&app, caller.id()).await? {
        return Ok(answer);
    }
    let template = super::choose(&app, caller.id(), &asked.template, asked.language.as_deref()).await?;
    let (content, media) = filled(&app, template, asked.version, &values).await?;
    let session = choose_linked(&app, caller.id(), asked.session.as_deref().or(query.session.as_deref())).await?;
    let checked = Checked { media, metadata, reply_to: asked.reply_to, when, ..Checked::new(recipient, content) };
    take_in(&app, &caller, session.id, checked, terms).await
}

/// What a template says with these values.
///
/// # Errors
/// `WRONG_STATE` when it is archived, `VALIDATION_ERROR` on `version` or a value, `TEMPLATE_VARIABLES_MISSING`.
pub(crate) async fn filled(
    app: &App,
    template: SavedTemplate,
    version: Option<i32>,
    values: &BTreeMap<String, String>,
) -> Result<(Content, Option<NewMedia>), ApiError> {
    if template.is_archived {
        return Err(ApiError::because(ErrorCode::WrongState, "The template is archived; nothing is sent with it."));
    }
    let present = template.present;
    let version = match version.filter(|version| *version != present.version) {
        None => present,
        Some(version) => {
            let missing = || ApiError::field("version", format!("is no version of the template; the present one is {}", present.version));
            app.store.template_version(template.id, version).await?.ok_or_else(missing)?
        }
    };
    fill(version, &template.language, values).map_err(|errors| {
        let missing = errors.0.values().flatten().any(|message| message == MISSING);
        let code = if missing { ErrorCode::TemplateVariablesMissing } else { ErrorCode::ValidationError };
        ApiError { errors, ..ApiError::new(code) }
    })
}
