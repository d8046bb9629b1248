//! Keys, versions and authentication codes of the app state that an account's devices share.

use super::{Backend, encode, prefix, storage};
use async_trait::async_trait;
use sanasend_store::{SignalChange, SignalKind};
use std::collections::HashMap;
use whatsapp_rust::wacore::appstate::hash::HashState;
use whatsapp_rust::wacore::appstate::processor::AppStateMutationMAC;
use whatsapp_rust::wacore::store::error::Result;
use whatsapp_rust::wacore::store::traits::{AppStateSyncKey, AppSyncStore};

/// The row that names the newest key; ids of keys are stored behind [`KEY`], so it can't be one of them.
const LATEST: &[u8] = b"latest";
const KEY: u8 = b'k';

#[async_trait]
impl AppSyncStore for Backend {
    async fn get_sync_key(&self, key_id: &[u8]) -> Result<Option<AppStateSyncKey>> {
        self.get_as(SignalKind::SyncKey, &sync_key(key_id)).await
    }

    async fn set_sync_key(&self, key_id: &[u8], key: AppStateSyncKey) -> Result<()> {
        let kind = SignalKind::SyncKey;
        self.apply(vec![
            SignalChange::Put { kind, key: sync_key(key_id), value: encode(&key)? },
            SignalChange::Put { kind, key: LATEST.to_vec(), value: key_id.to_vec() },
        ])
        .await
    }

    async fn get_version(&self, name: &str) -> Result<HashState> {
        Ok(self.get_as(SignalKind::SyncVersion, name.as_bytes()).await?.unwrap_or_default())
    }

    async fn set_version(&self, name: &str, state: HashState) -> Result<()> {
        self.put(SignalKind::SyncVersion, name.into(), encode(&state)?).await
    }

    async fn put_mutation_macs(&self, name: &str, _version: u64, mutations: &[AppStateMutationMAC]) -> Result<()> {
        let put = |mutation: &AppStateMutationMAC| SignalChange::Put {
            kind: SignalKind::MutationMac,
            key: mac_key(name, &mutation.index_mac),
            value: mutation.value_mac.clone(),
        };
        self.apply(mutations.iter().map(put).collect()).await
    }

    async fn get_mutation_mac(&self, name: &str, index_mac: &[u8]) -> Result<Option<Vec<u8>>> {
        self.get(SignalKind::MutationMac, &mac_key(name, index_mac)).await
    }

    async fn get_mutation_macs(&self, name: &str, index_macs: &[[u8; 32]]) -> Result<HashMap<[u8; 32], Vec<u8>>> {
        let keys: Vec<Vec<u8>> = index_macs.iter().map(|mac| mac_key(name, mac)).collect();
        let found = self.rows.get_many(SignalKind::MutationMac, &keys).await.map_err(storage)?;
        let mut found: HashMap<Vec<u8>, Vec<u8>> = found.into_iter().collect();
        Ok(index_macs.iter().filter_map(|mac| Some((*mac, found.remove(&mac_key(name, mac))?))).collect())
    }

    async fn delete_mutation_macs(&self, name: &str, index_macs: &[Vec<u8>]) -> Result<()> {
        let delete = |mac: &Vec<u8>| SignalChange::Delete { kind: SignalKind::MutationMac, key: mac_key(name, mac) };
        self.apply(index_macs.iter().map(delete).collect()).await
    }

    async fn clear_mutation_macs(&self, name: &str) -> Result<()> {
        self.apply(vec![SignalChange::DeletePrefix { kind: SignalKind::MutationMac, prefix: prefix(name) }]).await
    }

    async fn get_latest_sync_key_id(&self) -> Result<Option<Vec<u8>>> {
        self.get(SignalKind::SyncKey, LATEST).await
    }
}

fn sync_key(key_id: &[u8]) -> Vec<u8> {
    [&[KEY], key_id].concat()
}

fn mac_key(name: &str, index_mac: &[u8]) -> Vec<u8> {
    [&prefix(name), index_mac].concat()
}

#[cfg(test)]
mod tests {
    use super::super::decode;
    use super::*;

    #[test]
    fn a_key_id_that_reads_latest_does_not_hide_the_newest_key() {
        assert_ne!(sync_key(LATEST), LATEST);
        assert_ne!(sync_key(b"atest"), LATEST);
        let state: HashState = decode(&encode(&HashState::default()).expect("encoded")).expect("decoded");
        assert_eq!(state.version, 0);
    }
}
