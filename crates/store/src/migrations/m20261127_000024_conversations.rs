//! Finding few messages among millions: those with one person, by the chat, and in groups by who wrote; and those of a rare
//! type.

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
        // The chat comes first, so that the same index serves those who look over all users.
        let statements = [
            "CREATE INDEX messages_of_chat ON messages (chat, user_id, created_at, seq)",
            "CREATE INDEX messages_of_sender ON messages (sender, user_id, created_at, seq) WHERE sender <> ''",
            // Texts are nearly all: they are found without, and cost nothing more.
            "CREATE INDEX messages_by_type ON messages (user_id, message_type, created_at, seq) WHERE message_type <> 'text'",
        ];
        make(manager, Vec::new(), &statements).await
    }
}
