//! A session as callers see it: the row, and over it the truth of this moment.

use crate::sessions::{Code, Live, qr};
use sanasend_model::{Jid, Reason, ReasonCode, Timestamp};
use sanasend_store::Session;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A QR code in every form that a caller may want.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct QrView {
    /// What the picture holds.
    #[schema(example = "2@AbCdEf,noise,identity,secret")]
    pub text: String,
    /// A PNG as `data:` URL, for an `<img>`.
    #[schema(example = "data:image/png;base64,iVBORw0KGgo=")]
    pub png: Option<String>,
    /// An SVG document.
    #[schema(example = "<svg xmlns=\"http://www.w3.org/2000/svg\"></svg>")]
    pub svg: Option<String>,
    /// From then on another one is needed; it comes by itself.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// A code to type in on the phone.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct PairingCodeView {
    /// Eight characters.
    #[schema(example = "ABCD1234")]
    pub code: String,
    /// From then on it is worthless.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// What WhatsApp wants of a person's passkey.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct PasskeyView {
    /// `PublicKeyCredentialRequestOptions`, as WhatsApp sent them; null once they were answered.
    #[schema(value_type = Option<Object>)]
    pub options: Option<Value>,
    /// The code to compare with the phone, when there is one.
    pub code: Option<String>,
    /// Whether the code (or that there is none to compare) waits to be confirmed.
    pub confirm: bool,
}

/// A linked account, or one about to be.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct SessionView {
    /// Id.
    #[schema(value_type = String, format = "uuid")]
    pub id: String,
    /// Its owner.
    #[schema(value_type = String, format = "uuid")]
    pub user: String,
    /// Its name.
    #[schema(example = "default")]
    pub name: String,
    /// `live`, or `sandbox` for an account of the simulated network; for ever.
    #[schema(example = "live")]
    pub network: &'static str,
    /// `disconnected`, `qr_pending`, `passkey_required`, `connecting`, `connected`, `degraded`, `logged_out`, `failed`.
    #[schema(example = "qr_pending")]
    pub status: &'static str,
    /// Why it is so, for people: a sentence beside the status, where there is something to say.
    pub reason: Option<String>,
    /// The same for programs. WhatsApp's own limits: `banned` and `reachout_limited` (463), with their end in
    /// `limited_until`. The link: `unlinked`, `replaced`, `connection_lost`, `unreachable`, `silent`, `outdated`,
    /// `rate_limited`, `server_trouble`, `refused`. Linking: `linking`, `code_expired`, `no_pairing_code`,
    /// `linking_failed`. This server: `requested`, `restarting`, `elsewhere`, `wrong_network`, `restored`, `other`. Null
    /// when there is no `reason`. More may come: treat one that you do not know as `other`.
    #[schema(value_type = Option<String>, example = "linking")]
    pub reason_code: Option<ReasonCode>,
    /// Whether an account is linked.
    pub linked: bool,
    /// The account's number.
    #[schema(example = "+12025550100")]
    pub phone_number: Option<String>,
    /// The account's id by number.
    #[schema(value_type = Option<String>)]
    pub jid: Option<Jid>,
    /// The account's id that hides the number.
    #[schema(value_type = Option<String>)]
    pub lid: Option<Jid>,
    /// The account's name, as people see it.
    pub push_name: Option<String>,
    /// The QR code to scan now, while `status` is `qr_pending`.
    pub qr_code: Option<QrView>,
    /// The code to type in on the phone now, when one was asked for.
    pub pairing_code: Option<PairingCodeView>,
    /// What to do while `status` is `passkey_required`.
    pub passkey: Option<PasskeyView>,
    /// Since when it is connected, or was the last time.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub connected_at: Option<Timestamp>,
    /// When WhatsApp gave its last sign of life.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_active_at: Option<Timestamp>,
    /// What last went wrong, for people.
    pub last_error: Option<String>,
    /// The same for programs; values as in `reason_code`.
    #[schema(value_type = Option<String>, example = "unlinked")]
    pub last_error_code: Option<ReasonCode>,
    /// Until when WhatsApp limits the account.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub limited_until: Option<Timestamp>,
    /// Since when messages wait for the pacing of the account (`pacing.per_minute` of the server), without a break; null while
    /// none does.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub paced_since: Option<Timestamp>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When its row was last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

impl SessionView {
    /// The row with the truth over it.
    pub(crate) fn new(row: Session, live: Live, last_active: Option<Timestamp>) -> Self {
        let failed = matches!(live.status, sanasend_model::SessionStatus::Failed | sanasend_model::SessionStatus::LoggedOut);
        let last_error = if failed { live.reason.clone() } else { row.last_error };
        let split = |reason: Reason| (reason.code, reason.text);
        let (last_error_code, last_error) = last_error.map(split).unzip();
        let (reason_code, reason) = live.reason.map(split).unzip();
        Self {
            id: row.id.to_string(),
            user: row.user_id.to_string(),
            name: row.name,
            network: row.network.as_str(),
            status: live.status.as_str(),
            last_error,
            last_error_code,
            reason,
            reason_code,
            linked: live.linked,
            phone_number: live.phone.map(|phone| phone.to_string()),
            jid: live.jid,
            lid: live.lid,
            push_name: live.push_name,
            qr_code: live.qr.map(qr_view),
            pairing_code: live.pair_code.map(|code| PairingCodeView { code: code.text, expires_at: code.expires_at }),
            passkey: passkey(live.passkey, live.passkey_code),
            connected_at: live.connected_at,
            last_active_at: last_active,
            limited_until: live.limited_until,
            paced_since: live.paced_since,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

fn qr_view(code: Code) -> QrView {
    QrView { png: qr::png_data_url(&code.text), svg: qr::svg(&code.text), text: code.text, expires_at: code.expires_at }
}

fn passkey(options: Option<Value>, code: Option<String>) -> Option<PasskeyView> {
    if options.is_none() && code.is_none() {
        return None;
    }
    let confirm = code.is_some();
    Some(PasskeyView { options: options.filter(|_| !confirm), code: code.filter(|code| !code.is_empty()), confirm })
}
