//! The other id of a member of a group who told of a message, and users who are being removed.

use super::make;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    /// Both are null for most rows.
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let statements = ["ALTER TABLE receipts ADD COLUMN other TEXT", "ALTER TABLE users ADD COLUMN removal_at BIGINT"];
        make(manager, Vec::new(), &statements).await
    }
}
