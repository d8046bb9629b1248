//! How the tables came to be: one named migration per change, applied in this order, never edited after a release.
//!
//! Types are chosen by SeaORM per database; times are Unix milliseconds (see `model::Timestamp`), ids are UUIDs.

mod m20261121_000001_people;
mod m20261121_000002_sessions;
mod m20261121_000003_messages;
mod m20261121_000004_jobs;
mod m20261121_000005_webhooks;
mod m20261121_000006_media;
mod m20261121_000007_usage;
mod m20261121_000008_audit;
mod m20261121_000009_proofs;
mod m20261121_000010_nodes;
mod m20261127_000011_message_status;
mod m20261127_000012_cookies;
mod m20261127_000013_contacts;
mod m20261127_000015_templates;
mod m20261127_000016_schedules;
mod m20261127_000017_campaigns;
mod m20261127_000018_rich;
mod m20261127_000020_campaign_quiet_hours;
mod m20261127_000021_manners;
mod m20261127_000022_imports;
mod m20261127_000023_seal_keys;
mod m20261127_000024_conversations;
mod m20261127_000025_receipts;
mod m20261127_000026_reason_codes;
mod m20261127_000027_leaving;

use sea_orm_migration::prelude::*;

/// All migrations in their order.
pub(crate) struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261121_000001_people::Migration),
            Box::new(m20261121_000002_sessions::Migration),
            Box::new(m20261121_000003_messages::Migration),
            Box::new(m20261121_000004_jobs::Migration),
            Box::new(m20261121_000005_webhooks::Migration),
            Box::new(m20261121_000006_media::Migration),
            Box::new(m20261121_000007_usage::Migration),
            Box::new(m20261121_000008_audit::Migration),
            Box::new(m20261121_000009_proofs::Migration),
            Box::new(m20261121_000010_nodes::Migration),
            Box::new(m20261127_000011_message_status::Migration),
            Box::new(m20261127_000012_cookies::Migration),
            Box::new(m20261127_000013_contacts::Migration),
            Box::new(m20261127_000015_templates::Migration),
            Box::new(m20261127_000016_schedules::Migration),
            Box::new(m20261127_000017_campaigns::Migration),
            Box::new(m20261127_000018_rich::Migration),
            Box::new(m20261127_000020_campaign_quiet_hours::Migration),
            Box::new(m20261127_000021_manners::Migration),
            Box::new(m20261127_000022_imports::Migration),
            Box::new(m20261127_000023_seal_keys::Migration),
            Box::new(m20261127_000024_conversations::Migration),
            Box::new(m20261127_000025_receipts::Migration),
            Box::new(m20261127_000026_reason_codes::Migration),
            Box::new(m20261127_000027_leaving::Migration),
        ]
    }
}

/// Makes tables and then runs statements, in the order given.
async fn make(manager: &SchemaManager<'_>, tables: Vec<TableCreateStatement>, statements: &[&str]) -> Result<(), DbErr> {
    for table in tables {
        manager.create_table(table).await?;
    }
    for sql in statements {
        manager.get_connection().execute_unprepared(sql).await?;
    }
    Ok(())
}

/// A table that is to be made.
fn table(name: &'static str, columns: Vec<ColumnDef>) -> TableCreateStatement {
    let mut table = Table::create();
    table.table(name);
    for column in columns {
        table.col(column);
    }
    table
}

/// Rows go when the row they belong to goes.
fn belongs_to(column: &'static str, parent: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create().from_col(column).to(parent, "id").on_delete(ForeignKeyAction::Cascade).to_owned()
}

/// The primary key over several columns.
fn key(columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.primary();
    for column in columns {
        index.col(*column);
    }
    index
}
