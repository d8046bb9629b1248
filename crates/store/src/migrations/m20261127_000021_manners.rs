//! What good manners need to know: when WhatsApp last refused a message of an account to somebody who never wrote to it
//! (463), and who wrote to it under a hidden id although their number is known.

use super::make;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let statements = [
            "ALTER TABLE account_pace ADD COLUMN refused_at BIGINT",
            "CREATE INDEX messages_from_hidden ON messages (session_id, peer_jid) WHERE direction = 'inbound' AND peer_lid = chat",
        ];
        make(manager, Vec::new(), &statements).await
    }
}
