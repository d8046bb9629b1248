//! The worker of the jobs that deliver.

use super::Webhooks;
use crate::jobs::Worker;
use async_trait::async_trait;
use sanasend_model::DeliveryId;
use sanasend_store::{Job, JobOutcome, WEBHOOK_JOB};
use std::time::Duration;

/// How much longer than an attempt the lease of its job is.
const MARGIN: Duration = Duration::from_secs(30);

/// At least so many users can be told at once: one with many slow receivers takes its part of the places and no more.
const USERS: usize = 4;

/// Runs jobs of the kind [`WEBHOOK_JOB`].
pub struct Deliver(pub Webhooks);

#[async_trait]
impl Worker for Deliver {
    fn kind(&self) -> &'static str {
        WEBHOOK_JOB
    }

    fn at_once(&self) -> usize {
        self.0.inner.options.at_once
    }

    fn at_once_per_bundle(&self) -> usize {
        self.0.inner.options.at_once_per_endpoint
    }

    fn at_once_per_owner(&self) -> usize {
        let options = self.0.inner.options;
        // One receiver that hangs must leave places to the others of its own user too.
        (options.at_once / USERS).max(2 * options.at_once_per_endpoint).max(1)
    }

    fn lease(&self) -> Duration {
        self.0.inner.options.timeout + MARGIN
    }

    async fn run(&self, job: &Job) -> JobOutcome {
        let delivery = job.payload["delivery"].as_str().and_then(|text| text.parse::<DeliveryId>().ok());
        let round = job.payload["round"].as_i64().and_then(|round| i32::try_from(round).ok());
        match (delivery, round) {
            (Some(delivery), Some(round)) => self.0.deliver(delivery, round).await,
            _ => JobOutcome::Dead { reason: "The job does not say what to deliver.".into() },
        }
    }
}
