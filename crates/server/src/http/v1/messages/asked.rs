//! What every send asks for, whatever it sends: its fields and their checks, its parameters, its answers.
//!
//! Written once, here, so that a send differs from another in the API and in its document by what it sends alone.

use super::accept::Checked;
use super::view::MessageView;
use crate::http::{ApiError, ErrorCode, Success};
use crate::outbox::When;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use sanasend_model::{Content, FieldErrors, Invalid, MessageId, Recipient, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use std::convert::Infallible;
use std::time::Duration;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::{IntoParams, IntoResponses};

/// Most bytes of a caller's `metadata`, as JSON.
const MAX_METADATA: usize = 16 * 1024;
/// Most characters of an `Idempotency-Key`.
pub(crate) const LONGEST_KEY: usize = 255;
/// What an `Idempotency-Key` looks like: printable ASCII, not blank. Blanks around it are no part of a header's value.
pub(crate) const KEY_PATTERN: &str = "^[!-~][\\t -~]*$";
/// How far ahead a message can be scheduled.
const FARTHEST: Duration = Duration::from_hours(366 * 24);

/// Codes of naming a recipient and an account.
pub(crate) const NAMING: &[&str] = &["RECIPIENT_INVALID", "NOT_FOUND"];
/// Codes of whatever is taken in as a message.
pub(crate) const TAKING_IN: &[&str] =
    &["SESSION_NOT_LINKED", "RECIPIENT_OPTED_OUT", "CONSENT_REQUIRED", "IDEMPOTENCY_KEY_REUSED", "DAILY_LIMIT_REACHED"];

/// The answers of whatever is taken in as a message.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only documents the answers, which are written as text")]
pub(crate) enum TakenIn {
    /// Accepted and on disk.
    #[response(status = 202)]
    Accepted(Success<MessageView>),
    /// The outcome, when `wait` got it.
    #[response(status = 200)]
    Outcome(Success<MessageView>),
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SendQuery {
    /// Seconds to wait for the outcome (at most 60). Answered 200 with the outcome, or 202 when there is none yet.
    #[param(minimum = 0, maximum = 60)]
    pub(crate) wait: Option<u64>,
    /// Name or id of the account to send with, instead of the field of the body.
    pub(crate) session: Option<String>,
}

/// The header `Idempotency-Key`, or what is wrong with it: told only after what is wrong with the body.
pub(crate) struct SentKey(pub(crate) Result<Option<String>, ApiError>);

/// Instead of all headers, which would be copied for it.
impl<S: Sync> FromRequestParts<S> for SentKey {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(idempotency_key(&parts.headers)))
    }
}

impl IntoParams for SentKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let text = ObjectBuilder::new().schema_type(SchemaType::Array(vec![Type::String, Type::Null]));
        let key = ParameterBuilder::new().name("Idempotency-Key").parameter_in(ParameterIn::Header);
        vec![key.description(Some("1 to 255 printable characters of your choice.")).schema(Some(text)).build()]
    }
}

/// The value of the header `Idempotency-Key`.
///
/// # Errors
/// `VALIDATION_ERROR` when it is sent twice, empty, too long or no plain text.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut sent = headers.get_all("idempotency-key").iter();
    let Some(value) = sent.next() else { return Ok(None) };
    let text = value.to_str().ok().map(str::trim).filter(|text| (1..=LONGEST_KEY).contains(&text.len()));
    match (text, sent.next()) {
        (Some(text), None) => Ok(Some(text.to_owned())),
        _ => Err(ApiError::field("Idempotency-Key", "must be one header of 1 to 255 printable ASCII characters")),
    }
}

