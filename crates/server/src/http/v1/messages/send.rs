//! `POST /messages/send-text/`: check, make durable, answer.

use super::choose::choose_linked;
use super::preview::{self, WantedLinkPreview};
use super::view::MessageView;
use crate::app::App;
use crate::http::{Answer, ApiError, Caller, ErrorCode, JsonBytes, Query, Success};
use crate::outbox::{Hold, When, hold};
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sanasend_model::{Content, FieldErrors, Invalid, Jid, MessageId, Recipient, SessionId, Timestamp, UserId};
use sanasend_store::{Accepted, Idempotency, Message, NewMedia, NewMessage, Quoted};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

/// The path as it enters the fingerprint: with and without the slash at the end is the same request.
const PATH: &str = "POST /api/v1/messages/send-text/";
/// Most bytes of a caller's `metadata`, as JSON.
const MAX_METADATA: usize = 16 * 1024;
/// What every server takes as `wait`; one that is set to less waits less.
const MOST_WAIT: Duration = Duration::from_mins(1);
/// How far ahead a message can be scheduled.
const FARTHEST: Duration = Duration::from_hours(366 * 24);
const DAY_MS: i64 = 24 * 3600 * 1000;
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A text to send.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendText {
    /// A phone number with country code (`+` optional, spaces and dashes tolerated), or an id ending in
    /// `@s.whatsapp.net`, `@c.us`, `@lid` or `@g.us`.
    #[schema(example = "+12025550123")]
    pub(crate) recipient: String,
    /// The text, at most 65,536 characters.
    #[schema(example = "Your order is ready.")]
    pub(crate) content: String,
    /// A preview of the link in the text: `true` asks the page for it now (a page that does not answer never fails the send),
    /// an object gives one.
    #[serde(default)]
    pub(crate) link_preview: Option<WantedLinkPreview>,
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
    /// When to send it (RFC 3339), up to a year ahead; left out: at once. Until then it is `scheduled`, and can be changed
    /// and canceled.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime, example = json!(null))]
    pub(crate) scheduled_at: Option<Timestamp>,
    /// Whether your quiet hours hold it until the morning where the recipient lives; left out: as you have set it.
    #[serde(default)]
    #[schema(example = false)]
    pub(crate) quiet_hours: Option<bool>,
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

/// A message that was checked and can be taken in.
pub(crate) struct Checked {
    pub(crate) recipient: Recipient,
    pub(crate) content: Content,
    /// The stored file, when the content is one.
    pub(crate) media: Option<NewMedia>,
    pub(crate) metadata: Option<Value>,
    pub(crate) reply_to: Option<MessageId>,
    pub(crate) when: When,
    /// When it makes no sense any more, where that is before the usual deadline.
    pub(crate) until: Option<Timestamp>,
}

impl Checked {
    /// With nothing but what is needed.
    pub(crate) fn new(recipient: Recipient, content: Content) -> Self {
        Self { recipient, content, media: None, metadata: None, reply_to: None, when: When::default(), until: None }
    }
}

/// How a send is to be answered.
pub(crate) struct Terms {
    pub(crate) key: Option<String>,
    pub(crate) fingerprint: [u8; 32],
    pub(crate) wait: Duration,
}

impl Terms {
    /// Of a send with a JSON body. Without a key nobody asks for the fingerprint, and it costs as much as reading the body once
    /// more.
    pub(crate) fn of(key: Option<String>, (path, body, session): (&str, &[u8], Option<&str>), wait: Duration) -> Self {
        let fingerprint = if key.is_some() { fingerprint(path, body, session) } else { [0; 32] };
        Self { key, fingerprint, wait }
    }

    /// The answer that a request with the same key got before, or its refusal.
    ///
    /// # Errors
    /// `IDEMPOTENCY_KEY_REUSED`, or when the store is down.
    pub(crate) async fn replay(&self, app: &App, user: UserId) -> Result<Option<Response>, ApiError> {
        let Some(key) = &self.key else { return Ok(None) };
        app.store.idempotent_answer(user, key, self.fingerprint).await?.map(settled).transpose()
    }
}

/// Send a text
///
/// The message is on disk when this answers 202; with `scheduled_at`, or held by quiet hours, it is `scheduled` until its date
/// has come. It is sent once, in order per chat, through crashes, restarts and
/// disconnects. With an `Idempotency-Key` header the same request within 24 hours gets the first answer again (and
/// `Idempotency-Replayed: true`); the same key with another body is refused.
#[utoipa::path(post, path = "/messages/send-text/", tag = "messages", request_body = SendText,
    params(SendQuery, ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 printable characters of your choice.")),
    responses(
        (status = 202, description = "Accepted and on disk.", body = Success<MessageView>),
        (status = 200, description = "The outcome, when `wait` got it.", body = Success<MessageView>)),
    extensions(("x-scope" = json!("messages:send")),
        ("x-error-codes" = json!(["RECIPIENT_INVALID", "NOT_FOUND", "SESSION_NOT_LINKED", "RECIPIENT_OPTED_OUT", "CONSENT_REQUIRED",
            "IDEMPOTENCY_KEY_REUSED", "DAILY_LIMIT_REACHED"]))))]
