//! The one place of the product that reads the machine's clock and its source of randomness.
//!
//! Everything else takes a `Clock`; clippy's `disallowed-methods` keeps it so. Waiting goes through
//! `tokio::time`, which follows a test's virtual time.

use sanasend_model::{Clock, Timestamp};
use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

/// Draws of up to this many bytes are ids; longer ones are keys, which lie in no buffer.
const ID: usize = 16;
/// Bytes fetched ahead at once.
const AHEAD: usize = 512;

/// Random bytes fetched ahead: a request draws for four ids, and each draw would be a call of the system. What was given
/// out is wiped.
struct Ahead {
    bytes: [u8; AHEAD],
    used: usize,
}

thread_local! {
    static READY: RefCell<Ahead> = const { RefCell::new(Ahead { bytes: [0; AHEAD], used: AHEAD }) };
}

impl Ahead {
    fn take(&mut self, wanted: &mut [u8]) {
        if AHEAD - self.used < wanted.len() {
            draw(&mut self.bytes);
            self.used = 0;
        }
        let end = self.used + wanted.len();
        if let Some(taken) = self.bytes.get_mut(self.used..end) {
            wanted.copy_from_slice(taken);
            taken.fill(0);
        }
        self.used = end;
    }
}

#[expect(clippy::expect_used, reason = "without randomness no key or token may be made; going on would be worse than stopping")]
fn draw(bytes: &mut [u8]) {
    #[expect(clippy::disallowed_methods, reason = "this is the product's one source of randomness")]
    getrandom::fill(bytes).expect("the operating system gives random bytes");
}

/// The machine's clock and the operating system's random bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the product's one reader of the machine's clock")]
        let now = SystemTime::now();
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn fill(&self, bytes: &mut [u8]) {
        if bytes.len() <= ID { READY.with_borrow_mut(|ahead| ahead.take(bytes)) } else { draw(bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_id_comes_twice_and_none_is_left_empty() {
        let draw = || {
            let mut bytes = [0_u8; 10];
            SystemClock.fill(&mut bytes);
            bytes
        };
        let here: HashSet<[u8; 10]> = (0..1000).map(|_| draw()).collect();
        let there = std::thread::spawn(move || (0..1000).map(|_| draw()).collect::<HashSet<_>>()).join().expect("thread");
        assert_eq!(here.union(&there).count(), 2000);
        assert!(!here.contains(&[0; 10]));
    }
}
