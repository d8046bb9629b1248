//! A session live: the present state first, then every change, by server-sent events or WebSocket.

use super::manage::{Which, find};
use super::view::SessionView;
use crate::app::App;
use crate::http::v1::streams::{HEARTBEAT, Permit, Slot, at_once, tell};
use crate::http::{ApiError, Caller, Query};
use crate::sessions::Live;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::response::Response;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use sanasend_model::SessionId;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::watch;

/// Everything that a stream of one session needs.
struct Follower {
    pub(crate) app: Arc<App>,
    pub(crate) permit: Permit,
    pub(crate) id: SessionId,
    pub(crate) live: watch::Receiver<Live>,
    /// Whether there is a state to look at; it stays so until the look is through, which may be dropped halfway.
    pub(crate) is_changed: bool,
    pub(crate) told: Option<SessionView>,
    pub(crate) _slot: Slot,
}

/// Follow a session live (server-sent events)
///
/// An event `session` with the present state, then one with every change: status, QR code, pairing code, name. A
/// comment every 15 seconds keeps the connection open. It ends when the session is deleted or the server stops.
#[utoipa::path(get, path = "/sessions/events/", tag = "sessions", params(Which),
    responses((status = 200, description = "A stream of events; `data` is a session as in `GET /sessions/status/`.", content_type = "text/event-stream", body = String)),
    extensions(("x-scope" = json!("sessions:read")), ("x-error-codes" = json!(["NOT_FOUND"]))))]
pub(crate) async fn follow_session(State(app): State<Arc<App>>, caller: Caller, Query(which): Query<Which>) -> Result<Response, ApiError> {
    let follower = Follower::new(app, caller, &which).await?;
    Ok(at_once(Sse::new(events(follower)).keep_alive(KeepAlive::new().interval(HEARTBEAT))))
}

/// Follow a session live (WebSocket)
///
/// The same as `/sessions/events/`, each state as one text message of JSON.
#[utoipa::path(get, path = "/sessions/events/ws/", tag = "sessions", params(Which),
    responses((status = 101, description = "A WebSocket; each message is a session as in `GET /sessions/status/`.")),
    extensions(("x-scope" = json!("sessions:read")), ("x-error-codes" = json!(["NOT_FOUND", "BAD_REQUEST"]))))]
pub(crate) async fn follow_session_by_websocket(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(which): Query<Which>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let upgrade = upgrade.map_err(|_| ApiError::because(crate::http::ErrorCode::BadRequest, "This path wants a WebSocket."))?;
    let follower = Follower::new(app, caller, &which).await?;
    Ok(upgrade.max_message_size(1024).max_frame_size(1024).on_upgrade(move |socket| tell(socket, texts(follower))))
}

impl Follower {
    async fn new(app: Arc<App>, caller: Caller, which: &Which) -> Result<Self, ApiError> {
        let row = find(&app, &caller, which).await?;
        let slot = app.streams.open(caller.id(), app.config.limits.streams_per_user)?;
        let live = app.sessions.watch(&row);
        let permit = Permit::new(app.clone(), caller);
        Ok(Self { id: row.id, app, permit, live, is_changed: true, told: None, _slot: slot })
    }

    /// The next state that differs from what was told last; `None` at the end. May be dropped and called again without
    /// losing anything.
    async fn next(&mut self) -> Option<SessionView> {
        let stop = self.app.shutdown.clone();
        loop {
            if !self.permit.holds().await {
                return None;
            }
            if self.is_changed {
                let view = self.look().await?;
                self.is_changed = false;
                if self.told.as_ref() != Some(&view) {
                    self.told = Some(view.clone());
                    return Some(view);
                }
            }
            tokio::select! {
                changed = self.live.changed() => {
                    changed.ok()?;
                    self.is_changed = true;
                }
                () = self.permit.due() => if matches!(self.app.store.session(self.id).await, Ok(None)) { return None },
                () = stop.cancelled() => return None,
            }
        }
    }

    async fn look(&mut self) -> Option<SessionView> {
        let live = self.live.borrow_and_update().clone();
        let row = self.row().await?;
        let last_active = self.app.sessions.last_active(&row);
        let mut view = SessionView::new(row, live, last_active);
        // These change without anything having happened that a follower waits for.
        if let Some(told) = &self.told {
            (view.last_active_at, view.updated_at) = (told.last_active_at, told.updated_at);
        }
        Some(view)
    }

    async fn row(&self) -> Option<sanasend_store::Session> {
        self.app.store.session(self.id).await.ok().flatten()
    }
}

fn events(follower: Follower) -> impl Stream<Item = Result<Event, Infallible>> {
    futures::stream::unfold(follower, |mut follower| async move {
        let view = follower.next().await?;
        let event = Event::default().event("session").json_data(&view).unwrap_or_default();
        Some((Ok(event), follower))
    })
}

fn texts(follower: Follower) -> impl Stream<Item = String> {
    futures::stream::unfold(follower, |mut follower| async move {
        let view = follower.next().await?;
        let text = serde_json::to_string(&view).ok()?;
        Some((text, follower))
    })
}
