//! Messages that are more than a text or a file, and what is done to a message after it was sent.

use super::make;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    /// Both are JSON, and null for most messages: what a message says beside its words (a place, cards, a poll, what it is
    /// about), and its reactions, votes, edit and deletion.
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        make(manager, Vec::new(), &["ALTER TABLE messages ADD COLUMN details TEXT", "ALTER TABLE messages ADD COLUMN marks TEXT"]).await
    }
}
