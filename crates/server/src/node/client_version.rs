//! Remembers the version of WhatsApp's client that worked last, so that a restart needs no fetch.
//!
//! A file of the data folder and not a row: it belongs to the machine's view of WhatsApp, not to any user, and
//! losing it costs one fetch.

use sanasend_engine::ClientVersion;
use std::path::{Path, PathBuf};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const FILE: &str = "client_version.json";

/// The version that worked last, if one is known.
#[must_use]
pub fn recall(data_dir: &Path) -> Option<ClientVersion> {
    let text = std::fs::read(data_dir.join(FILE)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Writes each new version down until `stop`.
#[must_use]
pub fn remember(mut versions: watch::Receiver<Option<ClientVersion>>, data_dir: PathBuf, stop: CancellationToken) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let changed = tokio::select! {
                () = stop.cancelled() => return,
                changed = versions.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
            let version = *versions.borrow_and_update();
            let Some(text) = version.and_then(|version| serde_json::to_vec(&version).ok()) else { continue };
            if let Err(error) = crate::secrets::write_private(&data_dir.join(FILE), &text) {
                tracing::warn!(%error, "WhatsApp's client version could not be remembered");
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_version_is_there_after_a_restart() {
        let folder = tempfile::tempdir().expect("folder");
        assert_eq!(recall(folder.path()), None);
        let (sender, receiver) = watch::channel(None);
        let stop = CancellationToken::new();
        let task = remember(receiver, folder.path().to_owned(), stop.clone());
        sender.send(Some(ClientVersion(2, 3000, 77))).expect("listener");
        drop(sender);
        task.await.expect("ends with its sender");
        assert_eq!(recall(folder.path()), Some(ClientVersion(2, 3000, 77)));
    }
}
