//! Callers that wait for the outcome of one message (`?wait=`), woken by the event log.
//!
//! One task listens for all of them, so that a waiting caller costs a map entry, not a subscription.

use sanasend_model::MessageId;
use sanasend_store::Event;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

/// Who waits for what.
#[derive(Debug, Default)]
pub(super) struct Waits {
    waiting: Mutex<HashMap<MessageId, watch::Sender<()>>>,
}

/// One caller's wait. Dropping it forgets it.
#[derive(Debug)]
pub(super) struct Wait {
    waits: Arc<Waits>,
    id: MessageId,
    changes: watch::Receiver<()>,
}

impl Waits {
    /// Begins to wait for changes of a message. What happens after this call is not missed.
    pub(super) fn on(self: &Arc<Self>, id: MessageId) -> Wait {
        let changes = self.waiting().entry(id).or_insert_with(|| watch::Sender::new(())).subscribe();
        Wait { waits: self.clone(), id, changes }
    }

    /// Wakes the waiting as the event log grows, until it ends.
    pub(super) async fn listen(self: Arc<Self>, mut changes: Receiver<Arc<Event>>) {
        loop {
            match changes.recv().await {
                Ok(event) => {
                    if let Some(id) = event.message_id
                        && let Some(waiting) = self.waiting().get(&id)
                    {
                        waiting.send_replace(());
                    }
                }
                // Some events were missed: everybody looks for themselves.
                Err(RecvError::Lagged(_)) => {
                    for waiting in self.waiting().values() {
                        waiting.send_replace(());
                    }
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// A poisoned lock only means that another caller panicked between two map operations; the map is whole.
    fn waiting(&self) -> MutexGuard<'_, HashMap<MessageId, watch::Sender<()>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wait {
    /// The next change of the message.
    pub(super) async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut waiting = self.waits.waiting();
        // This wait still counts as one.
        if waiting.get(&self.id).is_some_and(|sender| sender.receiver_count() <= 1) {
            waiting.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_several_waits_leaves_nothing_behind() {
        let waits = Arc::new(Waits::default());
        let id: MessageId = "0190a000-0000-7000-8000-000000000001".parse().expect("id");
        let (first, second) = (waits.on(id), waits.on(id));
        drop(first);
        assert_eq!(waits.waiting().len(), 1);
        drop(second);
        assert!(waits.waiting().is_empty());
    }
}
