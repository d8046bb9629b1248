//! From the outbox to the link, and the news back to the store.
//!
//! A *round* is one visit to the store: the news gathered since the last one go first, then the heads of all chats
//! that are free are claimed. Both are queued together, so that they share a commit, and the next message of a chat
//! can be claimed in the very commit that settles the one before. Rounds follow one another as fast as the store
//! answers; the faster messages come, the more of them share a round.

use super::{Driver, Exit, Flow, HEAR_OUT, Link, Now};
use crate::inbox;
use crate::media::Files;
use crate::sessions::book::Address;
use crate::sessions::flights::landed;
use futures::FutureExt as _;
use sanasend_engine::{Found, Outgoing, OutgoingRich};
use sanasend_model::retry::AttemptError;
use sanasend_model::{Content, Jid, PhoneNumber, SessionId, Timestamp};
use sanasend_store::{Change, Claimed, Message, News, Peer, Store, StoreError};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinError;
use tokio::time::Instant;
use tracing::Instrument as _;

/// How long a report of writing waits for the acknowledgement that usually follows, and a receipt for the next news, to share
/// their commit.
const NEWS_WAIT: Duration = Duration::from_millis(5);
/// How long the store is left alone after it was down.
const STORE_REST: Duration = Duration::from_millis(250);
/// How long until what waits is looked for again when it could not be found out when it is due.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long a driver that ends offers its last news to a store that is down; afterwards its seat keeps them.
const SETTLE: Duration = Duration::from_secs(2);

/// WhatsApp's code for its limit on messages to people who never wrote to the account.
const REACHOUT: &str = "463";

/// How long what waits for a connection is left when there may be one already, or when it could not be woken. Not at once: a send
/// that finds the line broken may come again before the driver hears of it.
const WAKE_AGAIN: Duration = Duration::from_secs(1);

/// What a visit to the store brought.
pub(super) struct Round {
    applied: Result<Vec<Change>, StoreError>,
    /// Whether it writes down that a message waits for a connection.
    waits: bool,
    /// How many were asked for, and what came; `None` when nothing was asked for.
    claimed: Option<(usize, Result<Vec<Claimed>, StoreError>)>,
    /// When the next waiting row becomes due: looked up when nothing was claimed, else as far as its own news tell.
    next_due: Option<Timestamp>,
}

/// How a task beside the driver ended.
pub(super) enum Landing {
    /// A send.
    Sent { wa_message_id: String, attempt: i32, result: Result<(), AttemptError> },
    /// A question to WhatsApp who is behind some numbers.
    Asked { waiting: Vec<Claimed>, answer: Result<Vec<Found>, AttemptError> },
    /// What waited for a connection was made due: so many.
    Woken(Result<u64, StoreError>),
}

