//! The one place of the product that reads the machine's clock and its source of randomness.
//!
//! Everything else takes a `Clock`; clippy's `disallowed-methods` keeps it so. Waiting goes through
//! `tokio::time`, which follows a test's virtual time.

use sanasend_model::{Clock, Timestamp};
use std::time::{SystemTime, UNIX_EPOCH};

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

    #[expect(clippy::expect_used, reason = "without randomness no key or token may be made; going on would be worse than stopping")]
    fn fill(&self, bytes: &mut [u8]) {
        #[expect(clippy::disallowed_methods, reason = "this is the product's one source of randomness")]
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}
