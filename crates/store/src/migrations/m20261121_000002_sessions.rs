//! Linked accounts and their sealed Signal state.

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
        let tables = vec![
            sessions().foreign_key(&mut belongs_to("user_id", "users")).to_owned(),
            signal().foreign_key(&mut belongs_to("session_id", "sessions")).to_owned(),
            chat_aliases().foreign_key(&mut belongs_to("session_id", "sessions")).to_owned(),
        ];
        let statements = [
            "CREATE UNIQUE INDEX sessions_name ON sessions (user_id, name)",
            "CREATE INDEX sessions_of_user ON sessions (user_id, created_at)",
            "CREATE INDEX sessions_by_time ON sessions (created_at)",
            "CREATE INDEX sessions_wanted ON sessions (id) WHERE linked AND wanted",
            // Only what is swept by age carries this index, so that a ratchet's write costs no second one.
            "CREATE INDEX signal_swept ON signal (kind, updated_at) WHERE kind = 13 OR kind = 16 OR kind = 17 OR kind = 18 OR kind = 19",
        ];
        make(manager, tables, &statements).await
    }
}

fn sessions() -> TableCreateStatement {
    let columns = vec![
        schema::pk_uuid("id"),
        schema::uuid("user_id"),
        schema::string("name"),
        schema::string("network"),
        schema::string("status"),
        schema::string_null("reason"),
        schema::string_null("phone"),
        schema::string_null("jid"),
        schema::string_null("lid"),
        schema::string_null("push_name"),
        schema::boolean("linked"),
        schema::boolean("wanted"),
        schema::big_integer_null("connected_at"),
        schema::big_integer_null("last_active_at"),
        schema::string_null("last_error"),
        schema::big_integer_null("limited_until"),
        schema::big_integer("generation"),
        schema::big_integer("created_at"),
        schema::big_integer("updated_at"),
    ];
    table("sessions", columns)
}

/// The value is sealed; the key is in the clear because rows are found by it.
fn signal() -> TableCreateStatement {
    let columns = vec![
        schema::uuid("session_id"),
        schema::small_integer("kind"),
        schema::blob("key"),
        schema::blob("value"),
        schema::big_integer("updated_at"),
    ];
    table("signal", columns).primary_key(&mut key(&["session_id", "kind", "key"])).to_owned()
}

/// What WhatsApp answered about a recipient whose conversation is under another id than the one asked for.
fn chat_aliases() -> TableCreateStatement {
    let columns = vec![
        schema::uuid("session_id"),
        schema::string("asked"),
        schema::string("chat"),
        schema::string_null("phone"),
        schema::string_null("jid"),
        schema::string_null("lid"),
        schema::big_integer("updated_at"),
    ];
    table("chat_aliases", columns).primary_key(&mut key(&["session_id", "asked"])).to_owned()
}