impl Driver<'_> {
    /// Begins a round when there is something to tell or to fetch, and none is under way.
    pub(super) fn pump(&mut self) {
        let now = Instant::now();
        self.wake_waiting(now);
        if self.round.is_some() || self.store_rests.is_some_and(|until| until > now) {
            return;
        }
        if !self.connected {
            self.let_go();
        }
        let may_ask = self.hungry && self.connected && self.leaving.is_none() && self.closing.is_none();
        let want = if may_ask { self.paced(self.flights.room(), now) } else { 0 };
        let (any, urgent) = self.flights.has_news();
        if want == 0 && !urgent {
            if !any {
                self.news_wait = None;
                return;
            }
            let until = *self.news_wait.get_or_insert(now + NEWS_WAIT);
            if until > now {
                return;
            }
        }
        self.news_wait = None;
        if want > 0 {
            self.hungry = false;
        }
        self.round = Some(self.visit(want).boxed());
    }

    /// Makes due what waits for a connection, when there is one.
    fn wake_waiting(&mut self, now: Instant) {
        if self.connected && self.wakes.take_if(|at| *at <= now).is_some() {
            let (store, session) = (self.shared.store.clone(), self.session.id);
            self.tasks.spawn(async move { Landing::Woken(store.wake_offline(session).await) });
        }
    }

    /// One visit to the store.
    fn visit(&mut self, want: usize) -> impl Future<Output = Round> + Send + use<> {
        let (waits, news) = (self.flights.take_waiting(), self.flights.tell());
        let busy = if want > 0 { self.flights.busy_chats() } else { Vec::new() };
        let (store, session, generation) = (self.shared.store.clone(), self.session.id, self.generation);
        let (now, held) = (self.shared.clock.now(), self.held());
        let tried_again = |news: &News| if let News::Retry { due_at, .. } = news { *due_at } else { None };
        let next_try = news.iter().filter_map(tried_again).min();
        async move {
            let apply = async { if news.is_empty() { Ok(Vec::new()) } else { inbox::apply(&store, session, generation, &news).await } };
            let claim = async {
                if want == 0 {
                    None
                } else {
                    let want_u32 = u32::try_from(want).unwrap_or(u32::MAX);
                    Some((want, store.claim_after(held, session, generation, now, &busy, want_u32).await))
                }
            };
            // In this order: the claim is queued behind the news, and sees what they settled.
            let (applied, claimed) = futures::future::join(apply, claim).await;
            let nothing = claimed.as_ref().is_some_and(|(_, rows)| rows.as_ref().is_ok_and(Vec::is_empty));
            let next_due =
                if nothing { store.next_due(session, &busy).await.unwrap_or_else(|_| Some(now.plus(LOOK_AGAIN))) } else { next_try };
            Round { applied, waits, claimed, next_due }
        }
    }

    /// Takes up what a round brought.
    pub(super) fn on_round(&mut self, link: &Arc<Link>, round: Round) -> Flow {
        let now = self.now();
        let untold = self.on_applied(round.applied, round.waits)?;
        if let Some(due) = round.next_due {
            // At least a moment, so that a row that can't be claimed makes no busy loop.
            let due = now.instant + due.since(now.at).max(Duration::from_millis(50));
            self.due = Some(self.due.map_or(due, |known| known.min(due)));
        }
        let Some((want, claimed)) = round.claimed else { return Ok(()) };
        let claimed = match claimed {
            Ok(claimed) => claimed,
            Err(StoreError::Fenced) => return Err(Exit::Fenced.into()),
            Err(error) => {
                self.store_is_down(&error);
                self.hungry = true;
                return Ok(());
            }
        };
        self.hungry |= claimed.len() >= want;
        self.spent(claimed.len(), want, now.at);
        let (ids, wa_ids) = landed(&untold);
        let fresh: Vec<Claimed> = claimed
            .into_iter()
            .filter(|claimed| !ids.contains(&claimed.message.id) && !wa_ids.contains(&claimed.message.wa_message_id.as_str()))
            .collect();
        self.dispatch(link, fresh, now);
        Ok(())
    }

    /// The same while no link is open: news are told, nothing is sent.
    pub(super) fn on_round_while_down(&mut self, round: Round) -> Result<(), Exit> {
        self.on_applied(round.applied, round.waits)?;
        let now = self.now();
        if let Some((_, claimed)) = round.claimed {
            self.hungry = true;
            claimed.unwrap_or_default().iter().for_each(|claimed| self.flights.not_taken(claimed, now));
        }
        Ok(())
    }

    /// Answers the news that the store did not take: they are told again with the next round, whatever else became of this one.
    fn on_applied(&mut self, applied: Result<Vec<Change>, StoreError>, waits: bool) -> Result<Arc<Vec<News>>, Exit> {
        match applied {
            Ok(_) => {
                self.flights.told();
                self.refused_since = None;
                if waits {
                    // Written down just now: the connection that it waits for may have come before.
                    self.wakes.get_or_insert(Instant::now() + WAKE_AGAIN);
                }
                Ok(Arc::default())
            }
            Err(StoreError::Fenced) => Err(Exit::Fenced),
            Err(error) => {
                self.store_is_down(&error);
                self.refused_since.get_or_insert_with(Instant::now);
                self.flights.still_waiting(waits);
                Ok(self.flights.put_back())
            }
        }
    }

    fn store_is_down(&mut self, error: &StoreError) {
        tracing::warn!(session = %self.session.id, %error, "the store took no news; they wait");
        self.store_rests = Some(Instant::now() + STORE_REST);
    }

    /// Sends what can be addressed, asks WhatsApp about the rest.
    fn dispatch(&mut self, link: &Arc<Link>, claimed: Vec<Claimed>, now: Now) {
        let mut unknown = Vec::new();
        for claimed in claimed {
            if !self.flights.take_off(&claimed, now) {
                // One that is too late leaves its place to the next of its chat.
                self.hungry |= now.at >= claimed.expires_at;
                continue;
            }
            match claimed.message.chat.phone() {
                None => self.send(link, claimed, None, now),
                Some(phone) => match self.book.find(&phone, now.at) {
                    Some(address) => self.send(link, claimed, Some(address), now),
                    None => unknown.push(claimed),
                },
            }
        }
        if !unknown.is_empty() {
            self.ask(link, unknown);
        }
    }

    /// Asks WhatsApp who is behind the numbers of these messages.
    fn ask(&mut self, link: &Arc<Link>, waiting: Vec<Claimed>) {
        let mut phones: Vec<PhoneNumber> = waiting.iter().filter_map(|claimed| claimed.message.chat.phone()).collect();
        phones.sort_unstable();
        phones.dedup();
        let link = link.clone();
        self.tasks.spawn(async move {
            let answer = link.lookup(&phones).await;
            Landing::Asked { waiting, answer }
        });
    }

    fn on_asked(&mut self, link: &Arc<Link>, waiting: Vec<Claimed>, answer: Result<Vec<Found>, AttemptError>) {
        let now = self.now();
        let refuse = |driver: &mut Self, claimed: &Claimed, error: &AttemptError| {
            driver.flights.refused(&claimed.message.wa_message_id, claimed.attempts, error, now);
            driver.hungry = true;
        };
        let found = match answer {
            Ok(found) => found,
            Err(error) => {
                for claimed in &waiting {
                    refuse(self, claimed, &error);
                }
                return;
            }
        };
        let known: Vec<_> = found.iter().map(|found| (&found.phone, self.book.note(found, now.at))).collect();
        for claimed in waiting {
            let phone = claimed.message.chat.phone();
            match known.iter().find(|(asked, _)| Some(*asked) == phone.as_ref()) {
                Some((_, Some(address))) => self.send(link, claimed, Some(address.clone()), now),
                Some((_, None)) => refuse(self, &claimed, &AttemptError::NotOnWhatsApp),
                None => refuse(self, &claimed, &AttemptError::Transient { reason: "WhatsApp did not say who the number is.".into() }),
            }
        }
    }

    /// Hands a message to the link, in a task of its own: many are encrypted side by side.
    fn send(&mut self, link: &Arc<Link>, claimed: Claimed, address: Option<Address>, now: Now) {
        let Claimed { message, attempts: attempt, .. } = claimed;
        let to = address.as_ref().map_or_else(|| message.chat.clone(), |address| address.to.clone());
        // The guard asked by the ids that were known then.
        let turned_out = address.as_ref().map(|address| address.peer.clone()).filter(|peer| *peer != message.peer);
        if let Some(address) = address
            && (message.chat != address.to || message.peer != address.peer)
        {
            self.flights.resolved(&message.wa_message_id, address.peer, address.to);
        }
        if matches!(message.content, Content::Other { .. }) {
            let error = AttemptError::Impossible { reason: "Messages of this kind can't be sent.".into() };
            self.flights.refused(&message.wa_message_id, attempt, &error, now);
            self.hungry = true;
            return;
        }
        let wa_message_id = message.wa_message_id.clone();
        self.flights.handed(&wa_message_id);
        let limited = self.seat.limited_until().is_some_and(|until| until > now.at);
        let limited = limited.then(|| (self.shared.store.clone(), self.session.id, ids_of(&message, &to)));
        let (link, files, guard) = (link.clone(), self.shared.media.clone(), self.shared.store.clone());
        let span =
            tracing::debug_span!("write_message", otel.kind = "producer", message = %message.id, session = %self.session.id, attempt);
        let task = async move {
            if let Some(peer) = turned_out
                && let Err(error) = may_go(&guard, &message, &peer).await
            {
                return Landing::Sent { wa_message_id, attempt, result: Err(error) };
            }
            let result = match limited {
                Some((store, session, ids)) if is_cold(&store, session, &ids).await => Err(AttemptError::Nack { code: REACHOUT.into() }),
                _ => write(&link, &files, message, to).await,
            };
            Landing::Sent { wa_message_id, attempt, result }
        };
        self.tasks.spawn(task.instrument(span));
    }

    /// A task beside the driver ended.
    pub(super) fn on_landing(&mut self, link: &Arc<Link>, landing: Result<Landing, JoinError>) {
        match landing {
            Ok(Landing::Asked { waiting, answer }) => self.on_asked(link, waiting, answer),
            other => self.on_landing_while_down(other),
        }
    }

    /// The same when nothing can be sent any more.
    pub(super) fn on_landing_while_down(&mut self, landing: Result<Landing, JoinError>) {
        let now = self.now();
        match landing {
            Ok(Landing::Sent { wa_message_id, attempt, result: Ok(()) }) => self.flights.written(&wa_message_id, attempt, now),
            Ok(Landing::Sent { wa_message_id, attempt, result: Err(error) }) => {
                self.flights.refused(&wa_message_id, attempt, &error, now);
                self.hungry = true;
            }
            Ok(Landing::Asked { waiting, .. }) => {
                for claimed in waiting {
                    self.flights.refused(&claimed.message.wa_message_id, claimed.attempts, &AttemptError::Offline, now);
                }
            }
            Ok(Landing::Woken(Ok(count))) => self.hungry |= count > 0,
            Ok(Landing::Woken(Err(error))) => {
                tracing::warn!(session = %self.session.id, %error, "messages that waited for the connection could not be woken yet");
                self.wakes = Some(now.instant + WAKE_AGAIN);
            }
            // Cut with its link; what becomes of its message was judged then.
            Err(error) if error.is_cancelled() => {}
            // The message stays in the air until its answer is overdue, and is then judged as unanswered.
            Err(error) => tracing::error!(session = %self.session.id, %error, "a send broke down"),
        }
    }

    /// Lets the tasks of a link that has ended report: whether a message was written decides what may be said of it.
    pub(super) async fn hear_out_tasks(&mut self) {
        let until = Instant::now() + HEAR_OUT;
        while let Ok(Some(landing)) = tokio::time::timeout_at(until, self.tasks.join_next()).await {
            self.on_landing_while_down(landing);
        }
        self.tasks.abort_all();
    }

    /// The last news go to the store before the driver ends, so that a message that was acknowledged is not sent
    /// again after the next start.
    pub(super) async fn settle_the_rest(&mut self) {
        let until = Instant::now() + SETTLE;
        loop {
            let round = match self.round.take() {
                Some(round) => round.await,
                None if self.flights.has_news().0 => self.visit(0).await,
                None => return,
            };
            if self.on_round_while_down(round).is_err() {
                return;
            }
            if self.refused_since.is_some() {
                if Instant::now() >= until {
                    return tracing::warn!(session = %self.session.id, "last news of the account are not written yet");
                }
                tokio::time::sleep(STORE_REST).await;
            }
        }
    }
}