/// A body that says what to send, to whom, and all that every send can say. Serde's `flatten` would do, but not together with
/// refusing fields that are not known.
macro_rules! send_body {
    ($(#[$doc:meta])* $name:ident { $($(#[$field:meta])* $own:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            /// A phone number with country code (`+` optional, spaces and dashes tolerated), or an id ending in
            /// `@s.whatsapp.net`, `@c.us`, `@lid` or `@g.us`.
            #[schema(example = "+12025550123")]
            pub(crate) recipient: String,
            $($(#[$field])* pub(crate) $own: $type,)*
            /// Name or id of the account to send with. Not needed when there is one, or one named `default`.
            #[serde(default)]
            #[schema(example = "default")]
            pub(crate) session: Option<String>,
            /// Id of the message that this one answers; it is quoted.
            #[serde(default)]
            #[schema(value_type = Option<String>, format = "uuid", example = json!(null))]
            pub(crate) reply_to: Option<sanasend_model::MessageId>,
            /// Your own: kept with the message and told in its events.
            #[serde(default)]
            #[schema(value_type = Option<Object>, example = json!({"order": 17}))]
            pub(crate) metadata: Option<serde_json::Value>,
            /// When to send it (RFC 3339), up to a year ahead; left out: at once. Until then it is `scheduled`, and can be changed
            /// and canceled.
            #[serde(default)]
            #[schema(value_type = Option<String>, format = DateTime, example = json!(null))]
            pub(crate) scheduled_at: Option<sanasend_model::Timestamp>,
            /// When it makes no sense any more (RFC 3339), up to a year ahead: what was not sent by then fails as `EXPIRED`. Left
            /// out: a day after it was due, or as the operator has set it.
            #[serde(default)]
            #[schema(value_type = Option<String>, format = DateTime, example = json!(null))]
            pub(crate) expires_at: Option<sanasend_model::Timestamp>,
            /// Whether your quiet hours hold it until the morning where the recipient lives; left out: as you have set it.
            #[serde(default)]
            #[schema(example = false)]
            pub(crate) quiet_hours: Option<bool>,
        }

        impl $name {
            /// Takes out what every send says; what this one says stays.
            pub(crate) fn common(&mut self) -> $crate::http::v1::messages::asked::Common {
                $crate::http::v1::messages::asked::Common {
                    recipient: std::mem::take(&mut self.recipient),
                    session: self.session.take(),
                    reply_to: self.reply_to,
                    metadata: self.metadata.take(),
                    when: $crate::outbox::When {
                        scheduled_at: self.scheduled_at,
                        quiet_hours: self.quiet_hours,
                        expires_at: self.expires_at,
                    },
                }
            }
        }
    };
}
pub(crate) use send_body;

/// What every send says beside what it sends.
pub(crate) struct Common {
    pub(crate) recipient: String,
    pub(crate) session: Option<String>,
    pub(crate) reply_to: Option<MessageId>,
    pub(crate) metadata: Option<Value>,
    pub(crate) when: When,
}

impl Common {
    /// Checks all of it, together with `own`, what only this send says: every field that is wrong is named at once.
    ///
    /// # Errors
    /// As [`check_recipient`].
    pub(crate) fn check<T>(self, now: Timestamp, own: Result<T, FieldErrors>) -> Result<(Addressed, T), ApiError> {
        let Self { recipient, session, reply_to, metadata, when } = self;
        let mut errors = own.as_ref().err().cloned().unwrap_or_default();
        check_when(when, now, &mut errors);
        let metadata = check_metadata(metadata, &mut errors);
        let recipient = check_recipient(&recipient, errors)?;
        Ok((Addressed { recipient, session, reply_to, metadata, when }, own?))
    }
}

/// The same, checked: a message that only wants its content.
pub(crate) struct Addressed {
    recipient: Recipient,
    session: Option<String>,
    reply_to: Option<MessageId>,
    metadata: Option<Value>,
    when: When,
}

impl Addressed {
    /// The account that is named, in the body or else in the query.
    pub(crate) fn session<'a>(&'a self, query: &'a SendQuery) -> Option<&'a str> {
        self.session.as_deref().or(query.session.as_deref())
    }

    /// The message that says this.
    pub(crate) fn saying(self, content: impl Into<Content>) -> Checked {
        let Self { recipient, reply_to, metadata, when, session: _ } = self;
        Checked { metadata, reply_to, when, ..Checked::new(recipient, content.into()) }
    }
}

/// Checks the dates of a send.
pub(crate) fn check_when(when: When, now: Timestamp, errors: &mut FieldErrors) {
    if let Some(due) = when.scheduled_at {
        errors.take(check_date("scheduled_at", due, now));
    }
    if let Some(end) = when.expires_at {
        let late = when.scheduled_at.filter(|due| end <= *due);
        let late = late.map(|_| Invalid::new("expires_at", "must come after `scheduled_at`"));
        errors.take(late.map_or_else(|| check_end(end, now), Err));
    }
}

/// Checks the end of a message that is to be sent at once, or later.
fn check_end(end: Timestamp, now: Timestamp) -> Result<Timestamp, Invalid> {
    if end <= now {
        return Err(Invalid::new("expires_at", "must lie ahead"));
    }
    check_date("expires_at", end, now)
}

/// Checks that a date lies ahead, and not too far.
///
/// # Errors
/// On `field`.
pub(crate) fn check_date(field: &str, due: Timestamp, now: Timestamp) -> Result<Timestamp, Invalid> {
    if due <= now {
        return Err(Invalid::new(field, "must lie ahead; leave it out to send at once"));
    }
    if due > now.plus(FARTHEST) {
        return Err(Invalid::new(field, "must lie within the next 366 days"));
    }
    Ok(due)
}

/// Checks the caller's own data, which must be an object of bounded size; `null` is none.
pub(crate) fn check_metadata(metadata: Option<Value>, errors: &mut FieldErrors) -> Option<Value> {
    let metadata = metadata.filter(|value| !value.is_null());
    if let Some(value) = &metadata {
        if !value.is_object() {
            errors.push(Invalid::new("metadata", "must be an object"));
        } else if value.to_string().len() > MAX_METADATA {
            errors.push(Invalid::new("metadata", format!("must have at most {MAX_METADATA} bytes")));
        }
    }
    metadata
}

/// Reads the recipient as the last of the fields: `errors` is what is wrong with the others.
///
/// # Errors
/// `RECIPIENT_INVALID` when nothing else is wrong, else `VALIDATION_ERROR` with all fields.
pub(crate) fn check_recipient(recipient: &str, errors: FieldErrors) -> Result<Recipient, ApiError> {
    let only_recipient = errors.0.is_empty();
    errors.last(Recipient::parse(recipient)).map_err(|errors| {
        // A recipient that can't be one has its own code, unless other fields are wrong too.
        if only_recipient { ApiError { errors, ..ApiError::new(ErrorCode::RecipientInvalid) } } else { errors.into() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use serde_json::json;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn refusal(recipient: &str, metadata: Value, when: When, own: Result<(), FieldErrors>) -> Option<(ErrorCode, Vec<String>)> {
        let common = Common { recipient: recipient.into(), session: None, reply_to: None, metadata: Some(metadata), when };
        common.check(NOW, own).err().map(|refused| (refused.code, refused.errors.0.into_keys().collect()))
    }

    #[test]
    fn a_bad_recipient_alone_has_its_own_code() {
        let at_once = When::default();
        let refused = |code, fields: &[&str]| Some((code, fields.iter().map(|field| (*field).to_owned()).collect()));
        assert_eq!(refusal("+12025550123", Value::Null, at_once, Ok(())), None);
        assert_eq!(refusal("nobody", Value::Null, at_once, Ok(())), refused(ErrorCode::RecipientInvalid, &["recipient"]));
        assert_eq!(refusal("+12025550123", json!(7), at_once, Ok(())), refused(ErrorCode::ValidationError, &["metadata"]));
    }

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        let yesterday = When { scheduled_at: Some(NOW), ..When::default() };
        let own = Err(Invalid::new("content", "must not be empty").into());
        let named = ["content", "metadata", "recipient", "scheduled_at"].map(str::to_owned).to_vec();
        assert_eq!(refusal("nobody", json!([]), yesterday, own), Some((ErrorCode::ValidationError, named)));
    }

    #[test]
    fn a_message_ends_after_it_is_due() {
        let at = |ms: i64| Some(Timestamp(NOW.0 + ms));
        let year = i64::try_from(FARTHEST.as_millis()).expect("a year");
        for (scheduled_at, expires_at, named) in [
            (None, at(1), None),
            (at(1), at(2), None),
            (None, at(year), None),
            (None, at(0), Some("expires_at")),
            (at(2), at(2), Some("expires_at")),
            (at(2), at(1), Some("expires_at")),
            (None, at(year + 1), Some("expires_at")),
        ] {
            let mut errors = FieldErrors::default();
            check_when(When { scheduled_at, expires_at, ..When::default() }, NOW, &mut errors);
            assert_eq!(errors.0.keys().next().map(String::as_str), named, "{scheduled_at:?} {expires_at:?}");
        }
    }

    #[test]
    fn keys_are_one_header_of_printable_characters() {
        let with = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("idempotency-key", HeaderValue::from_bytes(value).expect("value"));
            }
            idempotency_key(&headers)
        };
        assert!(with(&[]).expect("none").is_none());
        assert_eq!(with(&[b"order-17"]).expect("one").as_deref(), Some("order-17"));
        for refused in [&[b"" as &[u8]][..], &[b"a", b"b"], &[&[b'x'; 256]], &[b"caf\xc3\xa9"]] {
            assert!(with(refused).is_err(), "{refused:?}");
        }
    }
}
