//! What the process counts, for `/metrics`: the names of all figures, and the one recorder behind them.
//!
//! Whoever counts does it where the thing happens, with `metrics::counter!` and the names of [`name`]. What is not counted
//! but can be looked at (the depth of the outbox, memory) is looked at when the page is asked for, in `page`. Labels are
//! words of our own: no ids, no phone numbers, no paths as sent, so that their number is bounded.

pub mod commits;
mod page;
mod process;
pub mod requests;

pub use page::render;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use sanasend_model::SessionStatus;
use sanasend_model::webhook::Verdict;
use sanasend_store::JobOutcome;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Names of what is counted. Dashboards and alarms hold them: never change one.
pub mod name {
    /// Requests that were answered; labels `method`, `route`, `status`.
    pub const HTTP_REQUESTS: &str = "sanasend_http_requests_total";
    /// Time from a request to the head of its answer; labels `method`, `route`.
    pub const HTTP_SECONDS: &str = "sanasend_http_request_seconds";
    /// Steps of messages; label `outcome`, the second word of the event's name.
    pub const MESSAGES: &str = "sanasend_messages_total";
    /// Events written; label `kind`.
    pub const EVENTS: &str = "sanasend_events_total";
    /// Transactions of the writer; label `result`: `committed` or `failed`.
    pub const COMMITS: &str = "sanasend_store_commits_total";
    /// Time of a transaction, the wait for the disk included.
    pub const COMMIT_SECONDS: &str = "sanasend_store_commit_seconds";
    /// Requests that shared a transaction.
    pub const COMMIT_REQUESTS: &str = "sanasend_store_commit_requests";
    /// Links to WhatsApp that were opened.
    pub const LINKS_OPENED: &str = "sanasend_links_opened_total";
    /// Links that ended; label `status`: what the account was after it.
    pub const LINKS_ENDED: &str = "sanasend_links_ended_total";
    /// Jobs that ended; labels `kind`, `outcome`: `done`, `retry` or `dead`.
    pub const JOBS: &str = "sanasend_jobs_total";
    /// Attempts to deliver a webhook; label `outcome`: `delivered`, `refused`, or `failed` where no answer came.
    pub const WEBHOOKS: &str = "sanasend_webhook_deliveries_total";
    /// Time of such an attempt.
    pub const WEBHOOK_SECONDS: &str = "sanasend_webhook_delivery_seconds";
}

/// What each figure is: name, help, for counters and for distributions.
const COUNTERS: &[(&str, &str)] = &[
    (name::HTTP_REQUESTS, "HTTP requests that were answered."),
    (name::MESSAGES, "Steps of messages, by what became of them."),
    (name::EVENTS, "Events written to the log."),
    (name::COMMITS, "Transactions of the one writer."),
    (name::LINKS_OPENED, "Connections to WhatsApp that were opened."),
    (name::LINKS_ENDED, "Connections to WhatsApp that ended, by the account's status after it."),
    (name::JOBS, "Background jobs that ended."),
    (name::WEBHOOKS, "Attempts to deliver a webhook."),
];
const DISTRIBUTIONS: &[(&str, &str)] = &[
    (name::HTTP_SECONDS, "Time from a request to the head of its answer."),
    (name::COMMIT_SECONDS, "Time of a transaction, the wait for the disk included."),
    (name::COMMIT_REQUESTS, "Requests that shared a transaction."),
    (name::WEBHOOK_SECONDS, "Time of an attempt to deliver a webhook."),
];

/// Bounds of times, in seconds: from a cached answer to a request that is about to be cut.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
/// Bounds of the number of requests in a transaction.
const REQUESTS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
/// Single values wait so long at most before they are folded into their distribution; until then each takes memory.
const FOLD_EVERY: Duration = Duration::from_secs(1);

/// Begins to count. The recorder belongs to the process, whatever servers run in it: the first call makes it.
pub fn start() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(install).clone()
}

fn install() -> PrometheusHandle {
    let recorder = builder().build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::warn!("somebody else counts in this process; /metrics stays nearly empty");
    }
    for (name, help) in COUNTERS {
        metrics::describe_counter!(*name, *help);
    }
    for (name, help) in DISTRIBUTIONS {
        metrics::describe_histogram!(*name, *help);
    }
    handle
}

fn builder() -> PrometheusBuilder {
    let with = |builder: PrometheusBuilder, name: &str, bounds: &[f64]| {
        // It refuses only an empty list of bounds.
        builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), bounds).unwrap_or_default()
    };
    DISTRIBUTIONS.iter().fold(PrometheusBuilder::new(), |builder, (name, _)| {
        with(builder, name, if *name == name::COMMIT_REQUESTS { REQUESTS } else { SECONDS })
    })
}

/// Folds single values into their distributions until `stop`, so that nobody has to ask for the page.
#[must_use]
pub fn fold(handle: PrometheusHandle, stop: CancellationToken) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(FOLD_EVERY);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            handle.run_upkeep();
        }
    })
}

/// A connection to WhatsApp was opened.
pub fn link_opened() {
    metrics::counter!(name::LINKS_OPENED).increment(1);
}

/// A connection to WhatsApp ended, and left its account in `status`.
pub fn link_ended(status: SessionStatus) {
    metrics::counter!(name::LINKS_ENDED, "status" => status.as_str()).increment(1);
}

/// An attempt to deliver a webhook was made: the receiver took it, refused it, or gave no answer.
pub fn webhook_tried(verdict: Verdict, is_answered: bool, took: Duration) {
    let outcome = match (verdict, is_answered) {
        (Verdict::Delivered, _) => "delivered",
        (Verdict::Gone | Verdict::Failed, true) => "refused",
        (Verdict::Gone | Verdict::Failed, false) => "failed",
    };
    metrics::counter!(name::WEBHOOKS, "outcome" => outcome).increment(1);
    metrics::histogram!(name::WEBHOOK_SECONDS).record(took.as_secs_f64());
}

/// A job of a kind that a worker of ours has ended.
pub fn job_ended(kind: &str, outcome: &JobOutcome) {
    let outcome = match outcome {
        JobOutcome::Done => "done",
        JobOutcome::Retry { .. } => "retry",
        JobOutcome::Dead { .. } => "dead",
    };
    metrics::counter!(name::JOBS, "kind" => kind.to_owned(), "outcome" => outcome).increment(1);
}
