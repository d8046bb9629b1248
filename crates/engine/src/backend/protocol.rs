//! What the protocol remembers beside the keys: who has which sender key, which hidden id belongs to which
//! number, devices of contacts, tokens, sent messages for re-sends, incoming ones that wait for their commit.

use super::{Backend, decode, encode, key, prefix, storage, text};
use async_trait::async_trait;
use sanasend_store::{SignalChange, SignalKind};
use std::collections::HashMap;
use whatsapp_rust::wacore::store::error::Result;
use whatsapp_rust::wacore::store::traits::{
    DeviceListRecord, LidPnMappingEntry, PendingInboundKey, PendingInboundRow, ProtocolStore, TcTokenEntry,
};

#[async_trait]
impl ProtocolStore for Backend {
    async fn get_sender_key_devices(&self, group_jid: &str) -> Result<Vec<(String, bool)>> {
        let prefix = prefix(group_jid);
        let rows = self.rows.list(SignalKind::SenderKeyDevice, &prefix).await.map_err(storage)?;
        rows.into_iter().map(|(key, has)| Ok((text(key[prefix.len()..].to_vec())?, has == [1]))).collect()
    }

    async fn set_sender_key_status(&self, group_jid: &str, entries: &[(&str, bool)]) -> Result<()> {
        let _changing = self.changing.lock().await;
        let put = |(device, has): &(&str, bool)| SignalChange::Put {
            kind: SignalKind::SenderKeyDevice,
            key: key(&[group_jid, device]),
            value: vec![u8::from(*has)],
        };
        self.apply(entries.iter().map(put).collect()).await
    }

    async fn clear_sender_key_devices(&self, group_jid: &str) -> Result<()> {
        let _changing = self.changing.lock().await;
        self.apply(vec![SignalChange::DeletePrefix { kind: SignalKind::SenderKeyDevice, prefix: prefix(group_jid) }]).await
    }

    async fn delete_sender_key_device_rows(&self, device_jids: &[&str]) -> Result<()> {
        let _changing = self.changing.lock().await;
        let rows = self.rows.list_keys(SignalKind::SenderKeyDevice, &[]).await.map_err(storage)?;
        let of_device = |row: &Vec<u8>| {
            row.split(|byte| *byte == 0).nth(1).is_some_and(|device| device_jids.iter().any(|jid| jid.as_bytes() == device))
        };
        let delete = |key| SignalChange::Delete { kind: SignalKind::SenderKeyDevice, key };
        self.apply(rows.into_iter().filter(of_device).map(delete).collect()).await
    }

    async fn clear_all_sender_key_devices(&self) -> Result<()> {
        let _changing = self.changing.lock().await;
        self.apply(vec![SignalChange::DeletePrefix { kind: SignalKind::SenderKeyDevice, prefix: Vec::new() }]).await
    }

    async fn get_lid_mapping(&self, lid: &str) -> Result<Option<LidPnMappingEntry>> {
        self.get_as(SignalKind::LidMapping, lid.as_bytes()).await
    }

    async fn get_pn_mapping(&self, phone: &str) -> Result<Option<LidPnMappingEntry>> {
        let Some(lid) = self.get(SignalKind::PnMapping, phone.as_bytes()).await? else { return Ok(None) };
        self.get_as(SignalKind::LidMapping, &lid).await
    }

    async fn put_lid_mapping(&self, entry: &LidPnMappingEntry) -> Result<()> {
        self.put_lid_mappings(std::slice::from_ref(entry)).await
    }

