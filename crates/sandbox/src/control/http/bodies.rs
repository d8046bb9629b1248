//! What the control API takes: bodies and queries.
//!
//! Apart so that the shapes can be read in one place, beside what they mean.

use crate::Error;
use crate::media::{MediaTrouble, MediaWay};
use crate::network::Fault;
use crate::transcript::{Direction, StanzaFilter};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Most stanzas that a reordering holds back.
const MOST_HELD: u32 = 1_000;
/// Longest that it holds one back, in milliseconds: a minute.
const LONGEST_HOLD_MS: u64 = 60_000;

/// `?phone=` of a scan.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScanQuery {
    /// Which phone scans; made if nobody has it.
    pub phone: Option<String>,
}

/// A phone to make.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPhone {
    /// Its number; without it a free one is taken.
    pub phone: Option<String>,
    /// The name others see.
    pub push_name: Option<String>,
    /// Whether it has few one-time prekeys, so that it is made quickly.
    #[serde(default)]
    pub modest: bool,
}

/// A pairing code as the companion shows it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PairCode {
    /// 8 characters, with or without a dash.
    pub code: String,
}

/// `?wait=&count=` of the messages.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MessagesQuery {
    /// Seconds to wait for `count` messages; without it, no waiting.
    pub wait: Option<u64>,
    /// How many messages to wait for; 1 without it.
    pub count: Option<usize>,
}

/// A text to send.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SendBody {
    /// Number or jid.
    pub to: String,
    /// The text.
    pub text: String,
    /// Id of a message that the phone shows.
    pub reply_to: Option<String>,
}

/// A group to make.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewGroup {
    /// Its name.
    pub subject: String,
    /// Numbers or jids of those who are in it beside the phone.
    pub people: Vec<String>,
}

/// What to read; without anything, everything.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadBody {
    /// Only this chat: number or jid.
    pub chat: Option<String>,
    /// Only these messages.
    pub ids: Option<Vec<String>>,
}

/// Where to show that somebody types.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TypingBody {
    /// Number or jid.
    pub to: String,
}

/// Whom to block or to let through again.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BlockBody {
    /// Number or jid.
    pub who: String,
}

/// Something to make go wrong.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultBody {
    phone: Option<String>,
    jid: Option<String>,
    fault: FaultKind,
}

/// The faults by name. Numbers that a fault has no use for are refused.
#[derive(Clone, Copy, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum FaultKind {
    Disconnect {},
    StreamError {
        code: u16,
    },
    Failure {
        code: u16,
        #[serde(default = "once")]
        count: u32,
    },
    DropNextAcks {
        #[serde(default = "once")]
        count: u32,
    },
    HoldAcks {},
    NackNext {
        code: u16,
        #[serde(default = "once")]
        count: u32,
    },
    DuplicateNext {
        #[serde(default = "once")]
        count: u32,
    },
    Delay {
        ms: u64,
    },
    ReorderNext {
        #[serde(default = "pair")]
        count: u32,
        #[serde(default = "moment")]
        ms: u64,
    },
    MediaUpload(MediaFault),
    MediaDownload(MediaFault),
    MediaGone {
        #[serde(default = "gone")]
        code: u16,
    },
}

/// How media goes wrong: one of the troubles by name, with the number that it needs.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct MediaFault {
    trouble: TroubleName,
    code: Option<u16>,
    bytes_per_second: Option<u64>,
    #[serde(default = "once")]
    count: u32,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TroubleName {
    Status,
    Slow,
    Truncated,
    Corrupt,
}

fn gone() -> u16 {
    410
}

impl MediaFault {
    fn fault(self, way: MediaWay) -> Result<Fault, Error> {
        let trouble = match (self.trouble, self.code, self.bytes_per_second) {
            (TroubleName::Status, Some(code), None) => MediaTrouble::Status(status(code)?),
            (TroubleName::Slow, None, Some(pace)) if pace > 0 => MediaTrouble::Slow(pace),
            (TroubleName::Truncated, None, None) => MediaTrouble::Truncated,
            (TroubleName::Corrupt, None, None) => MediaTrouble::Corrupt,
            _ => {
                let why = "\"status\" takes \"code\", \"slow\" takes \"bytes_per_second\", the other troubles neither";
                return Err(Error::Invalid(why.into()));
            }
        };
        Ok(Fault::Media { way, trouble, count: some(self.count)? })
    }
}

