//! Campaigns, recipients and reports as callers see them.

use crate::campaigns::content::CampaignContent;
use crate::campaigns::outlook::Outlook;
use crate::campaigns::pace::Pacing;
use crate::campaigns::plan::{Sample, Tally};
use crate::http::v1::templates::view::TemplateMediaView;
use sanasend_model::campaign::{Funnel, Skip};
use sanasend_model::{CampaignId, CampaignState, Jid, MessageId, MessageStatus, RecipientState, SessionId, Timestamp, UserId, day};
use sanasend_store::{Campaign, CampaignAccount, CampaignRecipient, Funnels};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A campaign.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Campaign")]
pub(crate) struct CampaignView {
    /// Id.
    #[schema(value_type = String, format = "uuid")]
    pub(crate) id: CampaignId,
    /// Id of its owner.
    #[schema(value_type = String, format = "uuid")]
    pub(crate) user: UserId,
    /// What its owner calls it.
    #[schema(example = "Opening hours")]
    pub(crate) name: String,
    /// `planning`, `draft`, `running`, `paused`, `finished`, `canceled` or `stopped`.
    #[schema(value_type = String, example = "running")]
    pub(crate) state: CampaignState,
    /// Why it stopped by itself.
    pub(crate) reason: Option<String>,
    /// The text, with its variables.
    #[schema(example = "Hi {{name}}, we are open again.")]
    pub(crate) content: String,
    /// The saved template that the text came from.
    pub(crate) template: Option<String>,
    /// The file that goes with every message; the text is its caption then.
    pub(crate) media: Option<TemplateMediaView>,
    /// Whether it waits where it is night; null: as its owner has set it.
    pub(crate) quiet_hours: Option<bool>,
    /// How it is paced: `default`, `none`, or the values that differ from the server's.
    #[schema(value_type = Object, example = json!("default"))]
    pub(crate) pacing: Value,
    /// All recipients.
    #[schema(example = 5000)]
    pub(crate) total: u64,
    /// Recipients whose message was accepted.
    #[schema(example = 120)]
    pub(crate) accepted: u64,
    /// Recipients that get no message.
    #[schema(example = 3)]
    pub(crate) skipped: u64,
    /// Recipients whose turn has not come.
    #[schema(example = 4877)]
    pub(crate) left: u64,
    /// Until when all its accounts wait; null while one sends.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) held_until: Option<Timestamp>,
    /// Why they wait.
    #[schema(example = "warm-up, day 2 of 7, 40 of 40 sent")]
    pub(crate) held_why: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) created_at: Timestamp,
    /// When it was first started.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) started_at: Option<Timestamp>,
    /// When it ended or stopped.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) ended_at: Option<Timestamp>,
    /// When anything of it was last changed.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) updated_at: Timestamp,
}

impl From<Campaign> for CampaignView {
    fn from(campaign: Campaign) -> Self {
        let left = campaign.left();
        let content = serde_json::from_value::<CampaignContent>(campaign.content).ok();
        let pacing = serde_json::from_value::<Pacing>(campaign.pacing).unwrap_or_default();
        Self {
            id: campaign.id,
            user: campaign.user_id,
            name: campaign.name,
            state: campaign.state,
            reason: campaign.reason,
            template: content.as_ref().and_then(|content| content.template.as_ref()).map(|from| from.name.clone()),
            content: content.map(|content| content.text).unwrap_or_default(),
            media: campaign.media.as_ref().map(|(media, _)| media.into()),
            quiet_hours: campaign.quiet_hours,
            pacing: pacing.told(),
            total: campaign.total,
            accepted: campaign.accepted,
            skipped: campaign.skipped,
            left,
            held_until: campaign.held_until,
            held_why: campaign.held_why,
            created_at: campaign.created_at,
            started_at: campaign.started_at,
            ended_at: campaign.ended_at,
            updated_at: campaign.updated_at,
        }
    }
}

/// An account of a campaign.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "CampaignAccount")]
pub(crate) struct CampaignAccountView {
    /// Id of the account.
    #[schema(value_type = String, format = "uuid")]
    pub(crate) session: SessionId,
    /// When it left the campaign; the others went on without it.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) left_at: Option<Timestamp>,
    /// Why.
    pub(crate) left_why: Option<String>,
    /// Recipients that it took.
    #[schema(example = 60)]
    pub(crate) accepted: u64,
    /// Messages of them that failed.
    #[schema(example = 1)]
    pub(crate) failed: u64,
    /// Recipients who wrote afterwards.
    #[schema(example = 9)]
    pub(crate) replied: u64,
}