pub(crate) async fn send_text(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<SendQuery>,
    SentKey(key): SentKey,
    body: JsonBytes<SendText>,
) -> Result<Response, ApiError> {
    let wait = patience(&app, query.wait)?;
    let SendText { recipient, content, link_preview, session, reply_to, metadata, scheduled_at, quiet_hours } = body.value;
    let mut errors = FieldErrors::default();
    let when = check_when(&app, scheduled_at, quiet_hours, &mut errors);
    let preview = preview::check(&content, link_preview, &mut errors);
    let mut checked = Checked { reply_to, when, ..check(&recipient, content, metadata, errors)? };
    let terms = Terms::of(key?, (PATH, &body.bytes, query.session.as_deref()), wait);
    if let Some(answer) = terms.replay(&app, caller.id()).await? {
        return Ok(answer);
    }
    let session = choose_linked(&app, caller.id(), session.as_deref().or(query.session.as_deref())).await?;
    if let Some(wanted) = preview {
        checked.content = preview::put(&app, &caller, checked.content, wanted).await?;
    }
    take_in(&app, &caller, session.id, checked, terms).await
}

/// Makes a checked message durable, and answers; the last part of every send.
///
/// # Errors
/// When a limit is reached, what it answers is not there, or the store is down.
pub(crate) async fn take_in(app: &App, caller: &Caller, session: SessionId, checked: Checked, terms: Terms) -> Result<Response, ApiError> {
    let quoted = match checked.reply_to {
        Some(id) => Some(quote(app, caller.id(), session, id).await?),
        None => None,
    };
    caller.count_message(app).await?;
    let Terms { key, fingerprint, wait } = terms;
    let mut message = new_message(app, caller, session, checked);
    message.quoted = quoted;
    // Nobody waits for a date.
    let wait = if message.scheduled_at.is_some() { Duration::ZERO } else { wait };
    let body = accepted_body(&message)?;
    message.idempotency = key.as_ref().map(|key| remembered(app, key, fingerprint, message.created_at, &body));
    let id = message.id;
    match app.outbox.accept(message).await? {
        Accepted::Created { .. } => outcome(app, caller.id(), key.as_deref(), id, wait, body).await,
        Accepted::DailyLimitReached => Err(caller.day_is_over(rest_of_day(app))),
        Accepted::OptedOut => Err(ErrorCode::RecipientOptedOut.into()),
        Accepted::ConsentRequired => Err(ErrorCode::ConsentRequired.into()),
        other => settled(other),
    }
}

/// Waits when the caller wants to, and answers how the message stands.
async fn outcome(app: &App, user: UserId, key: Option<&str>, id: MessageId, wait: Duration, body: String) -> Result<Response, ApiError> {
    if wait.is_zero() {
        return Ok(raw(StatusCode::ACCEPTED, body));
    }
    let shut = app.shutdown.clone();
    // It is accepted whatever happens to the wait: a store that is down now, or a stop, must not turn that into an error.
    let waited = shut.run_until_cancelled(app.outbox.outcome(id, wait)).await;
    let Some(Ok(Some(message))) = waited else { return Ok(raw(StatusCode::ACCEPTED, body)) };
    let timeline = app.store.timeline(id).await.unwrap_or_default();
    let (status, body) = told(message, timeline)?;
    if let Some(key) = key
        && status == StatusCode::OK
        && let Err(error) = app.store.replace_answer(user, key, status.as_u16(), body.clone()).await
    {
        tracing::warn!(%error, "the outcome could not be kept for a replay; the first answer is");
    }
    Ok(raw(status, body))
}

