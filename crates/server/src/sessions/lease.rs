//! Several nodes on one database: this one's lease of life, and the accounts of nodes that died.
//!
//! A node renews its lease every second. One that could not do so in time closes all its links before the lease ends by the
//! database's clock, because from then on another node may open them; it writes nothing more, and what it still wrote
//! would be refused for its old generation. Every second each node also looks for accounts that no living node runs, and
//! takes them. On SQLite none of this happens.

use super::command::Command;
use super::live::Live;
use super::registry::Sessions;
use sanasend_model::{EventKind, Reason, ReasonCode, SessionId, SessionStatus};
use sanasend_store::Event;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

/// How long a node is believed to live after it last said so. With the look every second and the time to connect, an account
/// is up again within 15 s of its node's death.
pub const LEASE: Duration = Duration::from_secs(10);
/// So long before the end of its lease a node closes its links.
const MARGIN: Duration = Duration::from_secs(2);
/// How often the lease is renewed and free accounts are looked for.
const EVERY: Duration = Duration::from_secs(1);
/// How long a driver may take to close its link before it is cut.
const YIELD_WAIT: Duration = Duration::from_secs(1);
/// An account that was just begun to be brought back is left alone for this time.
const LEFT_ALONE: Duration = Duration::from_secs(30);
/// Accounts of a dead node are taken spread over this time, so that the nodes that are left share them.
const SPREAD: Duration = Duration::from_millis(500);

impl Sessions {
    /// Keeps this node's lease and takes accounts of dead nodes until the server stops; ends at once where there is only one node.
    pub async fn keep_lease(self) {
        let Some(node) = self.shared().store.node() else { return };
        let stop = self.shutdown().clone();
        let work = async { tokio::join!(self.renew(node), self.hear_others(), self.answer_calls(node)) };
        stop.run_until_cancelled(work).await;
    }

    async fn renew(&self, node: Uuid) {
        let (mut good, mut held) = (Instant::now(), true);
        let mut begun = HashMap::new();
        loop {
            let (sent, end) = (Instant::now(), good + LEASE - MARGIN);
            let renewed = tokio::select! {
                biased;
                () = sleep_until(end), if held => None,
                renewed = self.shared().store.renew_node(node, LEASE) => Some(renewed),
            };
            match renewed {
                Some(Ok(())) => {
                    self.take_free(node, !held, &mut begun).await;
                    (good, held) = (sent, true);
                }
                Some(Err(error)) => tracing::warn!(%error, "this node's lease could not be renewed"),
                None => {
                    tracing::error!("this node's lease is over; its accounts are closed, so that another node can open them");
                    held = false;
                    begun.clear();
                    self.let_all_go().await;
                }
            }
            sleep(EVERY).await;
        }
    }

    /// Brings accounts back that no living node runs; with `own` also those of this node that do not run.
    async fn take_free(&self, node: Uuid, own: bool, begun: &mut HashMap<SessionId, Instant>) {
        let mut free = match self.shared().store.free_sessions(node, own).await {
            Ok(free) => free,
            Err(error) => return tracing::debug!(%error, "accounts of other nodes can't be looked for"),
        };
        begun.retain(|_, at| at.elapsed() < LEFT_ALONE);
        free.retain(|row| !self.is_running(row.id) && !begun.contains_key(&row.id));
        for row in self.show_connecting(free) {
            tracing::info!(session = %row.id, "taking over an account that no node runs");
            begun.insert(row.id, Instant::now());
            let (sessions, stop, delay) = (self.clone(), self.shutdown().clone(), SPREAD.mul_f64(self.fraction()));
            tokio::spawn(async move { stop.run_until_cancelled(sessions.bring_one_back(row.id, delay)).await });
        }
    }

    /// Closes every link at once and writes nothing.
    async fn let_all_go(&self) {
        let mut tasks = Vec::new();
        for place in self.all_places() {
            let Some(commands) = place.commands() else { continue };
            let _ = commands.send(Command::Yield);
            if let Some(task) = place.take_task() {
                tasks.push((place, task));
            }
        }
        let until = Instant::now() + YIELD_WAIT;
        for (place, mut task) in tasks {
            if tokio::time::timeout_at(until, &mut task).await.is_err() {
                // It waits for the database; dropping it cuts its link.
                task.abort();
            }
            place.seat.show(|live| {
                live.drop_codes();
                live.status = SessionStatus::Disconnected;
                let text = "The server lost touch with the database; the account comes back with it.";
                live.reason = Some(Reason::new(ReasonCode::Restarting, text));
            });
        }
    }

    /// Rings where other nodes accepted messages for accounts of this one, and keeps what is shown of theirs true.
    async fn hear_others(&self) {
        let mut changes = self.shared().store.changes();
        loop {
            match changes.recv().await {
                Ok(event) => self.heard(&event).await,
                Err(RecvError::Lagged(_)) => self.all_places().iter().for_each(|place| place.seat.ring()),
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn heard(&self, event: &Arc<Event>) {
        let Some(session) = event.session_id else { return };
        match event.kind {
            EventKind::MessageAccepted | EventKind::MessageRetried | EventKind::MessageReleased | EventKind::MessageCanceled => {
                self.wake(session);
            }
            EventKind::SessionChanged if !self.is_running(session) => self.show_elsewhere(session).await,
            _ => {}
        }
    }

    /// Shows what the row says of an account that another node runs.
    pub(super) async fn show_elsewhere(&self, session: SessionId) {
        let Some(place) = self.find_place(session) else { return };
        if let Ok(Some(row)) = self.shared().store.session(session).await
            && self.is_elsewhere(&row)
        {
            place.seat.show(|live| *live = Live::elsewhere(&row));
        }
    }
}
