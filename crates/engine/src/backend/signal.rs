//! Identities, ratchets, prekeys and sender keys.

use super::{Backend, invalid, storage};
use async_trait::async_trait;
use bytes::Bytes;
use sanasend_store::{SignalChange, SignalKind};
use std::sync::Arc;
use whatsapp_rust::wacore::store::error::Result;
use whatsapp_rust::wacore::store::traits::SignalStore;

#[async_trait]
impl SignalStore for Backend {
    async fn put_identity(&self, address: &str, key: [u8; 32]) -> Result<()> {
        self.put(SignalKind::Identity, address.into(), key.to_vec()).await
    }

    async fn put_identities_batch(&self, identities: &[(Arc<str>, [u8; 32])]) -> Result<()> {
        let put = |(address, key): &(Arc<str>, [u8; 32])| put(SignalKind::Identity, address.as_bytes(), key);
        self.apply(identities.iter().map(put).collect()).await
    }

    async fn load_identity(&self, address: &str) -> Result<Option<[u8; 32]>> {
        let stored = self.get(SignalKind::Identity, address.as_bytes()).await?;
        stored.map(|key| key.try_into().map_err(|_| invalid("identity"))).transpose()
    }

    async fn delete_identity(&self, address: &str) -> Result<()> {
        self.delete(SignalKind::Identity, address.into()).await
    }

    async fn get_session(&self, address: &str) -> Result<Option<Bytes>> {
        Ok(self.get(SignalKind::Session, address.as_bytes()).await?.map(Bytes::from))
    }

    async fn put_session(&self, address: &str, session: &[u8]) -> Result<()> {
        self.put(SignalKind::Session, address.into(), session.to_vec()).await
    }

    async fn put_sessions_batch(&self, sessions: &[(Arc<str>, Bytes)]) -> Result<()> {
        let put = |(address, session): &(Arc<str>, Bytes)| put(SignalKind::Session, address.as_bytes(), session);
        self.apply(sessions.iter().map(put).collect()).await
    }

    async fn delete_session(&self, address: &str) -> Result<()> {
        self.delete(SignalKind::Session, address.into()).await
    }

    async fn has_signal_state_for_user(&self, user: &str) -> Result<bool> {
        // Addresses are `user@server` for the first device and `user:device@server` for the others.
        for kind in [SignalKind::Session, SignalKind::Identity] {
            for border in ['@', ':'] {
                let prefix = format!("{user}{border}");
                if !self.rows.list_keys(kind, prefix.as_bytes()).await.map_err(storage)?.is_empty() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn store_prekey(&self, id: u32, record: &[u8], _uploaded: bool) -> Result<()> {
        self.put(SignalKind::PreKey, id.to_be_bytes().into(), record.to_vec()).await
    }

    async fn store_prekeys_batch(&self, keys: &[(u32, Bytes)], _uploaded: bool) -> Result<()> {
        let put = |(id, record): &(u32, Bytes)| put(SignalKind::PreKey, &id.to_be_bytes(), record);
        self.apply(keys.iter().map(put).collect()).await
    }

    async fn load_prekey(&self, id: u32) -> Result<Option<Bytes>> {
        Ok(self.get(SignalKind::PreKey, &id.to_be_bytes()).await?.map(Bytes::from))
    }

    async fn load_prekeys_batch(&self, ids: &[u32]) -> Result<Vec<(u32, Bytes)>> {
        let keys: Vec<Vec<u8>> = ids.iter().map(|id| id.to_be_bytes().to_vec()).collect();
        let found = self.rows.get_many(SignalKind::PreKey, &keys).await.map_err(storage)?;
        found.into_iter().map(|(key, record)| Ok((prekey_id(&key)?, Bytes::from(record)))).collect()
    }

    /// Nothing to write: the client library never asks back which keys were uploaded (it keeps a watermark
    /// in the device), and a key that was used up in the meantime must not come back.
    async fn mark_prekeys_uploaded(&self, _ids: &[u32]) -> Result<()> {
        Ok(())
    }

    async fn remove_prekey(&self, id: u32) -> Result<()> {
        self.delete(SignalKind::PreKey, id.to_be_bytes().into()).await
    }

    async fn get_max_prekey_id(&self) -> Result<u32> {
        // Big-endian ids sort like the numbers they are.
        let max = self.rows.max_key(SignalKind::PreKey).await.map_err(storage)?;
        max.map_or(Ok(0), |key| prekey_id(&key))
    }

    async fn store_signed_prekey(&self, id: u32, record: &[u8]) -> Result<()> {
        self.put(SignalKind::SignedPreKey, id.to_be_bytes().into(), record.to_vec()).await
    }

    async fn load_signed_prekey(&self, id: u32) -> Result<Option<Vec<u8>>> {
        self.get(SignalKind::SignedPreKey, &id.to_be_bytes()).await
    }

    async fn load_all_signed_prekeys(&self) -> Result<Vec<(u32, Vec<u8>)>> {
        let all = self.rows.list(SignalKind::SignedPreKey, &[]).await.map_err(storage)?;
        all.into_iter().map(|(key, record)| Ok((prekey_id(&key)?, record))).collect()
    }

    async fn remove_signed_prekey(&self, id: u32) -> Result<()> {
        self.delete(SignalKind::SignedPreKey, id.to_be_bytes().into()).await
    }

    async fn put_sender_key(&self, address: &str, record: &[u8]) -> Result<()> {
        self.put(SignalKind::SenderKey, address.into(), record.to_vec()).await
    }

    async fn put_sender_keys_batch(&self, sender_keys: &[(Arc<str>, Bytes)]) -> Result<()> {
        let put = |(address, record): &(Arc<str>, Bytes)| put(SignalKind::SenderKey, address.as_bytes(), record);
        self.apply(sender_keys.iter().map(put).collect()).await
    }

    async fn get_sender_key(&self, address: &str) -> Result<Option<Vec<u8>>> {
        self.get(SignalKind::SenderKey, address.as_bytes()).await
    }

    async fn delete_sender_key(&self, address: &str) -> Result<()> {
        self.delete(SignalKind::SenderKey, address.into()).await
    }
}

fn put(kind: SignalKind, key: &[u8], value: &[u8]) -> SignalChange {
    SignalChange::Put { kind, key: key.to_vec(), value: value.to_vec() }
}

fn prekey_id(key: &[u8]) -> Result<u32> {
    key.try_into().map(u32::from_be_bytes).map_err(|_| invalid("prekey id"))
}
