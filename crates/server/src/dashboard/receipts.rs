//! The members of a group on the page of a message that was sent there: whom it reached, who read it.

use super::parts::Told;
use crate::app::App;
use askama::Template;
use askama::filters::HtmlSafe;
use sanasend_store::{Message, Page, Receipt, ReceiptCounts, StoreError};

/// Members that the page shows.
const SHOWN: u64 = 100;

/// What the members told.
#[derive(Template)]
#[template(path = "parts/receipts.html")]
pub struct Receipts {
    counts: ReceiptCounts,
    members: Vec<Receipt>,
    /// Members beyond those that are shown.
    more: u64,
}

impl HtmlSafe for Receipts {}

impl Receipts {
    /// Of a message to a group; `None` for any other.
    ///
    /// # Errors
    /// When the store is down.
    pub async fn of(app: &App, message: &Message) -> Result<Option<Self>, StoreError> {
        if !message.has_receipts() {
            return Ok(None);
        }
        let counts = app.store.receipt_counts(message.user_id, message.id).await?;
        let listed = app.store.list_receipts(message.user_id, message.id, Page { page: 1, page_size: SHOWN }).await?;
        Ok(Some(Self { counts, more: listed.count.saturating_sub(SHOWN), members: listed.results }))
    }
}
