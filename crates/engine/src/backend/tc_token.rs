//! Trusted-contact tokens: every direct send asks for the recipient's, so they are kept in memory too.

use super::{Backend, encode};
use sanasend_store::SignalKind;
use std::collections::HashMap;
use tokio::sync::Mutex;
use whatsapp_rust::wacore::store::error::Result;
use whatsapp_rust::wacore::store::traits::TcTokenEntry;

/// Chats whose token, or absence of one, is remembered; the cache starts anew when it is full.
const CACHED: usize = 1024;

/// What is known of the rows. Held over every read and write of them, so that it never lags behind: a read
/// can't put back what a write replaced meanwhile.
#[derive(Default)]
pub(super) struct Cache(Mutex<HashMap<String, Option<TcTokenEntry>>>);

impl Backend {
    pub(super) async fn tc_token(&self, jid: &str) -> Result<Option<TcTokenEntry>> {
        let mut cache = self.tc_tokens.0.lock().await;
        self.tc_token_locked(&mut cache, jid).await
    }

    /// Replaces the token of a contact by what `change` makes of it; `None` leaves it as it is.
    pub(super) async fn change_tc_token(
        &self,
        jid: &str,
        change: impl FnOnce(Option<TcTokenEntry>) -> Option<TcTokenEntry> + Send,
    ) -> Result<()> {
        let mut cache = self.tc_tokens.0.lock().await;
        let old = self.tc_token_locked(&mut cache, jid).await?;
        let Some(new) = change(old) else { return Ok(()) };
        // Forgotten first: when the write fails, nobody knows what the row holds.
        cache.remove(jid);
        self.put(SignalKind::TcToken, jid.into(), encode(&new)?).await?;
        remember(&mut cache, jid, Some(new));
        Ok(())
    }

    pub(super) async fn forget_tc_token(&self, jid: &str) -> Result<()> {
        let mut cache = self.tc_tokens.0.lock().await;
        cache.remove(jid);
        self.delete(SignalKind::TcToken, jid.into()).await
    }

    async fn tc_token_locked(&self, cache: &mut HashMap<String, Option<TcTokenEntry>>, jid: &str) -> Result<Option<TcTokenEntry>> {
        if let Some(known) = cache.get(jid) {
            return Ok(known.clone());
        }
        let stored: Option<TcTokenEntry> = self.get_as(SignalKind::TcToken, jid.as_bytes()).await?;
        remember(cache, jid, stored.clone());
        Ok(stored)
    }
}

fn remember(cache: &mut HashMap<String, Option<TcTokenEntry>>, jid: &str, entry: Option<TcTokenEntry>) {
    if cache.len() >= CACHED {
        cache.clear();
    }
    cache.insert(jid.to_owned(), entry);
}
