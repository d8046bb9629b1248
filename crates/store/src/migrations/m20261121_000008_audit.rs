//! The audit log becomes a chain: a MAC in each row, the head beside the table, and triggers that refuse to change rows.
//!
//! Rows that are there already have no MAC yet; they are chained when the tables are up to date, since a migration has
//! no keys. Until then only they may be written again.

use super::{make, table};
use sea_orm_migration::{prelude::*, schema, sea_orm::DatabaseBackend};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in [schema::big_integer_null("key_id"), schema::blob_null("mac")] {
            manager.alter_table(Table::alter().table("audit_log").add_column(column).to_owned()).await?;
        }
        let refusals = match manager.get_database_backend() {
            DatabaseBackend::Postgres => POSTGRES,
            _ => SQLITE,
        };
        make(manager, vec![audit_head()], refusals).await
    }
}

/// One row: the last entry of the log, its MAC, and the proof that this is the last.
fn audit_head() -> TableCreateStatement {
    let mut id = schema::integer("id");
    id.primary_key();
    let columns = vec![id, schema::big_integer("seq"), schema::blob("mac"), schema::big_integer("key_id"), schema::blob("proof")];
    table("audit_head", columns)
}

const SQLITE: &[&str] = &[
    "CREATE INDEX audit_log_of_actor ON audit_log (actor, seq)",
    "CREATE TRIGGER audit_log_keeps BEFORE UPDATE ON audit_log WHEN OLD.mac IS NOT NULL \
     BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END",
    "CREATE TRIGGER audit_log_stays BEFORE DELETE ON audit_log BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END",
    "CREATE TRIGGER audit_log_chains BEFORE INSERT ON audit_log WHEN NEW.mac IS NULL \
     BEGIN SELECT RAISE(ABORT, 'the audit log is a chain'); END",
    "CREATE TRIGGER audit_head_stays BEFORE DELETE ON audit_head BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END",
];

const POSTGRES: &[&str] = &[
    "CREATE INDEX audit_log_of_actor ON audit_log (actor, seq)",
    "CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$",
    "CREATE TRIGGER audit_log_keeps BEFORE UPDATE ON audit_log FOR EACH ROW WHEN (OLD.mac IS NOT NULL) EXECUTE FUNCTION audit_refuse()",
    "CREATE TRIGGER audit_log_stays BEFORE DELETE ON audit_log FOR EACH ROW EXECUTE FUNCTION audit_refuse()",
    "CREATE TRIGGER audit_log_chains BEFORE INSERT ON audit_log FOR EACH ROW WHEN (NEW.mac IS NULL) EXECUTE FUNCTION audit_refuse()",
    "CREATE TRIGGER audit_log_whole BEFORE TRUNCATE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()",
    "CREATE TRIGGER audit_head_stays BEFORE DELETE OR TRUNCATE ON audit_head FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()",
];
