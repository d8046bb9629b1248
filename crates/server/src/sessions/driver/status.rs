//! The truth, told twice: at once to who watches, and to the row as soon as the store takes it.

use super::{DEAD_FOR, Driver, Exit, HEALTH_EVERY, Link, Now, REFUSED_FOR, Silence, Turn};
use sanasend_model::session::LinkEnd;
use sanasend_model::{Failure, Reason, ReasonCode, SessionStatus, Timestamp};
use sanasend_store::{SessionPatch, StoreError};
use std::sync::Arc;
use std::time::Duration;

/// How long the row may lag behind while the store is down.
const SAVE_AGAIN: Duration = Duration::from_secs(1);

impl Driver<'_> {
    /// Shows a status and writes it down. Codes belong to `qr_pending` and `passkey_required` alone.
    pub(super) async fn show_and_save(&mut self, status: SessionStatus, reason: Option<Reason>) -> Result<(), Exit> {
        self.seat.show(|live| {
            if !matches!(status, SessionStatus::QrPending | SessionStatus::PasskeyRequired) {
                live.drop_codes();
            }
            live.status = status;
            live.reason.clone_from(&reason);
        });
        let live = self.seat.live();
        let trouble = matches!(status, SessionStatus::Failed | SessionStatus::LoggedOut | SessionStatus::Degraded);
        let patch = SessionPatch {
            status: Some(status),
            reason: Some(reason.clone()),
            connected_at: Some(live.connected_at),
            last_active_at: Some(self.seat.last_active()),
            last_error: trouble.then_some(reason),
            ..SessionPatch::default()
        };
        self.remember(patch).await
    }

    /// Writes a change of the row, now or as soon as the store is back.
    pub(super) async fn remember(&mut self, patch: SessionPatch) -> Result<(), Exit> {
        self.unsaved = Some(match self.unsaved.take() {
            Some(earlier) => merge(earlier, patch),
            None => patch,
        });
        // A store that was down a moment ago is left alone.
        if self.save_again.is_some_and(|again| again > tokio::time::Instant::now()) { Ok(()) } else { self.save().await }
    }

    /// Writes what the store does not know yet.
    pub(super) async fn save(&mut self) -> Result<(), Exit> {
        self.save_again = None;
        match self.write().await {
            Ok(()) => Ok(()),
            Err(StoreError::Fenced) => Err(Exit::Fenced),
            Err(error) => {
                tracing::warn!(session = %self.session.id, %error, "the state of the account could not be written yet");
                self.save_again = Some(tokio::time::Instant::now() + SAVE_AGAIN);
                Ok(())
            }
        }
    }

    async fn write(&mut self) -> Result<(), StoreError> {
        let (store, id) = (self.shared.store.clone(), self.session.id);
        if let Some(text) = &self.unerased {
            store.erase_credentials(id, self.generation).await?;
            store.fail_all(id, Failure::AccountUnlinked, text).await?;
            self.unerased = None;
        }
        if let Some(patch) = &self.unsaved {
            self.session = store.update_session(id, self.generation, patch.clone()).await?;
            self.unsaved = None;
        }
        Ok(())
    }

    /// Whether the store does not know everything yet.
    pub(super) fn is_behind(&self) -> bool {
        self.unsaved.is_some() || self.unerased.is_some()
    }

    /// The account is unlinked: its credentials go, and what waits to be sent fails.
    pub(super) async fn erase(&mut self, reason: &str) -> Result<(), Exit> {
        let now = self.now();
        self.flights.ground(now);
        // What WhatsApp has taken is known to be sent before the rest fails.
        self.settle_the_rest().await;
        self.seat.show(|live| {
            live.linked = false;
            live.limited_until = None;
            live.drop_codes();
        });
        // Somebody may wait for the answer: tried now, however the store did a moment ago.
        self.save_again = None;
        self.unerased = Some(format!("It was not sent: {reason}"));
        self.session.linked = false;
        let patch = SessionPatch { linked: Some(false), wanted: Some(false), limited_until: Some(None), ..SessionPatch::default() };
        self.remember(patch).await
    }

    /// WhatsApp limits the account for a time.
    pub(super) async fn limited(&mut self, until: Option<Timestamp>) -> Result<(), Exit> {
        self.seat.show(|live| live.limited_until = until);
        self.remember(SessionPatch { limited_until: Some(until), ..SessionPatch::default() }).await
    }

    /// Nothing answers although the link says that it is connected.
    pub(super) async fn fell_silent(&mut self, now: Now, unanswered: bool, reason: &str) -> Result<(), Exit> {
        if let Some(silence) = &mut self.silence {
            silence.unanswered |= unanswered;
            return Ok(());
        }
        self.silence = Some(Silence { since: now.instant, unanswered });
        self.show_and_save(SessionStatus::Degraded, Some(Reason::new(ReasonCode::Silent, reason))).await
    }

    /// Something came from WhatsApp: the link is what it says.
    pub(super) async fn sign_of_life(&mut self) -> Result<(), Exit> {
        self.seat.touch();
        if self.silence.take().is_some() && self.connected {
            let (status, reason) = self.standing();
            self.show_and_save(status, reason).await?;
        }
        Ok(())
    }

    /// The status of a connected account, and why while WhatsApp limits it.
    pub(super) fn standing(&self) -> (SessionStatus, Option<Reason>) {
        let limit = self.seat.limited_until().filter(|until| *until > self.shared.clock.now());
        (SessionStatus::Connected, limit.map(|until| Reason::reachout_limited(Some(until))))
    }

    /// Looks whether what the link tells can be kept, whether a link that says it is connected is alive, and whether a limit is
    /// over.
    pub(super) async fn check_health(&mut self, link: &Arc<Link>, now: Now) -> Result<(), Turn> {
        self.health = now.instant + HEALTH_EVERY;
        if self.refused_since.is_some_and(|since| now.instant.duration_since(since) >= REFUSED_FOR) {
            tracing::warn!(session = %self.session.id, "the database takes no news; closing the link, so that WhatsApp keeps what it has to tell");
            link.close().await;
            return Err(Turn::Ended(LinkEnd::Lost { reason: "the database takes no news".into() }));
        }
        if !self.connected {
            return Ok(());
        }
        let alive = link.is_alive();
        if !alive {
            self.fell_silent(now, false, "Connected, but the connection is dead.").await?;
        }
        if self.silence.as_ref().is_some_and(|silence| now.instant.duration_since(silence.since) >= DEAD_FOR) {
            tracing::warn!(session = %self.session.id, "nothing answers; building a new link");
            link.close().await;
            return Err(Turn::Ended(LinkEnd::Lost { reason: "nothing answered".into() }));
        }
        if alive && self.silence.as_ref().is_some_and(|silence| !silence.unanswered) {
            // It was dead and is not any more; what waits for acknowledgements waits for those.
            self.sign_of_life().await?;
        }
        if self.seat.limited_until().is_some_and(|until| until <= now.at) {
            self.limited(None).await?;
            let (status, reason) = self.standing();
            self.show_and_save(status, reason).await?;
        }
        Ok(())
    }
}

/// `later` over `earlier`, field by field.
fn merge(earlier: SessionPatch, later: SessionPatch) -> SessionPatch {
    SessionPatch {
        status: later.status.or(earlier.status),
        reason: later.reason.or(earlier.reason),
        phone: later.phone.or(earlier.phone),
        jid: later.jid.or(earlier.jid),
        lid: later.lid.or(earlier.lid),
        push_name: later.push_name.or(earlier.push_name),
        linked: later.linked.or(earlier.linked),
        wanted: later.wanted.or(earlier.wanted),
        connected_at: later.connected_at.or(earlier.connected_at),
        last_active_at: later.last_active_at.or(earlier.last_active_at),
        last_error: later.last_error.or(earlier.last_error),
        limited_until: later.limited_until.or(earlier.limited_until),
    }
}
