//! The control API over HTTP.
//!
//! The table of contents is [`router`]; each handler only translates between JSON and
//! [`Control`]. Bodies and queries with fields that are not known are refused, so that
//! a misspelt option is noticed. Every error is `{"error": "..."}` with a sentence
//! that says what to change.

mod acts;
mod bodies;
mod media;

use super::{Control, DeviceView, Linked};
use crate::Error;
use crate::network::{Counts, GroupChange};
use crate::phones::{Auto, PhoneView, ShownMessage};
use crate::transcript::StanzaRecord;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post};
use axum::{Json, Router};
use bodies::{
    BlockBody, FaultBody, MessagesQuery, NewGroup, NewPhone, PairCode, ReadBody, ScanQuery, SendBody, TranscriptQuery, TypingBody, body,
    query,
};
use serde_json::{Value, json};

/// Longest wait of one request. Clients that want more ask again.
const MAX_WAIT_SECONDS: u64 = 300;

/// All routes of the control API; nothing outside `/admin`.
pub fn router(control: Control) -> Router {
    Router::new()
        .route("/admin/mock-phone/scan-qr", post(scan_qr))
        .route("/admin/phones", get(list_phones).post(add_phone))
        .route("/admin/phones/{phone}", get(get_phone).delete(remove_phone))
        .route("/admin/phones/{phone}/pair-code", post(type_pair_code))
        .route("/admin/phones/{phone}/messages", get(list_messages))
        .route("/admin/phones/{phone}/messages/{id}/media", get(media::get_media))
        .route("/admin/phones/{phone}/send", post(send))
        .merge(media::sending())
        .merge(acts::routes())
        .route("/admin/phones/{phone}/groups", post(make_group))
        .route("/admin/phones/{phone}/groups/{jid}", post(change_group))
        .route("/admin/phones/{phone}/read", post(read))
        .route("/admin/phones/{phone}/offline", post(go_offline))
        .route("/admin/phones/{phone}/online", post(go_online))
        .route("/admin/phones/{phone}/typing", post(typing))
        .route("/admin/phones/{phone}/block", post(block))
        .route("/admin/phones/{phone}/unblock", post(unblock))
        .route("/admin/phones/{phone}/devices", get(list_devices))
        .route("/admin/phones/{phone}/devices/{device}", delete(unlink))
        .route("/admin/phones/{phone}/auto", post(set_auto))
        .route("/admin/faults", post(plant_fault).delete(clear_faults))
        .route("/admin/transcript", get(transcript))
        .route("/admin/state", get(state))
        .route("/admin/{*rest}", any(no_such_path))
        .method_not_allowed_fallback(no_such_method)
        .with_state(control)
}

type Answer<T> = Result<Json<T>, Error>;

async fn scan_qr(State(control): State<Control>, RawQuery(raw): RawQuery, qr: String) -> Answer<Linked> {
    let ScanQuery { phone } = query(raw)?;
    Ok(Json(control.scan(&qr, phone.as_deref()).await?))
}

async fn list_phones(State(control): State<Control>) -> Json<Vec<PhoneView>> {
    Json(control.phones())
}

async fn add_phone(State(control): State<Control>, bytes: Bytes) -> Result<(StatusCode, Json<PhoneView>), Error> {
    let NewPhone { phone, push_name, modest } = body(&bytes)?;
    let phone = if modest {
        control.add_modest_phone(phone.as_deref(), push_name.as_deref()).await?
    } else {
        control.add_phone(phone.as_deref(), push_name.as_deref()).await?
    };
    Ok((StatusCode::CREATED, Json(phone)))
}

async fn get_phone(State(control): State<Control>, Path(phone): Path<String>) -> Answer<PhoneView> {
    Ok(Json(control.phone(&phone)?))
}