    async fn put_lid_mappings(&self, entries: &[LidPnMappingEntry]) -> Result<()> {
        let _changing = self.changing.lock().await;
        let lids: Vec<Vec<u8>> = entries.iter().map(|entry| entry.lid.clone().into_bytes()).collect();
        let stored = self.rows.get_many(SignalKind::LidMapping, &lids).await.map_err(storage)?;
        let mut phones = HashMap::new();
        for (lid, value) in stored {
            phones.insert(text(lid)?, decode::<LidPnMappingEntry>(&value)?.phone_number);
        }
        let mut changes = Vec::with_capacity(entries.len() * 2);
        for entry in entries {
            // A hidden id that moved to another number leaves the old number without one.
            if let Some(old) = phones.insert(entry.lid.clone(), entry.phone_number.clone()).filter(|old| *old != entry.phone_number) {
                changes.push(SignalChange::Delete { kind: SignalKind::PnMapping, key: old.into_bytes() });
            }
            changes.push(SignalChange::Put {
                kind: SignalKind::PnMapping,
                key: entry.phone_number.clone().into_bytes(),
                value: entry.lid.clone().into_bytes(),
            });
            changes.push(SignalChange::Put { kind: SignalKind::LidMapping, key: entry.lid.clone().into_bytes(), value: encode(entry)? });
        }
        self.apply(changes).await
    }

    async fn get_all_lid_mappings(&self) -> Result<Vec<LidPnMappingEntry>> {
        let rows = self.rows.list(SignalKind::LidMapping, &[]).await.map_err(storage)?;
        rows.iter().map(|(_, value)| decode(value)).collect()
    }

    async fn save_base_key(&self, address: &str, message_id: &str, base_key: &[u8]) -> Result<()> {
        self.put(SignalKind::BaseKey, key(&[address, message_id]), base_key.to_vec()).await
    }

    async fn has_same_base_key(&self, address: &str, message_id: &str, current_base_key: &[u8]) -> Result<bool> {
        Ok(self.get(SignalKind::BaseKey, &key(&[address, message_id])).await?.is_some_and(|saved| saved == current_base_key))
    }

    async fn delete_base_key(&self, address: &str, message_id: &str) -> Result<()> {
        self.delete(SignalKind::BaseKey, key(&[address, message_id])).await
    }

    async fn update_device_list(&self, record: DeviceListRecord) -> Result<()> {
        self.update_device_lists(vec![record]).await
    }

    async fn update_device_lists(&self, records: Vec<DeviceListRecord>) -> Result<()> {
        let put = |record: &DeviceListRecord| {
            Ok(SignalChange::Put { kind: SignalKind::DeviceList, key: record.user.clone().into_bytes(), value: encode(record)? })
        };
        self.apply(records.iter().map(put).collect::<Result<_>>()?).await
    }

    async fn get_devices(&self, user: &str) -> Result<Option<DeviceListRecord>> {
        self.get_as(SignalKind::DeviceList, user.as_bytes()).await
    }

    async fn delete_devices(&self, user: &str) -> Result<()> {
        self.delete(SignalKind::DeviceList, user.into()).await
    }

    async fn get_group_metadata(&self, group_jid: &str) -> Result<Option<Vec<u8>>> {
        self.get(SignalKind::GroupMetadata, group_jid.as_bytes()).await
    }

    async fn put_group_metadata(&self, group_jid: &str, blob: &[u8]) -> Result<()> {
        self.put(SignalKind::GroupMetadata, group_jid.into(), blob.to_vec()).await
    }

    async fn delete_group_metadata(&self, group_jid: &str) -> Result<()> {
        self.delete(SignalKind::GroupMetadata, group_jid.into()).await
    }

    async fn get_tc_token(&self, jid: &str) -> Result<Option<TcTokenEntry>> {
        self.tc_token(jid).await
    }

    async fn put_tc_token(&self, jid: &str, entry: &TcTokenEntry) -> Result<()> {
        self.change_tc_token(jid, |_| Some(entry.clone())).await
    }

    async fn delete_tc_token(&self, jid: &str) -> Result<()> {
        self.forget_tc_token(jid).await
    }

    async fn get_all_tc_token_jids(&self) -> Result<Vec<String>> {
        self.rows.list_keys(SignalKind::TcToken, &[]).await.map_err(storage)?.into_iter().map(text).collect()
    }

    /// Swept centrally; the client library looks at a token's own date before it uses one.
    async fn delete_expired_tc_tokens(&self, _token_cutoff: i64, _sender_cutoff: i64) -> Result<u32> {
        Ok(0)
    }

