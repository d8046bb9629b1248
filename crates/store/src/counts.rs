//! How many messages a filter leaves, remembered until one of them may have changed.
//!
//! A page of a long list says how many there are, and counting ten thousand rows costs fifty times as much as reading twenty. So
//! a count is kept by user and filter, and thrown away by whatever changes a message: every such change writes an event in
//! its own transaction, and the teller passes each one by here before the writer is answered. Nobody who was answered can
//! see a count from before. What is removed without an event says so itself (`forget_all`).
//!
//! On a database that several nodes share, another node's event arrives a moment after its caller was answered. There a count
//! is kept with the cursor of its user's last event, which is asked of the database each time, and for ten seconds: what
//! another node removes without an event is counted until then.

use crate::MessageFilter;
use sanasend_model::{Timestamp, UserId};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most users of whom anything is kept; then all is thrown away.
const USERS: usize = 4096;
/// Most filters of one user that are kept.
const FILTERS: usize = 32;
/// How long a count is kept that another node can make wrong without an event.
const SHARED: Duration = Duration::from_secs(10);
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
    tickets: i64,
}

#[derive(Debug)]
struct OfUser {
    ticket: i64,
    /// When it is thrown away at the latest.
    until: Option<Timestamp>,
    counts: HashMap<MessageFilter, u64>,
}

/// What there is to know about a filter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// It was counted, and nothing changed since.
    Counted(u64),
    /// It is to be counted; the count may be kept under this ticket if nothing changes meanwhile.
    Count(i64),
    /// It is to be counted, each time.
    Never,
}

impl Counts {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks for a count. To be called before counting begins.
    pub(crate) fn look(&self, filter: &MessageFilter) -> Look {
        let Some(user) = user_of(filter) else { return Look::Never };
        let mut known = self.known();
        if !known.users.contains_key(&user) {
            known.tickets += 1;
            let ticket = known.tickets;
            known.begin(user, OfUser { ticket, until: None, counts: HashMap::new() });
        }
        known.look(user, filter)
    }

    /// The same where other nodes write too; `last` is the cursor of the user's last event, read before counting begins.
    pub(crate) fn look_as_of(&self, filter: &MessageFilter, last: i64, now: Timestamp) -> Look {
        let Some(user) = user_of(filter) else { return Look::Never };
        let mut known = self.known();
        let holds = |of_user: &OfUser| of_user.ticket == last && of_user.until.is_some_and(|until| now < until);
        if !known.users.get(&user).is_some_and(holds) {
            known.begin(user, OfUser { ticket: last, until: Some(now.plus(SHARED)), counts: HashMap::new() });
        }
        known.look(user, filter)
    }

    /// Keeps a count, unless something of the user changed since the ticket was given.
    pub(crate) fn keep(&self, ticket: i64, filter: &MessageFilter, count: u64) {
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

impl Known {
    fn begin(&mut self, user: UserId, of_user: OfUser) {
        // Another entry for a user who has one takes no more room.
        if self.users.len() >= USERS && !self.users.contains_key(&user) {
            self.users.clear();
        }
        self.users.insert(user, of_user);
    }

    fn look(&self, user: UserId, filter: &MessageFilter) -> Look {
        let Some(of_user) = self.users.get(&user) else { return Look::Never };
        of_user.counts.get(filter).map_or(Look::Count(of_user.ticket), |count| Look::Counted(*count))
    }
}

/// Whose messages they are, if their count is kept at all.
pub(crate) fn user_of(filter: &MessageFilter) -> Option<UserId> {
    filter.user_id.filter(|_| is_kept(filter))
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

    fn ticket(counts: &Counts, filter: &MessageFilter) -> i64 {
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
    fn on_a_shared_database_a_count_holds_until_the_next_event_and_for_a_while() {
        let (counts, at) = (Counts::default(), |seconds: u64| Timestamp(0).plus(Duration::from_secs(seconds)));
        assert_eq!(counts.look_as_of(&of(1), 40, at(0)), Look::Count(40));
        counts.keep(40, &of(1), 7);
        assert_eq!(counts.look_as_of(&of(1), 40, at(9)), Look::Counted(7));
        assert_eq!(counts.look_as_of(&of(1), 41, at(9)), Look::Count(41), "another node wrote an event");
        counts.keep(40, &of(1), 7);
        assert_eq!(counts.look_as_of(&of(1), 41, at(9)), Look::Count(41), "what was counted before it is not kept");
        counts.keep(41, &of(1), 8);
        assert_eq!(counts.look_as_of(&of(1), 41, at(18)), Look::Counted(8));
        assert_eq!(counts.look_as_of(&of(1), 41, at(19)), Look::Count(41), "another node may have removed some");
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
    fn a_new_count_of_one_user_costs_no_other_its_own_when_all_places_are_taken() {
        let counts = Counts::default();
        for user in 0..USERS as u128 {
            counts.look_as_of(&of(user), 1, Timestamp(0));
            counts.keep(1, &of(user), 7);
        }
        assert_eq!(counts.look_as_of(&of(0), 2, Timestamp(0)), Look::Count(2));
        assert_eq!(counts.look_as_of(&of(1), 1, Timestamp(0)), Look::Counted(7));
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
