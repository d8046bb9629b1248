//! Nodes say which key they seal with, so that none is retired that one still uses.

use sea_orm_migration::{prelude::*, schema};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = schema::big_integer_null("seal_key");
        manager.alter_table(Table::alter().table("nodes").add_column(column).to_owned()).await
    }
}
