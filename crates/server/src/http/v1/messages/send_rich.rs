//! `POST /messages/send-location/`, `/send-contact/`, `/send-poll/`: what is more than a text or a file.

use super::choose::choose_linked;
use super::send::{Checked, SendQuery, SentKey, Terms, check_metadata, check_recipient, check_when, patience, take_in};
use super::view::MessageView;
use crate::app::App;
use crate::http::{ApiError, Caller, JsonBytes, Query, Success};
use axum::extract::State;
use axum::response::Response;
use sanasend_model::{ContactCard, FieldErrors, Invalid, Location, MessageId, Poll, Rich, Timestamp, rich};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;

/// A body with the fields that every send has.
macro_rules! send_body {
    ($(#[$doc:meta])* $name:ident { $($(#[$field:meta])* $own:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            /// A phone number with country code (`+` optional, spaces and dashes tolerated), or an id ending in
            /// `@s.whatsapp.net`, `@c.us`, `@lid` or `@g.us`.
            #[schema(example = "+12025550123")]
            recipient: String,
            $($(#[$field])* $own: $type,)*
            /// Name or id of the account to send with. Not needed when there is one, or one named `default`.
            #[serde(default)]
            #[schema(example = "default")]
            session: Option<String>,
            /// Id of the message that this one answers; it is quoted.
            #[serde(default)]
            #[schema(value_type = Option<String>, format = "uuid", example = json!(null))]
            reply_to: Option<MessageId>,
            /// Your own: kept with the message and told in its events.
            #[serde(default)]
            #[schema(value_type = Option<Object>, example = json!({"order": 17}))]
            metadata: Option<Value>,
            /// When to send it (RFC 3339), up to a year ahead; left out: at once.
            #[serde(default)]
            #[schema(value_type = Option<String>, format = DateTime, example = json!(null))]
            scheduled_at: Option<Timestamp>,
            /// Whether your quiet hours hold it until the morning where the recipient lives; left out: as you have set it.
            #[serde(default)]
            #[schema(example = false)]
            quiet_hours: Option<bool>,
        }

        impl $name {
            fn split(self) -> (Common, ($($type,)*)) {
                let Self { recipient, $($own,)* session, reply_to, metadata, scheduled_at, quiet_hours } = self;
                (Common { recipient, session, reply_to, metadata, scheduled_at, quiet_hours }, ($($own,)*))
            }
        }
    };
}

/// What every send says.
struct Common {
    recipient: String,
    session: Option<String>,
    reply_to: Option<MessageId>,
    metadata: Option<Value>,
    scheduled_at: Option<Timestamp>,
    quiet_hours: Option<bool>,
}

send_body! {
    /// A place to send.
    SendLocation {
        /// Degrees north, from -90 to 90.
        #[schema(example = 52.516_3, minimum = -90, maximum = 90)]
        latitude: f64,
        /// Degrees east, from -180 to 180.
        #[schema(example = 13.377_7, minimum = -180, maximum = 180)]
        longitude: f64,
        /// What the place is called, at most 1,000 characters.
        #[serde(default)]
        #[schema(example = "Brandenburg Gate")]
        name: Option<String>,
        /// Where it is, at most 1,000 characters.
        #[serde(default)]
        #[schema(example = "Pariser Platz, Berlin")]
        address: Option<String>,
    }
}

/// A card to send.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCard {
    /// The name that is shown, at most 200 characters.
    #[schema(example = "Anna Müller")]
    name: String,
    /// The person's number with country code.
    #[schema(example = "+12025550124")]
    phone: String,
    /// Where the person works.
    #[serde(default)]
    #[schema(example = "Example Ltd")]
    organization: Option<String>,
    /// E-mail address.
    #[serde(default)]
    #[schema(example = "anna@example.com")]
    email: Option<String>,
}

send_body! {
    /// Contact cards to send.
    SendContact {
        /// 1 to 20 cards.
        #[schema(min_items = 1, max_items = 20)]
        contacts: Vec<NewCard>,
    }
}

send_body! {
    /// A poll to send.
    SendPoll {
        /// What is asked, at most 255 characters.
        #[schema(example = "When shall we deliver?")]
        question: String,
        /// 2 to 12 different answers of at most 100 characters.
        #[schema(min_items = 2, max_items = 12, example = json!(["Today", "Tomorrow"]))]
        options: Vec<String>,
        /// How many of them a person may choose; left out: one.
        #[serde(default = "one")]
        #[schema(minimum = 1, maximum = 12, default = 1, example = 1)]
        selectable_count: u32,
    }
}

fn one() -> u32 {
    1
}

/// What of a request is needed besides its fields.
struct Asked<'a> {
    query: &'a SendQuery,
    key: Result<Option<String>, ApiError>,
    path: &'static str,
    bytes: &'a [u8],
}

/// Send a location
///
/// A pin on the map. On disk when this answers 202; `Idempotency-Key` and `wait` work as for texts.
#[utoipa::path(post, path = "/messages/send-location/", tag = "messages", request_body = SendLocation,
    params(SendQuery, ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 printable characters of your choice.")),
    responses(
        (status = 202, description = "Accepted and on disk.", body = Success<MessageView>),
        (status = 200, description = "The outcome, when `wait` got it.", body = Success<MessageView>)),
    extensions(("x-scope" = json!("messages:send")),
        ("x-error-codes" = json!(["RECIPIENT_INVALID", "NOT_FOUND", "SESSION_NOT_LINKED", "RECIPIENT_OPTED_OUT", "CONSENT_REQUIRED",
            "IDEMPOTENCY_KEY_REUSED", "DAILY_LIMIT_REACHED"]))))]
