//! Accounts come back by themselves after a restart: all that were linked and not taken offline by their owner,
//! spread over a while so that WhatsApp sees no storm.

use super::registry::Sessions;
use sanasend_model::{Reason, ReasonCode, SessionId, SessionStatus, Timestamp};
use sanasend_store::{Session, SessionPatch, StoreError};
use std::time::Duration;

/// Accounts that are started in a second; the engine admits a limited number of handshakes at once besides.
const STARTS_PER_SECOND: u64 = 400;
/// How long the store is left alone when it can't be read at the start.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// What was acknowledged so shortly before this start and has not arrived is sent again, under the same id: the end of
/// the last process may have swallowed the recipient's wish for it. Longer than a client takes to ask.
const UNPROVEN: Duration = Duration::from_mins(2);
/// Rows that are mended in one go.
const PIECE: u32 = 100;

/// Statuses that no row can truly have while nothing runs.
const IN_MOTION: [SessionStatus; 4] =
    [SessionStatus::QrPending, SessionStatus::PasskeyRequired, SessionStatus::Connecting, SessionStatus::Connected];

impl Sessions {
    /// Brings the wanted accounts back, in the background, and puts rows in order that a crash left in motion.
    pub async fn start(&self) {
        let sessions = self.clone();
        let stop = self.shutdown().clone();
        // The truth is shown before the first request is answered, when the store can be read at once.
        let wanted = match self.wanted().await {
            Ok(wanted) => Some(self.show_connecting(wanted)),
            Err(error) => {
                tracing::warn!(%error, "linked accounts can't be read yet");
                None
            }
        };
        tokio::spawn(async move { stop.run_until_cancelled(sessions.bring_back(wanted)).await });
    }

    async fn bring_back(self, wanted: Option<Vec<Session>>) {
        let wanted = match wanted {
            Some(wanted) => wanted,
            None => loop {
                tokio::time::sleep(TRY_AGAIN).await;
                if let Ok(wanted) = self.wanted().await {
                    break self.show_connecting(wanted);
                }
            },
        };
        if !wanted.is_empty() {
            tracing::info!(count = wanted.len(), "bringing linked accounts back");
        }
        let spread = Duration::from_millis(wanted.len() as u64 * 1000 / STARTS_PER_SECOND);
        for row in wanted {
            let sessions = self.clone();
            let stop = self.shutdown().clone();
            let delay = spread.mul_f64(self.fraction());
            tokio::spawn(async move { stop.run_until_cancelled(sessions.bring_one_back(row.id, delay)).await });
        }
        self.mend_rows().await;
    }

    /// The accounts to bring back: all, or, where several nodes share the database, those that no other one runs.
    async fn wanted(&self) -> Result<Vec<Session>, StoreError> {
        match self.shared().store.node() {
            Some(node) => self.shared().store.free_sessions(node, true).await,
            None => self.shared().store.wanted_sessions().await,
        }
    }

    pub(super) async fn bring_one_back(self, id: SessionId, delay: Duration) {
        tokio::time::sleep(delay).await;
        let since = self.now().minus(UNPROVEN);
        let mut is_sent_again = self.send_again(id, since).await;
        loop {
            match self.bring_online(id).await {
                Ok(true) => break,
                // Gone meanwhile, or taken offline.
                Ok(false) | Err(StoreError::Conflict { .. }) => return,
                // Another node was faster.
                Err(StoreError::Fenced) => return self.show_elsewhere(id).await,
                Err(error) => tracing::warn!(session = %id, %error, "account can't be started yet"),
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
        // Nobody else looks for them before the next start, and wishes of an account that runs are forgotten after a while.
        while !is_sent_again && self.is_running(id) {
            tokio::time::sleep(TRY_AGAIN).await;
            is_sent_again = self.send_again(id, since).await;
            self.wake(id);
        }
    }

    /// Puts back on their way what may not have arrived before this start; `false` when the store has to be asked again.
    async fn send_again(&self, id: SessionId, since: Timestamp) -> bool {
        match self.shared().store.send_again(id, since).await {
            Ok(0) => true,
            Ok(count) => {
                tracing::info!(session = %id, count, "messages that may not have arrived are sent again");
                true
            }
            Err(error) => {
                tracing::warn!(session = %id, %error, "messages that may not have arrived can't be looked for");
                !matches!(error, StoreError::Unavailable(_))
            }
        }
    }

    /// Starts an account unless its owner took it offline since it was looked for; says whether it was started.
    async fn bring_online(&self, id: SessionId) -> Result<bool, StoreError> {
        let row = self.shared().store.session(id).await?.filter(|row| row.linked && row.wanted);
        let Some(row) = row else { return Ok(false) };
        if self.node_of(&row).await?.is_some() {
            return Err(StoreError::Fenced);
        }
        self.reconnect(&row).await
    }

    /// Shows what is about to happen, and returns the accounts that this server may open.
    pub(super) fn show_connecting(&self, wanted: Vec<Session>) -> Vec<Session> {
        let (ours, others): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|row| row.network == self.network());
        for row in &others {
            tracing::warn!(session = %row.id, network = row.network.as_str(), "account of another network stays closed");
        }
        for row in &ours {
            self.place(row).seat.show(|live| {
                live.status = SessionStatus::Connecting;
                live.reason = Some(Reason::new(ReasonCode::Restarting, "The server was restarted; reconnecting."));
            });
        }
        ours
    }

    /// Rows that were in motion when the process ended, and are not wanted: nothing moves them any more.
    async fn mend_rows(&self) {
        let mut behind = Some(SessionId(uuid::Uuid::nil()));
        while let Some(last) = behind {
            match self.shared().store.sessions_left_in(IN_MOTION, self.network(), last, PIECE).await {
                Ok((rows, next)) => {
                    self.mend_some(&rows).await;
                    behind = next;
                }
                Err(error) => {
                    tracing::warn!(%error, "rows of sessions can't be looked through yet");
                    tokio::time::sleep(TRY_AGAIN).await;
                }
            }
        }
    }

    async fn mend_some(&self, rows: &[Session]) {
        for row in rows.iter().filter(|row| !self.is_elsewhere(row)) {
            if let Err(error) = self.mend_at_rest(row).await {
                tracing::warn!(session = %row.id, %error, "row could not be put in order");
            }
        }
    }

    async fn mend_at_rest(&self, row: &Session) -> Result<(), StoreError> {
        let place = self.place(row);
        let _gate = Self::at_the_gate(&place).await;
        if place.commands().is_some() { Ok(()) } else { self.mend(row).await }
    }

    /// Writes down of a session that nothing runs for what is true then. The gate of its place must be held.
    pub(super) async fn mend(&self, row: &Session) -> Result<(), StoreError> {
        let live = self.resting(row);
        self.place(row).seat.show(|shown| {
            shown.drop_codes();
            (shown.status, shown.reason) = (live.status, live.reason.clone());
        });
        let generation = self.shared().store.take_session(row.id).await?;
        let patch = SessionPatch { status: Some(live.status), reason: Some(live.reason), ..SessionPatch::default() };
        self.shared().store.update_session(row.id, generation, patch).await.map(drop)
    }

    /// A random number from 0 to 1.
    pub(super) fn fraction(&self) -> f64 {
        let mut random = [0_u8; 2];
        self.shared().clock.fill(&mut random);
        f64::from(u16::from_be_bytes(random)) / f64::from(u16::MAX)
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.shared().clock.now()
    }
}
