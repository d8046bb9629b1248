//! What people ask of an account that is running.

use super::{Closing, Driver, Exit, Flow, LANDING_WAIT, LOGOUT_WAIT, Leaving, Link, Turn};
use crate::sessions::book::Address;
use crate::sessions::command::{Command, LeaveAnswer};
use sanasend_engine::{EngineError, FetchError, Typing};
use sanasend_model::retry::AttemptError;
use sanasend_model::{Direction, Jid, PhoneNumber, Reason, ReasonCode, SessionStatus};
use sanasend_store::{SessionPatch, StoreError};
use std::sync::Arc;
use tokio::time::{Instant, sleep_until};

/// Shows typing where messages to this chat go: of a number, to whom WhatsApp says is behind it.
async fn show_typing(link: &Link, chat: Jid, known: Option<(Option<Address>, PhoneNumber)>, state: Typing) -> Result<(), AttemptError> {
    let to = match known {
        None => chat,
        Some((Some(address), _)) => address.to,
        Some((None, phone)) => {
            let found = link.lookup(std::slice::from_ref(&phone)).await?;
            let there = found.into_iter().next().and_then(|found| found.jid.or(found.lid));
            there.ok_or(AttemptError::NotOnWhatsApp)?
        }
    };
    link.show_typing(&to, state).await
}

fn offline_fetch() -> FetchError {
    FetchError::Unreachable("the account is not connected".into())
}

fn unwritten() -> StoreError {
    StoreError::Unavailable("the account is left, but that could not be written yet".into())
}

