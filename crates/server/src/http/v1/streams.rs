//! Live streams (server-sent events, WebSockets): what they have in common.
//!
//! A stream is bound to who opened it: it counts against the user's limit, ends when the server stops, and ends when
//! the user may not read any more.

use crate::app::App;
use crate::http::{ApiError, Caller, ErrorCode};
use sanasend_model::UserId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often a silent stream says that it is alive.
pub const HEARTBEAT: Duration = Duration::from_secs(15);

/// How many streams each user has open.
#[derive(Debug, Clone, Default)]
pub struct Streams {
    open: Arc<Mutex<HashMap<UserId, u32>>>,
}

/// One open stream; dropping it closes it.
#[derive(Debug)]
pub struct Slot {
    streams: Streams,
    user: UserId,
}

impl Streams {
    /// Opens one more stream of the user.
    ///
    /// # Errors
    /// `RATE_LIMITED` when it has as many open as it may.
    pub fn open(&self, user: UserId, limit: u32) -> Result<Slot, ApiError> {
        let mut open = self.lock();
        let count = open.entry(user).or_default();
        if *count >= limit {
            let text = format!("There are {limit} live streams open already; close one first.");
            return Err(ApiError::because(ErrorCode::RateLimited, text).retry_after(HEARTBEAT));
        }
        *count += 1;
        Ok(Slot { streams: self.clone(), user })
    }

    /// A poisoned lock only means that a caller panicked between two map operations; the map is whole.
    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, u32>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.streams.lock();
        if let Some(count) = open.get_mut(&self.user) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.user);
            }
        }
    }
}

/// Whether who opened a stream may still read it. A store that is down is no reason to cut it.
pub(crate) async fn may_go_on(app: &App, caller: &Caller) -> bool {
    let active = app.store.user(caller.id()).await.map_or(true, |user| user.is_some_and(|user| user.is_active));
    let key = match &caller.key {
        None => true,
        Some(key) => match app.store.api_key(key.id).await {
            Err(_) => true,
            Ok(None) => false,
            Ok(Some(key)) => {
                let now = app.clock.now();
                let not_over = |end: Option<sanasend_model::Timestamp>| end.is_none_or(|end| end > now);
                key.is_active && (key.revoked_at.is_none() || not_over(key.grace_until)) && not_over(key.expires_at)
            }
        },
    };
    let login = match caller.login {
        None => true,
        Some(login) => app.store.login_is_live(login).await.unwrap_or(true),
    };
    active && key && login
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_so_many_streams_and_a_closed_one_makes_room() {
        let streams = Streams::default();
        let user: UserId = "0190a000-0000-7000-8000-000000000001".parse().expect("id");
        let first = streams.open(user, 2).expect("one");
        let _second = streams.open(user, 2).expect("two");
        assert_eq!(streams.open(user, 2).expect_err("three").code, ErrorCode::RateLimited);
        drop(first);
        let _third = streams.open(user, 2).expect("room again");
    }
}
