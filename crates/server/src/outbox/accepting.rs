//! A message between the queue of the store and its driver.

use super::Outbox;
use sanasend_model::{SessionId, Timestamp};
use sanasend_store::{Accepted, Handed, StoreError};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::runtime::Handle;

/// Waits for the store's answer to a message that was handed in, and sends what is on disk on its way. Who drops it, because
/// the caller hung up, leaves that to a task.
pub(super) struct Accepting<'a> {
    outbox: &'a Outbox,
    /// Gone once it has answered.
    handed: Option<Handed>,
    session: SessionId,
    due: Option<Timestamp>,
}

impl<'a> Accepting<'a> {
    pub(super) fn new(outbox: &'a Outbox, handed: Handed, session: SessionId, due: Option<Timestamp>) -> Self {
        Self { outbox, handed: Some(handed), session, due }
    }
}

impl Future for Accepting<'_> {
    type Output = Result<Accepted, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(handed) = &mut self.handed else { return Poll::Pending };
        let accepted = ready!(Pin::new(handed).poll(context));
        self.handed = None;
        self.outbox.send_on(&accepted, self.session, self.due);
        Poll::Ready(accepted)
    }
}

impl Drop for Accepting<'_> {
    fn drop(&mut self) {
        // Without a runtime the process is ending, and the next start looks by itself.
        let (Some(handed), Ok(runtime)) = (self.handed.take(), Handle::try_current()) else { return };
        let (outbox, session, due) = (self.outbox.clone(), self.session, self.due);
        runtime.spawn(async move { outbox.send_on(&handed.await, session, due) });
    }
}
