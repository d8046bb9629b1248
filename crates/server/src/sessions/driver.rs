//! One account's driver: opens its link, listens to it, keeps the truth, sends what the outbox holds.
//!
//! One task per account. Everything that happens to the account goes through its loop, so nothing here needs a
//! lock: events of the link, wishes of people ([`Command`]), the end of sends, answers of the store, timers.
//! The store is never awaited message by message: news are gathered while a commit runs and go out with the next.
//!
//! What follows from the end of a link is not decided here but read from [`sanasend_model::session::step`]; what
//! follows from a failed attempt, from [`sanasend_model::retry::judge`]. Every write carries the account's
//! generation. [`StoreError::Fenced`] means that another owner has the account: the driver then ends at once and
//! writes nothing more, not even its last state. Only what WhatsApp told it is left to its seat (see `untold`).

mod commands;
mod events;
mod pace;
mod sending;
mod status;

use super::book::Book;
use super::command::{Command, LeaveAnswer};
use super::flights::{Flights, Now};
use super::seat::Seat;
use super::shared::Shared;
use super::untold::tell_the_rest;
use crate::inbox::Receiver;
use futures::future::BoxFuture;
use pace::Pace;
use sanasend_engine::{Account, EngineError, Link, LinkEvent};
use sanasend_model::session::{LinkEnd, Next, step};
use sanasend_model::{PhoneNumber, Reason, ReasonCode, SessionStatus};
use sanasend_store::{Session, SessionPatch, SignalState};
use sending::{Landing, Round};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// How often a connected link is asked whether it is alive.
const HEALTH_EVERY: Duration = Duration::from_secs(5);
/// How long a link may be connected by name and dead before a new one is made.
const DEAD_FOR: Duration = Duration::from_secs(20);
/// How long news may wait for a store that is down while the link goes on hearing more. What comes meanwhile is in memory
/// only, and WhatsApp counts it as told; what comes later it keeps itself, since there is no link.
const REFUSED_FOR: Duration = Duration::from_secs(10);
/// How long a logout may wait for a connection, so that WhatsApp can be told.
const LOGOUT_WAIT: Duration = Duration::from_secs(10);
/// How long sends may take to notice that their link is gone.
const HEAR_OUT: Duration = Duration::from_secs(1);
/// How long a graceful stop waits for acknowledgements that are on their way.
const LANDING_WAIT: Duration = Duration::from_millis(1500);

/// Why a driver ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// It was asked to, or nothing is left to try.
    Done,
    /// Another owner has the account.
    Fenced,
}

/// A driver that holds the link of an account.
pub(super) struct Driver<'a> {
    shared: Arc<Shared>,
    seat: Arc<Seat>,
    commands: &'a mut UnboundedReceiver<Command>,
    /// What the link tells.
    events: Option<UnboundedReceiver<LinkEvent>>,
    session: Session,
    generation: i64,
    signal: SignalState,
    /// Ends in a row without a connection between them.
    failures: u32,
    /// Show a pairing code for this number, not a QR code.
    pair_by_code: Option<PhoneNumber>,
    /// What the row does not say yet.
    unsaved: Option<SessionPatch>,
    /// Credentials that are to be erased, with what is said of messages that still wait.
    unerased: Option<String>,
    save_again: Option<Instant>,
    flights: Flights,
    pace: Pace,
    book: Book,
    tasks: JoinSet<Landing>,
    round: Option<BoxFuture<'static, Round>>,
    /// Whether the outbox may hold work that was not looked at.
    hungry: bool,
    /// When the next row that waits becomes due.
    due: Option<Instant>,
    /// When rows that wait for a connection are made due, if there is one.
    wakes: Option<Instant>,
    /// Not before this time is the store asked again after it was down.
    store_rests: Option<Instant>,
    /// Since when it takes no news.
    refused_since: Option<Instant>,
    /// Reports of writing wait so long for the acknowledgement that usually follows.
    news_wait: Option<Instant>,
    connected: bool,
    /// That nothing answers.
    silence: Option<Silence>,
    health: Instant,
    leaving: Option<Leaving>,
    closing: Option<Closing>,
    /// The server stops.
    stops: bool,
}

