//! Accounts that another node runs: what is asked of them here is asked there.
//!
//! The question and its answer are sealed rows of the database, which all nodes reach already; no node needs an address of
//! another. An answer carries the truth as the other node sees it, codes included, so that a caller sees the same whichever
//! node it asks.

use super::leave::Left;
use super::live::{Code, Live};
use super::registry::{Begin, Sessions};
use super::typing::read_typing;
use sanasend_engine::{FetchError, Found};
use sanasend_model::retry::AttemptError;
use sanasend_model::{Jid, MessageId, PhoneNumber, Reason, ReasonCode, Timestamp};
use sanasend_store::{NodeCall, Session, StoreError};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// How long the other node may take; as long as a question to a driver here.
const ANSWER_WAIT: Duration = Duration::from_secs(25);
/// How often an answer is looked for.
const LOOK: Duration = Duration::from_millis(40);
/// How often questions of other nodes are looked for.
const LISTEN: Duration = Duration::from_millis(150);
/// How often the truth is fetched while somebody follows it.
const MIRROR: Duration = Duration::from_millis(300);

/// How an account is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    Offline,
    Logout,
    Delete,
}

impl Leaving {
    pub(super) const fn of(logout: bool) -> Self {
        if logout { Self::Logout } else { Self::Offline }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Logout => "logout",
            Self::Delete => "delete",
        }
    }
}

impl Sessions {
    /// Whether another node runs an account, or ran it last.
    pub(super) fn is_elsewhere(&self, row: &Session) -> bool {
        let node = self.shared().store.node();
        node.is_some() && row.owner.is_some() && row.owner != node && !self.is_running(row.id)
    }

    /// The other, living node that runs an account.
    pub(super) async fn node_of(&self, row: &Session) -> Result<Option<Uuid>, StoreError> {
        match row.owner.filter(|_| self.is_elsewhere(row)) {
            Some(owner) if self.shared().store.node_is_alive(owner).await? => Ok(Some(owner)),
            _ => Ok(None),
        }
    }

    /// Fetches the truth of an account that another node runs; when that does not answer, what the row says is shown.
    pub async fn look(&self, row: &Session) {
        if let Ok(Some(node)) = self.node_of(row).await {
            let _ = self.call(node, row, json!({"do": "look"})).await;
        }
    }

    /// Fetches the truth again and again while somebody follows it.
    pub(super) fn mirror(&self, row: &Session) {
        let place = self.place(row);
        if !self.is_elsewhere(row) || place.mirrored.swap(true, Ordering::SeqCst) {
            return;
        }
        let (sessions, row) = (self.clone(), row.clone());
        tokio::spawn(async move {
            while place.seat.is_watched() && !sessions.shutdown().is_cancelled() && sessions.is_elsewhere(&row) {
                sessions.look(&row).await;
                sleep(MIRROR).await;
            }
            place.mirrored.store(false, Ordering::SeqCst);
        });
    }

    pub(super) async fn begin_elsewhere(&self, node: Uuid, row: &Session, phone: Option<PhoneNumber>) -> Result<Begin, StoreError> {
        let phone = phone.map(|phone| phone.to_string());
        let answer = self.call(node, row, json!({"do": "begin", "phone": phone})).await?;
        Ok(match answer["result"].as_str() {
            Some("linked") => Begin::Linked,
            Some("full") => Begin::ServerFull,
            Some("network") => Begin::OtherNetwork,
            _ => Begin::UnderWay,
        })
    }

    pub(super) async fn reconnect_elsewhere(&self, node: Uuid, row: &Session) -> Result<bool, StoreError> {
        Ok(self.call(node, row, json!({"do": "reconnect"})).await?["result"] == true)
    }

    pub(super) async fn leave_elsewhere(&self, node: Uuid, row: &Session, how: Leaving) -> Result<Left, StoreError> {
        let answer = self.call(node, row, json!({"do": how.as_str()})).await?;
        Ok(match answer["result"].as_str() {
            Some("offline") => Left::Offline,
            Some("unlinked") => Left::Unlinked,
            Some("here_only") => Left::UnlinkedHereOnly,
            _ => Left::Nothing,
        })
    }

    pub(super) async fn look_up_elsewhere(&self, node: Uuid, row: &Session, phones: Vec<PhoneNumber>) -> Result<Vec<Found>, AttemptError> {
        let asked: Vec<&str> = phones.iter().map(PhoneNumber::as_str).collect();
        let answer = self.call(node, row, json!({"do": "look_up", "phones": asked})).await.map_err(|_| AttemptError::Offline)?;
        let found = answer["result"].as_array().ok_or(AttemptError::Offline)?;
        let jid = |found: &Value, name: &str| found[name].as_str().and_then(Jid::parse);
        let read = |(phone, found): (PhoneNumber, &Value)| Found { phone, jid: jid(found, "jid"), lid: jid(found, "lid") };
        Ok(phones.into_iter().zip(found).map(read).collect())
    }

