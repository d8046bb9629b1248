//! Messages that wait for their date, recurring sends, and the quiet hours of a user.

use super::{belongs_to, make, table};
use sea_orm_migration::{prelude::*, schema};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let of_user = || belongs_to("user_id", "users");
        let of_session = || belongs_to("session_id", "sessions");
        let tables = vec![recurring().foreign_key(&mut of_user()).foreign_key(&mut of_session()).to_owned()];
        let statements = [
            "ALTER TABLE users ADD COLUMN quiet_hours TEXT",
            // Messages without a date are not in it: accepting one costs nothing more.
            "CREATE INDEX messages_scheduled ON messages (status, scheduled_at) WHERE scheduled_at IS NOT NULL",
            "CREATE UNIQUE INDEX recurring_of_user ON recurring (user_id, name)",
            "CREATE INDEX recurring_due ON recurring (next_at) WHERE is_active",
        ];
        make(manager, tables, &statements).await
    }
}

/// `next_at` null: no run is left. `variables` and `metadata` are JSON.
fn recurring() -> TableCreateStatement {
    let mut id = schema::uuid("id");
    id.primary_key();
    let columns = vec![
        id,
        schema::uuid("user_id"),
        schema::uuid("session_id"),
        schema::string("name"),
        schema::string("cron"),
        schema::string("timezone"),
        schema::string("recipient"),
        schema::text_null("content"),
        schema::uuid_null("template_id"),
        schema::text("variables"),
        schema::boolean_null("quiet_hours"),
        schema::big_integer_null("next_at"),
        schema::big_integer_null("ends_at"),
        schema::integer_null("most_runs"),
        schema::integer("runs"),
        schema::boolean("is_active"),
        schema::big_integer_null("last_run_at"),
        schema::uuid_null("last_message_id"),
        schema::text_null("last_error"),
        schema::big_integer("created_at"),
        schema::big_integer("updated_at"),
    ];
    table("recurring", columns)
}