    async fn touch_tc_token_sender_timestamp(&self, jid: &str, sender_timestamp: i64) -> Result<()> {
        let touch = |old: Option<TcTokenEntry>| {
            // A contact without a token gets a row without one, so that the date is kept.
            let entry = old.unwrap_or(TcTokenEntry { token: Vec::new(), token_timestamp: sender_timestamp, sender_timestamp: None });
            let latest = entry.sender_timestamp.map_or(sender_timestamp, |at| at.max(sender_timestamp));
            Some(TcTokenEntry { sender_timestamp: Some(latest), ..entry })
        };
        self.change_tc_token(jid, touch).await
    }

    async fn store_received_tc_token(&self, jid: &str, token: &[u8], token_timestamp: i64) -> Result<()> {
        let receive = |old: Option<TcTokenEntry>| match old {
            // A real token that is newer stays; a row without one never stands in the way.
            Some(old) if !old.token.is_empty() && token_timestamp < old.token_timestamp => None,
            old => {
                Some(TcTokenEntry { token: token.to_vec(), token_timestamp, sender_timestamp: old.and_then(|old| old.sender_timestamp) })
            }
        };
        self.change_tc_token(jid, receive).await
    }

    async fn store_sent_message(&self, chat_jid: &str, message_id: &str, payload: &[u8]) -> Result<()> {
        self.put(SignalKind::SentMessage, key(&[chat_jid, message_id]), payload.to_vec()).await
    }

    async fn take_sent_message(&self, chat_jid: &str, message_id: &str) -> Result<Option<Vec<u8>>> {
        self.rows.take(SignalKind::SentMessage, &key(&[chat_jid, message_id])).await.map_err(storage)
    }

    /// Swept centrally.
    async fn delete_expired_sent_messages(&self, _cutoff_timestamp: i64) -> Result<u32> {
        Ok(0)
    }

    async fn store_pending_inbound(&self, chat: &str, sender: &str, id: &str, message: &[u8]) -> Result<()> {
        let key = key(&[chat, sender, id]);
        self.keep_inbound(vec![SignalChange::Put { kind: SignalKind::PendingInbound, key, value: message.to_vec() }]).await
    }

    async fn get_pending_inbound(&self, chat: &str, sender: &str, id: &str) -> Result<Option<Vec<u8>>> {
        let (rows, place) = (self.rows.clone(), key(&[chat, sender, id]));
        let read = move || {
            let (rows, place) = (rows.clone(), place.clone());
            async move { rows.get(SignalKind::PendingInbound, &place).await }
        };
        let waiting = self.keep.or_end(read).await.map_err(storage)?;
        if waiting.is_none() {
            self.look_for(chat, sender, id).await?;
        }
        Ok(waiting)
    }

    async fn delete_pending_inbound(&self, chat: &str, sender: &str, id: &str) -> Result<()> {
        self.delete(SignalKind::PendingInbound, key(&[chat, sender, id])).await
    }

    /// Swept centrally.
    async fn delete_expired_pending_inbound(&self, _cutoff_timestamp: i64) -> Result<u32> {
        Ok(0)
    }

    async fn store_pending_inbound_batch(&self, rows: &[PendingInboundRow<'_>]) -> Result<()> {
        let put = |row: &PendingInboundRow<'_>| SignalChange::Put {
            kind: SignalKind::PendingInbound,
            key: key(&[row.chat, row.sender, row.id]),
            value: row.message.to_vec(),
        };
        self.keep_inbound(rows.iter().map(put).collect()).await
    }

    async fn delete_pending_inbound_batch(&self, keys: &[PendingInboundKey<'_>]) -> Result<()> {
        let delete = |row: &PendingInboundKey<'_>| SignalChange::Delete {
            kind: SignalKind::PendingInbound,
            key: key(&[row.chat, row.sender, row.id]),
        };
        self.apply(keys.iter().map(delete).collect()).await
    }
}
