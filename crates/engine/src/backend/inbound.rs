//! Keeping what was just read, while the database may be down.
//!
//! The client library writes a message down before it hands it over. When that write fails it holds the acknowledgement
//! back, which is right, and forgets the message, since WhatsApp hands it out again with the next connection. There must
//! be a next connection then: a link that stays up would never see the message again.

use super::{Backend, Result, storage};
use crate::events::Signal;
use sanasend_model::session::LinkEnd;
use sanasend_store::{SignalChange, StoreError as Refused};
use std::time::Duration;

/// How often the write is offered to a store that is down: for about six seconds in all, as long as incoming messages are.
const TRIES: u32 = 8;
/// First wait between two of these tries; doubles.
const TRY_AGAIN: Duration = Duration::from_millis(50);

impl Backend {
    /// Writes messages down that are not handed over yet. When that can't be done the link ends, so that they come again.
    pub(super) async fn keep_inbound(&self, rows: Vec<SignalChange>) -> Result<()> {
        let mut wait = TRY_AGAIN;
        for _ in 1..TRIES {
            match self.rows.apply(rows.clone()).await {
                Err(Refused::Unavailable(_)) => {}
                done => return done.map_err(storage),
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        let kept = self.rows.apply(rows).await;
        if let (Err(Refused::Unavailable(_)), Some(tell)) = (&kept, &self.missed) {
            let reason = "an incoming message could not be kept; it comes again with the next connection".into();
            let _ = tell.send(Signal::End(LinkEnd::Lost { reason }));
        }
        kept.map_err(storage)
    }
}