/// Where every recipient stands. The fields add up to all recipients.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Outcomes {
    /// Their turn has not come; never will when the campaign was canceled.
    #[schema(example = 4877)]
    pub(crate) planned: u64,
    /// No message.
    #[schema(example = 3)]
    pub(crate) skipped: u64,
    /// On its way.
    #[schema(example = 1)]
    pub(crate) pending: u64,
    /// Taken by WhatsApp, no more known.
    #[schema(example = 4)]
    pub(crate) sent: u64,
    /// On the recipient's device.
    #[schema(example = 65)]
    pub(crate) delivered: u64,
    /// Read or played.
    #[schema(example = 48)]
    pub(crate) read: u64,
    /// Failed.
    #[schema(example = 2)]
    pub(crate) failed: u64,
    /// Taken back.
    #[schema(example = 0)]
    pub(crate) canceled: u64,
    /// The message is not kept any more.
    #[schema(example = 0)]
    pub(crate) removed: u64,
}

/// How far messages came; each step holds those that came further.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct FunnelView {
    /// Accepted.
    #[schema(example = 120)]
    pub(crate) accepted: u64,
    /// Taken by WhatsApp.
    #[schema(example = 117)]
    pub(crate) sent: u64,
    /// On the recipient's device.
    #[schema(example = 113)]
    pub(crate) delivered: u64,
    /// Read or played.
    #[schema(example = 48)]
    pub(crate) read: u64,
    /// Recipients who wrote afterwards.
    #[schema(example = 17)]
    pub(crate) replied: u64,
}

impl Outcomes {
    pub(crate) fn of(funnel: &Funnel) -> Self {
        Self {
            planned: funnel.planned,
            skipped: funnel.all_skipped(),
            pending: funnel.pending,
            sent: funnel.sent,
            delivered: funnel.delivered,
            read: funnel.read,
            failed: funnel.all_failed(),
            canceled: funnel.canceled,
            removed: funnel.removed,
        }
    }
}

impl FunnelView {
    pub(crate) fn of(funnel: &Funnel) -> Self {
        let delivered = funnel.delivered + funnel.read;
        let sent = funnel.sent + delivered;
        Self { accepted: funnel.accepted, sent, delivered, read: funnel.read, replied: funnel.replied }
    }
}

/// A campaign and how it gets on, counted from its messages at most a second ago.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "CampaignReport")]
pub(crate) struct CampaignReport {
    /// The campaign.
    #[serde(flatten)]
    pub(crate) view: CampaignView,
    /// Where every recipient stands.
    pub(crate) outcomes: Outcomes,
    /// How far messages came.
    pub(crate) funnel: FunnelView,
    /// Why recipients were skipped, and how many.
    #[schema(value_type = Object, example = json!({"RECIPIENT_OPTED_OUT": 2, "DUPLICATE": 1}))]
    pub(crate) skipped_by_reason: BTreeMap<String, u64>,
    /// Why messages failed, and how many.
    #[schema(value_type = Object, example = json!({"NOT_ON_WHATSAPP": 2}))]
    pub(crate) failed_by_code: BTreeMap<String, u64>,
    /// The accounts that send it.
    pub(crate) accounts: Vec<CampaignAccountView>,
}

impl CampaignReport {
    pub(crate) fn new(campaign: Campaign, accounts: Vec<CampaignAccount>, funnels: &Funnels) -> Self {
        let took = |id: SessionId| funnels.by_account.iter().find(|(account, ..)| *account == id);
        let account = |account: CampaignAccount| {
            let (_, accepted, failed, replied) = took(account.session_id).copied().unwrap_or((account.session_id, 0, 0, 0));
            let CampaignAccount { session_id: session, left_at, left_why } = account;
            CampaignAccountView { session, left_at, left_why, accepted, failed, replied }
        };
        Self {
            view: campaign.into(),
            outcomes: Outcomes::of(&funnels.all),
            funnel: FunnelView::of(&funnels.all),
            skipped_by_reason: funnels.all.skipped.clone(),
            failed_by_code: funnels.all.failed.clone(),
            accounts: accounts.into_iter().map(account).collect(),
        }
    }
}

