//! Erasing what was written with a person, after their contact is gone.

use crate::jobs::Worker;
use async_trait::async_trait;
use sanasend_model::{Clock, Jid};
use sanasend_store::{ERASE_JOB, Job, JobOutcome, Store};
use std::sync::Arc;
use std::time::Duration;

/// How long to wait where the store is down, or a file is still being taken in.
const LATER: Duration = Duration::from_mins(1);

/// Does the jobs [`ERASE_JOB`].
pub(super) struct Erase {
    pub(super) store: Store,
    pub(super) clock: Arc<dyn Clock>,
}

#[async_trait]
impl Worker for Erase {
    fn kind(&self) -> &'static str {
        ERASE_JOB
    }

    fn at_once(&self) -> usize {
        2
    }

    async fn run(&self, job: &Job) -> JobOutcome {
        let handles = job.payload.get("handles").and_then(serde_json::Value::as_array).into_iter().flatten();
        let handles: Vec<Jid> = handles.filter_map(|handle| Jid::parse(handle.as_str()?)).collect();
        let Some(user) = job.user_id else { return JobOutcome::Dead { reason: "The job does not say for whom.".into() } };
        let later = |reason: String| JobOutcome::Retry { due_at: self.clock.now().plus(LATER), reason, keep_lane: false };
        if job.payload.get("imports").and_then(serde_json::Value::as_bool) == Some(true) {
            match self.store.is_importing(user, job.created_at).await {
                Ok(true) => return later("A file is being imported that may hold the person.".into()),
                Ok(false) => {}
                Err(error) => return later(error.to_string()),
            }
            if let Err(error) = self.store.erase_imported(user, &handles).await {
                return later(error.to_string());
            }
        }
        match self.store.erase_traces(user, &handles).await {
            Ok(erased) => {
                tracing::info!(%user, messages = erased.messages, events = erased.events, "a person was erased");
                JobOutcome::Done
            }
            Err(error) => later(error.to_string()),
        }
    }
}
