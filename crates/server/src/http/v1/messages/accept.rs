//! The way of every send from what was checked to its answer: make it durable, wait if asked to, answer; and give the first
//! answer again to a request that comes again.

use super::timeline::timeline;
use super::view::MessageView;
use crate::app::App;
use crate::http::{Answer, ApiError, Caller, ErrorCode};
use crate::outbox::{Hold, When, hold};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sanasend_model::{Content, Direction, Jid, MessageId, Recipient, SessionId, Timestamp, UserId};
use sanasend_store::{Accepted, Idempotency, Message, MessageIds, NewMedia, NewMessage, Quoted, TimelineEntry};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// What every server takes as `wait`; one that is set to less waits less.
const MOST_WAIT: Duration = Duration::from_mins(1);
const DAY_MS: i64 = 24 * 3600 * 1000;
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A message that was checked and can be taken in.
pub(crate) struct Checked {
    pub(crate) recipient: Recipient,
    pub(crate) content: Content,
    /// The stored file, when the content is one.
    pub(crate) media: Option<NewMedia>,
    pub(crate) metadata: Option<Value>,
    pub(crate) reply_to: Option<MessageId>,
    pub(crate) when: When,
    /// When it makes no sense any more whatever was asked for, where that is before its deadline.
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

/// Makes a checked message durable, and answers; the last part of every send.
///
/// # Errors
/// When a limit is reached, what it answers is not there, or the store is down.
pub(crate) async fn take_in(app: &App, caller: &Caller, session: SessionId, checked: Checked, terms: Terms) -> Result<Response, ApiError> {
    let quoted = match checked.reply_to {
        Some(id) => Some(quote(app, caller.id(), session, id).await?),
        None => None,
    };
    let mut message = new_message(app, caller, session, checked)?;
    message.quoted = quoted;
    caller.count_message(app).await?;
    let Terms { key, fingerprint, wait } = terms;
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
    let timeline = timeline(app, &message).await.unwrap_or_default();
    let (status, body) = told(message, timeline)?;
    if let Some(key) = key
        && status == StatusCode::OK
        && let Err(error) = app.store.replace_answer(user, key, status.as_u16(), body.clone()).await
    {
        tracing::warn!(%error, "the outcome could not be kept for a replay; the first answer is");
    }
    Ok(raw(status, body))
}

fn told(message: Message, timeline: Vec<TimelineEntry>) -> Result<(StatusCode, String), ApiError> {
    let settled = message.status.is_settled();
    let view = MessageView::with_timeline(message, timeline);
    let answer = if settled { Answer::ok("This is the outcome.", view) } else { Answer::accepted("Accepted; no outcome yet.", view) };
    Ok((answer.status(), to_text(answer.body())?))
}

/// How long to wait for the outcome, of the seconds that were asked for.
///
/// # Errors
/// `VALIDATION_ERROR` when that is longer than any server waits.
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
        Direction::Inbound => message.peer.jid.or(message.peer.lid),
        Direction::Outbound => app.store.session(session).await?.and_then(|row| row.jid),
    };
    let text = message.content.body().map(str::to_owned);
    Ok(Quoted { wa_message_id: message.wa_message_id, participant: author, text })
}

fn new_message(app: &App, caller: &Caller, session_id: SessionId, checked: Checked) -> Result<NewMessage, ApiError> {
    let (id, wa_message_id) = app.outbox.new_ids();
    let (created_at, _) = app.outbox.times();
    let expires_at = checked.when.expires_at;
    let Hold { due, reason } = hold(caller.user.quiet_hours, &checked.recipient, checked.when, created_at);
    if let (Some(end), Some(due)) = (expires_at, due)
        && end <= due
    {
        // It would wait for nothing.
        let why = format!("must come after {due}: quiet hours hold the message until then, unless `quiet_hours` is false");
        return Err(ApiError::field("expires_at", why));
    }
    let deadline = expires_at.unwrap_or_else(|| due.unwrap_or(created_at).plus(app.outbox.options().deadline));
    let ids = MessageIds { id, wa_message_id, user_id: caller.id(), session_id };
    let times = (created_at, checked.until.into_iter().fold(deadline, Timestamp::min));
    Ok(NewMessage {
        media: checked.media,
        reply_to: checked.reply_to,
        metadata: checked.metadata,
        scheduled_at: due,
        wait_reason: reason,
        ..NewMessage::plain(ids, checked.recipient, checked.content, times, caller.user.max_messages_per_day)
    })
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
    #[test]
    fn the_order_of_fields_and_white_space_make_no_other_request() {
        let fingerprint = |body: &[u8], session| super::fingerprint("POST /", body, session);
        let one = fingerprint(br#"{"recipient":"+1","content":"a","metadata":{"x":1,"y":[1,2]}}"#, None);
        let two = fingerprint(br#"{ "metadata": {"y": [1,2], "x": 1}, "content": "a", "recipient": "+1" }"#, None);
        assert_eq!(one, two);
        assert_ne!(one, fingerprint(br#"{"recipient":"+1","content":"a","metadata":{"x":1,"y":[2,1]}}"#, None));
        assert_ne!(one, fingerprint(br#"{"recipient":"+1","content":"b","metadata":{"x":1,"y":[1,2]}}"#, None));
        assert_ne!(fingerprint(b"{}", None), fingerprint(b"{}", Some("shop")));
    }
}
