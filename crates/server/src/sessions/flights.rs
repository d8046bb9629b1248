//! The messages of one account that are in the air: taken from the outbox, not yet settled.
//!
//! Bookkeeping only, no waiting and no storage, so that its rules can be tested as a table: one message per chat
//! at a time, a limit over all chats, an answer from WhatsApp's server within a time, and for everything that
//! happens a piece of [`News`] that the driver carries to the store.

use sanasend_model::retry::{AttemptError, Verdict, expired, judge};
use sanasend_model::{Jid, MessageId, MessageStatus, Timestamp};
use sanasend_store::{Claimed, News, Peer};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// One message in the air.
#[derive(Debug)]
struct Flight {
    message_id: MessageId,
    /// The chat as the outbox orders by, and as WhatsApp answered when that differs.
    chats: Vec<Jid>,
    attempt: i32,
    stage: Stage,
    written_before: bool,
    /// A file goes up before it is written: only then does the wait for an answer begin.
    carries_file: bool,
    deadline: Timestamp,
}

impl Flight {
    fn is_written(&self) -> bool {
        self.stage == Stage::Written
    }
}

/// How far an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing of it can have left.
    Claimed,
    /// The link has it, and has not said what became of it.
    Handed,
    /// It was written to the socket.
    Written,
}

/// The present moment, on both clocks: one is shown and stored, the other measures waits.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// For rows.
    pub at: Timestamp,
    /// For waits.
    pub instant: Instant,
    /// A random byte, for the jitter of retries.
    pub jitter: u8,
}

/// All of an account's messages in the air, by WhatsApp id.
#[derive(Debug)]
pub struct Flights {
    limit: usize,
    ack_timeout: Duration,
    by_wa: HashMap<String, Flight>,
    /// When an answer is overdue, in order of time: every wait is equally long.
    overdue: VecDeque<(Instant, String, i32)>,
    /// What is being told to the store, and may have to be told again.
    telling: Arc<Vec<News>>,
    news: Vec<News>,
    /// Whether `news` holds more than reports of writing and receipts, which can wait for what follows.
    urgent: bool,
    /// Whether any of them waits for a connection, as far as nobody has asked.
    waiting: bool,
}

impl Flights {
    /// Nothing in the air; at most `limit` messages at once, each answered within `ack_timeout`.
    pub fn new(limit: usize, ack_timeout: Duration) -> Self {
        let (telling, news) = (Arc::default(), Vec::new());
        Self { limit, ack_timeout, by_wa: HashMap::new(), overdue: VecDeque::new(), telling, news, urgent: false, waiting: false }
    }

    /// How many more may be taken from the outbox.
    pub fn room(&self) -> usize {
        self.limit.saturating_sub(self.by_wa.len())
    }

    /// Whether nothing is in the air.
    pub fn is_empty(&self) -> bool {
        self.by_wa.is_empty()
    }

    /// The chats of which nothing more may be taken now.
    pub fn busy_chats(&self) -> Vec<Jid> {
        self.by_wa.values().flat_map(|flight| flight.chats.iter().cloned()).collect()
    }

    /// Takes a claimed message up. `false` when it is past its deadline (then it fails), or in the air already.
    pub fn take_off(&mut self, claimed: &Claimed, now: Now) -> bool {
        let message = &claimed.message;
        if self.by_wa.contains_key(&message.wa_message_id) {
            return false;
        }
        let deadline = claimed.expires_at;
        if now.at >= deadline {
            let (failure, text) = expired(claimed.written_before);
            self.push(News::Failed { message_id: message.id, at: now.at, failure, text });
            return false;
        }
        let flight = Flight {
            message_id: message.id,
            chats: vec![message.chat.clone()],
            attempt: claimed.attempts,
            stage: Stage::Claimed,
            written_before: claimed.written_before,
            carries_file: message.content.media().is_some(),
            deadline,
        };
        if !flight.carries_file {
            self.overdue.push_back((now.instant + self.ack_timeout, message.wa_message_id.clone(), claimed.attempts));
        }
        self.by_wa.insert(message.wa_message_id.clone(), flight);
        true
    }

    /// WhatsApp said how the recipient is addressed.
    pub fn resolved(&mut self, wa_message_id: &str, peer: Peer, chat: Jid) {
        let Some(flight) = self.by_wa.get_mut(wa_message_id) else { return };
        if !flight.chats.contains(&chat) {
            flight.chats.push(chat.clone());
        }
        let message_id = flight.message_id;
        self.push(News::Resolved { message_id, peer, chat });
    }

