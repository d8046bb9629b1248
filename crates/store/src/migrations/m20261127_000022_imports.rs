//! Imports go on behind the request that handed their file in: the file lies here in pieces until its lines are read.

use super::{key, make, table};
use sea_orm_migration::{prelude::*, schema};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tables = vec![pieces().foreign_key(&mut of_import()).to_owned(), faults().foreign_key(&mut of_import()).to_owned()];
        let statements = [
            // What was written by requests that broke off: their files are nowhere.
            "UPDATE contact_imports SET state = 2, ended_at = updated_at WHERE state = 0",
            // Faults have a table of their own now.
            "ALTER TABLE contact_imports DROP COLUMN faults",
            "ALTER TABLE contact_imports ADD COLUMN columns TEXT NOT NULL DEFAULT '[]'",
            "ALTER TABLE contact_imports ADD COLUMN breaks BIGINT NOT NULL DEFAULT 0",
            "ALTER TABLE contact_imports ADD COLUMN separator SMALLINT NOT NULL DEFAULT 44",
            "ALTER TABLE contact_imports ADD COLUMN reason TEXT NULL",
        ];
        make(manager, tables, &statements).await
    }
}

fn of_import() -> ForeignKeyCreateStatement {
    ForeignKey::create().from_col("import_id").to("contact_imports", "id").on_delete(ForeignKeyAction::Cascade).to_owned()
}

/// `begins`: how many bytes of the file stand before the piece.
fn pieces() -> TableCreateStatement {
    let columns = vec![schema::uuid("import_id"), schema::big_integer("begins"), schema::blob("bytes")];
    table("import_pieces", columns).primary_key(&mut key(&["import_id", "begins"])).to_owned()
}

/// `number` sorts them: the line, and which fault of it.
fn faults() -> TableCreateStatement {
    let columns = vec![
        schema::uuid("import_id"),
        schema::big_integer("number"),
        schema::big_integer("line"),
        schema::text("field"),
        schema::text("message"),
    ];
    table("import_faults", columns).primary_key(&mut key(&["import_id", "number"])).to_owned()
}
