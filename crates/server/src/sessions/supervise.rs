//! Keeps an account's driver alive: one that breaks down is logged and started again, with a new generation, so
//! that a fault never silences an account.

use super::command::Command;
use super::driver::{Driver, Exit, Start};
use super::seat::Seat;
use super::shared::Shared;
use futures::FutureExt as _;
use sanasend_model::{Reason, ReasonCode, SessionId, SessionStatus};
use sanasend_store::StoreError;
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

/// First wait after a break-down; doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Longest wait after a break-down.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Runs drivers until one ends by its own will.
pub(super) async fn supervise(shared: Arc<Shared>, seat: Arc<Seat>, mut commands: UnboundedReceiver<Command>, start: Start) {
    let session = start.session.id;
    let mut next = Some(start);
    let mut wait = FIRST_WAIT;
    while let Some(start) = next.take() {
        let driver = Driver::new(shared.clone(), seat.clone(), &mut commands, start);
        match guarded(session, driver.run()).await {
            Some(Exit::Done) => {}
            Some(Exit::Fenced) => {
                tracing::warn!(%session, "another owner has taken over the account; this one stops");
                rest(&seat, SessionStatus::Disconnected, Reason::new(ReasonCode::Elsewhere, "Another server runs this account."));
            }
            None => {
                let text = "Something went wrong inside the server; starting the account again.";
                rest(&seat, SessionStatus::Connecting, Reason::new(ReasonCode::Restarting, text));
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
                next = again(&shared, session, &mut commands).await;
            }
        }
    }
    // From here on nobody hears: who sends, finds the door closed.
    commands.close();
}

/// Runs a driver to its end; `None` when it broke down.
async fn guarded(session: SessionId, driver: impl Future<Output = Exit>) -> Option<Exit> {
    let ended = AssertUnwindSafe(driver).catch_unwind().await;
    ended.inspect_err(|cause| tracing::error!(%session, cause = what(cause.as_ref()), "driver broke down; starting it again")).ok()
}

fn rest(seat: &Seat, status: SessionStatus, reason: Reason) {
    seat.show(|live| {
        live.drop_codes();
        live.status = status;
        live.reason = Some(reason);
    });
}

/// What a new driver starts with after a break-down; `None` when the session is gone or the server stops.
async fn again(shared: &Shared, session: SessionId, commands: &mut UnboundedReceiver<Command>) -> Option<Start> {
    loop {
        match take(shared, session).await {
            Ok(start) => return start,
            Err(error) => tracing::warn!(%session, %error, "the account can't be started again yet"),
        }
        tokio::select! {
            () = tokio::time::sleep(FIRST_WAIT) => {}
            command = commands.recv() => if matches!(command, None | Some(Command::Stop)) { return None },
        }
    }
}

async fn take(shared: &Shared, id: SessionId) -> Result<Option<Start>, StoreError> {
    let Some(session) = shared.store.session(id).await? else { return Ok(None) };
    let generation = shared.store.take_session(id).await?;
    let signal = shared.store.signal(id, generation);
    Ok(Some(Start { session, generation, signal, pair_by_code: None }))
}

/// The message of a panic, where it has one.
fn what(cause: &(dyn Any + Send)) -> &str {
    cause.downcast_ref::<&str>().copied().or_else(|| cause.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_break_down_is_caught_and_told_from_an_end() {
        let session: SessionId = "0190a000-0000-7000-8000-000000000001".parse().expect("id");
        assert_eq!(guarded(session, async { panic!("deliberate") }).await, None);
        assert_eq!(guarded(session, async { Exit::Done }).await, Some(Exit::Done));
    }
}
