//! Live streams (server-sent events, WebSockets): what they have in common.
//!
//! A stream is bound to who opened it: it counts against the user's limit, ends when the server stops, and ends at once
//! when its key is revoked, its login ends or its user is deactivated.

use crate::app::App;
use crate::auth::keys::refusal;
use crate::http::caller::admin_may_come_from;
use crate::http::{ApiError, Caller, ErrorCode};
use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt as _};
use sanasend_model::UserId;
use sanasend_store::StoreError;
use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How often a silent stream says that it is alive.
pub const HEARTBEAT: Duration = Duration::from_secs(15);
/// When a store that did not answer is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

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

/// A stream as an answer. A proxy of the kind of nginx collects answers before it passes them on, unless they ask it not to.
pub(crate) fn at_once(stream: impl IntoResponse) -> Response {
    let mut response = stream.into_response();
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Whether who began to listen may still do so. To be asked before anything is told: it looks at the store only when users,
/// keys or logins were changed here or at a node that hints at it, and every [`HEARTBEAT`] for changes that nobody hints at.
pub(crate) struct Permit {
    app: Arc<App>,
    caller: Caller,
    changes: watch::Receiver<u64>,
    /// The changes that were looked at.
    seen: u64,
    /// When to look without a hint.
    due: Instant,
}

impl Permit {
    /// It is looked at first before the first thing is told: it may have ended since the request was let in.
    pub(crate) fn new(app: Arc<App>, caller: Caller) -> Self {
        let changes = app.auth.keys.changes();
        let seen = *changes.borrow();
        Self { app, caller, changes, seen, due: Instant::now() }
    }

    /// Waits until [`Permit::holds`] has something to look at. May be dropped and called again.
    pub(crate) async fn due(&mut self) {
        let Self { changes, seen, due, .. } = self;
        tokio::select! {
            () = moved_on(changes, *seen) => {}
            () = tokio::time::sleep_until(*due) => {}
        }
    }

    /// `false` from when the caller may not listen any more, or the server stops. A look that is dropped is made by the next
    /// call. A store that is down is no reason to cut anybody off; it is asked again soon.
    pub(crate) async fn holds(&mut self) -> bool {
        // Before the look: what is changed during it is looked at again.
        let now_seen = *self.changes.borrow();
        if now_seen == self.seen && Instant::now() < self.due {
            return true;
        }
        let stop = self.app.shutdown.clone();
        let looked = stop.run_until_cancelled(may_listen(&self.app, &self.caller)).await;
        let rest = match looked {
            Some(Ok(true)) => HEARTBEAT,
            Some(Err(_)) => ASK_AGAIN,
            Some(Ok(false)) | None => return false,
        };
        (self.seen, self.due) = (now_seen, Instant::now() + rest);
        true
    }
}

/// Tells a WebSocket one text after the other until there are no more, and says goodbye. What the next text is made of goes on
/// while the other side is heard: nothing that it says can hold it up.
pub(crate) async fn tell(mut socket: WebSocket, texts: impl Stream<Item = String>) {
    let mut texts = pin!(texts);
    loop {
        tokio::select! {
            text = texts.next() => {
                let Some(text) = text else { break };
                if socket.send(Message::Text(text.into())).await.is_err() { return; }
            }
            heard = socket.recv() => if !matches!(heard, Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Text(_)))) { return },
            () = tokio::time::sleep(HEARTBEAT) => if socket.send(Message::Ping(Bytes::new())).await.is_err() { return },
        }
    }
    let frame = CloseFrame { code: close_code::AWAY, reason: "the stream has ended".into() };
    let _ = socket.send(Message::Close(Some(frame))).await;
}

async fn moved_on(changes: &mut watch::Receiver<u64>, seen: u64) {
    let _ = changes.wait_for(|now| *now != seen).await;
}

/// The same questions that a request is asked, of what the store says now.
async fn may_listen(app: &App, caller: &Caller) -> Result<bool, StoreError> {
    let Some(user) = app.store.user(caller.id()).await? else { return Ok(false) };
    let is_less_than_before = caller.acts_as_admin() && !user.is_admin;
    if !user.is_active || is_less_than_before {
        return Ok(false);
    }
    if let Some(key) = &caller.key {
        let Some(key) = app.store.api_key(key.id).await? else { return Ok(false) };
        if refusal(&key, &user, caller.ip, app.clock.now()).is_some() {
            return Ok(false);
        }
    }
    match caller.login {
        Some(login) => Ok(admin_may_come_from(app, &user, caller.ip) && app.store.login_is_live(login).await?),
        None => Ok(true),
    }
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
