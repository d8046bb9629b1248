//! Runs of recurring sends: a message each, under a key of the schedule and the time at which the run was due.
//!
//! The message is accepted first, and then the schedule moved on. A process that dies in between leaves the run due; who does
//! it again finds its key taken, and only moves the schedule on.

use super::{Hold, Outbox, When, hold};
use sanasend_model::schedule::Recurrence;
use sanasend_model::template::{Language, Unfilled};
use sanasend_model::{Content, Recipient, Template, Timestamp};
use sanasend_store::{
    Accepted, Idempotency, MessageIds, NewMedia, NewMessage, Recurring, RecurringContent, RecurringRun, StoreError, TemplateVersion,
};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// Schedules that are looked at together.
const PIECE: u32 = 100;
/// For how long the key of a run is remembered beyond the deadline of its message: after that the run counts as missed.
const KEY_KEPT: Duration = Duration::from_hours(24);

/// Why a run came to nothing.
enum Failed {
    /// For people, and for good.
    Because(String),
    /// It is tried again, unless a row can't be read.
    Store(StoreError),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn because<T>(why: impl Into<String>) -> Result<T, Failed> {
    Err(Failed::Because(why.into()))
}

impl Outbox {
    /// Does the runs that are due at `now`.
    pub(super) async fn run_recurring(&self, now: Timestamp) -> Result<(), StoreError> {
        loop {
            if self.store.next_recurring().await?.is_none_or(|next| next > now) {
                return Ok(());
            }
            let due = self.store.due_recurring(now, PIECE).await?;
            if due.is_empty() {
                return Ok(());
            }
            let mut failed = None;
            for recurring in due {
                let id = recurring.id;
                if let Err(error) = self.run(recurring, now).await {
                    // It stays due; the others don't wait for it.
                    tracing::warn!(schedule = %id, %error, "a run of a recurring send could not be done; it is tried again");
                    failed = Some(error);
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
        }
    }

    async fn run(&self, recurring: Recurring, now: Timestamp) -> Result<(), StoreError> {
        let Some(due_at) = recurring.next_at else { return Ok(()) };
        let outcome = match self.accept_run(&recurring, due_at, now).await {
            Ok(message) => Ok(message),
            Err(Failed::Because(why)) => Err(why),
            // That will be so the next time, too.
            Err(Failed::Store(error @ StoreError::Corrupt { .. })) => {
                tracing::error!(schedule = %recurring.id, %error, "what a recurring send needs can't be read");
                Err(format!("What is stored for it can't be read: {error}."))
            }
            Err(Failed::Store(error)) => return Err(error),
        };
        let next_at = next_run(&recurring, due_at, now);
        let done = self.store.end_recurring_run(RecurringRun { id: recurring.id, due_at, next_at, outcome: outcome.clone() }).await?;
        if let (true, Err(why)) = (done, outcome) {
            tracing::info!(schedule = %recurring.id, why, "a recurring send was due, and nothing was accepted");
        }
        Ok(())
    }

    async fn accept_run(&self, recurring: &Recurring, due_at: Timestamp, now: Timestamp) -> Result<sanasend_model::MessageId, Failed> {
        // No caller can send such a key: it is not ASCII.
        let key = format!("§schedule/{}/{}", recurring.id, due_at.0);
        if let Some(Accepted::Replayed { body, .. }) = self.store.idempotent_answer(recurring.user_id, &key, [0; 32]).await? {
            return body.parse().or_else(|_| because("The message of this run can't be found."));
        }
        let end = due_at.plus(self.options.deadline);
        if end <= now {
            return because(format!("It was due at {due_at}, and the server did not run until the deadline had passed; nothing was sent."));
        }
        let mut message = self.message_of(recurring, due_at, now).await?;
        let (id, expires_at) = (message.id, end.plus(KEY_KEPT));
        message.idempotency = Some(Idempotency { key, fingerprint: [0; 32], status: 202, body: id.to_string(), expires_at });
        match self.accept(message).await {
            Ok(Accepted::Created { .. }) => Ok(id),
            Ok(Accepted::Replayed { body, .. }) => body.parse().or_else(|_| because("The message of this run can't be found.")),
            Ok(Accepted::DailyLimitReached) => because("The limit of messages per day is reached."),
            Ok(other) => because(format!("The message was not accepted: {other:?}.")),
            // The account went away in this very moment, and the schedule with it.
            Err(StoreError::Conflict { .. }) => because("The account is not there any more."),
            Err(error) => Err(error.into()),
        }
    }

    async fn message_of(&self, recurring: &Recurring, due_at: Timestamp, now: Timestamp) -> Result<NewMessage, Failed> {
        let plan = &recurring.plan;
        let Some(user) = self.store.user(recurring.user_id).await?.filter(|user| user.is_active) else {
            return because("The user is deactivated.");
        };
        let session = self.store.session(plan.session_id).await?;
        if session.is_none_or(|session| !session.linked) {
            return because("The account is not linked.");
        }
        let Ok(recipient) = Recipient::parse(&plan.recipient) else { return because("The recipient can't be read.") };
        let (content, media) = self.content_of(&plan.content).await?;
        let when = When { quiet_hours: plan.quiet_hours, ..When::default() };
        let Hold { due, reason } = hold(user.quiet_hours, &recipient, when, now);
        let (id, wa_message_id) = self.new_ids();
        let ids = MessageIds { id, wa_message_id, user_id: recurring.user_id, session_id: plan.session_id };
        let times = (now, due.unwrap_or(due_at).plus(self.options.deadline));
        Ok(NewMessage {
            media,
            metadata: Some(json!({"schedule": {"id": recurring.id, "name": plan.name, "due_at": due_at}})),
            scheduled_at: due,
            wait_reason: reason,
            ..NewMessage::plain(ids, recipient, content, times, user.max_messages_per_day)
        })
    }

    async fn content_of(&self, content: &RecurringContent) -> Result<(Content, Option<NewMedia>), Failed> {
        match content {
            RecurringContent::Text(text) => match Content::text(text) {
                Ok(content) => Ok((content, None)),
                Err(refused) => because(format!("The text {}.", refused.message)),
            },
            RecurringContent::Template { id, variables } => {
                let Some(template) = self.store.template(*id).await? else { return because("Its template was deleted.") };
                if template.is_archived {
                    return because("Its template is archived.");
                }
                fill(template.present, &template.language, variables).map_err(|refused| {
                    let told: Vec<String> = refused.0.into_iter().map(|(field, why)| format!("{field} {}", why.join(", "))).collect();
                    Failed::Because(format!("The template can't be filled: {}.", told.join("; ")))
                })
            }
        }
    }
}

/// What a version of a template says with these values.
///
/// # Errors
/// The variables that are missing or don't fit, as `variables.<name>`, or what is wrong with the result.
pub fn fill(
    version: TemplateVersion,
    language: &str,
    values: &BTreeMap<String, String>,
) -> Result<(Content, Option<NewMedia>), sanasend_model::FieldErrors> {
    let template = Template::parse(&version.content)?;
    let text = template.fill(values, Language::of(language)).map_err(Unfilled::refusals)?;
    match version.media {
        None => Ok((Content::text(text)?, None)),
        Some((mut media, file)) => {
            media.caption = media.kind.caption(Some(text))?;
            Ok((Content::Media(Box::new(media)), Some(file)))
        }
    }
}

/// When the run after the one that was due at `due` is due, if one is left.
fn next_run(recurring: &Recurring, due: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let plan = &recurring.plan;
    if plan.most_runs.is_some_and(|most| recurring.runs + 1 >= most) {
        return None;
    }
    let next = Recurrence::parse(&plan.cron, &plan.timezone).ok()?.next_run(due, now)?;
    plan.ends_at.is_none_or(|end| next <= end).then_some(next)
}
