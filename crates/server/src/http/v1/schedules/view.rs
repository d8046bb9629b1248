//! Recurring sends as callers see and write them.

use sanasend_model::schedule::Recurrence;
use sanasend_model::{MessageId, ScheduleId, SessionId, TemplateId, Timestamp, UserId};
use sanasend_store::{Recurring, RecurringContent};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// How many of the next runs are told.
const TOLD: usize = 5;

/// A recurring send.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Schedule")]
pub(crate) struct RecurringView {
    /// Id.
    #[schema(value_type = String, format = "uuid")]
    pub(crate) id: ScheduleId,
    /// Id of its owner.
    #[schema(value_type = String, format = "uuid")]
    pub(crate) user: UserId,
    /// What its owner calls it.
    #[schema(example = "monday reminder")]
    pub(crate) name: String,
    /// The account that it goes through.
    #[schema(value_type = String, format = "uuid")]
    pub(crate) session: SessionId,
    /// When: a cron expression with five fields.
    #[schema(example = "30 9 * * MON")]
    pub(crate) cron: String,
    /// By the clock of this time zone.
    #[schema(example = "Europe/Berlin")]
    pub(crate) timezone: String,
    /// To whom.
    #[schema(example = "+12025550123")]
    pub(crate) recipient: String,
    /// The text, where it is one.
    #[schema(example = "Good morning")]
    pub(crate) content: Option<String>,
    /// Id of the template, where it is one; each run takes its present version.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub(crate) template: Option<TemplateId>,
    /// The values of the template's variables.
    #[schema(value_type = Object, example = json!({}))]
    pub(crate) variables: BTreeMap<String, String>,
    /// Whether quiet hours hold a run; null: as you have set it.
    pub(crate) quiet_hours: Option<bool>,
    /// No run after this.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) ends_at: Option<Timestamp>,
    /// Not more runs than this.
    pub(crate) max_runs: Option<i32>,
    /// Whether runs are done.
    #[schema(example = true)]
    pub(crate) is_active: bool,
    /// Runs that were due so far, failed ones among them.
    #[schema(example = 3)]
    pub(crate) runs: i32,
    /// When the next run is due; null when none is left, or it is paused.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) next_run_at: Option<Timestamp>,
    /// The next runs, at most 5.
    #[schema(value_type = Vec<String>)]
    pub(crate) upcoming: Vec<Timestamp>,
    /// When the last run was done.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) last_run_at: Option<Timestamp>,
    /// The message of the last run that made one.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub(crate) last_message: Option<MessageId>,
    /// Why the last run made none; null when it did.
    pub(crate) last_error: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) created_at: Timestamp,
    /// When its owner changed it last.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) updated_at: Timestamp,
}

impl From<Recurring> for RecurringView {
    fn from(recurring: Recurring) -> Self {
        let next_run_at = recurring.next_at.filter(|_| recurring.plan.is_active);
        let upcoming = upcoming(&recurring, next_run_at);
        let plan = recurring.plan;
        let (content, template, variables) = match plan.content {
            RecurringContent::Text(text) => (Some(text), None, BTreeMap::new()),
            RecurringContent::Template { id, variables } => (None, Some(id), variables),
        };
        Self {
            id: recurring.id,
            user: recurring.user_id,
            name: plan.name,
            session: plan.session_id,
            cron: plan.cron,
            timezone: plan.timezone,
            recipient: plan.recipient,
            content,
            template,
            variables,
            quiet_hours: plan.quiet_hours,
            ends_at: plan.ends_at,
            max_runs: plan.most_runs,
            is_active: plan.is_active,
            runs: recurring.runs,
            next_run_at,
            upcoming,
            last_run_at: recurring.last_run_at,
            last_message: recurring.last_message,
            last_error: recurring.last_error,
            created_at: recurring.created_at,
            updated_at: recurring.updated_at,
        }
    }
}

fn upcoming(recurring: &Recurring, next: Option<Timestamp>) -> Vec<Timestamp> {
    let plan = &recurring.plan;
    let (Some(next), Ok(recurrence)) = (next, Recurrence::parse(&plan.cron, &plan.timezone)) else { return Vec::new() };
    let left = plan.most_runs.map_or(TOLD, |most| usize::try_from(most - recurring.runs).unwrap_or(0)).min(TOLD);
    let all = std::iter::once(next).chain(recurrence.upcoming(next, TOLD - 1));
    all.take_while(|at| plan.ends_at.is_none_or(|end| *at <= end)).take(left).collect()
}

/// A recurring send as it is wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedSchedule {
    /// What to call it, 1 to 64 characters, unique among yours.
    #[schema(example = "monday reminder")]
    pub(crate) name: String,
    /// When: minute, hour, day of month, month, day of week. `L` is the last day of a month.
    #[schema(example = "30 9 * * MON")]
    pub(crate) cron: String,
    /// By the clock of this time zone, a name of the IANA database; left out: `UTC`.
    #[serde(default = "utc")]
    #[schema(default = "UTC", example = "Europe/Berlin")]
    pub(crate) timezone: String,
    /// To whom: a phone number with country code, or an id.
    #[schema(example = "+12025550123")]
    pub(crate) recipient: String,
    /// The text. One of `content` and `template`.
    #[serde(default)]
    #[schema(example = "Good morning")]
    pub(crate) content: Option<String>,
    /// Name or id of the template.
    #[serde(default)]
    #[schema(example = json!(null))]
    pub(crate) template: Option<String>,
    /// Language of the template, where it is there in several.
    #[serde(default)]
    #[schema(example = json!(null))]
    pub(crate) language: Option<String>,
    /// The values of the template's variables.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({}))]
    pub(crate) variables: BTreeMap<String, Value>,
    /// Name or id of the account to send with. Not needed when there is one, or one named `default`.
    #[serde(default)]
    #[schema(example = "default")]
    pub(crate) session: Option<String>,
    /// Whether quiet hours hold a run until their end; left out: as you have set it.
    #[serde(default)]
    #[schema(example = false)]
    pub(crate) quiet_hours: Option<bool>,
    /// No run after this.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime, example = json!(null))]
    pub(crate) ends_at: Option<Timestamp>,
    /// Not more runs than this.
    #[serde(default)]
    #[schema(minimum = 1, example = 10)]
    pub(crate) max_runs: Option<i32>,
    /// Whether to do runs from the beginning.
    #[serde(default = "yes")]
    #[schema(default = true, example = true)]
    pub(crate) is_active: bool,
}

fn utc() -> String {
    "UTC".into()
}

const fn yes() -> bool {
    true
}

/// A cron expression to look at.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedTimes {
    /// Minute, hour, day of month, month, day of week.
    #[schema(example = "30 9 * * MON")]
    pub(crate) cron: String,
    /// By the clock of this time zone; left out: `UTC`.
    #[serde(default = "utc")]
    #[schema(default = "UTC", example = "Europe/Berlin")]
    pub(crate) timezone: String,
}

/// When it comes true.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "ScheduleTimes")]
pub(crate) struct TimesView {
    /// The next 5 times; fewer when it comes true no more.
    #[schema(value_type = Vec<String>)]
    pub(crate) upcoming: Vec<Timestamp>,
}

/// The next times of a cron expression.
///
/// # Errors
/// On `cron` and `timezone`.
pub(crate) fn times(cron: &str, timezone: &str, now: Timestamp) -> Result<TimesView, sanasend_model::FieldErrors> {
    Ok(TimesView { upcoming: Recurrence::parse(cron, timezone)?.upcoming(now, TOLD) })
}
