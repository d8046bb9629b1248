//! `POST /messages/send-location/`, `/send-contact/`, `/send-poll/`: what is more than a text or a file.

use super::accept::{Terms, patience, take_in};
use super::asked::{Common, NAMING, SendQuery, SentKey, TAKING_IN, TakenIn, send_body};
use super::choose::choose_linked;
use crate::app::App;
use crate::http::{ApiError, Caller, JsonBytes, Query};
use axum::extract::State;
use axum::response::Response;
use sanasend_model::{ContactCard, FieldErrors, Invalid, Location, Poll, Rich, rich};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;

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
    params(SendQuery, SentKey), responses(TakenIn),
    extensions(("x-scope" = json!("messages:send")), ("x-error-codes" = json!([NAMING, TAKING_IN].concat()))))]
pub(crate) async fn send_location(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<SendQuery>,
    SentKey(key): SentKey,
    body: JsonBytes<SendLocation>,
) -> Result<Response, ApiError> {
    let mut place = body.value;
    let common = place.common();
    let asked = Asked { query: &query, key, path: "POST /api/v1/messages/send-location/", bytes: &body.bytes };
    let location = Location::new(place.latitude, place.longitude, place.name, place.address);
    send(&app, &caller, asked, common, location.map(Rich::Location)).await
}

/// Send contact cards
///
/// Phones offer to save the person and to write to them. On disk when this answers 202; `Idempotency-Key` and `wait` work as
/// for texts.
#[utoipa::path(post, path = "/messages/send-contact/", tag = "messages", request_body = SendContact,
    params(SendQuery, SentKey), responses(TakenIn),
    extensions(("x-scope" = json!("messages:send")), ("x-error-codes" = json!([NAMING, TAKING_IN].concat()))))]
pub(crate) async fn send_contact(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<SendQuery>,
    SentKey(key): SentKey,
    body: JsonBytes<SendContact>,
) -> Result<Response, ApiError> {
    let mut wanted = body.value;
    let asked = Asked { query: &query, key, path: "POST /api/v1/messages/send-contact/", bytes: &body.bytes };
    send(&app, &caller, asked, wanted.common(), cards(wanted.contacts)).await
}

/// Send a poll
///
/// Votes come in as messages of the type `poll_vote`, show at the poll (`poll.votes`) and are told as `message.voted`. On disk
/// when this answers 202; `Idempotency-Key` and `wait` work as for texts.
#[utoipa::path(post, path = "/messages/send-poll/", tag = "messages", request_body = SendPoll,
    params(SendQuery, SentKey), responses(TakenIn),
    extensions(("x-scope" = json!("messages:send")), ("x-error-codes" = json!([NAMING, TAKING_IN].concat()))))]
pub(crate) async fn send_poll(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<SendQuery>,
    SentKey(key): SentKey,
    body: JsonBytes<SendPoll>,
) -> Result<Response, ApiError> {
    let mut wanted = body.value;
    let common = wanted.common();
    let asked = Asked { query: &query, key, path: "POST /api/v1/messages/send-poll/", bytes: &body.bytes };
    let mut secret = [0; 32];
    app.clock.fill(&mut secret);
    let poll = Poll::new(wanted.question, wanted.options, wanted.selectable_count, secret);
    send(&app, &caller, asked, common, poll.map(Rich::Poll)).await
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
    let Asked { query, key, path, bytes } = asked;
    let wait = patience(app, query.wait)?;
    let (to, content) = common.check(app.clock.now(), content)?;
    let terms = Terms::of(key?, (path, bytes, query.session.as_deref()), wait);
    if let Some(answer) = terms.replay(app, caller.id()).await? {
        return Ok(answer);
    }
    let session = choose_linked(app, caller.id(), to.session(query)).await?;
    take_in(app, caller, session.id, to.saying(content), terms).await
}
