//! `POST /messages/send-template/`: fill a template, then as every other send.

use super::view::values;
use crate::app::App;
use crate::http::v1::messages::accept::{Checked, Terms, patience, take_in};
use crate::http::v1::messages::asked::{NAMING, SendQuery, SentKey, TAKING_IN, TakenIn, send_body};
use crate::http::v1::messages::choose::choose_linked;
use crate::http::{ApiError, Caller, ErrorCode, JsonBytes, Query};
use crate::outbox::fill;
use axum::extract::State;
use axum::response::Response;
use sanasend_model::Content;
use sanasend_model::template::MISSING;
use sanasend_store::{NewMedia, SavedTemplate};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The path as it enters the fingerprint.
const PATH: &str = "POST /api/v1/messages/send-template/";
const CODES: [&[&str]; 3] = [NAMING, &["WRONG_STATE", "TEMPLATE_VARIABLES_MISSING"], TAKING_IN];

send_body! {
    /// A template to fill and send.
    SendTemplate {
        /// Name or id of the template.
        #[schema(example = "order_ready")]
        template: String,
        /// Its language, where it is there in several; `pt` is taken for `pt-BR` when there is no `pt-BR`.
        #[serde(default)]
        #[schema(example = "en")]
        language: Option<String>,
        /// Which version; left out: the present one.
        #[serde(default)]
        #[schema(minimum = 1, example = json!(null))]
        version: Option<i32>,
        /// Values by the names of variables: texts, numbers, true and false. Others than the template asks for are passed over.
        #[serde(default)]
        #[schema(value_type = Object, example = json!({"name": "Ada", "order": 17}))]
        variables: BTreeMap<String, Value>,
    }
}

/// Send with a template
///
/// The template is filled when this answers; a later edit changes nothing of the message. Variables without a value and
/// without a default are named in `errors`. `Idempotency-Key` works as for texts.
#[utoipa::path(post, path = "/messages/send-template/", tag = "messages", request_body = SendTemplate,
    params(SendQuery, SentKey), responses(TakenIn),
    extensions(("x-scope" = json!("messages:send")), ("x-error-codes" = json!(CODES.concat()))))]
pub(crate) async fn send_template(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<SendQuery>,
    SentKey(key): SentKey,
    body: JsonBytes<SendTemplate>,
) -> Result<Response, ApiError> {
    let wait = patience(&app, query.wait)?;
    let mut asked = body.value;
    let (to, values) = asked.common().check(app.clock.now(), values(asked.variables))?;
    let terms = Terms::of(key?, (PATH, &body.bytes, query.session.as_deref()), wait);
    if let Some(answer) = terms.replay(&app, caller.id()).await? {
        return Ok(answer);
    }
    let template = super::choose(&app, caller.id(), &asked.template, asked.language.as_deref()).await?;
    let (content, media) = filled(&app, template, asked.version, &values).await?;
    let session = choose_linked(&app, caller.id(), to.session(&query)).await?;
    take_in(&app, &caller, session.id, Checked { media, ..to.saying(content) }, terms).await
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