    /// The attempt is handed to the link: from now on it may be written.
    pub fn handed(&mut self, wa_message_id: &str) {
        if let Some(flight) = self.by_wa.get_mut(wa_message_id) {
            flight.stage = Stage::Handed;
        }
    }

    /// The attempt was written to the socket; the acknowledgement is awaited from now on.
    pub fn written(&mut self, wa_message_id: &str, attempt: i32, now: Now) {
        let Some(flight) = self.by_wa.get_mut(wa_message_id).filter(|flight| flight.attempt == attempt && !flight.is_written()) else {
            return;
        };
        flight.stage = Stage::Written;
        if flight.carries_file {
            self.overdue.push_back((now.instant + self.ack_timeout, wa_message_id.to_owned(), attempt));
        }
        self.news.push(News::Written { message_id: flight.message_id, at: now.at });
    }

    /// The attempt came to nothing.
    pub fn refused(&mut self, wa_message_id: &str, attempt: i32, error: &AttemptError, now: Now) {
        if self.by_wa.get(wa_message_id).is_some_and(|flight| flight.attempt == attempt) {
            self.land(wa_message_id, error, now);
        }
    }

    /// WhatsApp's server took the message. Late acknowledgements of messages that are not in the air count too.
    pub fn acked(&mut self, wa_message_id: String, at: Timestamp, now: Now) {
        if let Some(flight) = self.by_wa.remove(&wa_message_id)
            && !flight.is_written()
        {
            self.news.push(News::Written { message_id: flight.message_id, at: now.at });
        }
        self.push(News::Acked { wa_message_id, at });
    }

    /// WhatsApp's server refused the message. `false` when it is not in the air: then it was judged before.
    pub fn nacked(&mut self, wa_message_id: &str, code: String, now: Now) -> bool {
        if let Some(flight) = self.by_wa.get_mut(wa_message_id)
            && !flight.is_written()
        {
            flight.stage = Stage::Written;
            self.news.push(News::Written { message_id: flight.message_id, at: now.at });
        }
        self.land(wa_message_id, &AttemptError::Nack { code }, now)
    }

    /// A device of the recipient reports. It proves that the server took the message, so the acknowledgement that
    /// it overtook is told with it. `true` when it overtook one: a chat is free then. Otherwise nobody is held up by the news,
    /// and it can wait a moment for others to share a commit with.
    pub fn receipt(
        &mut self,
        wa_message_ids: Vec<String>,
        chat: Jid,
        by: Option<Peer>,
        status: MessageStatus,
        now: Now,
        at: Timestamp,
    ) -> bool {
        let in_the_air = self.by_wa.len();
        for id in wa_message_ids.iter().filter(|id| self.by_wa.contains_key(*id)).cloned().collect::<Vec<_>>() {
            self.acked(id, at, now);
        }
        self.news.push(News::Receipt { wa_message_ids, chat, by, status, at });
        self.by_wa.len() < in_the_air
    }

    /// Judges what has waited too long for an answer; returns how many messages that are.
    pub fn give_up_waiting(&mut self, now: Now) -> usize {
        let mut count = 0;
        while let Some((due, _, _)) = self.overdue.front()
            && *due <= now.instant
        {
            let Some((_, id, attempt)) = self.overdue.pop_front() else { break };
            if self.by_wa.get(&id).is_some_and(|flight| flight.attempt == attempt) {
                count += usize::from(self.land(&id, &AttemptError::Unanswered, now));
            }
        }
        count
    }

    /// The connection broke: what was written will not be answered on it any more. What is still being written
    /// reports by itself.
    pub fn line_broke(&mut self, now: Now) {
        let written: Vec<String> = self.by_wa.iter().filter(|(_, flight)| flight.is_written()).map(|(id, _)| id.clone()).collect();
        for id in written {
            self.land(&id, &AttemptError::Unanswered, now);
        }
    }

    /// Everything in the air is given up, whatever its state: the account is not linked any more, or the link is
    /// gone with all its tasks.
    pub fn ground(&mut self, now: Now) {
        let all: Vec<(String, bool)> = self.by_wa.iter().map(|(id, flight)| (id.clone(), flight.is_written())).collect();
        for (id, written) in all {
            let error = if written { AttemptError::Unanswered } else { AttemptError::Offline };
            self.land(&id, &error, now);
        }
    }

    /// When the next answer is overdue.
    pub fn next_overdue(&mut self) -> Option<Instant> {
        while let Some((_, id, attempt)) = self.overdue.front() {
            if self.by_wa.get(id).is_some_and(|flight| flight.attempt == *attempt) {
                break;
            }
            self.overdue.pop_front();
        }
        self.overdue.front().map(|(due, _, _)| *due)
    }

