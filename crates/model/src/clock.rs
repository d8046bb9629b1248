//! Where time and randomness come from: passed in, never taken.
//!
//! Only the definition lives here; the one implementation on the machine's clock is the server's, and
//! tests pass their own. Clippy's `disallowed-methods` keeps every other source out.

use crate::Timestamp;
use uuid::Uuid;

/// A source of the present moment and of random bytes.
pub trait Clock: Send + Sync + std::fmt::Debug + 'static {
    /// The present moment.
    fn now(&self) -> Timestamp;

    /// Fills `bytes` with cryptographically secure random bytes.
    fn fill(&self, bytes: &mut [u8]);

    /// A new UUIDv7 of the present moment.
    fn uuid(&self) -> Uuid {
        let mut random = [0_u8; 10];
        self.fill(&mut random);
        uuid_v7(self.now(), random)
    }
}

/// A UUIDv7 (RFC 9562) made of a time and 10 random bytes.
#[must_use]
pub fn uuid_v7(at: Timestamp, random: [u8; 10]) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(at.0).unwrap_or(0), &random).into_uuid()
}
