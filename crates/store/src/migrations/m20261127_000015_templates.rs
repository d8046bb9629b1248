//! Templates and their versions.

use super::{belongs_to, key, make, table};
use sea_orm_migration::{prelude::*, schema};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut of_user = belongs_to("user_id", "users");
        let mut of_template = belongs_to("template_id", "templates");
        let tables = vec![templates().foreign_key(&mut of_user).to_owned(), versions().foreign_key(&mut of_template).to_owned()];
        let statements = [
            "CREATE UNIQUE INDEX templates_of_user ON templates (user_id, name, language)",
            // Asked for each file that may be dropped.
            "CREATE INDEX template_versions_file ON template_versions (file_id) WHERE file_id IS NOT NULL",
        ];
        make(manager, tables, &statements).await
    }
}

/// `version` is the number of the present version.
fn templates() -> TableCreateStatement {
    let mut id = schema::uuid("id");
    id.primary_key();
    let columns = vec![
        id,
        schema::uuid("user_id"),
        schema::string("name"),
        schema::string("language"),
        schema::integer("version"),
        schema::boolean("is_archived"),
        schema::big_integer("created_at"),
        schema::big_integer("updated_at"),
    ];
    table("templates", columns)
}

/// `content` is the source: of the text, or of the caption where there is a file.
fn versions() -> TableCreateStatement {
    let columns = vec![
        schema::uuid("template_id"),
        schema::integer("version"),
        schema::text("content"),
        schema::text_null("media"),
        schema::uuid_null("file_id"),
        schema::blob_null("thumbnail"),
        schema::big_integer("created_at"),
    ];
    table("template_versions", columns).primary_key(&mut key(&["template_id", "version"])).to_owned()
}
