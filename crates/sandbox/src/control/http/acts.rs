//! The same over HTTP.

use super::bodies::body;
use crate::Error;
use crate::control::Control;
use crate::phones::{ShownCard, ShownLocation};
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

/// The routes of what is sent beside texts and files, and done to messages.
pub(super) fn routes() -> Router<Control> {
    Router::new()
        .route("/admin/phones/{phone}/send-location", post(send_location))
        .route("/admin/phones/{phone}/send-contact", post(send_contact))
        .route("/admin/phones/{phone}/send-poll", post(send_poll))
        .route("/admin/phones/{phone}/react", post(react))
        .route("/admin/phones/{phone}/edit", post(edit))
        .route("/admin/phones/{phone}/delete", post(delete))
        .route("/admin/phones/{phone}/vote", post(vote))
}

type Answer = Result<Json<Value>, Error>;

fn sent(id: &str) -> Json<Value> {
    Json(json!({ "id": id }))
}

/// A place to send.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LocationBody {
    /// Number or jid.
    to: String,
    latitude: f64,
    longitude: f64,
    name: Option<String>,
    address: Option<String>,
}

async fn send_location(State(control): State<Control>, Path(phone): Path<String>, bytes: Bytes) -> Answer {
    let LocationBody { to, latitude, longitude, name, address } = body(&bytes)?;
    let place = ShownLocation { latitude, longitude, name, address };
    Ok(sent(&control.send_location(&phone, &to, &place).await?))
}

/// Cards to send.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContactBody {
    /// Number or jid.
    to: String,
    contacts: Vec<ShownCard>,
}

async fn send_contact(State(control): State<Control>, Path(phone): Path<String>, bytes: Bytes) -> Answer {
    let ContactBody { to, contacts } = body(&bytes)?;
    Ok(sent(&control.send_contacts(&phone, &to, &contacts).await?))
}

/// A poll to send.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PollBody {
    /// Number or jid.
    to: String,
    question: String,
    options: Vec<String>,
    /// 1 without it; 0 for any number.
    #[serde(default = "one")]
    selectable_count: u32,
}

fn one() -> u32 {
    1
}

async fn send_poll(State(control): State<Control>, Path(phone): Path<String>, bytes: Bytes) -> Answer {
    let PollBody { to, question, options, selectable_count } = body(&bytes)?;
    Ok(sent(&control.send_poll(&phone, &to, &question, &options, selectable_count).await?))
}

/// An emoji for a message that the phone shows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReactBody {
    id: String,
    /// Empty takes it away.
    emoji: String,
}

async fn react(State(control): State<Control>, Path(phone): Path<String>, bytes: Bytes) -> Answer {
    let ReactBody { id, emoji } = body(&bytes)?;
    Ok(sent(&control.react(&phone, &id, &emoji).await?))
}

/// Another text for a message of the phone's account.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EditBody {
    id: String,
    text: String,
}

async fn edit(State(control): State<Control>, Path(phone): Path<String>, bytes: Bytes) -> Answer {
    let EditBody { id, text } = body(&bytes)?;
    Ok(sent(&control.edit(&phone, &id, &text).await?))
}

/// A message of the phone's account to delete for everyone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteBody {
    id: String,
}

async fn delete(State(control): State<Control>, Path(phone): Path<String>, bytes: Bytes) -> Answer {
    let DeleteBody { id } = body(&bytes)?;
    Ok(sent(&control.delete(&phone, &id).await?))
}

/// Answers of a poll that the phone shows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VoteBody {
    id: String,
    /// All that are chosen now.
    options: Vec<String>,
}

async fn vote(State(control): State<Control>, Path(phone): Path<String>, bytes: Bytes) -> Answer {
    let VoteBody { id, options } = body(&bytes)?;
    Ok(sent(&control.vote(&phone, &id, &options).await?))
}
