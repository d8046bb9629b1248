//! What WhatsApp told of an account and the store has not taken: kept over the end of links and drivers.
//!
//! An acknowledgement is not told twice, and a receipt is not told again once the client library has acknowledged it, which
//! it does before anybody here could write it down. So from then on it must not depend on a link, on a driver, or on a
//! database that works just now. What a driver can't write before it ends it leaves in its seat, and so does a link
//! that is still ending; the next driver of the account tells it, or, where none follows, a task of its own does.

use super::seat::Seat;
use crate::inbox;
use sanasend_engine::LinkEvent;
use sanasend_model::SessionId;
use sanasend_store::{News, Store, StoreError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

/// First wait for a store that is down; doubles up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(250);
/// Longest wait.
const LONGEST: Duration = Duration::from_secs(5);

/// News that wait for somebody to tell them to the store.
#[derive(Debug, Default)]
pub struct Untold(Mutex<Vec<News>>);

impl Untold {
    /// Adds what WhatsApp told of these. What a driver concluded by itself (a retry, a failure) goes with it: whoever takes
    /// the account up next judges anew.
    pub fn keep(&self, news: impl IntoIterator<Item = News>) {
        self.news().extend(news.into_iter().filter(|news| matches!(news, News::Acked { .. } | News::Receipt { .. })));
    }

    /// All of them; none are left.
    pub fn take(&self) -> Vec<News> {
        std::mem::take(&mut *self.news())
    }

    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.news().is_empty()
    }

    /// A poisoned lock only means that a thread panicked between two pieces of news; each of them is whole.
    fn news(&self) -> MutexGuard<'_, Vec<News>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hears a link out that nobody holds any more, then tells the store what the seat keeps, for as long as there is anything.
pub(super) async fn tell_the_rest(store: Store, seat: Arc<Seat>, session: SessionId, rest: Option<UnboundedReceiver<LinkEvent>>) {
    if let Some(mut rest) = rest {
        while let Some(event) = rest.recv().await {
            seat.untold().keep(news_of(event));
        }
    }
    let mut wait = FIRST;
    while !tell_once(&store, &seat, session).await {
        tokio::time::sleep(wait).await;
        wait = LONGEST.min(wait * 2);
    }
}

/// Tells the store what the seat keeps; `false` when it did not take it.
pub(super) async fn tell_once(store: &Store, seat: &Seat, session: SessionId) -> bool {
    let news = seat.untold().take();
    if news.is_empty() {
        return true;
    }
    match tell(store, session, &news).await {
        Ok(()) => {
            tracing::info!(%session, count = news.len(), "what WhatsApp told an account at its end is written");
            true
        }
        Err(error) => {
            tracing::warn!(%session, %error, count = news.len(), "what WhatsApp told an account at its end waits for the store");
            seat.untold().keep(news);
            false
        }
    }
}

/// Whoever owns the account by now: what WhatsApp told is true, and moves messages only forward.
async fn tell(store: &Store, session: SessionId, news: &[News]) -> Result<(), StoreError> {
    // An account that is gone has no messages.
    let Some(row) = store.session(session).await? else { return Ok(()) };
    inbox::apply(store, session, row.generation, news).await.map(drop)
}

/// The news in an event of a link. A refusal is no such news: a message without an answer is sent again, and refused again.
fn news_of(event: LinkEvent) -> Option<News> {
    match event {
        LinkEvent::Ack { wa_message_id, at, error: None } => Some(News::Acked { wa_message_id, at }),
        LinkEvent::Receipt { wa_message_ids, chat, by, status, at } => Some(News::Receipt { wa_message_ids, chat, by, status, at }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sanasend_model::{Jid, MessageStatus, Timestamp};

    #[test]
    fn what_whatsapp_told_is_kept_and_what_a_driver_concluded_is_not() {
        let untold = Untold::default();
        let message_id = "0190a000-0000-7000-8000-000000000001".parse().expect("id");
        let acked = News::Acked { wa_message_id: "A".into(), at: Timestamp(1) };
        let chat = Jid::parse("1@s.whatsapp.net").expect("jid");
        let status = MessageStatus::Delivered;
        let receipt = News::Receipt { wa_message_ids: vec!["A".into()], chat: chat.clone(), by: None, status, at: Timestamp(2) };
        let retry = News::Retry { message_id, at: Timestamp(3), due_at: None, reason: String::new() };
        untold.keep([acked.clone(), News::Written { message_id, at: Timestamp(0) }, retry]);
        untold.keep(news_of(LinkEvent::Receipt { wa_message_ids: vec!["A".into()], chat, by: None, status, at: Timestamp(2) }));
        untold.keep(news_of(LinkEvent::Ack { wa_message_id: "B".into(), at: Timestamp(4), error: Some("479".into()) }));
        untold.keep(news_of(LinkEvent::Connected));
        assert_eq!(untold.take(), [acked, receipt]);
        assert!(untold.is_empty());
    }
}
