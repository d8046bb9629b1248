//! The book-keeping of the dispatcher: what may be due where, what runs, and what there are places for. No I/O, no clock.
//!
//! Per kind and bundle it knows the earliest time at which something may be due, from hints and from looks; so a claim
//! names the bundles in which there is something, and nothing is claimed where nothing is.

use sanasend_model::Timestamp;
use sanasend_store::{DueJobs, JobHint, JobPlaces};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// How much of a kind runs at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caps {
    pub(super) at_once: usize,
    pub(super) per_bundle: usize,
    pub(super) per_owner: usize,
    pub(super) lease: Duration,
}

/// One bundle of a kind.
#[derive(Debug, Default)]
struct Bundle {
    due: Option<Timestamp>,
    running: usize,
}

struct Kind {
    caps: Caps,
    running: usize,
    bundles: HashMap<String, Bundle>,
    /// What runs in the bundles of each owner.
    owners: HashMap<String, usize>,
}

/// What is known of all kinds that have a worker.
#[derive(Default)]
pub(super) struct Desk {
    kinds: BTreeMap<&'static str, Kind>,
}

/// Whose a bundle is: what stands before a slash in its name.
fn owner(bundle: &str) -> Option<&str> {
    bundle.split_once('/').map(|(owner, _)| owner)
}

impl Kind {
    fn free(&self, name: &str, bundle: &Bundle) -> usize {
        let free = self.caps.per_bundle.saturating_sub(bundle.running).min(self.caps.at_once.saturating_sub(self.running));
        free.min(self.free_of_owner(name))
    }

    fn free_of_owner(&self, bundle: &str) -> usize {
        owner(bundle).map_or(usize::MAX, |owner| self.caps.per_owner.saturating_sub(self.owners.get(owner).copied().unwrap_or(0)))
    }

    /// Forgets a bundle of which nothing is known and nothing runs.
    fn tidy(&mut self, name: &str) {
        if self.bundles.get(name).is_some_and(|bundle| bundle.due.is_none() && bundle.running == 0) {
            self.bundles.remove(name);
        }
    }
}

impl Desk {
    /// A kind that has a worker.
    pub(super) fn open(&mut self, kind: &'static str, caps: Caps) {
        self.kinds.insert(kind, Kind { caps, running: 0, bundles: HashMap::new(), owners: HashMap::new() });
    }

    /// Something may be due then, if nothing is sooner.
    pub(super) fn hint(&mut self, hint: JobHint) {
        let Some(kind) = self.kinds.get_mut(hint.kind.as_str()) else { return };
        let bundle = kind.bundles.entry(hint.bundle).or_default();
        bundle.due = Some(bundle.due.map_or(hint.due_at, |due| due.min(hint.due_at)));
    }

    /// What a look or a claim found.
    pub(super) fn found(&mut self, due: DueJobs) {
        if let Some(due_at) = due.due_at {
            self.hint(JobHint { kind: due.kind, bundle: due.bundle, due_at });
        } else if let Some(kind) = self.kinds.get_mut(due.kind.as_str()) {
            kind.tidy(&due.bundle);
        }
    }

    /// What to claim now: where something may be due and a place is free, the longest due first. It counts as looked at.
    pub(super) fn wants(&mut self, now: Timestamp) -> Vec<JobPlaces> {
        let mut wants = Vec::new();
        for (name, kind) in &mut self.kinds {
            let mut free = kind.caps.at_once.saturating_sub(kind.running);
            let due = |bundle: &Bundle| bundle.due.filter(|due| *due <= now && bundle.running < kind.caps.per_bundle);
            let mut ready: Vec<(Timestamp, String)> =
                kind.bundles.iter().filter_map(|(name, bundle)| Some((due(bundle)?, name.clone()))).collect();
            ready.sort_unstable();
            let mut promised: HashMap<String, usize> = HashMap::new();
            for (_, bundle_name) in ready {
                if free == 0 {
                    break;
                }
                let promised = owner(&bundle_name).map(|owner| promised.entry(owner.to_owned()).or_default());
                let of_owner = kind.free_of_owner(&bundle_name).saturating_sub(promised.as_deref().copied().unwrap_or(0));
                let Some(bundle) = kind.bundles.get_mut(&bundle_name) else { continue };
                let places = (kind.caps.per_bundle - bundle.running).min(free).min(of_owner);
                if places == 0 {
                    continue;
                }
                free -= places;
                if let Some(promised) = promised {
                    *promised += places;
                }
                bundle.due = None;
                wants.push(JobPlaces { kind: (*name).to_owned(), bundle: bundle_name, places, lease: kind.caps.lease });
            }
        }
        wants
    }

    /// A claim that came to nothing: it has to be made again.
    pub(super) fn unclaimed(&mut self, wants: &[JobPlaces], now: Timestamp) {
        for want in wants {
            self.hint(JobHint { kind: want.kind.clone(), bundle: want.bundle.clone(), due_at: now });
        }
    }

