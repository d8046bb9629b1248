//! What each event of a link means for the account.

use super::{Driver, Exit, Flow, Link, LinkEvent, Now, Turn};
use crate::sessions::live::{Code, Live};
use sanasend_model::{Jid, PhoneNumber, Reason, ReasonCode, SessionStatus, Timestamp};
use sanasend_store::SessionPatch;
use std::sync::Arc;
use std::time::Duration;

/// How far WhatsApp's time may be from ours for both to mean the same moment.
const JUST_NOW: Duration = Duration::from_secs(3);

impl Driver<'_> {
    /// One event and everything that is queued behind it: acknowledgements come in bunches, and go to the store
    /// as one.
    pub(super) async fn on_events(&mut self, link: &Arc<Link>, first: LinkEvent) -> Flow {
        self.on_event(link, first).await?;
        while let Some(event) = self.waiting_event() {
            self.on_event(link, event).await?;
        }
        Ok(())
    }

    /// What a link told before it ended is news like all other, whatever ended it.
    pub(super) fn hear_the_rest(&mut self) {
        let now = self.now();
        while let Some(event) = self.waiting_event() {
            self.on_news(event, now);
        }
    }

    /// What was told and nobody has looked at yet.
    fn waiting_event(&mut self) -> Option<LinkEvent> {
        self.events.as_mut()?.try_recv().ok()
    }

    /// Takes up what WhatsApp says of messages; gives everything else back.
    fn on_news(&mut self, event: LinkEvent, now: Now) -> Option<LinkEvent> {
        match event {
            LinkEvent::Ack { wa_message_id, at, error: None } => {
                self.flights.acked(wa_message_id, exact(at, now.at), now);
                self.hungry = true;
            }
            LinkEvent::Ack { wa_message_id, error: Some(code), .. } => {
                self.flights.nacked(&wa_message_id, code, now);
                self.hungry = true;
            }
            LinkEvent::Receipt { wa_message_ids, chat, by, status, at } => {
                self.hungry |= self.flights.receipt(wa_message_ids, chat, by, status, now, exact(at, now.at));
            }
            other => return Some(other),
        }
        None
    }

    async fn on_event(&mut self, link: &Arc<Link>, event: LinkEvent) -> Flow {
        let now = self.now();
        let Some(event) = self.on_news(event, now) else {
            self.sign_of_life().await?;
            return Ok(());
        };
        match event {
            LinkEvent::RetryAsked { wa_message_ids, .. } => {
                tracing::info!(session = %self.session.id, count = wa_message_ids.len(), "a device could not read a message; it is sent again");
            }
            LinkEvent::FileMissed { wa_message_ids, .. } => {
                tracing::info!(session = %self.session.id, count = wa_message_ids.len(), "a device could not get a file; the next to send one asks for it");
                self.shared.media.doubt(self.session.id);
            }
            LinkEvent::Connected => self.on_connected(link).await?,
            LinkEvent::Offline { reason } => self.on_offline(&reason).await?,
            LinkEvent::Ended(end) => return Err(Turn::Ended(end)),
            other => self.on_linking(other).await?,
        }
        Ok(())
    }

    /// Events on the way to a linked account.
    async fn on_linking(&mut self, event: LinkEvent) -> Result<(), Exit> {
        match event {
            LinkEvent::Code(code) if self.pair_by_code.is_none() => {
                let qr = self.code(code.text, code.expires_in);
                self.offer(SessionStatus::QrPending, |live| live.qr = Some(qr)).await
            }
            LinkEvent::PairCode { code, expires_in } => {
                let code = self.code(code, expires_in);
                self.offer(SessionStatus::QrPending, |live| live.pair_code = Some(code)).await
            }
            LinkEvent::PasskeyRequested { options } => {
                self.offer(SessionStatus::PasskeyRequired, |live| live.passkey = Some(options)).await
            }
            LinkEvent::PasskeyCode { code, show } => {
                let code = if show { code } else { String::new() };
                self.offer(SessionStatus::PasskeyRequired, |live| live.passkey_code = Some(code)).await
            }
            LinkEvent::Paired { phone, jid, lid, push_name, .. } => self.on_paired(phone, jid, lid, push_name).await,
            LinkEvent::Named { push_name } => {
                self.seat.show(|live| live.push_name = Some(push_name.clone()));
                self.remember(SessionPatch { push_name: Some(Some(push_name)), ..SessionPatch::default() }).await
            }
            LinkEvent::ReachoutLimited { until: Some(until) } => {
                self.limited(Some(until)).await?;
                let (status, reason) = self.standing();
                self.show_and_save(status, reason).await
            }
            LinkEvent::ReachoutLimited { until: None } => {
                // Nobody knows until when: messages are still tried, each gets its own answer.
                self.show_and_save(SessionStatus::Connected, Some(Reason::reachout_limited(None))).await
            }
            // A QR code beside a pairing code that was asked for, and what was handled before.
            _ => Ok(()),
        }
    }

    fn code(&self, text: String, expires_in: Duration) -> Code {
        Code { text, expires_at: self.shared.clock.now().plus(expires_in) }
    }

    /// Shows a way to link; the row learns only that there is one.
    async fn offer(&mut self, status: SessionStatus, change: impl FnOnce(&mut Live)) -> Result<(), Exit> {
        let news = self.seat.live().status != status;
        self.seat.show(|live| {
            live.status = status;
            live.reason = None;
            change(live);
        });
        if news { self.show_and_save(status, None).await } else { Ok(()) }
    }

    async fn on_paired(&mut self, phone: Option<PhoneNumber>, jid: Jid, lid: Option<Jid>, name: Option<String>) -> Result<(), Exit> {
        let phone = phone.or_else(|| jid.phone());
        self.pair_by_code = None;
        self.session.linked = true;
        self.seat.touch();
        self.seat.show(|live| {
            live.linked = true;
            live.phone.clone_from(&phone);
            live.jid = Some(jid.clone());
            live.lid.clone_from(&lid);
            if name.is_some() {
                live.push_name.clone_from(&name);
            }
        });
        let patch = SessionPatch {
            linked: Some(true),
            wanted: Some(true),
            phone: Some(phone),
            jid: Some(Some(jid)),
            lid: Some(lid),
            push_name: name.map(Some),
            last_error: Some(None),
            ..SessionPatch::default()
        };
        self.remember(patch).await?;
        self.show_and_save(SessionStatus::Connecting, Some(Reason::new(ReasonCode::Linking, "Linked; connecting."))).await
    }

    async fn on_connected(&mut self, link: &Arc<Link>) -> Flow {
        self.connected = true;
        self.failures = 0;
        self.silence = None;
        self.hungry = true;
        self.wakes = Some(self.now().instant);
        self.seat.touch();
        let now = self.shared.clock.now();
        self.seat.show(|live| live.connected_at = Some(now));
        let (status, reason) = self.standing();
        self.show_and_save(status, reason).await?;
        if self.leaving.is_some() { self.log_out(link).await } else { Ok(()) }
    }

    async fn on_offline(&mut self, reason: &str) -> Result<(), Exit> {
        self.connected = false;
        self.silence = None;
        let now = self.now();
        self.flights.line_broke(now);
        if !self.session.linked {
            return Ok(());
        }
        let lost = Reason::new(ReasonCode::ConnectionLost, format!("Connection lost ({reason}); reconnecting."));
        self.show_and_save(SessionStatus::Connecting, Some(lost)).await
    }
}

/// WhatsApp tells times in whole seconds. What it tells of this moment happened now; what it tells of earlier, then.
fn exact(told: Timestamp, now: Timestamp) -> Timestamp {
    if told.since(now).max(now.since(told)) < JUST_NOW { now } else { told }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_this_moment_are_exact_and_others_are_as_told() {
        let now = Timestamp(100_700);
        assert_eq!(exact(Timestamp(100_000), now), now, "cut to the second");
        assert_eq!(exact(Timestamp(101_000), now), now, "another clock");
        assert_eq!(exact(Timestamp(90_000), now), Timestamp(90_000), "from before");
    }
}