/// A recipient of a campaign.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "CampaignRecipient")]
pub(crate) struct CampaignRecipientView {
    /// Its place in the list, from 1.
    #[schema(example = 1)]
    pub(crate) ordinal: i32,
    /// Its WhatsApp id; as it was written where it can't have one.
    #[schema(example = "12025550123@s.whatsapp.net")]
    pub(crate) recipient: String,
    /// Its number, where it is known.
    #[schema(example = "+12025550123")]
    pub(crate) phone: Option<String>,
    /// Values of variables.
    #[schema(value_type = Option<Object>, example = json!({"name": "Ann"}))]
    pub(crate) variables: Option<Value>,
    /// `planned`, `accepted` or `skipped`.
    #[schema(value_type = String, example = "accepted")]
    pub(crate) state: RecipientState,
    /// Why it was skipped.
    #[schema(value_type = Option<String>, example = "DUPLICATE")]
    pub(crate) reason: Option<Skip>,
    /// The same for people.
    pub(crate) detail: Option<String>,
    /// Id of its message.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub(crate) message: Option<MessageId>,
    /// Status of its message.
    #[schema(value_type = Option<String>, example = "delivered")]
    pub(crate) message_status: Option<MessageStatus>,
    /// Why its message failed.
    pub(crate) error_code: Option<String>,
    /// Id of the account that it went through.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub(crate) session: Option<SessionId>,
    /// When its message was accepted.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) accepted_at: Option<Timestamp>,
    /// Until when it is held: although it is next, or because it is night where it lives.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) held_until: Option<Timestamp>,
    /// Why it is held.
    pub(crate) held_why: Option<String>,
}

impl From<CampaignRecipient> for CampaignRecipientView {
    fn from(one: CampaignRecipient) -> Self {
        let phone = Jid::parse(&one.recipient).and_then(|jid| jid.phone()).map(|phone| phone.to_string());
        let (held_until, held_why) = one.held_until.zip(one.held_why).or(one.quiet).unzip();
        Self {
            ordinal: one.ordinal,
            phone,
            recipient: one.recipient,
            variables: one.variables,
            state: one.state,
            reason: one.reason,
            detail: one.detail,
            message: one.message_id,
            message_status: one.message_status,
            error_code: one.error_code,
            session: one.session_id,
            accepted_at: one.accepted_at,
            held_until,
            held_why,
        }
    }
}

/// A recipient that would be skipped.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct SkippedView {
    /// Its place in the list, from 1.
    #[schema(example = 4)]
    pub(crate) ordinal: u64,
    /// As it was written.
    #[schema(example = "12")]
    pub(crate) recipient: String,
    /// Why.
    #[schema(value_type = String, example = "RECIPIENT_INVALID")]
    pub(crate) reason: Skip,
    /// The same for people.
    pub(crate) detail: Option<String>,
}

/// What would be sent on a day.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct DayView {
    /// The UTC day.
    #[schema(example = "2026-11-21")]
    pub(crate) day: String,
    /// Messages.
    #[schema(example = 40)]
    pub(crate) messages: u64,
}

/// What a campaign would do, without doing it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct DryRun {
    /// All recipients.
    #[schema(example = 5000)]
    pub(crate) total: u64,
    /// Recipients that would get a message.
    #[schema(example = 4997)]
    pub(crate) planned: u64,
    /// Recipients that would get none, by reason.
    #[schema(value_type = Object, example = json!({"DUPLICATE": 2, "RECIPIENT_INVALID": 1}))]
    pub(crate) skipped_by_reason: BTreeMap<String, u64>,
    /// The first of them, at most 100.
    pub(crate) skipped: Vec<SkippedView>,
    /// Of the planned, those who never wrote to any of the accounts, as an estimate.
    #[schema(example = 4200)]
    pub(crate) cold_contacts: u64,
    /// When the last message would be accepted, as an estimate: nobody else sends meanwhile. Null: never, since no account
    /// can send.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) ends_at: Option<Timestamp>,
    /// What would be sent on each of the first days, at most 31.
    pub(crate) days: Vec<DayView>,
}

impl DryRun {
    pub(crate) fn new(total: u64, tally: Tally, outlook: Outlook) -> Self {
        let sample = |Sample { ordinal, recipient, reason, detail }| SkippedView { ordinal, recipient, reason, detail };
        let days = outlook.forecast.days.into_iter().map(|(number, messages)| DayView { day: day::day_text(number), messages });
        Self {
            total,
            planned: total.saturating_sub(tally.count()),
            skipped_by_reason: tally.skipped.into_iter().map(|(reason, count)| (reason.as_str().to_owned(), count)).collect(),
            skipped: tally.samples.into_iter().map(sample).collect(),
            cold_contacts: outlook.cold,
            ends_at: outlook.forecast.ends_at,
            days: days.collect(),
        }
    }

    /// Of a campaign that runs: without those whose message was accepted.
    pub(crate) fn without(self, accepted: u64) -> Self {
        Self { planned: self.planned.saturating_sub(accepted), ..self }
    }
}
