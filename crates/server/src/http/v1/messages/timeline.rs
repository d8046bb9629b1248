//! What happened to a message, and what it waits for at this moment.

use crate::app::App;
use sanasend_model::pacing::moment;
use sanasend_model::{Direction, MessageStatus, Step};
use sanasend_store::{Message, StoreError, TimelineEntry};

/// The timeline of a message. While its account is held back, the last step of one that was never taken up says so; once it
/// was, a step that is written down tells how long that was.
///
/// # Errors
/// When the store is down.
pub(crate) async fn timeline(app: &App, message: &Message) -> Result<Vec<TimelineEntry>, StoreError> {
    let mut steps = app.store.timeline(message.id).await?;
    let waits = message.direction == Direction::Outbound && message.status == MessageStatus::Pending && message.attempts == 0;
    if waits && let Some(row) = app.store.session(message.session_id).await? {
        app.sessions.look(&row).await;
        if let Some(since) = app.sessions.live(&row).paced_since {
            let at = since.max(message.created_at);
            let detail = Some(format!("held since {}: account pacing", moment(at, app.clock.now())));
            steps.push(TimelineEntry { at, step: Step::Held, attempt: 0, detail });
        }
    }
    Ok(steps)
}
