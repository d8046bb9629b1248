//! Nodes that share the database, which accounts each of them runs, and what they ask each other.

use super::{make, table};
use sea_orm_migration::{prelude::*, schema};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let owner = Table::alter().table("sessions").add_column(schema::uuid_null("owner")).to_owned();
        manager.alter_table(owner).await?;
        make(manager, vec![nodes(), node_calls()], &["CREATE INDEX node_calls_waiting ON node_calls (node, created_at)"]).await
    }
}

/// A node lives as long as its lease; `lease_until` is the time of the database, not of any node.
fn nodes() -> TableCreateStatement {
    table("nodes", vec![schema::pk_uuid("id"), schema::big_integer("started_at"), schema::big_integer("lease_until")])
}

/// `asked` and `answer` are sealed: a code that links an account may be in them.
fn node_calls() -> TableCreateStatement {
    let columns = vec![
        schema::pk_uuid("id"),
        schema::uuid("node"),
        schema::uuid("session_id"),
        schema::blob("asked"),
        schema::blob_null("answer"),
        schema::boolean("taken"),
        schema::big_integer("created_at"),
    ];
    table("node_calls", columns)
}