fn status(code: u16) -> Result<u16, Error> {
    if (400..600).contains(&code) { Ok(code) } else { Err(Error::Invalid(format!("{code} is no HTTP status of an error (400 to 599)"))) }
}

fn once() -> u32 {
    1
}

impl FaultBody {
    /// Whose fault it is.
    pub fn account(&self) -> Result<&str, Error> {
        match (&self.phone, &self.jid) {
            (Some(account), None) | (None, Some(account)) => Ok(account),
            _ => Err(Error::Invalid("name the account by either \"phone\" or \"jid\"".into())),
        }
    }

    /// The fault as the network knows it.
    pub fn fault(&self) -> Result<Fault, Error> {
        Ok(match self.fault {
            FaultKind::Disconnect {} => Fault::Disconnect,
            FaultKind::StreamError { code } => Fault::StreamError(code),
            FaultKind::Failure { code, count } => Fault::Failure { code, count: some(count)? },
            FaultKind::DropNextAcks { count } => Fault::DropAcks(some(count)?),
            FaultKind::HoldAcks {} => Fault::HoldAcks,
            FaultKind::NackNext { code, count } => Fault::Nack { code, count: some(count)? },
            FaultKind::DuplicateNext { count } => Fault::Duplicate(some(count)?),
            FaultKind::Delay { ms } => Fault::Delay(Duration::from_millis(ms)),
            FaultKind::ReorderNext { count, ms } => reordering(count, ms)?,
            FaultKind::MediaUpload(fault) => fault.fault(MediaWay::Upload)?,
            FaultKind::MediaDownload(fault) => fault.fault(MediaWay::Download)?,
            FaultKind::MediaGone { code } => Fault::MediaGone(status(code)?),
        })
    }
}

fn pair() -> u32 {
    2
}

fn moment() -> u64 {
    2_000
}

fn reordering(count: u32, ms: u64) -> Result<Fault, Error> {
    if !(2..=MOST_HELD).contains(&count) {
        return Err(Error::Invalid(format!("\"count\" must be 2 to {MOST_HELD}: so many are turned round")));
    }
    if !(1..=LONGEST_HOLD_MS).contains(&ms) {
        return Err(Error::Invalid(format!("\"ms\" must be 1 to {LONGEST_HOLD_MS}: so long the first of them waits at most")));
    }
    Ok(Fault::Reorder { count, within: Duration::from_millis(ms) })
}

fn some(count: u32) -> Result<u32, Error> {
    if count == 0 {
        return Err(Error::Invalid("\"count\" must be at least 1".into()));
    }
    Ok(count)
}

/// The conditions on the transcript, and how long to wait for the first match.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TranscriptQuery {
    jid: Option<String>,
    tag: Option<String>,
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
    direction: Option<Direction>,
    id: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Seconds to wait for the first match; without it, no waiting.
    pub wait: Option<u64>,
}

impl TranscriptQuery {
    /// The same as a filter.
    pub fn filter(self) -> StanzaFilter {
        // In a query, a plus that was not escaped arrives as a space.
        let jid = self.jid.map(|jid| match jid.strip_prefix(' ') {
            Some(digits) => format!("+{digits}"),
            None => jid,
        });
        StanzaFilter { jid, tag: self.tag, after: self.after, limit: self.limit, direction: self.direction, id: self.id, kind: self.kind }
    }
}

/// Reads a JSON body; an empty one counts as `{}`.
pub(super) fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    serde_json::from_slice(bytes).map_err(|e| Error::Invalid(format!("the body: {e}")))
}

/// Reads a query.
pub(super) fn query<T: DeserializeOwned>(raw: Option<String>) -> Result<T, Error> {
    let raw = raw.unwrap_or_default();
    let uri =
        axum::http::Uri::builder().path_and_query(format!("/?{raw}")).build().map_err(|e| Error::Invalid(format!("the query: {e}")))?;
    axum::extract::Query::try_from_uri(&uri)
        .map(|axum::extract::Query(query)| query)
        .map_err(|e| Error::Invalid(format!("the query: {}", e.body_text())))
}
