//! The event log: everything that happened to a user's messages and accounts, in order, without gaps.

mod follow;
mod view;

use crate::app::App;
use crate::http::v1::streams::Permit;
use crate::http::{Answer, ApiError, Caller, Query, Success};
use axum::extract::State;
use sanasend_store::{Event, StoreError};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use view::EventView;

/// Events per answer when the caller asks for none.
const DEFAULT_LIMIT: u64 = 100;
/// Most events per answer.
const MAX_LIMIT: u64 = 1000;

/// What every server takes as `wait`; one that is set to less waits less.
const MOST_WAIT: Duration = Duration::from_mins(1);

/// Everything under `/events/`.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(list_events))
        .routes(routes!(follow::follow_events))
        .routes(routes!(follow::follow_events_by_websocket))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListEvents {
    /// The cursor of the last event that you have seen; 0 (the default) for the beginning.
    #[param(minimum = 0)]
    after: Option<i64>,
    /// Most events to answer, up to 1000; 100 when left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u64>,
    /// Seconds to wait for the first event when there is none yet (at most 60).
    #[param(minimum = 0, maximum = 60)]
    wait: Option<u64>,
}

/// Events, oldest first.
#[derive(Debug, Serialize, ToSchema)]
struct EventPage {
    /// The events behind the cursor.
    results: Vec<EventView>,
    /// What to send as `after` to go on: the cursor of the last of them, or the one that was sent when there are none.
    next_cursor: i64,
    /// Whether more are there already.
    has_more: bool,
}

/// List events
///
/// The log itself: a client that was away goes on behind the last cursor it has seen and misses nothing. With `wait` it
/// answers as soon as something happens.
#[utoipa::path(get, path = "/events/", tag = "events", params(ListEvents),
    responses((status = 200, description = "The events behind the cursor.", body = Success<EventPage>)),
    extensions(("x-scope" = json!("events:read"))))]
async fn list_events(State(app): State<Arc<App>>, caller: Caller, Query(asked): Query<ListEvents>) -> Result<Answer<EventPage>, ApiError> {
    let (after, limit, wait) = check(&app, &asked)?;
    let mut events = await_events(&app, caller, after, limit + 1, wait).await?;
    let has_more = events.len() as u64 > limit;
    events.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next_cursor = events.last().map_or(after, |event| event.seq);
    let results = events.iter().map(EventView::from).collect();
    Ok(Answer::ok("Events.", EventPage { results, next_cursor, has_more }))
}

fn check(app: &App, asked: &ListEvents) -> Result<(i64, u64, Duration), ApiError> {
    let after = asked.after.unwrap_or(0);
    let limit = asked.limit.unwrap_or(DEFAULT_LIMIT);
    let longest = app.outbox.options().longest_wait;
    let wait = Duration::from_secs(asked.wait.unwrap_or(0));
    if after < 0 {
        return Err(ApiError::field("after", "must be a cursor of an event, or 0"));
    }
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(ApiError::field("limit", format!("must be from 1 to {MAX_LIMIT}")));
    }
    let most = longest.max(MOST_WAIT);
    if wait > most {
        return Err(ApiError::field("wait", format!("must be from 0 to {} seconds", most.as_secs())));
    }
    Ok((after, limit, wait.min(longest)))
}

/// The events behind a cursor; when there are none, waits for the first. Who may not read them any more is told nothing:
/// the next request says why.
async fn await_events(app: &Arc<App>, caller: Caller, after: i64, limit: u64, wait: Duration) -> Result<Vec<Event>, StoreError> {
    let user = caller.id();
    let mut permit = Permit::new(app.clone(), caller);
    let until = tokio::time::Instant::now() + wait;
    // Followed before the first look, so that nothing falls between.
    let mut written = app.store.changes();
    loop {
        let events = app.store.events_after(user, after, limit).await?;
        if wait.is_zero() {
            return Ok(events);
        }
        if !permit.holds().await {
            return Ok(Vec::new());
        }
        if !events.is_empty() {
            return Ok(events);
        }
        let ours = async {
            // Anything but an event of somebody else is a reason to look again.
            while let Ok(event) = written.recv().await {
                if event.user_id == user {
                    break;
                }
            }
        };
        tokio::select! {
            () = ours => {}
            () = permit.due() => {}
            () = tokio::time::sleep_until(until) => return Ok(events),
            () = app.shutdown.cancelled() => return Ok(events),
        }
    }
}
