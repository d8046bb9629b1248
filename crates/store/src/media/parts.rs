//! What a message keeps of its file: which stored one it is, its thumbnail, and, sealed, the way to fetch it.

use super::{IncomingMedia, MediaPart, NewMedia};
use crate::dialect::{query, query_as, query_scalar, refused};
use crate::jobs::NewJob;
use crate::messages::Message;
use crate::rows::Place;
use crate::seal::address;
use crate::writer::Tx;
use crate::{Store, StoreError};
use sanasend_model::{FileId, Media, MediaState, MessageId, Timestamp};
use uuid::Uuid;

const INSERT: &str = "INSERT INTO message_media (message_id, created_at, file_id, thumbnail, remote) VALUES (?, ?, ?, ?, ?)";

type Row = (Option<Uuid>, Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>);

pub(crate) fn address_of(column: &str, id: MessageId) -> Vec<u8> {
    address("message_media", &[column.as_bytes(), id.0.as_bytes()])
}

impl Tx {
    /// Ties a stored file to a message that is being accepted.
    pub(crate) async fn carry_file(&mut self, id: MessageId, at: Timestamp, new: &NewMedia) -> Result<(), StoreError> {
        let known = query_scalar::<_, Uuid>("SELECT id FROM files WHERE id = ?").bind(new.file.0);
        if known.fetch_optional(&mut self.conn).await.map_err(refused)?.is_none() {
            return Err(StoreError::Conflict { what: "file" });
        }
        let insert = query(INSERT).bind(id.0).bind(at.0).bind(Some(new.file.0)).bind(new.thumbnail.clone());
        insert.bind(None::<Vec<u8>>).execute(&mut self.conn).await.map(drop).map_err(refused)
    }

    /// Remembers how the file of a message that came in can be fetched.
    pub(crate) async fn carry_remote(&mut self, message: &Message, at: Timestamp, incoming: &IncomingMedia) -> Result<(), StoreError> {
        let id = message.id;
        let sealed = self.sealer.seal(&address_of("remote", id), &incoming.remote)?;
        let insert = query(INSERT).bind(id.0).bind(at.0).bind(None::<Uuid>).bind(incoming.thumbnail.clone());
        insert.bind(Some(sealed)).execute(&mut self.conn).await.map_err(refused)?;
        if incoming.fetch {
            let bundle = Some(message.session_id.to_string());
            let payload = serde_json::json!({ "message": id });
            let job = NewJob { kind: "media.fetch", lane: None, bundle, user_id: Some(message.user_id), payload, due_at: at };
            self.enqueue(&[job]).await?;
        }
        Ok(())
    }
}

impl Store {
    /// What is kept of a message's file; `None` when it carries none.
    pub async fn media_part(&self, id: MessageId) -> Result<Option<MediaPart>, StoreError> {
        let sql = "SELECT file_id, thumbnail, remote, uploaded FROM message_media WHERE message_id = ?";
        let row = query_as::<_, Row>(sql).bind(id.0).fetch_optional(&self.inner.readers);
        let Some((file, thumbnail, remote, uploaded)) = row.await.map_err(refused)? else { return Ok(None) };
        let place = Place { table: "message_media", row: &id };
        let open = |column: &str, sealed: Option<Vec<u8>>| -> Result<Option<Vec<u8>>, StoreError> {
            let opened = sealed.map(|sealed| self.inner.sealer.open(&address_of(column, id), &sealed).ok_or_else(|| place.corrupt(column)));
            opened.transpose()
        };
        let (remote, uploaded) = (open("remote", remote)?, open("uploaded", uploaded)?);
        Ok(Some(MediaPart { file: file.map(FileId), thumbnail, remote, uploaded }))
    }

    /// Remembers where the file of a message was handed to WhatsApp, so that another try need not do it again.
    pub async fn note_upload(&self, id: MessageId, uploaded: Vec<u8>) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let sealed = tx.sealer.seal(&address_of("uploaded", id), &uploaded)?;
                let update = query("UPDATE message_media SET uploaded = ? WHERE message_id = ?").bind(sealed).bind(id.0);
                update.execute(&mut tx.conn).await.map(drop).map_err(refused)
            })
        })
        .await
    }

    /// The file of a message that came in is here; from now on the message tells its real size. `Conflict` on `file` when its row
    /// is gone again.
    pub async fn media_fetched(&self, id: MessageId, file: FileId, thumbnail: Option<Vec<u8>>) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "UPDATE message_media SET file_id = ?, thumbnail = COALESCE(thumbnail, ?) WHERE message_id = ? \
                           AND EXISTS (SELECT 1 FROM files WHERE files.id = ?)";
                let update = query(sql).bind(Some(file.0)).bind(thumbnail).bind(id.0).bind(file.0);
                if update.execute(&mut tx.conn).await.map_err(refused)?.rows_affected() == 0 {
                    return Err(StoreError::Conflict { what: "file" });
                }
                correct_size(tx, id, file).await?;
                set_state(tx, id, MediaState::Stored).await
            })
        })
        .await
    }

    /// Says where the file of a message is, when it is not here.
    pub async fn set_media_state(&self, id: MessageId, state: MediaState) -> Result<(), StoreError> {
        self.write(move |tx| Box::pin(async move { set_state(tx, id, state).await })).await
    }
}

/// Until its file is here a message tells the size that its sender claims.
async fn correct_size(tx: &mut Tx, id: MessageId, file: FileId) -> Result<(), StoreError> {
    let sql = "SELECT media, (SELECT size FROM files WHERE files.id = ?) FROM messages WHERE id = ?";
    let row = query_as::<_, (Option<String>, Option<i64>)>(sql).bind(file.0).bind(id.0).fetch_optional(&mut tx.conn);
    let Some((Some(told), Some(size))) = row.await.map_err(refused)? else { return Ok(()) };
    let corrupt = || Place { table: "messages", row: &id }.corrupt("media");
    let mut media: Media = serde_json::from_str(&told).map_err(|_| corrupt())?;
    let size = u64::try_from(size).unwrap_or_default();
    if media.size == size {
        return Ok(());
    }
    media.size = size;
    let told = serde_json::to_string(&media).map_err(|_| corrupt())?;
    let update = query("UPDATE messages SET media = ? WHERE id = ?").bind(told).bind(id.0);
    update.execute(&mut tx.conn).await.map(drop).map_err(refused)
}

async fn set_state(tx: &mut Tx, id: MessageId, state: MediaState) -> Result<(), StoreError> {
    let update = query("UPDATE messages SET media_state = ? WHERE id = ?").bind(state.as_str()).bind(id.0);
    update.execute(&mut tx.conn).await.map(drop).map_err(refused)
}