    async fn look_up_as_asked(&self, row: &Session, asked: &Value) -> Value {
        let phones = asked["phones"].as_array().into_iter().flatten().filter_map(|phone| PhoneNumber::parse(phone.as_str()?).ok());
        match self.look_up_here(row.id, phones.collect()).await {
            Ok(found) => found.into_iter().map(|found| json!({"jid": found.jid, "lid": found.lid})).collect(),
            Err(_) => Value::Null,
        }
    }

    /// The way to the file is not told: the other node reads it where it lies.
    pub(super) async fn ask_for_file_elsewhere(&self, node: Uuid, row: &Session, message: MessageId) -> Result<Vec<u8>, FetchError> {
        let asked = json!({"do": "ask_for_file", "message": message});
        let answer = self.call(node, row, asked).await.map_err(|error| FetchError::Unreachable(error.to_string()))?;
        let said = &answer["result"];
        if let Some(Ok(remote)) = said["remote"].as_str().map(hex::decode) {
            return Ok(remote);
        }
        Err(match said["failed"].as_str() {
            Some("gone") => FetchError::Gone,
            Some("corrupt") => FetchError::Corrupt,
            why => FetchError::Unreachable(why.unwrap_or("the node that runs the account can't ask for it").to_owned()),
        })
    }

    async fn ask_for_file_as_asked(&self, row: &Session, asked: &Value) -> Result<Value, StoreError> {
        let store = &self.shared().store;
        let Some(id) = asked["message"].as_str().and_then(|id| id.parse::<MessageId>().ok()) else { return Ok(Value::Null) };
        let message = store.message(None, id).await?.filter(|message| message.session_id == row.id);
        let remote = store.media_part(id).await?.and_then(|part| part.remote);
        let found = match message.zip(remote) {
            Some((message, remote)) => self.ask_for_file_here(&message, remote).await,
            None => Err(FetchError::Gone),
        };
        Ok(match found {
            Ok(remote) => json!({"remote": hex::encode(remote)}),
            Err(FetchError::Gone) => json!({"failed": "gone"}),
            Err(FetchError::Corrupt) => json!({"failed": "corrupt"}),
            Err(FetchError::Unreachable(why)) => json!({"failed": why}),
        })
    }

    /// Tells another node something; `None` when it did not take it.
    pub(super) async fn told(&self, node: Uuid, row: &Session, what: Value) -> Option<()> {
        let answer = self.call(node, row, what).await.ok()?;
        (answer["result"] == true).then_some(())
    }

    /// Asks another node and shows the truth that comes with its answer.
    pub(super) async fn call(&self, node: Uuid, row: &Session, asked: Value) -> Result<Value, StoreError> {
        let store = &self.shared().store;
        let id = store.call_node(node, row.id, asked).await?;
        let until = Instant::now() + ANSWER_WAIT;
        while Instant::now() < until {
            if let Some(answer) = store.node_answer(id).await? {
                if let Some(why) = answer["failed"].as_str() {
                    return Err(StoreError::Unavailable(why.to_owned()));
                }
                if let Some(live) = read(&answer["live"]) {
                    self.place(row).seat.show(|shown| *shown = live);
                }
                return Ok(answer);
            }
            sleep(LOOK).await;
        }
        Err(StoreError::Unavailable("the node that runs the account does not answer".into()))
    }

    /// Answers what other nodes ask.
    pub(super) async fn answer_calls(&self, node: Uuid) {
        loop {
            match self.shared().store.take_node_calls(node).await {
                Ok(calls) => {
                    for call in calls {
                        let sessions = self.clone();
                        tokio::spawn(async move { sessions.answer(call).await });
                    }
                }
                Err(error) => tracing::debug!(%error, "what other nodes ask can't be read"),
            }
            sleep(LISTEN).await;
        }
    }

    async fn answer(&self, call: NodeCall) {
        let answer = match self.carry_out(&call).await {
            Ok(answer) => answer,
            Err(error) => json!({"failed": error.to_string()}),
        };
        if let Err(error) = self.shared().store.answer_node_call(call.id, answer).await {
            tracing::warn!(%error, "another node could not be answered");
        }
    }

