//! From a staged file to one that a message can carry: what it is, whether it can be sent so, its thumbnail, and the promise
//! that it stays.

use super::look::{HEAD, Unfit, mime_of};
use super::picture::{self, Picture, Spoilt};
use super::{Files, Staged, sound};
use sanasend_model::media::essence;
use sanasend_model::{FileId, Media, MediaKind, UserId};
use sanasend_store::{NewMedia, StoreError};

/// What a file is meant to be.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Who sends it.
    pub user: UserId,
    /// As what.
    pub kind: MediaKind,
    /// The text beside it, checked.
    pub caption: Option<String>,
    /// The name for saving it, cleaned.
    pub filename: Option<String>,
    /// The type that the sender says it has.
    pub declared: Option<String>,
}

/// A file that a message can carry.
#[derive(Debug)]
pub struct Kept {
    /// What the message says of it.
    pub media: Media,
    /// The stored file.
    pub file: NewMedia,
}

/// Why a file is not taken.
#[derive(Debug)]
pub enum KeepError {
    /// It has no bytes.
    Empty,
    /// It is larger than files of its kind may be.
    TooLarge {
        /// Most bytes.
        limit: u64,
    },
    /// It is not what it was meant to be.
    Unfit(Unfit),
    /// It is a picture that can't be shown.
    Spoilt(Spoilt),
    /// It is no Ogg Opus, and there is no ffmpeg to make it one.
    NoOpus,
    /// The storage is down.
    Store(StoreError),
    /// The disk of this machine does not work.
    Disk(std::io::Error),
}

impl From<StoreError> for KeepError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<std::io::Error> for KeepError {
    fn from(error: std::io::Error) -> Self {
        Self::Disk(error)
    }
}

impl Files {
    /// Looks at a staged file and keeps it. It is durable when this answers `Ok`, and stays for at least an hour, so that a
    /// message with it can be accepted.
    ///
    /// # Errors
    /// Why it can't be sent.
    pub async fn keep(&self, staged: Staged, wish: Wish) -> Result<Kept, KeepError> {
        let staged = self.as_voice(staged, &wish).await?;
        let limit = self.limit(wish.kind);
        if staged.size == 0 {
            return Err(KeepError::Empty);
        }
        if staged.size > limit {
            return Err(KeepError::TooLarge { limit });
        }
        let head = staged.head(HEAD).await?;
        let declared = wish.declared.as_deref().filter(|_| wish.kind != MediaKind::VoiceNote);
        let mime = mime_of(wish.kind, &head, declared, wish.filename.as_deref()).map_err(KeepError::Unfit)?;
        let mut media = Media::new(wish.kind, mime, staged.size, staged.sha256);
        (media.caption, media.filename) = (wish.caption, wish.filename);
        media.animated = wish.kind == MediaKind::Sticker && picture::is_moving_webp(&head);
        let thumbnail = self.examine(&staged, wish.user, &mut media).await?;
        let file = self.publish(staged, wish.user).await?;
        Ok(Kept { media, file: NewMedia { file, thumbnail } })
    }

    /// A voice note is Ogg Opus; anything else is made so where ffmpeg is there.
    async fn as_voice(&self, staged: Staged, wish: &Wish) -> Result<Staged, KeepError> {
        if wish.kind != MediaKind::VoiceNote || super::look::is_opus(&staged.head(HEAD).await?) || staged.size == 0 {
            return Ok(staged);
        }
        let ffmpeg = self.inner.ffmpeg.as_ref().ok_or(KeepError::NoOpus)?;
        let _turn = self.inner.films.of(wish.user).await;
        let scratch = self.scratch();
        if ffmpeg.voice(staged.scratch.path(), scratch.path()).await { Ok(Staged::of(scratch).await?) } else { Err(KeepError::NoOpus) }
    }

    /// Fills in what can be seen of a file; answers its thumbnail.
    async fn examine(&self, staged: &Staged, user: UserId, media: &mut Media) -> Result<Option<Vec<u8>>, KeepError> {
        let path = staged.scratch.path().to_owned();
        let is_picture = matches!(media.kind, MediaKind::Image | MediaKind::Sticker)
            || (media.kind == MediaKind::Document && matches!(essence(&media.mime), "image/jpeg" | "image/png" | "image/webp"));
        if is_picture {
            let looked = self.picture(user, path).await?;
            return match looked {
                Ok(Picture { width, height, thumbnail }) => {
                    (media.width, media.height) = (Some(width), Some(height));
                    Ok(Some(thumbnail).filter(|_| media.kind != MediaKind::Sticker))
                }
                // A document may be a broken picture: that is its reader's business.
                Err(_) if media.kind == MediaKind::Document => Ok(None),
                Err(spoilt) => Err(KeepError::Spoilt(spoilt)),
            };
        }
        let mime = media.mime.clone();
        let table = path.clone();
        let played = tokio::task::spawn_blocking(move || sound::look(&table, &mime)).await.map_err(std::io::Error::other)?;
        if media.kind != MediaKind::Document {
            (media.seconds, media.width, media.height) = (played.seconds, played.width, played.height);
        }
        let Some(ffmpeg) = &self.inner.ffmpeg else { return Ok(None) };
        match media.kind {
            MediaKind::VoiceNote => {
                let _turn = self.inner.films.of(user).await;
                media.waveform = ffmpeg.waveform(&path).await.unwrap_or_default();
            }
            MediaKind::Video | MediaKind::VideoNote => {
                let frame = self.scratch();
                let turn = self.inner.films.of(user).await;
                let is_there = ffmpeg.frame(&path, frame.path()).await;
                drop(turn);
                if is_there {
                    return Ok(self.picture(user, frame.path().to_owned()).await?.ok().map(|picture| picture.thumbnail));
                }
            }
            _ => {}
        }
        Ok(None)
    }

    async fn picture(&self, user: UserId, path: std::path::PathBuf) -> Result<Result<Picture, Spoilt>, KeepError> {
        let most = self.inner.settings.max_megapixels * 1_000_000;
        Ok(self.inner.pictures.of(user).await.spend(move || picture::look(&path, most)).await?)
    }

    /// Makes a file durable and remembers it, or finds that the user has it already.
    pub(super) async fn publish(&self, staged: Staged, user: UserId) -> Result<FileId, KeepError> {
        let Staged { scratch, size, sha256 } = staged;
        let (store, files) = (&self.inner.store, &self.inner.storage.files);
        let known = store.find_file(user, sha256).await?;
        if let Some(id) = known
            && files.has(id).await?
        {
            return Ok(id);
        }
        let id = known.unwrap_or_else(|| FileId::new(self.inner.clock.as_ref()));
        files.put(id, scratch.path()).await?;
        let kept = store.add_file(id, user, sha256, size).await?;
        if kept != id {
            // The same file came twice at once; the other one is remembered.
            files.delete(id).await?;
        }
        Ok(kept)
    }
}
