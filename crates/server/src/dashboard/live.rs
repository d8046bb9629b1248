//! Parts of pages that are kept up to date: the server makes the part anew and sends it when it changed.
//!
//! The part is the same template that the page was made with, in an element with `data-live`; the script only puts it in
//! its place, and asks for it by itself where the stream does not come through.

use super::guard;
use super::visitor::{CameWith, Visitor};
use crate::app::App;
use crate::http::ApiError;
use crate::http::v1::streams::{HEARTBEAT, Permit, Slot, at_once};
use axum::response::Response;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use futures::future::BoxFuture;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often a part is looked at.
const LOOKED_AT: Duration = Duration::from_secs(2);
/// How long a part rests after a look, whatever happens: a busy server has thousands of events in a second.
const RESTED: Duration = Duration::from_millis(250);

/// Makes the part; `None` ends the stream.
pub type Make = Box<dyn FnMut() -> BoxFuture<'static, Option<String>> + Send>;

struct Follower {
    app: Arc<App>,
    permit: Permit,
    came_with: CameWith,
    make: Make,
    told: Option<String>,
    /// Changes with every event; `None` for parts that no event tells of.
    written: Option<watch::Receiver<i64>>,
    _slot: Slot,
}

/// Sends a part at once, and again whenever it is another one.
///
/// # Errors
/// `RATE_LIMITED` when the user has as many streams open as it may.
pub fn follow(app: Arc<App>, visitor: Visitor, make: Make) -> Result<Response, ApiError> {
    begin(app, visitor, make, None)
}

/// The same for a part that events tell of: it is looked at as soon as one was written, too.
///
/// # Errors
/// As [`follow`].
pub fn follow_events(app: Arc<App>, visitor: Visitor, make: Make) -> Result<Response, ApiError> {
    let written = app.store.events_written();
    begin(app, visitor, make, Some(written))
}

fn begin(app: Arc<App>, visitor: Visitor, make: Make, written: Option<watch::Receiver<i64>>) -> Result<Response, ApiError> {
    let slot = app.streams.open(visitor.caller.id(), app.config.limits.streams_per_user)?;
    let came_with = visitor.came_with;
    let permit = Permit::new(app.clone(), visitor.caller);
    let follower = Follower { app, permit, came_with, make, told: None, written, _slot: slot };
    Ok(at_once(Sse::new(events(follower)).keep_alive(KeepAlive::new().interval(HEARTBEAT))))
}

impl Follower {
    /// Waits until the part is to be looked at again.
    async fn due(written: &mut Option<watch::Receiver<i64>>) {
        tokio::time::sleep(RESTED).await;
        let rest = LOOKED_AT.saturating_sub(RESTED);
        match written {
            Some(written) => drop(tokio::time::timeout(rest, written.changed()).await),
            None => tokio::time::sleep(rest).await,
        }
    }

    /// Whether somebody used the login lately: a page that was left open tells nothing that it would not show if it were
    /// opened now. A store that is down is no reason to cut anybody off.
    async fn is_in_use(app: &App, came_with: CameWith) -> bool {
        !matches!(app.store.cookie(came_with.0, guard::idle(app)).await, Ok(None))
    }

    async fn next(&mut self) -> Option<String> {
        let stop = self.app.shutdown.clone();
        loop {
            if self.told.is_some() {
                tokio::select! {
                    () = Self::due(&mut self.written) => {}
                    () = self.permit.due() => {}
                    () = stop.cancelled() => return None,
                }
            }
            if !self.permit.holds().await {
                return None;
            }
            let made = (self.make)().await?;
            if self.told.as_ref() != Some(&made) {
                if self.told.is_some() && !Self::is_in_use(&self.app, self.came_with).await {
                    return None;
                }
                self.told = Some(made.clone());
                return Some(made);
            }
        }
    }
}

fn events(follower: Follower) -> impl Stream<Item = Result<Event, Infallible>> {
    futures::stream::unfold(follower, |mut follower| async move {
        let part = follower.next().await?;
        Some((Ok(Event::default().event("part").data(part.replace('\r', ""))), follower))
    })
}