    /// A message was claimed and then not taken up: nothing of it can have left in this attempt.
    pub fn not_taken(&mut self, claimed: &Claimed, now: Now) {
        let (message_id, reason) = (claimed.message.id, sentence(&AttemptError::Offline));
        self.push(News::Retry { message_id, at: now.at, due_at: None, reason });
    }

    /// What is to be told to the store now. [`Flights::told`] or [`Flights::put_back`] has to follow; until then it is held
    /// here as well.
    pub fn tell(&mut self) -> Arc<Vec<News>> {
        self.urgent = false;
        self.telling = Arc::new(std::mem::take(&mut self.news));
        self.telling.clone()
    }

    /// The store took it.
    pub fn told(&mut self) {
        self.telling = Arc::default();
    }

    /// The store could not take it: it goes in front of what came since. Answers what that is.
    pub fn put_back(&mut self) -> Arc<Vec<News>> {
        let untold = std::mem::take(&mut self.telling);
        self.take_over(untold.to_vec());
        untold
    }

    /// News of a driver before this one, in front of all others.
    pub fn take_over(&mut self, mut news: Vec<News>) {
        if !news.is_empty() {
            news.append(&mut self.news);
            self.news = news;
            self.urgent = true;
        }
    }

    /// All that the store is not known to have taken; nothing is left.
    pub fn leave(&mut self) -> Vec<News> {
        self.put_back();
        std::mem::take(&mut self.news)
    }

    /// Whether there is any news, and whether it should not wait.
    pub fn has_news(&self) -> (bool, bool) {
        (!self.news.is_empty(), self.urgent)
    }

    /// Whether something was put down since the last question that goes again with the next connection.
    pub fn take_waiting(&mut self) -> bool {
        std::mem::take(&mut self.waiting)
    }

    /// That is still to be told.
    pub fn still_waiting(&mut self, waiting: bool) {
        self.waiting |= waiting;
    }

    /// Ends the flight by the table of [`judge`]. `false` when there is no such flight.
    fn land(&mut self, wa_message_id: &str, error: &AttemptError, now: Now) -> bool {
        let Some(flight) = self.by_wa.remove(wa_message_id) else { return false };
        let message_id = flight.message_id;
        if flight.stage == Stage::Handed && *error == AttemptError::Unanswered {
            // The link reported nothing: nobody may say of it that it was not sent.
            self.news.push(News::Written { message_id, at: now.at });
        }
        let maybe_left = flight.is_written() || flight.written_before || *error == AttemptError::Unanswered;
        let news = match judge(error, u32::try_from(flight.attempt).unwrap_or(1), maybe_left, flight.deadline, now.at, now.jitter) {
            Verdict::RetryAt(due) => News::Retry { message_id, at: now.at, due_at: Some(due), reason: sentence(error) },
            Verdict::WhenConnected => News::Retry { message_id, at: now.at, due_at: None, reason: sentence(error) },
            Verdict::Fail(failure, text) => News::Failed { message_id, at: now.at, failure, text },
        };
        self.push(news);
        true
    }

    fn push(&mut self, news: News) {
        self.waiting |= matches!(news, News::Retry { due_at: None, .. });
        self.news.push(news);
        self.urgent = true;
    }
}

/// The messages that a batch of news takes out of the air for good or for a while.
pub fn landed(news: &[News]) -> (Vec<MessageId>, Vec<&str>) {
    let mut ids = Vec::new();
    let mut wa_ids = Vec::new();
    for piece in news {
        match piece {
            News::Retry { message_id, .. } | News::Failed { message_id, .. } => ids.push(*message_id),
            News::Acked { wa_message_id, .. } => wa_ids.push(wa_message_id.as_str()),
            News::Receipt { wa_message_ids, .. } => wa_ids.extend(wa_message_ids.iter().map(String::as_str)),
            News::Written { .. } | News::Resolved { .. } => {}
        }
    }
    (ids, wa_ids)
}

/// For people: why the attempt came to nothing.
fn sentence(error: &AttemptError) -> String {
    match error {
        AttemptError::Offline => "The account is not connected.".into(),
        AttemptError::Unanswered => "WhatsApp did not acknowledge it in time.".into(),
        AttemptError::Limited { .. } => "WhatsApp asks for patience.".into(),
        AttemptError::Nack { code } => format!("WhatsApp refused it for now (code {code})."),
        AttemptError::Transient { reason } | AttemptError::Impossible { reason } | AttemptError::Media { reason } => reason.clone(),
        AttemptError::NotOnWhatsApp => "The number is not on WhatsApp.".into(),
        AttemptError::OptedOut => "The recipient opted out.".into(),
    }
}

#[cfg(test)]
mod tests;
