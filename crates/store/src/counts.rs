//! How many messages a filter leaves, remembered until one of them may have changed.
//!
//! A page of a long list says how many there are, and counting ten thousand rows costs fifty times as much as reading twenty. So
//! a count is kept by user and filter, and thrown away by whatever changes a message: every such change writes an event in
//! its own transaction, and the teller passes each one by here before the writer is answered. Nobody who was answered can
//! see a count from before. What is removed without an event says so itself (`forget_all`).
//!
//! Only where this process alone writes: on a database that several nodes share, another node's event arrives a moment after
//! its caller was answered.

use crate::MessageFilter;
use sanasend_model::UserId;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most users of whom anything is kept; then all is thrown away.
const USERS: usize = 4096;
/// Most filters of one user that are kept.
const FILTERS: usize = 32;
/// Longest text in a filter that is kept.
const LONGEST: usize = 128;

/// The counts. One lock, held for a look into two small maps.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    users: HashMap<UserId, OfUser>,
    tickets: u64,
}

#[derive(Debug)]
struct OfUser {
    ticket: u64,
    counts: HashMap<MessageFilter, u64>,
}

/// What there is to know about a filter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// It was counted, and nothing changed since.
    Counted(u64),
    /// It is to be counted; the count may be kept under this ticket if nothing changes meanwhile.
    Count(u64),
    /// It is to be counted, each time.
    Never,
}

impl Counts {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks for a count. To be called before counting begins.
    pub(crate) fn look(&self, filter: &MessageFilter) -> Look {
        let Some(user) = filter.user_id.filter(|_| is_kept(filter)) else { return Look::Never };
        let mut known = self.known();
        if let Some(of_user) = known.users.get(&user) {
            return of_user.counts.get(filter).map_or(Look::Count(of_user.ticket), |count| Look::Counted(*count));
        }
        if known.users.len() >= USERS {
            known.users.clear();
        }
        known.tickets += 1;
        let ticket = known.tickets;
        known.users.insert(user, OfUser { ticket, counts: HashMap::new() });
        Look::Count(ticket)
    }

    /// Keeps a count, unless something of the user changed since the ticket was given.
    pub(crate) fn keep(&self, ticket: u64, filter: &MessageFilter, count: u64) {
        let mut known = self.known();
        let of_user = filter.user_id.and_then(|user| known.users.get_mut(&user)).filter(|of_user| of_user.ticket == ticket);
        if let Some(of_user) = of_user {
            if of_user.counts.len() >= FILTERS {
                of_user.counts.clear();
            }
            of_user.counts.insert(filter.clone(), count);
        }
    }

    /// Something of this user changed.
    pub(crate) fn forget(&self, user: UserId) {
        self.known().users.remove(&user);
    }

    /// Something changed, nobody says whose.
    pub(crate) fn forget_all(&self) {
        self.known().users.clear();
    }
}

/// Whether a filter is worth a place: searches are seldom the same twice.
fn is_kept(filter: &MessageFilter) -> bool {
    let short = |text: &Option<String>| text.as_ref().is_none_or(|text| text.len() <= LONGEST);
    filter.search.is_none() && short(&filter.kind) && short(&filter.recipient)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn of(user: u128) -> MessageFilter {
        MessageFilter { user_id: Some(UserId(Uuid::from_u128(user))), ..MessageFilter::default() }
    }

    fn ticket(counts: &Counts, filter: &MessageFilter) -> u64 {
        match counts.look(filter) {
            Look::Count(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_count_is_kept_until_its_user_changes() {
        let counts = Counts::default();
        for user in [1, 2] {
            counts.keep(ticket(&counts, &of(user)), &of(user), 7);
        }
        counts.forget(UserId(Uuid::from_u128(1)));
        assert!(matches!(counts.look(&of(1)), Look::Count(_)));
        assert_eq!(counts.look(&of(2)), Look::Counted(7));
        counts.forget_all();
        assert!(matches!(counts.look(&of(2)), Look::Count(_)));
    }

    #[test]
    fn what_changed_while_it_was_counted_is_not_kept() {
        let counts = Counts::default();
        let old = ticket(&counts, &of(1));
        counts.forget(UserId(Uuid::from_u128(1)));
        let new = ticket(&counts, &of(1));
        counts.keep(old, &of(1), 7);
        assert!(matches!(counts.look(&of(1)), Look::Count(_)), "an old count was kept");
        counts.keep(new, &of(1), 8);
        assert_eq!(counts.look(&of(1)), Look::Counted(8));
    }

    #[test]
    fn filters_do_not_share_a_count_and_searches_have_none() {
        let counts = Counts::default();
        let inbound = MessageFilter { direction: Some(sanasend_model::Direction::Inbound), ..of(1) };
        counts.keep(ticket(&counts, &of(1)), &of(1), 7);
        assert!(matches!(counts.look(&inbound), Look::Count(_)));
        assert_eq!(counts.look(&MessageFilter { search: Some("x".into()), ..of(1) }), Look::Never);
        assert_eq!(counts.look(&MessageFilter::default()), Look::Never);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let counts = Counts::default();
        for user in 0..5000 {
            counts.keep(ticket(&counts, &of(user)), &of(user), 7);
        }
        assert!(counts.known().users.len() <= USERS);
        for kind in 0..100 {
            let filter = MessageFilter { kind: Some(kind.to_string()), ..of(4999) };
            counts.keep(ticket(&counts, &filter), &filter, 7);
        }
        assert!(counts.known().users.values().all(|of_user| of_user.counts.len() <= FILTERS));
    }
}
