//! Who may connect now: a fixed number of connections in the making at a time, and no stampede after an outage.

use crate::events::Signal;
use sanasend_model::Clock;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Longest extra wait of a client that lost its connection; others lost theirs at the same moment.
const SPREAD: Duration = Duration::from_millis(1500);

/// A connection that wrote this often has its handshake behind it: the hello, in one pattern the finish, and
/// something encrypted.
const PROVEN_BY_WRITES: u8 = 3;

/// Shared by all links of the process.
#[derive(Clone)]
pub(crate) struct Admission {
    places: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
}

impl Admission {
    pub(crate) fn new(at_once: usize, clock: Arc<dyn Clock>) -> Self {
        Self { places: Arc::new(Semaphore::new(at_once.max(1))), clock }
    }

    /// The turns of one link, which tells `signals` how its connections fare.
    pub(crate) fn turn(&self, signals: mpsc::UnboundedSender<Signal>) -> Arc<Turn> {
        let place = Mutex::new(None);
        Arc::new(Turn {
            admission: self.clone(),
            signals,
            place,
            dialled: AtomicBool::new(false),
            proven: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            writes: AtomicU8::new(0),
        })
    }
}

/// One link's way through the admission, connection after connection.
pub(crate) struct Turn {
    admission: Admission,
    signals: mpsc::UnboundedSender<Signal>,
    place: Mutex<Option<OwnedSemaphorePermit>>,
    dialled: AtomicBool,
    proven: AtomicBool,
    lost: AtomicBool,
    writes: AtomicU8,
}

impl Turn {
    /// Waits for a place, unless this link has one. It is kept until the handshake is done.
    pub(crate) async fn admitted(&self) {
        if self.place().is_some() {
            return;
        }
        // The semaphore is never closed, so there is always a permit in the end.
        let permit = Arc::clone(&self.admission.places).acquire_owned().await.ok();
        *self.place() = permit;
    }

    /// Begins a connection: spreads those who lost theirs together, and waits for a place. Answers whether the
    /// connection before this one got through its handshake (or there was none).
    pub(crate) async fn begin(&self) -> bool {
        let sound = !self.dialled.swap(true, Ordering::AcqRel) | self.proven.swap(false, Ordering::AcqRel);
        self.writes.store(0, Ordering::Release);
        if !sound {
            self.done();
        }
        if self.lost.swap(false, Ordering::AcqRel) {
            let mut random = [0_u8];
            self.admission.clock.fill(&mut random);
            tokio::time::sleep(SPREAD.mul_f64(f64::from(random[0]) / 255.0)).await;
        }
        self.admitted().await;
        sound
    }

    /// The connection could not be made; the next attempt is not its fault.
    pub(crate) fn dial_failed(&self, reason: String) {
        self.withdraw();
        let _ = self.signals.send(Signal::DialFailed(reason));
    }

    /// The other side did not prove who it is.
    pub(crate) fn handshake_failed(&self) {
        let _ = self.signals.send(Signal::HandshakeFailed);
    }

    /// No connection is made after all: the place is free.
    pub(crate) fn withdraw(&self) {
        self.dialled.store(false, Ordering::Release);
        self.done();
    }

    /// Something was written to the connection.
    pub(crate) fn wrote(&self) {
        if !self.proven.load(Ordering::Acquire) && self.writes.fetch_add(1, Ordering::AcqRel) + 1 >= PROVEN_BY_WRITES {
            self.advanced();
        }
    }

    /// The connection got somewhere: its handshake is done, and its place is free for another.
    pub(crate) fn advanced(&self) {
        if !self.proven.swap(true, Ordering::AcqRel) {
            self.done();
        }
    }

    /// The connection broke without anybody wanting it.
    pub(crate) fn lost(&self) {
        self.lost.store(true, Ordering::Release);
    }

    fn done(&self) {
        drop(self.place().take());
    }

    fn place(&self) -> std::sync::MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sanasend_model::Timestamp;

    #[derive(Debug)]
    struct Still;
    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp(0)
        }
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    fn turns(at_once: usize) -> (Arc<Turn>, Arc<Turn>, mpsc::UnboundedReceiver<Signal>) {
        let admission = Admission::new(at_once, Arc::new(Still));
        let (signals, heard) = mpsc::unbounded_channel();
        (admission.turn(signals.clone()), admission.turn(signals), heard)
    }

    #[tokio::test]
    async fn the_next_one_comes_in_when_the_handshake_is_done() {
        let (first, second, _heard) = turns(1);
        assert!(first.begin().await);
        let waiting = second.begin();
        tokio::pin!(waiting);
        assert!(futures_pending(&mut waiting).await, "no place yet");
        first.wrote();
        first.wrote();
        assert!(futures_pending(&mut waiting).await, "the handshake may still fail");
        first.wrote();
        assert!(waiting.await);
    }

    #[tokio::test]
    async fn a_connection_without_a_handshake_is_noticed_when_the_next_one_begins() {
        let (turn, _, mut heard) = turns(2);
        assert!(turn.begin().await);
        turn.wrote();
        assert!(!turn.begin().await);
        turn.advanced();
        assert!(turn.begin().await, "this one was sound");
        turn.dial_failed("no route".into());
        assert!(matches!(heard.try_recv(), Ok(Signal::DialFailed(_))));
        assert!(turn.begin().await, "nothing was dialled");
    }

    async fn futures_pending(future: &mut (impl Future<Output = bool> + Unpin)) -> bool {
        tokio::select! {
            biased;
            _ = future => false,
            () = tokio::task::yield_now() => true,
        }
    }
}
