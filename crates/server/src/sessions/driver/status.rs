//! The truth, told twice: at once to who watches, and to the row as soon as the store takes it.

use super::{DEAD_FOR, Driver, Exit, HEALTH_EVERY, Link, Now, REFUSED_FOR, Turn};
use sanasend_model::session::{LinkEnd, Warning};
use sanasend_model::{Failure, SessionStatus, Timestamp};
use sanasend_store::{SessionPatch, StoreError};
use std::sync::Arc;
use std::time::Duration;

/// How long the row may lag behind while the store is down.
const SAVE_AGAIN: Duration = Duration::from_secs(1);

impl Driver<'_> {
    /// Shows a status and writes it down. Codes belong to `qr_pending` and `passkey_required` alone.
    pub(super) async fn show_and_save(&mut self, status: SessionStatus, reason: Option<String>) -> Result<(), Exit> {
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
        self.save().await
    }

    /// Writes what the row does not say yet.
    pub(super) async fn save(&mut self) -> Result<(), Exit> {
        self.save_again = None;
        let Some(patch) = self.unsaved.take() else { return Ok(()) };
        match self.shared.store.update_session(self.session.id, self.generation, patch.clone()).await {
            Ok(session) => self.session = session,
            Err(StoreError::Fenced) => return Err(Exit::Fenced),
            Err(error) => {
                tracing::warn!(session = %self.session.id, %error, "the state of the account could not be written yet");
                self.unsaved = Some(patch);
                self.save_again = Some(tokio::time::Instant::now() + SAVE_AGAIN);
            }
        }
        Ok(())
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
        let was_linked = self.session.linked;
        match self.shared.store.erase_credentials(self.session.id, self.generation).await {
            Ok(()) => {}
            Err(StoreError::Fenced) => return Err(Exit::Fenced),
            Err(error) => tracing::warn!(session = %self.session.id, %error, "credentials could not be erased"),
        }
        self.session.linked = false;
        let patch = SessionPatch { linked: Some(false), wanted: Some(false), limited_until: Some(None), ..SessionPatch::default() };
        self.remember(patch).await?;
        if was_linked {
            let text = format!("It was not sent: {reason}");
            if let Err(error) = self.shared.store.fail_all(self.session.id, Failure::AccountUnlinked, &text).await {
                tracing::warn!(session = %self.session.id, %error, "waiting messages could not be failed; their deadline will");
            }
        }
        Ok(())
    }

    /// WhatsApp limits the account for a time.
    pub(super) async fn limited(&mut self, until: Option<Timestamp>) -> Result<(), Exit> {
        self.seat.show(|live| live.limited_until = until);
        self.remember(SessionPatch { limited_until: Some(until), ..SessionPatch::default() }).await
    }

    /// Nothing answers although the link says that it is connected.
    pub(super) async fn fell_silent(&mut self, now: Now, reason: &str) -> Result<(), Exit> {
        if self.silent_since.is_none() {
            self.silent_since = Some(now.instant);
            self.show_and_save(SessionStatus::Degraded, Some(reason.to_owned())).await?;
        }
        Ok(())
    }

    /// Something came from WhatsApp: the link is what it says.
    pub(super) async fn sign_of_life(&mut self) -> Result<(), Exit> {
        self.seat.touch();
        self.unanswered = false;
        if self.silent_since.take().is_some() && self.connected {
            let (status, reason) = self.standing();
            self.show_and_save(status, reason).await?;
        }
        Ok(())
    }

    /// The status of a connected account, and a sentence while WhatsApp limits it.
    pub(super) fn standing(&self) -> (SessionStatus, Option<String>) {
        let limit = self.seat.limited_until().filter(|until| *until > self.shared.clock.now());
        let reason = limit.map(|until| format!("{} until {until} (463).", Warning::Limited));
        (SessionStatus::Connected, reason)
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
            self.fell_silent(now, "Connected, but the connection is dead.").await?;
        }
        if self.silent_since.is_some_and(|since| now.instant.duration_since(since) >= DEAD_FOR) {
            tracing::warn!(session = %self.session.id, "nothing answers; building a new link");
            link.close().await;
            return Err(Turn::Ended(LinkEnd::Lost { reason: "nothing answered".into() }));
        }
        if alive && !self.unanswered && self.silent_since.is_some() {
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