async fn remove_phone(State(control): State<Control>, Path(phone): Path<String>) -> Result<StatusCode, Error> {
    control.remove_phone(&phone)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn type_pair_code(State(control): State<Control>, Path(phone): Path<String>, bytes: Bytes) -> Answer<Linked> {
    let PairCode { code } = body(&bytes)?;
    Ok(Json(control.type_pair_code(&phone, &code).await?))
}

async fn list_messages(State(control): State<Control>, Path(phone): Path<String>, RawQuery(raw): RawQuery) -> Answer<Vec<ShownMessage>> {
    let MessagesQuery { wait, count } = query(raw)?;
    let messages = match wait {
        None => control.messages(&phone)?,
        Some(seconds) => {
            let patience = patience(seconds)?;
            let count = count.unwrap_or(1);
            control.wait_for_messages(&phone, count, patience).await?
        }
    };
    Ok(Json(messages))
}

async fn send(State(control): State<Control>, Path(phone): Path<String>, bytes: Bytes) -> Answer<Value> {
    let SendBody { to, text, reply_to } = body(&bytes)?;
    let id = control.send(&phone, &to, &text, reply_to.as_deref()).await?;
    Ok(Json(json!({ "id": id })))
}

async fn make_group(State(control): State<Control>, Path(phone): Path<String>, bytes: Bytes) -> Answer<Value> {
    let NewGroup { subject, people } = body(&bytes)?;
    let people: Vec<&str> = people.iter().map(String::as_str).collect();
    Ok(Json(json!({ "jid": control.make_group(&phone, &subject, &people)? })))
}

async fn change_group(
    State(control): State<Control>,
    Path((phone, group)): Path<(String, String)>,
    bytes: Bytes,
) -> Result<StatusCode, Error> {
    let change: GroupChange = body(&bytes)?;
    control.change_group(&phone, &group, &change)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn read(State(control): State<Control>, Path(phone): Path<String>, bytes: Bytes) -> Answer<Value> {
    let ReadBody { chat, ids } = body(&bytes)?;
    let read = control.read(&phone, chat.as_deref(), ids.as_deref())?;
    Ok(Json(json!({ "read": read })))
}

async fn go_offline(State(control): State<Control>, Path(phone): Path<String>) -> Answer<PhoneView> {
    control.set_online(&phone, false).await?;
    Ok(Json(control.phone(&phone)?))
}

async fn go_online(State(control): State<Control>, Path(phone): Path<String>) -> Answer<PhoneView> {
    control.set_online(&phone, true).await?;
    Ok(Json(control.phone(&phone)?))
}

async fn typing(State(control): State<Control>, Path(phone): Path<String>, bytes: Bytes) -> Result<StatusCode, Error> {
    let TypingBody { to } = body(&bytes)?;
    control.typing(&phone, &to)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn block(State(control): State<Control>, Path(phone): Path<String>, bytes: Bytes) -> Answer<PhoneView> {
    let BlockBody { who } = body(&bytes)?;
    Ok(Json(control.block(&phone, &who).await?))
}

async fn unblock(State(control): State<Control>, Path(phone): Path<String>, bytes: Bytes) -> Answer<PhoneView> {
    let BlockBody { who } = body(&bytes)?;
    Ok(Json(control.unblock(&phone, &who).await?))
}

async fn list_devices(State(control): State<Control>, Path(phone): Path<String>) -> Answer<Vec<DeviceView>> {
    Ok(Json(control.devices(&phone)?))
}

async fn unlink(State(control): State<Control>, Path((phone, device)): Path<(String, String)>) -> Result<StatusCode, Error> {
    let device = device.parse().map_err(|_| Error::Invalid(format!("{device:?} is no device number, such as 33")))?;
    control.unlink(&phone, device)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn set_auto(State(control): State<Control>, Path(phone): Path<String>, bytes: Bytes) -> Answer<PhoneView> {
    let auto: Auto = body(&bytes)?;
    control.auto(&phone, auto)?;
    Ok(Json(control.phone(&phone)?))
}

async fn plant_fault(State(control): State<Control>, bytes: Bytes) -> Result<StatusCode, Error> {
    let planted: FaultBody = body(&bytes)?;
    control.fault(planted.account()?, planted.fault()?)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn clear_faults(State(control): State<Control>) -> StatusCode {
    control.clear_faults();
    StatusCode::NO_CONTENT
}

async fn transcript(State(control): State<Control>, RawQuery(raw): RawQuery) -> Answer<Vec<StanzaRecord>> {
    let wanted: TranscriptQuery = query(raw)?;
    let wait = wanted.wait;
    let filter = wanted.filter();
    if let Some(seconds) = wait {
        control.wait_for_stanza(&filter, patience(seconds)?).await;
    }
    Ok(Json(control.transcript(&filter)))
}

/// Counts, and the key that clients verify the handshake by.
#[derive(serde::Serialize)]
struct Glance {
    #[serde(flatten)]
    counts: Counts,
    root_key: String,
}

async fn state(State(control): State<Control>) -> Json<Glance> {
    Json(Glance { counts: control.state(), root_key: control.root_key() })
}

async fn no_such_path() -> Response {
    error(StatusCode::NOT_FOUND, "there is no such path; docs/sandbox.md lists them")
}

async fn no_such_method() -> Response {
    error(StatusCode::METHOD_NOT_ALLOWED, "this path does not take that method; docs/sandbox.md lists them")
}

fn patience(seconds: u64) -> Result<std::time::Duration, Error> {
    if seconds > MAX_WAIT_SECONDS {
        return Err(Error::Invalid(format!("wait can be at most {MAX_WAIT_SECONDS} seconds; ask again afterwards")));
    }
    Ok(std::time::Duration::from_secs(seconds))
}

fn error(status: StatusCode, sentence: &str) -> Response {
    (status, Json(json!({ "error": sentence }))).into_response()
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = match &self {
            Error::Invalid(_) => StatusCode::BAD_REQUEST,
            Error::Unknown(_) => StatusCode::NOT_FOUND,
            Error::Refused(_) | Error::Protocol(_) => StatusCode::CONFLICT,
            Error::State(_) | Error::File { .. } | Error::Listen { .. } | Error::Keys(_) => {
                tracing::error!(error = %self, "the control API failed");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        error(status, &self.to_string())
    }
}

#[cfg(test)]
mod tests;
