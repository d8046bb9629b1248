//! The rows of stored files: one per user and content, dropped when no message carries it any more.

use crate::dialect::{query, query_scalar, refused};
use crate::{Store, StoreError};
use sanasend_model::{FileId, Timestamp, UserId};
use uuid::Uuid;

/// Rows that one write takes, so that other writers get their turn.
const PIECE: i64 = 500;

/// Files that no message, no template and no campaign carries and nobody handed in lately.
const UNUSED: &str = "DELETE FROM files WHERE id IN (SELECT id FROM files WHERE used_at < ? \
    AND NOT EXISTS (SELECT 1 FROM message_media WHERE message_media.file_id = files.id) \
    AND NOT EXISTS (SELECT 1 FROM template_versions WHERE template_versions.file_id = files.id) \
    AND NOT EXISTS (SELECT 1 FROM campaigns WHERE campaigns.file_id = files.id) LIMIT ?) RETURNING id";

/// Messages whose file has been here long enough, but for those that are still on their way.
const OLD: &str = "SELECT message_id FROM message_media WHERE file_id IS NOT NULL AND created_at < ? \
    AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.message_id = message_media.message_id) \
    AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.id = message_media.message_id \
    AND (status = 'scheduled' OR scheduled_at >= ?)) ORDER BY created_at LIMIT ?";

impl Store {
    /// A file with this content that the user has already; from now on it is in use for a while, even if no message
    /// carries it yet.
    pub async fn find_file(&self, user: UserId, sha256: [u8; 32]) -> Result<Option<FileId>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "UPDATE files SET used_at = ? WHERE user_id = ? AND sha256 = ? RETURNING id";
                let update = query_scalar::<_, Uuid>(sql).bind(tx.clock.now().0).bind(user.0).bind(sha256.to_vec());
                Ok(update.fetch_optional(&mut tx.conn).await.map_err(refused)?.map(FileId))
            })
        })
        .await
    }

    /// Remembers a file whose bytes are durable under `id`. Answers the id to use: another one when the same content was
    /// remembered in the meantime, and the bytes under `id` are then not needed.
    pub async fn add_file(&self, id: FileId, user: UserId, sha256: [u8; 32], size: u64) -> Result<FileId, StoreError> {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "INSERT INTO files (id, user_id, sha256, size, used_at) VALUES (?, ?, ?, ?, ?) \
                           ON CONFLICT (user_id, sha256) DO UPDATE SET used_at = excluded.used_at RETURNING id";
                let insert = query_scalar::<_, Uuid>(sql).bind(id.0).bind(user.0).bind(sha256.to_vec()).bind(size);
                insert.bind(tx.clock.now().0).fetch_one(&mut tx.conn).await.map(FileId).map_err(refused)
            })
        })
        .await
    }

    /// Forgets files that no message and no template carries and that were not handed in since `before`; the caller drops their bytes.
    /// Empty when none are left.
    pub async fn forget_unused_files(&self, before: Timestamp) -> Result<Vec<FileId>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let delete = query_scalar::<_, Uuid>(UNUSED).bind(before.0).bind(PIECE);
                Ok(delete.fetch_all(&mut tx.conn).await.map_err(refused)?.into_iter().map(FileId).collect())
            })
        })
        .await
    }

    /// Which of these files have a row.
    pub async fn is_file(&self, id: FileId) -> Result<bool, StoreError> {
        let row = query_scalar::<_, Uuid>("SELECT id FROM files WHERE id = ?").bind(id.0).fetch_optional(&self.inner.readers);
        Ok(row.await.map_err(refused)?.is_some())
    }

    /// Takes the files off messages accepted or received before `before`, some at a time; the messages stay and say that
    /// the file is gone. Answers how many.
    pub async fn let_go_of_media(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let rows = query_scalar::<_, Uuid>(OLD).bind(before.0).bind(before.0).bind(PIECE).fetch_all(&mut tx.conn);
                let rows = rows.await.map_err(refused)?;
                for id in &rows {
                    let mark = query("UPDATE messages SET media_state = 'gone' WHERE id = ?").bind(*id);
                    mark.execute(&mut tx.conn).await.map_err(refused)?;
                    let sql =
                        "UPDATE message_media SET file_id = NULL, thumbnail = NULL, remote = NULL, uploaded = NULL WHERE message_id = ?";
                    query(sql).bind(*id).execute(&mut tx.conn).await.map_err(refused)?;
                }
                Ok(rows.len() as u64)
            })
        })
        .await
    }
}