    async fn carry_out(&self, call: &NodeCall) -> Result<Value, StoreError> {
        let gone = || StoreError::Unavailable("the session is gone".into());
        let row = self.shared().store.session(call.session_id).await?.ok_or_else(gone)?;
        if self.is_elsewhere(&row) {
            return Err(StoreError::Unavailable("the account has moved to another node".into()));
        }
        let said = |left: Left| match left {
            Left::Offline => "offline",
            Left::Unlinked => "unlinked",
            Left::UnlinkedHereOnly => "here_only",
            Left::Nothing => "nothing",
        };
        let result = match call.asked["do"].as_str() {
            Some("begin") => {
                let phone = call.asked["phone"].as_str().and_then(|phone| PhoneNumber::parse(phone).ok());
                json!(match self.begin(&row, phone).await? {
                    Begin::UnderWay => "under_way",
                    Begin::Linked => "linked",
                    Begin::ServerFull => "full",
                    Begin::OtherNetwork => "network",
                })
            }
            Some("reconnect") => json!(self.reconnect(&row).await?),
            Some("offline") => json!(said(self.leave(&row, false).await?)),
            Some("logout") => json!(said(self.leave(&row, true).await?)),
            Some("delete") => json!(said(self.delete(&row).await?)),
            Some("passkey") => json!(self.passkey_here(row.id, call.asked["credential"].clone()).await.is_ok()),
            Some("passkey_confirmed") => json!(self.passkey_confirmed_here(row.id).await.is_ok()),
            Some("look_up") => self.look_up_as_asked(&row, &call.asked).await,
            Some("groups") => self.groups_as_asked(&row, &call.asked).await,
            Some("group") => self.group_as_asked(&row, &call.asked).await,
            Some("ask_for_file") => self.ask_for_file_as_asked(&row, &call.asked).await?,
            Some("mark_read") => json!(self.mark_read_as_asked(&row, &call.asked).await),
            Some("show_typing") => json!(self.show_typing_as_asked(&row, &call.asked).await),
            _ => Value::Null,
        };
        Ok(json!({"result": result, "live": write(&self.live(&row))}))
    }

    async fn show_typing_as_asked(&self, row: &Session, asked: &Value) -> bool {
        let chat = asked["chat"].as_str().and_then(Jid::parse);
        match chat.zip(asked["state"].as_str().and_then(read_typing)) {
            Some((chat, state)) => self.show_typing_here(row.id, chat, state).await.is_ok(),
            None => false,
        }
    }

    async fn mark_read_as_asked(&self, row: &Session, asked: &Value) -> bool {
        let jid = |name: &str| asked[name].as_str().and_then(Jid::parse);
        let ids = asked["ids"].as_array().into_iter().flatten().filter_map(|id| id.as_str().map(str::to_owned)).collect();
        match jid("chat") {
            Some(chat) => self.mark_read_here(row.id, chat, jid("sender"), ids).await.is_ok(),
            None => false,
        }
    }
}

fn write(live: &Live) -> Value {
    let code = |code: &Option<Code>| code.as_ref().map(|code| json!({"text": code.text, "until": code.expires_at.0}));
    json!({
        "status": live.status.as_str(),
        "reason": live.reason.as_ref().map(|reason| &reason.text),
        "reason_code": live.reason.as_ref().map(|reason| reason.code),
        "linked": live.linked,
        "qr": code(&live.qr),
        "pair_code": code(&live.pair_code),
        "passkey": live.passkey,
        "passkey_code": live.passkey_code,
        "phone": live.phone.as_ref().map(ToString::to_string),
        "jid": live.jid,
        "lid": live.lid,
        "push_name": live.push_name,
        "connected_at": live.connected_at.map(|at| at.0),
        "limited_until": live.limited_until.map(|at| at.0),
        "paced_since": live.paced_since.map(|at| at.0),
    })
}

fn code_of(told: &Value) -> ReasonCode {
    told.as_str().and_then(|code| code.parse().ok()).unwrap_or(ReasonCode::Other)
}

/// The other node's truth.
fn read(told: &Value) -> Option<Live> {
    let code = |told: &Value| Some(Code { text: told["text"].as_str()?.to_owned(), expires_at: Timestamp(told["until"].as_i64()?) });
    let text = |name: &str| told[name].as_str().map(str::to_owned);
    let jid = |name: &str| told[name].as_str().and_then(Jid::parse);
    Some(Live {
        status: told["status"].as_str()?.parse().ok()?,
        reason: text("reason").map(|sentence| Reason::new(code_of(&told["reason_code"]), sentence)),
        linked: told["linked"].as_bool()?,
        qr: code(&told["qr"]),
        pair_code: code(&told["pair_code"]),
        passkey: Some(told["passkey"].clone()).filter(|passkey| !passkey.is_null()),
        passkey_code: text("passkey_code"),
        phone: told["phone"].as_str().and_then(|phone| PhoneNumber::parse(phone).ok()),
        jid: jid("jid"),
        lid: jid("lid"),
        push_name: text("push_name"),
        connected_at: told["connected_at"].as_i64().map(Timestamp),
        limited_until: told["limited_until"].as_i64().map(Timestamp),
        paced_since: told["paced_since"].as_i64().map(Timestamp),
    })
}
