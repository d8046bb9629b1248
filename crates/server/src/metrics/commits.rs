//! Counts what the store's writer does.

use super::name;
use metrics::{Counter, Histogram, counter, histogram};
use sanasend_model::EventKind;
use sanasend_store::{Commit, Store};

/// The figures, found once: the writer must not look names up.
struct Figures {
    committed: Counter,
    failed: Counter,
    seconds: Histogram,
    requests: Histogram,
    /// By the kind's place in `EventKind::ALL`: the event, and the step of a message where it is one.
    events: Vec<(EventKind, Counter, Option<Counter>)>,
}

impl Figures {
    fn find() -> Self {
        let of = |kind: EventKind| {
            let step = kind.as_str().strip_prefix("message.");
            let step = step.map(|outcome| counter!(name::MESSAGES, "outcome" => outcome));
            (kind, counter!(name::EVENTS, "kind" => kind.as_str()), step)
        };
        Self {
            committed: counter!(name::COMMITS, "result" => "committed"),
            failed: counter!(name::COMMITS, "result" => "failed"),
            seconds: histogram!(name::COMMIT_SECONDS),
            requests: histogram!(name::COMMIT_REQUESTS),
            events: EventKind::ALL.iter().map(|kind| of(*kind)).collect(),
        }
    }

    fn see(&self, commit: &Commit<'_>) {
        if commit.committed { &self.committed } else { &self.failed }.increment(1);
        self.seconds.record(commit.took);
        self.requests.record(f64::from(u32::try_from(commit.requests).unwrap_or(u32::MAX)));
        for event in commit.events {
            let Some((_, counter, step)) = self.events.iter().find(|(kind, ..)| *kind == event.kind) else { continue };
            counter.increment(1);
            if let Some(step) = step {
                step.increment(1);
            }
        }
    }
}

/// Watches a store from now on.
pub fn watch(store: &Store) {
    let figures = Figures::find();
    store.watch_commits(move |commit| figures.see(commit));
}