/// WhatsApp says nothing although the link says that it is connected.
struct Silence {
    since: Instant,
    /// Whether acknowledgements are missing, which a live connection does not make good.
    unanswered: bool,
}

/// The link is about to be closed on purpose.
struct Closing {
    until: Instant,
    /// Who asked to go offline; nobody when the server stops.
    offline: Option<LeaveAnswer>,
}

/// A logout that waits for a connection.
struct Leaving {
    until: Instant,
    done: LeaveAnswer,
}

/// What a turn of the loop ends with.
pub(super) enum Turn {
    /// The link is finished.
    Ended(LinkEnd),
    /// The driver is finished.
    Exit(Exit),
}

/// Goes on with the loop, or ends it.
type Flow = Result<(), Turn>;

impl From<Exit> for Turn {
    fn from(exit: Exit) -> Self {
        Self::Exit(exit)
    }
}

/// What a driver starts with.
pub(super) struct Start {
    pub session: Session,
    pub generation: i64,
    pub signal: SignalState,
    pub pair_by_code: Option<PhoneNumber>,
}

impl<'a> Driver<'a> {
    pub(super) fn new(shared: Arc<Shared>, seat: Arc<Seat>, commands: &'a mut UnboundedReceiver<Command>, start: Start) -> Self {
        let mut flights = Flights::new(shared.options.in_flight, shared.options.ack_timeout);
        let untold = seat.untold().take();
        let refused_since = (!untold.is_empty()).then(Instant::now);
        flights.take_over(untold);
        let pace = Pace::new(shared.rate.clone());
        Self {
            shared,
            seat,
            commands,
            events: None,
            session: start.session,
            generation: start.generation,
            signal: start.signal,
            failures: 0,
            pair_by_code: start.pair_by_code,
            unsaved: None,
            unerased: None,
            save_again: None,
            flights,
            pace,
            book: Book::default(),
            tasks: JoinSet::new(),
            round: None,
            hungry: true,
            due: None,
            wakes: None,
            store_rests: None,
            refused_since,
            news_wait: None,
            connected: false,
            silence: None,
            health: Instant::now(),
            leaving: None,
            closing: None,
            stops: false,
        }
    }

    /// Holds the link, one client after the other, until there is nothing left to try.
    pub(super) async fn run(mut self) -> Exit {
        let exit = self.open_links().await;
        if exit == Exit::Done {
            self.settle_the_rest().await;
            return self.write_the_rest().await;
        }
        exit
    }

    /// Opens one link after the other until there is a reason to stop.
    async fn open_links(&mut self) -> Exit {
        if self.refused_since.is_some() {
            let reason = Reason::new(ReasonCode::Restarting, "What WhatsApp told before is written down first; connecting then.");
            if let Err(exit) = self.pause(SessionStatus::Connecting, reason, Duration::ZERO).await {
                return exit;
            }
        }
        loop {
            let turn = match self.open().await {
                Ok(link) => {
                    let turn = self.serve(&link).await;
                    self.hear_the_rest();
                    turn
                }
                Err(error) => Turn::Ended(end_of(error)),
            };
            match turn {
                Turn::Exit(exit) => return exit,
                Turn::Ended(end) => {
                    if let Err(exit) = self.after(end).await {
                        return exit;
                    }
                }
            }
        }
    }

    async fn open(&mut self) -> Result<Arc<Link>, EngineError> {
        let (events, ear) = unbounded_channel();
        let fetch_files = self.shared.media.fetches_all();
        let inbox = Receiver::new(self.shared.store.clone(), self.session.id, self.generation, self.seat.clone(), fetch_files);
        let account = Account {
            session_id: self.session.id,
            network: self.session.network,
            linked: self.session.linked,
            push_name: self.session.push_name.clone(),
            signal: self.signal.clone(),
            inbox: Arc::new(inbox),
            events,
        };
        let link = Arc::new(self.shared.engine.open(account).await?);
        self.events = Some(ear);
        crate::metrics::link_opened();
        if let Some(phone) = self.pair_by_code.clone().filter(|_| !self.session.linked) {
            self.ask_pair_code(&link, phone);
        }
        Ok(link)
    }