fn told(message: Message, timeline: Vec<sanasend_store::TimelineEntry>) -> Result<(StatusCode, String), ApiError> {
    let settled = message.status.is_settled();
    let view = MessageView::with_timeline(message, timeline);
    let answer = if settled { Answer::ok("This is the outcome.", view) } else { Answer::accepted("Accepted; no outcome yet.", view) };
    Ok((answer.status(), to_text(answer.body())?))
}

/// Checks the date of a send.
pub(crate) fn check_when(app: &App, scheduled_at: Option<Timestamp>, quiet_hours: Option<bool>, errors: &mut FieldErrors) -> When {
    if let Some(due) = scheduled_at {
        errors.take(check_date("scheduled_at", due, app.clock.now()));
    }
    When { scheduled_at, quiet_hours }
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

fn check(recipient: &str, content: String, metadata: Option<Value>, mut errors: FieldErrors) -> Result<Checked, ApiError> {
    let metadata = check_metadata(metadata, &mut errors);
    let content = errors.take(Content::text(content));
    let recipient = check_recipient(recipient, errors)?;
    let content = content.ok_or_else(|| ApiError::internal("a content that was refused and not named"))?;
    Ok(Checked { metadata, ..Checked::new(recipient, content) })
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
pub(crate) fn check_recipient(recipient: &str, mut errors: FieldErrors) -> Result<Recipient, ApiError> {
    let only_recipient = errors.0.is_empty();
    match errors.take(Recipient::parse(recipient)) {
        Some(recipient) if errors.0.is_empty() => Ok(recipient),
        // A recipient that can't be one has its own code, unless other fields are wrong too.
        None if only_recipient => Err(ApiError { errors, ..ApiError::new(ErrorCode::RecipientInvalid) }),
        _ => Err(errors.into()),
    }
}

pub(crate) fn patience(app: &App, wait: Option<u64>) -> Result<Duration, ApiError> {
    let longest = app.outbox.options().longest_wait;
    let (wait, most) = (Duration::from_secs(wait.unwrap_or(0)), longest.max(MOST_WAIT));
    if wait > most { Err(ApiError::field("wait", format!("must be from 0 to {} seconds", most.as_secs()))) } else { Ok(wait.min(longest)) }
}

/// What is quoted: a message of the same account. Whoever wrote it is told, so that phones can show whose it was.
async fn quote(app: &App, user: UserId, session: SessionId, id: MessageId) -> Result<Quoted, ApiError> {
    let message = app.store.message(Some(user), id).await?.filter(|message| message.session_id == session);
    let message = message.ok_or_else(|| ApiError::not_found().with_field("reply_to", "is no message of this account"))?;
    let author: Option<Jid> = match message.direction {
        sanasend_model::Direction::Inbound => message.peer.jid.or(message.peer.lid),
        sanasend_model::Direction::Outbound => app.store.session(session).await?.and_then(|row| row.jid),
    };
    let text = message.content.body().map(str::to_owned);
    Ok(Quoted { wa_message_id: message.wa_message_id, participant: author, text })
}

fn new_message(app: &App, caller: &Caller, session_id: SessionId, checked: Checked) -> NewMessage {
    let (id, wa_message_id) = app.outbox.new_ids();
    let (created_at, _) = app.outbox.times();
    let Hold { due, reason } = hold(caller.user.quiet_hours, &checked.recipient, checked.when, created_at);
    NewMessage {
        id,
        user_id: caller.id(),
        session_id,
        recipient: checked.recipient,
        content: checked.content,
        media: checked.media,
        wa_message_id,
        reply_to: checked.reply_to,
        quoted: None,
        metadata: checked.metadata,
        created_at,
        scheduled_at: due,
        wait_reason: reason,
        expires_at: checked.until.into_iter().fold(due.unwrap_or(created_at).plus(app.outbox.options().deadline), Timestamp::min),
        day: created_at.day(),
        daily_limit: caller.user.max_messages_per_day,
        idempotency: None,
    }
}

fn accepted_body(message: &NewMessage) -> Result<String, ApiError> {
    to_text(Answer::accepted("Accepted.", MessageView::accepted(message)).body())
}

fn remembered(app: &App, key: &str, fingerprint: [u8; 32], now: Timestamp, body: &str) -> Idempotency {
    Idempotency {
        key: key.to_owned(),
        fingerprint,
        status: StatusCode::ACCEPTED.as_u16(),
        body: body.to_owned(),
        expires_at: now.plus(app.outbox.options().idempotency),
    }
}

/// The answer of a request that came before, or its refusal.
fn settled(accepted: Accepted) -> Result<Response, ApiError> {
    match accepted {
        Accepted::Replayed { status, body } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::ACCEPTED);
            let mut response = raw(status, body);
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
            Ok(response)
        }
        Accepted::KeyReused => Err(ErrorCode::IdempotencyKeyReused.into()),
        other => Err(ApiError::internal(format!("an answer that can't be: {other:?}"))),
    }
}

