//! Fetching the file of a message that came in, when somebody asks for it.
//!
//! Straight from the media host, which needs no link: the message said where the file is and what opens it. Only when the
//! host does not have it any more is the sender's phone asked, through the account's link, to hand it over again.

use super::{Fetching, Files, KeepError, Staged};
use crate::sessions::Sessions;
use sanasend_engine::FetchError;
use sanasend_model::{FileId, Media, MediaState, MessageId, Timestamp};
use sanasend_store::{MediaPart, Message, StoreError};
use std::fs::File;
use std::sync::{Arc, PoisonError};

/// Why a file is not to be had.
#[derive(Debug)]
pub enum FetchRefused {
    /// Nowhere any more.
    Gone,
    /// The host has other bytes than were sent.
    Corrupt,
    /// Larger than this server takes.
    TooLarge,
    /// Not now; the cause is for the log.
    Later(String),
}

impl From<StoreError> for FetchRefused {
    fn from(error: StoreError) -> Self {
        Self::Later(error.to_string())
    }
}

impl Files {
    /// The stored file of a message: at once when it is here, else fetched now.
    ///
    /// # Errors
    /// Why it is not to be had.
    pub async fn fetch(&self, sessions: &Sessions, message: &Message, media: &Media) -> Result<FileId, FetchRefused> {
        if let Some(file) = self.part(message.id).await?.file {
            return Ok(file);
        }
        // Whoever comes second waits here, and finds it.
        let place = self.place_of(message.id);
        let turn = place.lock.lock().await;
        let found = match self.part(message.id).await? {
            MediaPart { file: Some(file), .. } => Ok(file),
            MediaPart { remote: Some(remote), .. } => self.fetch_from(sessions, message, media, &remote).await,
            _ => Err(FetchRefused::Gone),
        };
        drop(turn);
        drop(place);
        self.remember(message.id, media, &found).await;
        found
    }

    /// The same for a message by id, for the background; one that is gone, or carries no file, has nothing to fetch.
    pub(super) async fn fetch_of(&self, sessions: &Sessions, id: MessageId) -> Result<(), FetchRefused> {
        let Some(message) = self.inner.store.message(None, id).await? else { return Ok(()) };
        let Some(media) = message.content.media() else { return Ok(()) };
        self.fetch(sessions, &message, media).await.map(drop)
    }

    /// The present moment.
    pub(super) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// What is kept of a message's file.
    async fn part(&self, id: MessageId) -> Result<MediaPart, FetchRefused> {
        Ok(self.inner.store.media_part(id).await?.unwrap_or_default())
    }

    async fn fetch_from(&self, sessions: &Sessions, message: &Message, media: &Media, remote: &[u8]) -> Result<FileId, FetchRefused> {
        if media.size > self.limit(media.kind) {
            return Err(FetchRefused::TooLarge);
        }
        let session = self.inner.store.session(message.session_id).await?.ok_or(FetchRefused::Gone)?;
        let later = |error: &dyn std::fmt::Display| FetchRefused::Later(error.to_string());
        let scratch = self.scratch();
        let download = async |remote: &[u8]| {
            // Each time anew: a phone that is asked for a file takes half a minute, and no thread.
            let turn = self.transfer(message.user_id).await;
            let path = scratch.path().to_owned();
            let open = move || File::options().read(true).write(true).create(true).truncate(true).open(path);
            let file = tokio::task::spawn_blocking(open).await.map_err(|error| FetchError::Unreachable(error.to_string()))?;
            let file = file.map_err(|error| FetchError::Unreachable(error.to_string()))?;
            self.inner.engine.download(session.network, media, remote, file, turn).await
        };
        let fetched = match download(remote).await {
            Err(FetchError::Gone) => match sessions.ask_for_file_again(&session, message, remote.to_vec()).await {
                Ok(remote) => download(&remote).await,
                Err(error) => Err(error),
            },
            other => other,
        };
        fetched.map_err(|error| match error {
            FetchError::Gone => FetchRefused::Gone,
            FetchError::Corrupt => FetchRefused::Corrupt,
            FetchError::Unreachable(cause) => FetchRefused::Later(cause),
        })?;
        let staged = Staged::of(scratch).await.map_err(|error| later(&error))?;
        let kept = self.publish(staged, message.user_id).await.map_err(|error| match error {
            KeepError::Store(error) => later(&error),
            other => FetchRefused::Later(format!("{other:?}")),
        })?;
        self.inner.store.media_fetched(message.id, kept, None).await?;
        Ok(kept)
    }

    /// Shows in the message what was found out, when that is news.
    async fn remember(&self, id: MessageId, media: &Media, found: &Result<FileId, FetchRefused>) {
        let state = match found {
            Err(FetchRefused::Gone) => MediaState::Gone,
            Err(FetchRefused::Corrupt) => MediaState::Failed,
            Ok(_) | Err(FetchRefused::TooLarge | FetchRefused::Later(_)) => return,
        };
        if state != media.state
            && let Err(error) = self.inner.store.set_media_state(id, state).await
        {
            tracing::warn!(message = %id, %error, "where the file of the message is could not be remembered");
        }
    }

    fn place_of(&self, id: MessageId) -> Place<'_> {
        let lock = self.inner.fetching.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default().clone();
        Place { fetching: &self.inner.fetching, id, lock }
    }
}

/// Where all wait who want the file of a message. The last of them clears it away, also when nobody waits for the end.
struct Place<'a> {
    fetching: &'a Fetching,
    id: MessageId,
    lock: Arc<tokio::sync::Mutex<()>>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        // One in the map, one here.
        if Arc::strong_count(&self.lock) <= 2 {
            fetching.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[tokio::test]
    async fn who_gives_up_leaves_no_place_behind() {
        let (fetching, id) = (Fetching::default(), MessageId(Uuid::nil()));
        let place = || {
            let lock = fetching.lock().expect("places").entry(id).or_default().clone();
            Place { fetching: &fetching, id, lock }
        };
        let first = place();
        let turn = first.lock.lock().await;
        let second = place();
        assert!(Arc::ptr_eq(&first.lock, &second.lock) && second.lock.try_lock().is_err());
        drop(second);
        assert_eq!(fetching.lock().expect("places").len(), 1, "the first is still there");
        drop(turn);
        drop(first);
        assert!(fetching.lock().expect("places").is_empty());
    }
}
