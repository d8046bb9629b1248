//! Clearing up: files that messages have had long enough, files that no message carries, and what a crash left behind.

use super::Files;
use futures::StreamExt as _;
use sanasend_store::StoreError;
use std::time::Duration;

/// How long a file may be there before a message with it is accepted, and how old bytes are that no row knows before they
/// count as left behind. Longer than any request takes.
const GRACE: Duration = Duration::from_hours(1);
/// How old scratch files are that nobody can be writing any more.
const FORGOTTEN: Duration = Duration::from_hours(24);

impl Files {
    /// Clears up, and lets files go that messages have had for longer than `keep`; answers what was done, for the list of schedules.
    ///
    /// # Errors
    /// When the database or the storage is down; what was done stays done.
    pub async fn sweep(&self, keep: Option<Duration>) -> anyhow::Result<String> {
        let mut let_go = 0;
        if let Some(keep) = keep {
            let before = self.inner.clock.now().minus(keep);
            loop {
                match self.inner.store.let_go_of_media(before).await? {
                    0 => break,
                    some => let_go += some,
                }
            }
        }
        let unused = self.drop_unused().await?;
        let orphans = self.drop_orphans().await?;
        let scratch = self.drop_scratch().await;
        Ok(format!("{let_go} files let go by age, {unused} unused and {orphans} orphaned ones dropped, {scratch} scratch files removed"))
    }

    /// Drops files that no message carries.
    ///
    /// # Errors
    /// As above.
    pub async fn drop_unused(&self) -> Result<u64, StoreError> {
        let before = self.inner.clock.now().minus(GRACE);
        let mut dropped = 0;
        loop {
            let files = self.inner.store.forget_unused_files(before).await?;
            if files.is_empty() {
                return Ok(dropped);
            }
            for file in files {
                self.inner.storage.files.delete(file).await?;
                dropped += 1;
            }
        }
    }

    /// Drops bytes that no row knows: a crash came between the two.
    async fn drop_orphans(&self) -> Result<u64, StoreError> {
        let before = self.inner.clock.now().minus(GRACE);
        let mut listed = self.inner.storage.files.list();
        let mut dropped = 0;
        while let Some(found) = listed.next().await {
            let (file, since) = found?;
            if since < before && !self.inner.store.is_file(file).await? {
                self.inner.storage.files.delete(file).await?;
                dropped += 1;
            }
        }
        Ok(dropped)
    }

    /// Removes scratch files of processes that are gone.
    async fn drop_scratch(&self) -> u64 {
        let before = self.inner.clock.now().minus(FORGOTTEN);
        let folder = self.inner.storage.scratch.clone();
        let work = move || {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let old = entries.filter(|entry| {
                let modified = entry.metadata().and_then(|data| data.modified()).ok();
                let age = modified.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
                age.is_some_and(|age| i64::try_from(age.as_millis()).is_ok_and(|at| at < before.0))
            });
            old.filter(|entry| std::fs::remove_file(entry.path()).is_ok()).count() as u64
        };
        tokio::task::spawn_blocking(work).await.unwrap_or(0)
    }
}
