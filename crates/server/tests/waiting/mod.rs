//! Waiting for what no event tells: the one place where a test asks again and again. The HTTP tests and the stories both have it.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;
use tokio::time::Instant;

/// How long a test waits for what must come; it only bounds a failure.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// Shortest and longest time from one look to the next. In between it is a twentieth of what was waited already: what comes
/// soon is seen at once, and what takes long is not held up by being asked about.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));

/// Asks `probe` until it answers something; fails with `what` when it never does.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut probe: impl FnMut() -> F) -> T {
    let found = settled_within(PATIENCE, || {
        let asked = probe();
        async {
            let found = asked.await;
            (found.is_some(), found)
        }
    });
    found.await.ok().flatten().unwrap_or_else(|| panic!("never came: {what}"))
}

/// Looks until it is as `wanted`, and answers what it saw; fails with the last of it when it never is.
pub async fn becomes<T: Display, F: Future<Output = T>>(what: &str, mut look: impl FnMut() -> F, wanted: impl Fn(&T) -> bool) -> T {
    let wanted = &wanted;
    let seen = settled_within(PATIENCE, || {
        let looked = look();
        async move {
            let seen = looked.await;
            (wanted(&seen), seen)
        }
    });
    seen.await.unwrap_or_else(|last| panic!("never {what}: {last}"))
}

/// Asks `probe` until it says that it is satisfied, and answers what it saw; the last of it as the error when `patience` ends.
pub async fn settled_within<T, F: Future<Output = (bool, T)>>(patience: Duration, mut probe: impl FnMut() -> F) -> Result<T, T> {
    let began = Instant::now();
    loop {
        let (satisfied, seen) = probe().await;
        if satisfied {
            return Ok(seen);
        }
        let waited = began.elapsed();
        if waited > patience {
            return Err(seen);
        }
        tokio::time::sleep((waited / 20).clamp(PAUSE.0, PAUSE.1)).await;
    }
}
