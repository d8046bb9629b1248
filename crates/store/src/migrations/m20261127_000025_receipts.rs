//! What each member of a group told of a message that was sent there.

use super::{belongs_to, key, make, table};
use sea_orm_migration::{prelude::*, schema};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    /// A row says at least that the message was delivered. The members of one message are read in one go, so the primary key
    /// is all that is needed.
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = vec![
            schema::uuid("message_id"),
            schema::string("participant"),
            schema::big_integer("delivered_at"),
            schema::big_integer_null("read_at"),
            schema::big_integer_null("played_at"),
        ];
        let receipts = table("receipts", columns)
            .primary_key(&mut key(&["message_id", "participant"]))
            .foreign_key(&mut belongs_to("message_id", "messages"))
            .to_owned();
        make(manager, vec![receipts], &[]).await
    }
}