    /// A job has begun.
    pub(super) fn began(&mut self, kind: &str, bundle: &str) {
        if let Some(kind) = self.kinds.get_mut(kind) {
            kind.running += 1;
            if let Some(owner) = owner(bundle) {
                *kind.owners.entry(owner.to_owned()).or_default() += 1;
            }
            kind.bundles.entry(bundle.to_owned()).or_default().running += 1;
        }
    }

    /// A job has ended.
    pub(super) fn ended(&mut self, kind: &str, bundle: &str) {
        if let Some(kind) = self.kinds.get_mut(kind) {
            kind.running = kind.running.saturating_sub(1);
            if let Some(owner) = owner(bundle)
                && let Some(running) = kind.owners.get_mut(owner)
            {
                *running = running.saturating_sub(1);
                if *running == 0 {
                    kind.owners.remove(owner);
                }
            }
            if let Some(known) = kind.bundles.get_mut(bundle) {
                known.running = known.running.saturating_sub(1);
            }
            kind.tidy(bundle);
        }
    }

    /// The earliest time at which something may be due that there is a place for.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let of = |kind: &Kind| {
            let free = kind.bundles.iter().filter(|(name, bundle)| kind.free(name, bundle) > 0);
            free.filter_map(|(_, bundle)| bundle.due).min()
        };
        self.kinds.values().filter_map(of).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desk() -> Desk {
        let mut desk = Desk::default();
        desk.open("k", Caps { at_once: 3, per_bundle: 2, per_owner: 2, lease: Duration::from_secs(1) });
        desk
    }

    fn hint(bundle: &str, due_at: i64) -> JobHint {
        JobHint { kind: "k".into(), bundle: bundle.into(), due_at: Timestamp(due_at) }
    }

    fn wants(desk: &mut Desk, now: i64) -> Vec<(String, usize)> {
        desk.wants(Timestamp(now)).into_iter().map(|want| (want.bundle, want.places)).collect()
    }

    #[test]
    fn nothing_is_claimed_where_nothing_is_due() {
        let mut desk = desk();
        assert_eq!(wants(&mut desk, 10), []);
        desk.hint(hint("a", 20));
        desk.hint(hint("a", 30));
        desk.hint(JobHint { kind: "of nobody".into(), ..hint("a", 0) });
        assert_eq!((wants(&mut desk, 10), desk.next_due()), (vec![], Some(Timestamp(20))));
        assert_eq!(wants(&mut desk, 20), [("a".to_owned(), 2)]);
        assert_eq!((wants(&mut desk, 20), desk.next_due()), (vec![], None), "it was looked at");
    }

    #[test]
    fn a_full_bundle_leaves_places_to_others() {
        let mut desk = desk();
        desk.hint(hint("slow", 1));
        assert_eq!(wants(&mut desk, 5), [("slow".to_owned(), 2)]);
        desk.began("k", "slow");
        desk.began("k", "slow");
        desk.hint(hint("slow", 1));
        desk.hint(hint("quick", 2));
        assert_eq!(desk.next_due(), Some(Timestamp(2)), "slow has no place");
        assert_eq!(wants(&mut desk, 5), [("quick".to_owned(), 1)], "and of the kind one is left");
        desk.ended("k", "slow");
        assert_eq!(wants(&mut desk, 5), [("slow".to_owned(), 1)]);
    }

    #[test]
    fn an_owner_with_many_bundles_leaves_places_to_others() {
        let mut desk = desk();
        for bundle in ["greedy/a", "greedy/b", "greedy/c"] {
            desk.hint(hint(bundle, 1));
        }
        desk.hint(hint("modest/a", 2));
        assert_eq!(wants(&mut desk, 5), [("greedy/a".to_owned(), 2), ("modest/a".to_owned(), 1)]);
        desk.began("k", "greedy/a");
        desk.began("k", "greedy/a");
        assert_eq!((wants(&mut desk, 5), desk.next_due()), (vec![], None), "a place is free, but not for this owner: no busy loop");
        desk.ended("k", "greedy/a");
        assert_eq!(wants(&mut desk, 5), [("greedy/b".to_owned(), 1)], "and its others wait no longer than for a place");
    }

    #[test]
    fn a_claim_that_failed_is_made_again() {
        let mut desk = desk();
        desk.hint(hint("a", 1));
        let asked = desk.wants(Timestamp(5));
        desk.unclaimed(&asked, Timestamp(5));
        assert_eq!(desk.wants(Timestamp(5)), asked);
    }

    #[test]
    fn what_is_empty_is_forgotten() {
        let mut desk = desk();
        desk.hint(hint("a", 1));
        assert_eq!(wants(&mut desk, 5).len(), 1);
        desk.found(DueJobs { kind: "k".into(), bundle: "a".into(), due_at: None });
        desk.began("k", "b");
        desk.ended("k", "b");
        assert!(desk.kinds.values().all(|kind| kind.bundles.is_empty()));
    }
}