fn rest_of_day(app: &App) -> Duration {
    let left = DAY_MS - app.clock.now().0.rem_euclid(DAY_MS);
    Duration::from_millis(u64::try_from(left).unwrap_or(0))
}

pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut sent = headers.get_all("idempotency-key").iter();
    let Some(value) = sent.next() else { return Ok(None) };
    let text = value.to_str().ok().map(str::trim).filter(|text| (1..=255).contains(&text.len()));
    match (text, sent.next()) {
        (Some(text), None) => Ok(Some(text.to_owned())),
        _ => Err(ApiError::field("Idempotency-Key", "must be one header of 1 to 255 printable ASCII characters")),
    }
}

/// What makes two requests the same: method, path, account, and the body whatever the order of its fields.
pub(crate) fn fingerprint(path: &str, body: &[u8], session: Option<&str>) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(path);
    hash.update([0]);
    hash.update(session.unwrap_or_default());
    hash.update([0]);
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => hash.update(canonical(&value)),
        Err(_) => hash.update(body),
    }
    hash.finalize().into()
}

/// JSON with the fields of every object in order.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            let fields: Vec<String> =
                fields.into_iter().map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), canonical(value))).collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

fn to_text<T: Serialize>(body: &T) -> Result<String, ApiError> {
    serde_json::to_string(body).map_err(ApiError::internal)
}

/// An envelope that is text already.
fn raw(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_fields_and_white_space_make_no_other_request() {
        let fingerprint = |body: &[u8], session| super::fingerprint(PATH, body, session);
        let one = fingerprint(br#"{"recipient":"+1","content":"a","metadata":{"x":1,"y":[1,2]}}"#, None);
        let two = fingerprint(br#"{ "metadata": {"y": [1,2], "x": 1}, "content": "a", "recipient": "+1" }"#, None);
        assert_eq!(one, two);
        assert_ne!(one, fingerprint(br#"{"recipient":"+1","content":"a","metadata":{"x":1,"y":[2,1]}}"#, None));
        assert_ne!(one, fingerprint(br#"{"recipient":"+1","content":"b","metadata":{"x":1,"y":[1,2]}}"#, None));
        assert_ne!(fingerprint(b"{}", None), fingerprint(b"{}", Some("shop")));
    }

    #[test]
    fn a_bad_recipient_alone_has_its_own_code() {
        let text = || "hi".to_owned();
        let none = FieldErrors::default;
        assert_eq!(check("nobody", text(), None, none()).err().map(|e| e.code), Some(ErrorCode::RecipientInvalid));
        let both = check("nobody", String::new(), None, none()).err().expect("refused");
        assert_eq!((both.code, both.errors.0.len()), (ErrorCode::ValidationError, 2));
        assert_eq!(check("+12025550123", text(), Some(Value::from(7)), none()).err().map(|e| e.code), Some(ErrorCode::ValidationError));
        assert!(check("+12025550123", text(), Some(Value::Null), none()).is_ok());
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
