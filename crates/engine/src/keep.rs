//! Keeping what came in, while the database may be down.
//!
//! The client library writes a message down before it hands it over, and acknowledges it when both are done. When one of
//! the two fails it holds the acknowledgement back, which is right, and forgets the message or parks it, since WhatsApp hands it
//! out again with the next connection. There must be a next connection then: a link that stays up would never see the
//! message again. So whatever makes the library hold an acknowledgement back is kept here and offered on, and when the
//! database has taken it, the link ends.

use crate::events::Signal;
use sanasend_model::SessionId;
use sanasend_model::session::LinkEnd;
use sanasend_store::StoreError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// How often something is offered before the acknowledgement is held back: for about six seconds in all.
const TRIES: u32 = 8;
/// First wait between two of these tries; doubles. Tests have no time.
const TRY_AGAIN: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 50 });
/// Longest wait after that, and of what is offered for ever.
const LONGEST: Duration = Duration::from_secs(5);

/// Offers a link's writes to the store, and ends the link after one that was refused for too long. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Keep {
    session: SessionId,
    /// To the supervisor; `None` without a link.
    signals: Option<UnboundedSender<Signal>>,
    /// The link is about to end.
    ending: Arc<AtomicBool>,
}

impl Keep {
    /// For the link whose supervisor hears these signals.
    pub(crate) fn new(session: SessionId, signals: Option<UnboundedSender<Signal>>) -> Self {
        Self { session, signals, ending: Arc::default() }
    }

    /// Where the supervisor hears.
    pub(crate) const fn signals(&self) -> Option<&UnboundedSender<Signal>> {
        self.signals.as_ref()
    }

    /// Offers a write until it is taken, or for about six seconds to a store that is down.
    ///
    /// # Errors
    /// What the store said last.
    pub(crate) async fn offer<T, W: Future<Output = Result<T, StoreError>>>(&self, write: impl Fn() -> W) -> Result<T, StoreError> {
        let mut wait = TRY_AGAIN;
        for _ in 1..TRIES {
            match write().await {
                Err(StoreError::Unavailable(why)) => {
                    tracing::warn!(session = %self.session, why, "what came in waits for the store");
                }
                done => return done,
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        write().await
    }

    /// Offers a write for as long as the store is down: of what can't be had again.
    ///
    /// # Errors
    /// Why the store does not want it.
    pub(crate) async fn insist<T, W: Future<Output = Result<T, StoreError>>>(&self, write: impl Fn() -> W) -> Result<T, StoreError> {
        let mut wait = TRY_AGAIN;
        loop {
            match write().await {
                Err(StoreError::Unavailable(why)) => {
                    tracing::warn!(session = %self.session, why, "what can't be had again waits for the store");
                }
                done => return done,
            }
            tokio::time::sleep(wait).await;
            wait = LONGEST.min(wait * 2);
        }
    }

    /// As [`Keep::offer`], for a write without which the client library holds an acknowledgement back. Given up, it is offered
    /// on in the background, and when it is taken the link ends, so that the message comes again.
    ///
    /// # Errors
    /// What the store said last.
    pub(crate) async fn or_end<T, W>(&self, write: impl Fn() -> W + Send + Sync + 'static) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let kept = self.offer(&write).await;
        // One that waits is enough: it stands for the store.
        if let (Err(StoreError::Unavailable(_)), Some(signals)) = (&kept, self.signals.clone())
            && !self.ending.swap(true, Ordering::AcqRel)
        {
            tokio::spawn(async move {
                let mut wait = TRY_AGAIN;
                loop {
                    tokio::time::sleep(wait).await;
                    if signals.is_closed() {
                        return;
                    }
                    if !matches!(write().await, Err(StoreError::Unavailable(_))) {
                        break;
                    }
                    wait = LONGEST.min(wait * 2);
                }
                let reason = "an incoming message could not be kept; it comes again with the next connection".into();
                // Nobody hears once the link is over; the message comes again with the next.
                let _ = signals.send(Signal::End(LinkEnd::Lost { reason }));
            });
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sanasend_model::Clock;
    use std::sync::atomic::AtomicU32;
    use tokio::sync::mpsc::unbounded_channel;

    #[derive(Debug)]
    struct Still;
    impl Clock for Still {
        fn now(&self) -> sanasend_model::Timestamp {
            sanasend_model::Timestamp(0)
        }
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    fn keep() -> (Keep, tokio::sync::mpsc::UnboundedReceiver<Signal>) {
        let (signals, heard) = unbounded_channel();
        (Keep::new(SessionId::new(&Still), Some(signals)), heard)
    }

    /// A write that is refused `refusals` times.
    fn refused(refusals: u32) -> (Arc<AtomicU32>, impl Fn() -> std::future::Ready<Result<(), StoreError>> + Send + Sync + 'static) {
        let tries = Arc::new(AtomicU32::new(0));
        let count = tries.clone();
        let write = move || {
            let tried = count.fetch_add(1, Ordering::AcqRel);
            std::future::ready(if tried < refusals { Err(StoreError::Unavailable("down".into())) } else { Ok(()) })
        };
        (tries, write)
    }

    #[tokio::test]
    async fn a_short_failure_holds_nothing_back() {
        let (keep, mut heard) = keep();
        let (tries, write) = refused(TRIES - 1);
        assert!(keep.or_end(write).await.is_ok());
        assert_eq!((tries.load(Ordering::Acquire), heard.try_recv().is_err()), (TRIES, true));
    }

    #[tokio::test]
    async fn what_cannot_be_had_again_is_offered_until_it_is_taken() {
        let (keep, mut heard) = keep();
        let (tries, write) = refused(TRIES + 2);
        assert!(keep.insist(write).await.is_ok());
        assert_eq!((tries.load(Ordering::Acquire), heard.try_recv().is_err()), (TRIES + 3, true), "and the link stays");
        let fenced = || std::future::ready(Err::<(), _>(StoreError::Fenced));
        assert!(matches!(keep.insist(fenced).await, Err(StoreError::Fenced)));
    }

    #[tokio::test]
    async fn the_link_ends_when_the_store_has_taken_what_it_refused_and_not_before() {
        let (keep, mut heard) = keep();
        let (tries, write) = refused(TRIES + 5);
        assert!(keep.or_end(write).await.is_err());
        assert!(heard.try_recv().is_err(), "the store is still down");
        assert!(matches!(heard.recv().await, Some(Signal::End(LinkEnd::Lost { .. }))));
        assert_eq!(tries.load(Ordering::Acquire), TRIES + 6);
    }

    #[tokio::test]
    async fn a_refusal_that_stays_ends_no_link() {
        let (keep, mut heard) = keep();
        let fenced = || std::future::ready(Err::<(), _>(StoreError::Fenced));
        assert!(matches!(keep.or_end(fenced).await, Err(StoreError::Fenced)));
        assert!(heard.try_recv().is_err());
    }
}
