//! What was done to messages that are not here yet.
//!
//! A reaction, an edit or a deletion may come before the message that it is about: a message that could not be read is asked
//! for again, and comes behind what was written after it. What is about no known message is kept as a message like any
//! other; here it is remembered which one it waits for, so that it shows there once that comes. In memory, and only so many:
//! most of what is noted here is about messages that are older than the link and never come.

use sanasend_model::{MessageId, SessionId, Timestamp};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// Acts that are remembered; the oldest is forgotten first.
const MOST: usize = 5_000;

/// A message that is not here: of which account, and WhatsApp's id of it.
type Target = (SessionId, String);

/// Acts whose messages are not here.
#[derive(Default)]
pub(crate) struct Early(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    acts: HashMap<Target, Vec<(MessageId, Timestamp)>>,
    /// The target of each act, in the order in which they came.
    order: VecDeque<Target>,
}

impl Early {
    /// Notes that `act`, of this time, waits for a message.
    pub(crate) fn note(&self, session: SessionId, wa_message_id: &str, act: MessageId, at: Timestamp) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let target = (session, wa_message_id.to_owned());
        waiting.acts.entry(target.clone()).or_default().push((act, at));
        waiting.order.push_back(target);
        if waiting.order.len() > MOST {
            waiting.forget_oldest();
        }
    }

    /// What was noted of a message, in the order in which it came. It stays noted: the transaction may yet be undone.
    pub(crate) fn about(&self, session: SessionId, wa_message_id: &str) -> Vec<(MessageId, Timestamp)> {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.acts.is_empty() {
            return Vec::new();
        }
        waiting.acts.get(&(session, wa_message_id.to_owned())).cloned().unwrap_or_default()
    }
}

impl Waiting {
    fn forget_oldest(&mut self) {
        let Some(target) = self.order.pop_front() else { return };
        if let Some(acts) = self.acts.get_mut(&target) {
            acts.remove(0);
            if acts.is_empty() {
                self.acts.remove(&target);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn so_many_are_remembered_and_the_oldest_go_first() {
        let (early, session, other) = (Early::default(), SessionId(Uuid::nil()), SessionId(Uuid::max()));
        let act = MessageId(Uuid::nil());
        early.note(session, "A", act, Timestamp(1));
        early.note(session, "A", act, Timestamp(2));
        assert_eq!(early.about(session, "A"), [(act, Timestamp(1)), (act, Timestamp(2))]);
        assert!(early.about(other, "A").is_empty() && early.about(session, "B").is_empty());
        for number in 0..MOST - 1 {
            early.note(session, &format!("B{number}"), act, Timestamp(3));
        }
        assert_eq!(early.about(session, "A"), [(act, Timestamp(2))]);
        early.note(session, "C", act, Timestamp(4));
        assert!(early.about(session, "A").is_empty());
        let waiting = early.0.lock().expect("unharmed");
        assert_eq!((waiting.acts.len(), waiting.order.len()), (MOST, MOST));
    }
}
