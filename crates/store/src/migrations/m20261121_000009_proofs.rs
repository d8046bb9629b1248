//! Proof that a process has the secrets that the database was written with.

use super::table;
use sea_orm_migration::{prelude::*, schema};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut key = schema::big_integer("key_id");
        key.primary_key();
        manager.create_table(table("proofs", vec![key, schema::blob("proof")])).await
    }
}
