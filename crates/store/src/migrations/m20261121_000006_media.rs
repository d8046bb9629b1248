//! Files of messages: what a message carries, what is stored, and where an incoming one can be fetched.

use super::{belongs_to, make, table};
use sea_orm_migration::{prelude::*, schema};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut of_message = belongs_to("message_id", "messages");
        let tables = vec![files(), message_media().foreign_key(&mut of_message).to_owned()];
        let statements = [
            "ALTER TABLE messages ADD COLUMN media TEXT",
            "ALTER TABLE messages ADD COLUMN media_state TEXT",
            "CREATE UNIQUE INDEX files_of_user ON files (user_id, sha256)",
            "CREATE INDEX files_by_use ON files (used_at)",
            "CREATE INDEX message_media_file ON message_media (file_id)",
            "CREATE INDEX message_media_stored ON message_media (created_at) WHERE file_id IS NOT NULL",
        ];
        make(manager, tables, &statements).await
    }
}

/// The user is no foreign key: a row must outlive its user until the bytes are gone too.
fn files() -> TableCreateStatement {
    let mut id = schema::uuid("id");
    id.primary_key();
    let columns = vec![id, schema::uuid("user_id"), schema::blob("sha256"), schema::big_integer("size"), schema::big_integer("used_at")];
    table("files", columns)
}

/// `remote` and `uploaded` are sealed. Apart from `messages`, so that lists do not read thumbnails.
fn message_media() -> TableCreateStatement {
    let mut id = schema::uuid("message_id");
    id.primary_key();
    let columns = vec![
        id,
        schema::big_integer("created_at"),
        schema::uuid_null("file_id"),
        schema::blob_null("thumbnail"),
        schema::blob_null("remote"),
        schema::blob_null("uploaded"),
    ];
    table("message_media", columns)
}
