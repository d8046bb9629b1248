//! Asking WhatsApp who of a user's contacts is there: a few numbers at a time, at a pace that no account is banned for.

use crate::jobs::Worker;
use crate::sessions::Sessions;
use async_trait::async_trait;
use sanasend_model::retry::AttemptError;
use sanasend_model::{Clock, UserId};
use sanasend_store::{CHECK_JOB, CheckResult, Job, JobOutcome, Page, Session, SessionFilter, Store, StoreError};
use std::sync::Arc;
use std::time::Duration;

/// Numbers in one question.
const AT_ONCE: u64 = 10;
/// How long to wait for an account to be connected.
const OFFLINE: Duration = Duration::from_mins(1);
/// How long to wait where WhatsApp asks for patience and does not say how much.
const PATIENCE: Duration = Duration::from_mins(15);

/// Does the jobs [`CHECK_JOB`].
pub(super) struct Check {
    pub(super) store: Store,
    pub(super) sessions: Sessions,
    pub(super) clock: Arc<dyn Clock>,
    /// Numbers of one user that are asked about in a minute.
    pub(super) per_minute: u32,
}

#[async_trait]
impl Worker for Check {
    fn kind(&self) -> &'static str {
        CHECK_JOB
    }

    fn at_once(&self) -> usize {
        16
    }

    fn at_once_per_owner(&self) -> usize {
        1
    }

    async fn run(&self, job: &Job) -> JobOutcome {
        let Some(user) = job.user_id else { return JobOutcome::Dead { reason: "The job does not say whose contacts.".into() } };
        let later = |wait: Duration, reason: String| JobOutcome::Retry { due_at: self.clock.now().plus(wait), reason, keep_lane: true };
        match self.some(user).await {
            Ok(()) => JobOutcome::Done,
            Err(NotNow::Store(error)) => later(OFFLINE, error.to_string()),
            Err(NotNow::Offline) => later(OFFLINE, "No account of the user is connected.".into()),
            Err(NotNow::WhatsApp(wait)) => later(wait, "WhatsApp asks for patience.".into()),
        }
    }
}

/// Why nothing was asked.
enum NotNow {
    Store(StoreError),
    Offline,
    WhatsApp(Duration),
}

impl From<StoreError> for NotNow {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Check {
    /// Asks about some, and has the next asked about after a pause.
    async fn some(&self, user: UserId) -> Result<(), NotNow> {
        let due = self.store.to_check(user, AT_ONCE.min(u64::from(self.per_minute))).await?;
        if due.is_empty() {
            return Ok(());
        }
        let asked = due.len();
        let phones: Vec<_> = due.into_iter().map(|due| due.phone).collect();
        let mut found = None;
        for session in self.accounts(user).await? {
            match self.sessions.look_up(&session, phones.clone()).await {
                Ok(answer) => {
                    found = Some(answer);
                    break;
                }
                Err(AttemptError::Limited { wait }) => return Err(NotNow::WhatsApp(wait.unwrap_or(PATIENCE))),
                Err(error) => tracing::debug!(session = %session.id, ?error, "contacts could not be looked up by this account"),
            }
        }
        let found = found.ok_or(NotNow::Offline)?;
        let results = found.into_iter().map(|found| CheckResult { phone: found.phone, jid: found.jid, lid: found.lid }).collect();
        self.store.note_checks(user, results).await?;
        self.store.continue_checks(user, self.clock.now().plus(self.pause(asked))).await?;
        Ok(())
    }

    /// The user's accounts, linked ones first tried.
    async fn accounts(&self, user: UserId) -> Result<Vec<Session>, StoreError> {
        let filter = SessionFilter { user_id: Some(user), ..SessionFilter::default() };
        let listed = self.store.list_sessions(&filter, Page { page: 1, page_size: 100 }).await?;
        Ok(listed.results.into_iter().filter(|session| session.linked).collect())
    }

    /// How long to wait after so many numbers, give or take a quarter.
    fn pause(&self, asked: usize) -> Duration {
        let mut random = [0_u8; 1];
        self.clock.fill(&mut random);
        let share = 0.75 + f64::from(random[0]) / 255.0 / 2.0;
        let asked = u32::try_from(asked).unwrap_or(u32::MAX);
        Duration::from_mins(1).mul_f64(f64::from(asked) / f64::from(self.per_minute.max(1)) * share)
    }
}
