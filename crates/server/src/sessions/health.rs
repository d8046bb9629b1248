//! The check of all accounts: what is shown against what runs.
//!
//! A driver watches its own link, and `supervise` starts one that breaks down. What neither can see is a driver that is not
//! there any more, or that stands still; this check does, and starts the account again under a new generation, which fences
//! whatever is left of the old one. Sessions that nobody ever linked are removed here too.

use super::registry::{Place, Sessions};
use sanasend_model::{Reason, ReasonCode, SessionStatus, Timestamp};
use sanasend_store::StoreError;
use std::sync::Arc;
use std::time::Duration;

/// How often all accounts are looked at.
const EVERY: Duration = Duration::from_mins(1);
/// A driver with an open link goes through its loop every few seconds; one that did not for so long stands still.
const STANDS_STILL: Duration = Duration::from_mins(1);

/// What is wrong with an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It is shown in motion, and no driver runs.
    NoDriver,
    /// Its driver does nothing.
    StandsStill,
}

impl Sessions {
    /// Looks at all accounts of this node every minute until the server stops.
    pub async fn watch_health(self) {
        let stop = self.shutdown().clone();
        while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
            if stop.run_until_cancelled(self.check_health()).await.is_none() {
                return;
            }
        }
    }

    /// Looks at all accounts of this node once, and starts those again that have no driver or a dead one; answers how many.
    pub async fn check_health(&self) -> usize {
        let mut mended = 0;
        for place in self.all_places() {
            let Some(fault) = fault(&place) else { continue };
            match self.start_again(&place, fault).await {
                Ok(started) => mended += usize::from(started),
                Err(error) => tracing::warn!(session = %place.id, %error, "an account could not be started again; trying in a minute"),
            }
        }
        mended
    }

    async fn start_again(&self, place: &Arc<Place>, seen: Fault) -> Result<bool, StoreError> {
        let _gate = Self::at_the_gate(place).await;
        // Somebody may have started or stopped it while the gate was closed.
        if fault(place) != Some(seen) {
            return Ok(false);
        }
        let Some(row) = self.shared().store.session(place.id).await? else { return Ok(false) };
        if self.is_elsewhere(&row) {
            return Ok(false);
        }
        if let Some(task) = place.take_task() {
            task.abort();
        }
        if !row.linked || !row.wanted || row.network != self.network() {
            self.mend(&row).await?;
            return Ok(false);
        }
        tracing::error!(session = %place.id, fault = ?seen, "an account was left alone; starting it again");
        place.seat.show(|live| {
            live.drop_codes();
            live.status = SessionStatus::Connecting;
            let text = "The account did not answer inside the server; starting it again.";
            live.reason = Some(Reason::new(ReasonCode::Restarting, text));
        });
        self.launch(place, row, None).await?;
        Ok(true)
    }

    /// Removes sessions that were made and last changed before `before`, that no account was ever linked to and that nobody
    /// is linking now; answers how many.
    ///
    /// # Errors
    /// When the store is down.
    pub async fn sweep_never_linked(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut gone = 0;
        for id in self.shared().store.never_linked(before).await? {
            let Some(row) = self.shared().store.session(id).await?.filter(|row| !row.linked) else { continue };
            if !self.is_running(id) {
                self.delete(&row).await?;
                gone += 1;
            }
        }
        Ok(gone)
    }
}

/// What is wrong with an account, if anything. At rest nothing has to run.
fn fault(place: &Place) -> Option<Fault> {
    use SessionStatus::{Connected, Connecting, Degraded, PasskeyRequired, QrPending};
    let status = place.seat.live().status;
    match place.commands() {
        None => matches!(status, Connecting | Connected | Degraded | QrPending | PasskeyRequired).then_some(Fault::NoDriver),
        // Between two links a driver waits long, and rightly.
        Some(_) => (status == Connected && place.seat.silence() > STANDS_STILL).then_some(Fault::StandsStill),
    }
}

#[cfg(test)]
mod tests;