/// Whether a message may go to who its recipient turned out to be: somebody who opted out under another id is still somebody
/// who opted out.
async fn may_go(store: &Store, message: &Message, peer: &Peer) -> Result<(), AttemptError> {
    match store.is_opted_out(message.user_id, message.id, peer).await {
        Ok(false) => Ok(()),
        Ok(true) => Err(AttemptError::OptedOut),
        Err(error) => Err(AttemptError::Transient { reason: format!("It could not be looked up who opted out: {error}") }),
    }
}

/// Encrypts a message and writes it; a file goes to WhatsApp's media host before.
async fn write(link: &Link, files: &Files, message: Message, to: Jid) -> Result<(), AttemptError> {
    match message.content.clone() {
        Content::Text { body: text, preview } => {
            let preview = preview.map(|preview| *preview);
            link.send_text(Outgoing { wa_message_id: message.wa_message_id, to, text, preview, quoted: message.quoted }).await
        }
        Content::Rich(rich) => {
            let Message { wa_message_id, quoted, created_at: at, .. } = message;
            link.send_rich(OutgoingRich { wa_message_id, to, rich: *rich, quoted, at }).await
        }
        Content::Media(media) => {
            // No answer is awaited yet while a file goes up, so a panic there would leave the message in the air for ever.
            let carried = AssertUnwindSafe(files.carry(link, message, *media, to)).catch_unwind().await;
            carried.unwrap_or_else(|_| Err(AttemptError::Transient { reason: "Sending the file broke down.".into() }))
        }
        Content::Other { kind } => Err(AttemptError::Impossible { reason: format!("Messages of the kind {kind} can't be sent.") }),
    }
}

/// All ids by which the recipient is known.
fn ids_of(message: &Message, to: &Jid) -> Vec<String> {
    let known = [Some(&message.chat), Some(to), message.peer.jid.as_ref(), message.peer.lid.as_ref()];
    let mut ids: Vec<String> = known.into_iter().flatten().map(ToString::to_string).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Whether nobody under these ids ever wrote to the account. In doubt it counts as warm: WhatsApp decides then.
async fn is_cold(store: &Store, session: SessionId, ids: &[String]) -> bool {
    store.cold_contacts(&[session], ids).await.is_ok_and(|cold| cold.len() == ids.len())
}