pub(crate) async fn send_location(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<SendQuery>,
    SentKey(key): SentKey,
    body: JsonBytes<SendLocation>,
) -> Result<Response, ApiError> {
    let (common, (latitude, longitude, name, address)) = body.value.split();
    let asked = Asked { query: &query, key, path: "POST /api/v1/messages/send-location/", bytes: &body.bytes };
    send(&app, &caller, asked, common, Location::new(latitude, longitude, name, address).map(Rich::Location)).await
}

/// Send contact cards
///
/// Phones offer to save the person and to write to them. On disk when this answers 202; `Idempotency-Key` and `wait` work as
/// for texts.
#[utoipa::path(post, path = "/messages/send-contact/", tag = "messages", request_body = SendContact,
    params(SendQuery, ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 printable characters of your choice.")),
    responses(
        (status = 202, description = "Accepted and on disk.", body = Success<MessageView>),
        (status = 200, description = "The outcome, when `wait` got it.", body = Success<MessageView>)),
    extensions(("x-scope" = json!("messages:send")),
        ("x-error-codes" = json!(["RECIPIENT_INVALID", "NOT_FOUND", "SESSION_NOT_LINKED", "RECIPIENT_OPTED_OUT", "CONSENT_REQUIRED",
            "IDEMPOTENCY_KEY_REUSED", "DAILY_LIMIT_REACHED"]))))]
pub(crate) async fn send_contact(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<SendQuery>,
    SentKey(key): SentKey,
    body: JsonBytes<SendContact>,
) -> Result<Response, ApiError> {
    let (common, (contacts,)) = body.value.split();
    let asked = Asked { query: &query, key, path: "POST /api/v1/messages/send-contact/", bytes: &body.bytes };
    send(&app, &caller, asked, common, cards(contacts)).await
}

/// Send a poll
///
/// Votes come in as messages of the type `poll_vote`, show at the poll (`poll.votes`) and are told as `message.voted`. On disk
/// when this answers 202; `Idempotency-Key` and `wait` work as for texts.
#[utoipa::path(post, path = "/messages/send-poll/", tag = "messages", request_body = SendPoll,
    params(SendQuery, ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 printable characters of your choice.")),
    responses(
        (status = 202, description = "Accepted and on disk.", body = Success<MessageView>),
        (status = 200, description = "The outcome, when `wait` got it.", body = Success<MessageView>)),
    extensions(("x-scope" = json!("messages:send")),
        ("x-error-codes" = json!(["RECIPIENT_INVALID", "NOT_FOUND", "SESSION_NOT_LINKED", "RECIPIENT_OPTED_OUT", "CONSENT_REQUIRED",
            "IDEMPOTENCY_KEY_REUSED", "DAILY_LIMIT_REACHED"]))))]
pub(crate) async fn send_poll(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<SendQuery>,
    SentKey(key): SentKey,
    body: JsonBytes<SendPoll>,
) -> Result<Response, ApiError> {
    let (common, (question, options, selectable_count)) = body.value.split();
    let asked = Asked { query: &query, key, path: "POST /api/v1/messages/send-poll/", bytes: &body.bytes };
    let mut secret = [0; 32];
    app.clock.fill(&mut secret);
    send(&app, &caller, asked, common, Poll::new(question, options, selectable_count, secret).map(Rich::Poll)).await
}

fn cards(contacts: Vec<NewCard>) -> Result<Rich, FieldErrors> {
    if contacts.is_empty() || contacts.len() > rich::MAX_CARDS {
        return Err(Invalid::new("contacts", format!("must be from 1 to {}; there are {}", rich::MAX_CARDS, contacts.len())).into());
    }
    let (mut errors, mut cards) = (FieldErrors::default(), Vec::with_capacity(contacts.len()));
    for (at, NewCard { name, phone, organization, email }) in contacts.into_iter().enumerate() {
        match ContactCard::new(at, name, &phone, organization, email) {
            Ok(card) => cards.push(card),
            Err(refused) => errors.0.extend(refused.0),
        }
    }
    errors.into_result()?;
    Ok(Rich::Contact { contacts: cards })
}

/// The way of all of them: check, make durable, answer.
async fn send(
    app: &App,
    caller: &Caller,
    asked: Asked<'_>,
    common: Common,
    content: Result<Rich, FieldErrors>,
) -> Result<Response, ApiError> {
    let Common { recipient, session, reply_to, metadata, scheduled_at, quiet_hours } = common;
    let wait = patience(app, asked.query.wait)?;
    let (content, mut errors) = match content {
        Ok(rich) => (Some(rich), FieldErrors::default()),
        Err(refused) => (None, refused),
    };
    let when = check_when(app, scheduled_at, quiet_hours, &mut errors);
    let metadata = check_metadata(metadata, &mut errors);
    let recipient = check_recipient(&recipient, errors)?;
    let content = content.ok_or_else(|| ApiError::internal("a content that was refused and not named"))?.into();
    let query_session = asked.query.session.as_deref();
    let terms = Terms::of(asked.key?, (asked.path, asked.bytes, query_session), wait);
    if let Some(answer) = terms.replay(app, caller.id()).await? {
        return Ok(answer);
    }
    let session = choose_linked(app, caller.id(), session.as_deref().or(query_session)).await?;
    take_in(app, caller, session.id, Checked { metadata, reply_to, when, ..Checked::new(recipient, content) }, terms).await
}
