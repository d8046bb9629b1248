//! Messages, their timelines, the outbox, idempotency keys, usage and the event log.

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
        let of_user = || belongs_to("user_id", "users");
        let of_session = || belongs_to("session_id", "sessions");
        let of_message = || belongs_to("message_id", "messages");
        // Before the tables that point at it: PostgreSQL takes only a unique column as the target of a foreign key.
        make(
            manager,
            vec![messages().foreign_key(&mut of_user()).foreign_key(&mut of_session()).to_owned()],
            &["CREATE UNIQUE INDEX messages_id ON messages (id)"],
        )
        .await?;
        let tables = vec![
            message_raw().foreign_key(&mut of_message()).to_owned(),
            timeline().foreign_key(&mut of_message()).to_owned(),
            outbox().foreign_key(&mut of_message()).to_owned(),
            idempotency().foreign_key(&mut of_user()).to_owned(),
            usage_daily().foreign_key(&mut of_user()).to_owned(),
            events().foreign_key(&mut of_user()).to_owned(),
        ];
        let statements = [
            "CREATE UNIQUE INDEX messages_wa_id ON messages (session_id, wa_message_id, chat, sender)",
            "CREATE INDEX messages_of_user ON messages (user_id, created_at, seq)",
            "CREATE INDEX timeline_of_message ON timeline (message_id)",
            "CREATE UNIQUE INDEX outbox_message ON outbox (message_id)",
            "CREATE INDEX outbox_lane ON outbox (session_id, chat, seq)",
            // Claiming looks only at the first row of each chat, whatever waits behind it.
            "CREATE INDEX outbox_heads ON outbox (session_id, seq) WHERE head",
            "CREATE INDEX outbox_deadline ON outbox (expires_at)",
            "CREATE INDEX idempotency_by_end ON idempotency (expires_at)",
            "CREATE INDEX events_of_user ON events (user_id, seq)",
        ];
        make(manager, tables, &statements).await
    }
}

/// `seq` is the order of acceptance; `sender` is empty for outbound messages and makes incoming ones unique.
fn messages() -> TableCreateStatement {
    let columns = vec![
        schema::big_pk_auto("seq"),
        schema::uuid("id"),
        schema::uuid("user_id"),
        schema::uuid("session_id"),
        schema::string("direction"),
        schema::string("chat"),
        schema::string("sender"),
        schema::string_null("peer_phone"),
        schema::string_null("peer_jid"),
        schema::string_null("peer_lid"),
        schema::string_null("peer_name"),
        schema::string("message_type"),
        schema::text_null("body"),
        schema::string("status"),
        schema::integer("attempts"),
        schema::boolean("written"),
        schema::string_null("error_code"),
        schema::text_null("error_message"),
        schema::big_integer("created_at"),
        schema::big_integer_null("scheduled_at"),
        schema::big_integer_null("expires_at"),
        schema::big_integer_null("sent_at"),
        schema::big_integer_null("delivered_at"),
        schema::big_integer_null("read_at"),
        schema::string("wa_message_id"),
        schema::uuid_null("reply_to"),
        schema::text_null("quoted"),
        schema::text_null("metadata"),
    ];
    table("messages", columns)
}

/// Sealed originals of incoming messages; apart, so that lists do not read them.
fn message_raw() -> TableCreateStatement {
    let mut id = schema::uuid("message_id");
    id.primary_key();
    table("message_raw", vec![id, schema::blob("raw")])
}

fn timeline() -> TableCreateStatement {
    let columns = vec![
        schema::big_pk_auto("seq"),
        schema::uuid("message_id"),
        schema::big_integer("at"),
        schema::string("step"),
        schema::integer("attempt"),
        schema::text_null("detail"),
    ];
    table("timeline", columns)
}

/// `phase`: 0 waits, 1 claimed, 2 written. `due_at` null: waits for a connection. `head`: first of its chat.
fn outbox() -> TableCreateStatement {
    let columns = vec![
        schema::big_pk_auto("seq"),
        schema::uuid("message_id"),
        schema::uuid("session_id"),
        schema::string("chat"),
        schema::big_integer_null("due_at"),
        schema::big_integer("expires_at"),
        schema::small_integer("phase"),
        schema::boolean("head"),
    ];
    table("outbox", columns)
}

fn idempotency() -> TableCreateStatement {
    let columns = vec![
        schema::uuid("user_id"),
        schema::string("key"),
        schema::blob("fingerprint"),
        schema::integer("status"),
        schema::text("body"),
        schema::big_integer("expires_at"),
    ];
    table("idempotency", columns).primary_key(&mut key(&["user_id", "key"])).to_owned()
}

fn usage_daily() -> TableCreateStatement {
    let columns = vec![
        schema::uuid("user_id"),
        schema::integer("day"),
        schema::big_integer("accepted"),
        schema::big_integer("sent"),
        schema::big_integer("received"),
        schema::big_integer("failed"),
    ];
    table("usage_daily", columns).primary_key(&mut key(&["user_id", "day"])).to_owned()
}

/// The session and the message are no foreign keys: the log keeps what was told.
fn events() -> TableCreateStatement {
    let columns = vec![
        schema::big_pk_auto("seq"),
        schema::uuid("id"),
        schema::uuid("user_id"),
        schema::uuid_null("session_id"),
        schema::string("kind"),
        schema::uuid_null("message_id"),
        schema::text("data"),
        schema::big_integer("at"),
    ];
    table("events", columns)
}
