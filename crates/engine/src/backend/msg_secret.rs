//! Secrets of messages: later votes, reactions and edits that refer to a message are encrypted with its secret.

use super::{Backend, invalid, key, storage};
use async_trait::async_trait;
use sanasend_store::{SignalChange, SignalKind};
use std::collections::BTreeMap;
use whatsapp_rust::wacore::store::error::{Result, StoreError};
use whatsapp_rust::wacore::store::traits::{
    MessageSecret, MsgSecretEntry, MsgSecretStore, merge_msg_secret_expiry, merge_msg_secret_message_ts,
};

#[async_trait]
impl MsgSecretStore for Backend {
    async fn put_msg_secrets(&self, entries: Vec<MsgSecretEntry>) -> Result<usize> {
        let count = entries.len();
        if count == 0 {
            return Ok(0);
        }
        // A later entry widens the window of an earlier one, in the rows and within the batch itself.
        let _changing = self.changing.lock().await;
        let keys: Vec<Vec<u8>> = entries.iter().map(|entry| key(&[&entry.chat, &entry.sender, &entry.msg_id])).collect();
        let stored = self.rows.get_many(SignalKind::MsgSecret, &keys).await.map_err(storage)?;
        let mut rows = BTreeMap::new();
        for (key, value) in stored {
            rows.insert(key, Row::read(&value)?);
        }
        for (key, entry) in keys.into_iter().zip(entries) {
            let new = Row { expires_at: entry.expires_at, message_ts: entry.message_ts, secret: entry.secret };
            rows.entry(key).and_modify(|old| old.merge(&new)).or_insert(new);
        }
        let put = |(key, row): (Vec<u8>, Row)| SignalChange::Put { kind: SignalKind::MsgSecret, key, value: row.written() };
        self.apply(rows.into_iter().map(put).collect()).await?;
        Ok(count)
    }

    async fn get_msg_secret(&self, chat: &str, sender: &str, msg_id: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.get_msg_secret_with_ts(chat, sender, msg_id).await?.map(|(secret, _)| secret))
    }

    async fn get_msg_secret_with_ts(&self, chat: &str, sender: &str, msg_id: &str) -> Result<Option<(Vec<u8>, i64)>> {
        let Some(value) = self.get(SignalKind::MsgSecret, &key(&[chat, sender, msg_id])).await? else { return Ok(None) };
        let row = Row::read(&value)?;
        Ok(Some((row.secret.to_vec(), row.message_ts)))
    }

    /// Swept centrally.
    async fn delete_expired_msg_secrets(&self, _cutoff_timestamp: i64) -> Result<u32> {
        Ok(0)
    }
}

/// 8 bytes deadline (0 = never), 8 bytes time of the message (0 = unknown), both big-endian unix seconds,
/// then the secret.
struct Row {
    expires_at: i64,
    message_ts: i64,
    secret: MessageSecret,
}

impl Row {
    fn read(value: &[u8]) -> Result<Self> {
        let wrong = |_| -> StoreError { invalid("message secret") };
        let (times, secret) = value.split_at_checked(16).ok_or_else(|| invalid("message secret"))?;
        let (expires_at, message_ts) = times.split_at(8);
        Ok(Self {
            expires_at: i64::from_be_bytes(expires_at.try_into().map_err(wrong)?),
            message_ts: i64::from_be_bytes(message_ts.try_into().map_err(wrong)?),
            secret: secret.try_into().map_err(wrong)?,
        })
    }

    fn written(&self) -> Vec<u8> {
        [&self.expires_at.to_be_bytes()[..], &self.message_ts.to_be_bytes(), &self.secret].concat()
    }

    fn merge(&mut self, new: &Self) {
        self.secret = new.secret;
        self.expires_at = merge_msg_secret_expiry(self.expires_at, new.expires_at);
        self.message_ts = merge_msg_secret_message_ts(self.message_ts, new.message_ts);
    }
}
