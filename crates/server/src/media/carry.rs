//! A message with a file on its way to WhatsApp: the file goes to the media host first, then the message that names it.
//!
//! Called by an account's driver in a task of its own, so that a large file holds up nobody but its own chat. What was
//! handed over once is remembered, and a next try of the same message, in this process or the next, sends it again without
//! another upload, under the same WhatsApp id. A file that goes to many, as those of campaigns do, is handed over once for
//! all of an account's messages that carry it, and anew when it is a week old or WhatsApp does not have it any more.
//!
//! Whether it has is believed for an hour. Nothing that WhatsApp answers to a message tells: its server does not look for the
//! file. So a next try asks the media host first, and so does whoever comes after a recipient who told that it missed a file.

use super::Files;
use super::uploads::{ASKED, BELIEVED, Handed, REUSED, Which};
use sanasend_engine::{Held, Link, OutgoingMedia, Uploaded};
use sanasend_model::retry::AttemptError;
use sanasend_model::{FileId, Jid, Media, MessageId, SessionId, UserId};
use sanasend_store::{Message, StoreError};
use std::sync::Arc;
use std::time::Duration;

/// How long a file at WhatsApp's media host can surely be used in a message; it stays there for weeks.
const FRESH: Duration = Duration::from_hours(12);

impl Files {
    /// Sends a message with a file to `to`. `Ok` means written to the socket.
    ///
    /// # Errors
    /// As [`Link::upload`] and [`Link::send_media`]; `Media` when the file is not here any more.
    pub async fn carry(&self, link: &Link, message: Message, media: Media, to: Jid) -> Result<(), AttemptError> {
        let part = self.inner.store.media_part(message.id).await.map_err(|error| waits(&error))?.unwrap_or_default();
        let tried = part.uploaded.as_deref().and_then(Uploaded::from_bytes);
        let uploaded = self.shared(link, &message, &media, part.file, tried.as_ref()).await?;
        let uploaded = if tried.as_ref() == Some(&uploaded) { uploaded } else { self.noted(message.id, uploaded).await };
        let Message { wa_message_id, quoted, .. } = message;
        link.send_media(OutgoingMedia { wa_message_id, to, media, thumbnail: part.thumbnail, uploaded, quoted }).await
    }

    /// Somebody told an account that a file of its messages is not to be had: the host is asked about all that are remembered
    /// before they are sent once more.
    pub fn doubt(&self, session: SessionId) {
        self.inner.uploads.doubt(session, self.inner.clock.now());
    }

    /// Remembers with the message where its file is, for its next try.
    async fn noted(&self, message: MessageId, uploaded: Uploaded) -> Uploaded {
        if let Err(error) = self.inner.store.note_upload(message, uploaded.to_bytes()).await {
            // Only another upload is at stake.
            tracing::warn!(%message, %error, "where the file was handed over could not be remembered");
        }
        uploaded
    }

    /// The file as it lies at the media host for all messages of the account that carry it; handed over where it does not.
    /// `tried` is what a try of this message before sent, or was about to.
    async fn shared(
        &self,
        link: &Link,
        message: &Message,
        media: &Media,
        file: Option<FileId>,
        tried: Option<&Uploaded>,
    ) -> Result<Uploaded, AttemptError> {
        let place = self.inner.uploads.place(Which::of(message.session_id, media), self.inner.clock.now());
        // Whoever comes second waits here, and finds it.
        let mut handed = place.lock().await;
        let now = self.inner.clock.now();
        if let Some(known) = handed.as_mut().filter(|known| known.at.plus(REUSED) > now) {
            // Something went wrong with the try before.
            let believed = if tried.is_some() { ASKED } else { BELIEVED };
            if known.seen.plus(believed) > now {
                return Ok(known.uploaded.clone());
            }
            let turn = self.transfer(message.user_id).await;
            if link.has_uploaded(&known.uploaded, turn).await {
                known.seen = now;
                return Ok(known.uploaded.clone());
            }
            tracing::info!(session = %message.session_id, "a file is gone from WhatsApp's media host and is handed over anew");
        }
        let old = handed.take().map(|handed| handed.uploaded);
        // From before a restart, when it was not remembered for all.
        if let Some(tried) = tried.filter(|tried| old.as_ref() != Some(*tried) && tried.at().plus(FRESH) > now) {
            let turn = self.transfer(message.user_id).await;
            if link.has_uploaded(tried, turn).await {
                *handed = Some(Handed { uploaded: tried.clone(), at: tried.at(), seen: now });
                return Ok(tried.clone());
            }
        }
        let uploaded = self.hand_over(link, message.user_id, media, file).await?;
        *handed = Some(Handed { uploaded: uploaded.clone(), at: now, seen: now });
        Ok(uploaded)
    }

    /// Waits for a turn of a user at the media host. The engine holds it for as long as the transfer has a thread: that may be
    /// longer than anybody waits for it, and threads are few.
    pub(super) async fn transfer(&self, user: UserId) -> Held {
        Arc::new(self.inner.transfers.of(user).await)
    }

    async fn hand_over(&self, link: &Link, user: UserId, media: &Media, file: Option<FileId>) -> Result<Uploaded, AttemptError> {
        let gone = || AttemptError::Media { reason: "The file of the message is not here any more.".into() };
        let file = file.ok_or_else(gone)?;
        let turn = self.transfer(user).await;
        let copy = self.scratch();
        let local = self.inner.storage.files.local(file, copy.path().to_owned()).await.map_err(|error| waits(&error))?.ok_or_else(gone)?;
        let encrypted = self.scratch();
        link.upload(media, local.path(), encrypted.path(), turn).await
    }
}

fn waits(error: &StoreError) -> AttemptError {
    AttemptError::Transient { reason: format!("The file of the message can't be read now: {error}.") }
}
