//! The device: identity, keys and counters of the account's own client, as one sealed row.

use super::{Backend, encode};
use async_trait::async_trait;
use sanasend_store::SignalKind;
use whatsapp_rust::wacore::stats::StorageResourceReport;
use whatsapp_rust::wacore::store::Device;
use whatsapp_rust::wacore::store::error::Result;
use whatsapp_rust::wacore::store::traits::DeviceStore;

/// An account has one device.
const KEY: &[u8] = b"device";

#[async_trait]
impl DeviceStore for Backend {
    async fn save(&self, device: &Device) -> Result<()> {
        self.put(SignalKind::Device, KEY.to_vec(), encode(device)?).await
    }

    async fn load(&self) -> Result<Option<Device>> {
        self.get_as(SignalKind::Device, KEY).await
    }

    async fn exists(&self) -> Result<bool> {
        Ok(self.get(SignalKind::Device, KEY).await?.is_some())
    }

    async fn create(&self) -> Result<i32> {
        if !self.exists().await? {
            self.save(&Device::new()).await?;
        }
        Ok(1)
    }

    async fn resource_report(&self) -> StorageResourceReport {
        // What is stored is not in this process's memory, but for a handful of tokens.
        StorageResourceReport { memory_bytes: Some(0), ..StorageResourceReport::default() }
    }
}
