//! Finding a user's messages by status, however many others there are.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Without it ten canceled messages among five million are looked for in all of them.
        let sql = "CREATE INDEX messages_by_status ON messages (user_id, status, created_at, seq)";
        manager.get_connection().execute_unprepared(sql).await.map(drop)
    }
}