    /// The loop, as long as the link lives.
    async fn serve(&mut self, link: &Arc<Link>) -> Turn {
        loop {
            self.seat.beat();
            let timer = self.next_timer();
            let flow = tokio::select! {
                event = next(&mut self.events) => match event {
                    Some(event) => self.on_events(link, event).await,
                    None => Err(Turn::Ended(LinkEnd::Lost { reason: "the link ended without a word".into() })),
                },
                command = self.commands.recv() => self.on_command(link, command.unwrap_or(Command::Stop)).await,
                Some(landing) = self.tasks.join_next() => { self.on_landing(link, landing); Ok(()) }
                round = finish(&mut self.round) => { self.round = None; self.on_round(link, round) }
                () = self.seat.rung() => { self.hungry = true; Ok(()) }
                () = sleep_until(timer) => self.on_timer(link).await,
            };
            self.pump();
            let flow = match flow {
                Ok(()) if self.closing.is_some() => self.close_when_clear(link).await,
                flow => flow,
            };
            if let Err(turn) = flow {
                self.connected = false;
                return turn;
            }
        }
    }

    /// Carries out the next step after the end of a link.
    async fn after(&mut self, end: LinkEnd) -> Result<(), Exit> {
        self.failures = self.failures.saturating_add(1);
        self.hear_out_tasks().await;
        let now = self.now();
        self.flights.ground(now);
        let outcome = step(&end, self.session.linked, self.failures, now.at);
        crate::metrics::link_ended(outcome.status);
        tracing::info!(session = %self.session.id, ?end, status = %outcome.status, "link ended");
        if let Some(leaving) = self.leaving.take() {
            // The person wants out anyway, and WhatsApp can't be told.
            return Err(self.unlink(false, leaving.done).await);
        }
        if let LinkEnd::Banned { until: Some(until), .. } = &end {
            self.limited(Some(*until)).await?;
        }
        if !matches!(outcome.next, Next::Stop | Next::Erase)
            && let Some(closing) = self.closing.take()
        {
            // It was about to be closed anyway: nobody waits for another link.
            return Err(match closing.offline {
                Some(done) => self.go_offline(done).await,
                None => Exit::Done,
            });
        }
        match outcome.next {
            Next::Stop | Next::Erase => self.give_up(outcome.status, outcome.reason, outcome.next == Next::Erase).await,
            Next::Wait => self.pause(outcome.status, outcome.reason, Duration::ZERO).await,
            Next::Rebuild { after } => self.pause(outcome.status, outcome.reason, after).await,
            Next::RefreshVersion { after } => {
                self.show_and_save(outcome.status, Some(outcome.reason.clone())).await?;
                if let Err(error) = self.shared.engine.refresh_version().await {
                    tracing::warn!(%error, "WhatsApp's current client version could not be fetched");
                }
                self.pause(outcome.status, outcome.reason, after).await
            }
        }
    }

    /// The end of trying. With `erase` the account needs a new link.
    async fn give_up(&mut self, status: SessionStatus, reason: Reason, erase: bool) -> Result<(), Exit> {
        if erase {
            self.erase(&reason.text).await?;
        }
        self.show_and_save(status, Some(reason)).await?;
        Err(Exit::Done)
    }

