//! Going: offline, unlinked, deleted; one account, or all of a user's, or all of the server's.

use super::command::{Command, LeaveAnswer};
use super::elsewhere::Leaving;
use super::registry::{Place, Sessions};
use super::untold::tell_once;
use futures::future::join_all;
use sanasend_model::{Failure, Reason, ReasonCode, SessionStatus, UserId};
use sanasend_store::{Page, Session, SessionFilter, SessionPatch, StoreError};
use std::sync::Arc;
use std::time::Duration;

/// Rows read at once when all of a user's sessions are gone through.
const PAGE: u64 = 100;

/// What came of leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Offline, still linked.
    Offline,
    /// Unlinked, and WhatsApp knows.
    Unlinked,
    /// Unlinked here, but WhatsApp could not be told: the person has to remove the device on the phone.
    UnlinkedHereOnly,
    /// There was nothing to leave.
    Nothing,
}

impl Sessions {
    /// Takes a session offline; with `logout` also unlinks the account and erases its credentials.
    ///
    /// # Errors
    /// When the store is down. If the account runs it is left all the same, and written down as soon as the store works.
    pub async fn leave(&self, row: &Session, logout: bool) -> Result<Left, StoreError> {
        if let Some(node) = self.node_of(row).await? {
            return self.leave_elsewhere(node, row, Leaving::of(logout)).await;
        }
        let place = self.place(row);
        let _gate = Self::at_the_gate(&place).await;
        self.leave_at(&place, row, logout).await
    }

    async fn leave_at(&self, place: &Arc<Place>, row: &Session, logout: bool) -> Result<Left, StoreError> {
        let was_linked = place.seat.is_linked();
        if place.commands().is_none() {
            if !was_linked {
                return Ok(Left::Nothing);
            }
            if !logout || row.network != self.network() {
                return self.leave_without_driver(place, row, logout).await;
            }
            // Only over a link can WhatsApp be told: one is made for that.
            self.launch(place, row.clone(), None).await?;
        }
        let told = self.ask(place.id, |done: LeaveAnswer| Command::Leave { logout, done }).await.transpose()?;
        self.wait_for_end(place).await;
        match told {
            Some(told) => Ok(match (logout, was_linked, told) {
                (false, true, _) => Left::Offline,
                (true, true, true) => Left::Unlinked,
                (true, true, false) => Left::UnlinkedHereOnly,
                (_, false, _) => Left::Nothing,
            }),
            None if place.commands().is_some() => Err(StoreError::Unavailable("the account does not answer yet".into())),
            // The driver ended by itself in the same moment; what it left is put in order.
            None if place.seat.is_linked() => self.leave_without_driver(place, row, logout).await,
            None => Ok(Left::Nothing),
        }
    }

    /// Deletes a session: unlinked if it was linked, then everything of it is gone.
    ///
    /// # Errors
    /// When the store is down.
    pub async fn delete(&self, row: &Session) -> Result<Left, StoreError> {
        if let Some(node) = self.node_of(row).await? {
            let left = self.leave_elsewhere(node, row, Leaving::Delete).await?;
            self.forget(row);
            return Ok(left);
        }
        let place = self.place(row);
        let _gate = Self::at_the_gate(&place).await;
        let left = self.leave_at(&place, row, true).await?;
        self.shared().store.delete_session(row.id).await?;
        self.forget(row);
        Ok(left)
    }

    /// A user was deactivated: what waits to be sent fails, visibly.
    pub async fn user_deactivated(&self, user: UserId) {
        let text = "It was not sent: the user was deactivated.";
        for row in self.rows_of(user).await {
            if let Err(error) = self.shared().store.fail_all(row.id, Failure::UserInactive, text).await {
                tracing::warn!(session = %row.id, %error, "waiting messages of a deactivated user could not be failed");
            }
        }
    }

    /// A user is about to be deleted: its accounts are unlinked, its drivers end.
    pub async fn forget_user(&self, user: UserId) {
        for row in self.rows_of(user).await {
            if let Err(error) = self.leave(&row, true).await {
                tracing::warn!(session = %row.id, %error, "an account of a deleted user could not be unlinked");
            }
            self.forget(&row);
        }
    }

    /// Stops every driver: links are closed, what is known is written. The accounts come back with the next start.
    pub async fn stop(&self, patience: Duration) {
        self.shutdown().cancel();
        let places = self.all_places();
        let tasks: Vec<_> = places
            .iter()
            .filter_map(|place| {
                let _ = place.commands()?.send(Command::Stop);
                place.take_task()
            })
            .collect();
        let count = tasks.len();
        let ended = async {
            join_all(tasks).await;
            // What accounts were told that ended before, and what waits for its next try.
            join_all(places.iter().map(|place| tell_once(&self.shared().store, &place.seat, place.id))).await;
        };
        if tokio::time::timeout(patience, ended).await.is_err() {
            tracing::warn!(count, "some accounts did not close in time");
        }
    }

    async fn leave_without_driver(&self, place: &Place, row: &Session, logout: bool) -> Result<Left, StoreError> {
        let store = &self.shared().store;
        let generation = store.take_session(row.id).await?;
        let (status, text) = if logout {
            (SessionStatus::LoggedOut, "Logged out on request, but WhatsApp could not be told: remove the device on the phone.")
        } else {
            (SessionStatus::Disconnected, "Disconnected on request.")
        };
        let reason = Some(Reason::new(ReasonCode::Requested, text));
        let mut patch = SessionPatch { status: Some(status), reason: Some(reason.clone()), wanted: Some(false), ..SessionPatch::default() };
        if logout {
            store.erase_credentials(row.id, generation).await?;
            patch.linked = Some(false);
            store.fail_all(row.id, Failure::AccountUnlinked, "It was not sent: the account was unlinked.").await?;
        }
        store.update_session(row.id, generation, patch).await?;
        place.seat.show(|live| {
            live.drop_codes();
            live.status = status;
            live.reason = reason;
            live.linked &= !logout;
        });
        Ok(if logout { Left::UnlinkedHereOnly } else { Left::Offline })
    }

    pub(super) async fn wait_for_end(&self, place: &Place) {
        if let Some(commands) = place.commands()
            && tokio::time::timeout(Duration::from_secs(10), commands.closed()).await.is_err()
        {
            tracing::warn!(session = %place.id, "driver did not end in time");
        }
    }

    async fn rows_of(&self, user: UserId) -> Vec<Session> {
        let filter = SessionFilter { user_id: Some(user), ..SessionFilter::default() };
        let mut rows = Vec::new();
        for page in 1.. {
            match self.shared().store.list_sessions(&filter, Page { page, page_size: PAGE }).await {
                Ok(listed) => {
                    let last = (listed.results.len() as u64) < PAGE;
                    rows.extend(listed.results);
                    if last {
                        break;
                    }
                }
                Err(error) => {
                    tracing::warn!(%user, %error, "sessions of a user could not be read");
                    break;
                }
            }
        }
        rows
    }
}
