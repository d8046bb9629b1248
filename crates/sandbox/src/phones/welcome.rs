//! What a phone gives a companion that has just linked.
//!
//! Clients sit waiting (10 to 20 seconds) until they have the key of the account's
//! app state and a first piece of history; a client that has not learned the
//! account's name never shows itself as available. Apart because it is pure.

use crate::Error;
use crate::phones::record::PhoneRecord;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use std::io::Write as _;
use wacore_appstate::hash::{HashState, generate_patch_mac};
use wacore_appstate::{encode_record, expand_app_state_keys, schemas};
use wacore_binary::Jid;
use waproto::buffa::MessageField;
use waproto::whatsapp as wa;

/// The message that shares the app-state key. `now` in milliseconds since 1970.
pub(super) fn key_share(record: &PhoneRecord, now: i64) -> wa::Message {
    let key = wa::message::AppStateSyncKey {
        key_id: MessageField::some(wa::message::AppStateSyncKeyId { key_id: Some(record.app_state_key_id.to_vec()) }),
        key_data: MessageField::some(wa::message::AppStateSyncKeyData {
            key_data: Some(record.app_state_key.to_vec()),
            fingerprint: MessageField::some(wa::message::AppStateSyncKeyFingerprint {
                raw_id: Some(record.raw_id),
                current_index: Some(0),
                device_indexes: vec![0],
            }),
            timestamp: Some(now),
        }),
    };
    protocol(wa::message::ProtocolMessage {
        r#type: Some(wa::message::protocol_message::Type::APP_STATE_SYNC_KEY_SHARE),
        app_state_sync_key_share: MessageField::some(wa::message::AppStateSyncKeyShare { keys: vec![key] }),
        ..Default::default()
    })
}

/// The message with the first piece of history: no chats, the account's own name and
/// its two addresses. It travels inside the message, so no media host is needed.
pub(super) fn history(record: &PhoneRecord, pn: &Jid, lid: &Jid) -> Result<wa::Message, Error> {
    let history = wa::HistorySync {
        sync_type: wa::history_sync::HistorySyncType::INITIAL_BOOTSTRAP,
        chunk_order: Some(1),
        progress: Some(100),
        pushnames: vec![wa::Pushname { id: Some(pn.to_string()), pushname: Some(record.shown_name().to_owned()) }],
        phone_number_to_lid_mappings: vec![wa::PhoneNumberToLIDMapping { pn_jid: Some(pn.to_string()), lid_jid: Some(lid.to_string()) }],
        ..Default::default()
    };
    let bytes = waproto::codec::history_sync_to_vec(&history);
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::fast());
    let packed =
        packer.write_all(&bytes).and_then(|()| packer.finish()).map_err(|e| Error::State(format!("history cannot be packed: {e}")))?;
    let notification = wa::message::HistorySyncNotification {
        sync_type: Some(wa::message::HistorySyncType::INITIAL_BOOTSTRAP),
        chunk_order: Some(1),
        progress: Some(100),
        file_length: Some(packed.len() as u64),
        initial_hist_bootstrap_inline_payload: Some(packed),
        ..Default::default()
    };
    Ok(protocol(wa::message::ProtocolMessage {
        r#type: Some(wa::message::protocol_message::Type::HISTORY_SYNC_NOTIFICATION),
        history_sync_notification: MessageField::some(notification),
        ..Default::default()
    }))
}

/// An app-state patch and the collection it belongs to.
pub(super) struct Patch {
    /// Name of the collection.
    pub collection: &'static str,
    /// The encoded patch, on top of version 0.
    pub bytes: Vec<u8>,
}

/// The account's first app-state change: its name. `now` in milliseconds since 1970.
pub(super) fn name_patch(record: &PhoneRecord, now: i64, iv: [u8; 16]) -> Result<Patch, Error> {
    let schema = &schemas::SETTING_PUSH_NAME;
    let collection = "critical_block";
    let keys = expand_app_state_keys(&record.app_state_key);
    let value = wa::SyncActionValue {
        timestamp: Some(now),
        push_name_setting: MessageField::some(wa::sync_action_value::PushNameSetting { name: Some(record.shown_name().to_owned()) }),
        ..Default::default()
    };
    let index = serde_json::to_vec(&[schema.name])?;
    let (mutation, _) = encode_record(
        wa::syncd_mutation::SyncdOperation::SET,
        &index,
        &value,
        &keys,
        &record.app_state_key_id,
        &iv,
        i32::try_from(schema.version).unwrap_or(1),
    );
    let mut state = HashState::default();
    let mutations = vec![mutation];
    let (_, hashed) = state.update_hash(&mutations, |_, _| Ok(None));
    hashed.map_err(|e| Error::State(e.to_string()))?;
    state.version = 1;
    let mut patch = wa::SyncdPatch {
        version: MessageField::some(wa::SyncdVersion { version: Some(state.version) }),
        snapshot_mac: Some(state.generate_snapshot_mac(collection, &keys.snapshot_mac)),
        key_id: MessageField::some(wa::KeyId { id: Some(record.app_state_key_id.to_vec()) }),
        mutations,
        ..Default::default()
    };
    let mac = generate_patch_mac(&patch, collection, &keys.patch_mac, state.version);
    patch.patch_mac = Some(mac);
    Ok(Patch { collection, bytes: waproto::codec::syncd_patch_to_vec(&patch) })
}

fn protocol(message: wa::message::ProtocolMessage) -> wa::Message {
    wa::Message { protocol_message: MessageField::some(message), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use wacore::history_sync::process_history_sync;
    use wacore_appstate::process_patch;

    fn record() -> PhoneRecord {
        PhoneRecord::create("12025550100", "Ana", Clock).unwrap()
    }

    #[test]
    fn a_client_learns_the_name_from_the_history() {
        let (pn, lid) = (Jid::pn("12025550100"), Jid::lid("100000000000001"));
        let message = history(&record(), &pn, &lid).unwrap();
        let notification = &message.protocol_message.history_sync_notification;
        let packed = notification.initial_hist_bootstrap_inline_payload.clone().unwrap();
        let seen = process_history_sync(packed, Some("12025550100"), false).unwrap();
        assert_eq!(seen.own_pushname.as_deref(), Some("Ana"));
        assert_eq!(seen.conversations_processed, 0);
        assert_eq!(seen.lid_mappings.len(), 1);
    }

    #[test]
    fn a_client_learns_the_name_from_the_app_state() {
        let record = record();
        let patch = name_patch(&record, 1_700_000_000_000, [3; 16]).unwrap();
        let decoded = waproto::codec::syncd_patch_decode(&patch.bytes).unwrap();
        let keys = expand_app_state_keys(&record.app_state_key);
        let mut state = HashState::default();
        let processed =
            process_patch(&decoded, &mut state, |_| Ok(std::sync::Arc::new(keys.clone())), |_| Ok(None), true, patch.collection).unwrap();
        let name = processed.mutations[0]
            .action_value
            .as_ref()
            .and_then(|value| value.push_name_setting.as_option())
            .and_then(|setting| setting.name.clone());
        assert_eq!(name.as_deref(), Some("Ana"));
        assert_eq!(processed.mutations[0].index, ["setting_pushName"]);
    }
}