    /// Waits before the next client is built, with jitter so that many accounts do not come back in one moment.
    async fn pause(&mut self, status: SessionStatus, reason: Reason, wait: Duration) -> Result<(), Exit> {
        self.show_and_save(status, Some(reason)).await?;
        let until = Instant::now() + wait + wait.mul_f64(f64::from(self.now().jitter) / 512.0);
        loop {
            self.pump();
            // What a link told that could not be kept is written before another one tells more.
            let open_at = self.refused_since.is_none().then_some(until);
            let timer = [open_at, self.save_again, self.store_rests, self.news_wait].into_iter().flatten().min();
            tokio::select! {
                () = sleep_till(timer) => {
                    let now = Instant::now();
                    self.wake(now).await?;
                    if open_at.is_some_and(|at| at <= now) { return Ok(()); }
                }
                command = self.commands.recv() => {
                    if self.on_command_while_down(command.unwrap_or(Command::Stop)).await? { return Ok(()); }
                }
                Some(landing) = self.tasks.join_next() => self.on_landing_while_down(landing),
                round = finish(&mut self.round) => {
                    self.round = None;
                    self.on_round_while_down(round)?;
                }
            }
        }
    }

    /// The earliest moment at which something has to be done without being asked.
    fn next_timer(&mut self) -> Instant {
        let overdue = self.flights.next_overdue();
        let due = self.due.into_iter().chain(self.wakes).min().filter(|_| self.connected);
        let leaving = self.leaving.as_ref().map(|leaving| leaving.until);
        let closing = self.closing.as_ref().map(|closing| closing.until);
        let timers = [overdue, due, leaving, closing, self.save_again, self.store_rests, self.news_wait];
        timers.into_iter().flatten().fold(self.health, Instant::min)
    }

    async fn on_timer(&mut self, link: &Arc<Link>) -> Flow {
        let now = self.now();
        let unanswered = self.flights.give_up_waiting(now);
        // Their chats are free again, and when they are due themselves only the store knows.
        self.hungry |= unanswered > 0;
        if unanswered > 0 && self.connected {
            self.fell_silent(now, true, "Connected, but WhatsApp does not acknowledge messages.").await?;
        }
        if self.due.is_some_and(|due| due <= now.instant) {
            (self.due, self.hungry) = (None, true);
        }
        self.wake(now.instant).await?;
        if self.leaving.as_ref().is_some_and(|leaving| leaving.until <= now.instant) {
            return self.log_out(link).await;
        }
        if self.health <= now.instant { self.check_health(link, now).await } else { Ok(()) }
    }

    /// Turns to the store again where that is due.
    async fn wake(&mut self, now: Instant) -> Result<(), Exit> {
        if self.store_rests.is_some_and(|until| until <= now) {
            self.store_rests = None;
        }
        if self.save_again.is_some_and(|again| again <= now) { self.save().await } else { Ok(()) }
    }

    /// The present moment.
    fn now(&self) -> Now {
        let mut random = [0_u8; 1];
        self.shared.clock.fill(&mut random);
        Now { at: self.shared.clock.now(), instant: Instant::now(), jitter: random[0] }
    }
}

impl Drop for Driver<'_> {
    /// However a driver ends, and be it by a panic or in the middle of what it does: what WhatsApp told it is not lost.
    fn drop(&mut self) {
        self.let_go();
        self.seat.untold().keep(self.flights.leave());
        // A link that was only let go of still hears for a moment.
        let rest = self.events.take().filter(|rest| !(rest.is_closed() && rest.is_empty()));
        if rest.is_none() && self.seat.untold().is_empty() {
            return;
        }
        // Without a runtime the process is ending.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tell_the_rest(self.shared.store.clone(), self.seat.clone(), self.session.id, rest));
        }
    }
}

/// The next event of a link; `None` when it has ended.
async fn next(events: &mut Option<UnboundedReceiver<LinkEvent>>) -> Option<LinkEvent> {
    events.as_mut()?.recv().await
}

/// Waits until a moment; for ever when there is none.
async fn sleep_till(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Waits for the running round; for ever when there is none.
async fn finish(round: &mut Option<BoxFuture<'static, Round>>) -> Round {
    match round {
        Some(round) => round.await,
        None => std::future::pending().await,
    }
}

/// A link that could not even be opened.
fn end_of(error: EngineError) -> LinkEnd {
    match error {
        EngineError::LoggedOut => LinkEnd::LoggedOut { code: None },
        error => LinkEnd::Lost { reason: error.to_string() },
    }
}
