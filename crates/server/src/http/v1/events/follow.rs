//! The event log live: from a cursor, without gaps, by server-sent events or WebSocket.
//!
//! A follower reads the log until it has caught up, then takes events as they are committed; when it was too slow for
//! those, it reads the log again. What it told last is its cursor, so nothing is told twice and nothing left out.

use super::view::EventView;
use crate::app::App;
use crate::http::v1::streams::{HEARTBEAT, Permit, Slot, at_once, tell};
use crate::http::{ApiError, Caller, ErrorCode, Query};
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use futures::Stream;
use sanasend_model::UserId;
use sanasend_store::Event;
use serde::Deserialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use utoipa::IntoParams;

/// Events read from the log at once.
const BATCH: u64 = 200;
/// How long the store is left alone when it can't be read.
const TRY_AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct FollowEvents {
    /// The cursor of the last event that you have seen; 0 for the beginning. Left out: from now on.
    #[param(minimum = 0)]
    after: Option<i64>,
}

/// One user's place in the log.
struct Follower {
    app: Arc<App>,
    user: UserId,
    permit: Permit,
    cursor: i64,
    /// Whether everything up to the last commit was told, so that committed events can be taken as they come.
    caught_up: bool,
    ready: VecDeque<Arc<Event>>,
    committed: Receiver<Arc<Event>>,
    _slot: Slot,
}

/// Follow events live (server-sent events)
///
/// The log from a cursor on: what you missed, then everything as it happens. `id` of each is its cursor; a browser
/// sends it by itself as `Last-Event-ID` when it comes back. A comment every 15 seconds keeps the connection open.
#[utoipa::path(get, path = "/events/stream/", tag = "events",
    params(FollowEvents, ("Last-Event-ID" = Option<i64>, Header, description = "The same as `after`; `after` wins.")),
    responses((status = 200, description = "A stream; `event` is the type, `data` an event as in `GET /events/`.", content_type = "text/event-stream", body = String)),
    extensions(("x-scope" = json!("events:read"))))]
pub(super) async fn follow_events(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(asked): Query<FollowEvents>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let follower = Follower::new(app, caller, &asked, &headers)?;
    Ok(at_once(Sse::new(stream(follower)).keep_alive(KeepAlive::new().interval(HEARTBEAT))))
}

/// Follow events live (WebSocket)
///
/// The same as `/events/stream/`, each event as one text message of JSON.
#[utoipa::path(get, path = "/events/ws/", tag = "events", params(FollowEvents),
    responses((status = 101, description = "A WebSocket; each message is an event as in `GET /events/`.")),
    extensions(("x-scope" = json!("events:read")), ("x-error-codes" = json!(["BAD_REQUEST"]))))]
pub(super) async fn follow_events_by_websocket(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(asked): Query<FollowEvents>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let upgrade = upgrade.map_err(|_| ApiError::because(ErrorCode::BadRequest, "This path wants a WebSocket."))?;
    let follower = Follower::new(app, caller, &asked, &headers)?;
    Ok(upgrade.max_message_size(1024).max_frame_size(1024).on_upgrade(move |socket| tell(socket, texts(follower))))
}

impl Follower {
    fn new(app: Arc<App>, caller: Caller, asked: &FollowEvents, headers: &HeaderMap) -> Result<Self, ApiError> {
        let committed = app.store.changes();
        let now = *app.store.events_written().borrow();
        let last_seen = headers.get("last-event-id").and_then(|value| value.to_str().ok()).and_then(|text| text.trim().parse().ok());
        let cursor = asked.after.or(last_seen).unwrap_or(now);
        if cursor < 0 {
            return Err(ApiError::field("after", "must be a cursor of an event, or 0"));
        }
        let user = caller.id();
        let slot = app.streams.open(user, app.config.limits.streams_per_user)?;
        let permit = Permit::new(app.clone(), caller);
        Ok(Self { app, user, permit, cursor, caught_up: false, ready: VecDeque::new(), committed, _slot: slot })
    }

    /// The next event; `None` at the end. May be dropped and called again without losing anything.
    async fn next(&mut self) -> Option<Arc<Event>> {
        let stop = self.app.shutdown.clone();
        loop {
            if !self.permit.holds().await {
                return None;
            }
            while let Some(event) = self.ready.pop_front() {
                if event.seq > self.cursor {
                    self.cursor = event.seq;
                    return Some(event);
                }
            }
            if !self.caught_up {
                tokio::select! {
                    () = self.read_log() => continue,
                    () = stop.cancelled() => return None,
                }
            }
            tokio::select! {
                committed = self.committed.recv() => self.take(committed)?,
                () = self.permit.due() => {}
                () = stop.cancelled() => return None,
            }
        }
    }

    /// Reads on from the cursor. What was committed before this look is in the log, so the waiting events are old.
    async fn read_log(&mut self) {
        while let Ok(_) | Err(TryRecvError::Lagged(_)) = self.committed.try_recv() {}
        match self.app.store.events_after(self.user, self.cursor, BATCH).await {
            Ok(events) => {
                self.caught_up = (events.len() as u64) < BATCH;
                self.ready.extend(events.into_iter().map(Arc::new));
            }
            Err(error) => {
                tracing::warn!(%error, "a stream waits for the store");
                tokio::time::sleep(TRY_AGAIN).await;
            }
        }
    }

    fn take(&mut self, committed: Result<Arc<Event>, RecvError>) -> Option<()> {
        match committed {
            Ok(event) if event.user_id == self.user => self.ready.push_back(event),
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => self.caught_up = false,
            Err(RecvError::Closed) => return None,
        }
        Some(())
    }
}

fn stream(follower: Follower) -> impl Stream<Item = Result<Sent, Infallible>> {
    futures::stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        let sent = Sent::default().id(event.seq.to_string()).event(event.kind.as_str());
        let sent = sent.json_data(EventView::from(event.as_ref())).unwrap_or_default();
        Some((Ok(sent), follower))
    })
}

fn texts(follower: Follower) -> impl Stream<Item = String> {
    futures::stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        let text = serde_json::to_string(&EventView::from(event.as_ref())).ok()?;
        Some((text, follower))
    })
}
