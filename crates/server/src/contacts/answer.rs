//! Answering who opted out or in by a word, where the user wants that.
//!
//! A job and not a part of the transaction that heard the word: messages are made by the way out alone. Its id was chosen
//! there, so that it is made once however often the job runs, and is the one message that the guard still lets pass.

use crate::jobs::Worker;
use crate::outbox::Outbox;
use async_trait::async_trait;
use sanasend_model::{Clock, Content, Jid, MessageId, Recipient, SessionId, UserId};
use sanasend_store::{ANSWER_JOB, Accepted, Job, JobOutcome, MessageIds, NewMessage, Store, StoreError};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// How long to wait where the user's messages of the day are used up, or the store is down.
const LATER: Duration = Duration::from_mins(10);
/// After so many tries an answer says nothing to anybody any more.
const MOST_TRIES: i32 = 200;

/// Does the jobs [`ANSWER_JOB`].
pub(super) struct Answer {
    pub(super) store: Store,
    pub(super) outbox: Outbox,
    pub(super) clock: Arc<dyn Clock>,
}

/// What a job says.
struct Asked {
    user: UserId,
    session: SessionId,
    message: MessageId,
    recipient: Recipient,
    stop: bool,
}

fn read(job: &Job) -> Option<Asked> {
    let text = |name: &str| job.payload.get(name).and_then(Value::as_str);
    let jid = Jid::parse(text("recipient")?)?;
    let recipient = if jid.is_lid() { Recipient::Lid(jid) } else { Recipient::Phone(jid.phone()?) };
    let (session, message) = (text("session")?.parse().ok()?, text("message")?.parse().ok()?);
    Some(Asked { user: job.user_id?, session, message, recipient, stop: text("wish")? == "stop" })
}

#[async_trait]
impl Worker for Answer {
    fn kind(&self) -> &'static str {
        ANSWER_JOB
    }

    fn at_once(&self) -> usize {
        8
    }

    async fn run(&self, job: &Job) -> JobOutcome {
        let Some(asked) = read(job) else { return JobOutcome::Dead { reason: "The job does not say whom to answer.".into() } };
        let later = |reason: String| {
            let due_at = self.clock.now().plus(LATER);
            if job.attempts >= MOST_TRIES { JobOutcome::Dead { reason } } else { JobOutcome::Retry { due_at, reason, keep_lane: false } }
        };
        match self.answer(asked).await {
            Ok(Some(Accepted::DailyLimitReached)) => later("The user's messages of the day are used up.".into()),
            // Whoever changed their mind meanwhile is not answered; nobody has to look at a job for that.
            Ok(_) | Err(StoreError::Conflict { .. }) => JobOutcome::Done,
            Err(error) => later(error.to_string()),
        }
    }
}

impl Answer {
    /// Hands the answer in; `None` where there is nothing to say any more.
    async fn answer(&self, asked: Asked) -> Result<Option<Accepted>, StoreError> {
        if self.store.message(None, asked.message).await?.is_some() || self.store.session(asked.session).await?.is_none() {
            return Ok(None);
        }
        let Some(user) = self.store.user(asked.user).await?.filter(|user| user.is_active) else { return Ok(None) };
        let settings = self.store.contact_settings(user.id).await?;
        let text = if asked.stop { settings.stop_answer } else { settings.start_answer };
        let Some(content) = text.and_then(|text| Content::text(text).ok()) else { return Ok(None) };
        let (_, wa_message_id) = self.outbox.new_ids();
        let ids = MessageIds { id: asked.message, wa_message_id, user_id: user.id, session_id: asked.session };
        let message = NewMessage::plain(ids, asked.recipient, content, self.outbox.times(), user.max_messages_per_day);
        self.outbox.accept(message).await.map(Some)
    }
}