impl Driver<'_> {
    pub(super) async fn on_command(&mut self, link: &Arc<Link>, command: Command) -> Flow {
        match command {
            Command::Leave { logout: false, done } => {
                self.close_soon(Some(done));
                Ok(())
            }
            Command::Leave { logout: true, done } => {
                self.leaving = Some(Leaving { until: Instant::now() + LOGOUT_WAIT, done });
                // A link that was never linked has nobody to tell.
                if self.connected || !self.session.linked { self.log_out(link).await } else { Ok(()) }
            }
            Command::TryNow => Ok(()),
            Command::PairByCode(phone) => {
                if !self.session.linked {
                    self.pair_by_code = Some(phone.clone());
                    self.seat.show(|live| (live.qr, live.pair_code) = (None, None));
                    self.ask_pair_code(link, phone);
                }
                Ok(())
            }
            Command::Passkey { credential, done } => {
                let link = link.clone();
                tokio::spawn(async move { done.send(link.passkey_response(credential).await) });
                Ok(())
            }
            Command::PasskeyConfirmed { done } => {
                let link = link.clone();
                tokio::spawn(async move { done.send(link.passkey_confirm().await) });
                Ok(())
            }
            Command::MarkRead { chat, sender, wa_message_ids, done } => {
                let link = link.clone();
                tokio::spawn(async move { done.send(link.mark_read(&chat, sender.as_ref(), wa_message_ids).await) });
                Ok(())
            }
            Command::ShowTyping { chat, state, done } => {
                let link = link.clone();
                let known = chat.phone().map(|phone| (self.book.find(&phone, self.shared.clock.now()), phone));
                tokio::spawn(async move { done.send(show_typing(&link, chat, known, state).await) });
                Ok(())
            }
            Command::LookUp { phones, done } => {
                let link = link.clone();
                tokio::spawn(async move { done.send(link.lookup(&phones).await) });
                Ok(())
            }
            Command::Groups(question) => {
                tokio::spawn(question.ask(link.clone()));
                Ok(())
            }
            Command::AskForFile { message, remote, done } => {
                let link = link.clone();
                tokio::spawn(async move {
                    let sender = Some(&message.peer).filter(|_| message.chat.is_group());
                    let sender = sender.and_then(|peer| peer.lid.as_ref().or(peer.jid.as_ref()));
                    let own = message.direction == Direction::Outbound;
                    done.send(link.ask_again(&message.chat, sender, own, &message.wa_message_id, &remote).await)
                });
                Ok(())
            }
            Command::Stop => {
                self.stops = true;
                self.close_soon(None);
                Ok(())
            }
            Command::Yield => {
                link.close().await;
                Err(Turn::Exit(Exit::Fenced))
            }
        }
    }

    /// The same while no link is open. `true` means: try again now.
    pub(super) async fn on_command_while_down(&mut self, command: Command) -> Result<bool, Exit> {
        match command {
            Command::Leave { logout: false, done } => Err(self.go_offline(done).await),
            Command::Leave { logout: true, done } => {
                if !self.session.linked {
                    return Err(self.unlink(true, done).await);
                }
                self.leaving = Some(Leaving { until: Instant::now() + LOGOUT_WAIT, done });
                Ok(true)
            }
            Command::TryNow => Ok(true),
            Command::PairByCode(phone) => {
                self.pair_by_code = Some(phone);
                Ok(true)
            }
            Command::Passkey { done, .. } | Command::PasskeyConfirmed { done } => {
                let _ = done.send(Err(EngineError::Offline));
                Ok(false)
            }
            Command::MarkRead { done, .. } | Command::ShowTyping { done, .. } => {
                let _ = done.send(Err(AttemptError::Offline));
                Ok(false)
            }
            Command::LookUp { done, .. } => {
                let _ = done.send(Err(AttemptError::Offline));
                Ok(false)
            }
            Command::Groups(question) => {
                question.refuse();
                Ok(false)
            }
            Command::AskForFile { done, .. } => {
                let _ = done.send(Err(offline_fetch()));
                Ok(false)
            }
            Command::Stop => {
                self.stops = true;
                Err(Exit::Done)
            }
            Command::Yield => Err(Exit::Fenced),
        }
    }

    /// Asks WhatsApp for a pairing code; it comes back as an event, a refusal ends the link.
    pub(super) fn ask_pair_code(&self, link: &Arc<Link>, phone: PhoneNumber) {
        let (link, seat, session) = (link.clone(), self.seat.clone(), self.session.id);
        tokio::spawn(async move {
            if let Err(error) = link.pair_with_code(&phone).await {
                tracing::warn!(%session, %error, "no pairing code");
                let reason = Reason::new(ReasonCode::NoPairingCode, format!("WhatsApp gave no pairing code: {error}."));
                seat.show(|live| live.reason = Some(reason));
            }
        });
    }

    /// Tells WhatsApp, then erases the credentials.
    pub(super) async fn log_out(&mut self, link: &Arc<Link>) -> Flow {
        let told = if self.connected { link.log_out().await.unwrap_or(false) } else { false };
        link.close().await;
        // Of what was written just now nobody may say that it was not sent.
        self.hear_out_tasks().await;
        self.hear_the_rest();
        let Some(leaving) = self.leaving.take() else { return Err(Turn::Exit(Exit::Done)) };
        let told = told || !self.session.linked;
        Err(Turn::Exit(self.unlink(told, leaving.done).await))
    }

    /// The account is given up by its owner; ends the driver.
    pub(super) async fn unlink(&mut self, told: bool, done: LeaveAnswer) -> Exit {
        let was_linked = self.session.linked;
        let (status, reason) = match (was_linked, told) {
            (false, _) => (SessionStatus::Disconnected, "Linking was given up."),
            (true, true) => (SessionStatus::LoggedOut, "Logged out on request."),
            (true, false) => (
                SessionStatus::LoggedOut,
                "Logged out on request, but WhatsApp could not be told: remove the device on the phone under Linked devices.",
            ),
        };
        let result = match self.erase(reason).await {
            Ok(()) => self.show_and_save(status, Some(Reason::new(ReasonCode::Requested, reason))).await,
            fenced => fenced,
        };
        let _ = done.send(self.if_written(told));
        result.err().unwrap_or(Exit::Done)
    }

    pub(super) async fn go_offline(&mut self, done: LeaveAnswer) -> Exit {
        self.save_again = None;
        let patch = SessionPatch { wanted: Some(false), ..SessionPatch::default() };
        let reason = Reason::new(ReasonCode::Requested, "Disconnected on request.");
        let result = match self.remember(patch).await {
            Ok(()) => self.show_and_save(SessionStatus::Disconnected, Some(reason)).await,
            fenced => fenced,
        };
        let _ = done.send(self.if_written(true));
        result.err().unwrap_or(Exit::Done)
    }

    /// What somebody is told who asked the account to leave.
    fn if_written(&self, told: bool) -> Result<bool, StoreError> {
        if self.is_behind() { Err(unwritten()) } else { Ok(told) }
    }

    /// Stays until the store knows what is true, since nobody else would write it: credentials that are not erased would
    /// bring an account back that somebody logged out. Only the end of the server cuts it short.
    pub(super) async fn write_the_rest(&mut self) -> Exit {
        while self.is_behind() {
            if self.stops {
                return self.save().await.err().unwrap_or(Exit::Done);
            }
            self.seat.beat();
            let again = self.save_again.unwrap_or_else(Instant::now);
            let flow = tokio::select! {
                () = sleep_until(again) => self.save().await,
                command = self.commands.recv() => match command.unwrap_or(Command::Stop) {
                    Command::Leave { done, .. } => {
                        let _ = done.send(Err(unwritten()));
                        Ok(())
                    }
                    command => self.on_command_while_down(command).await.map(drop),
                },
            };
            if let Err(exit) = flow
                && !self.stops
            {
                return exit;
            }
        }
        Exit::Done
    }

    /// The link is to be closed on purpose: nothing new is taken up, and what was just written gets a moment for
    /// its acknowledgement, so that it does not have to be sent again.
    fn close_soon(&mut self, offline: Option<LeaveAnswer>) {
        self.closing = Some(Closing { until: Instant::now() + LANDING_WAIT, offline });
    }

    /// Closes the link once nothing is in the air any more.
    pub(super) async fn close_when_clear(&mut self, link: &Arc<Link>) -> Flow {
        let clear = self.flights.is_empty() && self.tasks.is_empty();
        if !self.closing.as_ref().is_some_and(|closing| clear || closing.until <= Instant::now()) {
            return Ok(());
        }
        link.close().await;
        self.connected = false;
        let Some(done) = self.closing.take().and_then(|closing| closing.offline) else { return Err(Turn::Exit(Exit::Done)) };
        Err(Turn::Exit(self.go_offline(done).await))
    }
}
